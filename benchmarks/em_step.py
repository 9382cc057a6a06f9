"""What one EM iteration of a Gaussian mixture costs, against scikit-learn's: 100,000 points of ℝ⁶⁴, 20 components.

    python benchmarks/em_step.py [--rounds 9] [--points 100000]

One thread each, in one process, turn about. An iteration is the E-step (responsibilities and log-likelihood) and the
M-step (weights, means, covariances and their Cholesky factors), from the same parameters: for scikit-learn what `fit`
repeats, for the course what `GaussianMixture.em` does between two states. scikit-learn computes in the data's precision,
float32 or float64; both are measured, like against like.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.update({name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")})

import torch
from sklearn.mixture import GaussianMixture as Reference
from threadpoolctl import threadpool_limits

from dgmcourse.core import Space
from dgmcourse.models import GaussianMixture

DIM, COMPONENTS = 64, 20


def clusters(n: int, dtype: torch.dtype) -> torch.Tensor:
    """Overlapping clusters: (n, DIM)."""
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(COMPONENTS, DIM, generator=generator)
    chosen = torch.randint(COMPONENTS, (n,), generator=generator)
    return (centers[chosen] + torch.randn(n, DIM, generator=generator)).to(dtype)


def turns(x: torch.Tensor, covariance: str) -> tuple[Callable[[], float], Callable[[], float]]:
    """(one iteration of the course's, one of scikit-learn's), as functions; both start from the same parameters."""
    model = GaussianMixture(Space.real(DIM), COMPONENTS, covariance).to(x.dtype).initialize(x)
    covariances, data = model.covariances.detach(), x.numpy()
    kind = {"full": "full", "diagonal": "diag"}[covariance]
    reference = Reference(COMPONENTS, covariance_type=kind, reg_covar=model.floor)
    whitening = torch.linalg.inv(torch.linalg.cholesky(covariances)).mT if kind == "full" else covariances.rsqrt()
    reference.weights_, reference.means_ = (part.detach().clone().numpy() for part in (model.weights, model.means))
    reference.precisions_cholesky_ = whitening.contiguous().numpy()
    states = model.em(x, iterations=10**9)
    next(states)

    def theirs() -> float:
        log_prob, log_responsibilities = reference._e_step(data)
        reference._m_step(data, log_responsibilities)
        return float(log_prob)

    return lambda: float(next(states).log_prob.mean()), theirs


def race(x: torch.Tensor, covariance: str, rounds: int) -> list[tuple[float, float]]:
    """Seconds of each round, both side by side, after two rounds to warm up."""
    pair, found = turns(x, covariance), []
    for _ in range(rounds + 2):
        seconds = []
        values = []
        for turn in pair:
            start = time.perf_counter()
            values.append(turn())
            seconds.append(time.perf_counter() - start)
        found.append(tuple(seconds))
    assert abs(values[0] - values[1]) < 0.01 * abs(values[1]), values  # on the same way, an iteration apart at most
    return found[2:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--points", type=int, default=100_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'seconds an iteration':24} {'course':>8} {'sklearn':>8} {'ratio':>6} {'(least … greatest)':>20}")
    with threadpool_limits(1):
        for dtype in (torch.float32, torch.float64):
            x = clusters(arguments.points, dtype)
            for covariance in ("diagonal", "full"):
                found = race(x, covariance, arguments.rounds)
                ours, theirs = (statistics.median(part) for part in zip(*found, strict=True))
                ratios = sorted(a / b for a, b in found)
                print(f"{covariance + ', ' + str(dtype)[6:]:24} {ours:8.3f} {theirs:8.3f} {statistics.median(ratios):6.2f} "
                      f"{f'({ratios[0]:.2f} … {ratios[-1]:.2f})':>20}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
