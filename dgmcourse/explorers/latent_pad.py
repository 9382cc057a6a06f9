"""LatentPad: drag a point through a plane of the latent space, and see what the model decodes there."""

import io
import math
from collections.abc import Sequence

import anywidget
import numpy as np
import torch
import traitlets
from PIL import Image, ImageDraw
from torch import Tensor

from .base import HERE, Explorer, describe, reported, script
from .drawing import INK, OUTLINES, PALETTE, PAPER, RING, SCALE, Plane, beside, captioned, font, framed, marker, number
from .model import ImageDecoder, latent_name
from .pixels import encode_png, tile, to_pil

__all__ = ["LatentPad", "LatentPlane"]

MOST_POINTS = 2000
BACKGROUNDS = ("points", "points on images", "images", "none")


class LatentPlane:
    """A plane in a latent space: z = origin + a · first direction + b · second direction.

    Args:
        latents: dimension of the space.
        axes: two different coordinates, e.g. (0, 1), which a and b then equal; or two directions, (2, latents).
        origin: (latents,), the values of the other coordinates, or the point that (a, b) = (0, 0) stands for;
            zeros by default.

    Attributes:
        names: what to call a and b.
    """

    def __init__(self, latents: int, axes=(0, 1), origin: Tensor | Sequence[float] | None = None):
        self.origin = torch.zeros(latents) if origin is None else torch.as_tensor(origin, dtype=torch.float32).cpu()
        if self.origin.shape != (latents,):
            raise ValueError(f"origin must have shape ({latents},), got {tuple(self.origin.shape)}")
        axes = torch.as_tensor(axes).cpu()
        if axes.shape == (2,) and not axes.is_floating_point():
            first, second = axes.tolist()
            if first == second or not all(0 <= axis < latents for axis in (first, second)):
                raise ValueError(
                    f"axes must be two different coordinates in 0 … {latents - 1}, got ({first}, {second})"
                )
            self.directions = torch.eye(latents)[axes]  # (2, latents)
            self.origin = self.origin.clone()
            self.origin[axes] = 0.0
            self.names = (latent_name(first), latent_name(second))
        elif axes.shape == (2, latents):
            self.directions, self.names = axes.float(), ("first direction", "second direction")
            if torch.linalg.matrix_rank(self.directions) < 2:
                raise ValueError("the two directions in axes lie on one line, so they span no plane; choose others")
        else:
            raise ValueError(f"axes must be two coordinates, e.g. (0, 1), or two directions of shape (2, {latents}); "
                             f"got shape {tuple(axes.shape)}")  # fmt: skip

    def points(self, positions) -> Tensor:
        """(n, 2) positions in the plane -> (n, latents)."""
        return self.origin + torch.as_tensor(positions, dtype=torch.float32) @ self.directions

    def positions(self, z: Tensor) -> Tensor:
        """(n, latents) -> (n, 2): the position of the nearest point of the plane."""
        return (z.cpu().float() - self.origin) @ torch.linalg.pinv(self.directions)


class LatentPad(Explorer, anywidget.AnyWidget):
    """Drag a point through two latent dimensions with mouse, finger or arrow keys; the decoded image follows.

    One request is under way at a time and the newest position is asked for next, so that the picture never lags
    behind by more than one answer.

    Args:
        model: anything with `latents` and `decode(z, y=None)` giving mean images in [0, 1]; a VAE, say.
        x: examples to encode and show on the pad, (n, *shape); needs `model.encode(x, y=None)`.
        y: their labels, (n,) int64: the condition where the model has one, else only color and marker.
        extent: the pad reaches from −extent to extent in both directions; by default to 3, which suits a prior
            N(0, I), or as far as the points, where many of them lie beyond (an autoencoder has no prior to keep them in).
        points: points to show, already encoded, (n, latents); instead of x.
        labels: labels of the points, (n,) int64; `y` by default.
        size: side of the pad in CSS pixels.
        axes, origin: which plane, for more than two latents; see `LatentPlane`.
        classes: number of labels of a conditional model, `model.classes` by default: shows a choice of label.
        names: what to call the labels 0, 1, …
        background: "points", "images" (a grid of decoded images), "points on images" (what is decoded where no example
            lies?) or "none"; by default points, where there are any.

    Attributes:
        position: (a, b) in the plane; set it to move the point.
        label: the condition, for a conditional model.
        z: the point in latent space, (latents,).
        image: what the model decodes there, uint8 (height, width, channels).
        answer: the last decoded image as the browser gets it.

    Raises:
        TypeError: the model cannot decode, or cannot encode x.
        ValueError: it decodes no images, has one latent, or arguments do not fit.
    """

    _esm = script("keys.js", "canvas.js", "requests.js", "latent_pad.js")
    _css = HERE / "latent_pad.css"

    position = traitlets.Tuple(traitlets.Float(), traitlets.Float(), default_value=(0.0, 0.0)).tag(sync=True)
    label = traitlets.Int(0).tag(sync=True)
    background = traitlets.Enum(BACKGROUNDS, "none").tag(sync=True)
    answer = traitlets.Dict().tag(sync=True)
    error = traitlets.Unicode("").tag(sync=True)
    _setup = traitlets.Dict().tag(sync=True)  # what never changes: size, extent, names, points
    _grid = traitlets.Bytes(b"").tag(sync=True)

    def __init__(
        self,
        model,
        x: Tensor | None = None,
        y: Tensor | None = None,
        extent: float | None = None,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        size: int = 340,
        *,
        axes=(0, 1),
        origin=None,
        classes: int | None = None,
        names: Sequence[str] | None = None,
        background: str | None = None,
    ):
        self.decoder = ImageDecoder(model, "LatentPad", classes, encodes=x is not None)
        if self.decoder.latents < 2:
            raise ValueError("LatentPad shows a plane, and this model has one latent; use LatentSliders")
        if (extent is not None and not extent > 0) or not 120 <= size <= 1200:
            raise ValueError(f"extent must be positive and size 120 … 1200, got extent={extent} and size={size}")
        if x is not None and points is not None:
            raise ValueError("give x (examples to encode) or points (already encoded), not both")
        self.plane = LatentPlane(self.decoder.latents, axes, origin)
        self.size = int(size)
        points = self.decoder.encode(x, y) if x is not None else points
        self._keep_points(points, y if labels is None else labels)
        self.extent = self._reach() if extent is None else float(extent)
        self._name_labels(names)
        self._grids: dict[int | None, bytes] = {}
        super().__init__()
        self._setup = self._describe_setup()
        self.background = background or ("points" if self.points is not None else "none")
        self._answer()
        if self.error:
            raise ValueError(self.error)
        self.on_msg(self._receive)

    # --- what is on the pad ----------------------------------------------------------------------------------------

    def _keep_points(self, points: Tensor | None, labels: Tensor | None) -> None:
        self.points, self.labels = None, None
        if points is None:
            return
        points = torch.as_tensor(points)
        if points.ndim != 2 or points.shape[1] != self.decoder.latents or not torch.isfinite(points).all():
            raise ValueError(f"points must be finite, of shape (n, {self.decoder.latents}), got {tuple(points.shape)}")
        some = torch.linspace(0, len(points) - 1, min(len(points), MOST_POINTS)).round().long()  # spread over all
        self.points = self.plane.positions(points)[some].numpy()  # (n, 2)
        if labels is not None:
            labels = torch.as_tensor(labels).cpu()
            if (
                labels.shape != (len(points),)
                or labels.is_floating_point()
                or not 0 <= labels.min() <= labels.max() < 256
            ):
                raise ValueError(f"labels must be {len(points)} integers in 0 … 255, one for each point")
            self.labels = labels[some].numpy()

    def _reach(self) -> float:
        """3, or, where more than a twentieth of the points lie beyond, as far as the farthest, in round numbers."""
        if self.points is None or np.quantile(np.abs(self.points).max(1), 0.95) <= 3:
            return 3.0
        farthest = 1.02 * float(np.abs(self.points).max())
        grain = 10 ** math.floor(math.log10(farthest)) / 10
        return math.ceil(farthest / grain) * grain

    def _name_labels(self, names: Sequence[str] | None) -> None:
        used = 0 if self.labels is None else int(self.labels.max()) + 1
        count = max(used, self.decoder.classes or 0)
        self.names = [str(label) for label in range(count)] if names is None else [str(name) for name in names]
        if len(self.names) < count:
            raise ValueError(f"names must name the labels 0 … {count - 1}, got {len(self.names)} names")

    def _describe_setup(self) -> dict:
        present = [] if self.labels is None else np.unique(self.labels).tolist()
        return {
            "size": self.size,
            "extent": self.extent,
            "axes": list(self.plane.names),
            "points": b"" if self.points is None else self.points.astype("<f4").tobytes(),
            "labels": b"" if self.labels is None else self.labels.astype(np.uint8).tobytes(),
            "legend": [[label, self.names[label]] for label in present],
            "classes": self.names[: self.decoder.classes] if self.decoder.classes else [],
            "backgrounds": [b for b in BACKGROUNDS if "points" not in b or self.points is not None],
            "palette": list(PALETTE),
            "ring": [list(stroke) for stroke in RING],
            "outlines": [[list(corner) for corner in outline] for outline in OUTLINES],
            "what": self._what(),
        }

    def _what(self) -> str:
        shown = ""
        if self.points is not None:
            kinds = f" of {len(np.unique(self.labels))} classes" if self.labels is not None else ""
            shown = f", with {len(self.points)} encoded examples{kinds}"
        e = number(self.extent)
        return f"Latent plane, {self.plane.names[0]} and {self.plane.names[1]} from −{e} to {e}{shown}"

    @property
    def _condition(self) -> int | None:
        return self.label if self.decoder.classes else None

    @traitlets.observe("background", "label")
    @reported
    def _draw_grid(self, _=None) -> None:
        if "images" not in self.background:
            return
        if self._condition not in self._grids:
            self._grids[self._condition] = self._decode_grid()
        self._grid = self._grids[self._condition]

    def _decode_grid(self) -> bytes:
        """A square of images, each decoded at the middle of its cell, as PNG."""
        side = max(5, self.size // 24)
        middles = (np.arange(side) + 0.5) / side * 2 * self.extent - self.extent
        across, up = np.meshgrid(middles, -middles)  # the top row has the highest second coordinate
        images = self.decoder.decode(self.plane.points(np.stack([across.ravel(), up.ravel()], 1)), self._condition)
        grid = to_pil(tile(images, side))
        longest = round(1.5 * self.size)
        if max(grid.size) > longest:
            grid = grid.resize((longest, longest), Image.Resampling.LANCZOS)
        return encode_png(grid, effort=6)

    # --- moving ----------------------------------------------------------------------------------------------------

    @traitlets.validate("position")
    def _inside(self, proposal) -> tuple[float, float]:
        if not np.isfinite(proposal["value"]).all():
            raise traitlets.TraitError(f"position must be two finite numbers, got {proposal['value']}")
        return tuple(float(np.clip(value, -self.extent, self.extent)) for value in proposal["value"])

    @traitlets.validate("label")
    def _known(self, proposal) -> int:
        if self.decoder.classes and not 0 <= proposal["value"] < self.decoder.classes:
            raise traitlets.TraitError(f"label must lie in 0 … {self.decoder.classes - 1}, got {proposal['value']}")
        return proposal["value"]

    @traitlets.observe("position", "label")
    def _moved(self, _=None) -> None:
        if not self._receiving:
            self._answer()

    _receiving = False

    def _receive(self, _, request: dict, buffers=None) -> None:
        """A request from the browser, {"kind": "move", "id", "position", "label"}: answered with one update."""
        if request.get("kind") != "move":
            return
        with self.hold_sync():  # position and answer travel in one message
            self._receiving = True
            try:
                self.label = int(request.get("label", self.label))
                self.position = tuple(request["position"])
            except Exception as problem:
                self.error = describe(problem)
                self.answer = {**self.answer, "id": str(request.get("id", ""))}
            else:
                self._answer(str(request.get("id", "")))
            finally:
                self._receiving = False

    @property
    def z(self) -> Tensor:
        """The point in latent space, (latents,)."""
        return self.plane.points([self.position])[0]

    @property
    def nearest(self) -> str | None:
        """The name of the class whose example lies nearest, where labels are known."""
        if self.labels is None:
            return None
        distances = np.square(self.points - np.asarray(self.position)).sum(1)
        return self.names[int(self.labels[distances.argmin()])]

    @property
    def reading(self) -> str:
        """The position in words."""
        at = ", ".join(f"{name} = {v:.2f}" for name, v in zip(self.plane.names, self.position, strict=True))
        near = f"; nearest example: {self.nearest}" if self.nearest is not None else ""
        return at.replace("-", "−") + near

    @reported
    def _decode_here(self) -> np.ndarray:
        return self.decoder.decode(self.z[None], self._condition)[0]

    def _answer(self, request: str = "") -> None:
        """Decode the position and put image and words where the browser sees them."""
        image = self._decode_here()
        shown = {"id": request, "position": list(self.position), "label": self.label, "reading": self.reading}
        if image is None:
            kept = {key: self.answer.get(key) for key in ("width", "height", "channels", "pixels")}
            self.answer = {**kept, **shown}
            return
        self.image = image
        height, width, channels = image.shape
        pixels = image.tobytes()
        self.answer = {**shown, "width": width, "height": height, "channels": channels, "pixels": pixels}

    # --- still picture -----------------------------------------------------------------------------------------------

    @property
    def alt(self) -> str:
        given = f", label {self.names[self.label]}" if self.decoder.classes else ""
        return f"{self._what()}. Beside it the image decoded at {self.reading}{given}."

    def picture(self) -> Image.Image:
        """The pad with its points (or images), and the decoded image."""
        span = (-self.extent, self.extent)
        plane = Plane(self.size, None, span, span, *self.plane.names)
        image, draw = plane.sheet()
        if "images" in self.background and self._grid:
            self._paste_grid(image, plane)
        if "points" in self.background and self.points is not None:
            labels = np.zeros(len(self.points), int) if self.labels is None else self.labels
            for point, label in zip(self.points, labels, strict=True):
                if np.abs(point).max() <= self.extent:
                    marker(draw, int(label), *plane.at(*point), radius=3.4, color=PAPER)
                    marker(draw, int(label), *plane.at(*point), radius=2.6)
        x, y = plane.at(*self.position)
        for radius, width, color in RING:
            r = (radius + width / 2) * SCALE
            draw.ellipse([x - r, y - r, x + r, y + r], outline=color, width=round(width * SCALE))
        decoded = captioned(framed(to_pil(self.image), 160), self.reading)
        left = beside([image, self._legend()], gap=4, down=True) if self.labels is not None else image
        return beside([left, decoded])

    def _legend(self) -> Image.Image:
        """Marker and name of every label, in rows as wide as the pad."""
        words = font(10)
        places, x, y = [], 6 * SCALE, 9 * SCALE
        for label in np.unique(self.labels).tolist():
            width = 22 * SCALE + words.getlength(self.names[label])
            if x + width > self.size * SCALE and x > 6 * SCALE:
                x, y = 6 * SCALE, y + 18 * SCALE
            places.append((label, x, y))
            x += width
        sheet = Image.new("RGB", (self.size * SCALE, y + 10 * SCALE), "#ffffff")
        draw = ImageDraw.Draw(sheet)
        for label, x, y in places:
            marker(draw, label, x, y, radius=4.5)
            draw.text((x + 8 * SCALE, y), self.names[label], fill=INK, font=words, anchor="lm")
        return sheet

    def _paste_grid(self, image: Image.Image, plane: Plane) -> None:
        left, top, right, bottom = (round(edge) for edge in plane.box)
        grid = Image.open(io.BytesIO(self._grid)).convert("RGB").resize((right - left, bottom - top))
        image.paste(grid, (left, top))
