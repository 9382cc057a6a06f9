"""Every figure of the lessons: one function each, one look, a text alternative for each.

Each function returns a matplotlib figure; `show(fig, alt="…")` displays it as a picture with alternative text, which
screen readers, GitHub and JupyterLab all keep. Colors are safe for color-blind readers, and markers or line styles
stand beside them.
"""

import base64
import contextlib
import html
import io
import sys
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

__all__ = [
    "COLORS",
    "MARKERS",
    "new_figure",
    "plot_bounds",
    "plot_curves",
    "plot_history",
    "plot_images",
    "plot_latent_grid",
    "plot_posterior_on_grid",
    "plot_rate_distortion",
    "plot_rates",
    "show",
]

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31", "#999999", "#6A3D9A")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
STYLE = {
    "figure.dpi": 90,
    "savefig.dpi": 90,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": matplotlib.cycler(color=COLORS),
    "axes.grid": False,
    "legend.frameon": False,
    "image.cmap": "gray_r",
    "image.interpolation": "nearest",
}


def new_figure(width: float = 7.0, height: float = 2.8, rows: int = 1, columns: int = 1, **settings):
    """A figure and its axes in the course's look, outside pyplot's global state."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots(rows, columns, **settings)


def picture(figure: Figure, colors: int = 64) -> bytes:
    """The figure as a small PNG: a palette of 64 colors serves drawings and grey images alike."""
    from PIL import Image

    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="png", facecolor="white")
    image = Image.open(buffer).convert("RGB").quantize(colors, dither=Image.Dither.NONE)
    small = io.BytesIO()
    image.save(small, format="png", optimize=True)
    return small.getvalue()


class Picture:
    """A picture with alternative text, as Jupyter displays it."""

    def __init__(self, png: bytes, alt: str):
        self.png, self.alt = png, alt

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png).decode()
        return (
            f'<img alt="{html.escape(self.alt, quote=True)}" src="data:image/png;base64,{data}" style="max-width:100%">'
        )

    def __repr__(self) -> str:
        return f"[picture: {self.alt}]"


def show(figure: Figure, alt: str) -> None:
    """Display a figure with alternative text.

    Args:
        figure: a matplotlib figure.
        alt: what a reader who cannot see it should know: what is drawn, and what it shows.

    Raises:
        ValueError: the alternative text is missing.
    """
    if not alt or not alt.strip():
        raise ValueError('show needs alt="…": say in a sentence what the picture shows, for those who cannot see it')
    shown = Picture(picture(figure), alt)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(figure)  # a pyplot figure would be shown again at the cell's end
    with contextlib.suppress(ImportError):
        from IPython.display import display

        display(shown)


def _array(x: Tensor) -> np.ndarray:
    return x.detach().float().cpu().numpy()


def plot_images(
    rows: Mapping[str, Tensor] | Tensor,
    columns: int = 12,
    scale: float = 0.55,
    title: str | None = None,
    above: Sequence[str] | None = None,
) -> Figure:
    """Images in rows: each value (n, 1, height, width) in [0, 1], its key written beside it.

    A bare tensor is laid out in as many rows as it needs. `above` writes a short text over each column.
    """
    if isinstance(rows, Tensor):
        parts = rows.split(columns)
        rows = {" " * i: part for i, part in enumerate(parts)}
    n = max(len(images) for images in rows.values())
    label_width = 0.085 * max(len(line) for label in rows for line in label.split("\n")) + 0.1
    width = scale * n + (label_width if any(label.strip() for label in rows) else 0)
    figure, axes = new_figure(
        width, scale * len(rows) + 0.25 * bool(title) + 0.2 * bool(above), len(rows), n, squeeze=False
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for (label, images), line in zip(rows.items(), axes, strict=True):
        for image, axis in zip(_array(images), line, strict=False):
            axis.imshow(image[0], vmin=0, vmax=1, cmap="gray_r")
        if label.strip():
            line[0].set_axis_on()
            line[0].set(xticks=[], yticks=[])
            line[0].spines[:].set_visible(False)
            line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    if above:
        for axis, text in zip(axes[0], above, strict=False):
            axis.set_title(text, fontsize=9)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


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


def plot_posterior_on_grid(z: Tensor, posteriors: Tensor, guesses: Tensor, images: Tensor) -> Figure:
    """The exact posterior p(z|x) of each image on a grid of one latent, and the encoder's Gaussian q(z|x).

    z (nodes,), posteriors and guesses (n, nodes), images (n, 1, height, width).
    """
    n = len(images)
    figure, axes = new_figure(2.1 * n, 2.3, 1, n, squeeze=False)
    for i, axis in enumerate(axes[0]):
        axis.fill_between(_array(z), _array(posteriors[i]), color=COLORS[0], alpha=0.35, lw=0, label="exact p(z|x)")
        axis.plot(_array(z), _array(guesses[i]), color=COLORS[1], label="encoder q(z|x)")
        shown = (posteriors[i] > 0.01 * posteriors[i].max()) | (guesses[i] > 0.01 * guesses[i].max())
        span = z[shown]
        middle, half = float(span.max() + span.min()) / 2, max(float(span.max() - span.min()) * 0.8, 0.3)
        axis.set(xlim=(middle - half, middle + half), yticks=[], xlabel="z")
        axis.set_ylim(0, 1.5 * float(max(posteriors[i].max(), guesses[i].max())))
        inset = axis.inset_axes((0.0, 0.68, 0.3, 0.3))
        inset.imshow(_array(images[i])[0], cmap="gray_r", vmin=0, vmax=1)
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
        values = np.sort(_array(rate))[::-1]
        axis.bar(np.arange(1, len(values) + 1), values, color=COLORS[i % len(COLORS)])
        axis.axhline(0.1, color="black", lw=0.8, ls=":")
        axis.set_xticks([1, (len(values) + 1) // 2, len(values)])
        axis.set(title=f"{name}\n{int((values > 0.1).sum())} of {len(values)} in use", xlabel="latent, sorted")
    axes[0, 0].set_ylabel("KL, nats")
    axes[0, 0].annotate("in use: above 0.1", (len(values), 0.1), ha="right", va="bottom", fontsize=8)
    return figure


@torch.no_grad()
def plot_latent_grid(model, side: int = 15, extent: float = 2.2, y: int | None = None) -> Figure:
    """What a model with two latents decodes on a square grid of z, row by row from above: one large picture."""
    axis_values = torch.linspace(-extent, extent, side, device=model.device)
    z = torch.stack(torch.meshgrid(axis_values, axis_values.flip(0), indexing="xy"), dim=-1).reshape(-1, 2)
    labels = None if y is None else torch.full((len(z),), y, device=model.device)
    images = model.decode(z, labels)
    height, width = images.shape[-2:]
    tiled = images.view(side, side, height, width).permute(0, 2, 1, 3).reshape(side * height, side * width)
    figure, axis = new_figure(4.6, 4.6)
    axis.imshow(
        _array(tiled),
        cmap="gray_r",
        vmin=0,
        vmax=1,
        extent=(-extent, extent, -extent, extent),
        interpolation="bilinear",
    )
    axis.set(xlabel="z₁", ylabel="z₂")
    return figure
