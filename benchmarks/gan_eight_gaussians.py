"""Mode coverage on eight Gaussians: one GAN that collapses, and the same one repaired. Five seeds of each.

OMP_NUM_THREADS=1 python benchmarks/gan_eight_gaussians.py
"""

import time

import torch

from dgmcourse import GAN, fit
from dgmcourse.data import toy
from dgmcourse.evaluation import ModeCoverage, mode_coverage
from dgmcourse.models.gan import two_time_scales

# The generator hurries ten times faster than the critic, and momentum carries it past where it wanted to go: it runs
# after the one place that the critic likes best at the moment.
COLLAPSING = {"steps": 800, "optimizer": two_time_scales(generator=5e-3, critic=5e-4, betas=(0.9, 0.999))}
# Equal steps with less momentum let the critic keep up; shrinking steps and the generator's average settle the game.
REPAIRED = {
    "steps": 1500,
    "batch_size": 256,
    "optimizer": two_time_scales(2e-3, betas=(0.5, 0.99)),
    "schedule": "cosine",
    "ema": 0.995,
}


def run(seed: int, training: dict) -> tuple[ModeCoverage, float]:
    """(coverage of 10,000 samples, training seconds) for one seed."""
    data = toy("eight_gaussians")
    torch.manual_seed(seed)
    model = GAN(data.space, latents=2, hidden=(128, 128, 128))
    started = time.process_time()
    fit(model, data, **training, seed=seed, progress=False)
    seconds = time.process_time() - started
    torch.manual_seed(seed)
    return mode_coverage(model.sample(10_000), data.truth), seconds


def main() -> None:
    truth = toy("eight_gaussians").truth
    print(f"the data: {mode_coverage(truth.sample(10_000, torch.Generator().manual_seed(0)), truth)}")
    for name, training in (("collapsing", COLLAPSING), ("repaired", REPAIRED)):
        for seed in range(5):
            coverage, seconds = run(seed, training)
            print(f"{name}, seed {seed}: {coverage}; {seconds:.1f} s on {torch.get_num_threads()} thread", flush=True)


if __name__ == "__main__":
    main()
