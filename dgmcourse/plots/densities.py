"""Pictures of densities on the line and on the plane, of what separates two of them, and of the classifiers they make."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib
import matplotlib.ticker
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from .figures import COLORS, LINES, MARKERS, array, new_figure

__all__ = [
    "plot_class_maps",
    "plot_densities",
    "plot_error_curves",
    "plot_inverse_cdf",
    "plot_kl_directions",
    "plot_line",
]

MASSES = (0.5, 0.95)  # the contours of a density enclose these shares of its probability
NODES = 161  # of a grid, in each direction


def plot_densities(
    densities: Mapping[str, Callable[[Tensor], Tensor] | None],
    points: Tensor | Mapping[str, Tensor] | None = None,
    extent: float = 5.5,
    size: float = 2.5,
) -> Figure:
    """Densities on the plane side by side: shaded, with contours that enclose 50 % and 95 % of the probability.

    Args:
        densities: log p by title, each (n, 2) -> (n,) in nats, or None for a panel with points alone.
        points: samples drawn as dots: (n, 2), the same in every panel, or by title.
        extent: x₁ and x₂ run from −extent to extent.
        size: of a panel, in inches.
    """
    figure, axes = _panels(len(densities), size)
    for (title, log_prob), axis in zip(densities.items(), axes, strict=True):
        if log_prob is not None:
            side, density = _on_grid(log_prob, extent)
            axis.imshow(density, origin="lower", extent=(-extent, extent) * 2, cmap="Blues", interpolation="bilinear")
            levels = sorted({_level(density, mass) for mass in MASSES})
            axis.contour(side, side, density, levels=levels, colors="black", linewidths=(0.8, 1.1)[-len(levels) :])
        given = points.get(title) if isinstance(points, Mapping) else points
        if given is not None:
            axis.scatter(*array(given).T, s=3, color=COLORS[1], alpha=0.55, lw=0)
        _frame(axis, title, extent)
    return figure


def plot_class_maps(
    maps: Mapping[str, Callable[[Tensor], Tensor]],
    x: Tensor,
    y: Tensor,
    extent: float = 5.5,
    size: float = 2.9,
    label: str = "p(y = 1 | x)",
) -> Figure:
    """Maps of a probability on the plane, with the examples of two classes, and a line where it is one half.

    Args:
        maps: the probability by title, each (n, 2) -> (n,).
        x: (n, 2); y: (n,), 0 or 1: drawn as circles and crosses.
        extent: x₁ and x₂ run from −extent to extent.
        size: of a panel, in inches.
        label: what the colors mean.
    """
    figure, axes = _panels(len(maps), size, extra=0.7)
    for (title, probability), axis in zip(maps.items(), axes, strict=True):
        side, values = _on_grid(probability, extent, log=False)
        values = values.clip(0, 1)  # rounding
        shaded = axis.contourf(side, side, values, levels=np.linspace(0, 1, 11), colors=_pale("PuOr", 10))
        if values.min() < 0.5 < values.max():
            axis.contour(side, side, values, levels=[0.5], colors="black", linewidths=1.2)
        for which, marker in ((0, "o"), (1, "x")):
            face = {"facecolors": "none"} if marker == "o" else {}
            color = ("#7f3b08", "#2d004b")[which]
            axis.scatter(*array(x[y == which]).T, s=14, marker=marker, color=color, lw=1, label=f"y = {which}", **face)
        _frame(axis, title, extent)
    axes[0].legend(fontsize=8, loc="upper left", frameon=True, framealpha=0.8, handletextpad=0.2)
    figure.colorbar(shaded, ax=list(axes), label=label, shrink=0.8)
    return figure


def plot_error_curves(
    panels: Mapping[
        str, Mapping[str, tuple[Sequence[float], Sequence[float], tuple[Sequence[float], Sequence[float]]]]
    ],
    xlabel: str,
    ylabel: str = "error",
    levels: Mapping[str, float] | None = None,
    log: bool = False,
) -> Figure:
    """Errors against a number of examples (on a logarithmic axis), in panels side by side, each with bands.

    Args:
        panels: by title: curves by name, each (x, mean, (low, high)).
        xlabel, ylabel: what is counted, and what is measured.
        levels: the least possible error, by the panel's title, where it is known.
        log: whether the errors' axis is logarithmic too.
    """
    n = len(panels)
    figure, axes = new_figure(3.6 * n if n > 1 else 5.6, 3.0, 1, n, squeeze=False)
    for (title, curves), axis in zip(panels.items(), axes[0], strict=True):
        for i, (name, (x, mean, band)) in enumerate(curves.items()):
            axis.plot(x, mean, color=COLORS[i], ls=LINES[i], marker=MARKERS[i], ms=5, label=name)
            axis.fill_between(x, *band, color=COLORS[i], alpha=0.15, lw=0)
        axis.set(title=title, xlabel=xlabel, xscale="log", yscale="log" if log else "linear")
        axis.set_xticks(x, [str(one) for one in x], fontsize=8)
        axis.minorticks_off()
        if levels and title in levels:
            axis.axhline(levels[title], color="black", lw=1, ls=":", label="least possible")
        axis.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1, decimals=None))
        if log:
            ticks = [tick for tick in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if _within(tick, axis.get_ylim())]
            axis.set_yticks(ticks)
    axes[0, 0].set_ylabel(ylabel)
    axes[0, 0].legend(fontsize=9)
    return figure


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def plot_line(
    densities: Mapping[str, Callable[[Tensor], Tensor]],
    low: float,
    high: float,
    points: Tensor | None = None,
    width: float = 6.0,
    height: float = 2.6,
    bins: int = 40,
) -> Figure:
    """Densities on the line, the first one filled, over a histogram of samples.

    Args:
        densities: log p by name, each (n,) -> (n,) in nats.
        low, high: where x begins and ends.
        points: samples, (n,).
    """
    figure, axis = new_figure(width, height)
    x = torch.linspace(low, high, 500, dtype=torch.float64)
    if points is not None:
        axis.hist(
            array(points), bins=bins, range=(low, high), density=True, color="#bbbbbb", label=f"{len(points):,} samples"
        )
    for i, (name, log_prob) in enumerate(densities.items()):
        axis.plot(array(x), array(log_prob(x).exp()), color=COLORS[i], ls=LINES[i % len(LINES)], label=name)
        if i == 0:
            axis.fill_between(array(x), array(log_prob(x).exp()), color=COLORS[0], alpha=0.2, lw=0)
    axis.set(xlabel="x", ylabel="density", xlim=(low, high))
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=9)
    return figure


def plot_inverse_cdf(probabilities: Tensor, u: Tensor, outcomes: Sequence[str] | None = None) -> Figure:
    """How u, uniform on [0, 1), draws an outcome: the stairs of the running sum, and the step that each u meets.

    Args:
        probabilities: (outcomes,).
        u: a few numbers in [0, 1).
        outcomes: their names; 0, 1, … by default.
    """
    figure, (left, right) = new_figure(6.6, 2.7, 1, 2)
    p = array(probabilities)
    ends, k = np.cumsum(p), np.arange(len(p))
    names = [str(i) for i in k] if outcomes is None else list(outcomes)
    left.bar(k, p, color=COLORS[0], width=0.7)
    left.set(xlabel="outcome", ylabel="probability", title="the table")
    right.hlines(ends, k, k + 1, color=COLORS[0], lw=1.5)
    right.vlines(k, np.concatenate([[0], ends[:-1]]), ends, color=COLORS[0], lw=3)
    for i, one in enumerate(array(u)):
        drawn = min(int(np.searchsorted(ends, one, side="right")), len(p) - 1)
        color = COLORS[1 + i % 3]
        right.annotate("", (drawn, one), (-0.7, one), arrowprops={"arrowstyle": "-|>", "color": color, "lw": 1.2})
        right.annotate(
            "", (drawn, 0), (drawn, one), arrowprops={"arrowstyle": "-|>", "color": color, "lw": 1.2, "ls": "--"}
        )
    right.set(xlabel="outcome", ylabel="u, and the running sum", title="from u to an outcome", ylim=(0, 1.03))
    right.set_xlim(-0.7, len(p))
    for axis in (left, right):
        axis.set_xticks(k, names, fontsize=8)
    return figure


def plot_kl_directions(
    x: Tensor, target: Tensor, means: Tensor, stds: Tensor, divergences: Mapping[str, Tensor]
) -> Figure:
    """For each direction of KL, above: the target and the Gaussians of least divergence; below: its map.

    Every local minimum of a map is marked, and drawn above with its divergence.

    Args:
        x: (nodes,), and target: the density p there, (nodes,).
        means, stds: of the Gaussians tried, (a,) and (b,).
        divergences: KL by title, in nats: (a, b).
    """
    n = len(divergences)
    figure, axes = new_figure(3.6 * n, 4.6, 2, n, squeeze=False, sharey="row", height_ratios=(1, 1.1))
    highest = float(target.max())
    for column, (title, table) in enumerate(divergences.items()):
        above, below = axes[:, column]
        values = array(table)
        above.fill_between(array(x), array(target), color="#bbbbbb", lw=0, label="p")
        below.contourf(array(means), array(stds), values.T, levels=values.min() + np.linspace(0, 4, 13), cmap="Blues_r")
        lines = below.contour(array(means), array(stds), values.T, levels=values.min() + np.array([0.1, 0.5, 1, 2]),
                              colors="black", linewidths=0.6)  # fmt: skip
        below.clabel(lines, fontsize=7, fmt="%.2f")
        for i, (row, at) in enumerate(local_minima(values)):
            mean, std = float(means[row]), float(stds[at])
            q = torch.distributions.Normal(mean, std).log_prob(x).exp()
            label = f"q, KL = {values[row, at]:.2f}"
            color = ("#D55E00", "#009E73", "#000000")[i % 3]
            above.plot(array(x), array(q), color=color, ls=LINES[i % len(LINES)], label=label)
            highest = max(highest, float(q.max()))
            below.plot(mean, std, MARKERS[i % len(MARKERS)], color=color, ms=8, mec="white")
        above.set(title=title, xlabel="x", xlim=(float(x[0]), float(x[-1])))
        above.legend(fontsize=8, loc="upper left", ncols=2)
        below.set(xlabel="mean of q", ylabel="σ of q" if column == 0 else "")
    axes[0, 0].set(ylabel="density", ylim=(0, 1.6 * highest))  # one scale, so that p looks the same in every panel
    return figure


def local_minima(table: np.ndarray) -> list[tuple[int, int]]:
    """Places of a table that are smaller than all their neighbors, borders excluded; the smallest first."""
    inner = table[1:-1, 1:-1]
    rows, columns = table.shape
    shifted = [table[1 + i : rows - 1 + i, 1 + j : columns - 1 + j] for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
    found = np.argwhere(np.all([inner < other for other in shifted], axis=0)) + 1
    return sorted(((int(i), int(j)) for i, j in found), key=lambda place: table[place])


def _pale(name: str, n: int) -> np.ndarray:
    """n colors of a diverging map without its dark ends, on which markers would be lost."""
    return matplotlib.colormaps[name](np.linspace(0.2, 0.8, n))


def _panels(n: int, size: float, extra: float = 0.0):
    figure, axes = new_figure(size * n + extra, size + 0.25, 1, n, squeeze=False)
    return figure, axes[0]


def _frame(axis, title: str, extent: float) -> None:
    axis.set(title=title, xlim=(-extent, extent), ylim=(-extent, extent), aspect="equal", xlabel="x₁")
    axis.set_ylabel("x₂", labelpad=-4)


@torch.no_grad()
def _on_grid(function: Callable[[Tensor], Tensor], extent: float, log: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """The grid's coordinates in one direction, and the function's values there, x₂ upwards: (nodes,), (nodes, nodes)."""
    side = torch.linspace(-extent, extent, NODES)
    plane = torch.stack(torch.meshgrid(side, side, indexing="xy"), dim=-1).view(-1, 2)
    values = function(plane).view(NODES, NODES)
    return array(side), array(values.exp() if log else values)


def _level(density: np.ndarray, mass: float) -> float:
    """The density on the border of the smallest region that holds this share of the probability on the grid."""
    ordered = np.sort(density, axis=None)[::-1]
    held = np.cumsum(ordered) / ordered.sum()
    return float(ordered[min(int(np.searchsorted(held, mass)), len(ordered) - 1)])
