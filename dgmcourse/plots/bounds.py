"""Pictures of bounds and posteriors: what a latent variable model proves, pays and guesses."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from .figures import COLORS, MARKERS, array, new_figure

__all__ = ["plot_bounds", "plot_posterior_on_grid", "plot_rate_distortion", "plot_rates"]


def plot_posterior_on_grid(z: Tensor, posteriors: Tensor, guesses: Tensor, images: Tensor) -> Figure:
    """The exact posterior p(z|x) of each image on a grid of one latent, and the encoder's Gaussian q(z|x).

    z (nodes,), posteriors and guesses (n, nodes), images (n, 1, height, width).
    """
    n = len(images)
    figure, axes = new_figure(2.1 * n, 2.3, 1, n, squeeze=False)
    for i, axis in enumerate(axes[0]):
        axis.fill_between(array(z), array(posteriors[i]), color=COLORS[0], alpha=0.35, lw=0, label="exact p(z|x)")
        axis.plot(array(z), array(guesses[i]), color=COLORS[1], label="encoder q(z|x)")
        shown = (posteriors[i] > 0.01 * posteriors[i].max()) | (guesses[i] > 0.01 * guesses[i].max())
        span = z[shown]
        middle, half = float(span.max() + span.min()) / 2, max(float(span.max() - span.min()) * 0.8, 0.3)
        axis.set(xlim=(middle - half, middle + half), yticks=[], xlabel="z")
        axis.set_ylim(0, 1.5 * float(max(posteriors[i].max(), guesses[i].max())))
        inset = axis.inset_axes((0.0, 0.68, 0.3, 0.3))
        inset.imshow(array(images[i])[0], cmap="gray_r", vmin=0, vmax=1)
        inset.set(xticks=[], yticks=[])
    axes[0, 0].legend(fontsize=8, loc="upper right")
    return figure


def plot_bounds(samples: Sequence[int], bounds: Mapping[str, Sequence[float]], truth: Mapping[str, float]) -> Figure:
    """Importance-weighted bounds against the number of samples, one panel a model, all on a scale of equal nats.

    `truth` gives the exact log p(x), in nats per image, of those models where it is known.
    """
    figure, axes = new_figure(3.5 * len(bounds), 2.8, 1, len(bounds), squeeze=False)
    tops = {name: max([*values, truth.get(name, -np.inf)]) for name, values in bounds.items()}
    span = 1.25 * max(tops[name] - min(values) for name, values in bounds.items())
    for i, ((name, values), axis) in enumerate(zip(bounds.items(), axes[0], strict=True)):
        axis.plot(samples, values, color=COLORS[i % len(COLORS)], marker=MARKERS[i % len(MARKERS)], ms=5)
        if name in truth:
            axis.axhline(truth[name], color="black", lw=1, ls=":")
            axis.annotate("log p(x), exact", (1, truth[name]), xycoords=("axes fraction", "data"),
                          ha="right", va="bottom", fontsize=9)  # fmt: skip
        axis.set(title=name, xlabel="latent samples k", xscale="log", ylim=(tops[name] - span, tops[name] + 0.2 * span))
        axis.set_xticks(samples, [str(k) for k in samples], fontsize=8)
        axis.minorticks_off()
    axes[0, 0].set_ylabel("nats per image")
    return figure


def plot_rate_distortion(points: Mapping[float, tuple[float, float]]) -> Figure:
    """Distortion against rate, one point for each β; on the dotted lines −ELBO = rate + distortion is constant."""
    figure, axis = new_figure(5.2, 3.4)
    rates, distortions = (np.array(part) for part in zip(*points.values(), strict=True))
    axis.plot(rates, distortions, color=COLORS[0], marker="o")
    for beta, (rate, distortion) in points.items():
        axis.annotate(f"β = {beta:g}", (rate, distortion), textcoords="offset points", xytext=(6, 5), fontsize=9)
    right, high = 1.2 * rates.max(), 1.12 * distortions.max()
    for total in np.arange(10, right + high, 10):
        axis.plot([0, total], [total, 0], color="grey", lw=0.6, ls=":", zorder=0)
        if 0.9 * total < right:
            axis.annotate(f"−ELBO = {total:.0f}", (0.8 * total, 0.2 * total), ha="center", va="center", fontsize=8,
                          color="#555555", rotation=-32, backgroundcolor="white")  # fmt: skip
    axis.set(
        xlim=(0, right), ylim=(0, high), xlabel="rate: KL(q(z|x) ‖ p(z)), nats", ylabel="distortion: −log p(x|z), nats"
    )
    return figure


def plot_rates(rates: Mapping[str, Tensor]) -> Figure:
    """KL of each latent, largest first, for several models: a latent near zero is unused. Each value is (latents,), nats."""
    figure, axes = new_figure(2.4 * len(rates), 2.4, 1, len(rates), squeeze=False, sharey=True)
    for i, ((name, rate), axis) in enumerate(zip(rates.items(), axes[0], strict=True)):
        values = np.sort(array(rate))[::-1]
        axis.bar(np.arange(1, len(values) + 1), values, color=COLORS[i % len(COLORS)])
        axis.axhline(0.1, color="black", lw=0.8, ls=":")
        axis.set_xticks([1, (len(values) + 1) // 2, len(values)])
        axis.set(title=f"{name}\n{int((values > 0.1).sum())} of {len(values)} in use", xlabel="latent, sorted")
    axes[0, 0].set_ylabel("KL, nats")
    axes[0, 0].annotate("in use: above 0.1", (len(values), 0.1), ha="right", va="bottom", fontsize=8)
    return figure
