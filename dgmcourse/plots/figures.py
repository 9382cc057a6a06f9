"""The look of every figure, and how one is shown: as a small picture with a text alternative."""

import base64
import contextlib
import html
import io
import sys

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

__all__ = ["COLORS", "LINES", "MARKERS", "array", "new_figure", "picture", "show"]


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
    image = Image.open(buffer).convert("RGB")
    image = image.quantize(colors, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)  # rare colors live too
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


def array(x: Tensor) -> np.ndarray:
    return x.detach().float().cpu().numpy()
