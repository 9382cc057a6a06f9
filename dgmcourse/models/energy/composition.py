"""Energies can be added: and, or, not of what they describe.

    Product   p ∝ Π pᵢ^wᵢ              E = Σ wᵢ Eᵢ                 what all of them find likely
    Mixture   p ∝ Σ wᵢ exp(−Eᵢ)        E = −log Σ wᵢ exp(−Eᵢ)      what any of them finds likely
    Negation  p ∝ 1 / pᵢ^w             E = −w Eᵢ                   what one finds unlikely; only within a product

Nothing is learned here, and the result is sampled as any energy is.

Hinton, "Training products of experts by minimizing contrastive divergence", 2002,
https://doi.org/10.1162/089976602760128018 (products)
Du, Li & Mordatch, "Compositional visual generation with energy based models", 2020, https://arxiv.org/abs/2004.06030
"""

import abc
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ...core import Kind, LogProb, Space
from .landscape import slope, walk
from .normalizer import GridDensity, grid_density

__all__ = ["ComposedEnergy", "Mixture", "Negation", "Product"]

Part = Callable[[Tensor], Tensor]  # or an object with `energy(x)`: a model, or another composition


class ComposedEnergy(abc.ABC):
    """An energy made of others over the same reals: it can be looked up, walked in, and normalized in the plane.

    Args:
        parts: models with `energy(x)`, other compositions, or functions (batch, *shape) -> (batch,), nats.
        weights: one number for each part.
        space: where x lives; that of the parts, where one of them has it.

    Raises:
        ValueError: no parts, as many weights as parts, spaces that differ or that are not real, or no space at all.
    """

    def __init__(self, parts: Sequence[Part], weights: Sequence[float] | None = None, space: Space | None = None):
        name = type(self).__name__
        self.parts, self.weights = list(parts), [1.0] * len(parts) if weights is None else list(map(float, weights))
        if not self.parts or len(self.weights) != len(self.parts):
            raise ValueError(f"{name} needs parts and a weight for each, got {len(parts)} and {len(self.weights)}")
        spaces = {part.space for part in self.parts if getattr(part, "space", None)} | ({space} if space else set())
        if len(spaces) != 1:
            found = ", ".join(sorted(map(str, spaces))) or "none; pass space=Space.real(2), say"
            raise ValueError(f"{name} needs parts of one and the same space, got {found}")
        self.space = spaces.pop()

    @abc.abstractmethod
    def combined(self, energies: Tensor) -> Tensor:
        """The energy from those of the parts: (parts, batch) -> (batch,)."""

    def energy(self, x: Tensor) -> Tensor:
        """E(x): (batch, *shape) -> (batch,), nats, up to a constant. Differentiable."""
        self.space.check(x)
        return self.combined(torch.stack([getattr(part, "energy", part)(x) for part in self.parts]))

    __call__ = energy

    def score(self, x: Tensor) -> Tensor:
        """−∇E(x): (batch, *shape) both ways."""
        return -slope(self.energy, x)

    def log_prob(self, x: Tensor) -> LogProb:
        """−E(x), (batch,), nats, up to a constant."""
        return LogProb(-self.energy(x), Kind.UNNORMALIZED)

    @torch.no_grad()
    def trajectory(
        self,
        start: Tensor,
        steps: int = 200,
        step_size: float = 0.02,
        temperature: float = 1.0,
        metropolis: bool = True,
    ) -> Iterator[Tensor]:
        """Yield every state of Langevin walks in the composed energy, (n, *shape); images stay between their levels.

        Args:
            start: where they begin, (n, *shape).
            steps, step_size, temperature, metropolis: see `walk`; ε is in units of x.
        """
        self.space.check(start, "start")
        yield from walk(self.energy, start, step_size, steps, temperature, metropolis)

    def normalized(self, extent: float, nodes: int = 400, like: Tensor | None = None) -> GridDensity:
        """The exact density in one or two dimensions, by its sum over a grid on [−extent, extent]^dim.

        Args:
            like: a tensor of the dtype and on the device that the parts expect; float32 on the CPU by default.

        Raises:
            ValueError: x is an image or has more dimensions, or there is mass at the border, as in every negation alone.
        """
        if self.space.discrete:
            raise ValueError(f"a grid is for real vectors, got {self.space}")
        return grid_density(self.energy, self.space.dim, extent, nodes, like)


class Product(ComposedEnergy):
    """E = Σ wᵢ Eᵢ: likely where all parts find it likely; a weight is how much one's word counts."""

    def combined(self, energies: Tensor) -> Tensor:
        return torch.einsum("p,pb->b", energies.new_tensor(self.weights), energies)


class Mixture(ComposedEnergy):
    """E = −log Σ wᵢ exp(−Eᵢ): likely where any part finds it likely.

    The share of a part in all is wᵢ Zᵢ / Σ w Z, with normalizers that energies do not tell: what is known of them (see
    `log_partition`) belongs in the weights, wᵢ = shareᵢ / Zᵢ.
    """

    def __init__(self, parts: Sequence[Part], weights: Sequence[float] | None = None, space: Space | None = None):
        super().__init__(parts, weights, space)
        if min(self.weights) < 0 or not max(self.weights) > 0:
            raise ValueError(f"the weights of a mixture must not be negative, nor all 0, got {self.weights}")

    def combined(self, energies: Tensor) -> Tensor:
        return -(energies.new_tensor(self.weights).log()[:, None] - energies).logsumexp(0)


class Negation(ComposedEnergy):
    """E = −w E₁: likely where the part finds it unlikely. Alone it has no normalizer; it is for products.

    Args:
        part: what shall not be.
        weight: how strongly; less than the others' in a product, else far points, which nobody finds likely, win.
    """

    def __init__(self, part: Part, weight: float = 0.5, space: Space | None = None):
        super().__init__([part], [weight], space)

    def combined(self, energies: Tensor) -> Tensor:
        return -self.weights[0] * energies[0]
