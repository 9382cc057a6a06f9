"""All models of a scoreboard in one picture: two quantities against each other, with what is known of each number."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from ..evaluation.report import QUANTITIES
from ..evaluation.scoreboard import Entry
from .contest import Contest
from .drawing import INK, MUTED, OUTLINES, PALETTE, PAPER, SCALE, Plane, font, marker

__all__ = ["RINGS", "ScorePlane", "mark_of"]

RINGS = ("#0072b2", "#d55e00")  # around the two models that are compared, A and B
ASIDE, ROW = 150, 19  # width of the column of models without a place, and height of a line there
ARROW, RING = 17, 11  # length of an arrow on an open side, and radius of a ring
LOGARITHMIC = 30.0  # from this ratio of the largest to the smallest on, positive numbers stand on a logarithmic axis
FAR = 20  # from this distance on a line joins a name to its dot
LONGEST = 24  # characters of a name in the picture

Box = tuple[float, float, float, float]  # left, top, right, bottom


def mark_of(index: int) -> tuple[int, str]:
    """Shape and color of model number `index`; no two of the first hundred have both alike."""
    return index % len(OUTLINES), PALETTE[(index + 3 * (index // len(OUTLINES))) % len(PALETTE)]


class ScorePlane:
    """Models as dots, `rank` to the right and `against` upward; drawn once for two quantities.

    A line through a dot says between what the truth lies; an arrow marks a side on which a bound is open. Models that
    lack either number stand in a column at the side, with the reason; below them those that are left out.

    Args:
        contest: the numbers.
        rank, against: the quantities.
        better_half: only the better half, by `rank`, of those that could be placed; so outliers do not crowd the others.
        width, height: size as shown.

    Attributes:
        places: model -> where it stands, (x, y) in image pixels.
        unplaced, outside: models without a number, and those left out: both stand at the side.
        size, box, x_range, y_range: of the whole picture, as a `HandlePicture` takes a plane.
    """

    def __init__(self, contest: Contest, rank: str, against: str, better_half: bool = False,
                 width: int = 620, height: int = 430):  # fmt: skip
        self.contest, self.quantities = contest, (rank, against)
        self._entries = [contest.placed(name) for name in self.quantities]
        self.unplaced = [model for model in contest.models if not all(model in found for found in self._entries)]
        order = [line.model for line in contest.ranking(rank) if line.model not in self.unplaced]
        self.outside = order[max(2, math.ceil(len(order) / 2)) :] if better_half else []
        self.aside = [*self.unplaced, *self.outside]
        axes = [_Axis([found[m] for m in found if m not in self.aside]) for found in self._entries]
        self._axes = axes
        self._plane = Plane(width - (ASIDE if self.aside else 0), height, *(axis.range for axis in axes),
                            *map(self._label, self.quantities), logs=tuple(axis.log for axis in axes))  # fmt: skip
        self.size = (width * SCALE, height * SCALE)
        self.box, self.x_range, self.y_range = (0, 0, *self.size), (0, self.size[0]), (0, self.size[1])
        self.places: dict[str, tuple[float, float]] = {}
        self._names: dict[str, tuple[float, float]] = {}  # where a name begins
        self._blank = self._drawn_once()

    def _label(self, quantity: str) -> str:
        better, unit = QUANTITIES[quantity].better, self.contest.unit(quantity)
        named = f"{quantity}, {unit}" if unit else quantity
        return f"{named} ({better} is better)" if better else named

    # --- drawn once ------------------------------------------------------------------------------------------------

    def _drawn_once(self) -> Image.Image:
        image = Image.new("RGB", self.size, PAPER)
        image.paste(self._plane.sheet()[0])
        pen = ImageDraw.Draw(image)
        models = self.contest.models
        standing = [model for model in models if model not in self.aside]
        for model in standing:
            self.places[model] = self._point(model)
        for model in standing:
            self._whiskers(pen, model, mark_of(models.index(model))[1], 1.0, ARROW * SCALE)
        for model in standing:
            shape, color = mark_of(models.index(model))
            marker(pen, shape, *self.places[model], 6.0, PAPER)
            marker(pen, shape, *self.places[model], 5.0, color)
        self._write_names(pen, standing)
        if self.aside:
            self._list_aside(pen)
        return image

    def _point(self, model: str) -> tuple[float, float]:
        values = [axis.of(found[model].value) for axis, found in zip(self._axes, self._entries, strict=True)]
        x, y = self._plane.at(*values)
        return float(x), float(y)

    def _whiskers(self, pen: ImageDraw.ImageDraw, model: str, color: str, width: float, arrow: float) -> None:
        """The interval of each number, with an arrow of so many image pixels on an open side."""
        at, thick = self.places[model], round(width * SCALE)
        for k, direction, end, open_ended in self._sides(model, arrow):
            if open_ended or abs(end - at[k]) >= SCALE:
                pen.line([at, _moved(at, k, end)], fill=color, width=thick)
            if open_ended:
                _head(pen, _moved(at, k, end), k, color, direction)
            elif abs(end - at[k]) >= SCALE:
                cap = [_moved(_moved(at, k, end), 1 - k, at[1 - k] + d) for d in (-3 * SCALE, 3 * SCALE)]
                pen.line(cap, fill=color, width=thick)

    def _write_names(self, pen: ImageDraw.ImageDraw, models: Sequence[str]) -> None:
        """Each name beside its dot, where it covers neither dots, lines nor other names, as far as there is room.

        A name that had to go farther away is joined to its dot by a thin line.
        """
        taken = np.array([box for model in models for box in self._covered(model)])  # (boxes, 4)
        left, top, right, bottom = self._plane.box
        for model in sorted(models, key=lambda m: self.places[m][1]):
            (x, y), wide, tall = self.places[model], font(9).getlength(_shortened(model)), 11 * SCALE
            dx, dy = SCALE * _OFFSETS.T
            begin = x + dx - np.select([dx < 0, dx == 0], [wide, wide / 2], 0)
            boxes = np.stack([begin, y + dy - tall / 2, begin + wide, y + dy + tall / 2], 1)  # (offsets, 4)
            inside = (boxes[:, :2] >= (left, top)).all(1) & (boxes[:, 2:] <= (right, bottom)).all(1)
            others = np.array([self.places[other] for other in models if other != model]).reshape(-1, 2)
            cost = _overlaps(boxes, taken) + 1.5 * np.abs(dx) + 2 * np.abs(dy) + 1e6 * ~inside
            cost += 300 * SCALE * _crossed(boxes, np.array([x, y]), others, 7 * SCALE)
            chosen = boxes[cost.argmin()]
            taken = np.concatenate([taken, chosen[None]])
            self._names[model] = (chosen[0], chosen[1] + tall / 2)
            nearest = np.clip((x, y), chosen[:2], chosen[2:])
            if math.dist(nearest, (x, y)) > FAR * SCALE:
                pen.line([*nearest, x, y], fill=MUTED, width=1)
                shape, color = mark_of(self.contest.models.index(model))
                marker(pen, shape, x, y, 5.0, color)
        for model in models:
            self._write_name(pen, model)

    def _covered(self, model: str) -> list[Box]:
        """The boxes that a dot and its lines fill."""
        (x, y), half, found = self.places[model], 3 * SCALE, []
        for k, _, end, _ in self._sides(model, ARROW * SCALE):
            far = _moved((x, y), k, end)
            found.append((min(x, far[0]) - half * k, min(y, far[1]) - half * (1 - k),
                          max(x, far[0]) + half * k, max(y, far[1]) + half * (1 - k)))  # fmt: skip
        return [(x - 2 * half, y - 2 * half, x + 2 * half, y + 2 * half), *found]

    def _write_name(self, pen: ImageDraw.ImageDraw, model: str) -> None:
        pen.text(self._names[model], _shortened(model), fill=INK, font=font(9), anchor="lm", stroke_width=SCALE,
                 stroke_fill=PAPER)  # fmt: skip

    def _sides(self, model: str, arrow: float) -> list[tuple[int, int, float, bool]]:
        """Both sides of both numbers: axis, direction in image pixels, where the line ends, and whether it is open there."""
        left, top, right, bottom = self._plane.box
        at, found = self.places[model], []
        for k, (axis, entries) in enumerate(zip(self._axes, self._entries, strict=True)):
            first, last = ((left, right), (bottom, top))[k]
            forth = 1 if last > first else -1
            for value, direction, edge in ((entries[model].low, -forth, first), (entries[model].high, forth, last)):
                if math.isinf(value):
                    free = max(0.0, direction * (edge - at[k]) - SCALE)
                    found.append((k, direction, at[k] + direction * min(arrow, free), True))
                else:
                    found.append((k, direction, first + axis.part(value) * (last - first), False))
        return found

    def _list_aside(self, pen: ImageDraw.ImageDraw) -> None:
        """Models without a place, each with the reason in a few words, then those left out, as far as there is room."""
        left, y, last = self.size[0] - (ASIDE - 14) * SCALE, 18 * SCALE, self.size[1] - 2 * ROW * SCALE
        crowded = []
        for heading, models in (("not placed:", self.unplaced), ("outside:", self.outside)):
            if models:
                pen.text((left, y), heading, fill=MUTED, font=font(10), anchor="lm")
                y += ROW * SCALE
            for model in models:
                if y > last:
                    crowded.append(model)
                    continue
                self.places[model] = (left + 6 * SCALE, y)
                shape, color = mark_of(self.contest.models.index(model))
                marker(pen, shape, *self.places[model], 5.0, color)
                pen.text((left + 20 * SCALE, y), _shortened(model, 20), fill=INK, font=font(9), anchor="lm")
                y += ROW * SCALE
                if model in self.unplaced:
                    spot = (left + 20 * SCALE, y - 5 * SCALE)
                    pen.text(spot, self._reason(model), fill=MUTED, font=font(8.5), anchor="lm")
                    y += ROW * SCALE
        y = self.size[1] - ROW * SCALE
        self.places.update({model: (left + 6 * SCALE, y) for model in crowded})
        if crowded:
            words = f"and {len(crowded)} more, see the table"
            pen.text((left + 20 * SCALE, y), words, fill=MUTED, font=font(9), anchor="lm")

    def _reason(self, model: str) -> str:
        lacking = [name for name in self.quantities if self.contest.missing(model, name)]
        if not self.contest.scoreboard.reports.get(model):
            return "failed"
        name = lacking[0]
        return f"{name}: +C" if "+C" in self.contest.missing(model, name) else f"no {name}"

    # --- for a choice of two ---------------------------------------------------------------------------------------

    def drawn(self, first: str, second: str, rings: bool = False) -> Image.Image:
        """The picture with the intervals of these two full length, and, for a still picture, with their rings."""
        image = self._blank.copy()
        pen = ImageDraw.Draw(image)
        for model, color in zip((second, first), RINGS[::-1], strict=True):
            if model not in self.aside:
                self._whiskers(pen, model, color, 2.2, math.inf)
            shape, own = mark_of(self.contest.models.index(model))
            marker(pen, shape, *self.places[model], 6.5, PAPER)
            marker(pen, shape, *self.places[model], 5.5, own)
        for model in (first, second):
            if model in self._names:
                self._write_name(pen, model)
        if rings:
            for letter, model, color in (("B", second, RINGS[1]), ("A", first, RINGS[0])):
                x, y, r = *self.places[model], RING * SCALE
                pen.ellipse([x - r, y - r, x + r, y + r], outline=color, width=3 * SCALE)
                place = (x - r, y - r) if letter == "A" else (x + r, y - r)
                pen.text(
                    place, letter, fill=color, font=font(13), anchor="mm", stroke_width=2 * SCALE, stroke_fill=PAPER
                )
        return image

    def value_of(self, model: str) -> tuple[float, float]:
        """Where a model's handle lies, in the values of `x_range` and `y_range`: from the lower left corner up."""
        x, y = self.places[model]
        return x, self.size[1] - y

    def nearest(self, across: float, up: float) -> str:
        """The model nearest to a place, in parts of the picture from its lower left corner."""
        x, y = across * self.size[0], (1 - up) * self.size[1]
        return min(self.places, key=lambda model: math.dist(self.places[model], (x, y)))

    def beside(self, model: str, across: int, up: int) -> str:
        """The model so many places further to the right (and up) of this one; those at the ends stay."""
        for axis, steps in ((0, across), (1, -up)):
            order = sorted(self.contest.models, key=lambda m: (self.places[m][axis], self.places[m][1 - axis]))
            model = order[min(max(order.index(model) + steps, 0), len(order) - 1)]
        return model


class _Axis:
    """The range that holds all finite ends of these numbers, on a logarithmic scale where they span much."""

    def __init__(self, entries: Sequence[Entry]):
        ends = [v for e in entries for v in (e.low, e.high, e.value) if math.isfinite(v)] or [0.0]
        self.log = min(ends) > 0 and max(ends) / min(ends) > LOGARITHMIC
        low, high = self.of(min(ends)), self.of(max(ends))
        margin = 0.07 * (high - low) or 0.5
        self.range = (low - margin, high + margin)

    def of(self, value: float) -> float:
        """A number as the plane takes it."""
        return math.log10(value) if self.log else value

    def part(self, value: float) -> float:
        """Where it lies between the ends of the axis, 0 … 1."""
        return (self.of(value) - self.range[0]) / (self.range[1] - self.range[0])


_OFFSETS = np.array(
    [
        (dx, dy)
        for dx in (14, -14, 0, 34, -34, 60, -60, 90, -90)
        for dy in (0, 8, -8, 15, -15, 22, -22, 30, -30, 45, -45, 60, -60, 75, -75)
        if dx or abs(dy) > 14
    ]
)


def _head(pen: ImageDraw.ImageDraw, tip: tuple[float, float], axis: int, color: str, direction: int) -> None:
    """The head of an arrow along one axis."""
    back = tip[axis] - direction * 5 * SCALE
    wings = [_moved(_moved(tip, axis, back), 1 - axis, tip[1 - axis] + d) for d in (-3 * SCALE, 3 * SCALE)]
    pen.polygon([tip, *wings], fill=color)


def _moved(at: tuple[float, float], axis: int, to: float) -> tuple[float, float]:
    return (to, at[1]) if axis == 0 else (at[0], to)


def _overlaps(boxes: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """The area that each box, (n, 4), shares with all that is taken, (m, 4): (n,)."""
    low = np.maximum(boxes[:, None, :2], taken[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], taken[None, :, 2:])
    return np.clip(high - low, 0, None).prod(2).sum(1)


def _crossed(boxes: np.ndarray, dot: np.ndarray, others: np.ndarray, room: float) -> np.ndarray:
    """How many other dots, (m, 2), lie so near to the line from each box, (n, 4), to its dot, (2,): (n,)."""
    way = np.clip(dot, boxes[:, :2], boxes[:, 2:]) - dot  # (n, 2)
    part = (way @ (others - dot).T) / np.maximum(
        (way**2).sum(1, keepdims=True), 1e-9
    )  # (n, m), 0 at the dot, 1 at the box
    gap = dot + np.clip(part, 0, 1)[..., None] * way[:, None] - others  # (n, m, 2)
    return ((gap**2).sum(2) < room**2).sum(1)


def _shortened(name: str, most: int = LONGEST) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
