"""Pictures of Boltzmann machines: who is connected with whom, what states cost, what units look for, how sure log Z is."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

from .figures import COLORS, MARKERS, array, new_figure

__all__ = ["plot_annealing", "plot_filters", "plot_states", "plot_units"]

SIGNED = LinearSegmentedColormap.from_list("signed", (COLORS[0], "#FFFFFF", COLORS[1]), N=25)
"""Blue below zero, orange above; in so few steps that a picture's palette holds every one of them."""
KNOWN, OPEN = "#404040", "white"


def plot_units(machines: Mapping[str, tuple[Tensor, Sequence[int]]], visible: int) -> Figure:
    """Units and their connections, side by side: visible units below, hidden ones above, known ones filled.

    Thick orange lines join units of which neither is known: these depend on each other. A line to a known unit is grey,
    as what it carries is known too. A set of units without an orange line is independent.

    Args:
        machines: by title: couplings J, (units, units), and which units are known.
        visible: how many units, the first ones, are visible.
    """
    figure, axes = new_figure(2.4 * len(machines), 2.3, 1, len(machines), squeeze=False)
    for (title, (couplings, known)), axis in zip(machines.items(), axes[0], strict=True):
        joined, places = array(couplings) != 0, _places(len(couplings), visible)
        for i in range(len(places)):
            for j in range(i):
                if joined[i, j]:
                    row = (i < visible) == (j < visible)
                    _connect(axis, places[j], places[i], bool({i, j} & set(known)), arc=row and i - j > 1)
        for i, (x, y) in enumerate(places):
            name = f"$x_{{{i + 1}}}$" if i < visible else f"$h_{{{i - visible + 1}}}$"
            fill, ink = (KNOWN, "white") if i in known else (OPEN, "black")
            axis.plot(x, y, "s" if i < visible else "o", ms=21, mfc=fill, mec="black", mew=1.3, zorder=3)
            axis.annotate(name, (x, y), ha="center", va="center", color=ink, fontsize=10, zorder=4)
        axis.set(title=title, xlim=(-0.55, visible - 0.45), ylim=(-0.95, 1.95))
        axis.set_axis_off()
    return figure


def _places(units: int, visible: int) -> list[tuple[float, float]]:
    hidden = units - visible
    return [(i, 0.0) for i in range(visible)] + [
        ((j + 0.5) * visible / hidden - 0.5, 1.0) for j in range(hidden)
    ]  # hidden units are spread over the same width


def _connect(axis, left: tuple[float, float], right: tuple[float, float], known: bool, arc: bool) -> None:
    """A line, or an arc past the units that stand between, above the upper row and below the lower one."""
    look = {"color": "#B0B0B0", "lw": 1.0} if known else {"color": COLORS[1], "lw": 2.6}
    bend = 0.0 if not arc else -0.45 if left[1] > 0 else 0.45
    arrow = {"arrowstyle": "-", "connectionstyle": f"arc3,rad={bend}", "shrinkA": 0, "shrinkB": 0, **look}
    axis.annotate("", right, left, arrowprops=arrow, zorder=1 if known else 2)


def plot_states(
    panels: Mapping[str, Mapping[str, Tensor]],
    names: Sequence[str] | None = None,
    images: Tensor | None = None,
    ylabels: Sequence[str] = (),
    size: tuple[float, float] = (7.0, 2.0),
) -> Figure:
    """A number for every state, one panel below the other: the first entry of a panel as bars, others as marks on them.

    Args:
        panels: by title: values by name, each (states,); e.g. {"exact": p, "after 10 sweeps": share}.
        names: of the states, written below the last panel.
        images: of the states, (states, 1, height, width), drawn below the last panel instead of names.
        ylabels: of the panels.
        size: width of the figure and height of a panel, in inches.
    """
    width, height = size
    figure, axes = new_figure(
        width, height * len(panels) + 0.35 * (images is not None), len(panels), 1, squeeze=False, sharex=True
    )
    for (title, values), axis, ylabel in zip(panels.items(), axes[:, 0], [*ylabels, *[""] * len(panels)], strict=False):
        for k, (name, value) in enumerate(values.items()):
            where = np.arange(len(value))
            if k == 0:
                axis.bar(where, array(value), color="#9CC3DE", edgecolor=COLORS[0], lw=0.8, label=name)
            else:
                axis.plot(where, array(value), MARKERS[k], color=COLORS[k], ms=5, mew=1.2, mfc="none", label=name)
        axis.axhline(0, color="black", lw=0.8)
        axis.set(title=title, ylabel=ylabel, xlim=(-0.7, len(value) - 0.3))
        axis.set_xticks(where, names or [""] * len(where))
        axis.tick_params("x", length=0, labelsize=8 if len(where) > 16 else 9)
        if len(values) > 1:
            axis.legend(fontsize=8, ncols=len(values), loc="upper left", borderaxespad=0.1)
            axis.set_ylim(top=1.25 * max(float(value.max()) for value in values.values()))
    if images is not None:
        _below(axes[-1, 0], images, width)
    return figure


def _below(axis, images: Tensor, width: float) -> None:
    """An image below each bar."""
    side = min(0.8, 0.8 * 0.42 * (len(images) + 0.4) / (0.87 * width))
    for k, image in enumerate(array(images)):
        inset = axis.inset_axes((k - side / 2, -0.42, side, 0.36), transform=_data_and_axes(axis))
        inset.imshow(image[0], cmap="gray_r", vmin=0, vmax=1)
        inset.set(xticks=[], yticks=[])
        for spine in inset.spines.values():
            spine.set(visible=True, linewidth=0.5, color="#888888")


def _data_and_axes(axis):
    """x in data, y as a share of the axis."""
    return axis.get_xaxis_transform()


def plot_filters(filters: Tensor, columns: int = 16, scale: float = 0.5, largest: float | None = None) -> Figure:
    """Receptive fields: the weights of each hidden unit as an image, orange where positive, blue where negative.

    Args:
        filters: (units, height, width), e.g. `weight.T.view(-1, 8, 8)`.
        columns: images in a row.
        scale: inches of an image.
        largest: the weight that is drawn in full color; by default the 99th percentile of |w|, the same for all units.
    """
    n, values = len(filters), array(filters)
    rows, columns = math.ceil(n / columns), min(n, columns)
    limit = float(np.percentile(np.abs(values), 99)) if largest is None else largest
    figure, axes = new_figure(scale * columns + 0.9, scale * rows + 0.1, rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for value, axis in zip(values, axes.flat, strict=False):
        drawn = axis.imshow(value, cmap=SIGNED, vmin=-limit, vmax=limit)
        axis.set_axis_on()
        axis.set(xticks=[], yticks=[])
        for spine in axis.spines.values():
            spine.set(visible=True, linewidth=0.5, color="#888888")
    bar = figure.colorbar(drawn, ax=axes, fraction=0.5 / (scale * columns + 0.9), pad=0.015, aspect=18, label="weight")
    bar.ax.tick_params(labelsize=8)
    return figure


def plot_annealing(
    runs: Mapping[str, Mapping[int, tuple[Tensor, Tensor]]], exact: Mapping[str, float] | None = None
) -> Figure:
    """Estimates of log Z by annealing in both directions against the number of temperatures, one panel a model.

    Small dots are single chains, log Z₀ + log w forwards and log Z₀ − log w in reverse; large marks are the estimates,
    with two standard errors.

    Args:
        runs: by title: for each number of temperatures what single chains say forwards and in reverse, each (chains,).
        exact: log Z by title, where it is known.
    """
    figure, axes = new_figure(3.7 * len(runs), 3.1, 1, len(runs), squeeze=False)
    generator = np.random.default_rng(0)
    for (title, by_number), axis in zip(runs.items(), axes[0], strict=True):
        estimates = []
        for k, (name, sign) in enumerate((("forward", 1), ("reverse", -1))):
            numbers, found = list(by_number), [array(pair[k].double()) for pair in by_number.values()]
            centers = np.array([_log_mean(sign * values) for values in found])
            shift = 0.93 if k == 0 else 1.07
            for number, values in zip(numbers, found, strict=True):
                spread = number * shift * np.exp(0.04 * generator.standard_normal(len(values)))
                axis.plot(spread, values, ".", ms=2.5, color=COLORS[k], alpha=0.35, mew=0, zorder=1)
            axis.errorbar(np.array(numbers) * shift, sign * centers[:, 0], 2 * centers[:, 1], fmt="^v"[k], ms=6,
                          color=COLORS[k], mec="black", mew=0.6, capsize=3, lw=1.2, label=name, zorder=3)  # fmt: skip
            estimates += list(sign * centers[:, 0])
        if exact and title in exact:
            axis.axhline(exact[title], color="black", lw=1, ls=":", label="exact", zorder=2)
        low, high = min(estimates), max(estimates)
        margin = 0.25 * (high - low) + 0.3
        axis.set(title=title, xlabel="temperatures", xscale="log", ylim=(low - margin, high + margin))
        axis.set_xticks(numbers, [str(number) for number in numbers])
        axis.minorticks_off()
    axes[0, 0].set_ylabel("log Z, nats")
    axes[0, 0].legend(fontsize=8, loc="lower right")
    return figure


def _log_mean(log_weights: np.ndarray) -> tuple[float, float]:
    """log of the mean weight, and its standard error (delta method)."""
    top = log_weights.max()
    weights = np.exp(log_weights - top)
    return top + np.log(weights.mean()), weights.std(ddof=1) / weights.mean() / np.sqrt(len(weights))
