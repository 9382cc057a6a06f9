"""LatentWalk: a walk through a generator's latent space, on a closed path; keep what you like, and walk through that."""

from collections.abc import Sequence
from typing import NamedTuple

import ipywidgets as W
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .base import Explorer, Picture, reported
from .closed_path import ClosedPath
from .drawing import beside, captioned, framed
from .model import ImageDecoder
from .pixels import encode_png, to_pil
from .tiles import TilePicture

__all__ = ["Kept", "LatentWalk"]

LARGE, SMALL = 196, 52  # shown pixels of the present image, and of a small one
MOST_KEPT = 24
SPEEDS = {"slow": 160, "medium": 80, "fast": 40}  # ms a step


class Kept(NamedTuple):
    """An image that was kept.

    Attributes:
        z: where in latent space, (latents,).
        label: of a conditional model, else None.
        image: uint8 (height, width, channels).
    """

    z: Tensor
    label: int | None
    image: np.ndarray


class LatentWalk(Explorer, W.VBox):
    """Walk through latent space along a closed random path, and see what is generated on the way.

    The path goes through anchors, draws of z ~ N(0, I), on great arcs (see `ClosedPath`). No encoder is needed. Images
    can be kept; a walk through those kept visits exactly them.

    Args:
        model: anything with `latents` and `decode(z, y=None)` (or `generate`) giving images in [0, 1]: a GAN, a VAE.
        anchors: how many draws the path visits, or these points, (anchors, latents).
        seed: of the path; "New path" uses the next one.
        steps: places of the slider from one anchor to the next.
        classes: number of labels of a conditional model, `model.classes` by default.
        label: to begin with.

    Attributes:
        path: the walk, a `ClosedPath`.
        z: the present point, (latents,).
        image: what is generated there, uint8 (height, width, channels).
        kept: the images kept, a list of `Kept`.
        place: the slider; `play`: the play button; `label`: the choice of a label, of conditional models.

    Raises:
        TypeError: the model can neither decode nor generate.
        ValueError: what it generates is no image, or arguments do not fit.
    """

    def __init__(self, model, anchors: int | Tensor | Sequence = 6, *, seed: int = 0, steps: int = 24,
                 classes: int | None = None, label: int = 0):  # fmt: skip
        self.decoder = ImageDecoder(model, "LatentWalk", classes)
        self.seed, self.kept = seed, []
        self._first_label, self._steps = label, steps
        self._count = anchors if isinstance(anchors, int) else len(anchors)
        if steps < 1 or self._count < 2 or not 0 <= label < (self.decoder.classes or 1):
            raise ValueError(f"LatentWalk needs two or more anchors, steps ≥ 1 and a label of the model; "
                             f"got {self._count}, {steps} and {label}")  # fmt: skip
        self._still = True
        super().__init__(self._build())
        self.add_class("dgm-explorer").add_class("dgm-walk")
        self._still = False
        self._follow(self._random() if isinstance(anchors, int) else ClosedPath(anchors), "a random path")
        if self.error:
            raise ValueError(self.error)

    def _random(self) -> ClosedPath:
        return ClosedPath.random(self._count, self.decoder.latents, self.seed)

    # --- what is on the page ---------------------------------------------------------------------------------------

    def _build(self) -> list[W.Widget]:
        self._current = Picture(width=LARGE, lined=True)
        self._along = TilePicture("Anchors of the path; choosing one goes there")
        self._along.observe(self._jump, "chosen")
        self._strip = TilePicture("Images kept")
        self._strip.observe(lambda _: self._still or self._show_kept(), "chosen")
        self.play = W.Play(0, min=0, max=1, interval=80, repeat=True, tooltip="Walk round and round")
        self.place = W.IntSlider(0, 0, 1, description="place", readout=False, style={"description_width": "40px"},
                                 layout=W.Layout(width="270px"))  # fmt: skip
        W.jslink((self.play, "value"), (self.place, "value"))
        self.place.observe(lambda _: self._go(), "value")
        speed = W.Dropdown(options=SPEEDS, value=80, description="speed", style={"description_width": "44px"},
                           layout=W.Layout(width="150px"))  # fmt: skip
        speed.observe(lambda change: self.play.set_trait("interval", change["new"]), "value")
        acts = {"new": ("New path", "Other anchors, drawn with the next seed", self.new_path),
                "keep": ("Keep this", "Put this image into the strip below", self.keep),
                "drop": ("Drop chosen", "Take the framed image out of the strip", self.drop),
                "through": ("Walk through kept", "A closed path that visits the images kept", self.walk_through_kept)}  # fmt: skip
        self.buttons = {key: self._button(*act) for key, act in acts.items()}
        choices = []
        if self.decoder.classes:
            self.label = W.Dropdown(options=range(self.decoder.classes), value=self._first_label, description="label",
                                    style={"description_width": "40px"}, layout=W.Layout(width="130px"))  # fmt: skip
            self.label.observe(lambda _: self._relabel(), "value")
            choices = [self.label]
        note = W.HTML('<span class="dgm-note">the anchors; framed: the one passed last</span>')
        right = W.VBox([W.HBox([self.play, self.place]), W.HBox([speed, *choices]),
                        W.HBox([self.buttons["new"], self.buttons["keep"]]), note, self._along],
                       layout=W.Layout(padding="0 0 0 20px"))  # fmt: skip
        self._kept_box = W.VBox([W.HTML('<span class="dgm-note">kept</span>'), self._strip,
                                 W.HBox([self.buttons["through"], self.buttons["drop"]])])  # fmt: skip
        top = W.HBox([self._current, right], layout=W.Layout(flex_flow="row wrap"))
        return [top, self._kept_box, self._message_box()]

    @staticmethod
    def _button(words: str, tip: str, act) -> W.Button:
        button = W.Button(description=words, tooltip=tip, layout=W.Layout(width="140px"))
        button.on_click(lambda _: act())
        return button

    # --- walking ---------------------------------------------------------------------------------------------------

    @property
    def _label(self) -> int | None:
        return self.label.value if self.decoder.classes else None

    @reported
    def _follow(self, path: ClosedPath, words: str) -> None:
        """Begin another walk, at its first anchor."""
        if path.anchors.shape[1] != self.decoder.latents:
            raise ValueError(f"anchors must have shape (anchors, {self.decoder.latents}), "
                             f"got {tuple(path.anchors.shape)}")  # fmt: skip
        self.path, self._words = path, words
        self._still = True
        try:
            self.play.playing = False
            self.play.max = self.place.max = len(path) * self._steps
            self.place.value = self.play.value = 0
        finally:
            self._still = False
        self._draw_anchors()
        self._draw()
        self._show_kept()

    @reported
    def _go(self) -> None:
        if not self._still:
            self._draw()

    @reported
    def _relabel(self) -> None:
        self._draw_anchors()
        self._draw()

    def _jump(self, change) -> None:
        if not self._still and change["new"] >= 0:
            self.place.value = self.play.value = change["new"] * self._steps

    @reported
    def new_path(self) -> None:
        """Another random path, with the next seed."""
        self.seed += 1
        self._follow(self._random(), "a random path")

    # --- keeping ---------------------------------------------------------------------------------------------------

    @reported
    def keep(self) -> None:
        """Put the present image, and where it was found, into the strip."""
        if len(self.kept) >= MOST_KEPT:
            raise ValueError(f"{MOST_KEPT} images are kept already; drop one first")
        self.kept.append(Kept(self.z, self._label, self.image))
        self._show_kept(len(self.kept) - 1)

    @reported
    def drop(self) -> None:
        """Take the framed image out of the strip."""
        if not 0 <= self._strip.chosen < len(self.kept):
            raise ValueError("no image is framed; keep one, or choose one in the strip")
        del self.kept[self._strip.chosen]
        self._show_kept()

    @reported
    def walk_through_kept(self) -> None:
        """A closed path whose anchors are the images kept, in their order."""
        if len(self.kept) < 2:
            raise ValueError(f"a path needs two or more images; {len(self.kept)} kept so far")
        self._follow(ClosedPath(torch.stack([kept.z for kept in self.kept])), "a path through the images kept")

    # --- what is shown ---------------------------------------------------------------------------------------------

    @property
    def _given(self) -> str:
        return f", label {self._label}" if self.decoder.classes else ""

    def _draw_anchors(self) -> None:
        """The images at the anchors of the path."""
        images = self.decoder.decode(self.path.anchors, self._label)
        words = f"Images generated at the {len(self.path)} anchors of {self._words}{self._given}"
        self._lay(self._along, images, words, 0)

    def _lay(self, strip: TilePicture, images: np.ndarray, words: str, chosen: int) -> None:
        before, self._still = self._still, True
        try:
            strip.lay(images, words, 8, SMALL, chosen)
        finally:
            self._still = before

    def _draw(self) -> None:
        """Generate at the present place, and frame the anchor passed last."""
        self.z = self.path.at(self.place.value / (len(self.path) * self._steps))
        self.image = self.decoder.decode(self.z[None], self._label)[0]
        self._current.show(encode_png(self.image), f"Image generated {self._where()}{self._given}")
        leg, last = (self.place.value // self._steps) % len(self.path), self._still
        self._still = True
        try:
            self._along.chosen, self._along.text = leg, f"anchor {leg + 1} of {len(self.path)}"
        finally:
            self._still = last

    def _where(self) -> str:
        leg, step = divmod(self.place.value, self._steps)
        first, second = leg % len(self.path) + 1, (leg + 1) % len(self.path) + 1
        return (
            f"at anchor {first}"
            if step == 0
            else f"{step / self._steps:.0%} of the way from anchor {first} to {second}"
        )

    def _show_kept(self, chosen: int | None = None) -> None:
        """The strip of images kept."""
        images = np.stack([kept.image for kept in self.kept]) if self.kept else np.zeros((0, 1, 1, 1), np.uint8)
        self._lay(self._strip, images, f"Images kept: {len(images)}", self._strip.chosen if chosen is None else chosen)
        if self.kept:
            given = self.kept[self._strip.chosen].label
            self._strip.text = f"image {self._strip.chosen + 1}" + ("" if given is None else f", label {given}")
        self._kept_box.layout.display = None if self.kept else "none"
        self.buttons["through"].disabled = len(self.kept) < 2

    # --- still picture ---------------------------------------------------------------------------------------------

    @property
    def alt(self) -> str:
        n = len(self.kept)
        kept = f" {n} image{'s are' if n > 1 else ' is'} kept." if n else ""
        return (f"A closed walk through a latent space of {self.decoder.latents} dimensions, on {self._words} with "
                f"{len(self.path)} anchors{self._given}: the image {self._where()}, and images along the path.{kept}")  # fmt: skip

    def picture(self) -> Image.Image:
        """The present image, a film strip of the whole path, and what was kept."""
        count = 3 * len(self.path)
        z = torch.stack([self.path.at(i / count) for i in range(count)])
        film = TilePicture("")
        film.lay(self.decoder.decode(z, self._label), "", min(count, 9), SMALL)
        parts = [captioned(film.still(), "along the path, and back to the first")]
        if self.kept:
            parts.append(captioned(self._strip.still(), "kept"))
        here = captioned(framed(to_pil(self.image), LARGE), self._where())
        return beside([here, beside(parts, gap=10, down=True)], gap=20)
