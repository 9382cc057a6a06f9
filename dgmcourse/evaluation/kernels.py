"""Maximum mean discrepancies: two sets of points compared by how alike points are within them and between them."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .likelihood import Estimate
from .points import checked_points

__all__ = ["kernel_distance", "median_bandwidth", "mmd"]

Kernel = Callable[[Tensor, Tensor], Tensor]  # (n, d), (m, d) -> (n, m)
_PAIRED = 1000  # points whose distances the median heuristic looks at


def mmd(a: Tensor, b: Tensor, bandwidth: float | None = None, unbiased: bool = True, block: int = 2000) -> float:
    """The squared maximum mean discrepancy of two sets of points, with the Gaussian kernel:

        MMD² = E k(x, x') + E k(y, y') − 2 E k(x, y),   k(x, y) = exp(−‖x − y‖² / (2 σ²)),   x, x' ~ p,  y, y' ~ q

    It is 0 only if p = q. Unbiased, a point is not compared with itself, and the value may fall below 0 by chance; biased,
    it is (its kernel is 1), and the value is at least 0, and larger than 0 for p = q too, by about 2 (1 − E k) / n.

    Gretton et al., "A Kernel Two-Sample Test", 2012, https://jmlr.org/papers/v13/gretton12a.html

    Args:
        a: (n, d), n ≥ 2.
        b: (m, d), m ≥ 2.
        bandwidth: σ, above 0; None for `median_bandwidth(a, b)`. Values of different σ are not comparable.
        unbiased: leave each point's kernel with itself out.
        block: rows of the kernel that are held at a time.

    Returns:
        the squared discrepancy, without unit, at most 2.

    Raises:
        ValueError: the sets are not so, or a bandwidth that is not above 0.
    """
    a, b = checked_points(2, a=a, b=b)
    sigma = median_bandwidth(a, b) if bandwidth is None else bandwidth
    if not sigma > 0:
        raise ValueError(f"the bandwidth must be above 0, got {sigma}; None takes the median distance")
    return _discrepancy(a, b, lambda x, y: _gaussian(x, y, sigma), unbiased, block)


def median_bandwidth(a: Tensor, b: Tensor) -> float:
    """The median heuristic: σ is the median distance between two different points of both sets together.

    All pairs count, within a set and between the sets. Of more than 1,000 points, 1,000 at even steps through `a`
    followed by `b` are looked at. If more than half of the pairs coincide, it is the median of the other distances; if
    all of them do, 1.

    Gretton et al., "A Kernel Two-Sample Test", 2012, section 8, https://jmlr.org/papers/v13/gretton12a.html

    Args:
        a, b: (n, d) and (m, d), together at least two points.
    """
    pooled = torch.cat(checked_points(a=a, b=b))
    if len(pooled) > _PAIRED:
        pooled = pooled[torch.linspace(0, len(pooled) - 1, _PAIRED, device=pooled.device).round().long()]
    distances = torch.pdist(pooled)
    median = float(distances.quantile(0.5))
    apart = distances[distances > 0]
    return median if median > 0 else float(apart.quantile(0.5)) if len(apart) else 1.0


def _gaussian(x: Tensor, y: Tensor, sigma: float) -> Tensor:
    return torch.cdist(x, y).square_().mul_(-0.5 / sigma**2).exp_()


def _cubic(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.mT).div_(x.shape[1]).add_(1).pow_(3)


def _discrepancy(a: Tensor, b: Tensor, kernel: Kernel, unbiased: bool, block: int) -> float:
    """mean k(a, a') + mean k(b, b') − 2 mean k(a, b); unbiased: without i = j in the first two."""
    within = 0.0
    for x in (a, b):
        for start in range(0, len(x), block):
            k = kernel(x[start : start + block], x)  # (block, n); point start + i stands in row i
            total = k.sum() - k.diagonal(start).sum() if unbiased else k.sum()
            within += float(total) / (len(x) * (len(x) - 1 if unbiased else len(x)))
    between = sum(float(kernel(part, b).sum()) for part in a.split(block))
    return within - 2 * between / (len(a) * len(b))


def kernel_distance(
    a: Tensor, b: Tensor, subsets: int = 100, subset_size: int | None = None, seed: int = 0
) -> Estimate:
    """The squared maximum mean discrepancy with the kernel (x·y/d + 1)³, unbiased, averaged over random subsets.

    Of features of Inception-v3 it is the "kernel inception distance"; of the course's classifier it is the kernel
    distance in course features. Without bias, its mean over repetitions is right for any number of points, and 0 for
    p = q: half of the values are *negative* then. The kernel sees moments up to the third.

    The standard error tells what other points would change, not other subsets alone: with s the spread over subsets of
    size k, of n points, it is s·√(1/subsets + k/(n − k)), because subsets of the same n points overlap. It is right
    where p and q differ clearly, and too large where they are the same (there the spread falls as 1/n, not 1/√n).

    Bińkowski, Sutherland, Arbel & Gretton, "Demystifying MMD GANs", 2018, https://arxiv.org/abs/1801.01401

    Args:
        a: (n, d), n ≥ 2.
        b: (m, d), m ≥ 2.
        subsets: how many are drawn, at least 2.
        subset_size: points drawn from each set, without replacement, at least 2; None for 1,000, or half of the smaller
            set if that is less. All of the smaller set leaves the standard error NaN: nothing is left to compare with.
        seed: of the draws.

    Returns:
        the mean over subsets and its standard error, without unit; `count` is the number of points of the smaller set.

    Raises:
        ValueError: the sets are not so, or fewer points than a subset needs.
    """
    a, b = checked_points(2, a=a, b=b)
    fewest = min(len(a), len(b))
    size = max(2, min(1000, fewest // 2)) if subset_size is None else subset_size
    if not 2 <= size <= fewest or subsets < 2:
        raise ValueError(f"subsets must be 2 or more, of 2 to {fewest} points, as many as the smaller set has; "
                         f"got {subsets} of {size}")  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    found = torch.empty(subsets, dtype=torch.float64)
    for i in range(subsets):
        x, y = (points[torch.randperm(len(points), generator=generator)[:size].to(points.device)] for points in (a, b))
        found[i] = _discrepancy(x, y, _cubic, unbiased=True, block=size)
    overlap = size / (fewest - size) if size < fewest else math.nan
    error = float(found.std()) * math.sqrt(1 / subsets + overlap)
    return Estimate(float(found.mean()), error, None, fewest, "")
