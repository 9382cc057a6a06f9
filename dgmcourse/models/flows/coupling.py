"""Coupling layers: one part of x stays, and says how the other part is stretched and shifted."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...core import Space
from ...networks import MLP
from .bijection import Bijection
from .elementary import Scale
from .elementwise import Additive, Affine, RationalQuadraticSpline
from .flow import Flow

__all__ = ["AffineCoupling", "Coupling", "CouplingFlow", "SplineCoupling", "halves"]


def halves(dim: int, layer: int) -> list[bool]:
    """Which entries a coupling flow's layer keeps, (dim,): layers 2b and 2b+1 split by bit b of the entry's number.

    Layer 0 keeps the even entries and layer 1 the odd ones, layers 2 and 3 split by the next bit, and so on, from the
    start again after the highest: any two entries differ in some bit, so that each comes to bear on each.
    """
    bits = max(1, (dim - 1).bit_length())
    bit, turn = (layer // 2) % bits, layer % 2
    return [(i >> bit) % 2 == turn for i in range(dim)]


class Coupling(Bijection):
    """Coupling layer: the kept entries a pass unchanged, each other entry b_i goes through g(·; network(a)_i).

        z_a = a,   z_b = g(b; network(a)),   log |det| = Σ_i ln g'(b_i)

    Both directions cost one pass of the network.
    Dinh, Krueger & Bengio, "NICE: Non-linear Independent Components Estimation", 2015, https://arxiv.org/abs/1410.8516

    Args:
        kept: which entries pass unchanged, (dim,) of booleans; some must, and some must not.
        function: the increasing function g: `Additive`, `Affine` or `RationalQuadraticSpline`.
        hidden: widths of the network's hidden layers.
        context: features of a condition, which the network sees beside the kept entries.
        activation: name of the activation.
    """

    def __init__(
        self,
        kept: Sequence[bool],
        function: Additive | Affine | RationalQuadraticSpline,
        hidden: Sequence[int] = (64, 64),
        context: int = 0,
        activation: str = "silu",
    ):
        super().__init__()
        kept = torch.tensor([bool(keep) for keep in kept])
        passing, moving = kept.nonzero().flatten(), (~kept).nonzero().flatten()
        if not len(passing) or not len(moving):
            raise ValueError(f"a coupling keeps some entries and moves some, got kept={kept.tolist()}")
        self.function = function
        self.network = MLP(len(passing) + context, hidden, len(moving) * function.parameters, activation)
        nn.init.zeros_(self.network[-1].weight)  # the layer begins as the identity
        nn.init.zeros_(self.network[-1].bias)
        self.register_buffer("passing", passing, persistent=False)
        self.register_buffer("moving", moving, persistent=False)
        self.register_buffer("places", torch.cat([passing, moving]).argsort(), persistent=False)

    def _apply_function(self, direction, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        kept, moved = x.index_select(1, self.passing), x.index_select(1, self.moving)
        raw = self.network(kept if y is None else torch.cat([kept, y], dim=-1)).to(x.dtype)
        raw = raw.unflatten(-1, (-1, self.function.parameters))  # (batch, moving, parameters)
        moved, log_slopes = direction(moved, raw)
        return torch.cat([kept, moved], dim=-1).index_select(1, self.places), log_slopes.sum(-1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._apply_function(self.function.forward, x, y)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._apply_function(self.function.inverse, z, y)


class AffineCoupling(Coupling):
    """RealNVP's coupling layer: z_b = b ⊙ exp(s(a)) + t(a), with |s| ≤ bound, and z_a = a.

    Dinh, Sohl-Dickstein & Bengio, "Density estimation using Real NVP", 2017, https://arxiv.org/abs/1605.08803

    Args:
        kept, hidden, context, activation: see `Coupling`.
        bound: of the log-scale s.
    """

    def __init__(self, kept: Sequence[bool], hidden=(64, 64), context: int = 0, activation="silu", bound: float = 3.0):
        super().__init__(kept, Affine(bound), hidden, context, activation)


class SplineCoupling(Coupling):
    """A coupling layer of rational-quadratic splines, Durkan et al. 2019, https://arxiv.org/abs/1906.04032

    Args:
        kept, hidden, context, activation: see `Coupling`.
        bins, bound: see `RationalQuadraticSpline`.
    """

    def __init__(
        self, kept: Sequence[bool], hidden=(64, 64), context: int = 0, activation="silu", bins: int = 8, bound=3.0
    ):
        super().__init__(kept, RationalQuadraticSpline(bins, bound), hidden, context, activation)


class CouplingFlow(Flow):
    """Coupling layers that keep one half of x and move the other by turns: NICE and RealNVP. Both directions are fast.

    `scale="affine"` stretches and shifts (RealNVP). `scale="additive"` only shifts, so every layer keeps volume, and a
    last, learned scale of each entry is all that changes it (NICE).

    Dinh, Krueger & Bengio, "NICE: Non-linear Independent Components Estimation", 2015, https://arxiv.org/abs/1410.8516
    Dinh, Sohl-Dickstein & Bengio, "Density estimation using Real NVP", 2017, https://arxiv.org/abs/1605.08803

    Args:
        space: binary or grey images, or real vectors, of two entries or more.
        layers: number of coupling layers.
        hidden: widths of each layer's network.
        scale: "affine" or "additive".
        classes: number of labels for p(x|y), None for no condition.
        bound: of an affine layer's log-scale; extreme inputs stay finite by it.
        activation: name of the activation.
        preprocess: first layer of a discrete space, "logit" or "scale"; see `Flow`.
    """

    def __init__(
        self,
        space: Space,
        layers: int = 6,
        hidden: Sequence[int] = (64, 64),
        scale: str = "affine",
        classes: int | None = None,
        bound: float = 3.0,
        activation: str = "silu",
        preprocess: str = "logit",
    ):
        super().__init__(space, classes, preprocess)
        check_layers(self, layers, at_least=2)
        if scale not in ("affine", "additive"):
            raise ValueError(f"scale must be 'affine' or 'additive', got {scale!r}")
        for i in range(layers):
            function = Affine(bound) if scale == "affine" else Additive()
            self.layers.append(Coupling(halves(space.dim, i), function, hidden, classes or 0, activation))
        if scale == "additive":
            self.layers.append(Scale(space.dim))


def check_layers(flow: Flow, layers: int, at_least: int) -> None:
    """Refuse a flow of no layers, or over too few entries."""
    name = type(flow).__name__
    if layers < 1:
        raise ValueError(f"{name} needs layers ≥ 1, got {layers}")
    if flow.space.dim < at_least:
        raise ValueError(f"{name} needs a space of {at_least} entries or more to keep some and move some, "
                         f"got {flow.space}; a masked flow takes one: AutoregressiveFlow, or SplineFlow(autoregressive=True)")  # fmt: skip
