"""Glow: a flow for images, at several scales."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...core import Space
from .elementary import ActNorm
from .flow import Flow
from .image_layers import ImageCoupling, InvertibleConvolution, Part, Squeeze

__all__ = ["Glow"]


class Glow(Flow):
    """Flow for images: at each scale pixels become channels, which are then normalized, mixed and coupled, again and again.

        one step = activation normalization, then an invertible 1×1 convolution, then an affine coupling

    After the steps of a scale half of the channels are done: they are noise, and the next, coarser scale works on the
    other half alone. (The last coupling of the scale has just scaled and shifted the half that is done by what the other
    half says; so it plays the part of the prior that Glow learns for it.) Every step is kept as a bijection of the whole
    image, a `Part`, so that noise has the image's layout and every state is an image.
    Densities, dequantization and labels are as in `Flow`.

    Kingma & Dhariwal, "Glow: Generative Flow with Invertible 1×1 Convolutions", 2018, https://arxiv.org/abs/1807.03039

    Args:
        space: images (channels, height, width): binary, grey or real. A side that is even halves from scale to scale, an
            odd one stays as it is; each scale needs one that is even.
        scales: number of scales; None for as many as the sides allow, two at the most.
        depth: steps of each scale.
        channels: channels of the coupling networks.
        classes: number of labels for p(x|y), None for no condition.
        preprocess: first layer of a discrete space, see `Flow`.

    Raises:
        ValueError: the space holds no images, or their sides allow fewer scales than were asked for.
    """

    def __init__(
        self,
        space: Space,
        scales: int | None = None,
        depth: int = 4,
        channels: int = 32,
        classes: int | None = None,
        preprocess: str = "logit",
    ):
        super().__init__(space, classes, preprocess)
        if len(space.shape) != 3:
            raise ValueError(f"Glow needs images (channels, height, width), got {space}; use CouplingFlow for vectors")
        if depth < 1 or channels < 1 or (scales is not None and scales < 1):
            raise ValueError(
                f"Glow needs scales, depth and channels ≥ 1, got scales={scales}, depth={depth}, channels={channels}"
            )
        for places in _scales(space.shape, scales):
            for _ in range(depth):
                width = len(places)
                coupling = ImageCoupling(width, channels, classes or 0)
                self.layers.append(Part([ActNorm(width), InvertibleConvolution(width), coupling], places))


def _scales(shape: Sequence[int], wanted: int | None) -> list[Tensor]:
    """For every scale, which of the image's entries it works on, arranged as its image: (channels, height, width), int64."""
    places = torch.arange(shape[0] * shape[1] * shape[2], device="cpu").view(1, *shape)
    found = []
    while len(found) < (wanted or 2):
        factors = [1 if side % 2 else 2 for side in places.shape[2:]]
        if factors == [1, 1]:
            break
        places, _ = Squeeze(*factors)(places)
        found.append(places[0])
        places = places[:, : (places.shape[1] + 1) // 2]  # the next scale goes on with half of the channels
    if len(found) < (wanted or 1):
        raise ValueError(f"each scale of Glow halves the image's even sides; those of {shape[1]} × {shape[2]} allow "
                         f"{len(found)}, not {wanted or 1}: pad the images, or choose fewer scales")  # fmt: skip
    return found
