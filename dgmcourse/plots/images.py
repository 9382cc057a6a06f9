"""Pictures of images: rows of them, and what a plane of latents decodes to."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from .figures import array, new_figure

__all__ = ["plot_images", "plot_latent_grid"]


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
        for image, axis in zip(array(images), line, strict=False):
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
        array(tiled),
        cmap="gray_r",
        vmin=0,
        vmax=1,
        extent=(-extent, extent, -extent, extent),
        interpolation="bilinear",
    )
    axis.set(xlabel="z₁", ylabel="z₂")
    return figure
