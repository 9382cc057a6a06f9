"""Pictures of a game: what a discriminator believes, on the line and on the plane, how the players fare, what they cover."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

from .curves import _smooth
from .densities import _frame, _on_grid, _panels
from .figures import COLORS, LINES, array, new_figure

__all__ = ["plot_critic_fields", "plot_discriminators", "plot_mode_shares", "plot_players"]

DATA, SAMPLES = "#333333", "#AA3377"
_FIELD = LinearSegmentedColormap.from_list("critic", ["#0072b2", "#ffffff", "#d55e00"])  # sample, neither, data


def plot_discriminators(
    densities: Mapping[str, Callable[[Tensor], Tensor]],
    discriminators: Mapping[str, Callable[[Tensor], Tensor]],
    low: float,
    high: float,
) -> Figure:
    """Densities on the line, filled, and below them probabilities D(x) of being data.

    Args:
        densities: log p by name, each float64 (n,) -> (n,).
        discriminators: D by name, each float64 (n,) -> (n,) in [0, 1].
        low, high: where x begins and ends.
    """
    figure, (above, below) = new_figure(6.4, 3.8, 2, 1, sharex=True)
    x = torch.linspace(low, high, 501, dtype=torch.float64)
    for i, (name, log_prob) in enumerate(densities.items()):
        values = array(log_prob(x).exp())
        above.plot(x, values, color=COLORS[i], ls=LINES[i], label=name)
        above.fill_between(x, values, color=COLORS[i], alpha=0.15, lw=0)
    for i, (name, probability) in enumerate(discriminators.items()):
        color, style, width = (("black", "-", 2.4), (COLORS[4], "--", 1.8), (COLORS[3], ":", 1.8))[i]
        below.plot(x, array(probability(x)), color=color, ls=style, lw=width, label=name)
    below.axhline(0.5, color="#999999", lw=0.8, ls=":")
    above.set(ylabel="density", ylim=(0, None))
    below.set(xlabel="x", ylabel="D(x)", ylim=(-0.03, 1.03), xlim=(low, high))
    for axis in (above, below):
        axis.legend(fontsize=9)
    return figure


def plot_critic_fields(
    fields: Mapping[str, tuple[Callable[[Tensor], Tensor] | None, Tensor | None]],
    data: Tensor,
    extent: float = 5.5,
    size: float = 2.7,
    label: str = "D(x)",
    limits: tuple[float, float] | None = (0.0, 1.0),
) -> Figure:
    """What a critic says everywhere on the plane, with data as small dots and samples as crosses.

    Args:
        fields: by title (critic, samples): the critic (n, 2) -> (n,), or None for no shading; samples (m, 2) or None.
        data: (n, 2), the same in every panel.
        extent: x₁ and x₂ run from −extent to extent.
        size: of a panel, in inches.
        label: what the colors mean.
        limits: values at the two ends of the colors; None for each panel's own smallest and largest, without a scale.
    """
    figure, axes = _panels(len(fields), size, extra=0.7 if limits else 0.0)
    figure.set_figheight(figure.get_figheight() + 0.45)  # for the legend
    shaded = None
    for (title, (critic, samples)), axis in zip(fields.items(), axes, strict=True):
        if critic is not None:
            side, values = _on_grid(critic, extent, log=False)
            low, high = limits or (float(values.min()), float(values.max()) + 1e-6)
            levels = np.linspace(low, high, 11)
            shaded = axis.contourf(
                side, side, values.clip(low, high), levels=levels, colors=_FIELD(np.linspace(0.12, 0.88, 10))
            )
            if limits and values.min() < (low + high) / 2 < values.max():
                axis.contour(side, side, values, levels=[(low + high) / 2], colors="black", linewidths=0.8)
        axis.scatter(*array(data).T, s=4, color=DATA, alpha=0.6, lw=0, label="data")
        if samples is not None:
            axis.scatter(*array(samples).T, s=9, marker="x", color=SAMPLES, lw=0.8, label="samples")
        _frame(axis, title, extent)
        axis.locator_params(integer=True, nbins=6)
    handles, names = axes[-1].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=9, handletextpad=0.1, markerscale=1.8)
    if limits and shaded is not None:
        figure.colorbar(shaded, ax=list(axes), label=label, shrink=0.8, ticks=np.linspace(*limits, 3))
    return figure


def plot_players(histories: Mapping[str, object], levels: Mapping[str, float] | None = None) -> Figure:
    """The losses of both players against training steps, one panel a history.

    Args:
        histories: title -> what `fit` returned, with losses of the groups "critic" and "generator".
        levels: losses at rest by group, drawn as dotted lines.
    """
    n = len(histories)
    figure, axes = new_figure(3.6 * n if n > 1 else 6, 2.7, 1, n, squeeze=False, sharey=True)
    for (title, history), axis in zip(histories.items(), axes[0], strict=True):
        for i, group in enumerate(("critic", "generator")):
            values = history.losses[group]
            steps, means = _smooth(values)
            axis.plot(steps * history.steps / len(values), means, color=COLORS[i], ls=LINES[i], label=group)
            if levels and group in levels:
                axis.axhline(levels[group], color=COLORS[i], lw=1, ls=":")
        axis.set(title=title, xlabel="step")
    axes[0, 0].set_ylabel("loss, nats")
    axes[0, 0].legend(fontsize=9)
    return figure


def plot_mode_shares(runs: Mapping[str, tuple[Sequence[int], Tensor]], even: float | None = None) -> Figure:
    """The share of samples at every mode as training goes on: one row a mode, the darker the more.

    Args:
        runs: title -> (steps (times,), shares (times, modes)).
        even: the share of each mode under the truth; colors go from 0 to three times as much.
    """
    n = len(runs)
    figure, axes = new_figure(3.5 * n + 0.9, 2.7, 1, n, squeeze=False, sharey=True)
    modes = next(iter(runs.values()))[1].shape[1]
    top = 3 * (1 / modes if even is None else even)
    for (title, (steps, shares)), axis in zip(runs.items(), axes[0], strict=True):
        half = (steps[-1] - steps[0]) / max(1, len(steps) - 1) / 2
        box = (steps[0] - half, steps[-1] + half, 0.5, modes + 0.5)
        image = axis.imshow(array(shares).T, origin="lower", extent=box, aspect="auto", cmap="Blues", vmin=0, vmax=top)
        axis.set(title=title, xlabel="step", yticks=range(1, modes + 1))
    axes[0, 0].set_ylabel("mode")
    figure.colorbar(image, ax=list(axes[0]), label="share of the samples", extend="max")
    return figure
