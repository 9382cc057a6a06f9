"""Gaussian mixtures in numbers: log-densities and weighted covariances of many points under many Gaussians, quickly.

Components come first inside, (components, n), which is how matrix products and sums over components run fastest.
"""

import math

import torch
from torch import Tensor

__all__ = ["diagonal_log_densities", "floored_cholesky", "full_log_densities", "weighted_covariances"]

LOSS = 1e-3  # nats that rounding may cost at the very worst before differences are taken one by one


def _pieces(n: int, numbers_a_row: int, device: torch.device) -> list[slice]:
    """Slices of n rows that bound the memory: about 2¹⁹ numbers at a time, near a CPU's cache; more on a GPU."""
    rows = max(1, 2 ** (19 if device.type == "cpu" else 26) // numbers_a_row)
    return [slice(start, start + rows) for start in range(0, n, rows)]


def full_log_densities(points: Tensor, means: Tensor, scale_trils: Tensor, variance: float = 0.0) -> Tensor:
    """log N(x; μ, L Lᵀ) of every point under every Gaussian: (n, dim), (K, dim), (K, dim, dim) -> (n, K), nats.

        −½ ‖L⁻¹ (x − μ)‖² − Σ ln L_ii − ½ dim ln 2π

    L is inverted once for all points, so that whitening them is one matrix product instead of n triangular solves.

    Args:
        variance: v of noise around x: then it is the mean E[log N(x + noise)], by the trace −½ v tr Σ⁻¹.
    """
    dim = points.shape[1]
    identity = torch.eye(dim, dtype=means.dtype, device=means.device)
    whitening = torch.linalg.solve_triangular(scale_trils, identity, upper=False)  # L⁻¹, (K, dim, dim)
    constant = -scale_trils.diagonal(dim1=-2, dim2=-1).log().sum(-1) - 0.5 * dim * math.log(2 * math.pi)
    if variance:
        constant = constant - 0.5 * variance * whitening.square().sum((-2, -1))
    found, across = [], whitening.mT.contiguous()
    for piece in _pieces(len(points), means.numel(), points.device):
        white = (points[None, piece] - means[:, None]) @ across  # (K, rows, dim)
        found.append(torch.add(constant[:, None], white.square().sum(-1), alpha=-0.5))
    return torch.cat(found, 1).T


def diagonal_log_densities(points: Tensor, means: Tensor, log_vars: Tensor, variance: float = 0.0) -> Tensor:
    """log N(x; μ, diag(exp(log_var))) of every point under every Gaussian: (n, dim), (K, dim), (K, dim) -> (n, K), nats.

    Multiplied out, −½ p (x − μ)² = −½ p x² + p μ x − ½ p μ² makes it two matrix products. But near μ that subtracts
    numbers as large as p μ²: components so narrow, so far out, take the differences themselves, slower and exact.

    Args:
        variance: v of noise around x: then it is the mean E[log N(x + noise)].
    """
    precisions = (-log_vars).exp()
    constant = -0.5 * (log_vars + variance * precisions + math.log(2 * math.pi)).sum(-1)  # (K,)
    center = means.detach().mean(0)
    means = means - center
    weighted = precisions * means
    if torch.finfo(means.dtype).eps * (weighted * means).sum(-1).amax() > LOSS:
        return _by_differences(points, means + center, precisions, constant)
    constant, halved, found = (constant - 0.5 * (weighted * means).sum(-1))[:, None], -0.5 * precisions, []
    for piece in _pieces(len(points), points.shape[1], points.device):
        shifted = (points[piece] - center).T  # (dim, rows)
        found.append(torch.addmm(torch.addmm(constant, weighted, shifted), halved, shifted.square()))
    return torch.cat(found, 1).T


def _by_differences(points: Tensor, means: Tensor, precisions: Tensor, constant: Tensor) -> Tensor:
    """constant_k − ½ Σ_d p_kd (x_nd − μ_kd)²: (n, K)."""
    found = []
    for piece in _pieces(len(points), means.numel(), points.device):
        squares = (points[None, piece] - means[:, None]).square()  # (K, rows, dim)
        found.append(torch.add(constant[:, None], (squares @ precisions[..., None])[..., 0], alpha=-0.5))
    return torch.cat(found, 1).T


def weighted_covariances(points: Tensor, means: Tensor, weights: Tensor, full: bool) -> Tensor:
    """Σ_n w_nk (x_n − μ_k)(x_n − μ_k)ᵀ, not yet divided: (K, dim, dim), or its diagonals, (K, dim). No gradients.

    Args:
        points: (n, dim).
        means: (K, dim): the means with these same weights.
        weights: w, (n, K).
        full: whole matrices, or diagonals alone.
    """
    if not full:
        return _weighted_squares(points, means, weights)
    roots, total = weights.T.sqrt(), means.new_zeros(len(means), means.shape[1], means.shape[1])
    for piece in _pieces(len(points), means.numel(), points.device):
        scaled = (points[None, piece] - means[:, None]).mul_(roots[:, piece, None])  # (K, rows, dim)
        total.baddbmm_(scaled.mT, scaled)
    return total


def _weighted_squares(points: Tensor, means: Tensor, weights: Tensor) -> Tensor:
    """Σ_n w_nk (x_nd − μ_kd)²: (K, dim), from Σ w x² − (Σ w) μ² where that keeps enough digits."""
    center = means.mean(0)
    raw = torch.zeros_like(means)
    for piece in _pieces(len(points), points.shape[1], points.device):
        raw.addmm_(weights[piece].T, (points[piece] - center).square_())
    squares = raw - weights.sum(0)[:, None] * (means - center).square()
    lost = torch.finfo(means.dtype).eps * raw > LOSS / points.shape[1] * squares
    for k in lost.any(-1).nonzero()[:, 0].tolist():
        squares[k] = weights[:, k] @ (points - means[k]).square()
    return squares


def floored_cholesky(covariances: Tensor, floor: float) -> Tensor:
    """L with L Lᵀ = Σ, whose variance is raised to `floor` in the directions (eigenvectors) that have less.

    Of all covariances with no eigenvalue below the floor this one has the highest likelihood, so that EM never loses:
    (K, dim, dim) -> (K, dim, dim). With floor 0, NaN where Σ is singular.
    """
    factors, singular = torch.linalg.cholesky_ex(covariances)
    if floor == 0:
        return factors.masked_fill((singular > 0)[:, None, None], math.nan)
    identity = torch.eye(covariances.shape[-1], dtype=covariances.dtype, device=covariances.device)
    narrow = torch.linalg.cholesky_ex(covariances - floor * identity).info  # positive: some eigenvalue is below it
    for k in narrow.nonzero()[:, 0].tolist():
        values, vectors = torch.linalg.eigh(covariances[k])
        root = vectors * values.clamp_min(floor).sqrt()  # root rootᵀ is the raised Σ, and R of its QR is Lᵀ up to signs
        upper = torch.linalg.qr(root.T).R
        factors[k] = (upper * upper.diagonal().sign()[:, None]).T
    return factors
