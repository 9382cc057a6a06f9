"""Many small images as one picture, of which one can be chosen by click or with the arrow keys."""

import math

import numpy as np
import traitlets
from PIL import Image, ImageDraw

from .base import Picture, script
from .drawing import ACCENT, INK, SCALE
from .pixels import encode_png, enlarge, tile, to_pil

__all__ = ["TilePicture"]


class TilePicture(Picture):
    """Images of one size in rows, one of them chosen and framed, some perhaps crossed out; frames are drawn by the
    browser, so that a choice costs no new picture.

    Attributes:
        count, columns: how many images there are, and how many stand in a row.
        cell: width and height of an image and the gap around it, in its own pixels.
        chosen: number of the image that is framed; −1 for none. Set it, or observe it.
        crossed: numbers of the images that are crossed out.
        name: what the whole is called by a screen reader.
        text: what the chosen image is, in words.
        color: of the frame.
    """

    _esm = script("keys.js", "canvas.js", "frames.js", "tiles.js")
    count = traitlets.Int(0).tag(sync=True)
    columns = traitlets.Int(1).tag(sync=True)
    cell = traitlets.Tuple((1, 1, 0)).tag(sync=True)
    chosen = traitlets.Int(-1).tag(sync=True)
    crossed = traitlets.List([]).tag(sync=True)
    name = traitlets.Unicode("").tag(sync=True)
    text = traitlets.Unicode("").tag(sync=True)
    color = traitlets.Unicode(ACCENT).tag(sync=True)

    def __init__(self, name: str, **settings):
        super().__init__(name=name, **settings)
        self.images = np.zeros((0, 1, 1, 1), np.uint8)

    @traitlets.validate("chosen")
    def _inside(self, proposal) -> int:
        return proposal["value"] if -1 <= proposal["value"] < self.count else -1

    def lay(self, images: np.ndarray, alt: str, columns: int, side: int, chosen: int | None = None) -> None:
        """Show these images, uint8 (n, h, w, c), `columns` to a row, each about `side` shown pixels wide."""
        zoom = max(1, round(side / images.shape[2])) if len(images) else 1
        self.images = images = enlarge(images, zoom) if len(images) else images
        count = len(images)
        with self.hold_sync():
            self.count, self.columns = count, min(columns, count) or 1
            self.cell = (images.shape[2], images.shape[1], 1)
            sheet = self._sheet() if count else None
            self.width = sheet.shape[1] if count else 1
            self.png, self.alt = (encode_png(sheet) if count else b""), alt
            self.chosen = min(self.chosen if chosen is None else chosen, count - 1)

    def _sheet(self) -> np.ndarray:
        return tile(self.images, self.columns, gap=1, outer=True)

    def still(self, most: int | None = None) -> Image.Image:
        """The picture with its frame and crosses, for where no browser draws them: all images, or the first `most`."""
        few = most is not None and most < self.count
        count, columns = (most, math.ceil(math.sqrt(most))) if few else (self.count, self.columns)
        image = to_pil(enlarge(tile(self.images[:count], columns, gap=1, outer=True), SCALE)).convert("RGB")
        pen, (width, height, gap) = ImageDraw.Draw(image), self.cell
        for i in [i for i in (*self.crossed, self.chosen) if 0 <= i < count]:
            left, top = (i % columns) * (width + gap) * SCALE, (i // columns) * (height + gap) * SCALE
            right, bottom = left + (width + 2 * gap) * SCALE - 1, top + (height + 2 * gap) * SCALE - 1
            if i in self.crossed:
                pen.line([(left, bottom), (right, top)], fill=INK, width=SCALE)
            if i == self.chosen:
                pen.rectangle([left, top, right, bottom], outline=self.color, width=3 * SCALE)
        return image
