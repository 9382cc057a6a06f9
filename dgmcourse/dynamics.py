"""Samplers and solvers: each a short generator that is named after its algorithm and yields every state.

They know a score, an energy or a velocity, and no model. Randomness comes from torch's global generator. Decorated
with `torch.no_grad()`, a generator runs each of its steps without gradients and leaks nothing to the caller. `rk4` and
`dormand_prince` are not: continuous flows learn through them.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

__all__ = ["AnnealingPath", "SolverFailed", "annealed_importance_sampling", "dormand_prince", "euler", "heun", "hmc",
           "inverse_temperatures", "langevin", "log_mean_exp", "metropolis_langevin", "rk4", "tuned_step_size"]  # fmt: skip


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


@torch.no_grad()
def metropolis_langevin(
    log_prob: Callable[[Tensor], Tensor], x: Tensor, step_size: float, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Metropolis-adjusted Langevin (MALA): a Langevin proposal, accepted so that p is exactly invariant.

        x' = x + ½ε ∇log p(x) + √ε·noise,        accepted with probability min(1, p(x') q(x|x') / (p(x) q(x'|x)))

    where q(x'|x) = N(x'; x + ½ε ∇log p(x), ε I) is the proposal's density.
    Roberts & Tweedie, "Exponential convergence of Langevin distributions", 1996, https://doi.org/10.2307/3318418

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


@torch.no_grad()
def hmc(
    log_prob: Callable[[Tensor], Tensor], x: Tensor, step_size: float, leaps: int, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Hamiltonian Monte Carlo: `leaps` leapfrog moves with a random momentum, accepted so that p is exactly invariant.

        v ~ N(0, I);   v ← v + ½δ ∇log p(x),   x ← x + δ v,   v ← v + ½δ ∇log p(x)   (`leaps` times)

    The move is accepted with probability min(1, exp(−ΔH)), H(x, v) = −log p(x) + ½ ‖v‖².
    Neal, "MCMC using Hamiltonian dynamics", 2011, https://arxiv.org/abs/1206.1901

    Args:
        log_prob: log p up to a constant, (chains, *shape) -> (chains,), differentiable.
        x: where the chains start, (chains, *shape).
        step_size: δ, of one leap; about 65 % accepted is best in many dimensions.
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


def tuned_step_size(
    chain: Callable[[Tensor, float], Iterator[tuple[Tensor, Tensor]]],
    x: Tensor,
    target: float = 0.57,
    start: float = 0.1,
    rounds: int = 100,
) -> tuple[float, Tensor]:
    """The step size with which a chain accepts so many of its proposals, by stochastic approximation.

        log ε ← log ε + (2/√t) · (accepted − target),        averaged over the second half of the rounds

    after doubling or halving ε from its first guess until the share of accepted proposals crosses the target.

    Best in many dimensions are about 0.57 for Langevin proposals (Roberts & Rosenthal 1998,
    https://doi.org/10.1111/1467-9868.00123) and 0.65 for HMC. A step size that goes on following acceptance would spoil
    invariance, so tune first, then keep it, and count the states only from then on. Where the chains have not settled
    within `rounds`, the answer suits where they are.
    Andrieu & Thoms, "A tutorial on adaptive MCMC", 2008, section 4.2, https://doi.org/10.1007/s11222-008-9110-y

    Args:
        chain: (states, step size) -> a chain that yields (states, share accepted), e.g.
            `lambda x, step_size: metropolis_langevin(log_prob, x, step_size, steps=1)`; its first state alone is used.
        x: where the chains start, (chains, *shape); many chains make the shares less noisy.
        target: share of proposals to accept, between 0 and 1.
        start: the first guess.
        rounds: adjustments.

    Returns:
        the step size, and the states after so many rounds, (chains, *shape): a burn-in that need not be wasted.
    """
    if not 0 < target < 1 or not start > 0 or rounds < 1:
        raise ValueError(f"tuning needs 0 < target < 1, start > 0 and rounds ≥ 1, got {target}, {start} and {rounds}")
    log_step, late = math.log(_crossing(lambda size: float(next(chain(x, size))[1]) - target, start)), []
    for t in range(1, rounds + 1):
        x, accepted = next(chain(x, math.exp(log_step)))
        log_step = min(log_step + 2 / math.sqrt(t) * (float(accepted) - target), 30.0)  # a flat density accepts all
        if 2 * t >= rounds:
            late.append(log_step)
    return math.exp(sum(late) / len(late)), x


def _crossing(excess: Callable[[float], float], size: float) -> float:
    """Where a function changes its sign, to a factor of two, looked for upwards if it is positive, else downwards."""
    factor = 2.0 if excess(size) > 0 else 0.5
    for _ in range(40):
        size *= factor
        if (excess(size) > 0) != (factor > 1):
            break
    return size


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


def rk4(velocity: Callable[[Tensor, Tensor], Tensor], x: Tensor, times: Tensor) -> Iterator[Tensor]:
    """The classical Runge–Kutta method: four slopes a step, weighted 1 : 2 : 2 : 1; an error of order 4.

    Gradients pass through every step, unlike through `euler` and `heun`; call it under `torch.no_grad()` to sample.
    Kutta, "Beitrag zur näherungsweisen Integration totaler Differentialgleichungen", 1901

    Arguments as of `euler`.
    """
    for now, then in pairwise(times):
        step, middle = then - now, 0.5 * (now + then)
        first = velocity(x, now)
        second = velocity(x + 0.5 * step * first, middle)
        third = velocity(x + 0.5 * step * second, middle)
        fourth = velocity(x + step * third, then)
        x = x + step / 6 * (first + 2 * second + 2 * third + fourth)
        yield x


class SolverFailed(RuntimeError):
    """An adaptive solver cannot meet its tolerance: the equation is stiff, or its solution escapes to infinity."""


# Dormand & Prince 1980, table 2, RK5(4)7M: each row gives the state at which the next slope is taken (the seventh
# slope's state is the answer of order 5), then the answer of order 5 minus that of order 4.
_NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_DIFFERENCE = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


def dormand_prince(
    velocity: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    start: float,
    end: float,
    tolerance: float = 1e-5,
    max_steps: int = 1000,
) -> Iterator[tuple[Tensor, float]]:
    """Runge–Kutta 5(4) with steps of its own choice: six evaluations a step, two answers, whose difference is the error.

        accepted if  max over the batch of  rms(x₅ − x₄) / (tolerance · (1 + |x|)) ≤ 1;    h ← h · 0.9 · ratio^(−1/5)

    The whole batch shares its steps, the hardest example sets them. Gradients pass through the states, not through the
    choice of the steps. Dormand & Prince, "A family of embedded Runge-Kutta formulae", 1980,
    https://doi.org/10.1016/0771-050X(80)90013-3

    Args:
        velocity: (x, t) -> (batch, *shape), t a scalar tensor.
        x: the state at `start`, (batch, *shape).
        start, end: times, in either order.
        tolerance: error that one step may make, relative to 1 + |x|; at least some 1e-6 in float32.
        max_steps: steps tried before it gives up.

    Yields:
        the state (batch, *shape) and its time after every accepted step; the last time is `end`.

    Raises:
        SolverFailed: `max_steps` did not suffice, or a step fell below what the numbers resolve.
    """
    if tolerance <= 0:
        raise ValueError(f"tolerance must be positive, got {tolerance}")
    now, whole = float(start), float(end) - float(start)
    slope = velocity(x, x.new_tensor(now))
    step = _first_step(x, slope, whole)
    for _ in range(max_steps):
        if now == end:
            return
        step = math.copysign(min(abs(step), abs(end - now)), whole)
        new, new_slope, ratio = _dormand_prince_step(velocity, x, slope, now, step, tolerance)
        if ratio <= 1:
            now = float(end) if abs(end - now - step) <= 1e-12 * abs(whole) else now + step
            x, slope = new, new_slope
            yield x, now
        step *= min(5.0, max(0.2, 0.9 * max(ratio, 1e-10) ** -0.2)) if math.isfinite(ratio) else 0.1
        if ratio > 1 and abs(step) < 1e-9 * abs(whole):
            raise SolverFailed(f"the step shrank to {abs(step):.1e} at t = {now:.4g}: the solution escapes, or the tolerance "
                               f"{tolerance:g} is below the precision of {x.dtype}; raise it or use float64")  # fmt: skip
    if now != end:
        raise SolverFailed(f"{max_steps} steps reached t = {now:.4g} of {end:g}; raise max_steps or the tolerance "
                           f"{tolerance:g}, or make the velocity smoother")  # fmt: skip


def _dormand_prince_step(velocity, x, slope, now, step, tolerance) -> tuple[Tensor, Tensor, float]:
    """The state one step on, the slope there, and the largest error of an example as a multiple of what is tolerated."""
    slopes = [slope]
    for node, weights in zip(_NODES, _STAGES, strict=True):
        state = x + step * sum(w * k for w, k in zip(weights, slopes, strict=True) if w)
        slopes.append(velocity(state, x.new_tensor(now + node * step)))
    with torch.no_grad():
        error = step * sum(w * k for w, k in zip(_DIFFERENCE, slopes, strict=True) if w)
        scale = tolerance * (1 + torch.maximum(x.abs(), state.abs()))
        ratio = float(_rms(error / scale).amax()) if len(x) else 0.0
    return state, slopes[-1], ratio if math.isfinite(ratio) else math.inf


@torch.no_grad()
def _first_step(x: Tensor, slope: Tensor, whole: float) -> float:
    """A cautious first step: a twentieth of the whole, or less if some example would move by over a hundredth of 1 + |x|."""
    moved = float(_rms(slope / (1 + x.abs())).amax()) if len(x) else 0.0
    return whole * min(0.05, 0.01 / max(abs(whole) * moved, 1e-9))


def _rms(x: Tensor) -> Tensor:
    """Root of the mean square of each example: (batch, *shape) -> (batch,)."""
    return x.flatten(1).square().mean(1).sqrt()


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
