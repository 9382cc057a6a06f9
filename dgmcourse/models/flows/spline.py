"""Neural spline flows."""

from collections.abc import Sequence

from ...core import Space
from .coupling import SplineCoupling, check_layers, halves
from .flow import Flow
from .masked import MaskedSpline, there_and_back

__all__ = ["SplineFlow"]


class SplineFlow(Flow):
    """Coupling or masked layers of rational-quadratic splines: the sharpest of the flows that can be undone exactly.

    Each spline maps [−bound, bound] onto itself and leaves alone what lies beyond, so the bound should hold the data
    (of a real space, in its own units) and the noise: about the larger of 4 and the largest |x|.

    Durkan, Bekasov, Murray & Papamakarios, "Neural Spline Flows", 2019, https://arxiv.org/abs/1906.04032

    Args:
        space: binary or grey images, or real vectors.
        layers: number of layers.
        bins: pieces of each spline.
        bound: half the width of the interval that the splines bend.
        hidden: widths of each layer's network.
        autoregressive: masked layers, which see more and sample entry by entry, instead of couplings.
        classes: number of labels for p(x|y), None for no condition.
        activation: name of the activation.
        preprocess: first layer of a discrete space, "logit" or "scale"; see `Flow`.
    """

    def __init__(
        self,
        space: Space,
        layers: int = 4,
        bins: int = 8,
        bound: float = 5.5,
        hidden: Sequence[int] = (64, 64),
        autoregressive: bool = False,
        classes: int | None = None,
        activation: str = "silu",
        preprocess: str = "logit",
    ):
        super().__init__(space, classes, preprocess)
        check_layers(self, layers, at_least=1 if autoregressive else 2)
        for i in range(layers):
            if autoregressive:
                layer = MaskedSpline(there_and_back(space.dim, i), hidden, classes or 0, activation, bins, bound)
            else:
                layer = SplineCoupling(halves(space.dim, i), hidden, classes or 0, activation, bins, bound)
            self.layers.append(layer)
