"""How `TrajectoryPlayer` draws one state: images, points in the plane, lines, or text."""

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ..core import Space
from .drawing import ACCENT, INK, PALETTE, PAPER, SCALE, Plane, font, square_ranges
from .pixels import enlarge, image_shape, tile, to_pil, to_uint8

__all__ = ["Marks", "view_for"]

TO_COME = (206, 222, 238)  # a pale blue in place of what is not drawn yet
GIVEN = (230, 120, 30)  # an orange mixed into what is given
DOT = "·"  # a character that is still to come


class Marks(NamedTuple):
    """What is special about the entries of a state, of which one after the other is drawn.

    Attributes:
        waiting: bools (n, dim): not drawn yet.
        given: bools (n, dim): not drawn at all, but given; or None.
        newest: which entry was drawn last; None when all are drawn.
    """

    waiting: Tensor
    given: Tensor | None
    newest: int | None


def view_for(states: Sequence[Tensor], width: int, space: Space | None = None, data: Tensor | None = None, text=None,
             lines: int = 8):  # fmt: skip
    """The view that suits the states (all of one shape), `width` CSS pixels wide; of text, so many lines.

    A view has `frame(state, marks)`, a picture at twice that width; `describe()`, words; and how a film strip is laid out.
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

    def frame(self, state: Tensor, marks: Marks | None = None) -> Image.Image:
        images = to_uint8((state - self.low) / (self.high - self.low))
        columns = math.ceil(math.sqrt(self.n))
        factor = max(1, round(self.width * SCALE / (columns * images.shape[2])))
        large = enlarge(images if marks is None else self._tinted(images, marks), factor)
        if marks is not None and marks.newest is not None and factor > 3:
            self._frame_newest(large, marks.newest % (images.shape[1] * images.shape[2]), factor)
        return to_pil(tile(large, columns, gap=SCALE, outer=True))

    @staticmethod
    def _tinted(images: np.ndarray, marks: Marks) -> np.ndarray:
        """Pixels to come in blue, given ones a little orange: uint8 (n, h, w, c) -> (n, h, w, 3)."""
        n, height, width, _ = images.shape
        images = np.repeat(images, 3, -1) if images.shape[-1] == 1 else images.copy()
        images[marks.waiting.reshape(n, -1, height, width).any(1).numpy()] = TO_COME
        if marks.given is not None:
            given = marks.given.reshape(n, -1, height, width).all(1).numpy()
            images[given] = (0.75 * images[given] + 0.25 * np.array(GIVEN)).round()
        return images

    @staticmethod
    def _frame_newest(images: np.ndarray, pixel: int, factor: int) -> None:
        """A line around a pixel of every image (n, h, w, 3), in place."""
        row, column = divmod(pixel, images.shape[2] // factor)
        line = max(1, factor // 6)
        part = images[:, row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
        for side in (part[:, :line], part[:, -line:], part[:, :, :line], part[:, :, -line:]):
            side[:] = [int(ACCENT[i : i + 2], 16) for i in (1, 3, 5)]

    def describe(self) -> str:
        return f"{self.n} images in a grid"


class ScatterView:
    """Points in the plane; both axes have one scale, the same for every state."""

    strip_length, strip_width, strip_down = 5, 150, False

    def __init__(self, states: Sequence[Tensor], width: int, data: Tensor | None):
        self.n = len(states[0])
        seen = states if data is None else [*states, data]
        ranges = square_ranges([s.detach().cpu().numpy() for s in seen], 0.002)
        self.radius = 1.6 if self.n <= 600 else 1.0
        plane = Plane(width, None, *ranges, "x₁", "x₂")
        if data is not None:
            image, _ = plane.sheet()
            plane.scatter(image, data.detach().cpu().numpy()[:2000], 1.0, "#c4c4c4")
            plane.keep(image)
        self.plane = plane

    def frame(self, state: Tensor, marks: Marks | None = None) -> Image.Image:
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

    def frame(self, state: Tensor, marks: Marks | None = None) -> Image.Image:
        image, draw = self.plane.sheet()
        for i, line in enumerate(state.flatten(1)[:8].numpy()):
            known = slice(None) if marks is None else ~marks.waiting[i].numpy()
            if len(line[known]) > 1:
                self.plane.curve(draw, self.entries[known], line[known], PALETTE[i % len(PALETTE)], width=1.2)
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

    def _spelled(self, tokens: list[int], waiting: list[bool]) -> str:
        """The text, dots for characters to come; what only a function can spell shows nothing of what is to come."""
        if isinstance(self.text, str):
            words = self._words(tokens)
            return "".join(DOT if wait else character for character, wait in zip(words, waiting, strict=True))
        dots = [DOT] * sum(waiting)
        words = self._words([token for token, wait in zip(tokens, waiting, strict=True) if not wait])
        return " ".join([words, *dots]) if self.text is None else words + "".join(dots)

    def _words(self, tokens: list[int]) -> str:
        if self.text is None:
            return " ".join(map(str, tokens))
        if callable(self.text):
            return str(self.text(tokens))
        if not all(0 <= token < len(self.text) for token in tokens):
            raise ValueError(f"text names {len(self.text)} characters, but a state holds tokens "
                             f"{min(tokens)} … {max(tokens)}")  # fmt: skip
        return "".join(self.text[token] for token in tokens)

    def _lines(self, state: Tensor, marks: Marks | None = None) -> list[list[str]]:
        flat = state.flatten(1)[: self.shown].long().tolist()
        texts = map(self._words, flat) if marks is None else map(self._spelled, flat, marks.waiting.tolist())
        return [textwrap.wrap(text.replace("\n", "↵"), self.columns, drop_whitespace=False) or [""] for text in texts]

    def frame(self, state: Tensor, marks: Marks | None = None) -> Image.Image:
        step = 16 * SCALE
        image = Image.new("RGB", (self.width * SCALE, self.rows * step + 8 * SCALE), PAPER)
        draw, y = ImageDraw.Draw(image), 6 * SCALE
        for i, lines in enumerate(self._lines(state, marks)):
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
