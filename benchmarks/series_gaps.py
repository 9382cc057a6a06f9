"""How far AR(p) and causal convolutions stay from the exact likelihood of series: nats per value above the truth.

    OMP_NUM_THREADS=1 python benchmarks/series_gaps.py

Model and truth score the same test series. AR is fitted by maximum likelihood at once, the convolutions by gradient steps with
the weights that were best on the validation split. Seconds are the processor's.
"""

import time

import torch

from dgmcourse import AR, CausalConvolutions, GenerativeModel, fit
from dgmcourse.data import Dataset, series


def report(name: str, model: GenerativeModel, data: Dataset, started: float) -> None:
    seconds = time.process_time() - started
    with torch.no_grad():
        gap = (data.truth.log_prob(data.test) - model.log_prob(data.test).value) / data.space.dim
    error = float(gap.std()) / len(gap) ** 0.5
    print(f"  {name}: {float(gap.mean()):.4f} ± {error:.4f} nats per value, in {seconds:.1f} s", flush=True)


def main() -> None:
    torch.set_num_threads(1)
    for name in ("ar2", "regimes"):
        data = series(name)
        print(f"{name}: {data.truth}")
        for order in (1, 2, 8):
            started = time.process_time()
            report(f"AR({order})", AR(data.space, order).estimate(data.train), data, started)
        for components in (1, 2):
            torch.manual_seed(0)
            model = CausalConvolutions(data.space, channels=24, layers=4, components=components)
            started = time.process_time()
            fit(model, data, steps=600, batch_size=64, lr=5e-3, schedule="cosine", warmup=20, clip=1.0, keep_best=True,
                progress=False)  # fmt: skip
            report(f"CausalConvolutions, {components} Gaussian(s)", model, data, started)


if __name__ == "__main__":
    main()
