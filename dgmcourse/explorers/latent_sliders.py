"""LatentSliders: one slider for each latent, and beside it what that latent does."""

from collections.abc import Sequence

import ipywidgets as W
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .base import Explorer, Picture, reported
from .drawing import beside, captioned, enlarged, framed
from .model import ImageDecoder, latent_name
from .pixels import bordered, encode_png, enlarge, tile, to_pil, to_uint8

__all__ = ["LatentSliders"]


class LatentSliders(Explorer, W.VBox):
    """One slider a latent; beside each a strip that walks this latent from end to end and holds the others.

    Args:
        model: anything with `latents` and `decode(z, y=None)` giving mean images in [0, 1]; a VAE, say.
        x: examples, (n, *shape), for "Encode example"; needs `model.encode(x, y=None)`. The sliders start at the
            encoding of the first one; without x, at z = 0.
        y: their labels, (n,) int64, for a conditional model; the choice of label starts at the first.
        shown: which latents get a slider; by default all, or, of more than eight, the eight whose encodings of x
            vary most (the first eight without x). The others keep the value of the last sample or example.
        extent: sliders and strips reach from −extent to extent.
        steps: images in a strip, odd, so that 0 is among them.
        classes: number of labels of a conditional model, `model.classes` by default.
        seed: of "New sample", which draws z ~ N(0, I).

    Attributes:
        z: the present point, (latents,); `move(z)` changes it.
        image: what the model decodes there, uint8 (height, width, channels).
        strips: what the strips show, latent -> uint8 (steps, height, width, channels).
        sliders: latent -> its slider.

    Raises:
        TypeError: the model cannot decode, or cannot encode x.
        ValueError: it decodes no images, or arguments do not fit.
    """

    def __init__(
        self,
        model,
        x: Tensor | None = None,
        y: Tensor | None = None,
        shown: Sequence[int] | None = None,
        *,
        extent: float = 3.0,
        steps: int = 9,
        classes: int | None = None,
        seed: int = 0,
    ):
        self.decoder = ImageDecoder(model, "LatentSliders", classes, encodes=x is not None)
        if extent <= 0 or steps < 3 or steps % 2 == 0:
            raise ValueError(f"extent must be positive and steps odd, 3 or more; got {extent} and {steps}")
        if x is not None and len(x) == 0:
            raise ValueError("x holds no examples")
        self.x, self.y, self.extent = x, y, float(extent)
        self.codes = None if x is None else self.decoder.encode(x, y)
        self.shown = self._choose(shown)
        self.z = torch.zeros(self.decoder.latents)
        self._values = torch.linspace(-extent, extent, steps)
        self._generator = torch.Generator().manual_seed(seed)
        self._moving = False
        height, width, _ = self.decoder.image
        self._zoom = max(1, round(34 / width))
        super().__init__(self._build(height, width, steps))
        self.add_class("dgm-explorer").add_class("dgm-sliders")
        self.layout.overflow = "auto"
        if x is None:
            self._render()
        else:
            self.encode_example(0)
        if self.error:
            raise ValueError(self.error)

    def _choose(self, shown: Sequence[int] | None) -> list[int]:
        latents = self.decoder.latents
        if shown is not None:
            if not shown or len(set(shown)) < len(shown) or not all(0 <= k < latents for k in shown):
                raise ValueError(f"shown must be different latents in 0 … {latents - 1}, got {list(shown)}")
            return [int(k) for k in shown]
        if self.codes is None or latents <= 8:
            return list(range(min(latents, 8)))
        return sorted(self.codes.var(0).argsort(descending=True)[:8].tolist())

    # --- what is on the page ---------------------------------------------------------------------------------------

    def _build(self, height: int, width: int, steps: int) -> list[W.Widget]:
        self.sliders, self._strips = {}, {}
        strip_width = steps * (self._zoom * width + 4)
        rows = [self._row(k, strip_width) for k in self.shown]
        self._current = Picture(width=round(150 / width) * width if width < 75 else 150, lined=True)
        self._original = Picture(width=self._current.width, lined=True)
        new = W.Button(description="New sample", tooltip="Draw z from N(0, I)")
        middle = W.Button(description="All to zero", tooltip="Move to the middle of the prior")
        new.on_click(lambda _: self.new_sample())
        middle.on_click(lambda _: self.move(torch.zeros_like(self.z)))
        controls = [new, middle]
        if self.x is not None:
            self.example = W.BoundedIntText(0, 0, len(self.x) - 1, layout=W.Layout(width="72px"))
            encode = W.Button(description="Encode example", tooltip="Move to the encoding of the example")
            encode.on_click(lambda _: self.encode_example(self.example.value))
            self.example.observe(lambda change: self.encode_example(change["new"]), "value")
            controls.append(W.HBox([encode, self.example]))
        if self.decoder.classes:
            self.label = W.Dropdown(options=range(self.decoder.classes), description="Label", layout={"width": "150px"})
            self.label.observe(lambda _: self._relabel(), "value")
            controls.append(self.label)
        self._original_box = W.VBox([W.HTML('<span class="dgm-note">example</span>'), self._original])
        self._original_box.layout.display = "none"
        images = W.VBox([W.HTML('<span class="dgm-note">decoded at z</span>'), self._current, self._original_box])
        side = W.VBox([*controls, images], layout=W.Layout(width="230px", padding="4px 12px 4px 4px"))
        note = W.HTML(f'<span class="dgm-note">Each strip: its latent from −{self.extent:g} to {self.extent:g}, '
                      "the others held; framed: nearest to the slider</span>")  # fmt: skip
        return [W.HBox([side, W.VBox([note, *rows])]), self._message_box()]

    def _row(self, latent: int, strip_width: int) -> W.Widget:
        slider = W.FloatSlider(0.0, min=-self.extent, max=self.extent, step=0.05, description=latent_name(latent),
                               readout_format=".2f", style={"description_width": "28px"},
                               layout=W.Layout(width="280px"))  # fmt: skip
        slider.observe(lambda change: self._slide(latent, change["new"]), "value")
        self.sliders[latent], self._strips[latent] = slider, Picture(width=strip_width)
        return W.HBox([slider, self._strips[latent]], layout=W.Layout(align_items="center", margin="0 0 3px 0"))

    # --- moving ----------------------------------------------------------------------------------------------------

    def move(self, z: Tensor | Sequence[float]) -> None:
        """Go to a point of the latent space, (latents,); the sliders follow (and stop at their ends)."""
        z = torch.as_tensor(z, dtype=torch.float32).cpu()
        if z.shape != self.z.shape or not torch.isfinite(z).all():
            raise ValueError(f"z must be {len(self.z)} finite numbers, got shape {tuple(z.shape)}")
        self._original_box.layout.display = "none"
        self._go(z)

    def _go(self, z: Tensor, label: int | None = None) -> None:
        """Set the point (and the label, where the model knows labels), and decode once."""
        self._moving = True
        try:
            self.z = z.clone()
            if label is not None and self.decoder.classes:
                self.label.value = label
            for latent, slider in self.sliders.items():
                slider.value = float(z[latent].clamp(-self.extent, self.extent))
        finally:
            self._moving = False
        self._render()

    def _relabel(self) -> None:
        if not self._moving:
            self._render()

    def _slide(self, latent: int, value: float) -> None:
        if not self._moving:
            self.z[latent] = value
            self._render()

    def new_sample(self) -> None:
        """Draw z ~ N(0, I) and go there."""
        self.move(torch.randn(len(self.z), generator=self._generator))

    @reported
    def encode_example(self, index: int) -> None:
        """Go to the encoding of example `index` of x, and show the example beside what is decoded."""
        if self.codes is None:
            raise ValueError("there are no examples; give x to LatentSliders")
        if not 0 <= index < len(self.codes):
            raise ValueError(f"index must lie in 0 … {len(self.codes) - 1}, got {index}")
        self.example.value = index
        original = to_uint8(self.x[index : index + 1])[0]
        self._original.show(encode_png(original), f"example {index}, as it was before encoding")
        self._original_box.layout.display = None
        self._go(self.codes[index], None if self.y is None else int(self.y[index]))

    @reported
    def _render(self) -> None:
        """Decode the point and all strips at once, and send what changed."""
        steps = len(self._values)
        batch = self.z.repeat(1 + steps * len(self.shown), 1)
        for i, latent in enumerate(self.shown):
            batch[1 + i * steps : 1 + (i + 1) * steps, latent] = self._values
        images = self.decoder.decode(batch, self.label.value if self.decoder.classes else None)
        self.image = images[0]
        self.strips = {k: images[1 + i * steps : 1 + (i + 1) * steps] for i, k in enumerate(self.shown)}
        self._current.show(encode_png(self.image), f"image decoded at {self._point()}")
        for latent, strip in self.strips.items():
            walk = f"{latent_name(latent)} from −{self.extent:g} to {self.extent:g}"
            words = f"{len(strip)} images decoded with {walk}, the others held"
            self._strips[latent].show(encode_png(self._strip_image(latent)), words)

    def _strip_image(self, latent: int) -> np.ndarray:
        """A latent's strip, the image nearest to the present value framed in color: uint8 RGB."""
        nearest = int((self._values - self.z[latent]).abs().argmin())
        images = bordered(enlarge(self.strips[latent], self._zoom), nearest)
        return tile(images, len(images), gap=0)

    # --- still picture ---------------------------------------------------------------------------------------------

    def _point(self) -> str:
        values = ", ".join(f"{latent_name(k)} = {float(self.z[k]):.2f}" for k in self.shown)
        return values.replace("-", "−")

    @property
    def alt(self) -> str:
        given = f", label {self.label.value}" if self.decoder.classes else ""
        return (f"The image decoded at {self._point()}{given}, and for each of {len(self.shown)} latents a strip of "
                f"images along it from −{self.extent:g} to {self.extent:g}, the others held.")  # fmt: skip

    def picture(self) -> Image.Image:
        """The decoded image, and every strip under its latent's name and value."""
        named = {k: f"{latent_name(k)} = {float(self.z[k]):.2f}".replace("-", "−") for k in self.shown}
        strips = [
            captioned(enlarged(to_pil(self._strip_image(k)), self._strips[k].width), named[k]) for k in self.shown
        ]
        decoded = captioned(framed(to_pil(self.image), 150), "decoded at z")
        return beside([decoded, beside(strips, gap=2, down=True)])
