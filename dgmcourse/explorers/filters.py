"""What FilterWall knows: the weights of hidden units as images, what excites them, and what they give to a reconstruction."""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from .model import device_of, evaluating
from .pixels import image_shape

__all__ = ["Filters", "signed_uint8"]

MOST_UNITS = 600
POSITIVE, NEGATIVE = (179, 71, 0), (0, 83, 138)  # an orange and a blue that no color blindness confuses
HINT = "give a model with encode(x) and weight, such as an RBM (of a DBN, one of its layers), or weights=…"


def signed_uint8(values: np.ndarray, largest: float | np.ndarray) -> np.ndarray:
    """Signed numbers in color: (n, h, w) -> uint8 (n, h, w, 3). Zero is paper, +largest orange, −largest blue.

    Beyond ±largest (one number, or one for each image) nothing grows darker.
    """
    part = np.clip(values / np.maximum(np.asarray(largest, float).reshape(-1, 1, 1), 1e-12), -1, 1)[..., None]
    full = np.where(part > 0, np.array(POSITIVE, float), np.array(NEGATIVE, float))
    return (255 + np.abs(part) ** 0.8 * (full - 255)).round().astype(np.uint8)  # 0.8: pale shades stay visible


class Filters:
    """The hidden units of a model of images, seen through their weights.

    Args:
        model: `encode(x)` gives (n, units), one activity for each column of `weight`, (pixels, units); `decode(h)`, if
            there is one, gives the expected image back. An RBM, say; its `hidden_bias` is used too.
        x: images, (n, *shape) of the model's space, or None.
        weights: in place of `model.weight`: (units, pixels), one row a unit.
        units: which units; by default all.
        shape: (height, width) of an image, where the space holds vectors.

    Attributes:
        weights: (units, height, width).
        biases: (units,), or None.
        activities: P(unit on | x), or the code of x, (n, units); None without x.

    Raises:
        TypeError: the model has no encode, or no weights were found.
        ValueError: the weights are no grey images, there are too many units, or x does not fit.
    """

    def __init__(self, model, x: Tensor | None = None, weights: Tensor | None = None,
                 units: Sequence[int] | None = None, shape: tuple[int, int] | None = None):  # fmt: skip
        self.model, self.space = model, getattr(model, "space", None)
        if x is not None:
            if not isinstance(x, Tensor) or len(x) == 0:
                raise ValueError("x must hold images, a tensor (n, *shape) with n ≥ 1")
            if not hasattr(model, "encode"):
                raise TypeError(f"{type(model).__name__} has no encode; {HINT}")
            if self.space is not None:
                self.space.check(x)
        self.x, self.given, self.shape = x, weights, self._image(shape)
        all_units = len(self._found())
        self.units = list(range(all_units)) if units is None else [int(j) for j in units]
        if not self.units or len(set(self.units)) < len(self.units) or not all(0 <= j < all_units for j in self.units):
            raise ValueError(f"units must be different numbers in 0 … {all_units - 1}, got {self.units[:9]}")
        if len(self.units) > MOST_UNITS:
            raise ValueError(f"FilterWall shows up to {MOST_UNITS} units, the model has {all_units}; choose some, e.g. "
                             "units=range(500)")  # fmt: skip
        real = self.space is not None and self.space.kind == "real"
        self.low, self.high = (float(x.min()), float(x.max())) if real and x is not None else (0.0, 1.0)
        self.refresh()

    def _image(self, shape) -> tuple[int, int]:
        """(height, width) of an image."""
        if shape is None and self.space is None and self.x is None:
            raise ValueError("the model has no space; give FilterWall the images x, or shape=(height, width)")
        sides = tuple(shape or (self.space.shape if self.space is not None else self.x.shape[1:]))
        image = image_shape(sides)
        if image is None or image[2] != 1:
            raise ValueError(f"FilterWall shows grey images, (height, width) or (1, height, width), got {sides}; "
                             "of vectors say how they are drawn, e.g. shape=(8, 8)")  # fmt: skip
        return image[:2]

    def _found(self) -> Tensor:
        """The weights of all units as they stand, float32 (units, pixels) on the CPU."""
        pixels = self.shape[0] * self.shape[1]
        if self.given is not None:
            found = torch.as_tensor(self.given).detach().flatten(1)
            if found.shape[1] != pixels:
                raise ValueError(f"weights must be (units, {pixels}), one row a unit, got {tuple(self.given.shape)}")
        else:
            weight = getattr(self.model, "weight", None)
            if not isinstance(weight, Tensor) or weight.ndim != 2 or len(weight) < pixels:
                raise TypeError(f"{type(self.model).__name__} has no weight of shape ({pixels}, units); {HINT}")
            found = weight.detach()[:pixels].T  # an RBM's last rows may be labels
        return found.float().cpu()

    def refresh(self) -> None:
        """Look at the model again: it may have learned."""
        self.weights = self._found()[self.units].reshape(-1, *self.shape).numpy()
        bias = getattr(self.model, "hidden_bias", None) if self.given is None else None
        self.biases = bias.detach().float().cpu().numpy()[self.units] if isinstance(bias, Tensor) else None
        self.activities = None if self.x is None else self._encode(self.x)[:, self.units].numpy()
        if self.activities is not None and not np.isfinite(self.activities).all():
            raise ValueError("the activities hold NaN or infinity; has training diverged?")

    def _encode(self, x: Tensor, rows: int = 1024) -> Tensor:
        """Activities of all units, float32 (n, units) on the CPU."""
        device = device_of(self.model)
        with evaluating(self.model):
            parts = [self.model.encode(part.to(device)).float().cpu() for part in x.split(rows)]
        return torch.cat(parts)

    # --- what units do ---------------------------------------------------------------------------------------------

    @property
    def probabilities(self) -> bool:
        """Whether activities are probabilities of being on, as an RBM's are."""
        a = self.activities
        return a is not None and hasattr(self.model, "hidden_given_visible") and a.min() >= 0 and a.max() <= 1

    def largest(self, own: bool) -> float | np.ndarray:
        """The weight that gets the full color: one for all units (of 500 weights two lie beyond), or one for each."""
        sizes = np.abs(self.weights)
        return sizes.max((1, 2)) if own else float(np.quantile(sizes, 0.996))

    def activity(self, unit: int) -> float:
        """How often unit (its place on the wall) is on over x: the mean of P(on | x); for other codes, their mean."""
        return float(self.activities[:, unit].mean())

    def exciting(self, unit: int, n: int) -> np.ndarray:
        """Numbers of the n images of x that excite a unit most, the most exciting first."""
        return np.argsort(-self.activities[:, unit], kind="stable")[:n]

    # --- reconstruction --------------------------------------------------------------------------------------------

    @property
    def decodes(self) -> bool:
        """Whether images can be reconstructed from activities."""
        return self.x is not None and hasattr(self.model, "decode")

    def reconstruct(self, example: int, settings: Sequence[dict[int, float]]) -> np.ndarray:
        """E[v | h], h the activities of one image of x with some units held at a value: (settings, height, width).

        Args:
            example: which image of x.
            settings: one reconstruction each, place on the wall -> value; {} leaves everything as it is.
        """
        h = self._encode(self.x[example : example + 1]).repeat(len(settings), 1)
        for row, held in zip(h, settings, strict=True):
            for place, value in held.items():
                row[self.units[place]] = value
        weight = next(self.model.parameters(), h) if isinstance(self.model, torch.nn.Module) else h
        with evaluating(self.model):
            images = self.model.decode(h.to(weight.device, weight.dtype)).float().cpu()
        return images.reshape(-1, *self.shape).numpy()

    def without(self, example: int, off: Collection[int]) -> np.ndarray:
        """The reconstruction with all units, and that without those switched off: (2, height, width)."""
        return self.reconstruct(example, [{}, dict.fromkeys(off, 0.0)])
