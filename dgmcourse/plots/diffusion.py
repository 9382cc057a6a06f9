"""Pictures of diffusion: where the score points, the ways from noise to data, and what guidance makes of a density."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from .densities import MASSES, _frame, _level, _on_grid, _panels
from .figures import COLORS, LINES, array, new_figure

__all__ = ["plot_guided", "plot_paths", "plot_scores"]

NODES = 12  # arrows in each direction


@torch.no_grad()
def plot_scores(
    panels: Mapping[str, tuple[Callable[[Tensor], Tensor] | None, Callable[[Tensor], Tensor] | None, Tensor | None]],
    extent: float = 2.6,
    size: float = 2.1,
) -> Figure:
    """Densities on the plane with arrows and points: by title (log p, arrows, points), each of them None if not wanted.

    Args:
        panels: log p (n, 2) -> (n,) in nats; arrows (n, 2) -> (n, 2), drawn from x in the plane's own units, those longer
            than nine tenths of a cell of their grid shortened; points (m, 2).
        extent: x₁ and x₂ run from −extent to extent.
        size: of a panel, in inches.
    """
    figure, axes = _panels(len(panels), size)
    side = torch.linspace(-0.9 * extent, 0.9 * extent, NODES)
    plane = torch.stack(torch.meshgrid(side, side, indexing="xy"), dim=-1).view(-1, 2)
    longest = 0.9 * float(side[1] - side[0])
    for (title, (log_prob, arrows, points)), axis in zip(panels.items(), axes, strict=True):
        if log_prob is not None:
            _, density = _on_grid(log_prob, extent)
            axis.imshow(density, origin="lower", extent=(-extent, extent) * 2, cmap="Blues", interpolation="bilinear")
        if points is not None:
            axis.scatter(*array(points).T, s=3, color=COLORS[1], alpha=0.6, lw=0)
        if arrows is not None:
            drawn = arrows(plane).cpu()
            drawn = drawn * (longest / drawn.norm(dim=1, keepdim=True).clamp_min(longest))
            axis.quiver(
                *array(plane).T, *array(drawn).T, angles="xy", scale_units="xy", scale=1, width=0.007, color="#222222"
            )
        _frame(axis, title, extent)
    return figure


def plot_paths(
    paths: Mapping[str, Tensor], log_prob: Callable[[Tensor], Tensor], extent: float = 2.6, size: float = 2.9
) -> Figure:
    """Ways from noise to data on the plane, over where 50 % and 95 % of the data are: each begins at a ring and ends at a dot.

    Args:
        paths: by title: the states, (steps + 1, n, 2).
        log_prob: of the data, (n, 2) -> (n,) in nats.
        extent: x₁ and x₂ run from −extent to extent.
        size: of a panel, in inches.
    """
    figure, axes = _panels(len(paths), size)
    side, density = _on_grid(log_prob, extent)
    levels = sorted({_level(density, mass) for mass in MASSES})
    for (title, states), axis in zip(paths.items(), axes, strict=True):
        axis.contourf(side, side, density, levels=[*levels, np.inf], colors=("#deebf7", "#b3cfe6")[-len(levels) :])
        for i, way in enumerate(array(states).swapaxes(0, 1)):
            color = COLORS[i % 6]
            axis.plot(*way.T, color=color, lw=0.9, clip_on=False)
            axis.plot(*way[0], "o", mfc="white", color=color, ms=5)
            axis.plot(*way[-1], "o", color=color, ms=5)
        _frame(axis, title, extent)
    return figure


def plot_guided(
    panels: Mapping[str, tuple[Tensor, Mapping[str, Callable[[Tensor], Tensor]]]], low: float, high: float
) -> Figure:
    """Histograms of samples on the line under densities that they might follow, panels side by side.

    Args:
        panels: by title: samples (n,), and log p by name, each (m,) -> (m,) in nats.
        low, high: where x begins and ends.
    """
    n = len(panels)
    figure, axes = new_figure(2.7 * n, 2.7, 1, n, squeeze=False, sharey=True)
    x = torch.linspace(low, high, 500, dtype=torch.float64)
    for (title, (samples, densities)), axis in zip(panels.items(), axes[0], strict=True):
        axis.hist(array(samples), bins=np.linspace(low, high, 61), density=True, color="#bbbbbb", label="samples")
        for i, (name, log_prob) in enumerate(densities.items()):
            axis.plot(array(x), array(log_prob(x).exp()), color=COLORS[i], ls=LINES[i], label=name)
        axis.set(title=title, xlabel="x", xlim=(low, high))
    axes[0, 0].set_ylabel("density")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=9)
    return figure
