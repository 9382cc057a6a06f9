"""How good a VAE with eight latents gets on the binary 8×8 digits within seconds: three seeds, chosen on validation.

OMP_NUM_THREADS=1 python benchmarks/vae_digits.py
"""

import statistics
import time

import torch

from dgmcourse import VAE, fit
from dgmcourse.data import digits
from dgmcourse.evaluation import average_log_prob, importance_weighted_log_prob


def run(seed: int) -> tuple[float, float, float]:
    """(test −ELBO, test −L_500, training seconds) for one seed."""
    data = digits(levels=2)
    torch.manual_seed(seed)
    model = VAE(data.space, latents=8, hidden=(256, 256))
    started = time.perf_counter()
    fit(model, data, steps=2000, schedule="cosine", ema=0.99, keep_best=True, seed=seed, progress=False)
    seconds = time.perf_counter() - started
    torch.manual_seed(seed)
    elbo = average_log_prob(model, data.test, repeats=50)
    bound = importance_weighted_log_prob(model, data.test, samples=500)
    return -elbo.value, -bound.value, seconds


def main() -> None:
    results = [run(seed) for seed in range(3)]
    for seed, (elbo, bound, seconds) in enumerate(results):
        print(f"seed {seed}: −ELBO {elbo:.2f}, −L_500 {bound:.2f} nats, trained in {seconds:.1f} s")
    medians = [statistics.median(column) for column in zip(*results, strict=True)]
    print(
        f"median: −ELBO {medians[0]:.2f}, −L_500 {medians[1]:.2f} nats, {medians[2]:.1f} s, {torch.get_num_threads()} thread"
    )


if __name__ == "__main__":
    main()
