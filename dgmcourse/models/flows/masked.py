"""Masked autoregressive layers: every entry is stretched and shifted as the entries before it say."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...core import Space
from ...networks import MaskedMLP
from .bijection import Bijection, Inverse
from .coupling import check_layers
from .elementwise import Affine, RationalQuadraticSpline
from .flow import Flow

__all__ = ["AutoregressiveFlow", "Masked", "MaskedAffine", "MaskedSpline", "there_and_back"]


def there_and_back(dim: int, layer: int) -> list[int]:
    """The place of each entry in a masked layer's order: their own order in even layers, the reverse in odd ones."""
    return list(range(dim)) if layer % 2 == 0 else list(range(dim - 1, -1, -1))


class Masked(Bijection):
    """Masked autoregressive layer: z_i = g(x_i; network(x_{<i})_i), entries before i in the ordering.

        log |det| = Σ_i ln g'(x_i), as the Jacobian is triangular

    Towards noise all entries go at once. Towards data they go one by one, since each needs the ones before it.
    Papamakarios, Pavlakou & Murray, "Masked Autoregressive Flow for Density Estimation", 2017, https://arxiv.org/abs/1705.07057

    Args:
        ordering: place of each entry in the order, (dim,), 0 first.
        function: the increasing function g: `Affine`, `Additive` or `RationalQuadraticSpline`.
        hidden: widths of the masked network's hidden layers.
        context: features of a condition, which every entry sees.
        activation: name of the activation.
    """

    def __init__(
        self,
        ordering: Sequence[int],
        function: Affine | RationalQuadraticSpline,
        hidden: Sequence[int] = (64, 64),
        context: int = 0,
        activation: str = "silu",
    ):
        super().__init__()
        self.function = function
        self.network = MaskedMLP(len(ordering), hidden, function.parameters, ordering, context, activation)
        nn.init.zeros_(self.network.layers[-1].weight)  # the layer begins as the identity
        nn.init.zeros_(self.network.layers[-1].bias)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_slopes = self.function.forward(x, self.network(x, y).to(x.dtype))
        return z, log_slopes.sum(-1)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        turns = self.network.one_by_one(len(z), y)
        raw, entries, log_det = next(turns), [z] * self.network.inputs, 0
        for i in self.network.order:
            entries[i], log_slope = self.function.inverse(z[:, i], raw.to(z.dtype))  # (batch,) each
            log_det = log_det + log_slope
            raw = turns.send(entries[i])
        return torch.stack(entries, dim=-1), log_det


class MaskedAffine(Masked):
    """The affine masked layer: z_i = x_i exp(s_i(x_{<i})) + t_i(x_{<i}), with |s| ≤ bound.

    Args:
        ordering, hidden, context, activation: see `Masked`.
        bound: of the log-scale s.
    """

    def __init__(
        self, ordering: Sequence[int], hidden=(64, 64), context: int = 0, activation="silu", bound: float = 3.0
    ):
        super().__init__(ordering, Affine(bound), hidden, context, activation)


class MaskedSpline(Masked):
    """The masked layer of rational-quadratic splines, Durkan et al. 2019, https://arxiv.org/abs/1906.04032

    Args:
        ordering, hidden, context, activation: see `Masked`.
        bins, bound: see `RationalQuadraticSpline`.
    """

    def __init__(
        self, ordering: Sequence[int], hidden=(64, 64), context: int = 0, activation="silu", bins: int = 8, bound=3.0
    ):
        super().__init__(ordering, RationalQuadraticSpline(bins, bound), hidden, context, activation)


class AutoregressiveFlow(Flow):
    """Masked autoregressive layers, whose ordering turns round from layer to layer: MAF, and IAF the other way round.

    `direction="density"` (MAF) scores in one pass a layer, and samples entry by entry; `direction="sampling"` (IAF)
    samples in one pass a layer, and scores entry by entry, which makes it slow to train on data.

    Papamakarios, Pavlakou & Murray, "Masked Autoregressive Flow for Density Estimation", 2017, https://arxiv.org/abs/1705.07057
    Kingma et al., "Improved Variational Inference with Inverse Autoregressive Flow", 2016, https://arxiv.org/abs/1606.04934

    Args:
        space: binary or grey images, or real vectors.
        layers: number of masked layers.
        hidden: widths of each layer's masked network.
        direction: which way is fast, "density" or "sampling".
        classes: number of labels for p(x|y), None for no condition.
        bound: of a layer's log-scale; extreme inputs stay finite by it.
        activation: name of the activation.
        preprocess: first layer of a discrete space, "logit" or "scale"; see `Flow`.
    """

    def __init__(
        self,
        space: Space,
        layers: int = 5,
        hidden: Sequence[int] = (64, 64),
        direction: str = "density",
        classes: int | None = None,
        bound: float = 3.0,
        activation: str = "silu",
        preprocess: str = "logit",
    ):
        super().__init__(space, classes, preprocess)
        check_layers(self, layers, at_least=1)
        if direction not in ("density", "sampling"):
            raise ValueError(f"direction must be 'density' (MAF) or 'sampling' (IAF), got {direction!r}")
        for i in range(layers):
            layer = MaskedAffine(there_and_back(space.dim, i), hidden, classes or 0, activation, bound)
            self.layers.append(layer if direction == "density" else Inverse(layer))
