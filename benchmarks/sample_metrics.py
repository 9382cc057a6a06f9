"""Sample metrics beside other libraries: the same values, and what they cost, on random features of 192 numbers.

    python benchmarks/sample_metrics.py [--points 10000] [--many 50000] [--torchmetrics FOLDER]

Fréchet distance beside scipy's matrix square root and torchmetrics; kernel distance beside torchmetrics, with the same
subsets; precision, recall, density and coverage beside prdc, all on `--points` points a set, in one process. prdc holds
matrices of points × points, 20 GB each for 50,000; so the many points are measured with the course's functions alone, in a
process of its own, whose peak memory is told. torchmetrics is looked for in FOLDER too, where it may be put by
`pip install --target FOLDER --no-deps torchmetrics lightning-utilities`. Seconds are those of a clock, and of the processor,
which counts each core: beside other work, the latter are to be trusted.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from prdc import compute_prdc
from scipy.linalg import sqrtm

from dgmcourse.evaluation import frechet_distance, kernel_distance, manifold_scores

FEATURES, NEIGHBORS = 192, 5


def features(n: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlated numbers whose spectrum decays tenfold, as a classifier's do, and others from a narrower, shifted cloud."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(FEATURES, FEATURES, generator=generator) / FEATURES**0.5
    mixing = mixing * torch.logspace(0, -1, FEATURES)[:, None]
    a, b = (torch.randn(n, FEATURES, generator=generator) @ mixing for _ in range(2))
    return a.to(dtype), (0.95 * b + 0.02).to(dtype)


def timed(call: Callable, *arguments):
    """What it returns, seconds of the clock, seconds of the processor; what it prints is swallowed."""
    wall, cpu = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        found = call(*arguments)
    return found, time.perf_counter() - wall, time.process_time() - cpu


def line(name: str, value: str, wall: float, cpu: float) -> None:
    print(f"  {name:34} {value:44} {wall:8.2f} s {cpu:8.2f} s", flush=True)


def by_square_root(a: torch.Tensor, b: torch.Tensor) -> float:
    a, b = a.numpy(), b.numpy()
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    between = np.square(a.mean(0) - b.mean(0)).sum()
    return float(between + np.trace(cov_a) + np.trace(cov_b) - 2 * np.trace(sqrtm(cov_a @ cov_b)).real)


class Given(torch.nn.Module):
    """A feature extractor whose images are the features."""

    num_features = FEATURES

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def by_torchmetrics(name: str, a: torch.Tensor, b: torch.Tensor, **options) -> torch.Tensor:
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    metric = {"fid": FrechetInceptionDistance, "kid": KernelInceptionDistance}[name](feature=Given(), **options)
    metric.update(a, real=True)
    metric.update(b, real=False)
    torch.manual_seed(0)  # the subsets of kernel_distance(seed=0)
    return metric.compute() if name == "fid" else metric.compute()[0]


def beside(ours: float, name: str, call: Callable, *arguments) -> None:
    """A line for what another library finds, or for its absence."""
    try:
        theirs, *seconds = timed(call, *arguments)
    except ImportError as error:
        print(f"  {name}: {error}")
    else:
        line(name, f"{float(theirs):.12g}, off by {abs(float(theirs) - ours) / ours:.0e}", *seconds)


def compare_frechet(n: int) -> None:
    a, b = features(n, torch.float64)
    print(f"Fréchet distance, {n} × {FEATURES}")
    ours, *seconds = timed(frechet_distance, a, b)
    line("course", f"{ours:.12g}", *seconds)
    beside(ours, "scipy's matrix square root", by_square_root, a, b)
    beside(ours, "torchmetrics", by_torchmetrics, "fid", a, b)


def compare_kernel(n: int) -> None:
    a, b = features(n, torch.float64)
    size = min(1000, n // 2)
    print(f"Kernel distance, {n} × {FEATURES}, 50 subsets of {size}")
    ours, *seconds = timed(kernel_distance, a, b, 50, size)
    line("course", f"{ours.value:.12g} ± {ours.standard_error:.1g}", *seconds)
    beside(ours.value, "torchmetrics", partial(by_torchmetrics, subsets=50, subset_size=size), "kid", a, b)


def compare_neighbors(n: int) -> None:
    a, b = features(n, torch.float64)
    print(f"Precision, recall, density, coverage, {n} × {FEATURES}, {NEIGHBORS} neighbors")
    ours, *seconds = timed(manifold_scores, a, b, NEIGHBORS)
    line("course", " ".join(f"{one:.6f}" for one in ours), *seconds)
    theirs, *seconds = timed(compute_prdc, a.numpy(), b.numpy(), NEIGHBORS)
    line("prdc", " ".join(f"{theirs[name]:.6f}" for name in ours._fields), *seconds)
    print(f"  largest difference {max(abs(theirs[name] - one) for name, one in ours._asdict().items()):.0e}")


def many(n: int) -> list[tuple]:
    """The course's functions on many points, and the peak memory of this process, in GiB, after each."""
    a, b = features(n, torch.float32)
    found = []
    for name, call in (
        ("Fréchet distance", frechet_distance),
        ("Precision, recall, density, coverage", manifold_scores),
    ):
        value, wall, cpu = timed(call, a, b)
        shown = f"{value:.6g}" if isinstance(value, float) else " ".join(f"{one:.6f}" for one in value)
        found.append((name, shown, wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--many", type=int, default=50_000, help="0 leaves them out")
    parser.add_argument("--torchmetrics", default="", metavar="FOLDER", help="where else to look for torchmetrics")
    arguments = parser.parse_args()
    sys.path += [arguments.torchmetrics] * bool(arguments.torchmetrics)
    print(
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}; seconds of clock, processor"
    )
    if arguments.many:  # first: a process starts with the peak memory of the one that starts it
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            for name, value, wall, cpu, memory in pool.apply(many, (arguments.many,)):
                print(f"{name}, {arguments.many} × {FEATURES}, float32, peak memory {memory:.2f} GiB")
                line("course", value, wall, cpu)
    compare_frechet(arguments.points)
    compare_frechet(FEATURES // 2)  # both covariances are singular
    compare_kernel(arguments.points)
    compare_neighbors(arguments.points)
    print(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
