"""Small drawings with PIL: axes, markers, curves, words. A few milliseconds each, where a new figure takes a hundred.

Drawn at twice the size at which they are shown, so that they stay sharp on fine screens; the sizes in arguments are
the shown ("CSS") pixels.
"""

import functools
import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from .pixels import EDGE

__all__ = [
    "ACCENT",
    "INK",
    "MUTED",
    "OUTLINES",
    "PALETTE",
    "RING",
    "SCALE",
    "Plane",
    "arrows",
    "beside",
    "captioned",
    "marker",
    "square_ranges",
    "ticks",
]

SCALE = 2
INK, MUTED, FAINT, PAPER, ACCENT = "#222222", "#666666", "#e3e3e3", "#ffffff", "#d55e00"
RING = ((8, 8, INK), (8, 7, PAPER), (8, 4, ACCENT))  # radius, width, color: seen on ink, on paper and among points
# told apart by people with any kind of colour vision: Paul Tol's "muted" colours, https://personal.sron.nl/~pault/
PALETTE = ("#332288", "#cc6677", "#117733", "#ddaa33", "#88ccee", "#882255", "#44aa99", "#999933", "#aa4499", "#777777")


def _regular(corners: int, turn: float = 0.0, inner: float | None = None) -> list[tuple[float, float]]:
    """A regular polygon in the unit circle, the first corner on top; `inner` makes a star."""
    radii = [1.0] if inner is None else [1.0, inner]
    steps = corners * len(radii)
    angles = [2 * math.pi * (i / steps) - math.pi / 2 + turn for i in range(steps)]
    return [(radii[i % len(radii)] * math.cos(a), radii[i % len(radii)] * math.sin(a)) for i, a in enumerate(angles)]


def _turned(outline: Sequence[tuple[float, float]], angle: float) -> list[tuple[float, float]]:
    cos, sin = math.cos(angle), math.sin(angle)
    return [(cos * x - sin * y, sin * x + cos * y) for x, y in outline]


_PLUS = [(-0.35, -1), (0.35, -1), (0.35, -0.35), (1, -0.35), (1, 0.35), (0.35, 0.35),
         (0.35, 1), (-0.35, 1), (-0.35, 0.35), (-1, 0.35), (-1, -0.35), (-0.35, -0.35)]  # fmt: skip
# one marker shape beside each color, as outlines in the unit circle (x to the right, y down); the browser gets the same
OUTLINES = (
    _regular(16),
    _regular(4, math.pi / 4),
    _regular(3),
    _regular(4),
    _PLUS,
    _turned(_PLUS, math.pi / 4),
    _regular(3, math.pi),
    _regular(5, inner=0.45),
    _regular(6),
    [(-1, -0.4), (1, -0.4), (1, 0.4), (-1, 0.4)],
)


@functools.cache
def font(size: float, mono: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans (or Sans Mono), which comes with matplotlib and knows β, subscripts and the minus sign."""
    home = Path(importlib.util.find_spec("matplotlib").submodule_search_locations[0])
    return ImageFont.truetype(
        str(home / "mpl-data" / "fonts" / "ttf" / ("DejaVuSansMono.ttf" if mono else "DejaVuSans.ttf")),
        round(size * SCALE),
    )


def marker(draw: ImageDraw.ImageDraw, label: int, x: float, y: float, radius: float = 3.0, color: str | None = None):
    """Draw the marker of a label at image pixel (x, y)."""
    r = radius * SCALE
    outline = [(x + r * px, y + r * py) for px, py in OUTLINES[label % len(OUTLINES)]]
    draw.polygon(outline, fill=color or PALETTE[label % len(PALETTE)])


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) between low and high, about so many."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if raw <= m * power * (1 + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def log_ticks(low: float, high: float, about: int = 5) -> list[tuple[float, str]]:
    """Round numbers between 10^low and 10^high, about so many, as (logarithm to base 10, text)."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    for factors, apart in (((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 3)):
        found = [(k + math.log10(m), number(m * 10.0**k)) for k in powers[::apart] for m in factors]
        found = [(at, words) for at, words in found if low - 1e-9 <= at <= high + 1e-9]
        if len(found) <= about + 1:
            break
    return found


def number(value: float) -> str:
    """A number as text, with a real minus sign."""
    return f"{value:g}".replace("-", "−")


class Plane:
    """A pair of axes, drawn once; `sheet()` hands out copies to draw on, so that frames share frame, ticks and words.

    Args:
        width, height: size as shown; without a height the plane is square.
        x_range, y_range: (lowest, highest) value.
        x_label, y_label: what the axes measure, with the unit.
        logs: whether the values of x and of y are logarithms to base 10 of what the axes are to say.
    """

    def __init__(self, width: int, height: int | None, x_range, y_range, x_label: str = "", y_label: str = "",
                 logs: tuple[bool, bool] = (False, False)):  # fmt: skip
        self.x_range, self.y_range = _widened(x_range), _widened(y_range)
        about = max(2, (height or width) // 50)
        y_ticks = ticks(*self.y_range, about)
        if len(y_ticks) < 2:  # one number alone is no scale
            y_ticks = ticks(*self.y_range, 2 * about) or [self.y_range[0]]
        y_ticks = log_ticks(*self.y_range, about) if logs[1] else [(v, number(v)) for v in y_ticks]
        x_ticks = ticks(*self.x_range, about=max(2, width // 50))
        x_ticks = log_ticks(*self.x_range, max(2, width // 50)) if logs[0] else [(v, number(v)) for v in x_ticks]
        widest = max((font(9).getlength(words) for _, words in y_ticks), default=0)
        left = widest + (10 + (14 if y_label else 0)) * SCALE
        bottom = (18 + (15 if x_label else 0)) * SCALE
        across = width * SCALE - left - 8 * SCALE
        tall = round(across + 8 * SCALE + bottom) if height is None else height * SCALE
        image = Image.new("RGB", (width * SCALE, tall), PAPER)
        draw = ImageDraw.Draw(image)
        self.box = (left, 8 * SCALE, left + across, tall - bottom)
        for v, words in x_ticks:
            x, _ = self.at(v, self.y_range[0])
            draw.line([(x, self.box[1]), (x, self.box[3])], fill=FAINT, width=SCALE // 2)
            draw.text((x, self.box[3] + 4 * SCALE), words, fill=MUTED, font=font(9), anchor="mt")
        for v, words in y_ticks:
            _, y = self.at(self.x_range[0], v)
            draw.line([(self.box[0], y), (self.box[2], y)], fill=FAINT, width=SCALE // 2)
            draw.text((self.box[0] - 5 * SCALE, y), words, fill=MUTED, font=font(9), anchor="rm")
        draw.rectangle(self.box, outline="#999999", width=SCALE // 2)
        middle = (self.box[0] + self.box[2]) / 2
        draw.text((middle, image.height - 3 * SCALE), x_label, fill=INK, font=font(10), anchor="mb")
        if y_label:
            _upright(image, y_label, (self.box[1] + self.box[3]) / 2)
        self._blank = image

    def at(self, x, y):
        """Image pixels of the point (x, y): numbers or arrays."""
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        left, top, right, bottom = self.box
        return left + (x - x0) / (x1 - x0) * (right - left), bottom - (y - y0) / (y1 - y0) * (bottom - top)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its pictures, in image pixels."""
        return self._blank.size

    def sheet(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """A fresh copy of the axes, and a pen for it."""
        image = self._blank.copy()
        return image, ImageDraw.Draw(image)

    def keep(self, image: Image.Image) -> None:
        """Make what is drawn on this sheet part of every later one."""
        self._blank = image

    def scatter(self, image: Image.Image, xy: np.ndarray, radius: float = 1.8, color: str = PALETTE[0]) -> None:
        """Stamp a disc on every point of (n, 2) that lies within the axes; fast for thousands."""
        disc, half = _disc(radius)
        x, y = self.at(xy[:, 0], xy[:, 1])
        left, top, right, bottom = self.box
        inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
        for px, py in zip(x[inside].round().astype(int), y[inside].round().astype(int), strict=True):
            image.paste(color, (px - half, py - half), disc)

    def stamp(self, image: Image.Image, xy: np.ndarray, colors: np.ndarray, labels: np.ndarray, radius: float = 3.0):
        """Stamp a marker on every point of (n, 2) within the axes: colors uint8 (n, 3), and a label's shape each."""
        x, y = self.at(xy[:, 0], xy[:, 1])
        left, top, right, bottom = self.box
        inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
        stamps = {label: _marker_mask(label % len(OUTLINES), radius) for label in np.unique(labels).tolist()}
        for i in np.flatnonzero(inside).tolist():
            mask, half = stamps[int(labels[i])]
            image.paste(tuple(colors[i].tolist()), (round(x[i]) - half, round(y[i]) - half), mask)

    def curve(self, draw: ImageDraw.ImageDraw, x, y, color: str = PALETTE[0], width: float = 1.5,
              dash: tuple[float, float] | None = None) -> None:  # fmt: skip
        """A line through the points (x, y), two arrays of equal length; `dash` is the length of strokes and of gaps."""
        px, py = self.at(np.asarray(x, float), np.asarray(y, float))
        joint = (
            "curve" if len(px) < 32 else None
        )  # fine curves bend too little between points to need rounding, which is slow
        for part in _strokes(px, py, dash):
            draw.line(list(map(tuple, part.tolist())), fill=color, width=round(width * SCALE), joint=joint)

    def bars(self, draw: ImageDraw.ImageDraw, edges, heights, color: str) -> None:
        """A histogram: bar i stands between edges i and i + 1, from 0 to heights[i]."""
        x, top = self.at(np.asarray(edges, float), np.asarray([0.0, *heights], float))
        for left, right, y in zip(x[:-1], x[1:], top[1:], strict=True):
            if y < top[0]:
                draw.rectangle([left, y, right - SCALE / 2, top[0]], fill=color)

    def clip(self, image: Image.Image) -> Image.Image:
        """The picture itself, with everything outside of the axes again as it was on a fresh sheet."""
        left, top, right, bottom = (round(edge) for edge in self.box)
        right, bottom, (width, height) = right + 1, bottom + 1, self.size
        margins = ((0, 0, width, top), (0, bottom, width, height), (0, top, left, bottom), (right, top, width, bottom))
        for margin in margins:
            image.paste(self._blank.crop(margin), margin)
        return image


def _strokes(x: np.ndarray, y: np.ndarray, dash: tuple[float, float] | None) -> list[np.ndarray]:
    """A line through image pixels as one piece, or as dashes of equal length: a list of (n, 2)."""
    line = np.stack([x, y], 1)
    if dash is None:
        return [line]
    stroke, gap = dash[0] * SCALE, dash[1] * SCALE
    along = np.concatenate([[0.0], np.hypot(*np.diff(line, axis=0).T).cumsum()])
    starts = np.arange(0.0, along[-1], stroke + gap)
    ends = np.minimum(starts + stroke, along[-1])
    return [np.stack([np.interp(inside, along, part) for part in (x, y)], 1)
            for start, end in zip(starts, ends, strict=True)
            for inside in [[start, *along[(along > start) & (along < end)], end]]]  # fmt: skip


def square_ranges(clouds: Sequence[np.ndarray], outside: float, reach: float = 0.0) -> list[tuple[float, float]]:
    """Ranges of x and y, equally long, that hold points (n, 2), but for this fraction at either end of each axis; and
    −reach … reach."""
    seen = np.concatenate(list(clouds))
    seen = seen[np.isfinite(seen).all(1)]
    if not len(seen):
        raise ValueError("the points hold nothing but NaN or infinity; has training diverged?")
    low, high = np.quantile(seen, [outside, 1 - outside], axis=0)
    low, high = (np.minimum(low, -reach), np.maximum(high, reach)) if reach else (low, high)
    half = 0.54 * max(float((high - low).max()), 1e-6)
    return [(float(middle) - half, float(middle) + half) for middle in (low + high) / 2]


def _widened(bounds) -> tuple[float, float]:
    low, high = float(bounds[0]), float(bounds[1])
    return (low, high) if high > low else (low - 0.5, high + 0.5)


@functools.cache
def _disc(radius: float) -> tuple[Image.Image, int]:
    """A smooth disc as a mask, and half its side."""
    half = math.ceil(radius * SCALE)
    span = np.arange(-half, half + 1)
    distance = np.hypot(*np.meshgrid(span, span))
    return Image.fromarray((255 * np.clip(radius * SCALE + 0.5 - distance, 0, 1)).astype(np.uint8)), half


@functools.cache
def _marker_mask(label: int, radius: float) -> tuple[Image.Image, int]:
    """The marker of a label as a smooth mask, and half its side."""
    half, fine = math.ceil(radius * SCALE), 4
    side = (2 * half + 1) * fine
    mask = Image.new("L", (side, side))
    marker(ImageDraw.Draw(mask), label, side / 2, side / 2, radius * fine, "white")
    return mask.resize((2 * half + 1,) * 2, Image.Resampling.BOX), half


def arrows(draw: ImageDraw.ImageDraw, plane: Plane, start: np.ndarray, push: np.ndarray, color: str = INK) -> None:
    """Arrows with a white edge, from start to start + push, both (n, 2); those too short to be seen are left out."""
    starts, ends = (np.stack(plane.at(*points.T), 1) for points in (start, start + push))
    along = ends - starts
    length = np.linalg.norm(along, axis=1)
    for (x0, y0), (x1, y1), (dx, dy), pixels in zip(starts, ends, along, length, strict=True):
        if pixels < 3 * SCALE:  # too short for an arrow: the push is as good as none
            continue
        head = min(5 * SCALE, 0.5 * pixels) / pixels
        bx, by, wx, wy = x1 - head * dx, y1 - head * dy, -0.6 * head * dy, 0.6 * head * dx
        for ink, width in ((PAPER, 2.6), (color, 1.2)):
            draw.line([(x0, y0), (bx, by)], fill=ink, width=round(width * SCALE))
            draw.polygon([(x1, y1), (bx + wx, by + wy), (bx - wx, by - wy)], fill=color, outline=ink)


def _upright(image: Image.Image, words: str, middle: float) -> None:
    """Write along the left edge, from bottom to top, centred at image row `middle`."""
    box = font(10).getbbox(words, anchor="lt")
    strip = Image.new("RGB", (box[2] + 2, box[3] + 2), PAPER)
    ImageDraw.Draw(strip).text((1, 1), words, fill=INK, font=font(10), anchor="lt")
    turned = strip.transpose(Image.Transpose.ROTATE_90)
    image.paste(turned, (2 * SCALE, round(middle - turned.height / 2)))


def captioned(image: Image.Image, caption: str) -> Image.Image:
    """The image with one line of words above it, both on white."""
    words = font(10).getlength(caption)
    sheet = Image.new("RGB", (max(image.width, math.ceil(words) + 2), image.height + 17 * SCALE), PAPER)
    ImageDraw.Draw(sheet).text((0, 13 * SCALE), caption, fill=INK, font=font(10), anchor="ls")
    sheet.paste(image, (0, 17 * SCALE))
    return sheet


def beside(images: Sequence[Image.Image], gap: int = 12, down: bool = False) -> Image.Image:
    """Images in a row (or, `down`, in a column), tops (or left edges) aligned, on white."""
    gap *= SCALE
    along, across = (1, 0) if down else (0, 1)
    length = sum(image.size[along] for image in images) + gap * (len(images) - 1)
    size = (max(image.size[across] for image in images), length)
    sheet = Image.new("RGB", size if down else size[::-1], PAPER)
    place = 0
    for image in images:
        sheet.paste(image, (0, place) if down else (place, 0))
        place += image.size[along] + gap
    return sheet


def enlarged(image: Image.Image, width: int) -> Image.Image:
    """A small image enlarged, its pixels sharp, to about `width` shown pixels."""
    factor = max(1, round(width * SCALE / image.width))
    return image.convert("RGB").resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def framed(image: Image.Image, width: int) -> Image.Image:
    """`enlarged`, with a thin light grey line around it."""
    return ImageOps.expand(enlarged(image, width), SCALE, (EDGE,) * 3)


def legend(image: Image.Image, box, lines: Sequence[tuple[str, str, float, tuple[float, float] | None]],
           above: float | None = None) -> None:  # fmt: skip
    """Write what each line is, (words, color, width, dash), on white into the upper right corner of the box; or, so many
    pixels `above` it, into the lower right."""
    words = font(9.5)
    rows, widest = 15 * SCALE, max(words.getlength(name) for name, *_ in lines)
    left = box[2] - widest - 40 * SCALE
    top = box[1] + 5 * SCALE if above is None else box[3] - above * SCALE - rows * len(lines)
    draw = ImageDraw.Draw(image)
    draw.rectangle([left - 5 * SCALE, top - 2 * SCALE, box[2] - 3 * SCALE, top + rows * len(lines)], fill=PAPER)
    for i, (name, color, width, dash) in enumerate(lines):
        y = top + (i + 0.5) * rows
        for part in _strokes(np.array([left, left + 26 * SCALE]), np.array([y, y]), dash):
            draw.line(list(map(tuple, part)), fill=color, width=round(width * SCALE))
        draw.text((left + 32 * SCALE, y), name, fill=INK, font=words, anchor="lm")


def table(rows: Sequence[Sequence[str]]) -> Image.Image:
    """Rows of words as a picture: the first column from the left, the others against the right."""
    words, step, gap = font(10), 18 * SCALE, 16 * SCALE
    widths = [max(words.getlength(row[i]) for row in rows) for i in range(len(rows[0]))]
    edges = np.cumsum([widths[0]] + [gap + width for width in widths[1:]])
    image = Image.new("RGB", (math.ceil(edges[-1]) + 2, step * len(rows)), PAPER)
    draw = ImageDraw.Draw(image)
    for i, row in enumerate(rows):
        y = (i + 0.5) * step
        draw.text((0, y), row[0], fill=INK, font=words, anchor="lm")
        for text, edge in zip(row[1:], edges[1:], strict=True):
            draw.text((edge, y), text, fill=INK, font=words, anchor="rm")
    return image
