"""Pictures of the arena: quality against sampling time and likelihood, and clouds of samples, family by density."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, ScalarFormatter
from torch import Tensor

from .figures import COLORS, MARKERS, array, new_figure

__all__ = ["Contender", "plot_clouds", "plot_pareto"]


class Contender(NamedTuple):
    """A model in a picture of trade-offs.

    Attributes:
        name: written beside it.
        time: milliseconds a sample.
        quality: a distance between samples and data: lower is better.
        log_prob: nats per example; None where there is none that could be compared.
        kind: "=", "≥" or "≈".
    """

    name: str
    time: float
    quality: float
    log_prob: float | None
    kind: str


def plot_pareto(
    contenders: Sequence[Contender], floor: float | None = None, quality: str = "Fréchet distance"
) -> Figure:
    """Two views of all models: distance of samples against sampling time, and against −log p. Lower left is better.

    A line joins those that no other beats in both. Arrows mark bounds: the truth may lie further to the left.

    Args:
        contenders: one a model.
        floor: the distance that real examples have from each other, a dashed line.
        quality: what the vertical axis is called.
    """
    figure, (left, right) = new_figure(9.2, 4.6, 1, 2, sharey=True)
    scored = [one for one in contenders if one.log_prob is not None]
    marks = {one.name: (COLORS[i % len(COLORS)], MARKERS[i // len(COLORS) + i % len(MARKERS) - len(MARKERS)])
             for i, one in enumerate(contenders)}  # fmt: skip
    for axis, shown, place in ((left, contenders, lambda c: c.time), (right, scored, lambda c: -c.log_prob)):
        for one in shown:
            color, marker = marks[one.name]
            axis.plot(place(one), one.quality, marker=marker, color=color, ls="", ms=7, label=one.name)
            if axis is right and one.kind == "≥":
                axis.annotate("", (place(one), one.quality), xytext=(-14, 0), textcoords="offset points",
                              arrowprops={"arrowstyle": "<-", "color": color, "lw": 0.9})  # fmt: skip
        front = _front([(place(one), one.quality) for one in shown])
        if front:
            axis.plot(*zip(*front, strict=True), color="#888888", lw=1, ls=":", zorder=0)
        if floor is not None:
            axis.axhline(floor, color="#444444", lw=0.9, ls="--", zorder=0)
    left.set(xlabel="milliseconds a sample", ylabel=quality, xscale="log", yscale="log")
    left.yaxis.set_major_formatter(ScalarFormatter())
    left.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.7)))
    right.set(xlabel="−log p(x), nats (arrow: at most)")
    for axis, shown, place in ((left, contenders, lambda c: c.time), (right, scored, lambda c: -c.log_prob)):
        axis.margins(x=0.16, y=0.08)
        _label(
            figure,
            axis,
            [(one.name, place(one), one.quality) for one in shown],
            {one.name for one in shown if axis is right and one.kind == "≥"},
        )
    if floor is not None:
        left.annotate("real images", (1.0, floor), xycoords=("axes fraction", "data"), xytext=(-2, -8),
                      textcoords="offset points", fontsize=7.5, color="#444444", ha="right")  # fmt: skip
    return figure


def _label(
    figure: Figure, axis, named: Sequence[tuple[str, float, float]], arrows: set[str], size: float = 7.5
) -> None:
    """Write each name beside its point, where it covers no point, arrow or other name, as far as there is room.

    A name that found room only at a distance, or nearer to another point than to its own, gets a thin line to its own.
    """
    if not named:
        return
    figure.draw_without_rendering()
    points = axis.transData.transform([(x, y) for _, x, y in named])  # (n, 2), pixels
    unit = figure.dpi / 72  # pixels in a typographic point
    taken = [
        (x - (14 if name in arrows else 4) * unit, y - 4 * unit, x + 4 * unit, y + 4 * unit)
        for (name, *_), (x, y) in zip(named, points, strict=True)
    ]
    for (name, x, y), (across, up) in sorted(zip(named, points, strict=True), key=lambda pair: pair[1][1]):
        width, height = 0.56 * size * unit * len(name), 1.1 * size * unit
        best = None
        for dx, dy in _OFFSETS:
            left = across + dx * unit - (width if dx < 0 else 0 if dx > 0 else width / 2)
            below = up + dy * unit - height / 2
            box = (left, below, left + width, below + height)
            cost = sum(_overlap(box, other) for other in taken) + 0.01 * (abs(dx) + abs(dy)) * unit
            inside = axis.bbox.x0 <= box[0] and box[2] <= axis.bbox.x1 + 20 and axis.bbox.y0 <= box[1]
            gap, strange = _gap(box, (across, up)), min((_gap(box, p) for p in points if tuple(p) != (across, up)), default=np.inf)  # fmt: skip
            misleading = strange < gap + 2 * unit
            cost += (0 if inside else 1e4) + 20 * misleading * unit**2
            if best is None or cost < best[0]:
                best = (cost, dx, dy, box, misleading or gap > 9 * unit)
        _, dx, dy, box, far = best
        taken.append(box)
        line = {"arrowstyle": "-", "lw": 0.5, "color": "#777777", "shrinkA": 1, "shrinkB": 3} if far else None
        axis.annotate(name, (x, y), xytext=(dx, dy), textcoords="offset points", fontsize=size, arrowprops=line,
                      ha="right" if dx < 0 else "left" if dx > 0 else "center", va="center")  # fmt: skip


_OFFSETS = [(dx, dy) for dx in (7, -7, 0) for dy in (0, 8, -8, 15, -15, 22, -22) if dx or abs(dy) > 5]


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """The area that two boxes (left, below, right, above) share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _gap(box: tuple[float, float, float, float], point: Sequence[float]) -> float:
    """The distance of a point from a box (left, below, right, above)."""
    left, below, right, above = box
    x, y = point
    return float(np.hypot(max(left - x, 0, x - right), max(below - y, 0, y - above)))


def _front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those that none of the others beats in one coordinate without losing in the other, from left to right."""
    front, best = [], np.inf
    for x, y in sorted(points):
        if y < best:
            front.append((x, y))
            best = y
    return front


def plot_clouds(
    rows: Mapping[str, Mapping[str, Tensor]],
    truth: Mapping[str, Tensor],
    notes: Mapping[tuple[str, str], str] | None = None,
    extent: float = 5.5,
) -> Figure:
    """Samples in the plane: one row for each model, one column for each density, the truth above.

    Args:
        rows: model -> density -> samples (n, 2).
        truth: density -> samples of the truth, (n, 2).
        notes: (model, density) -> a short text in the corner of that panel, the distance to the truth, say.
        extent: half the side of the square.
    """
    everything = {"the truth": truth, **rows}
    figure, axes = new_figure(
        1.35 * len(truth) + 1.5, 1.28 * len(everything) + 0.3, len(everything), len(truth), squeeze=False
    )
    for line, (model, clouds) in zip(axes, everything.items(), strict=True):
        for axis, density in zip(line, truth, strict=True):
            axis.set(xticks=[], yticks=[], xlim=(-extent, extent), ylim=(-extent, extent), aspect="equal")
            axis.spines[:].set(visible=True, color="#bbbbbb")
            if density in clouds:
                color = "#333333" if clouds is truth else COLORS[0]
                axis.plot(*array(clouds[density][:1000]).T, ls="", marker="o", ms=1.1, mew=0, alpha=0.6, color=color)
            note = (notes or {}).get((model, density), "")
            axis.text(0.03, 0.03, note, transform=axis.transAxes, fontsize=7)
        line[0].set_ylabel(model, rotation=0, ha="right", va="center", fontsize=8.5)
    for axis, density in zip(axes[0], truth, strict=True):
        axis.set_title(density.replace("_", " "), fontsize=9)
    return figure
