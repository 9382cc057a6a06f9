"""How good MADE and PixelCNN get on the 8×8 digits within seconds, beside each other: seeds' medians, chosen on validation.

    OMP_NUM_THREADS=1 python benchmarks/autoregressive_digits.py [--seeds 3] [--only "PixelCNN"]

Binary digits in nats per image, 17-level digits in bits per dimension; all exact. Seconds are CPU seconds of `fit`.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from dgmcourse import MADE, GenerativeModel, PixelCNN, Space, fit
from dgmcourse.data import digits
from dgmcourse.evaluation import average_log_prob


@dataclass(frozen=True)
class Entry:
    name: str
    levels: int
    make: Callable[[Space], GenerativeModel]
    training: dict


MADE_TRAINING = {"steps": 1500, "batch_size": 100, "lr": 2e-3}
PIXELCNN_TRAINING = {"steps": 1500, "batch_size": 50, "lr": 4e-3}
ENTRIES = (
    Entry("MADE, reading order", 2, lambda space: MADE(space, (1000,), dropout=0.5), MADE_TRAINING),
    Entry("MADE, 8 orderings", 2, lambda space: MADE(space, (1000,), orderings=8), MADE_TRAINING),
    Entry(
        "MADE, in a second or two", 2, lambda space: MADE(space, (500,), dropout=0.3), MADE_TRAINING | {"steps": 700}
    ),
    Entry(
        "PixelCNN",
        2,
        lambda space: PixelCNN(space, 24, layers=2, kernel=5, dropout=0.3),
        PIXELCNN_TRAINING,
    ),
    Entry(
        "PixelCNN, for a lesson",
        2,
        lambda space: PixelCNN(space, 16, layers=2, kernel=5, dropout=0.2),
        PIXELCNN_TRAINING | {"steps": 700},
    ),
    Entry(
        "PixelCNN with a blind spot",
        2,
        lambda space: PixelCNN(space, 24, layers=4, first=5, gated=False, dropout=0.1),
        PIXELCNN_TRAINING | {"steps": 700},
    ),
    Entry("MADE, reading order", 17, lambda space: MADE(space, (500,), dropout=0.3), MADE_TRAINING),
    Entry(
        "PixelCNN",
        17,
        lambda space: PixelCNN(space, 24, layers=2, kernel=5, dropout=0.2),
        PIXELCNN_TRAINING,
    ),
)


def run(entry: Entry, seed: int) -> tuple[float, float, float]:
    """(test nats, or bits per dimension; the same for training images; CPU seconds of training)."""
    data = digits(levels=entry.levels)
    torch.manual_seed(seed)
    model = entry.make(data.space)
    started = time.process_time()
    fit(model, data, **entry.training, schedule="cosine", ema=0.99, keep_best=True, seed=seed, progress=False)
    seconds = time.process_time() - started
    found = [average_log_prob(model, x).value for x in (data.test, data.train)]
    if entry.levels > 2:
        found = [float(data.space.bits_per_dim(torch.tensor(value))) for value in found]
    else:
        found = [-value for value in found]
    return *found, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="entries whose name and levels hold this, e.g. 'PixelCNN, 17'")
    arguments = parser.parse_args()
    for entry in ENTRIES:
        if arguments.only not in f"{entry.name}, {entry.levels}":
            continue
        results = [run(entry, seed) for seed in range(arguments.seeds)]
        test, train, seconds = (statistics.median(column) for column in zip(*results, strict=True))
        unit = "nats" if entry.levels == 2 else "bits/dim"
        each = ", ".join(f"{result[0]:.3f}" for result in results)
        print(f"{entry.levels:2} levels, {entry.name}: {test:.3f} {unit} ({each}); training images {train:.3f}; "
              f"{seconds:.1f} CPU s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
