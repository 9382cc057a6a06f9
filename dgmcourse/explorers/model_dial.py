"""ModelDial: turn through models that differ in one setting, and see what it does."""

import html
import io
from collections.abc import Callable, Mapping

import ipywidgets as W
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from .base import Explorer, Picture, reported
from .drawing import ACCENT, INK, SCALE, Plane, beside, captioned, enlarged, font, number
from .model import ImageDecoder, device_of, evaluating
from .pixels import encode_png, enlarge, tile, to_pil, to_uint8

__all__ = ["ModelDial"]


class ModelDial(Explorer, W.VBox):
    """A slider over trained models: pictures of the one chosen, and its numbers among those of all.

    Every model's picture is drawn when it is first chosen, and kept.

    Args:
        models: label (a value of the setting, say β) -> model, or a function without arguments that loads it.
        x: examples, (n, *shape), to reconstruct; the first ten are shown.
        y: their labels, (n,) int64, for conditional models.
        draw: what to show of a model: `draw(model)` returns a PIL image, PNG bytes or uint8 (height, width, 1 or 3).
            By default reconstructions of x (where given), and images decoded from the same draws of the prior;
            samples, for models without a latent space.
        label: the name of the setting.
        numbers: label -> {name: value}; write units into the names.
        curve: two names in `numbers`, drawn against each other; by default the first two, where all models have them.
        seed: of the draws from the prior.

    Attributes:
        dial: the slider; its value is the label chosen.
        model: the model chosen.

    Raises:
        ValueError: fewer than two models, or numbers that do not fit.
    """

    def __init__(
        self,
        models: Mapping,
        x: Tensor | None = None,
        y: Tensor | None = None,
        draw: Callable | None = None,
        label: str = "β",
        *,
        numbers: Mapping | None = None,
        curve: tuple[str, str] | None = None,
        seed: int = 0,
    ):
        if not isinstance(models, Mapping) or len(models) < 2:
            raise ValueError("ModelDial needs a mapping from two or more labels to models, e.g. {0.5: vae, 1.0: other}")
        self.models, self.x, self.y = dict(models), x, y
        self.draw, self.name, self.seed = draw or self._default_rows, label, seed
        self.numbers = {key: dict(values) for key, values in (numbers or {}).items()}
        unknown = [key for key in self.numbers if key not in self.models]
        if unknown:
            raise ValueError(f"numbers are given for {unknown}, which are none of the models {list(self.models)}")
        self.curve = self._choose_curve(curve)
        self._drawn: dict = {}
        super().__init__(self._build())
        self.add_class("dgm-explorer").add_class("dgm-dial")
        self._show()
        if self.error:
            raise ValueError(self.error)

    def _choose_curve(self, curve: tuple[str, str] | None) -> tuple[str, str] | None:
        if len(self.numbers) < len(self.models):
            shared = []
        else:
            shared = [
                name for name in next(iter(self.numbers.values())) if all(name in v for v in self.numbers.values())
            ]
        if curve is None:
            return tuple(shared[:2]) if len(shared) >= 2 else None
        if len(curve) != 2 or not all(name in shared for name in curve):
            raise ValueError(f"curve must be two numbers that every model has, of {shared}; got {curve}")
        return tuple(curve)

    def _build(self) -> list[W.Widget]:
        self.dial = W.SelectionSlider(options=[(str(key), key) for key in self.models], description=self.name,
                                      style={"description_width": "40px"}, layout=W.Layout(width="400px"))  # fmt: skip
        self.dial.observe(lambda _: self._show(), "value")
        self._rows, self._plot, self._table = Picture(), Picture(width=300, sharp=False), W.HTML()
        self._plot.layout.display = None if self.curve else "none"
        if self.curve:
            self._axes = self._draw_axes()
        right = W.VBox([self._plot, self._table], layout=W.Layout(padding="0 0 0 24px"))
        return [self.dial, W.HBox([self._rows, right], layout=W.Layout(flex_flow="row wrap")), self._message_box()]

    @property
    def model(self):
        """The model chosen; loaded now, if it was given as a function."""
        model = self.models[self.dial.value]
        if callable(model) and not isinstance(model, nn.Module) and not hasattr(model, "decode"):
            model = self.models[self.dial.value] = model()
        return model

    # --- what is shown ---------------------------------------------------------------------------------------------

    @reported
    def _show(self) -> None:
        key = self.dial.value
        if key not in self._drawn:
            self._drawn[key] = _as_pil(self.draw(self.model))
        rows = self._drawn[key]
        self._rows.width = rows.width // SCALE
        self._rows.show(encode_png(rows), f"{self._words(key)}: what the model draws")
        self._table.value = self._table_html(key)
        if self.curve:
            self._plot.show(encode_png(self._mark(key)), self._curve_words(key))

    def _default_rows(self, model) -> Image.Image:
        """Examples, reconstructions and decoded prior draws (or samples), ten a row."""
        parts = []
        if hasattr(model, "decode"):
            decoder = ImageDecoder(model, "ModelDial", encodes=self.x is not None)
            if self.x is not None:
                x, y = self.x[:10], None if self.y is None else self.y[:10]
                parts += [("examples", to_uint8(x)), ("reconstructed", decoder.decode(decoder.encode(x, y), y))]
            z = torch.randn(20, decoder.latents, generator=torch.Generator().manual_seed(self.seed))
            labels = torch.arange(20) % decoder.classes if decoder.classes else None
            parts.append(("decoded from draws of the prior, the same for every model", decoder.decode(z, labels)))
        else:
            device = device_of(model)
            with torch.random.fork_rng([device] if device.type == "cuda" else []), evaluating(model):
                torch.manual_seed(self.seed)
                parts.append(("samples", to_uint8(model.sample(20))))
        return beside([captioned(_row(images), words) for words, images in parts], gap=6, down=True)

    def _words(self, key) -> str:
        return f"{self.name} = {key}"

    def _table_html(self, key) -> str:
        cells = "".join(f'<tr><th scope="row" style="text-align:left;padding-right:12px">{html.escape(str(name))}</th>'
                        f'<td style="text-align:right">{number(round(value, 3))}</td></tr>'
                        for name, value in self.numbers.get(key, {}).items())  # fmt: skip
        caption = f'<caption style="text-align:left">{html.escape(self._words(key))}</caption>'
        return f"<table>{caption}{cells}</table>" if cells else ""

    # --- the curve -------------------------------------------------------------------------------------------------

    def _places(self) -> np.ndarray:
        return np.array([[self.numbers[key][name] for name in self.curve] for key in self.models], float)  # (models, 2)

    def _draw_axes(self) -> Plane:
        """The curve through all models, with every label; the same under every choice."""
        places = self._places()
        margin = 0.12 * np.maximum(np.ptp(places, axis=0), 1e-6)
        low, high = places.min(0) - margin, places.max(0) + margin
        plane = Plane(300, 240, (low[0], high[0]), (low[1], high[1]), *map(str, self.curve))
        image, pen = plane.sheet()
        plane.curve(pen, *places.T)
        plane.scatter(image, places, 3.0)
        for key, place in zip(self.models, places, strict=True):
            x, y = plane.at(*place)
            pen.text((x + 5 * SCALE, y - 4 * SCALE), str(key), fill=INK, font=font(9), anchor="lb")
        plane.keep(image)
        return plane

    def _mark(self, key) -> Image.Image:
        image, pen = self._axes.sheet()
        x, y = self._axes.at(*[self.numbers[key][name] for name in self.curve])
        r = 7 * SCALE
        pen.ellipse([x - r, y - r, x + r, y + r], outline=ACCENT, width=2 * SCALE)
        return image

    def _curve_words(self, key) -> str:
        here = ", ".join(f"{name} {number(round(self.numbers[key][name], 3))}" for name in self.curve)
        return (
            f"{self.curve[1]} against {self.curve[0]} for {len(self.models)} models; marked: {self._words(key)}, {here}"
        )

    # --- still picture ---------------------------------------------------------------------------------------------

    @property
    def alt(self) -> str:
        curve = f" {self._curve_words(self.dial.value)}." if self.curve else ""
        choices = ", ".join(map(str, self.models))
        return f"One of {len(self.models)} models, {self._words(self.dial.value)} (of {choices}): its pictures.{curve}"

    def picture(self) -> Image.Image:
        """The pictures of the model chosen, and the curve."""
        key = self.dial.value
        rows = captioned(self._drawn[key], self._words(key))
        return beside([rows, self._mark(key)], gap=24) if self.curve else rows


def _row(images: np.ndarray) -> Image.Image:
    """Ten images a row, enlarged, in the shown width of about 360 pixels."""
    factor = max(1, round(36 * SCALE / images.shape[2]))
    return to_pil(tile(enlarge(images, factor), 10, gap=SCALE, outer=True)).convert("RGB")


def _as_pil(drawn) -> Image.Image:
    """What `draw` may return, as a PIL image."""
    if isinstance(drawn, Image.Image):
        return drawn.convert("RGB")
    if isinstance(drawn, bytes):
        return Image.open(io.BytesIO(drawn)).convert("RGB")
    if isinstance(drawn, np.ndarray) and drawn.dtype == np.uint8 and drawn.ndim == 3 and drawn.shape[-1] in (1, 3):
        return enlarged(to_pil(drawn), 360)
    raise TypeError("draw(model) must return a PIL image, PNG bytes or uint8 (height, width, 1 or 3), "
                    f"got {type(drawn).__name__}")  # fmt: skip
