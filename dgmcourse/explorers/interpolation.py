"""InterpolationStrip: three ways from one example to another, two of them through latent space."""

import ipywidgets as W
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .base import Explorer, Picture, reported
from .drawing import beside, captioned, enlarged
from .model import ImageDecoder, slerp
from .pixels import bordered, encode_png, enlarge, tile, to_pil, to_uint8

__all__ = ["PATHS", "InterpolationStrip"]

PATHS = {
    "linear": "straight through latent space",
    "spherical": "along an arc in latent space",
    "pixels": "fading pixel by pixel",
}


class InterpolationStrip(Explorer, W.VBox):
    """Walk from one example to another: along a line in z, along an arc in z, and by fading pixels into each other.

    Args:
        model: anything with `latents`, `encode(x, y=None)` and `decode(z, y=None)` giving mean images in [0, 1].
        x: the examples to choose from: a `Dataset` (its test split), (n, *shape), or one image, (1, *shape) or `shape`.
        other: with one image x, the second one.
        y: labels of x, (n,) int64, for a conditional model. The path keeps the label of the first example.
        first, second: which two of the examples to begin with.
        steps: images in a strip.

    Attributes:
        rows: path -> uint8 (steps, height, width, channels), for "linear", "spherical" and "pixels".
        here: path -> uint8 (height, width, channels) at the present place.
        first, second, place: the sliders.

    Raises:
        TypeError: the model cannot encode or decode.
        ValueError: fewer than two examples, or arguments that do not fit.
    """

    def __init__(self, model, x, other: Tensor | None = None, y: Tensor | None = None, *,
                 first: int = 0, second: int = 1, steps: int = 11):  # fmt: skip
        self.decoder = ImageDecoder(model, "InterpolationStrip", encodes=True)
        self.x, self.y = _examples(x, other, y)
        n = len(self.x)
        if n < 2 or steps < 3:
            raise ValueError(f"InterpolationStrip needs two examples and steps ≥ 3, got {n} and {steps}")
        if not (0 <= first < n and 0 <= second < n):
            raise ValueError(f"first and second must lie in 0 … {n - 1}, got {first} and {second}")
        self.fractions = torch.linspace(0, 1, steps)
        width = self.decoder.image[1]
        self._zoom = max(1, round(44 / width))
        super().__init__(self._build(n, first, second, steps * (self._zoom * width + 4)))
        self.add_class("dgm-explorer").add_class("dgm-interpolation")
        self.layout.overflow = "auto"
        self._choose()
        if self.error:
            raise ValueError(self.error)

    def _build(self, n: int, first: int, second: int, strip_width: int) -> list[W.Widget]:
        style, layout = {"description_width": "50px"}, W.Layout(width="330px")
        self.first = W.IntSlider(first, 0, n - 1, description="from", style=style, layout=layout)
        self.second = W.IntSlider(second, 0, n - 1, description="to", style=style, layout=layout)
        self.place = W.FloatSlider(0.5, min=0, max=1, step=0.01, description="along", style=style, layout=layout)
        for slider in (self.first, self.second):
            slider.observe(lambda _: self._choose(), "value")
        self.place.observe(lambda _: self._render(), "value")
        self._strips = {path: Picture(width=strip_width) for path in PATHS}
        self._here = {path: Picture(width=self._zoom * self.decoder.image[1] + 4) for path in PATHS}
        rows = []
        for path, words in PATHS.items():
            pair = W.HBox([self._strips[path], self._here[path]])
            self._here[path].layout.margin = "0 0 0 18px"
            rows.append(W.VBox([W.HTML(f'<span class="dgm-note">{words}</span>'), pair]))
        note = W.HTML('<span class="dgm-note">on the right: the images at this place</span>')
        return [W.HBox([self.first, self.second]), W.HBox([self.place, note]), *rows, self._message_box()]

    # --- moving ----------------------------------------------------------------------------------------------------

    def path(self, name: str, fractions: Tensor) -> np.ndarray:
        """Images along a path, at fractions (n,) of the way: uint8 (n, height, width, channels)."""
        if name == "pixels":
            a, b = self.x[self.first.value].cpu(), self.x[self.second.value].cpu()
            t = fractions.view(-1, *[1] * a.ndim)
            return to_uint8((1 - t) * a + t * b)
        start, end = self._ends
        t = fractions[:, None]
        z = slerp(start, end, fractions) if name == "spherical" else (1 - t) * start + t * end
        return self.decoder.decode(z, None if self.y is None else int(self.y[self.first.value]))

    @reported
    def _choose(self) -> None:
        """Encode the two examples and draw the three strips."""
        chosen = torch.tensor([self.first.value, self.second.value])
        self._ends = self.decoder.encode(self.x[chosen], None if self.y is None else self.y[chosen])
        self.rows = {name: self.path(name, self.fractions) for name in PATHS}
        self._draw()

    @reported
    def _render(self) -> None:
        self._draw()

    def _draw(self) -> None:
        place = torch.tensor([self.place.value])
        self.here = {name: self.path(name, place)[0] for name in PATHS}
        nearest = int((self.fractions - place).abs().argmin())
        for name, words in PATHS.items():
            ends = f"from example {self.first.value} to example {self.second.value}"
            strip = encode_png(self._strip_image(name, nearest))
            self._strips[name].show(strip, f"{len(self.fractions)} images {ends}, {words}")
            here = encode_png(bordered(enlarge(self.here[name], self._zoom)[None], 0)[0])
            self._here[name].show(here, f"the image {self.place.value:.0%} of the way, {words}")

    def _strip_image(self, name: str, nearest: int) -> np.ndarray:
        images = bordered(enlarge(self.rows[name], self._zoom), nearest)
        return tile(images, len(images), gap=0)

    # --- still picture ---------------------------------------------------------------------------------------------

    @property
    def alt(self) -> str:
        return (f"Three rows of {len(self.fractions)} images from example {self.first.value} to example "
                f"{self.second.value}: {', '.join(PATHS.values())}.")  # fmt: skip

    def picture(self) -> Image.Image:
        """The three strips, one under the other."""
        nearest = int((self.fractions - self.place.value).abs().argmin())
        rows = []
        for name, words in PATHS.items():
            strip = to_pil(self._strip_image(name, nearest))
            rows.append(captioned(enlarged(strip, self._strips[name].width), words))
        return beside(rows, gap=8, down=True)


def _examples(x, other: Tensor | None, y: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Examples and labels from a dataset, a batch, or two single images."""
    if hasattr(x, "test") and hasattr(x, "space"):
        return x.test, x.test_labels if y is None else y
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a Dataset or a tensor of images, got {type(x).__name__}")
    if other is None:
        return x, y
    if x.shape != other.shape:
        raise ValueError(f"the two images must have one shape, got {tuple(x.shape)} and {tuple(other.shape)}")
    pair = torch.cat([x, other]) if x.ndim == 4 else torch.stack([x, other])
    return pair, y
