"""How `TrajectoryPlayer` draws one state: images, points in the plane, lines, or text."""

import math
import textwrap
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ..core import Space
from .drawing import INK, PALETTE, PAPER, SCALE, Plane, font
from .pixels import enlarge, image_shape, tile, to_pil, to_uint8

__all__ = ["view_for"]


def view_for(states: Sequence[Tensor], width: int, space: Space | None = None, data: Tensor | None = None, text=None,
             lines: int = 8):  # fmt: skip
    """The view that suits the states (all of one shape), `width` CSS pixels wide; of text, so many lines.

    A view has `frame(state)`, a picture at twice that width; `describe()`, words; and how a film strip is laid out.
    """
    shape = tuple(states[0].shape[1:])
    if any(state.shape != states[0].shape for state in states):
        raise ValueError(f"all states must have one shape, got {sorted({tuple(s.shape) for s in states})}")
    if not states[0].is_floating_point() or text is not None:
        return TextView(states, width, text, lines)
    if image_shape(shape) is not None and min(shape[-2:]) > 1:
        return ImagesView(states, width, space)
    flat = [state.flatten(1) for state in states]
    if flat[0].shape[1] == 2:
        return ScatterView(flat, width, data)
    if len(shape) == 1 or max(shape) == flat[0].shape[1]:
        return LinesView(flat, width)
    raise ValueError("TrajectoryPlayer shows images (1 or 3, height, width), points (2,), series (length,) and tokens; "
                     f"these states have shape {shape}")  # fmt: skip


class ImagesView:
    """A grid of images. Values are shown from 0 to 1; of a real space, from the lowest to the highest of the last state.

    Grey images are ink on paper: the lowest value is white, the highest black.
    """

    strip_length, strip_width, strip_down = 6, 110, False

    def __init__(self, states: Sequence[Tensor], width: int, space: Space | None):
        self.width, self.n = width, len(states[0])
        self.low, self.high = 0.0, 1.0
        if space is not None and space.kind == "real":
            self.low, self.high = _range(states[-1:], 0.01)

    def frame(self, state: Tensor) -> Image.Image:
        images = to_uint8((state - self.low) / (self.high - self.low))
        columns = math.ceil(math.sqrt(self.n))
        factor = max(1, round(self.width * SCALE / (columns * images.shape[2])))
        return to_pil(tile(enlarge(images, factor), columns, gap=SCALE, outer=True))

    def describe(self) -> str:
        return f"{self.n} images in a grid"


class ScatterView:
    """Points in the plane; both axes have one scale, the same for every state."""

    strip_length, strip_width, strip_down = 5, 150, False

    def __init__(self, states: Sequence[Tensor], width: int, data: Tensor | None):
        self.n = len(states[0])
        seen = states if data is None else [*states, data]
        bounds = [_range([s[:, i : i + 1] for s in seen], 0.002) for i in range(2)]
        reach = 0.54 * max(high - low for low, high in bounds)
        ranges = [((low + high) / 2 - reach, (low + high) / 2 + reach) for low, high in bounds]
        self.radius = 1.6 if self.n <= 600 else 1.0
        plane = Plane(width, None, *ranges, "x₁", "x₂")
        if data is not None:
            image, _ = plane.sheet()
            plane.scatter(image, data.detach().cpu().numpy()[:2000], 1.0, "#c4c4c4")
            plane.keep(image)
        self.plane = plane

    def frame(self, state: Tensor) -> Image.Image:
        image, _ = self.plane.sheet()
        self.plane.scatter(image, state.flatten(1).numpy(), self.radius)
        return image

    def describe(self) -> str:
        return f"{self.n} points in the plane"


class LinesView:
    """Each example a line over its entries; the first eight are drawn."""

    strip_length, strip_width, strip_down = 4, 200, False

    def __init__(self, states: Sequence[Tensor], width: int):
        self.n, length = states[0].shape
        self.entries = np.arange(1, length + 1)
        low, high = _range([s[:8] for s in states], 0.0)
        margin = 0.05 * (high - low)
        self.plane = Plane(width, width * 3 // 5, (1, length), (low - margin, high + margin), "entry", "value")

    def frame(self, state: Tensor) -> Image.Image:
        image, draw = self.plane.sheet()
        for i, line in enumerate(state.flatten(1)[:8].numpy()):
            self.plane.curve(draw, self.entries, line, PALETTE[i % len(PALETTE)], width=1.2)
        return image

    def describe(self) -> str:
        return f"{min(self.n, 8)} lines of {len(self.entries)} entries"


class TextView:
    """Each example a line of text, the first `lines` of them."""

    strip_length, strip_width, strip_down = 3, 380, True

    def __init__(self, states: Sequence[Tensor], width: int, text: str | Callable[[list[int]], str] | None, lines: int):
        self.width, self.shown = width, min(lines, len(states[0]))
        self.text = text
        self.columns = max(8, int(width / (font(11, mono=True).getlength("m") / SCALE)) - 4)
        self.rows = 1 + max(sum(len(lines) for lines in self._lines(state)) for state in (states[0], states[-1]))

    def _words(self, tokens: list[int]) -> str:
        if self.text is None:
            return " ".join(map(str, tokens))
        if callable(self.text):
            return str(self.text(tokens))
        if not all(0 <= token < len(self.text) for token in tokens):
            raise ValueError(f"text names {len(self.text)} characters, but a state holds tokens "
                             f"{min(tokens)} … {max(tokens)}")  # fmt: skip
        return "".join(self.text[token] for token in tokens)

    def _lines(self, state: Tensor) -> list[list[str]]:
        flat = state.flatten(1)[: self.shown].long().tolist()
        return [textwrap.wrap(self._words(tokens).replace("\n", "↵"), self.columns, drop_whitespace=False) or [""]
                for tokens in flat]  # fmt: skip

    def frame(self, state: Tensor) -> Image.Image:
        step = 16 * SCALE
        image = Image.new("RGB", (self.width * SCALE, self.rows * step + 8 * SCALE), PAPER)
        draw, y = ImageDraw.Draw(image), 6 * SCALE
        for i, lines in enumerate(self._lines(state)):
            for first, line in zip([True] + [False] * len(lines), lines, strict=False):
                if first:
                    draw.text((4 * SCALE, y), str(i + 1), fill="#888888", font=font(9))
                draw.text((20 * SCALE, y), line, fill=INK, font=font(11, mono=True))
                y += step
        return image

    def describe(self) -> str:
        return f"{self.shown} lines of text"


def _range(states: Sequence[Tensor], outside: float) -> tuple[float, float]:
    """Lowest and highest value of all states, leaving out this fraction at either end."""
    values = torch.cat([state.detach().flatten().float().cpu() for state in states])
    values = values[torch.isfinite(values)]
    if not len(values):
        raise ValueError("the states hold nothing but NaN or infinity; has training diverged?")
    low, high = np.quantile(values.numpy(), [outside, 1 - outside])
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)
