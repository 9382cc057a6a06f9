"""Pictures of hidden causes: mixtures over the points they explain, EM climbing its bound, codes and the holes between them."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke
from torch import Tensor

from .figures import COLORS, LINES, MARKERS, array, new_figure

__all__ = ["plot_codes", "plot_em_ascent", "plot_em_runs", "plot_mixtures"]

Frame = tuple[Tensor | None, Tensor | None, Tensor | None]


def plot_mixtures(x: Tensor, frames: Mapping[str, Frame], scale: float = 2.6) -> Figure:
    """Gaussian components over the points that they explain, one panel a frame.

    A point has the mixed color of the components responsible for it, and the marker of the most responsible one. Each
    component is drawn as its mean and the ellipses of one and two standard deviations.

    Args:
        x: (n, 2).
        frames: title -> (responsibilities, means, covariances), of shapes (n, K), (K, 2) and (K, 2, 2). Without
            responsibilities (None) the points are grey; without means and covariances there are no ellipses.
        scale: width of a panel in inches; its height follows what is drawn. An ellipse whose mean lies
            among the points is drawn whole.
    """
    points = array(x)
    low, high = points.min(0), points.max(0)
    edges = [_edges(means, covariances, low, high) for _, means, covariances in frames.values()]
    low, high = np.minimum(low, np.min(edges, 0)[0]), np.maximum(high, np.max(edges, 0)[1])
    low, high = low - 0.06 * (high - low), high + 0.06 * (high - low)
    height = scale * float((high - low)[1] / (high - low)[0]) + 0.3
    figure, axes = new_figure(scale * len(frames), height, 1, len(frames), squeeze=False, sharey=True)
    for (title, (responsibilities, means, covariances)), axis in zip(frames.items(), axes[0], strict=True):
        _draw_points(axis, points, responsibilities)
        if means is not None:
            for k, (mean, covariance) in enumerate(zip(array(means), array(covariances), strict=True)):
                _draw_gaussian(axis, mean, covariance, k)
        axis.set(title=title, xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
        axis.tick_params(labelsize=8)
    return figure


def _draw_points(axis, points: np.ndarray, responsibilities: Tensor | None) -> None:
    size = max(4.0, min(14.0, 4000 / len(points)))
    if responsibilities is None:
        axis.scatter(*points.T, s=size, color="#777777", lw=0)
        return
    share = array(responsibilities)
    palette = np.array([to_rgb(COLORS[k % len(COLORS)]) for k in range(share.shape[1])])
    mixed, best = np.clip(share @ palette, 0, 1), share.argmax(1)
    for k in np.unique(best):
        chosen = best == k
        axis.scatter(*points[chosen].T, s=size, c=mixed[chosen], marker=MARKERS[k % len(MARKERS)], lw=0)


def _draw_gaussian(axis, mean: np.ndarray, covariance: np.ndarray, k: int) -> None:
    for deviations in (1, 2):
        outline = _ellipse(mean, covariance, deviations)
        axis.add_patch(outline)
        outline.set(edgecolor=COLORS[k % len(COLORS)], lw=2.2 if deviations == 1 else 1.2, facecolor="none")
        outline.set_linestyle(LINES[k % len(LINES)])
    axis.plot(*mean, marker=MARKERS[k % len(MARKERS)], ms=8, mfc=COLORS[k % len(COLORS)], mec="white", mew=1.2)


def _edges(means: Tensor | None, covariances: Tensor | None, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The box from `low` to `high`, widened to hold the ellipses whose means lie in it: (2, 2), low and high."""
    if means is None:
        return np.stack([low, high])
    center = array(means)
    reach = 2 * np.sqrt(np.clip(np.diagonal(array(covariances), axis1=1, axis2=2), 0, None))
    inside = ((center >= low) & (center <= high)).all(1)
    below, above = (center - reach)[inside], (center + reach)[inside]
    return np.stack([np.min([low, *below], 0), np.max([high, *above], 0)])


def _ellipse(mean: np.ndarray, covariance: np.ndarray, deviations: float) -> Ellipse:
    """Where a Gaussian's Mahalanobis distance from its mean is `deviations`."""
    values, vectors = np.linalg.eigh(covariance)
    angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))  # of the longer axis
    width, height = 2 * deviations * np.sqrt(np.clip(values[::-1], 0, None))
    return Ellipse(mean, width, height, angle=angle)


def plot_em_ascent(
    theta: Tensor, log_prob: Tensor, bounds: Sequence[tuple[float, Tensor]], xlabel: str = "θ"
) -> Figure:
    """The log-likelihood of one parameter, and the bounds that EM climbs one after the other.

    Args:
        theta: (n,), increasing.
        log_prob: mean log p(x; θ), (n,), nats.
        bounds: for each iteration the θ at which the bound touches, and the bound at every θ, (n,).
        xlabel: what θ is.
    """
    figure, axis = new_figure(6.4, 3.4)
    grid, truth = array(theta), array(log_prob)
    axis.plot(grid, truth, color="black", lw=2.2, label="log p(x; θ)")
    low, high = truth.min(), truth.max()
    for t, (here, bound) in enumerate(bounds):
        values, color, style = array(bound), COLORS[t % len(COLORS)], LINES[1 + t % (len(LINES) - 1)]
        axis.plot(grid, values, color=color, ls=style, label=f"bound of iteration {t}")
        touching = np.interp(here, grid, truth)
        best = values.argmax()
        axis.plot(here, touching, "o", color=color, ms=6, zorder=3)
        axis.annotate(
            "",
            (grid[best], values[best]),
            (here, touching),
            arrowprops={"arrowstyle": "->", "color": color, "lw": 1.8},
            zorder=5,
        )
        axis.vlines(grid[best], values[best], np.interp(grid[best], grid, truth), color=color, lw=1, ls=":")
    axis.set(xlabel=xlabel, ylabel="nats per point", ylim=(low - 0.05 * (high - low), high + 0.12 * (high - low)))
    axis.legend(fontsize=8)
    return figure


def plot_em_runs(log_probs: Tensor, level: Mapping[str, float] | None = None) -> Figure:
    """Mean log-likelihood against iterations, one line a start; the best of them and the worst stand out.

    Args:
        log_probs: (runs, iterations), nats.
        level: horizontal lines by name.
    """
    runs = array(log_probs)
    figure, axis = new_figure(6.4, 3.2)
    steps, last = np.arange(runs.shape[1]), runs[:, -1]
    for run in runs:
        axis.plot(steps, run, color="#999999", lw=0.8, zorder=1)
    for index, name, color, style in (
        (last.argmax(), "best", COLORS[0], "-"),
        (last.argmin(), "worst", COLORS[1], "--"),
    ):
        axis.plot(steps, runs[index], color=color, ls=style, lw=2.2, label=f"{name} of {len(runs)} starts")
    for name, value in (level or {}).items():
        axis.axhline(value, color="black", lw=1, ls=":")
        axis.annotate(name, (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=9)
    middle = np.median(last)
    axis.set_ylim(middle - 4 * max(last.max() - middle, middle - last.min(), 0.05), None)
    axis.set(xlabel="iteration", ylabel="log p(x), nats per point")
    axis.legend(loc="lower right", fontsize=9)
    return figure


def plot_codes(
    codes: Tensor,
    labels: Tensor,
    random: Tensor | None = None,
    covariance: Tensor | None = None,
    at: Tensor | None = None,
    title: str = "",
) -> Figure:
    """Two-dimensional codes, colored and marked by label, and on request where random codes fall.

    Args:
        codes: (n, 2).
        labels: (n,), integers from 0.
        random: (m, 2), drawn as small crosses.
        covariance: (2, 2), drawn around some codes as ellipses of one standard deviation, with their label beside.
        at: which codes, as indices; by default the first of each label.
        title: above the picture.
    """
    figure, axis = new_figure(5.6, 4.2)
    z, y = array(codes), labels.cpu().numpy()
    if random is not None:
        axis.scatter(*array(random).T, s=16, marker="x", color="#555555", lw=0.8, label="random codes", zorder=0)
    for k in np.unique(y):
        axis.scatter(*z[y == k].T, s=11, color=COLORS[k % len(COLORS)], marker=MARKERS[k % len(MARKERS)], lw=0, label=k)
    if covariance is not None:
        firsts = [int((y == k).argmax()) for k in np.unique(y)] if at is None else at.tolist()
        for index in firsts:
            outline = _ellipse(z[index], array(covariance), 1)
            axis.add_patch(outline)
            outline.set(edgecolor="black", facecolor="none", lw=1.2)
            halo = withStroke(linewidth=2.5, foreground="white")
            axis.annotate(str(y[index]), z[index] + (0, np.sqrt(float(covariance[1, 1]))), ha="center", va="center",
                          fontsize=11, weight="bold", path_effects=[halo])  # fmt: skip
    axis.set(xlabel="z₁", ylabel="z₂", title=title)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=1.6, handletextpad=0.2)
    return figure
