"""A latent model as explorers need it: checked once, then points in, uint8 images out."""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .pixels import image_shape, to_uint8

__all__ = ["ImageDecoder", "device_of", "evaluating", "latent_name", "like_weights", "slerp"]

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def latent_name(index: int) -> str:
    """z₁ for index 0, z₂ for index 1, …"""
    return "z" + str(index + 1).translate(_SUBSCRIPTS)


def _first_parameter(model: object) -> Tensor | None:
    return next(iter(model.parameters()), None) if isinstance(model, nn.Module) else None


def device_of(model: object) -> torch.device:
    """Where a model's parameters live; the CPU for a model without any."""
    weight = _first_parameter(model)
    return torch.device("cpu") if weight is None else weight.device


def like_weights(model: object, values: Tensor) -> Tensor:
    """Values on the model's device and of its dtype; of a model without weights, on the CPU, float32."""
    weight = _first_parameter(model)
    return values.to(device_of(model), torch.float32 if weight is None else weight.dtype)


@contextlib.contextmanager
def evaluating(model: object) -> Iterator[None]:
    """Within, the model is in evaluation mode; afterwards in the mode it had. Not to be used around a `yield`."""
    training = isinstance(model, nn.Module) and model.training
    if training:
        model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        if training:
            model.train()


def slerp(start: Tensor, end: Tensor, fractions: Tensor) -> Tensor:
    """Points on the great arc between two vectors: (latents,), (latents,), (steps,) -> (steps, latents).

        sin((1−t)Ω)/sin Ω · start + sin(tΩ)/sin Ω · end,      Ω the angle between them

    Lengths change evenly between those of the ends. Vectors (nearly) in line have no single arc: the straight
    line is returned. Shoemake, "Animating rotation with quaternion curves", 1985, https://doi.org/10.1145/325165.325242
    """
    t = fractions[:, None]
    lengths = start.norm(), end.norm()
    if min(lengths) < 1e-8:
        return (1 - t) * start + t * end
    a, b = start / lengths[0], end / lengths[1]
    angle = torch.arccos((a @ b).clamp(-1, 1))
    if torch.sin(angle) < 1e-4:
        return (1 - t) * start + t * end
    arc = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
    return arc * ((1 - t) * lengths[0] + t * lengths[1])


class ImageDecoder:
    """Decodes points to uint8 images, in evaluation mode, without gradients, on the model's device.

    Args:
        model: anything with `latents` and `decode(z, y=None) -> (batch, *shape)`, mean images in [0, 1]; a generator
            that says `generate` instead will do.
        explorer: whose name error messages bear.
        classes: number of labels of a conditional model; by default `model.classes`.
        encodes: whether `encode(x, y=None) -> (batch, latents)` is needed too.

    Attributes:
        latents: dimension of z.
        image: (height, width, channels) of one image.
        classes: number of labels, or None where decoding needs none.

    Raises:
        TypeError: the model cannot decode (or encode), in words.
        ValueError: what it decodes is no image.
    """

    def __init__(self, model: object, explorer: str, classes: int | None = None, encodes: bool = False):
        wanted = ("decode", "latents", "encode") if encodes else ("decode", "latents")
        missing = [name for name in wanted if not hasattr(model, name)]
        if missing == ["decode"] and hasattr(model, "generate"):
            missing = []
        if missing:
            raise TypeError(f"{explorer} needs a model with {', '.join(wanted)} (a dgmcourse.core.Latent, such as a VAE); "
                            f"{type(model).__name__} has no {' and no '.join(missing)}")  # fmt: skip
        self.model, self.explorer = model, explorer
        self.latents = int(model.latents)
        self.classes = classes if classes is not None else getattr(model, "classes", None)
        shape = tuple(self._decode(torch.zeros(1, self.latents), 0).shape[1:])
        self.image = image_shape(shape)
        if self.image is None:
            raise ValueError(f"{explorer} shows images, (height, width) or (1 or 3, height, width); "
                             f"{type(model).__name__} decodes examples of shape {shape}")  # fmt: skip

    def _tensor(self, values, name: str) -> Tensor:
        tensor = like_weights(self.model, torch.as_tensor(values))
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} holds NaN or infinity")
        return tensor

    def _labels(self, y, n: int) -> Tensor | None:
        """y as (n,) int64 for a conditional model, None for another."""
        if self.classes is None:
            return None
        if y is None:
            raise ValueError(f"{type(self.model).__name__} is conditional; give {self.explorer} the labels y")
        y = torch.as_tensor(y, dtype=torch.int64, device=device_of(self.model))
        y = y.expand(n) if y.ndim == 0 else y
        if y.shape != (n,):
            raise ValueError(f"{self.explorer} needs one label for each of {n} examples, got shape {tuple(y.shape)}")
        return y

    def _decode(self, z, y) -> Tensor:
        z = self._tensor(z, "z")
        if z.ndim != 2 or z.shape[1] != self.latents:
            raise ValueError(f"z must have shape (batch, {self.latents}), got {tuple(z.shape)}")
        y = self._labels(y, len(z))
        with evaluating(self.model):
            decode = self.model.decode if hasattr(self.model, "decode") else self.model.generate
            return decode(z) if y is None else decode(z, y)

    def decode(self, z: Tensor | np.ndarray | Sequence, y: Tensor | int | None = None) -> np.ndarray:
        """(batch, latents) -> uint8 (batch, height, width, channels); y is one label, or one for each."""
        return to_uint8(self._decode(z, y))

    def encode(self, x: Tensor, y: Tensor | None = None, rows: int = 512) -> Tensor:
        """(batch, *shape) -> (batch, latents), on the CPU, `rows` at a time; y is used by conditional models alone."""
        space = getattr(self.model, "space", None)
        if space is not None:
            space.check(x)
        y = self._labels(y, len(x))
        parts = []
        with evaluating(self.model):
            for i in range(0, len(x), rows):
                part = x[i : i + rows].to(device_of(self.model))
                parts.append(self.model.encode(part) if y is None else self.model.encode(part, y[i : i + rows]))
        z = torch.cat(parts).cpu().float()
        if z.shape != (len(x), self.latents):
            raise ValueError(f"{type(self.model).__name__}.encode must give ({len(x)}, {self.latents}), "
                             f"got {tuple(z.shape)}")  # fmt: skip
        return z
