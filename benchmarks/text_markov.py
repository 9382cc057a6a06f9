"""How near a Transformer and causal convolutions come to the entropy of a Markov source of order 2, in bits per character.

    OMP_NUM_THREADS=1 python benchmarks/text_markov.py

Model and source score the same test sequences, place by place; the difference of their means is the gap, and far less noisy
than either. It is given over all places, and over those that have the source's whole context. Seconds are the processor's.
"""

import math
import time

import torch

from dgmcourse import CausalConvolutions, GenerativeModel, Transformer, fit
from dgmcourse.data import Dataset, text

SETTINGS = {
    "Transformer": dict(steps=800, batch_size=32, lr=1e-2, warmup=40, clip=1.0),
    "CausalConvolutions": dict(steps=600, batch_size=64, lr=5e-3, warmup=20),
}


def untrained(name: str, data: Dataset) -> GenerativeModel:
    if name == "Transformer":
        return Transformer(data.space, width=32, heads=2, layers=2)
    return CausalConvolutions(data.space, channels=32, layers=2)


def gaps(model: GenerativeModel, data: Dataset) -> torch.Tensor:
    """Bits that the model spends beyond the source's own at each place, on average: (length,)."""
    with torch.no_grad():
        spent = -model.log_conditionals(data.test).double()
    return (spent + data.truth.log_conditionals(data.test)).mean(0) / math.log(2)


def main() -> None:
    torch.set_num_threads(1)
    data = text("markov", 64, order=2)
    print(data.truth)
    for name, settings in SETTINGS.items():
        for seed in range(3):
            torch.manual_seed(seed)
            model = untrained(name, data)
            started = time.process_time()
            fit(model, data, schedule="cosine", seed=seed, progress=False, **settings)
            seconds, found = time.process_time() - started, gaps(model, data)
            print(f"{name}, seed {seed}: gap {float(found.mean()):.4f} bits per character "
                  f"({float(found[data.truth.order :].mean()):.4f} with the whole context), trained in {seconds:.1f} s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
