"""FilterWall: the hidden units of a model as a wall of images; choose one, switch some off, and see what changes."""

import html
import math
from collections.abc import Sequence

import ipywidgets as W
import numpy as np
import torch
import traitlets
from PIL import Image
from torch import Tensor

from .base import Explorer, Picture, reported
from .drawing import INK, SCALE, beside, captioned, enlarged, framed
from .filters import Filters, signed_uint8
from .pixels import encode_png, to_pil, to_uint8
from .tiles import TilePicture

__all__ = ["FilterWall"]

EXCITING = 10
LARGE, SMALL = 168, 92  # shown pixels: the chosen filter, an image of the row below
STILL = 25  # filters of the still picture, which must be small and yet legible


class FilterWall(Explorer, W.VBox):
    """A wall of receptive fields: the weights of every hidden unit as an image. Orange is positive, blue negative.

    Choose a unit (click, or arrow keys on the wall): its weights are shown large, with its bias, how often it is on
    over x, and the images that excite it most. One image is reconstructed: by all units, without those that are
    switched off, and with the chosen one on and off.

    Args:
        model: an RBM; or any model with `encode(x)`, (n, units), `decode(h)` and `weight`, (pixels, units).
        x: images, (n, *shape); without them filters and biases alone are shown.
        weights: what to show in place of `model.weight`: (units, pixels), one row a unit.
        units: which units; by default all, at most 600.
        shape: (height, width) of an image, where the model's space holds vectors.

    Attributes:
        unit: place of the chosen unit in `filters.units` (the same as its number while all units are shown).
        example: which image of x is reconstructed.
        off: places of the units that are switched off.
        order: "number", or "activity": those that are on most come first.
        scale: "shared": one color scale for all units; "own": one for each.
        filters: weights, biases and activities, see `Filters`. After training on, `refresh()` reads them again.
        reconstructions: words -> image (height, width): what the row of images shows.

    Raises:
        TypeError: the model has no weights or no encode.
        ValueError: the weights are no grey images, there are too many, or x does not fit.
    """

    unit = traitlets.Int(0)
    example = traitlets.Int(0)
    off = traitlets.Tuple(())
    order = traitlets.Enum(["number", "activity"], "number")
    scale = traitlets.Enum(["shared", "own"], "shared")
    _still_bytes = 42_000  # filters are noisy, and hard to compress

    def __init__(self, model, x: Tensor | None = None, *, weights: Tensor | None = None,
                 units: Sequence[int] | None = None, shape: tuple[int, int] | None = None):  # fmt: skip
        self.filters = Filters(model, x, weights, units, shape)
        self.reconstructions: dict[str, np.ndarray] = {}
        self._still = True
        super().__init__(self._build())
        self.add_class("dgm-explorer").add_class("dgm-filters")
        self._still = False
        self.refresh()
        if self.error:
            raise ValueError(self.error)

    # --- what is on the page ---------------------------------------------------------------------------------------

    def _build(self) -> list[W.Widget]:
        count, known = len(self.filters.units), self.filters.x is not None
        self._columns = math.ceil(math.sqrt(count))
        self._wall = TilePicture(f"Filters of {count} hidden units", color=INK)
        self._wall.observe(self._picked, "chosen")
        self._large, self._words = Picture(width=LARGE, lined=True), W.HTML()
        self._exciting = TilePicture("Images that excite the unit most; the chosen one is reconstructed")
        self._exciting.observe(self._picked_image, "chosen")
        self._row = Picture(width=600, sharp=False)
        self.switch = W.ToggleButton(False, description="Switch unit off", tooltip="Hold this unit at 0")
        self.switch.observe(lambda change: self._still or self.switch_unit(self.unit, not change["new"]), "value")
        self.all_on = W.Button(description="All units on", tooltip="Switch every unit on again")
        self.all_on.on_click(lambda _: self.set_trait("off", ()))
        style, layout = {"description_width": "50px"}, W.Layout(width="220px")
        orders = [("by number", "number")] + ([("most active first", "activity")] if known else [])
        self.ordering = W.Dropdown(options=orders, description="order", style=style, layout=layout)
        scales = [("one scale for all", "shared"), ("each its own scale", "own")]
        self.scaling = W.Dropdown(options=scales, description="colors", style=style, layout=layout)
        most = max(1, 0 if not known else len(self.filters.x) - 1)
        self.image = W.IntSlider(0, 0, most, description="image", style=style, layout=W.Layout(width="330px"))
        for trait, widget in (("order", self.ordering), ("scale", self.scaling), ("example", self.image)):
            traitlets.link((self, trait), (widget, "value"))
        unit = W.HBox([self._large, W.VBox([self._words], layout=W.Layout(padding="0 0 0 14px", width="250px"))])
        excited = W.VBox([W.HTML('<span class="dgm-note">images that excite it most; choose one to reconstruct</span>'),
                          self._exciting])  # fmt: skip
        switches = W.HBox([self.switch, self.all_on])
        rows = [unit, *([excited] if known else []), *([switches, self.image] if self.filters.decodes else [])]
        right = W.VBox(rows, layout=W.Layout(padding="0 0 0 22px"))
        hint = W.HTML('<span class="dgm-note">Choose a unit: click, or arrow keys. Weights: orange positive, '
                      "blue negative.</span>")  # fmt: skip
        left = W.VBox([W.HBox([self.ordering, self.scaling], layout=W.Layout(flex_flow="row wrap")), self._wall, hint],
                      layout=W.Layout(max_width="700px"))  # fmt: skip
        columns = W.HBox([left, right], layout=W.Layout(flex_flow="row wrap"))
        return [columns, *([self._row] if self.filters.decodes else []), self._message_box()]

    # --- choosing --------------------------------------------------------------------------------------------------

    @traitlets.validate("unit", "example", "off")
    def _known(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        most = len(self.filters.x if name == "example" and self.filters.x is not None else self.filters.units) - 1
        given = value if name == "off" else (value,)
        if not all(isinstance(i, int) and 0 <= i <= most for i in given):
            raise traitlets.TraitError(f"{name} must lie in 0 … {most}, got {value}")
        return tuple(sorted(set(value))) if name == "off" else value

    def _picked(self, change) -> None:
        if not self._still and change["new"] >= 0:
            self.unit = int(self._places[change["new"]])

    def _picked_image(self, change) -> None:
        if not self._still and change["new"] >= 0:
            self.example = int(self._best[change["new"]])

    def switch_unit(self, unit: int, on: bool) -> None:
        """Switch a unit off (hold it at 0 in every reconstruction), or on again."""
        self.off = tuple(set(self.off) - {unit} if on else {*self.off, unit})

    @traitlets.observe("unit")
    @reported
    def _chosen(self, _=None) -> None:
        if not self._still:
            self._show_unit()
            self._show_row()

    @traitlets.observe("example", "off")
    @reported
    def _changed(self, _=None) -> None:
        if not self._still:
            self._mark()
            self._show_row()

    @traitlets.observe("order", "scale")
    @reported
    def _ordered(self, _=None) -> None:
        if not self._still:
            self._show_wall()
            self._show_unit()

    @reported
    def refresh(self) -> None:
        """Look at the model again: it may have learned meanwhile."""
        self.filters.refresh()
        self._show_wall()
        self._show_unit()
        self._show_row()

    # --- what is shown ---------------------------------------------------------------------------------------------

    def _show_wall(self) -> None:
        """All filters, in the order asked for."""
        count = len(self.filters.units)
        self._places = np.arange(count)  # place on the wall -> unit
        if self.order == "activity":
            self._places = np.argsort(-self.filters.activities.mean(0), kind="stable")
        self._colored = signed_uint8(self.filters.weights, self.filters.largest(self.scale == "own"))
        side = min(56, max(self.filters.shape[1], 330 // self._columns))
        with self._quietly():
            self._wall.lay(self._colored[self._places], self._wall_words(), self._columns, side)
        self._mark()

    def _quietly(self):
        """Within, what is set on the parts calls nothing back."""
        return _Quiet(self)

    def _mark(self) -> None:
        """Frame what is chosen and cross out what is off."""
        with self._quietly():
            place = np.empty_like(self._places)
            place[self._places] = np.arange(len(place))
            self._wall.crossed = [int(place[j]) for j in self.off]
            self._wall.chosen, self._wall.text = int(place[self.unit]), self._unit_words()
            self.switch.value = self.unit in self.off
            self.switch.description = "Switch unit on" if self.switch.value else "Switch unit off"
            if self.filters.x is not None and self._exciting.count:
                found = np.flatnonzero(self._best == self.example)
                self._exciting.chosen = int(found[0]) if len(found) else -1
                self._exciting.text = f"image {self.example}" if len(found) else ""

    def _show_unit(self) -> None:
        """The chosen unit: its filter, its numbers, the images that it likes."""
        name = self.filters.units[self.unit]
        self._large.show(encode_png(self._colored[self.unit]), f"Weights of unit {name}; {self._unit_words()}")
        rows = "".join(f'<tr><th scope="row" style="text-align:left;font-weight:normal;padding-right:12px">{html.escape(a)}'
                       f'</th><td style="text-align:right">{html.escape(b)}</td></tr>' for a, b in self._numbers())  # fmt: skip
        head = f'<caption style="text-align:left">unit {name}</caption>'
        self._words.value = f'<table style="line-height:1.5">{head}{rows}</table>'
        if self.filters.x is not None:
            self._best = self.filters.exciting(self.unit, EXCITING)
            with self._quietly():
                words = f"The {len(self._best)} images that excite unit {name} most, the most exciting first: images "
                chosen = torch.as_tensor(self._best)
                images = self._as_images(self.filters.x[chosen.to(self.filters.x.device)].cpu())
                self._exciting.lay(images, words + ", ".join(map(str, self._best)), 5, 60)
        self._mark()

    def _as_images(self, x) -> np.ndarray:
        """Images in the model's values as uint8 (n, h, w, 1), ink on paper."""
        x = torch.as_tensor(x).float().reshape(-1, 1, *self.filters.shape)
        low, high = self.filters.low, self.filters.high
        return to_uint8((x - low) / max(high - low, 1e-12))

    def _show_row(self) -> None:
        """The image, and its reconstructions."""
        if not self.filters.decodes:
            return
        name, off = self.filters.units[self.unit], self.off
        rest = dict.fromkeys(off, 0.0)
        given = self.filters.x[self.example].reshape(self.filters.shape).float().cpu().numpy()
        settings = [{}, rest, {**rest, self.unit: 1.0}, {**rest, self.unit: 0.0}]
        everything, without, one, zero = self.filters.reconstruct(self.example, settings)
        few = f"{len(off)} unit{'s' * (len(off) != 1)}"
        self.reconstructions = {f"image {self.example}": given, "all units": everything}
        if off:
            self.reconstructions |= {f"{few} off": without, "change": everything - without}
        self.reconstructions |= {f"unit {name} at 1": one, f"unit {name} at 0": zero, "change ": one - zero}
        image = self._row_picture()
        self._row.width = image.width // SCALE
        self._row.show(encode_png(image), self._row_words())

    def _row_picture(self) -> Image.Image:
        drawn = []
        for words, image in self.reconstructions.items():
            if words.startswith("change"):
                largest = float(np.abs(image).max())
                pixels, words = signed_uint8(image[None], largest)[0], f"{words.strip()} up to {largest:.2f}"
            else:
                pixels = self._as_images(image[None])[0]
            drawn.append(captioned(framed(to_pil(pixels), SMALL), words))
        return beside(drawn, gap=8)

    # --- words -----------------------------------------------------------------------------------------------------

    def _numbers(self) -> list[tuple[str, str]]:
        """What is known of the chosen unit: (name, value)."""
        found = self.filters
        w = found.weights[self.unit]
        rows = [("weights from", f"{w.min():.2f} to {w.max():.2f}".replace("-", "−"))]
        if found.biases is not None:
            rows.append(("bias", f"{found.biases[self.unit]:.2f}".replace("-", "−")))
        if found.activities is not None:
            mean = found.activity(self.unit)
            if found.probabilities:
                rows.append((f"on, of {len(found.x)} images", f"{100 * mean:.1f} %"))
            else:
                spread = found.activities[:, self.unit].std()
                rows.append((f"code, {len(found.x)} images", f"{mean:.2f} ± {spread:.2f}".replace("-", "−")))
        return rows

    def _unit_words(self) -> str:
        off = ", switched off" if self.unit in self.off else ""
        return f"unit {self.filters.units[self.unit]}{off}: " + ", ".join(f"{a} {b}" for a, b in self._numbers())

    def _wall_words(self) -> str:
        found = self.filters
        size = f"{found.shape[0]}×{found.shape[1]}"
        sorted_ = ", most active first" if self.order == "activity" else ""
        return (f"Weights of {len(found.units)} hidden units as {size} images{sorted_}: orange positive, blue negative, "
                f"white zero; full color at {np.mean(found.largest(self.scale == 'own')):.2f}"
                f"{' on average' if self.scale == 'own' else ''}.")  # fmt: skip

    def _error(self, words: str) -> float:
        given = next(iter(self.reconstructions.values()))
        return float(np.abs(self.reconstructions[words] - given).mean())

    def _row_words(self) -> str:
        names = [words for words in self.reconstructions if not words.startswith("change")][1:]
        errors = ", ".join(f"{words} {self._error(words):.3f}" for words in names)
        return f"Image {self.example} and its reconstructions; mean distance a pixel: {errors}."

    # --- still picture ---------------------------------------------------------------------------------------------

    @property
    def alt(self) -> str:
        row = f" {self._row_words()}" if self.reconstructions else ""
        return f"{self._wall_words()} Chosen: {self._unit_words()}.{row}"

    def picture(self) -> Image.Image:
        """The wall, the chosen filter with its images, and the reconstructions."""
        count = len(self.filters.units)
        which = "the hidden units" if count <= STILL else f"{STILL} of {count} hidden units"
        wall = captioned(self._wall.still(STILL), f"weights of {which}")
        unit = [captioned(enlarged(to_pil(self._colored[self.unit]), LARGE), f"unit {self.filters.units[self.unit]}")]
        if self.filters.x is not None:
            unit.append(captioned(self._exciting.still(), "images that excite it most"))
        parts = [beside([wall, beside(unit, gap=10, down=True)], gap=20)]
        return beside([*parts, *([self._row_picture()] if self.reconstructions else [])], gap=12, down=True)


class _Quiet:
    """Keeps an explorer from answering its own parts."""

    def __init__(self, explorer):
        self.explorer = explorer

    def __enter__(self):
        self.before, self.explorer._still = self.explorer._still, True

    def __exit__(self, *_):
        self.explorer._still = self.before
