"""A picture with handles on it that a hand can move; what a move means, and what the picture then shows, Python decides."""

from collections.abc import Callable
from typing import NamedTuple

import traitlets
from PIL import ImageDraw

from .base import Picture, script
from .drawing import INK, PAPER, SCALE, Plane, font

__all__ = ["Handle", "HandlePicture"]


class Handle(NamedTuple):
    """Something on a plane that can be moved.

    Attributes:
        at: (x, y), in the values of the plane's axes.
        mark: a character or two written on it.
        color: of its face, "#rrggbb".
        name: what it is called by a screen reader.
        text: what its present place means, in words.
    """

    at: tuple[float, float]
    mark: str
    color: str
    name: str
    text: str

    def part(self, plane: Plane) -> tuple[float, float]:
        """Where on the plane it stands, in parts from the lower left corner; it never leaves the plane."""
        ranges = zip(self.at, (plane.x_range, plane.y_range), strict=True)
        return tuple(min(max((value - low) / (high - low), 0.0), 1.0) for value, (low, high) in ranges)

    def draw(self, draw: ImageDraw.ImageDraw, plane: Plane) -> None:
        """Draw on a still picture what the browser shows."""
        left, top, right, bottom = plane.box
        across, up = self.part(plane)
        x, y = left + across * (right - left), bottom - up * (bottom - top)
        for radius, color in ((12.5, INK), (11.5, PAPER), (9.5, self.color)):
            r = radius * SCALE
            draw.ellipse([x - r, y - r, x + r, y + r], fill=color)
        draw.text((x, y), self.mark, fill=PAPER, font=font(11), anchor="mm", stroke_width=1, stroke_fill=INK)


class HandlePicture(Picture):
    """A picture of a plane with handles, moved by mouse, finger or arrow keys (Shift: five steps at once).

    One request is under way at a time. Of the places that the pointer passes meanwhile the newest is asked for next;
    steps of the keys are added up.

    Args:
        respond: called with (kind, handle, x, y) when the browser asks: ("move", 0, 0.2, 0.7) moves handle 0 to this
            place, in parts of the plane from its lower left corner; ("step", 0, −1, 5) moves it by so many steps to
            the right and up; where `clicks` are listened to, ("click", 0, 0.2, 0.7) was a click on the picture there, and
            ("press", 0, 0, 0) a click, Enter or Space on handle 0. It should call `lay(…)`; what it raises, it must catch.

    Attributes:
        box: where the plane lies on the picture: left, top, width and height, as parts of the picture's.
        handles: what is known of each handle in the browser.
        clicks: whether clicks on the picture, and Enter and Space on a handle, are asked about too.
        answer: the name of the request answered last.
    """

    _esm = script("keys.js", "canvas.js", "requests.js", "frames.js", "handles.js")
    box = traitlets.Tuple((0.0, 0.0, 1.0, 1.0)).tag(sync=True)
    handles = traitlets.List([]).tag(sync=True)
    clicks = traitlets.Bool(False).tag(sync=True)
    answer = traitlets.Unicode("").tag(sync=True)

    def __init__(self, respond: Callable[[str, object, object, object], None], **settings):
        super().__init__(sharp=False, **settings)
        self._respond, self._asked = respond, None
        self.on_msg(self._receive)

    def _receive(self, _, request: dict, buffers=None) -> None:
        self._asked = str(request.get("id", ""))
        self._respond(request.get("kind"), request.get("handle"), request.get("x"), request.get("y"))
        self._answer()

    def _answer(self) -> None:
        """Tell the browser that its request has been dealt with, once."""
        if self._asked is not None:
            self.answer, self._asked = self._asked, None

    def lay(self, png: bytes, alt: str, plane: Plane, handles: list[Handle]) -> None:
        """Show a picture that was drawn on this plane, and these handles on it: at once, in one message that also
        answers the request under way, so that what else is drawn for it delays nothing."""
        width, height = plane.size
        left, top, right, bottom = plane.box
        with self.hold_sync():
            self.show(png, alt)
            self.box = (left / width, top / height, (right - left) / width, (bottom - top) / height)
            self.handles = [self._told(handle, plane) for handle in handles]
            self._answer()

    @staticmethod
    def _told(handle: Handle, plane: Plane) -> dict:
        x, y = handle.part(plane)
        return {"x": x, "y": y, "mark": handle.mark, "color": handle.color, "name": handle.name, "text": handle.text}
