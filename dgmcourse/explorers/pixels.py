"""From tensors of images to bytes that a browser shows: uint8 arrays, tiles of many images, PNG."""

import functools
import io
import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor

__all__ = [
    "EDGE",
    "bordered",
    "encode_drawing",
    "encode_png",
    "enlarge",
    "image_shape",
    "small_png",
    "tile",
    "to_pil",
    "to_uint8",
]

EDGE = 224  # the light grey around images: paper on paper must be told apart


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """(height, width, channels) of one image of this shape, or None if it is no image.

    Images are (height, width), (1, height, width) or (3, height, width).
    """
    if len(shape) == 2:
        return (shape[0], shape[1], 1)
    if len(shape) == 3 and shape[0] in (1, 3):
        return (shape[1], shape[2], shape[0])
    return None


def to_uint8(images: Tensor) -> np.ndarray:
    """Mean images in [0, 1], (n, h, w), (n, 1, h, w) or (n, 3, h, w), as uint8 (n, h, w, channels).

    Grey images are drawn as ink on paper, as in every figure of the course: 0 is white, 1 black. Colors are kept.
    Values outside [0, 1] are clipped.

    Raises:
        ValueError: not images, or not finite.
    """
    if image_shape(tuple(images.shape[1:])) is None:
        raise ValueError("images must have shape (n, height, width) or (n, 1 or 3, height, width), "
                         f"got {tuple(images.shape)}")  # fmt: skip
    images = images.detach()
    images = images[:, None] if images.ndim == 3 else images
    if not torch.isfinite(images).all():
        raise ValueError("the image holds NaN or infinity; has training diverged?")
    images = 1 - images if images.shape[1] == 1 else images
    bytes_ = images.clamp(0, 1).mul(255).round().to(torch.uint8)
    return bytes_.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def tile(images: np.ndarray | Tensor, columns: int | None = None, gap: int = 1, fill: int = EDGE,
         outer: bool = False) -> np.ndarray:  # fmt: skip
    """Many images side by side as one: uint8 (n, h, w, c), or a tensor for `to_uint8`, -> uint8 (height, width, c).

    Args:
        images: read row by row, from the top left.
        columns: images a row; by default as square as possible.
        gap: pixels between images.
        fill: grey of the gaps, 0 … 255. Places left over stay white.
        outer: whether the outermost images have such a line on their outer side too.
    """
    images = to_uint8(images) if isinstance(images, Tensor) else images
    n, height, width, channels = images.shape
    if n == 0:
        raise ValueError("tile needs at least one image")
    columns = min(n, columns or math.ceil(math.sqrt(n)))
    rows = math.ceil(n / columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, channels), 255, np.uint8)
    for i in range(n):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        sheet[top : top + height + 2 * gap, left : left + width + 2 * gap] = fill
    for i, image in enumerate(images):
        top, left = gap + (i // columns) * (height + gap), gap + (i % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet if outer or gap == 0 else sheet[gap:-gap, gap:-gap]


def enlarge(image: np.ndarray, factor: int) -> np.ndarray:
    """Every pixel `factor` times as wide and high, edges sharp: (..., h, w, c) -> (..., h·factor, w·factor, c)."""
    return image.repeat(factor, axis=-3).repeat(factor, axis=-2)


def bordered(images: np.ndarray, marked: int | None = None, edge: int = 2, color: str = "#d55e00") -> np.ndarray:
    """Images with an edge, uint8 (n, h, w, c) -> (n, h + 2·edge, …, 3): a colored one for image `marked`; for the
    others a thin light grey line, and white around it."""
    images = np.broadcast_to(images, (*images.shape[:3], 3))
    for width, grey in ((1, EDGE), (edge - 1, 255)):
        images = np.pad(images, ((0, 0), (width, width), (width, width), (0, 0)), constant_values=grey)
    if marked is not None:
        image = images[marked]
        for side in (image[:edge], image[-edge:], image[:, :edge], image[:, -edge:]):
            side[:] = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return images


def to_pil(image: np.ndarray) -> Image.Image:
    """uint8 (h, w, 1 or 3) as a PIL image, grey or RGB."""
    return Image.fromarray(np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image))


def encode_png(image: np.ndarray | Image.Image, effort: int = 1) -> bytes:
    """PNG bytes of a uint8 array (h, w, 1 or 3) or a PIL image; effort 0 … 9 (1 is fast, 9 small)."""
    buffer = io.BytesIO()
    picture = to_pil(image) if isinstance(image, np.ndarray) else image
    picture.save(buffer, format="PNG", compress_level=effort)
    return buffer.getvalue()


def encode_drawing(
    image: Image.Image, colors: tuple[str, ...] | None = None, flat: tuple[tuple[int, int, int], ...] = ()
) -> bytes:
    """PNG bytes of a drawing, quicker and smaller than `encode_png`'s: in greys, these few colors ("#rrggbb") and their
    paler shades, and `flat` ones (r, g, b) without; or, without colors, in the 256 that suit it best."""
    if colors is None:
        return encode_png(image.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE))
    return encode_png(image.quantize(palette=_palette(colors, flat), dither=Image.Dither.NONE))


@functools.cache
def _palette(colors: tuple[str, ...], flat: tuple[tuple[int, int, int], ...] = ()) -> Image.Image:
    """Greys from black to white, every color in steps to white, which the edges of lines need, and flat colors."""
    shades = [(grey,) * 3 for grey in range(0, 256, 17)] + [(EDGE,) * 3, *flat]
    for color in colors:
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        shades += [tuple(round(255 + part / 4 * (c - 255)) for c in rgb) for part in (4, 3, 2, 1)]
    holder = Image.new("P", (1, 1))
    holder.putpalette([value for shade in shades for value in shade])
    return holder


def small_png(image: Image.Image, limit: int = 30_000, vivid: bool = False) -> bytes:
    """PNG of at most `limit` bytes: with 256 colors if that fits, else with 64, else smaller and smaller.

    The colors are shared out by area, so that small colored marks may turn grey; `vivid` shares them out evenly over
    all hues, which keeps such marks and is coarser in greys.
    """
    image, method = image.convert("RGB"), Image.Quantize.FASTOCTREE if vivid else Image.Quantize.MEDIANCUT
    while True:
        for colors in (256, 64):
            png = encode_png(image.quantize(colors, method, dither=Image.Dither.NONE), effort=9)
            if len(png) <= limit:
                return png
        if min(image.size) < 16:
            return png
        image = image.resize((image.width * 4 // 5, image.height * 4 // 5), Image.Resampling.LANCZOS)
