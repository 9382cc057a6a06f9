"""The normalizer of an energy: summed on a grid in one or two dimensions, or annealed from a Gaussian."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...core import Kind, LogProb
from ...dynamics import AnnealingPath, hmc, tuned_step_size

__all__ = ["GridDensity", "annealing_path", "grid_density"]

ROWS = 20_000  # grid points whose energies are computed at a time
BORDER = 1e-3  # share of the mass that may lie within 1 % of the border
LEAPS = 5  # of HMC at each temperature of annealing
CHAINS, ROUNDS = 100, 60  # with which its step sizes are found
BURN_IN = 500  # HMC steps to samples where reverse annealing starts


@dataclass(frozen=True)
class GridDensity:
    """exp(−E(x)) / Z in one or two dimensions, with Z by the trapezoid rule on a grid.

    On a smooth density that vanishes at the border the rule converges faster than any power of the grid's step.

    Attributes:
        axis: the grid's values in each direction, (nodes,), float64.
        log_density: log p on the grid, (nodes,) * dim, nats; its first axis is that of x's first entry.
        log_partition: log Z, a scalar tensor, float64.
        energy: E, (batch, dim) -> (batch,).
    """

    axis: Tensor
    log_density: Tensor
    log_partition: Tensor
    energy: Callable[[Tensor], Tensor]

    @property
    def log_cell(self) -> float:
        """log of the volume of one cell of the grid."""
        return self.log_density.ndim * math.log(float(self.axis[1] - self.axis[0]))

    @property
    def points(self) -> Tensor:
        """All grid points, (nodes ** dim, dim), in the order of `log_density.flatten()`."""
        return _grid(self.axis, self.log_density.ndim)

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """log p(x), normalized: (batch, dim) -> (batch,), nats."""
        return LogProb(-self.energy(x) - self.log_partition.to(x), Kind.EXACT)

    def divergence_from(self, log_prob: Callable[[Tensor], Tensor]) -> float:
        """KL(p ‖ this density) in nats, of a normalized p, summed over the grid.

        Args:
            log_prob: log p, (batch, dim) -> (batch,), e.g. of a toy density.

        Raises:
            ValueError: p has mass beyond the grid.
        """
        log_p = torch.cat([log_prob(part) for part in self.points.split(ROWS)])
        p = (log_p + self.log_cell).exp()
        if abs(float(p.sum()) - 1) > BORDER:
            raise ValueError(f"the density sums to {float(p.sum()):.4f} on this grid, not to 1; take a larger extent or more "
                             "nodes, and a density that is normalized")  # fmt: skip
        return float(torch.where(p > 0, p * (log_p - self.log_density.flatten()), 0.0).sum())


@torch.no_grad()
def grid_density(
    energy: Callable[[Tensor], Tensor], dim: int, extent: float, nodes: int = 400, like: Tensor | None = None
) -> GridDensity:
    """exp(−E(x)), normalized by its sum over a grid on [−extent, extent]^dim.

    Args:
        energy: (batch, dim) -> (batch,), nats.
        dim: 1 or 2.
        extent: half the side of the square.
        nodes: grid points in each direction.
        like: points are given to the energy with this tensor's dtype and device; sums are in float64.

    Raises:
        ValueError: more than two dimensions, or mass at the border, so that some lies beyond it.
    """
    if dim not in (1, 2):
        raise ValueError(f"a grid over {dim} dimensions is too large; estimate instead: log_partition('ais')")
    if not extent > 0 or nodes < 3:
        raise ValueError(f"a grid needs extent > 0 and nodes ≥ 3, got {extent} and {nodes}")
    like = torch.zeros((), device="cpu") if like is None else like
    axis = torch.linspace(-extent, extent, nodes, dtype=torch.float64, device="cpu")
    values = [energy(part.to(like)).double().cpu() for part in _grid(axis, dim).split(ROWS)]
    log_weight = -torch.cat(values).view(*[nodes] * dim)
    log_partition = log_weight.flatten().logsumexp(0) + dim * math.log(float(axis[1] - axis[0]))
    inner = slice(max(1, nodes // 100), -max(1, nodes // 100))
    inside = log_weight[(inner,) * dim].flatten().logsumexp(0) - log_weight.flatten().logsumexp(0)
    if -float(torch.expm1(inside)) > BORDER:
        raise ValueError(f"{-float(torch.expm1(inside)):.1%} of the mass lies at the border of [−{extent:g}, {extent:g}]: "
                         "some is beyond it; take a larger extent")  # fmt: skip
    return GridDensity(axis, log_weight - log_partition, log_partition, energy)


def _grid(axis: Tensor, dim: int) -> Tensor:
    return torch.cartesian_prod(*[axis] * dim).view(-1, dim)


def annealing_path(model) -> AnnealingPath:
    """From the Gaussian of a landscape's bowl to the landscape: f_β(u) = exp(−β potential(u) − bowl(u)).

    Moves are Hamiltonian, with step sizes that suit both ends and go from one to the other geometrically; they are found
    beforehand, on chains of their own, so that weights stay unbiased.
    """
    return _Path(model).path()


class _Path:
    """States are points, (chains, *shape)."""

    def __init__(self, model):
        self.model, self.sizes = model, None

    def path(self) -> AnnealingPath:
        model, dim = self.model, self.model.space.dim
        like = next(model.parameters())
        log_gaussian = torch.tensor(0.5 * dim * math.log(2 * math.pi * model.reference**2), device=like.device)
        return AnnealingPath(log_gaussian + model.log_unit, model.start, self.step, self.end)

    def log_prob(self, beta: float) -> Callable[[Tensor], Tensor]:
        """log f_β of points."""
        return lambda u: -beta * self.model.potential(u) - self.model.bowl(u)

    def step(self, u: Tensor, before: float, now: float) -> tuple[Tensor, Tensor]:
        gained = -(now - before) * self.model.potential(u)
        first, last = self._step_sizes()
        u, _ = next(hmc(self.log_prob(now), u, first ** (1 - now) * last**now, LEAPS, steps=1))
        return u, gained

    def end(self, n: int) -> Tensor:
        """States of long chains, from the model's kept ones where there are any."""
        u, last = self.model.start(n), self._step_sizes()[1]
        replay = getattr(self.model, "replay", None)
        if replay is not None:
            u = replay.states[torch.randint(len(replay.states), (n,), device=u.device)]
        for u, _ in hmc(self.log_prob(1.0), u, last, LEAPS, BURN_IN):  # noqa: B007, B020 (the last state is wanted)
            pass
        return u

    def _step_sizes(self) -> tuple[float, float]:
        """At β = 0 and at β = 1, for about 80 % of proposals accepted."""
        if self.sizes is None:
            u, sizes = self.model.start(CHAINS), []
            for beta in (0.0, 1.0):
                chain = self._chain(beta)
                size, u = tuned_step_size(chain, u, target=0.8, start=0.1 * self.model.reference, rounds=ROUNDS)
                sizes.append(size)
            self.sizes = tuple(sizes)
        return self.sizes

    def _chain(self, beta: float):
        return lambda u, size: hmc(self.log_prob(beta), u, size, LEAPS, steps=1)
