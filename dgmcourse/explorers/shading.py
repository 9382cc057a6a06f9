"""A function over the plane as shades of one color, in bands, so that contours are seen and pictures stay small."""

import numpy as np
from PIL import Image

__all__ = ["Shades"]


class Shades:
    """From paper to a color, in so many even bands.

    Args:
        color: of the last band, "#rrggbb".
        count: bands.

    Attributes:
        flat: the colors, (r, g, b) each, as `encode_drawing` takes them.
    """

    def __init__(self, color: str, count: int):
        full = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], float)
        place = np.round(np.arange(256) / 255 * count) / count
        table = (255 + place[:, None] * (full - 255)).round().astype(int)
        self._table = table.flatten().tolist()
        self.flat = tuple(dict.fromkeys(map(tuple, table.tolist())))

    def field(self, parts: np.ndarray, size: tuple[int, int]) -> Image.Image:
        """Values from 0 (paper) to 1 (the color) on a grid, row 0 at the bottom, (rows, columns), as a picture of this
        size, RGB; what is no number is paper."""
        values = 255 * np.clip(np.nan_to_num(parts[::-1], nan=0.0), 0, 1)
        image = Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BILINEAR).convert("L")
        image.putpalette(self._table)
        return image.convert("RGB")
