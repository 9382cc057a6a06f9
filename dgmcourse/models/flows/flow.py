"""What all normalizing flows share: a chain of bijections from data to standard normal noise."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ...core import GenerativeModel, Kind, LogProb, Space, Step
from ...networks import one_hot
from ..numerics import cell_centers
from .elementary import Logit, Rescale

__all__ = ["Flow", "log_standard_normal"]


def log_standard_normal(z: Tensor) -> Tensor:
    """log N(z; 0, I) = −½ ‖z‖² − ½ dim ln 2π, in nats: (batch, dim) -> (batch,)."""
    return -0.5 * (z.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi))


class Flow(GenerativeModel):
    """Normalizing flow: noise z ~ N(0, I) is bent into data by layers that can be undone; z = f_n ∘ … ∘ f_1 (x).

        log p(x) = log N(f(x); 0, I) + Σ_k log |det ∂f_k|        (nats)

    In a real space this is exact. Binary and grey x are spread over their cells by uniform noise (`Space.dequantize`), and
    the density there, averaged within a cell, gives a lower bound of log P(x). A first, fixed layer brings the unit
    interval to the real line; being part of the chain, it is part of the density.

    Rezende & Mohamed, "Variational Inference with Normalizing Flows", 2015, https://arxiv.org/abs/1505.05770
    Papamakarios et al., "Normalizing Flows for Probabilistic Modeling and Inference", 2021, https://arxiv.org/abs/1912.02762

    A subclass appends its bijections of (batch, dim) to `self.layers`, or writes `to_noise` and `from_noise` itself.

    Args:
        space: binary or grey images, or real vectors.
        classes: number of labels for p(x|y), None for no condition.
        preprocess: the first layer of a discrete space: "logit", or "scale" for (x − ½) √12 (mean 0, variance 1).

    Attributes:
        layers: the bijections, from data to noise.
        latents: as many as x has entries.
    """

    def __init__(self, space: Space, classes: int | None = None, preprocess: str = "logit"):
        super().__init__(space)
        name = type(self).__name__
        if space.kind == "tokens":
            raise ValueError(
                f"{name} needs a binary, grey or real space, got {space}; tokens have no volume to stretch"
            )
        if classes is not None and classes < 2:
            raise ValueError(f"a conditional {name} needs classes ≥ 2, got {classes}; leave it out for no condition")
        if preprocess not in ("logit", "scale"):
            raise ValueError(f"preprocess must be 'logit' or 'scale', got {preprocess!r}")
        self.classes, self.latents = classes, space.dim
        self.layers = nn.ModuleList()
        if space.discrete:
            self.layers.append(Logit() if preprocess == "logit" else Rescale(0.5, math.sqrt(12)))

    # --- the chain -------------------------------------------------------------------------------------------------

    def to_noise(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (batch, *shape), in [0, 1) if discrete -> z (batch, dim) and log |det ∂z/∂x|, (batch,)."""
        state, total = x.flatten(1), x.new_zeros(len(x))
        for layer in self.layers:
            state, log_det = layer(state, condition)
            total = total + log_det
        return state, total

    def from_noise(self, z: Tensor, condition: Tensor | None) -> Iterator[Tensor]:
        """The state after each layer on the way from z (batch, dim) to x, each (batch, *shape)."""
        state = z
        for layer in reversed(self.layers):
            state, _ = layer.inverse(state, condition)
            yield state.unflatten(1, self.space.shape)

    def _condition(self, y: Tensor | None, batch: int, dtype: torch.dtype) -> Tensor | None:
        return None if self.classes is None else one_hot(y, self.classes, batch, dtype)

    # --- densities -------------------------------------------------------------------------------------------------

    def log_density(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The exact log density at continuous x, (batch,), nats: x is (batch, *shape), in [0, 1) for a discrete space."""
        self.check_input(x)
        z, log_det = self.to_noise(x, self._condition(y, len(x), x.dtype))
        return log_standard_normal(z) + log_det

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """log p(x) in nats: exact for real x; for discrete x a lower bound, from one draw of the dequantization's noise."""
        self.check_input(x)
        if not self.space.discrete:
            return LogProb(self.log_density(x, y), Kind.EXACT)
        return LogProb(self.log_density(self.space.dequantize(x), y) + self.space.log_cell_volume, Kind.LOWER_BOUND)

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        yield Step(-self.log_prob(x, y).value.mean())

    # --- from noise to data and back -------------------------------------------------------------------------------

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The noise that x comes from: (batch, *shape) -> (batch, dim). Discrete x stand for the middle of their cells."""
        self.check_input(x)
        centered = cell_centers(self.space, x).view_as(x)
        return self.to_noise(centered, self._condition(y, len(x), x.dtype))[0]

    def states(self, z: Tensor, y: Tensor | None = None) -> Iterator[Tensor]:
        """z, and the state after each layer on the way to x: each (batch, *shape); z is (batch, dim)."""
        if z.ndim != 2 or z.shape[1] != self.latents:
            raise ValueError(f"z must have shape (batch, {self.latents}), got {tuple(z.shape)}")
        condition = self._condition(y, len(z), z.dtype)
        yield z.unflatten(1, self.space.shape)
        yield from self.from_noise(z, condition)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The x that noise becomes: (batch, dim) -> (batch, *shape); in a discrete space not yet rounded, in [0, 1]."""
        for state in self.states(z, y):  # noqa: B007 (only the last one is wanted)
            pass
        return state.clamp(0, 1) if self.space.discrete else state

    def prior(self, n: int) -> Tensor:
        """n draws of z ~ N(0, I): (n, dim)."""
        dtype = next((p.dtype for p in self.parameters()), None)
        return torch.randn(n, self.latents, device=self.device, dtype=dtype)

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None) -> Iterator[Tensor]:
        """Noise, and the state after each layer; the last one, in a discrete space, rounded to its levels."""
        if y is not None and self.classes is None:
            raise ValueError(f"this {type(self).__name__} is not conditional, but y was given; build it with classes=…")
        before = None
        for state in self.states(self.prior(n), y):
            if before is not None:
                yield before
            before = state
        yield self.space.quantize(before)

    def extra_repr(self) -> str:
        return f"{self.space}, {len(self.layers)} layers"
