"""Ways to learn an energy without its normalizer: each a function of an energy and points, in nats."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["contrastive", "denoising_score_matching", "noise_contrastive", "score_matching", "sliced_score_matching"]

Energy = Callable[[Tensor], Tensor]  # (batch, *shape) -> (batch,), nats


def contrastive(positive: Tensor, negative: Tensor) -> Tensor:
    """E(data) − E(samples), a scalar whose gradient is that of −log p, if the samples are the model's own:

        ∇ −log p(x) = ∇E(x) − E_p[∇E]        (positive phase − negative phase)

    Its value is no likelihood: near 0 it says only that the two are alike in energy.
    Hinton, "Training products of experts by minimizing contrastive divergence", 2002,
    https://doi.org/10.1162/089976602760128018

    Args:
        positive: energies of data, (batch,).
        negative: energies of samples, (chains,); the samples must carry no gradient.
    """
    return positive.mean() - negative.mean()


def score_matching(energy: Energy, x: Tensor) -> Tensor:
    """½ ‖∇E‖² − ΔE at each x: (batch, *shape) -> (batch,), nats. One backward pass for each entry of x.

    Over data of density p, with the model's score s = −∇E,

        E_p[½ ‖s‖² + tr ∇s] = ½ E_p‖s − ∇log p‖² − ½ E_p‖∇log p‖²

    so that its minimum is the data's score; for E = ½‖x‖² and p = N(0, I) it is −d/2.
    Hyvärinen, "Estimation of non-normalized statistical models by score matching", 2005,
    https://jmlr.org/papers/v6/hyvarinen05a.html

    Raises:
        ValueError: the energy is linear in x, so that it has no curvature (and no normalizer).
    """
    x, slope = _slope(energy, x)
    laplacian = x.new_zeros(len(x))
    for i in range(slope.shape[1]):
        laplacian = laplacian + _gradient(slope[:, i], x)[:, i]
    return 0.5 * slope.square().sum(1) - laplacian


def sliced_score_matching(
    energy: Energy, x: Tensor, directions: int = 1, reduced: bool = True, probes: Tensor | None = None
) -> Tensor:
    """`score_matching` along random directions v: (batch, *shape) -> (batch,), nats. One backward pass for each direction.

        reduced:  ½ ‖∇E‖² − vᵀ∇(vᵀ∇E)           else:  ½ (vᵀ∇E)² − vᵀ∇(vᵀ∇E)

    As E[v vᵀ] = I, the expectation over v is that of exact score matching, in both; `reduced` keeps less noise.
    Song, Garg, Shi & Ermon, "Sliced score matching", 2019, https://arxiv.org/abs/1905.07088

    Args:
        energy: (batch, *shape) -> (batch,).
        x: (batch, *shape).
        directions: how many v for each x; entries are ±1.
        reduced: whether the norm is taken whole.
        probes: the directions to take instead, (directions, batch, *shape).
    """
    x, slope = _slope(energy, x)
    if probes is None:
        probes = (torch.rand(directions, *x.shape, device=x.device) < 0.5).to(x.dtype) * 2 - 1
    total = x.new_zeros(len(x))
    for v in probes.flatten(2):  # (batch, dim)
        along = (v * slope).sum(1)
        squared = slope.square().sum(1) if reduced else along.square()
        total = total + 0.5 * squared - (v * _gradient(along, x)).sum(1)
    return total / len(probes)


def denoising_score_matching(energy: Energy, x: Tensor, std: Tensor | float, noise: Tensor | None = None) -> Tensor:
    """½ ‖noise − std · ∇E(x + std · noise)‖² at each x: (batch, *shape) -> (batch,), nats.

    Learns the score of the *noised* data's density p_std, from first derivatives alone:

        expectation = std² · (score matching under p_std) + d/2

    The constant d/2 is the noise's own share; the weight std² makes levels of noise comparable.
    Vincent, "A connection between score matching and denoising autoencoders", 2011,
    https://doi.org/10.1162/NECO_a_00142

    Args:
        energy: (batch, *shape) -> (batch,).
        x: (batch, *shape).
        std: of the noise: a number, or one for each example, (batch,).
        noise: standard normal, (batch, *shape); drawn if not given.
    """
    noise = torch.randn_like(x) if noise is None else noise
    std = torch.as_tensor(std, dtype=x.dtype, device=x.device).expand(len(x))[:, None]  # (batch, 1)
    _, slope = _slope(energy, x + std.view(-1, *[1] * (x.ndim - 1)) * noise)
    return 0.5 * (noise.flatten(1) - std * slope).square().sum(1)


def noise_contrastive(data: Tensor, noise: Tensor) -> Tensor:
    """The cross-entropy of telling data from noise by log p − log q, a scalar, nats.

        −E_p[log sigmoid(h)] − ν E_q[log sigmoid(−h)],        h(x) = −E(x) − log q(x) − log ν

    With ν noise points for each data point. Its minimum over all functions E is −log p itself: normalized.
    Gutmann & Hyvärinen, "Noise-contrastive estimation: A new estimation principle for unnormalized statistical models",
    2010, https://proceedings.mlr.press/v9/gutmann10a.html

    Args:
        data: −E(x) − log q(x) at data, (batch,).
        noise: the same at points drawn from q, (ν · batch,).
    """
    ratio = len(noise) / len(data)
    at_data, at_noise = data - math.log(ratio), noise - math.log(ratio)
    return F.softplus(-at_data).mean() + ratio * F.softplus(at_noise).mean()


@torch.enable_grad()
def _slope(energy: Energy, x: Tensor) -> tuple[Tensor, Tensor]:
    """x with gradients switched on, and ∇E there, (batch, dim), which can itself be differentiated."""
    x = x.detach().requires_grad_()
    return x, _gradient(energy(x), x)


@torch.enable_grad()
def _gradient(values: Tensor, x: Tensor) -> Tensor:
    """Of each value by its own x: (batch,), (batch, *shape) -> (batch, dim)."""
    if not values.requires_grad:
        raise ValueError("score matching needs an energy with a curvature; this one is at most linear in x")
    return torch.autograd.grad(values.sum(), x, create_graph=True, materialize_grads=True)[0].flatten(1)
