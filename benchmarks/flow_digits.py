"""Bits per dimension of flows on the 8×8 digits in 17 levels, beside independent pixels; chosen on validation.

OMP_NUM_THREADS=1 python benchmarks/flow_digits.py [seeds]
"""

import statistics
import sys
import time

import torch

from dgmcourse import CouplingFlow, Glow, IndependentPixels, SplineFlow, fit
from dgmcourse.data import digits
from dgmcourse.evaluation import average_log_prob

# name -> (how to make the model, arguments of fit)
FLOWS = {
    "independent pixels": (IndependentPixels, {"steps": 600, "lr": 3e-2}),
    "CouplingFlow": (lambda space: CouplingFlow(space, 8, hidden=(128, 128)), {"steps": 600, "lr": 2e-3}),
    "SplineFlow": (lambda space: SplineFlow(space, 4, bins=8, hidden=(128, 128)), {"steps": 600, "lr": 2e-3}),
    "Glow": (lambda space: Glow(space, scales=2, depth=4, channels=32), {"steps": 600, "lr": 4e-3}),
}


def run(make, arguments: dict, seed: int) -> tuple[float, float, int]:
    """(test bits per dimension, CPU seconds of training, step whose weights were kept) for one seed."""
    data = digits(levels=17)
    torch.manual_seed(seed)
    model = make(data.space)
    started = time.process_time()
    history = fit(model, data, **arguments, batch_size=100, schedule="cosine", warmup=20, clip=50.0, ema=0.98,
                  keep_best=True, seed=seed, progress=False)  # fmt: skip
    seconds = time.process_time() - started
    torch.manual_seed(seed)
    bound = average_log_prob(model, data.test, repeats=20)
    return float(data.space.bits_per_dim(torch.tensor(bound.value))), seconds, history.best_step


def main() -> None:
    seeds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    for name, (make, arguments) in FLOWS.items():
        found = [run(make, arguments, seed) for seed in seeds]
        bits, seconds, kept = (statistics.median(column) for column in zip(*found, strict=True))
        size = sum(parameter.numel() for parameter in make(digits(levels=17).space).parameters())
        print(
            f"{name:20s} {bits:.3f} bits/dim, {seconds:5.1f} CPU s, best at step {kept:.0f}, {size:,} parameters",
            flush=True,
        )


if __name__ == "__main__":
    main()
