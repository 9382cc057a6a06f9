"""What densities without a network share: Gaussian log-densities through Cholesky factors, moments, and sums over pieces."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..core import Space

__all__ = [
    "by_rows",
    "cell_centers",
    "cell_variance",
    "cholesky",
    "from_lower",
    "log_normal",
    "lower",
    "moments",
    "precise",
]


def precise(x: Tensor) -> Tensor:
    """x in float64, in which sums and differences keep their digits; on the CPU where its device has none (MPS)."""
    return (x.cpu() if x.device.type == "mps" else x).double()


def by_rows(function: Callable[[Tensor, int], Tensor], x: Tensor, width: int, entries: int = 2**22) -> Tensor:
    """`function(rows, first)` of successive rows of x, concatenated: memory stays near `entries` numbers.

    Where gradients are wanted, each piece is computed again on the way back instead of being kept.

    Args:
        function: maps (rows, …) and the first row's number to (rows, …).
        x: (batch, …).
        width: numbers that one row needs on the way.
        entries: numbers that may be held at a time.
    """
    rows = max(1, entries // max(1, width))
    if len(x) <= rows:
        return function(x, 0)
    run = _forgetting if torch.is_grad_enabled() else _keeping
    return torch.cat([run(function, x[i : i + rows], i) for i in range(0, len(x), rows)])


def _keeping(function: Callable, rows: Tensor, first: int) -> Tensor:
    return function(rows, first)


def _forgetting(function: Callable, rows: Tensor, first: int) -> Tensor:
    return checkpoint(function, rows, first, use_reentrant=False, preserve_rng_state=False)


def cell_centers(space: Space, x: Tensor) -> Tensor:
    """The middle of each entry's dequantization cell, (batch, dim) in (0, 1); reals stay what they are."""
    flat = x.flatten(1)
    return (flat * (space.levels - 1) + 0.5) / space.levels if space.discrete else flat


def cell_variance(space: Space) -> float:
    """Variance of the uniform noise in a cell of width 1/levels; 0 for reals."""
    return 1 / (12 * space.levels**2) if space.discrete else 0.0


def lower(raw: Tensor) -> Tensor:
    """A matrix of free numbers (…, dim, dim) -> a Cholesky factor: below the diagonal as it is, the diagonal its exp."""
    return raw.tril(-1) + raw.diagonal(dim1=-2, dim2=-1).exp().diag_embed()


def from_lower(factor: Tensor) -> Tensor:
    """The inverse of `lower`."""
    return factor.tril(-1) + factor.diagonal(dim1=-2, dim2=-1).log().diag_embed()


def log_normal(x: Tensor, mean: Tensor, factor: Tensor, variance: float = 0.0) -> Tensor:
    """log N(x; mean, L Lᵀ) of every x under every Gaussian: (batch, dim), (k, dim), (k or 1, dim, dim) -> (batch, k); nats.

        −½ ‖L⁻¹ (x − mean)‖² − Σ ln L_ii − ½ dim ln 2π

    With `variance` v it is the mean over noise of covariance v I around x, E[log N(x + noise)], by the trace −½ v tr Σ⁻¹.
    """
    with torch.autocast(x.device.type, enabled=False):
        difference = x.to(factor) - mean.unsqueeze(1)  # (k, batch, dim)
        white = torch.linalg.solve_triangular(factor, difference.mT, upper=False)  # (k, dim, batch)
        half_log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)  # (k or 1,)
        found = -0.5 * white.square().sum(1) - half_log_det.unsqueeze(-1) - 0.5 * x.shape[-1] * math.log(2 * math.pi)
        if variance:
            unit = torch.eye(x.shape[-1], device=factor.device, dtype=factor.dtype)
            inverse = torch.linalg.solve_triangular(factor, unit, upper=False)
            found = found - 0.5 * variance * inverse.square().sum((-2, -1)).unsqueeze(-1)
        return found.T


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (dim,) and covariance (dim, dim), divided by n, of (n, dim); in float64, summed in pieces."""
    parts = x.split(4096)
    mean = sum(precise(part).sum(0) for part in parts) / len(x)
    centered = (precise(part) - mean for part in parts)
    return mean, sum(part.T @ part for part in centered) / len(x)


def cholesky(covariance: Tensor, whose: str, remedy: str) -> Tensor:
    """The lower factor L of covariance = L Lᵀ, (dim, dim), in float64.

    Raises:
        ValueError: it is not symmetric, or it is singular: some entry is a linear function of the others, to the last digits.
    """
    covariance = precise(covariance)
    if not torch.allclose(covariance, covariance.T, rtol=1e-4, atol=1e-6 * float(covariance.diagonal().abs().amax())):
        raise ValueError(f"the covariance of {whose} must be a symmetric matrix of finite numbers")
    factor, failed = torch.linalg.cholesky_ex(covariance)
    # L_ii² / Σ_ii is the share of entry i's variance that the entries before it leave unexplained
    unexplained = factor.diagonal().square() / covariance.diagonal()
    if failed or not (unexplained > 1e3 * torch.finfo(torch.float64).eps).all():
        raise ValueError(f"the covariance of {whose} is singular (some entry is constant, or a linear function of "
                         f"others), so it has no density; {remedy}")  # fmt: skip
    return factor
