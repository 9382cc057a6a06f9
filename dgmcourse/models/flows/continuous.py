"""Continuous flows: noise is carried to data by an ordinary differential equation."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...core import Kind, LogProb, Space
from ...dynamics import dormand_prince, rk4
from ...networks import MLP
from .bijection import Bijection
from .flow import Flow

__all__ = ["ContinuousFlow", "NeuralODE", "VelocityField", "divergence"]


def divergence(velocity: Tensor, x: Tensor, noise: Tensor | None = None, create_graph: bool = True) -> Tensor:
    """tr(∂v/∂x) of every example, (batch,), from v (batch, dim) that was computed from x (batch, dim).

    Exact: the i-th diagonal entry by the gradient of v_i, one backward pass a dimension. With noise ε (batch, dim) of mean
    0 and covariance I it is Hutchinson's unbiased estimate εᵀ (∂v/∂x) ε, one backward pass in all.
    Hutchinson, "A stochastic estimator of the trace of the influence matrix", 1990, https://doi.org/10.1080/03610919008812866

    Args:
        create_graph: whether gradients shall pass through the result.
    """
    kept = {"create_graph": create_graph, "retain_graph": True}
    if noise is not None:
        (product,) = torch.autograd.grad(velocity, x, noise, **kept)
        return (product * noise).sum(-1)
    rows = [torch.autograd.grad(velocity[:, i].sum(), x, **kept)[0][:, i] for i in range(x.shape[1])]
    return torch.stack(rows).sum(0)


class VelocityField(nn.Module):
    """v(x, t, y), a smooth network that starts at zero: nothing moves. (batch, dim), (), (batch, conditions) -> (batch, dim)

    Args:
        dim: of x.
        hidden: widths of the layers.
        conditions: features of the condition vector, 0 for none.
        activation: must be smooth, since its second derivatives are learned through.
    """

    def __init__(self, dim: int, hidden: Sequence[int], conditions: int = 0, activation: str = "tanh"):
        super().__init__()
        self.network = MLP(dim + 1 + conditions, hidden, dim, activation)
        nn.init.zeros_(self.network[-1].weight)
        nn.init.zeros_(self.network[-1].bias)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        parts = [x, t.to(x.dtype).expand(len(x), 1)] + ([] if y is None else [y])
        return self.network(torch.cat(parts, dim=1)).to(x.dtype)


class Trace(NamedTuple):
    """A solved equation: its states at every step, (batch, dim) each, and the integral of tr(∂v/∂x), (batch,)."""

    states: list[Tensor]
    log_det: Tensor


class NeuralODE(Bijection):
    """The map from x(1), data, to x(0), noise, along dx/dt = v(x, t, y), which another run of the clock undoes.

        log|det ∂x(0)/∂x(1)| = −∫₀¹ tr(∂v/∂x) dt        (the instantaneous change of variables; nats)

    It is solved together with x. Both directions hold up to the solver's error.
    Chen, Rubanova, Bettencourt & Duvenaud, "Neural Ordinary Differential Equations", 2018,
    https://arxiv.org/abs/1806.07366

    Args:
        field: v, called as field(x, t, y).
        solver: "rk4" with `steps` even steps, or "adaptive": Dormand and Prince's, each step with an error below `tolerance`.
        trace: "exact", or "hutchinson": one draw of random signs for every solution.
    """

    def __init__(self, field: Callable, solver: str, steps: int, tolerance: float, trace: str):
        super().__init__()
        self.field, self.solver, self.steps, self.tolerance, self.trace = field, solver, steps, tolerance, trace
        self.evaluations = 0  # of the field, in the last solution

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        solved = self.solve(x, y, 1.0, 0.0)
        return solved.states[-1], solved.log_det

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        solved = self.solve(z, y, 0.0, 1.0)
        return solved.states[-1], solved.log_det

    def solve(self, x: Tensor, y: Tensor | None, start: float, end: float, log_det: bool = True) -> Trace:
        """Follow the equation from x at time `start` to time `end`, with the log-determinant of the way or (faster) without.

        Raises:
            SolverFailed: the adaptive solver cannot meet its tolerance.
        """
        noise = None  # one draw a solution: with other signs at every evaluation there would be no equation to solve
        if log_det and self.trace == "hutchinson":
            noise = torch.randint(0, 2, x.shape, device=x.device).to(x.dtype) * 2 - 1
        self.evaluations = 0

        def velocity(state: Tensor, t: Tensor) -> Tensor:
            self.evaluations += 1
            return self._augmented(state, t, y, noise) if log_det else self.field(state, t, y)

        state = torch.cat([x, x.new_zeros(len(x), 1)], dim=1) if log_det else x  # (batch, dim + 1)
        if self.solver == "rk4":
            solution = rk4(velocity, state, torch.linspace(start, end, self.steps + 1, device=x.device, dtype=x.dtype))
        else:
            solution = (state for state, _ in dormand_prince(velocity, state, start, end, self.tolerance))
        states = list(solution)
        if not log_det:
            return Trace(states, x.new_zeros(len(x)))
        return Trace([state[:, :-1] for state in states], states[-1][:, -1])

    def _augmented(self, state: Tensor, t: Tensor, y: Tensor | None, noise: Tensor | None) -> Tensor:
        """v and its divergence side by side: the slopes of x and of the log-determinant, (batch, dim + 1)."""
        wanted = torch.is_grad_enabled()
        with torch.enable_grad():  # the divergence is a derivative, also where no gradient is asked for
            x = state[:, :-1]
            x = x if wanted and x.requires_grad else x.detach().requires_grad_()
            v = self.field(x, t, y)
            change = divergence(v, x, noise, create_graph=wanted)
        slopes = torch.cat([v, change.unsqueeze(1)], dim=1)
        return slopes if wanted else slopes.detach()


class ContinuousFlow(Flow):
    """Continuous normalizing flow: z ~ N(0, I) at time 0 drifts along dx/dt = v(x, t) and is data at time 1.

        log p(x) = log N(x(0); 0, I) − ∫₀¹ tr(∂v/∂x) dt        (nats)

    Any smooth network serves as v: no triangular Jacobian, no halves. The price is a solver that asks it many times.
    Gradients pass through the solver's steps. With trace="exact" `log_prob` is EXACT up to the solver's error (in a
    discrete space a LOWER_BOUND, as of every `Flow`), and costs a backward pass a dimension; with "hutchinson" it is an
    unbiased ESTIMATE of the same log-density, from one draw of random signs, at one backward pass.

    Chen, Rubanova, Bettencourt & Duvenaud, "Neural Ordinary Differential Equations", 2018,
    https://arxiv.org/abs/1806.07366
    Grathwohl et al., "FFJORD: Free-form Continuous Dynamics for Scalable Reversible Generative Models", 2019,
    https://arxiv.org/abs/1810.01367

    Args:
        space: binary or grey images, or real vectors.
        hidden: widths of the velocity's layers.
        solver: "rk4", with `steps` even steps of four evaluations, or "adaptive", steps of its own choice.
        steps: of "rk4".
        tolerance: of "adaptive", the error that a step may make, relative to 1 + |x|.
        trace: "exact", "hutchinson", or "auto": exact up to eight dimensions.
        classes: number of labels for p(x|y), None for no condition.
        activation: of the velocity: "tanh", "softplus", "silu" or "gelu"; smooth, since it is differentiated twice.
        preprocess: first layer of a discrete space, see `Flow`.

    Attributes:
        evaluations: how often the last solution asked for the velocity.
    """

    def __init__(
        self,
        space: Space,
        hidden: Sequence[int] = (64, 64),
        solver: str = "rk4",
        steps: int = 8,
        tolerance: float = 1e-5,
        trace: str = "auto",
        classes: int | None = None,
        activation: str = "tanh",
        preprocess: str = "logit",
    ):
        super().__init__(space, classes, preprocess)
        if solver not in ("rk4", "adaptive"):
            raise ValueError(f"solver must be 'rk4' or 'adaptive', got {solver!r}")
        if trace not in ("auto", "exact", "hutchinson"):
            raise ValueError(f"trace must be 'auto', 'exact' or 'hutchinson', got {trace!r}")
        if activation in ("relu", "leaky_relu"):
            raise ValueError(f"the velocity must be smooth, got activation={activation!r}; choose 'tanh' or 'softplus'")
        if steps < 1 or tolerance <= 0:
            raise ValueError(f"ContinuousFlow needs steps ≥ 1 and tolerance > 0, got {steps} and {tolerance}")
        if trace == "auto":
            trace = "exact" if space.dim <= 8 else "hutchinson"
        field = VelocityField(space.dim, hidden, classes or 0, activation)
        self.layers.append(NeuralODE(field, solver, steps, tolerance, trace))

    @property
    def ode(self) -> NeuralODE:
        """The equation: the last layer; before it comes only a discrete space's preprocessing."""
        return self.layers[-1]

    @property
    def evaluations(self) -> int:
        return self.ode.evaluations

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """log p(x) in nats: exact up to the solver's error for real x, a lower bound for discrete x; either an ESTIMATE
        with Hutchinson's trace."""
        value, kind = super().log_prob(x, y)
        return LogProb(value, Kind.ESTIMATE if self.ode.trace == "hutchinson" else kind)

    def from_noise(self, z: Tensor, condition: Tensor | None) -> Iterator[Tensor]:
        """The state after each step of the solver, then (in a discrete space) in the unit interval: (batch, *shape) each."""
        state = z
        for state in self.ode.solve(z, condition, 0.0, 1.0, log_det=False).states:
            yield state.unflatten(1, self.space.shape)
        for layer in reversed(self.layers[:-1]):
            state, _ = layer.inverse(state, condition)
            yield state.unflatten(1, self.space.shape)
