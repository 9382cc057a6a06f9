"""Mode coverage on eight Gaussians: one GAN that collapses, and the same one repaired. Five seeds of each.

    OMP_NUM_THREADS=1 python benchmarks/gan_eight_gaussians.py

Both are the same networks with the same loss; only how they are trained differs. Seconds are the processor's.
"""

import time

import torch

from dgmcourse import GAN, fit
from dgmcourse.data import toy
from dgmcourse.evaluation import ModeCoverage, mode_coverage
from dgmcourse.models.gan import two_time_scales

SEEDS = range(5)
MODEL = {"latents": 2, "hidden": (128, 128), "activation": "tanh"}
# The generator hurries ten times faster than the critic, and momentum carries it past where it wanted to go: it runs
# after the one place that the critic likes best at the moment.
COLLAPSING = {
    "steps": 800,
    "batch_size": 128,
    "optimizer": two_time_scales(generator=5e-3, critic=5e-4, betas=(0.9, 0.999)),
}
# Equal steps with less momentum let the critic keep up; shrinking steps and the generator's average settle the game.
REPAIRED = {
    "steps": 2500,
    "batch_size": 128,
    "optimizer": two_time_scales(1e-3, betas=(0.5, 0.99)),
    "schedule": "cosine",
    "ema": 0.998,
}


def run(seed: int, training: dict) -> tuple[ModeCoverage, float]:
    """(coverage of 10,000 samples, training seconds) for one seed."""
    data = toy("eight_gaussians")
    torch.manual_seed(seed)
    model = GAN(data.space, **MODEL)
    started = time.process_time()
    fit(model, data, **training, seed=seed, progress=False)
    seconds = time.process_time() - started
    torch.manual_seed(seed)
    return mode_coverage(model.sample(10_000), data.truth), seconds


def has_collapsed(coverage: ModeCoverage) -> bool:
    """Two modes or more have less than 2 % of the samples, an even share being 12.5 %."""
    return coverage.found() <= 6


def is_repaired(coverage: ModeCoverage) -> bool:
    """97 % of the samples within 3 σ of a mode (of the data, 98.9 %), and 9 % or more at each."""
    return coverage.inside >= 0.97 and float(coverage.shares.min()) >= 0.09


def main() -> None:
    truth = toy("eight_gaussians").truth
    print(f"the data: {mode_coverage(truth.sample(10_000, torch.Generator().manual_seed(0)), truth)}")
    for name, training, verdict in (("collapsed", COLLAPSING, has_collapsed), ("repaired", REPAIRED, is_repaired)):
        found = []
        for seed in SEEDS:
            coverage, seconds = run(seed, training)
            found.append(verdict(coverage))
            print(f"seed {seed}: {coverage}; {seconds:.1f} s on {torch.get_num_threads()} thread", flush=True)
        print(f"{name}: {sum(found)} of {len(found)} seeds\n", flush=True)


if __name__ == "__main__":
    main()
