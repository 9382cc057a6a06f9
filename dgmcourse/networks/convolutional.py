"""Convolutional encoder and decoder for small images: each level halves or doubles the sides."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .dense import activation_named

__all__ = ["ConvDecoder", "ConvEncoder"]


def _sides(shape: Sequence[int], levels: int) -> list[tuple[int, int]]:
    """(height, width) at each level: a convolution of stride 2 gives ⌈side / 2⌉, so 28, 14, 7, 4."""
    sides = [(shape[1], shape[2])]
    for _ in range(levels):
        sides.append(((sides[-1][0] + 1) // 2, (sides[-1][1] + 1) // 2))
    return sides


class ConvEncoder(nn.Module):
    """Strided convolutions, then a dense layer that also sees the condition.

    (batch, channels, height, width), (batch, conditions) or None -> (batch, outputs)

    Args:
        shape: (channels, height, width) of the images.
        channels: channels of each level; every level halves the sides.
        outputs: size of the result.
        width: size of the dense layer.
        conditions: size of the condition vector, 0 for none.
        activation: name of the activation, see `ACTIVATIONS`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: Sequence[int],
        outputs: int,
        width: int = 256,
        conditions: int = 0,
        activation: str = "silu",
    ):
        super().__init__()
        act, layers, inputs = activation_named(activation), [], shape[0]
        for level in channels:
            layers += [nn.Conv2d(inputs, level, 3, stride=2, padding=1), act()]  # (batch, level, ⌈h/2⌉, ⌈w/2⌉)
            inputs = level
        self.convolutions = nn.Sequential(*layers, nn.Flatten())
        height, across = _sides(shape, len(channels))[-1]
        self.head = nn.Sequential(
            nn.Linear(inputs * height * across + conditions, width), act(), nn.Linear(width, outputs)
        )
        self.convolutions.to(memory_format=torch.channels_last)  # twice as fast on CPUs with few channels

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.convolutions(x)
        return self.head(features if condition is None else torch.cat([features, condition], dim=-1))


class ConvDecoder(nn.Module):
    """A dense layer, then transposed convolutions: the mirror image of `ConvEncoder`.

    (batch, inputs), (batch, conditions) or None -> (batch, outputs, height, width)

    Args:
        inputs: size of the latent vector.
        shape: (channels, height, width) of the images.
        channels: channels of each level, in the encoder's order.
        outputs: channels of the result (more than the image's where each pixel has several parameters).
        width: size of the dense layer.
        conditions: size of the condition vector, 0 for none.
        activation: name of the activation, see `ACTIVATIONS`.
    """

    def __init__(
        self,
        inputs: int,
        shape: Sequence[int],
        channels: Sequence[int],
        outputs: int,
        width: int = 256,
        conditions: int = 0,
        activation: str = "silu",
    ):
        super().__init__()
        act = activation_named(activation)
        self.sides = _sides(shape, len(channels))
        height, across = self.sides[-1]
        self.head = nn.Sequential(
            nn.Linear(inputs + conditions, width),
            act(),
            nn.Linear(width, channels[-1] * height * across),
            act(),
            nn.Unflatten(1, (channels[-1], height, across)),
        )
        narrower = [channels[0], *channels[:-1]]  # what each level hands to the next wider one
        self.levels = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(level, following, 4, stride=2, padding=1), act())
            for level, following in zip(reversed(channels), reversed(narrower), strict=True)
        )
        self.out = nn.Conv2d(channels[0], outputs, 3, padding=1)
        self.levels.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        x = self.head(z if condition is None else torch.cat([z, condition], dim=-1))
        for level, (height, across) in zip(self.levels, reversed(self.sides[:-1]), strict=True):
            x = level(x)[..., :height, :across]  # doubling overshoots an odd side by one
        return self.out(x)
