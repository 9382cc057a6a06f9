"""What energy models share: an energy over points, its slope, and walks downhill that are shaken by noise."""

import abc
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ...core import GenerativeModel, Kind, LogProb, Space
from ...dynamics import AnnealingPath, langevin, metropolis_langevin
from ...networks import MLP, ConvEncoder
from ..boltzmann.partition import LogPartition, annealed_log_partition
from .normalizer import GridDensity, annealing_path, grid_density

__all__ = ["Landscape", "walk"]

WALKS = ("langevin", "metropolis")


@torch.no_grad()
def walk(
    energy: Callable[[Tensor], Tensor],
    u: Tensor,
    step_size: float,
    steps: int,
    temperature: float = 1.0,
    metropolis: bool = False,
) -> Iterator[Tensor]:
    """Langevin dynamics in an energy: u ← u − ½ε ∇E(u) + √(ε T)·noise; yields every state, (chains, *shape).

    Its stationary law is exp(−E/T) up to an error of order ε, or exactly with Metropolis' rule.

    Args:
        energy: (chains, *shape) -> (chains,), nats.
        u: where the chains start, (chains, *shape).
        step_size: ε.
        steps: how many states.
        temperature: T; below 1 the walk keeps to the valleys, at 0 it is gradient descent.
        metropolis: whether a step may be refused, so that ε does no harm but slowness.

    Raises:
        ValueError: a temperature below 0, or Metropolis' rule at temperature 0.
    """
    if temperature < 0 or (metropolis and temperature == 0):
        raise ValueError(f"the temperature must be ≥ 0 (> 0 with Metropolis' rule), got {temperature}")
    if metropolis:
        for u, _ in metropolis_langevin(lambda u: -energy(u) / temperature, u, step_size * temperature, steps):  # noqa: B020
            yield u
    elif temperature > 0:
        yield from langevin(lambda u: -slope(energy, u) / temperature, u, step_size * temperature, steps)
    else:
        for _ in range(steps):
            u = u - 0.5 * step_size * slope(energy, u)
            yield u


@torch.enable_grad()
def slope(energy: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∇E(x), without a graph: (batch, *shape) both ways."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(energy(x).sum(), x)[0]


class Landscape(GenerativeModel):
    """A density p(x) = exp(−E(x)) / Z over points u, whose energy is a network's, over a wide bowl:

        E(x) = potential(u) + ½ ‖u‖² / reference²

    The bowl is a Gaussian's, N(0, reference²), which exp(−potential) tilts: as potentials grow at most linearly, Z is
    always finite, and from the Gaussian annealing leads to the model. Points u are x / scale in a real space. Images are
    spread over their cells (`Space.dequantize`) and put on [−1, 1]: the model is a density there, an image's energy is
    that of the middle of its cell, and samples are rounded to the cell that they are in. Z is of x: an integral over a
    real space; for images that integral in units of a cell, to which each image adds its cell, and to which the mass beyond
    [−1, 1], lost on images, belongs too: log p of an image, by the middle of its cell, is an estimate.

    Xie, Lu, Zhu & Wu, "A theory of generative ConvNet", 2016, https://arxiv.org/abs/1602.03264 (the Gaussian reference)

    Args:
        space: binary or grey images, or real vectors.
        outputs: numbers that the network makes of a point.
        hidden: widths of the dense layers, none for a linear network.
        channels: channels of the convolutional levels; given, the network is convolutional (with `hidden[0]` as the
            width of its dense layer).
        activation: name of the activation, a smooth one.
        scale: about the standard deviation of real data.
        reference: standard deviation of the bowl, in units of points.
        steps: of the walk to a sample.
        step_size: ε of that walk, in units of points.
        walk: "langevin", or "metropolis" where the steps shall leave no trace.
        conditions: numbers that the network sees beside the point.
    """

    def __init__(
        self,
        space: Space,
        outputs: int,
        hidden: Sequence[int],
        channels: Sequence[int] | None,
        activation: str,
        scale: float,
        reference: float,
        steps: int,
        step_size: float,
        walk: str,
        conditions: int = 0,
    ):
        super().__init__(space)
        name = type(self).__name__
        if space.kind == "tokens":
            raise ValueError(
                f"{name} needs a binary, grey or real space, got {space}; between tokens there is no slope"
            )
        if activation in ("relu", "leaky_relu"):
            raise ValueError(f"{name} needs a smooth activation, e.g. 'silu': a slope that jumps has no curvature to learn "
                             f"from; got {activation!r}")  # fmt: skip
        if not (scale > 0 and reference > 0 and step_size > 0) or steps < 1:
            raise ValueError(f"{name} needs scale, reference, step_size > 0 and steps ≥ 1, got {scale}, {reference}, "
                             f"{step_size} and {steps}")  # fmt: skip
        if walk not in WALKS:
            raise ValueError(f"walk must be 'langevin' or 'metropolis', got {walk!r}")
        if channels is not None and (not channels or len(space.shape) != 3):
            raise ValueError(f"channels=… needs images (channels, height, width) and at least one level, got {space} and "
                             f"{channels}; leave it out for dense networks")  # fmt: skip
        self.scale, self.reference, self.steps, self.step_size, self.walk = scale, reference, steps, step_size, walk
        if channels is None:
            self.network = MLP(space.dim + conditions, hidden, outputs, activation)
        else:
            width = hidden[0] if hidden else 128
            self.network = ConvEncoder(space.shape, channels, outputs, width, conditions, activation)
        self.convolutional = channels is not None

    # --- points ----------------------------------------------------------------------------------------------------

    def points(self, x: Tensor, spread: bool = False) -> Tensor:
        """Where the energy of x is looked up: x / scale, or an image's cell on [−1, 1]: (batch, *shape) both ways.

        Args:
            spread: anywhere in an image's cell, at random, instead of in its middle.
        """
        if not self.space.discrete:
            return x / self.scale
        levels = self.space.levels
        return 2 * (self.space.dequantize(x) if spread else ((levels - 1) * x + 0.5) / levels) - 1

    def from_points(self, u: Tensor) -> Tensor:
        """The inverse of `points`; of points between the middles of cells, x between the levels."""
        if not self.space.discrete:
            return u * self.scale
        return (0.5 * (u + 1) * self.space.levels - 0.5) / (self.space.levels - 1)

    def member(self, u: Tensor) -> Tensor:
        """The member of the space at these points, or nearest to them."""
        return self.space.quantize(0.5 * (u + 1)) if self.space.discrete else u * self.scale

    @property
    def log_unit(self) -> float:
        """log of the volume in which x is measured (a unit, or a cell) over the points' own, nats."""
        return self.space.dim * math.log(0.5 * self.space.levels if self.space.discrete else self.scale)

    # --- energies --------------------------------------------------------------------------------------------------

    def outputs(self, u: Tensor, condition: Tensor | None = None) -> Tensor:
        """The network's answers at points, in float32: (batch, *shape), (batch, conditions) -> (batch, outputs)."""
        if self.convolutional:
            found = self.network(u, condition)
        else:
            flat = u.flatten(1)
            found = self.network(flat if condition is None else torch.cat([flat, condition], dim=1))
        return found.float() if found.dtype in (torch.float16, torch.bfloat16) else found

    @abc.abstractmethod
    def potential(self, u: Tensor, y: Tensor | None = None) -> Tensor:
        """The learned part of the energy at points: (batch, *shape) -> (batch,), nats."""

    def bowl(self, u: Tensor) -> Tensor:
        """½ ‖u‖² / reference²: (batch, *shape) -> (batch,), nats."""
        return 0.5 * (u.flatten(1) / self.reference).square().sum(1)

    def energy_of_points(self, u: Tensor, y: Tensor | None = None) -> Tensor:
        """potential + bowl: (batch, *shape) -> (batch,), nats."""
        return self.potential(u, y) + self.bowl(u)

    def energy(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """E(x), or E(x, y): (batch, *shape) -> (batch,), nats, up to a constant that all x share. Differentiable.

        Images may hold values between the levels, too.
        """
        return self.energy_of_points(self.points(self.check_input(x)), y)

    def spread_energy(self, x: Tensor, y: Tensor | None = None, draws: int = 20) -> Tensor:
        """The mean energy of random points in an image's cell: (batch, *shape) -> (batch,), nats.

        As −log of a mean of exp(−E) is at most the mean of E, −spread_energy(x) − log Z is a lower bound of log p(x), which
        the energy of the cell's middle is not. In a real space both are `energy`.
        """
        x = self.check_input(x)
        if not self.space.discrete:
            return self.energy(x, y)
        return torch.stack([self.energy_of_points(self.points(x, spread=True), y) for _ in range(draws)]).mean(0)

    def free_energy(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """`energy`, under the name that it has where something hidden was summed out."""
        return self.energy(x, y)

    def score(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """∇ log p(x) = −∇E(x): (batch, *shape) both ways."""
        return -slope(lambda x: self.energy(x, y), self.check_input(x))

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """−E(x), nats: log p(x) up to −log Z. In one or two dimensions `normalized()` knows it, else `log_partition("ais")`."""
        return LogProb(-self.energy(x, y), Kind.UNNORMALIZED)

    # --- walks -----------------------------------------------------------------------------------------------------

    def start(self, n: int) -> Tensor:
        """n points of the bowl's Gaussian, where walks begin: (n, *shape)."""
        like = next(self.parameters())
        return self.reference * torch.randn(n, *self.space.shape, device=like.device, dtype=like.dtype)

    def check_condition(self, y: Tensor | None, n: int) -> None:
        """Refuse a condition that the model does not have."""
        if y is not None:
            name = type(self).__name__
            raise ValueError(f"this {name} is not conditional, but y was given; for labels there is JEM")

    def descents(
        self, u: Tensor, y: Tensor | None, steps: int, step_size: float, temperature: float = 1.0
    ) -> Iterator[Tensor]:
        """The walk of the model's choice from given points; yields every state, (chains, *shape)."""
        metropolis = self.walk == "metropolis"
        yield from walk(lambda u: self.energy_of_points(u, y), u, step_size, steps, temperature, metropolis)

    @torch.no_grad()
    def trajectory(
        self,
        n: int,
        y: Tensor | None = None,
        *,
        steps: int | None = None,
        step_size: float | None = None,
        temperature: float = 1.0,
        start: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """Yield every state of n walks from noise; the last one is a member of the space, the others are between.

        Args:
            n: how many.
            y: labels, where the model has them.
            steps, step_size: instead of the model's own.
            temperature: T of exp(−E/T); see `walk`.
            start: x where the walks begin, (n, *shape), instead of noise.

        Raises:
            ValueError: no steps, a step size that is not positive, or not n starting points.
        """
        self.check_condition(y, n)
        steps = self.steps if steps is None else steps
        step_size = self.step_size if step_size is None else step_size
        if steps < 1 or not step_size > 0:
            raise ValueError(f"a walk needs steps ≥ 1 and step_size > 0, got {steps} and {step_size}")
        if start is not None and len(self.check_input(start, "start")) != n:
            raise ValueError(f"start holds {len(start)} points, but n={n} walks were asked for; pass n={len(start)}")
        u = self.start(n) if start is None else self.points(start)
        states = self.descents(u, y, steps, step_size, temperature)
        for place, state in enumerate(states, start=1):
            yield self.member(state) if place == steps else self.from_points(state)

    # --- the normalizer --------------------------------------------------------------------------------------------

    def normalized(self, extent: float | None = None, nodes: int = 400) -> GridDensity:
        """The model's exact density in one or two dimensions, by its sum over a grid.

        Args:
            extent: the grid reaches from −extent to extent; by default over six standard deviations of the bowl.
            nodes: grid points in each direction.

        Raises:
            ValueError: x is an image, has more dimensions, or has mass at the border.
        """
        if self.space.discrete:
            raise ValueError(f"a grid is for real vectors, got {self.space}; estimate: log_partition('ais')")
        like = next(self.parameters())
        reach = 6 * self.reference * self.scale if extent is None else extent
        return grid_density(self.energy, self.space.dim, reach, nodes, like)

    def log_partition(
        self, method: str = "grid", extent: float | None = None, chains: int = 100, temperatures: int = 500
    ) -> LogPartition:
        """log Z, in nats.

        Args:
            method: "grid", exact, for real vectors of one or two dimensions; "ais", an estimate for all.
            extent: of the grid, see `normalized`.
            chains, temperatures: of annealing, see `evaluation.bracket` for both sides of it.
        """
        if method == "grid":
            return LogPartition(self.normalized(extent).log_partition, 0.0, Kind.EXACT)
        if method != "ais":
            raise ValueError(f"method must be 'grid' or 'ais', got {method!r}")
        return annealed_log_partition(self.annealing_path(), chains, temperatures)

    def annealing_path(self) -> AnnealingPath:
        """From the bowl's Gaussian to this model; see `dynamics`. States are points."""
        return annealing_path(self)
