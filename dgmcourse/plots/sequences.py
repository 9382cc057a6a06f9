"""Pictures of autoregressive models: series, who may see whom, what a pixel sees, what the next token may be."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from .figures import COLORS, array, new_figure

__all__ = ["plot_choices", "plot_masks", "plot_receptive_fields", "plot_series"]

SEEN = "#9CC3DE"
LATER = "#EDEDED"


def plot_series(rows: Mapping[str, Tensor], height: float = 1.3) -> Figure:
    """Time series, one panel for each name: (series, length), drawn on top of each other; the first one is drawn strong."""
    figure, axes = new_figure(7, height * len(rows) + 0.3, len(rows), 1, sharex=True, squeeze=False)
    for (name, series), axis in zip(rows.items(), axes[:, 0], strict=True):
        for k, values in enumerate(array(series)):
            axis.plot(np.arange(1, len(values) + 1), values, color=COLORS[0], lw=1.4 if k == 0 else 0.7,
                      alpha=1.0 if k == 0 else 0.35)  # fmt: skip
        axis.set_title(name, loc="left")
        axis.set_ylabel("$x_t$")
    axes[-1, 0].set_xlabel("time $t$")
    return figure


def plot_masks(masks: Mapping[str, tuple[Tensor, str, str]], cell: float = 0.24) -> Figure:
    """Matrices of zeros and others, side by side: a cell is dark where the entry is not zero.

    Args:
        masks: by title: a matrix (rows, columns), what its rows are, what its columns are.
        cell: side of a cell in inches.
    """
    widths = [cell * matrix.shape[1] + 0.75 for matrix, _, _ in masks.values()]
    height = cell * max(len(matrix) for matrix, _, _ in masks.values()) + 0.9
    figure, axes = new_figure(sum(widths), height, 1, len(masks), squeeze=False, width_ratios=widths)
    for (title, (matrix, rows, columns)), axis in zip(masks.items(), axes[0], strict=True):
        values = (array(matrix) != 0).astype(float)
        axis.pcolormesh(values, cmap=ListedColormap(["white", COLORS[0]]), vmin=0, vmax=1, edgecolors="#BBBBBB", lw=0.6)
        axis.set(title=title, xlabel=columns, ylabel=rows, aspect="equal")
        axis.invert_yaxis()
        for which, count in ((axis.xaxis, values.shape[1]), (axis.yaxis, values.shape[0])):
            which.set_ticks(np.arange(count) + 0.5, np.arange(1, count + 1), fontsize=7)
            which.set_tick_params(length=0)
    return figure


def plot_receptive_fields(fields: Mapping[str, Tensor], pixel: tuple[int, int], scale: float = 2.1) -> Figure:
    """What a pixel's conditional depends on: the pixels it sees are blue, those before it that it does not see orange.

    Args:
        fields: by title: (height, width), not zero where the pixel depends on.
        pixel: its row and column; what comes after it in reading order is grey.
        scale: inches of a panel.
    """
    figure, axes = new_figure(scale * len(fields), scale + 0.35, 1, len(fields), squeeze=False)
    row, column = pixel
    for (title, field), axis in zip(fields.items(), axes[0], strict=True):
        seen = array(field) != 0
        before = np.arange(seen.size).reshape(seen.shape) < row * seen.shape[1] + column
        kinds = np.where(seen, 1, np.where(before, 2, 0))  # later, seen, blind
        palette = ListedColormap([LATER, SEEN, COLORS[1]])
        axis.pcolormesh(kinds, cmap=palette, vmin=0, vmax=2, edgecolors="white", lw=1)
        for y, x in zip(*np.nonzero(kinds == 2), strict=True):  # a cross besides the color
            axis.plot(x + 0.5, y + 0.5, "x", color="white", ms=4)
        axis.plot(column + 0.5, row + 0.5, "s", color="black", ms=7)
        axis.set(title=title, aspect="equal", xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        axis.invert_yaxis()
    return figure


def plot_choices(tokens: Sequence[str], choices: Mapping[str, Tensor], height: float = 1.9) -> Figure:
    """Distributions of the next token, side by side, as bars: by title (tokens,) probabilities."""
    figure, axes = new_figure(1.9 * len(choices), height, 1, len(choices), squeeze=False, sharey=True)
    for (title, p), axis in zip(choices.items(), axes[0], strict=True):
        values = array(p)
        axis.bar(
            np.arange(len(values)), values, color=[SEEN if v > 0 else "white" for v in values], edgecolor=COLORS[0]
        )
        cut = np.nonzero(values == 0)[0]
        if len(cut):  # markers that may leave the axes, but are none, have no size that the layout can use
            axis.plot(cut, np.zeros(len(cut)), "x", color=COLORS[1], ms=5, clip_on=False)
        axis.set_title(title)
        axis.set_xticks(np.arange(len(values)), tokens, fontsize=8, family="monospace")
        axis.tick_params("x", length=0)
    axes[0, 0].set_ylabel("probability")
    return figure
