"""Pictures of metrics on trial: how strongly each one sees each fault."""

from collections.abc import Sequence

from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from torch import Tensor

from .figures import array, new_figure

__all__ = ["plot_effects"]

_REACH = 30.0  # effects beyond have the strongest color


def plot_effects(rows: Sequence[str], columns: Sequence[str], effects: Tensor, unseen: float = 1.0) -> Figure:
    """Effect sizes as a table of colored numbers: orange where a metric calls a set worse, violet where better.

    Args:
        rows: what was done to the sets.
        columns: the metrics.
        effects: (rows, columns), in standard deviations of sets to which nothing was done.
        unseen: effects up to this size have no color, and grey numbers.
    """
    values = array(effects)
    figure, axis = new_figure(0.62 * len(columns) + 2.0, 0.36 * len(rows) + 1.75)
    axis.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    shown = values.clip(-_REACH, _REACH).copy()
    shown[abs(values) <= unseen] = 0.0
    norm = SymLogNorm(unseen, vmin=-_REACH * 2, vmax=_REACH * 2)
    image = axis.imshow(shown, cmap="PuOr_r", norm=norm, aspect="auto")
    bright = image.to_rgba(shown)[..., :3] @ (0.30, 0.59, 0.11)  # (rows, columns)
    for i, line in enumerate(values):
        for j, value in enumerate(line):
            quiet = abs(value) <= unseen
            text = f"{value:+.1f}" if abs(value) < 9.95 else f"{value:+.0f}"
            axis.text(j, i, text.replace("-", "−").replace("inf", "∞"), ha="center", va="center", fontsize=8.5,
                      color="#666666" if quiet else "black" if bright[i, j] > 0.5 else "white", fontweight="normal" if quiet else "bold")  # fmt: skip
    axis.set_xticks(range(len(columns)), columns, rotation=38, ha="left", rotation_mode="anchor", fontsize=8.5)
    axis.set_yticks(range(len(rows)), rows, fontsize=9)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.set_xticks([j - 0.5 for j in range(1, len(columns))], minor=True)
    axis.set_yticks([i - 0.5 for i in range(1, len(rows))], minor=True)
    axis.grid(which="minor", color="#dddddd", lw=0.8)
    axis.tick_params(which="minor", length=0)
    axis.spines[:].set_visible(False)
    return figure
