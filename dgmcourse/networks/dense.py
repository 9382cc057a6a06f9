"""Fully connected networks."""

from collections.abc import Sequence

from torch import nn

__all__ = ["ACTIVATIONS", "MLP"]

ACTIVATIONS = {"silu": nn.SiLU, "relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "softplus": nn.Softplus}


class MLP(nn.Sequential):
    """Linear layers with an activation between them: (batch, inputs) -> (batch, outputs).

    Args:
        inputs, outputs: sizes of the two ends.
        hidden: sizes of the layers between; none makes the network linear.
        activation: one of "silu", "relu", "tanh", "gelu", "softplus".
        dropout: share of hidden units that are zeroed in training mode.
    """

    def __init__(
        self, inputs: int, hidden: Sequence[int], outputs: int, activation: str = "silu", dropout: float = 0.0
    ):
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(inputs, width), ACTIVATIONS[activation]()]
            if dropout:
                layers.append(nn.Dropout(dropout))
            inputs = width
        super().__init__(*layers, nn.Linear(inputs, outputs))
