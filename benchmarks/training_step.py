"""What `fit` costs: a training step of the 784-512-20 VAE, batch 128, against the same step written bare in PyTorch.

    OMP_NUM_THREADS=1 python benchmarks/training_step.py

Both run in turns within one process, so that whatever else the machine does hits both; the ratio of medians is reported.
"""

import statistics
import time

import torch
from torch.nn import functional as F

from dgmcourse import VAE, Space, fit

STEPS, ROUNDS, BATCH = 60, 15, 128


def bare(x: torch.Tensor) -> float:
    """Milliseconds a step of the loop that everybody writes, on the same networks."""
    torch.manual_seed(0)
    model = VAE(Space.binary(1, 28, 28), latents=20, hidden=(512,))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    started = time.perf_counter()
    for _ in range(STEPS):
        batch = x[torch.randint(len(x), (BATCH,))].flatten(1)
        mean, log_var = model.encoder(2 * batch - 1).chunk(2, dim=-1)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        distortion = F.binary_cross_entropy_with_logits(model.decoder(z), batch, reduction="none").sum(-1)
        rate = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
        loss = (distortion + rate).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return 1000 * (time.perf_counter() - started) / STEPS


def with_fit(x: torch.Tensor) -> float:
    """Milliseconds a step of `fit`, whose set-up is not counted, as it is paid once a run."""
    torch.manual_seed(0)
    model = VAE(Space.binary(1, 28, 28), latents=20, hidden=(512,))
    return 1000 * fit(model, x, steps=STEPS, batch_size=BATCH, progress=False).seconds / STEPS


def main() -> None:
    x = (torch.rand(10_000, 1, 28, 28) < 0.13).float()
    times = {"bare": [], "fit": []}
    for _ in range(ROUNDS + 1):
        times["bare"].append(bare(x))
        times["fit"].append(with_fit(x))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}  # the first round warms up
    ratios = [b / a for a, b in zip(times["bare"][1:], times["fit"][1:], strict=True)]
    print(f"bare {medians['bare']:.2f} ms, fit {medians['fit']:.2f} ms a step: ratio of medians "
          f"{medians['fit'] / medians['bare']:.3f}, median of ratios {statistics.median(ratios):.3f} "
          f"({ROUNDS} rounds of {STEPS} steps, {torch.get_num_threads()} thread)")  # fmt: skip


if __name__ == "__main__":
    main()
