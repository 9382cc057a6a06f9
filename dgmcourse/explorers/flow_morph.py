"""FlowMorph: the plane of noise bends, layer by layer, into the plane of data; or back."""

import ipywidgets as W
import numpy as np
import traitlets
from PIL import Image, ImageDraw
from torch import Tensor

from .base import Explorer, reported
from .drawing import ACCENT, INK, MUTED, PAPER, Plane, beside, captioned, square_ranges, table
from .filters import signed_uint8
from .flow_grid import CIRCLE, DIRECTIONS, FINE, Account, FlowGrid, check_flow, checked_points
from .handles import Handle, HandlePicture
from .pixels import encode_drawing
from .playback import Playback

__all__ = ["FlowMorph"]

MOST_PLACES = 240  # of the slider
MOST_STEPS = 20  # of the slider from one state to the next
MOST_DATA = 1500  # drawn
SPEEDS = {"½ ×": 100, "1 ×": 50, "2 ×": 25}  # ms a step of the slider
CORNERS = np.array([[(51, 34, 136), (136, 204, 238)], [(221, 170, 51), (204, 102, 119)]], float)  # [up][right]
DENSE = np.array([17, 85, 68], float)
UPRIGHT, PALE, LINE = "#0072b2", "#a9a9a9", "#8a8a8a"
SHADINGS = {"where it came from": "origin", "area: stretched or squeezed": "area", "density": "density", "none": "none"}
WAYS = {"noise → data": "generate", "data → noise": "encode"}


class FlowMorph(Explorer, W.VBox):
    """Watch a flow of the plane at work: a regular grid, its cells colored, bends through every layer.

    Cells can be colored by where they came from, so that one can follow them; by how far they have been stretched
    (orange) or squeezed (blue), which is the log-determinant; or by the density of the model there. Points move along;
    the target is drawn pale: the data, or the circles of one, two and three standard deviations of the noise. The
    handle is a point that you choose: the small circle around it becomes (nearly) the ellipse of its Jacobian, and the
    table does the account of the change of variables, log density = log density at the start − log|det|.

    Between two states everything moves on straight lines (see `FlowGrid`). A flow that mirrors the plane, by exchanging
    its coordinates, say, turns it over like a page on the way.

    Args:
        flow: a flow of `Space.real(2)`: `states(z, y)` yields z and the state after each layer, noise → data, and
            `encode(x, y)` gives the noise of x. Continuous flows do too; their states are times.
        data: points, (n, 2); pale behind the grid, or those that move, on the way from data to noise.
        direction: "generate" (noise → data) or "encode" (data → noise).
        shading: "origin", "area", "density" or "none".
        classes: number of labels of a conditional flow, `flow.classes` by default; `label`: the first one.
        cells: cells of the grid each way.
        extent: of noise the grid spans −extent … extent.
        points: how many points move along.
        seed: of the points.
        size: side of the picture, in CSS pixels.

    Attributes:
        place: how far it has come, 0 … `grid.layers`; 2.5 is half way from state 2 to state 3.
        direction, shading, label: as above; set them.
        show_points: whether points are drawn.
        probe: where the chosen point begins, (x, y), within the grid.
        grid: the mathematics, a `FlowGrid`. After training on, `refresh()` computes it anew.
        account: of the chosen point at this place, an `Account`.

    Raises:
        TypeError: the flow has no states, or no encode where it is needed.
        ValueError: the flow is not of the plane, the data are no points of it, or a label or number is out of range.
    """

    place = traitlets.Float(0.0)
    direction = traitlets.Enum(list(DIRECTIONS), "generate")
    shading = traitlets.Enum(list(SHADINGS.values()), "origin")
    label = traitlets.Int(0)
    show_points = traitlets.Bool(True)
    probe = traitlets.Tuple(traitlets.Float(), traitlets.Float(), default_value=(1.0, 1.0))

    def __init__(self, flow, data: Tensor | None = None, *, direction: str = "generate", shading: str = "origin",
                 classes: int | None = None, label: int = 0, cells: int = 20, extent: float = 3.0, points: int = 300,
                 seed: int = 0, size: int = 430):  # fmt: skip
        check_flow(flow, direction)
        self.flow, self.data, self.size = flow, None if data is None else checked_points(data), size
        self.classes = classes if classes is not None else getattr(flow, "classes", None)
        self._settings = {"cells": cells, "extent": extent, "points": points, "seed": seed}
        self._still, self._frames = True, {}
        super().__init__(self._build())
        self.add_class("dgm-explorer").add_class("dgm-morph")
        self.direction, self.shading, self.label = direction, shading, label
        self.grid = self._grid()
        self._still = False
        self._begin()
        if self.error:
            raise ValueError(self.error)

    # --- what is on the page ---------------------------------------------------------------------------------------

    def _build(self) -> list[W.Widget]:
        self._pad = HandlePicture(self._respond, width=self.size)
        self._table, self._words = W.HTML(), W.HTML()
        self.playback = Playback("Play from the first state to the last", "layer", 1, SPEEDS, 50)
        self.playback.slider.observe(lambda _: self._still or self._slid(), "value")
        style, layout = {"description_width": "60px"}, W.Layout(width="290px")
        self._choices = {
            "direction": W.Dropdown(options=WAYS, description="direction", style=style, layout=layout),
            "shading": W.Dropdown(options=SHADINGS, description="colors", style=style, layout=layout),
            "show_points": W.Checkbox(True, description="points", indent=False, layout=W.Layout(width="100px")),
        }
        if self.classes:
            self._choices["label"] = W.Dropdown(options=range(self.classes), description="label", style=style,
                                                layout=W.Layout(width="160px"))  # fmt: skip
        for name, widget in self._choices.items():
            traitlets.link((self, name), (widget, "value"))
        self._place = W.Label("")
        hint = W.HTML('<span class="dgm-note">Drag the point P, or use the arrow keys, to follow another one.</span>')
        play = W.HBox([self.playback.play, self.playback.slider], layout=W.Layout(align_items="center"))
        choices = [widget for name, widget in self._choices.items() if name != "show_points"]
        last = W.HBox([self._choices["show_points"], self.playback.speed])
        right = W.VBox([play, self._place, *choices, last, self._words, self._table],
                       layout=W.Layout(padding="0 0 0 20px", width="400px"))  # fmt: skip
        return [W.HBox([W.VBox([self._pad, hint]), right], layout=W.Layout(flex_flow="row wrap")), self._message_box()]

    # --- the flow --------------------------------------------------------------------------------------------------

    def _grid(self) -> FlowGrid:
        label = self.label if self.classes else None
        return FlowGrid(self.flow, self.direction, self.data, label, **self._settings)

    @reported
    def refresh(self) -> None:
        """Look at the flow again: it may have learned meanwhile."""
        self.grid = self._grid()
        self._begin(self.place)

    def _begin(self, place: float = 0.0) -> None:
        """Show a grid that is new, from this place on."""
        grid = self.grid
        self.steps = max(1, min(MOST_STEPS, MOST_PLACES // grid.layers))
        ends = [grid.grid[:, ::FINE, ::FINE].reshape(-1, 2), grid.points.reshape(-1, 2)]
        reach = 3.0 if self.direction == "encode" else 0.0  # the circles of the noise are seen whole
        ranges = square_ranges(ends if self.data is None else [*ends, self.data.numpy()], 0.01, reach)
        self._plane = Plane(self.size, None, *ranges, "x₁", "x₂")
        stages = [grid.log_det(k) for k in range(grid.layers + 1)], [grid.density(k) for k in range(grid.layers + 1)]
        found = np.abs(np.concatenate(stages[0]))
        self._stretch = max(float(np.quantile(found[np.isfinite(found)], 0.98)), np.log(1.5))
        found = np.concatenate(stages[1])
        self._densest = float(np.quantile(found[np.isfinite(found)], 0.995))
        self._still = True
        try:
            low, high = [line[[0, -1]] for line in grid.lines]
            (x0, x1), (y0, y1) = low, high
            self.probe = (min(max(self.probe[0], x0), x1), min(max(self.probe[1], y0), y1))
            self.playback.rewind(grid.layers * self.steps)
            self.place = min(max(place, 0.0), float(grid.layers))
            self.playback.slider.value = round(self.place * self.steps)
        finally:
            self._still = False
        self._choose()

    def _choose(self) -> None:
        """Follow the point that is chosen."""
        self._followed = self.grid.follow(self.probe)
        self._frames = {}
        self._show()

    @property
    def account(self) -> Account:
        """Of the chosen point, at this place."""
        return self._followed.at(self.place)

    # --- moving ----------------------------------------------------------------------------------------------------

    @traitlets.validate("place", "label", "probe")
    def _within(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        if name == "label":
            if not 0 <= value < (self.classes or 1):
                raise traitlets.TraitError(f"label must lie in 0 … {(self.classes or 1) - 1}, got {value}")
        elif name == "place":
            most = self.grid.layers if hasattr(self, "grid") else 0
            if not 0 <= value <= most:
                raise traitlets.TraitError(f"place must lie in 0 … {most}, got {value}")
        elif hasattr(self, "grid") and not self._still:
            for part, (low, *_, high) in zip(value, self.grid.lines, strict=True):
                if not low - 1e-9 <= part <= high + 1e-9:
                    raise traitlets.TraitError(f"probe must lie in the grid, {low:.3g} … {high:.3g}, got {value}")
        return value

    def _slid(self) -> None:
        self.place = min(self.playback.slider.value / self.steps, float(self.grid.layers))

    @traitlets.observe("place")
    @reported
    def _moved(self, _=None) -> None:
        if not self._still:
            self._still = True
            try:
                self.playback.slider.value = round(self.place * self.steps)
            finally:
                self._still = False
            self._show()

    @traitlets.observe("direction", "label")
    @reported
    def _turned(self, change) -> None:
        """Another grid; on the other way the point stays where it is."""
        if self._still:
            return
        place = self.place
        if change["name"] == "direction":
            check_flow(self.flow, self.direction)
            at = self._followed.path[-1, 0]
            self.grid = self._grid()
            self._still = True
            self.probe, place = (float(at[0]), float(at[1])), self.grid.layers - place
            self._still = False
        else:
            self.grid = self._grid()
        self._begin(place)

    @traitlets.observe("shading", "show_points")
    @reported
    def _restyled(self, _=None) -> None:
        if not self._still:
            self._frames = {}
            self._show()

    @traitlets.observe("probe")
    @reported
    def _chosen(self, _=None) -> None:
        if not self._still:
            self._choose()

    @reported
    def _respond(self, kind: str, handle: int, x: float, y: float) -> None:
        """What the browser asks: the point dragged to parts (x, y) of the plane, or moved by steps of the keys."""
        if kind not in ("move", "step") or handle != 0:
            raise ValueError(f"there is no point {handle} to {kind}")
        ranges = np.array([self._plane.x_range, self._plane.y_range])
        given = np.array([float(x), float(y)])
        if not np.isfinite(given).all():
            raise ValueError(f"the point must move to finite numbers, got ({x}, {y})")
        at = ranges[:, 0] + given * np.ptp(ranges, axis=1)
        if kind == "step":
            at = self.account.at + given * np.ptp(ranges, axis=1) / 100
        self.probe = self.grid.start_of(self.place, at)

    # --- what is shown ---------------------------------------------------------------------------------------------

    def _show(self) -> None:
        if self.place not in self._frames:
            self._frames[self.place] = encode_drawing(self._drawing(self._plane, self.place))
        self._pad.lay(self._frames[self.place], f"{self._where()}. {self._described()}", self._plane, [self._handle()])
        self._place.value = self._where()
        self._table.value = self._table_html()
        self._words.value = f'<div style="line-height:1.35;min-height:4.1em" class="dgm-note">{self._legend()}</div>'

    def _handle(self) -> Handle:
        account = self.account
        at = tuple(np.nan_to_num(account.at, nan=0.0).tolist())
        words = f"at {_pair(account.at)}, log density {_nats(account.log_density)} nats"
        return Handle(at, "P", ACCENT, "The point P", words)

    def _drawing(self, plane: Plane, place: float) -> Image.Image:
        """The grid, the points, the target, and the circle around the chosen point, at a place on the way."""
        image, draw = plane.sheet()
        small = plane.size[0] < self._plane.size[0]
        self._fill(draw, plane, place)
        if self.direction == "generate" and self.data is not None and self.shading in ("origin", "none"):
            plane.scatter(image, self.data[:MOST_DATA].numpy(), 0.6 if small else 1.0, PALE)
        self._rule(draw, plane, place, small)
        if self.direction == "encode":
            for sigmas in (1, 2, 3):
                plane.curve(draw, *(sigmas * CIRCLE.T), MUTED, 1.2, dash=(4, 3))
        if self.show_points and len(self.grid.points[0]):
            plane.scatter(image, np.nan_to_num(self.grid.cloud(place), nan=1e6), 0.7 if small else 1.3, INK)
        circle = self._followed.circle(place)
        if np.isfinite(circle).all():
            for color, width in ((PAPER, 4), (ACCENT, 2)):
                plane.curve(draw, *circle.T, color, width)
        return plane.clip(image)

    def _framed(self, plane: Plane, place: float) -> Image.Image:
        """A small drawing, with a mark where the chosen point is."""
        image = self._drawing(plane, place)
        at = np.nan_to_num(self._followed.at(place).at, nan=1e6)
        plane.scatter(image, at[None], 2.6, PAPER)
        plane.scatter(image, at[None], 1.8, ACCENT)
        return image

    def _fill(self, draw: ImageDraw.ImageDraw, plane: Plane, place: float) -> None:
        """Color the cells."""
        if self.shading == "none":
            return
        outlines = self.grid.outlines(place)
        x, y = plane.at(outlines[..., 0], outlines[..., 1])
        corners = np.stack([x, y], -1)  # (cells, cells, 16, 2)
        drawn = np.isfinite(corners).all((2, 3)) & (np.abs(corners).max((2, 3)) < 1e5)
        colors = self._colors(place)
        for i, j in np.argwhere(drawn).tolist():
            draw.polygon(corners[i, j].ravel().tolist(), fill=tuple(colors[i, j].tolist()))

    def _colors(self, place: float) -> np.ndarray:
        """A color for every cell: uint8 (cells, cells, 3)."""
        cells = self.grid.cells
        if self.shading == "area":
            found = np.nan_to_num(self.grid.log_det(place), neginf=-50.0)
            return signed_uint8(found[None], self._stretch)[0]
        if self.shading == "density":
            part = np.clip(np.nan_to_num(self.grid.density(place) / self._densest), 0, 1) ** 0.5
            return (255 + part[..., None] * (DENSE - 255)).round().astype(np.uint8)
        across = (np.arange(cells) + 0.5) / cells
        up, right = across[:, None, None], across[None, :, None]
        mixed = (1 - up) * ((1 - right) * CORNERS[0, 0] + right * CORNERS[0, 1])
        mixed = mixed + up * ((1 - right) * CORNERS[1, 0] + right * CORNERS[1, 1])
        pale = np.where(np.add.outer(np.arange(cells), np.arange(cells)) % 2, 0.9, 0.6)[..., None]
        return (255 + pale * (mixed - 255)).round().astype(np.uint8)

    def _rule(self, draw: ImageDraw.ImageDraw, plane: Plane, place: float, small: bool) -> None:
        """The grid's lines: those that began upright and those that began level differ in color; the axes are thicker."""
        lattice, bare = self.grid.lattice(place), self.shading == "none"
        middle = len(lattice) // 2
        for k in range(0, len(lattice), 2 * FINE if small else FINE):
            axis = k == middle
            for line, color in ((lattice[:, k], UPRIGHT), (lattice[k], ACCENT)):
                if np.isfinite(line).all() and np.abs(line).max() < 1e4:
                    width = (1.8 if axis else 0.9 if bare else 0.5) / (2 if small else 1)
                    plane.curve(draw, *line.T, color if bare or axis else LINE, max(width, 0.5))

    # --- words -----------------------------------------------------------------------------------------------------

    def _where(self) -> str:
        k, layers = self.place, self.grid.layers
        if k != int(k):
            name = self.grid.names[int(k) + 1]
            return f"between states {int(k)} and {int(k) + 1} of {layers}" + (f" ({name})" if name else "")
        name = self.grid.names[int(k)]
        made = f", made by {name}" if name else ""
        end = {0: "generate", layers: "encode"}.get(k)
        kind = "" if end is None else "noise: " if end == self.direction else "data: "
        return f"{kind}state {int(k)} of {layers}{made}"

    def _described(self) -> str:
        account, areas = self.account, self.grid.log_det(self.place)
        areas = areas[np.isfinite(areas)]
        words = f"A grid of {self.grid.cells}×{self.grid.cells} cells on its way from "
        words += "noise to data" if self.direction == "generate" else "data to noise"
        if len(areas):
            words += f"; cells have grown by factors from {_factor(areas.min())} to {_factor(areas.max())}"
        return f"{words}. The point P is at {_pair(account.at)}, its log density {_nats(account.log_density)} nats."

    def _legend(self) -> str:
        words = {
            "origin": "Colors: where a cell came from.",
            "area": f"Orange: stretched, ×{np.exp(self._stretch):.3g} at full color; blue: squeezed, likewise.",
            "density": f"Dark: dense, {self._densest:.3g} at full color. A cell keeps its probability: squeezed, it darkens.",
            "none": "Blue lines began upright, orange ones level.",
        }[self.shading]
        if self.direction == "encode":
            target = "Dashed: 1, 2 and 3 standard deviations of the noise."
        else:
            target = "" if self.data is None else "Pale points: data."
        return f"{words} {target} Orange outline: what becomes of a small circle around P."

    def _numbers(self) -> list[list[str]]:
        """The account of the chosen point."""
        account, first = self.account, "log N(z)" if self.direction == "generate" else "log p(x)"
        return [[f"{first} at the start", _nats(account.log_start)],
                ["− log|det| so far", _nats(0.0 - account.log_det)],
                ["= log density at P", _nats(account.log_density)],
                ["area factor so far", f"× {_factor(account.log_det)}"]]  # fmt: skip

    def _table_html(self) -> str:
        style = 'style="text-align:right;padding-left:18px;font-variant-numeric:tabular-nums"'
        body = "".join(f'<tr><th scope="row" style="text-align:left;font-weight:normal">{name}</th>'
                       f"<td {style}>{value}</td></tr>" for name, value in self._numbers())  # fmt: skip
        caption = '<caption style="text-align:left">the point P, nats</caption>'
        return f'<table style="line-height:1.5;white-space:nowrap">{caption}{body}</table>'

    # --- still picture ---------------------------------------------------------------------------------------------

    @property
    def alt(self) -> str:
        return f"{self._where()}. {self._described()} {self._legend()}"

    def picture(self) -> Image.Image:
        """A film strip from the first state to the last, and the account of the chosen point."""
        layers = self.grid.layers
        chosen = sorted({round(layers * part / 3) for part in range(4)})
        plane = Plane(170, None, self._plane.x_range, self._plane.y_range)
        film = beside([captioned(self._framed(plane, float(k)), f"state {k} of {layers}") for k in chosen])
        return beside([film, table([[self._where(), "P, nats"], *self._numbers()])], gap=8, down=True)


def _pair(at) -> str:
    return "({})".format(", ".join(f"{value:.2f}" for value in at).replace("-", "−"))


def _nats(value: float) -> str:
    """Three digits after the point, with a real minus sign; never −0.000."""
    return f"{0.0 if abs(value) < 5e-4 else value:.3f}".replace("-", "−")


def _factor(log_factor: float) -> str:
    """A factor from its logarithm: 3, 0.2, 1.5e+04."""
    return f"{np.exp(min(log_factor, 600.0)):.3g}".replace("-", "−")
