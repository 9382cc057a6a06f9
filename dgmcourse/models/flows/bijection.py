"""What a flow is made of: maps that can be undone, and that know how they stretch volume."""

import abc

from torch import Tensor, nn

__all__ = ["Bijection", "Inverse"]


class Bijection(nn.Module, abc.ABC):
    """An invertible, differentiable map from data towards noise, z = f(x), with the logarithm of its volume change.

        log p(x) = log p(z) + log |det ∂z/∂x|

    A new bijection writes the two methods. Both are given the condition y as numbers, (batch, features), or None; most
    layers ignore it.
    """

    @abc.abstractmethod
    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Towards noise: x (batch, …) -> z of as many entries, and log |det ∂z/∂x|, (batch,), nats."""

    @abc.abstractmethod
    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Towards data: z (batch, …) -> x, and log |det ∂x/∂z| = −log |det ∂z/∂x|, (batch,), nats."""


class Inverse(Bijection):
    """The same map the other way round: towards noise it does what `bijection` does towards data.

    Args:
        bijection: whose directions are exchanged.
    """

    def __init__(self, bijection: Bijection):
        super().__init__()
        self.bijection = bijection

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.bijection.inverse(x, y)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.bijection(z, y)
