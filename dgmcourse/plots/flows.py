"""Pictures of flows: a bent line whose areas are kept, the plane bending layer by layer, and bridges between modes."""

import itertools
from collections.abc import Callable, Mapping, Sequence

import matplotlib
import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from .densities import _frame, _on_grid, _panels
from .figures import COLORS, array, new_figure

__all__ = ["plot_bending", "plot_bent_line", "plot_bridges"]


def plot_bent_line(
    bend: Callable[[Tensor], tuple[Tensor, Tensor]],
    log_density: Callable[[Tensor, Tensor], Tensor],
    low: float,
    high: float,
    edges: Sequence[float] = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0),
) -> Figure:
    """How a bent line carries a standard normal over: the curve z = f(x), the density of z beside it, that of x below.

    Strips between `edges` of z hold as much probability as those of x that they belong to; both have one color.

    Args:
        bend: an increasing f: x float64 (n,) -> (z, slope dz/dx), each (n,).
        log_density: (z, slope) -> ln p(x), each (n,), nats.
        low, high: where x begins and ends.
        edges: borders of the strips on the axis of z.
    """
    figure, axes = new_figure(6.4, 4.6, 2, 2, width_ratios=(1, 2.6), height_ratios=(1.7, 1), sharex="col", sharey="row")
    (beside, curve), (empty, below) = axes
    empty.remove()
    x = torch.linspace(low, high, 2001, dtype=torch.float64)
    z, slope = bend(x)
    density = array(log_density(z, slope).exp())
    reach = max(abs(float(z[0])), abs(float(z[-1])), 3.2)
    side = np.linspace(-reach, reach, 601)
    normal = np.exp(-(side**2) / 2) / np.sqrt(2 * np.pi)
    curve.plot(array(x), array(z), color="black", lw=1.8)
    borders = np.interp(edges, array(z), array(x))
    for i, (start, end) in enumerate(itertools.pairwise(edges)):
        color = COLORS[i % 6]
        inside = (side >= start) & (side <= end)
        beside.fill_betweenx(side[inside], normal[inside], color=color, alpha=0.5, lw=0)
        within = (array(x) >= borders[i]) & (array(x) <= borders[i + 1])
        below.fill_between(array(x)[within], density[within], color=color, alpha=0.5, lw=0)
    for edge, border in zip(edges, borders, strict=True):
        curve.plot([low, border, border], [edge, edge, -reach], color="#999999", lw=0.7, ls=":")
    beside.plot(normal, side, color="black", lw=1)
    below.plot(array(x), density, color="black", lw=1)
    beside.invert_xaxis()
    beside.set(xlabel="N(z; 0, 1)", ylabel="z", xlim=(1.05 * normal.max(), 0))
    beside.tick_params(labelbottom=True)
    curve.set(title="z = f(x)", xlim=(low, high), ylim=(-reach, reach))
    below.set(xlabel="x", ylabel="p(x)", ylim=(0, None))
    below.tick_params(labelleft=True)
    return figure


def plot_bending(
    states: Mapping[str, tuple[Tensor, Tensor]], extents: Sequence[float] | float = 5.5, size: float = 2.3
) -> Figure:
    """The plane as it bends: a lattice and points in several states, colored by where they began.

    Args:
        states: by title: a lattice (rows, columns, 2) and points (n, 2), of the same sizes in every state.
        extents: x₁ and x₂ of a panel run from −extent to extent; one number for all, or one a panel.
        size: of a panel, in inches.
    """
    figure, axes = _panels(len(states), size)
    sides = [extents] * len(states) if isinstance(extents, (int, float)) else list(extents)
    _, first = next(iter(states.values()))
    angle = np.arctan2(*array(first).T[::-1]) / (2 * np.pi) % 1
    colors = matplotlib.colormaps["twilight_shifted"](angle) * (0.8, 0.8, 0.8, 1)  # its pale end is seen on white, too
    for (title, (lattice, points)), axis, extent in zip(states.items(), axes, sides, strict=True):
        lines = array(lattice)
        axis.add_collection(LineCollection([*lines, *lines.swapaxes(0, 1)], colors="#777777", linewidths=0.45))
        axis.scatter(*array(points).T, s=4, color=colors, lw=0, zorder=2)
        _frame(axis, title, extent)
    return figure


def plot_bridges(
    densities: Mapping[str, tuple[Callable[[Tensor], Tensor], Tensor]],
    centers: Tensor,
    radius: float,
    far_label: str = "",
    extent: float = 5.5,
    size: float = 2.5,
    floor: float = -11.0,
) -> Figure:
    """Log densities, so that thin bridges are seen too, with samples; those far from every center as crosses.

    Args:
        densities: by title: log p (n, 2) -> (n,) in nats, and samples (m, 2).
        centers: of the modes, (modes, 2), drawn as circles of this radius.
        radius: what is farther from every center is a stray.
        far_label: the strays' name in the legend; without one, "beyond <radius>".
        extent: x₁ and x₂ run from −extent to extent.
        size: of a panel, in inches.
        floor: log density below which the plane is white, nats.
    """
    figure, axes = _panels(len(densities), size, extra=0.75)
    figure.set_figheight(figure.get_figheight() + 0.3)
    for (title, (log_prob, samples)), axis in zip(densities.items(), axes, strict=True):
        side, values = _on_grid(log_prob, extent, log=False)
        levels = np.linspace(floor, -2.0, 10)
        shaded = axis.contourf(side, side, np.clip(values, floor, -2.0), levels=levels, cmap="Blues")
        for center in array(centers):
            axis.add_patch(matplotlib.patches.Circle(center, radius, fill=False, color="#555555", lw=0.7))
        far = (torch.cdist(samples, centers.to(samples)).amin(1) > radius).cpu().numpy()
        points = array(samples)
        axis.scatter(*points[~far].T, s=2, color="black", alpha=0.35, lw=0, label="samples")
        axis.scatter(*points[far].T, s=14, marker="x", color=COLORS[1], lw=0.9, label=far_label or f"beyond {radius:g}")
        _frame(axis, title, extent)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=9, markerscale=1.6, handletextpad=0.1)
    figure.colorbar(shaded, ax=list(axes), label="ln p(x), nats", shrink=0.8, ticks=[-11, -8, -5, -2])
    return figure
