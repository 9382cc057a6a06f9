"""Fully connected networks."""

from collections.abc import Callable, Sequence
from functools import partial

from torch import nn

__all__ = ["ACTIVATIONS", "MLP", "activation_named"]

ACTIVATIONS = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, 0.2),
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
}


def activation_named(name: str) -> Callable[[], nn.Module]:
    """What makes an activation.

    Raises:
        ValueError: there is none of this name; the message lists them.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name]


class MLP(nn.Sequential):
    """Linear layers with an activation between them: (batch, inputs) -> (batch, outputs).

    Args:
        inputs, outputs: sizes of the two ends.
        hidden: sizes of the layers between; none makes the network linear.
        activation: one of "silu", "relu", "leaky_relu" (slope 0.2 below zero), "tanh", "gelu", "softplus".
        dropout: share of hidden units that are zeroed in training mode.
    """

    def __init__(
        self, inputs: int, hidden: Sequence[int], outputs: int, activation: str = "silu", dropout: float = 0.0
    ):
        act, layers = activation_named(activation), []
        for width in hidden:
            layers += [nn.Linear(inputs, width), act()]
            if dropout:
                layers.append(nn.Dropout(dropout))
            inputs = width
        super().__init__(*layers, nn.Linear(inputs, outputs))
