"""Samplers and solvers: each a short generator that is named after its algorithm and yields every state.

They know a score, an energy or a velocity, and no model. Randomness comes from torch's global generator. Decorated
with `torch.no_grad()`, a generator runs each of its steps without gradients and leaks nothing to the caller.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

__all__ = ["AnnealingPath", "annealed_importance_sampling", "euler", "heun", "hmc", "inverse_temperatures", "langevin",
           "log_mean_exp", "metropolis_langevin"]  # fmt: skip


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


@dataclass(frozen=True)
class AnnealingPath:
    """Unnormalized densities f_β from f_0, whose normalizer is known, to f_1, whose normalizer is asked for.

    Attributes:
        log_partition: log ∫ f_0, a scalar tensor, nats.
        start: n exact samples of f_0, (n, *state).
        step: (x, before, now) -> (a move of x that leaves f_now invariant, log f_now(x) − log f_before(x)): the two
            that one temperature needs, in one function, so that they may share what is costly.
        end: n samples of f_1, (n, *state), as exact as can be had: where reverse annealing starts.
    """

    log_partition: Tensor
    start: Callable[[int], Tensor]
    step: Callable[[Tensor, float, float], tuple[Tensor, Tensor]]
    end: Callable[[int], Tensor]


@torch.no_grad()
def annealed_importance_sampling(
    step: Callable[[Tensor, float, float], tuple[Tensor, Tensor]], x: Tensor, betas: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """AIS: samples of f_β₀ are carried from temperature to temperature; their weights estimate a ratio of normalizers.

        log w = Σ_t log f_{t+1}(x_t) − log f_t(x_t),        E[w] = Z_last / Z_first        (exactly, at any speed)

    With β from 0 to 1, log of a mean of w is on average below log(Z₁/Z₀); run backwards from samples of f_1 it is
    on average below log(Z₀/Z₁), so that the two bracket the truth.
    Neal, "Annealed importance sampling", 2001, https://arxiv.org/abs/physics/9803008
    Grosse, Ghahramani & Adams, "Sandwiching the marginal likelihood using bidirectional Monte Carlo", 2015,
    https://arxiv.org/abs/1511.02543

    Args:
        step: of an `AnnealingPath`.
        x: samples of f at betas[0], (chains, *state).
        betas: (temperatures,), from 0 up to 1, or from 1 down to 0.

    Yields:
        states (chains, *state) and log weights so far (chains,), after each temperature but the first.
    """
    log_weights: Tensor | float = 0.0
    for before, now in pairwise(betas.tolist()):
        x, gained = step(x, before, now)
        log_weights = log_weights + _doubled(gained)
        yield x, log_weights


def inverse_temperatures(n: int) -> Tensor:
    """β = 1 − (1 − t)^1.5 for n even steps of t from 0 to 1, closer towards 1: (n,), float64.

    There a Boltzmann machine changes most: Salakhutdinov & Murray 2008, https://doi.org/10.1145/1390156.1390266, spend
    10,000 of their 14,500 temperatures beyond β = 0.9.
    """
    return 1 - (1 - torch.linspace(0, 1, n, dtype=torch.float64)) ** 1.5


def log_mean_exp(log_weights: Tensor) -> tuple[Tensor, float]:
    """log of the mean weight, and that logarithm's standard error (delta method): (chains,) -> a scalar and a number.

    Raises:
        ValueError: fewer than two chains, whose spread is unknown.
    """
    n = len(log_weights)
    if n < 2:
        raise ValueError(f"an uncertainty needs at least 2 chains, got {n}")
    value = log_weights.logsumexp(0) - math.log(n)
    return value, float((log_weights - value).exp().std()) / math.sqrt(n)  # the mean of these ratios is one


def _doubled(x: Tensor) -> Tensor:
    """In float64, where the device has it: thousands of small numbers are about to be added up."""
    return x if x.device.type == "mps" else x.double()


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
