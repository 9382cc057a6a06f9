"""The Levinson–Durbin recursion: linear prediction of a stationary series from partial autocorrelations, and back."""

import math

import torch
from torch import Tensor

__all__ = ["autoregression_log_conditionals", "autoregression_moments", "levinson", "partial_autocorrelations"]


def levinson(partials: Tensor) -> list[Tensor]:
    """Coefficients of the best linear predictors from 1, …, p past values: entry k−1 is (k,), the latest value's first.

        φ_k^(k) = r_k,        φ_j^(k) = φ_j^(k−1) − r_k φ_{k−j}^(k−1)        (j < k)

    The last entry is the coefficients φ of the AR(p) process. Every r in (−1, 1)^p gives a stationary process, and
    every stationary process one r. Predicting from k values leaves the variance γ₀ Π_{j≤k} (1 − r_j²).

    Durbin, "The fitting of time-series models", 1960, https://doi.org/10.2307/1401322
    Barndorff-Nielsen & Schou, "On the parametrization of autoregressive models by partial autocorrelations", 1973,
    https://doi.org/10.1016/0047-259X(73)90030-4

    Args:
        partials: (p,), the partial autocorrelations r_1, …, r_p.
    """
    predictors: list[Tensor] = []
    for r in partials:
        earlier = predictors[-1] if predictors else partials[:0]
        predictors.append(torch.cat([earlier - r * earlier.flip(0), r[None]]))
    return predictors


def partial_autocorrelations(coefficients: Tensor) -> Tensor:
    """The inverse of `levinson(…)[-1]`: (p,) -> (p,).

    Raises:
        ValueError: the process with these coefficients is not stationary: some |r_k| ≥ 1.
    """
    phi, found = coefficients.double(), []
    while len(phi):
        r = phi[-1]
        if not abs(float(r)) < 1:
            raise ValueError(f"an AR process with coefficients {coefficients.tolist()} is not stationary: its variance "
                             "would grow without end; take smaller ones")  # fmt: skip
        found.append(r)
        earlier = phi[:-1]
        phi = (earlier + r * earlier.flip(0)) / (1 - r * r)
    return torch.stack(found[::-1]) if found else phi


def autoregression_moments(x: Tensor, partials: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
    """What a centered stationary AR(p) process expects of x_t after x_1 … x_{t−1}, and how surely.

    The first p values, which have fewer before them than the order, are predicted from as many as there are.

    Args:
        x: (batch, time), of mean 0.
        partials: (p,), partial autocorrelations in (−1, 1).
        log_scale: log of the standard deviation σ of what drives the process.

    Returns:
        means, (batch, time), and logs of the standard deviations, (time,).
    """
    order, time = len(partials), x.shape[1]
    left = torch.log1p(-partials.square()).flip(0).cumsum(0).flip(0)  # Σ_{j>k} ln(1 − r_j²), after k = 0 … p−1 values
    spreads = torch.cat([log_scale - 0.5 * left, log_scale.expand(1)])
    means = [torch.zeros_like(x[:, :1])]
    for k, predictor in enumerate(levinson(partials)[: time - 1], start=1):
        windows = x.unfold(1, k, 1)[:, : 1 if k < order else time - k]  # (batch, places, k), the oldest first
        means.append(windows @ predictor.flip(0))
    found = torch.cat(means, dim=1) if order else means[0].expand_as(x)
    return found, spreads[[min(t, order) for t in range(time)]]


def autoregression_log_conditionals(x: Tensor, partials: Tensor, log_scale: Tensor) -> Tensor:
    """log p(x_t | x_1 … x_{t−1}) of a centered stationary AR(p) process: (batch, time) -> (batch, time), nats.

    The arguments are those of `autoregression_moments`.
    """
    means, spreads = autoregression_moments(x, partials, log_scale)
    return -0.5 * ((x - means) * (-spreads).exp()).square() - spreads - 0.5 * math.log(2 * math.pi)
