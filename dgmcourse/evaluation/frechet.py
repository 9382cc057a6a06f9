"""The Fréchet distance between two sets of points, as if both were Gaussian, and what a small sample adds to it."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .points import checked_points

__all__ = [
    "FrechetCurve",
    "expected_frechet_bias",
    "frechet_distance",
    "gaussian_frechet_distance",
    "unbiased_frechet_distance",
]


def gaussian_frechet_distance(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """The squared Fréchet (2-Wasserstein) distance between two Gaussians, in closed form:

        d² = ‖μ_a − μ_b‖² + tr Σ_a + tr Σ_b − 2 tr (Σ_a Σ_b)^½

    The last trace is the sum of the singular values of L_aᵀ L_b, where Σ = L Lᵀ: no matrix square root is needed, and
    singular covariances are no exception.

    Dowson & Landau, "The Fréchet distance between multivariate normal distributions", 1982,
    https://doi.org/10.1016/0047-259X(82)90077-X

    Args:
        mean_a, mean_b: (d,).
        cov_a, cov_b: (d, d), symmetric, without negative eigenvalues.

    Returns:
        the squared distance, in squared units of the points; 0 for the same Gaussian.

    Raises:
        ValueError: shapes do not fit, or a covariance is none.
    """
    means = checked_points(mean_a=mean_a[None], mean_b=mean_b[None])
    factors = [_factor(name, cov, means[0]) for name, cov in (("cov_a", cov_a), ("cov_b", cov_b))]
    overlap = torch.linalg.svdvals(factors[0].mT @ factors[1]).sum()
    traces = factors[0].square().sum() + factors[1].square().sum()
    return max(0.0, float((means[0] - means[1]).square().sum() + traces - 2 * overlap))


def _factor(name: str, cov: Tensor, mean: Tensor) -> Tensor:
    """L with Σ = L Lᵀ, (d, d); eigenvalues that are rounding errors of 0 are 0."""
    d = mean.shape[1]
    if cov.shape != (d, d):
        raise ValueError(f"{name} must have shape {(d, d)}, as the mean has {d} numbers, got {tuple(cov.shape)}")
    cov = cov.detach().to(mean)
    if not torch.allclose(cov, cov.mT, rtol=1e-5, atol=1e-8 * float(cov.abs().max())):
        raise ValueError(f"{name} is not symmetric: it is no covariance")
    values, vectors = torch.linalg.eigh((cov + cov.mT) / 2)
    largest = float(values.abs().max())
    if float(values[0]) < -1e-6 * largest:
        raise ValueError(f"{name} has the eigenvalue {float(values[0]):.3g}: a covariance has none below 0")
    noise = d * torch.finfo(values.dtype).eps * largest
    return vectors * values.where(values > noise, 0).sqrt()


def frechet_distance(a: Tensor, b: Tensor, block: int = 10_000) -> float:
    """The squared Fréchet distance between Gaussians with the means and covariances (÷ n − 1) of two sets of points.

    Of features of Inception-v3 it is the "Fréchet inception distance"; of the course's classifier it is the Fréchet
    distance in course features, and comparable with no published number. It sees means and covariances alone, and it
    is larger the fewer the points: see `unbiased_frechet_distance`.

    Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", 2017,
    https://arxiv.org/abs/1706.08500

    Args:
        a: (n, d), n ≥ 2.
        b: (m, d), m ≥ 2.
        block: how many points are looked at in float64 at a time.

    Raises:
        ValueError: the sets are not so.
    """
    checked_points(2, a=a[:2], b=b[:2])  # shapes; what is not finite shows in the covariances
    return gaussian_frechet_distance(*_moments("a", a, block), *_moments("b", b, block))


def _moments(name: str, x: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """The mean (d,) and the covariance (d, d), in float64."""
    parts = [checked_points(**{name: part})[0] for part in x[:block].split(block)]
    shift = parts[0].mean(0)  # near the mean, so that nothing is lost in differences of large numbers
    total, products = torch.zeros_like(shift), torch.zeros(len(shift), len(shift)).to(shift)
    for part in x.split(block):
        centered = checked_points(**{name: part})[0] - shift
        total += centered.sum(0)
        products += centered.mT @ centered
    return shift + total / len(x), (products - torch.outer(total, total) / len(x)) / (len(x) - 1)


def expected_frechet_bias(covariance: Tensor, n: int, m: int | None = None) -> float:
    """How far from 0 the Fréchet distance is to be expected if both sets of points come from the *same* Gaussian:

        E d² ≈ f(n) + f(m),   f(n) = tr Σ / n + Σ_ij λ_i λ_j (1 + δ_ij) / (2 (λ_i + λ_j) (n − 1))

    with the eigenvalues λ of Σ; up to terms of order 1/n². For Σ = I it is d/n + d (d + 1) / (4 (n − 1)): it grows with
    the *square* of the dimension. The first part is the error of the mean; the second is the Fréchet distance between Σ
    and Σ + E to second order in E, averaged over the error E of a covariance (Wishart's distribution).

    Args:
        covariance: Σ, (d, d).
        n, m: numbers of points of the two sets; m = None if one Gaussian is known exactly.
    """
    values = torch.linalg.eigvalsh(covariance.detach().cpu().double()).clamp_min(0)
    sums = values[:, None] + values
    pairs = torch.where(sums > 0, torch.outer(values, values) / sums.clamp_min(1e-300), 0)  # (d, d)
    spread = float(pairs.sum() + pairs.diagonal().sum()) / 2
    return sum(float(values.sum()) / size + spread / (size - 1) for size in (n, m) if size is not None)


class FrechetCurve(NamedTuple):
    """Fréchet distances of smaller and smaller samples, and the line d²(n) = value + slope / n through them.

    Attributes:
        value: extrapolated to n = ∞; below 0 by chance, if the truth is near 0.
        slope: what is added, times n.
        sizes: (k,), int64, numbers of points.
        values: (k,), the mean squared distance of samples of each size.
    """

    value: float
    slope: float
    sizes: Tensor
    values: Tensor

    def __str__(self):
        return f"{self.value:.4g}, extrapolated from {float(self.values[-1]):.4g} of {int(self.sizes[-1])} points"


def unbiased_frechet_distance(
    a: Tensor,
    b: Tensor,
    sizes: Sequence[int] | None = None,
    repeats: int = 5,
    both: bool = True,
    generator: torch.Generator | None = None,
) -> FrechetCurve:
    """The squared Fréchet distance of infinitely many points, extrapolated linearly in 1/n from smaller samples.

    The distance of finite samples is too large by c/n + O(1/n²), and c depends on the model, so that samples of the same
    size do not make distances comparable. Chong & Forsyth, "Effectively Unbiased FID and Inception Score and where to
    find them", 2020, https://arxiv.org/abs/1911.07023

    Args:
        a: the real points, (n, d).
        b: the model's, (m, d).
        sizes: numbers of points to draw, at least two different ones, each above d (below, the law does not hold); None
            for seven, evenly spaced in 1/size, from the smaller number of points down to a quarter of it.
        repeats: how often each size is drawn, without replacement.
        both: draw from both sets, which removes the bias of both; False keeps all of `a`, as the paper does, which is
            right if `a` is all that there is.
        generator: of the draws; None for one with seed 0.

    Raises:
        ValueError: sizes that are too small, too large or all the same.
    """
    checked_points(2, a=a, b=b)
    most, d = min(len(a), len(b)) if both else len(b), a.shape[1]
    given = sizes if sizes is not None else [round(most / part) for part in (4, 3.5, 3, 2.5, 2, 1.5, 1)]
    chosen = sorted(set(given))
    if len(chosen) < 2 or chosen[0] <= d or chosen[-1] > most or repeats < 1:
        raise ValueError(f"sizes must be two or more numbers above the dimension {d} and up to {most}, the number of points, "
                         f"repeats at least 1; got sizes {chosen}, repeats {repeats}; take more points")  # fmt: skip
    generator = generator or torch.Generator().manual_seed(0)
    whole = None if both else _moments("a", a, 10_000)
    values = []
    for size in chosen:
        found = []
        for _ in range(repeats if size < most or len(a) != len(b) else 1):
            left = whole or _moments("a", _drawn(a, size, generator), 10_000)
            found.append(gaussian_frechet_distance(*left, *_moments("b", _drawn(b, size, generator), 10_000)))
        values.append(sum(found) / len(found))
    inverse = 1 / torch.tensor(chosen, dtype=torch.float64)
    distance = torch.tensor(values, dtype=torch.float64)
    slope = torch.cov(torch.stack([inverse, distance]))[0, 1] / inverse.var()
    return FrechetCurve(float(distance.mean() - slope * inverse.mean()), float(slope), torch.tensor(chosen), distance)


def _drawn(x: Tensor, size: int, generator: torch.Generator) -> Tensor:
    return x if size == len(x) else x[torch.randperm(len(x), generator=generator)[:size].to(x.device)]
