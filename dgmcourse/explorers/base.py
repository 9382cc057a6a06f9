"""What every explorer shares: a picture to fall back on, words for screen readers, errors that are shown."""

import base64
import functools
import html
import logging
from collections.abc import Callable
from pathlib import Path

import anywidget
import ipywidgets
import traitlets
from PIL import Image, ImageOps

from .drawing import PAPER, SCALE
from .pixels import small_png

__all__ = ["HERE", "Explorer", "Picture", "describe", "reported", "script"]

HERE = Path(__file__).parent
_log = logging.getLogger(__name__)


def script(*names: str) -> str:
    """One JavaScript module for the browser out of several files of this folder: they are joined, not imported."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


def describe(problem: BaseException) -> str:
    """An exception as one sentence for people."""
    words = str(problem).strip() or "no message"
    return words if isinstance(problem, (ValueError, TypeError)) else f"{type(problem).__name__}: {words}"


def reported(method: Callable) -> Callable:
    """Make a callback put its exception into `self.error`, which the explorer shows, instead of losing it.

    Where one such callback calls another, the outer one reports for both.
    """

    @functools.wraps(method)
    def run(self, *args, **kwargs):
        if self._reporting:
            return method(self, *args, **kwargs)
        self._reporting = True
        try:
            result = method(self, *args, **kwargs)
        except Exception as problem:
            _log.info("%s failed in %s", type(self).__name__, method.__name__, exc_info=True)
            self.error = describe(problem)
            return None
        finally:
            self._reporting = False
        self.error = ""
        return result

    return run


class Picture(anywidget.AnyWidget):
    """A picture that can be replaced at any moment, without flicker, with words for those who cannot see it.

    Attributes:
        png: the picture, PNG bytes.
        alt: what it shows, in words.
        width: its width as shown, in CSS pixels; the height follows.
        sharp: whether enlarged pixels keep their edges.
        lined: whether a thin line is drawn around it.
    """

    _esm = script("keys.js", "frames.js", "picture.js")
    _css = HERE / "picture.css"
    png = traitlets.Bytes(b"").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    width = traitlets.Int(160).tag(sync=True)
    sharp = traitlets.Bool(True).tag(sync=True)
    lined = traitlets.Bool(False).tag(sync=True)

    def show(self, png: bytes, alt: str) -> None:
        """Replace the picture and its words, in one message."""
        with self.hold_sync():
            self.png, self.alt = png, alt


class Explorer(traitlets.HasTraits):
    """Mixed into a widget, before the widget class.

    Attributes:
        error: what went wrong in the last callback, in words; empty when all is well. Shown in the explorer.
    """

    error = traitlets.Unicode("")
    _still_bytes = 30_000  # of the still picture at most, before it is written in base64
    _still_vivid = False  # whether small colored marks are worth coarser greys in it
    _reporting = False  # a callback that reports is under way

    @property
    def alt(self) -> str:
        """What the explorer shows at the moment, in words."""
        raise NotImplementedError

    def picture(self) -> Image.Image:
        """What the explorer shows at the moment, as a still picture."""
        raise NotImplementedError

    def _message_box(self) -> ipywidgets.HTML:
        """A line that holds `error`, announced to screen readers; it takes no room while there is none."""
        box = ipywidgets.HTML()

        def show(_=None):
            words = html.escape(self.error)
            box.value = f'<div role="alert" class="dgm-error">{words}</div>' if self.error else ""
            box.layout.display = None if self.error else "none"

        self.observe(show, "error")
        show()
        return box

    def _fallback(self) -> str:
        """The picture as an `<img>`, for GitHub, PDF and wherever no widget can run; under 60 kB."""
        alt = html.escape(self.alt, quote=True)
        try:
            picture = ImageOps.expand(self.picture().convert("RGB"), 8 * SCALE, PAPER)
            png = small_png(picture, self._still_bytes, self._still_vivid)
        except Exception as problem:
            _log.info("%s has no picture", type(self).__name__, exc_info=True)
            return f"<p>{html.escape(self.alt)} ({html.escape(describe(problem))})</p>"
        source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        return f'<img alt="{alt}" style="width:{picture.width // SCALE}px;max-width:100%" src="{source}">'

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/html": self._fallback(), "text/plain": repr(self)}, metadata

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.alt}"
