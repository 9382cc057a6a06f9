"""Samplers and solvers: each a short generator that is named after its algorithm and yields every state.

They know a score, an energy or a velocity, and no model. Randomness comes from torch's global generator. Decorated
with `torch.no_grad()`, a generator runs each of its steps without gradients and leaks nothing to the caller.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

__all__ = ["euler", "heun", "hmc", "langevin", "metropolis_langevin"]


@torch.no_grad()
def langevin(score: Callable[[Tensor], Tensor], x: Tensor, step_size: float, steps: int) -> Iterator[Tensor]:
    """Unadjusted Langevin dynamics: x ← x + ½ε ∇log p(x) + √ε·noise.

    Its stationary law is p up to an error of order ε: for N(0, 1) a variance of 1 / (1 − ε/4).
    Roberts & Tweedie, "Exponential convergence of Langevin distributions", 1996, https://doi.org/10.2307/3318418

    Args:
        score: ∇log p, (chains, *shape) -> (chains, *shape).
        x: where the chains start, (chains, *shape).
        step_size: ε.
        steps: how many states to yield.
    """
    for _ in range(steps):
        x = x + 0.5 * step_size * score(x) + step_size**0.5 * torch.randn_like(x)
        yield x


def metropolis_langevin(
    log_prob: Callable[[Tensor], Tensor], x: Tensor, step_size: float, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Metropolis-adjusted Langevin (MALA): a Langevin proposal, accepted so that p is exactly invariant.

    Args:
        log_prob: log p up to a constant, (chains, *shape) -> (chains,), differentiable.
        x: where the chains start, (chains, *shape).
        step_size: ε; about 57 % accepted is best in many dimensions.
        steps: how many states to yield.

    Yields:
        states (chains, *shape) and the share of proposals accepted in this step, a scalar.
    """
    value, slope = _value_and_gradient(log_prob, x)
    for _ in range(steps):
        proposal = x + 0.5 * step_size * slope + step_size**0.5 * torch.randn_like(x)
        new_value, new_slope = _value_and_gradient(log_prob, proposal)
        forth = (proposal - x - 0.5 * step_size * slope).flatten(1).square().sum(1)
        back = (x - proposal - 0.5 * step_size * new_slope).flatten(1).square().sum(1)
        accepted = _accept(new_value - value + (forth - back) / (2 * step_size))
        x, slope = _where(accepted, proposal, x), _where(accepted, new_slope, slope)
        value = torch.where(accepted, new_value, value)
        yield x, accepted.float().mean()


def hmc(
    log_prob: Callable[[Tensor], Tensor], x: Tensor, step_size: float, leaps: int, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Hamiltonian Monte Carlo: `leaps` leapfrog moves with a random momentum, accepted so that p is exactly invariant.

    Neal, "MCMC using Hamiltonian dynamics", 2011, https://arxiv.org/abs/1206.1901

    Args:
        log_prob: log p up to a constant, (chains, *shape) -> (chains,), differentiable.
        x: where the chains start, (chains, *shape).
        step_size: of one leap; about 65 % accepted is best in many dimensions.
        leaps: leapfrog moves a step.
        steps: how many states to yield.

    Yields:
        states (chains, *shape) and the share of proposals accepted in this step, a scalar.
    """
    value, slope = _value_and_gradient(log_prob, x)
    for _ in range(steps):
        momentum = torch.randn_like(x)
        kinetic = 0.5 * momentum.flatten(1).square().sum(1)
        proposal, new_value, new_slope = x, value, slope
        for _ in range(leaps):
            momentum = momentum + 0.5 * step_size * new_slope
            proposal = proposal + step_size * momentum
            new_value, new_slope = _value_and_gradient(log_prob, proposal)
            momentum = momentum + 0.5 * step_size * new_slope
        accepted = _accept(new_value - value + kinetic - 0.5 * momentum.flatten(1).square().sum(1))
        x, slope = _where(accepted, proposal, x), _where(accepted, new_slope, slope)
        value = torch.where(accepted, new_value, value)
        yield x, accepted.float().mean()


@torch.no_grad()
def euler(velocity: Callable[[Tensor, Tensor], Tensor], x: Tensor, times: Tensor) -> Iterator[Tensor]:
    """Euler's method for dx/dt = velocity(x, t), an error of order 1 in the step: one evaluation a step.

    Args:
        velocity: (x, t) -> (batch, *shape), t a scalar tensor.
        x: the state at times[0], (batch, *shape).
        times: (steps + 1,), rising or falling.
    """
    for now, then in pairwise(times):
        x = x + (then - now) * velocity(x, now)
        yield x


@torch.no_grad()
def heun(velocity: Callable[[Tensor, Tensor], Tensor], x: Tensor, times: Tensor) -> Iterator[Tensor]:
    """Heun's method: Euler's step, corrected by the slope at its end; an error of order 2, two evaluations a step.

    Arguments as of `euler`.
    """
    for now, then in pairwise(times):
        first = velocity(x, now)
        second = velocity(x + (then - now) * first, then)
        x = x + (then - now) * 0.5 * (first + second)
        yield x


@torch.enable_grad()
def _value_and_gradient(log_prob: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    value = log_prob(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), slope


def _accept(log_ratio: Tensor) -> Tensor:
    """Metropolis and Hastings: yes with probability min(1, exp(log_ratio)), chain by chain; NaN is a no."""
    return torch.rand_like(log_ratio).log() < log_ratio


def _where(accepted: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(accepted.view(-1, *[1] * (new.ndim - 1)), new, old)
