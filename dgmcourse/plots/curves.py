"""Curves: one quantity against another, and how training went."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from .figures import COLORS, LINES, MARKERS, new_figure, show

__all__ = ["plot_curves", "plot_history"]


def _smooth(values: Sequence[float], points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Means over equal stretches: at most `points` of them."""
    values = np.asarray(values, dtype=float)
    size = max(1, len(values) // points)
    kept = len(values) // size * size
    return np.arange(size, kept + 1, size), values[:kept].reshape(-1, size).mean(1)


def plot_history(history, alt: str | None = None) -> Figure | None:
    """Losses by group against steps, and the validation score where there is one; with `alt` it is shown at once."""
    if not history.losses:
        raise ValueError("this history is empty: nothing was trained")
    figure, axis = new_figure(6, 2.6)
    for i, (group, values) in enumerate(history.losses.items()):
        steps, means = _smooth(values)
        axis.plot(
            steps * history.steps / len(values),
            means,
            color=COLORS[i % len(COLORS)],
            ls=LINES[i % len(LINES)],
            label=f"training loss, {group}",
        )
    if history.valid:
        steps, scores = zip(*history.valid, strict=True)
        axis.plot(steps, scores, color="black", marker=".", ls=":", label="validation")
    if history.best_step is not None:
        best = min(score for _, score in history.valid)
        axis.plot(history.best_step, best, "o", mfc="none", ms=10, color="black", label="kept")
    every = np.concatenate([values[len(values) // 20 :] for values in history.losses.values()])
    low, high = np.percentile(every, [0, 100])
    axis.set(xlabel="step", ylabel="loss", ylim=(low - 0.05 * (high - low), high + 0.05 * (high - low)))
    axis.legend()
    return figure if alt is None else show(figure, alt)


def plot_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    xlabel: str,
    ylabel: str,
    bands: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    level: Mapping[str, float] | None = None,
    log: str = "",
) -> Figure:
    """Curves by name, each (x, y), with optional (low, high) bands, horizontal levels, and logarithmic axes ("xy")."""
    figure, axis = new_figure(6, 3)
    for i, (name, (x, y)) in enumerate(curves.items()):
        axis.plot(
            x,
            y,
            color=COLORS[i % len(COLORS)],
            ls=LINES[i % len(LINES)],
            marker=MARKERS[i % len(MARKERS)],
            ms=5,
            label=name,
        )
        if bands and name in bands:
            axis.fill_between(x, *bands[name], color=COLORS[i % len(COLORS)], alpha=0.15, lw=0)
    for name, value in (level or {}).items():
        axis.axhline(value, color="black", lw=1, ls=":")
        axis.annotate(name, (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=9)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    if "x" in log:
        axis.set_xscale("log")
    if "y" in log:
        axis.set_yscale("log")
    axis.legend()
    return figure
