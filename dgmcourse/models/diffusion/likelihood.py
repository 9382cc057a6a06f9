"""The density of what a velocity field makes of noise, by the instantaneous change of variables."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ...dynamics import rk4
from ...samplers import time_grid
from ...schedules import NoiseSchedule
from ..flows import divergence

__all__ = ["flow_log_prob", "likelihood_times"]


def likelihood_times(schedule: NoiseSchedule, steps: int, first: float = 1e-3) -> Tensor:
    """Rising times from just after the data to pure noise, (steps + 1,): even in the log of signal-to-noise where it is finite."""
    if torch.isfinite(schedule.log_snr(torch.ones((), device="cpu"))):
        return time_grid(schedule, steps + 1, "log-snr", last=first)[:-1].flip(0)
    return torch.linspace(0, 1, steps + 1, dtype=torch.float64, device="cpu")


@torch.no_grad()
def flow_log_prob(
    velocity: Callable[[Tensor, Tensor], Tensor],
    data: Tensor,
    times: Tensor,
    schedule: NoiseSchedule,
    probes: int | None = None,
) -> Tensor:
    """log density of `data` under the flow that ends in N(0, sigma(1)² I): (batch,), nats.

        log p(x at the data) = log p(x at noise) + ∫ div velocity dt

    Chen et al., "Neural ordinary differential equations", 2018, https://arxiv.org/abs/1806.07366

    Args:
        velocity: (x (batch, *shape), t) -> dx/dt (batch, *shape), each example on its own.
        data: (batch, *shape).
        times: (steps + 1,), rising to 1: where fourth-order Runge–Kutta steps.
        schedule: for sigma(1).
        probes: random vectors that estimate the divergence, the same at all times; None computes it.
    """
    shape, vectors = data.shape[1:], [None]
    if probes is not None:
        vectors = torch.randn(probes, *data.flatten(1).shape, dtype=data.dtype, device=data.device).sign()

    def augmented(state: Tensor, t: Tensor) -> Tensor:
        with torch.enable_grad():
            x = state[:, :-1].detach().requires_grad_()
            found = velocity(x.unflatten(1, shape), t).flatten(1)  # (batch, dim)
            spreads = [divergence(found, x, vector, create_graph=False) for vector in vectors]
        return torch.cat([found, torch.stack(spreads).mean(0)[:, None]], dim=1).detach()  # (batch, dim + 1)

    state = torch.cat([data.flatten(1), data.new_zeros(len(data), 1)], dim=1)
    for state in rk4(augmented, state, times.to(data)):  # noqa: B007, B020 (only the last state is wanted)
        pass
    end, gained = state[:, :-1], state[:, -1]
    variance = float(schedule.sigma(torch.ones((), device="cpu"))) ** 2
    log_normal = -0.5 * (end.square().sum(1) / variance + end.shape[1] * math.log(2 * math.pi * variance))
    return log_normal + gained
