"""Noising: the known half of diffusion. One slider takes data to noise and back."""

import math

import ipywidgets as W
import numpy as np
import torch
import traitlets
from PIL import Image, ImageDraw

from ..schedules import SCHEDULES, NoiseSchedule
from .base import Explorer, Picture, reported
from .drawing import ACCENT, FAINT, INK, MUTED, PAPER, SCALE, Plane, arrows, beside, captioned, legend, table
from .noised import Path, noised_data
from .pixels import encode_drawing, encode_png, enlarge, tile, to_pil, to_uint8
from .playback import Playback
from .shading import Shades

__all__ = ["Noising"]

PLACES = 200  # of the slider
GRID, ARROWS = 50, 13  # cells of the density and arrows, a side
SPEEDS = {"½ ×": 80, "1 ×": 40, "2 ×": 20}  # ms a place
NAMES = {"linear": "linear (DDPM)", "cosine": "cosine", "vp": "variance preserving (VP)",
         "ve": "variance exploding (VE)", "straight": "straight line"}  # fmt: skip
STEEP = 15.0  # |log SNR| that is drawn
SHADES = Shades("#3f9c8f", 12)
POINT, OTHERS = "#332288", "#b5b5b5"
GIVEN = "given"


class Noising(Explorer, W.VBox):
    """Move t from 0 to 1, and see data become noise along a known path: x_t = alpha(t)·data + sigma(t)·noise.

    Each example keeps its noise all along, so that nothing jumps: only its share grows. Points of the plane lie on the
    exact density of all x_t, shaded, with its exact score as arrows: what a network has to learn. Images are shown as
    a network sees them, and beside them the best guess of what is under the noise, E[data | x_t], exact if data are
    any of the images given (of a dataset, the training images; the noised ones are then test images).

    Args:
        data: a known density of the plane (`toy_density("moons")`), a dataset, points (n, 2), or images in [0, 1]. Of
            points, and of densities without a closed form under noise, the density shown is that of the points.
        schedule: "linear", "cosine", "vp", "ve", "straight", or a `NoiseSchedule`, e.g. a model's own.
        t: the time to begin with.
        n: how many are noised; at most 36 images, and 300 points whose density is their own.
        scale: points on the path are x / scale.
        seed: of the samples and of the noise.
        size: width of the picture, in CSS pixels.

    Attributes:
        t: the time, 0 (data) … 1 (noise).
        schedule: as above; set a name, or "given" for the one that was given as an object.
        density_shown, arrows_shown: of points. Whether the density and the score are drawn.
        path: alpha, sigma and log SNR at t, see `Path`.
        noised: the mathematics, `NoisedPoints` or `NoisedImages`.

    Raises:
        TypeError, ValueError: what cannot be noised, an unknown schedule, or settings out of range.
    """

    t = traitlets.Float(0.0)
    schedule = traitlets.Unicode("linear")
    density_shown = traitlets.Bool(True)
    arrows_shown = traitlets.Bool(True)

    def __init__(self, data, schedule: str | NoiseSchedule = "linear", *, t: float = 0.0, n: int | None = None,
                 scale: float = 1.0, seed: int = 0, size: int = 400):  # fmt: skip
        if (n is not None and n < 1) or not (scale > 0 and math.isfinite(scale)):
            raise ValueError(f"Noising needs n ≥ 1 and scale > 0, got {n} and {scale}")
        self._schedules = {name: make() for name, make in SCHEDULES.items()}
        if isinstance(schedule, NoiseSchedule):
            self._schedules[GIVEN], schedule = schedule, GIVEN
        self.noised = noised_data(data, n or (16 if _images(data) else 400), seed, scale)
        self.size, self.seed, self._still = size, seed, True
        self.noised.draw_noise(seed)
        self.schedule = schedule
        super().__init__(self._build())
        self.add_class("dgm-explorer").add_class("dgm-noising")
        self.t, self.playback.slider.value = t, round(t * PLACES)
        self._still = False
        self._draw_curves()
        self._show()

    # --- what is on the page ---------------------------------------------------------------------------------------

    def _build(self) -> list[W.Widget]:
        self._picture, self._curves = Picture(width=self.size, sharp=False), Picture(width=360, sharp=False)
        self._guess = Picture(width=self.size, sharp=False)
        self._table, self._words = W.HTML(), W.HTML()
        self.playback = Playback("Play from data to noise", "t", PLACES, SPEEDS, 40)
        self.playback.slider.observe(lambda _: self._still or self._slid(), "value")
        names = [(NAMES.get(name, f"given: {schedule}"), name) for name, schedule in self._schedules.items()]
        self.choice = W.Dropdown(options=names, value=self.schedule, description="schedule",
                                 style={"description_width": "60px"}, layout=W.Layout(width="270px"))  # fmt: skip
        traitlets.link((self, "schedule"), (self.choice, "value"))
        self.again = W.Button(description="New noise", tooltip="Another noise for every example",
                              layout=W.Layout(width="100px"))  # fmt: skip
        self.again.on_click(lambda _: self.new_noise())
        hint = W.HTML(f'<div class="dgm-note" style="line-height:1.35;width:{self.size}px">{self._hint()}</div>')
        play = W.HBox([self.playback.play, self.playback.slider], layout=W.Layout(align_items="center"))
        dials = [play, W.HBox([self.playback.speed, self.again]), self.choice]
        if self.noised.kind == "points":
            left, middle = [self._picture, hint, W.HBox(self._checks())], []
        else:
            left, middle = [self._picture, hint], [self._guess]
        right = W.VBox([*dials, *middle, self._table, self._words, self._curves],
                       layout=W.Layout(padding="0 0 0 20px", width="400px"))  # fmt: skip
        return [W.HBox([W.VBox(left), right], layout=W.Layout(flex_flow="row wrap")), self._message_box()]

    def _checks(self) -> list[W.Widget]:
        checks = []
        for trait, words in (("density_shown", "show the density"), ("arrows_shown", "show the score")):
            checks.append(W.Checkbox(True, description=words, indent=False, layout={"width": "auto"}))
            traitlets.link((self, trait), (checks[-1], "value"))
        return checks

    def _hint(self) -> str:
        if self.noised.kind == "images":
            return "x_t at unit variance, as a network sees it."
        whose = "their density" if self.noised.exact else "the density of these very points"
        return f"Dots: x_t. Shaded: {whose}, exact. Arrows: the score, ∇ log p_t(x), uphill; where they are full, see the table."

    # --- moving ----------------------------------------------------------------------------------------------------

    @traitlets.validate("t", "schedule")
    def _within(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        if name == "t" and not 0 <= value <= 1:
            raise traitlets.TraitError(f"t must lie in 0 … 1, got {value}")
        if name == "schedule" and value not in self._schedules:
            raise traitlets.TraitError(f"there is no schedule {value!r}; choose one of {', '.join(self._schedules)}")
        return value

    @property
    def path(self) -> Path:
        """alpha, sigma and log SNR at t."""
        return Path.of(self._schedules[self.schedule], self.t)

    def _slid(self) -> None:
        self.t = self.playback.slider.value / PLACES

    @traitlets.observe("t")
    @reported
    def _moved(self, _=None) -> None:
        if not self._still:
            self._still = True
            try:
                self.playback.slider.value = round(self.t * PLACES)
            finally:
                self._still = False
            self._show()

    @traitlets.observe("schedule")
    @reported
    def _turned(self, _=None) -> None:
        if not self._still:
            self._draw_curves()
            self._show()

    @traitlets.observe("density_shown", "arrows_shown")
    @reported
    def _restyled(self, _=None) -> None:
        if not self._still:
            self._show()

    @reported
    def new_noise(self) -> None:
        """Another noise for every example."""
        self.seed += 1
        self.noised.draw_noise(self.seed)
        self._show()

    # --- what is shown ---------------------------------------------------------------------------------------------

    def _show(self) -> None:
        path = self.path
        if self.noised.kind == "points":
            image, self._full = self._plane_picture(path, self.size)
            self._picture.show(encode_drawing(image, (POINT, ACCENT), SHADES.flat), self._described(path))
        else:
            guess, could_be = self.noised.guess(path)
            self._could_be = float(np.mean(could_be))
            self._picture.show(encode_png(self._tiled(self.noised.shown(path), self.size)), self._described(path))
            self._guess.show(encode_png(self._captioned_guess(guess)), self._guess_words())
        self._curves.show(encode_drawing(self._marked_curves(path), (ACCENT,)), self._curves_words(path))
        rows = self._numbers(path)
        self._table.value = _html(rows)
        self._words.value = f'<div role="status" style="line-height:1.35;min-height:2.8em">{self._remark(path)}</div>'

    def _plane_picture(self, path: Path, size: int) -> tuple[Image.Image, float]:
        """The points over their density, and the score that an arrow of full length stands for (NaN without arrows)."""
        reach = self.noised.extent(path)
        plane = Plane(size, None, (-reach, reach), (-reach, reach), "x₁", "x₂")
        image, draw = plane.sheet()
        left, top, right, bottom = (round(edge) for edge in plane.box)
        density, full = self.noised.density_at(path), math.nan
        if density is not None and self.density_shown:
            side = torch.linspace(-reach, reach, GRID)
            log_p = density.log_prob(torch.cartesian_prod(side, side)).view(GRID, GRID).T.numpy()
            image.paste(SHADES.field(np.exp(0.5 * (log_p - log_p.max())), (right - left, bottom - top)), (left, top))
        small = size < 300
        plane.scatter(image, self.noised.at(path).numpy(), 0.9 if small else 1.6, POINT)
        if density is not None and self.arrows_shown:
            full = self._draw_score(draw, plane, density, reach, 9 if small else ARROWS)
        return plane.clip(image), full

    def _draw_score(self, draw: ImageDraw.ImageDraw, plane: Plane, density, reach: float, count: int) -> float:
        """The score on a grid of points; returns how large it is where arrows have their full length."""
        side = torch.linspace(-reach, reach, 2 * count + 1)[1::2]
        at = torch.cartesian_prod(side, side)
        score = density.score(at).numpy().astype(float)
        size = np.linalg.norm(score, axis=1, keepdims=True)
        found = size[np.isfinite(size) & (size > 0)]
        full = float(np.quantile(found, 0.5)) if len(found) else 1.0
        push = np.nan_to_num(score / np.maximum(size, full)) * (1.8 * reach / count)
        arrows(draw, plane, at.numpy().astype(float) - push / 2, push, ACCENT)
        return full

    def _tiled(self, images: torch.Tensor, width: int) -> Image.Image:
        """Images of values in [0, 1] in a grid, about so many shown pixels wide."""
        pixels = to_uint8(images)
        columns = math.ceil(math.sqrt(len(pixels)))
        factor = max(1, round(width * SCALE / (columns * pixels.shape[2])))
        return to_pil(tile(enlarge(pixels, factor), columns, gap=SCALE, outer=True))

    def _captioned_guess(self, guess: torch.Tensor, width: int = 200) -> Image.Image:
        sheet = captioned(self._tiled(guess, width).convert("RGB"), "best guess of the data, E[data | x_t]")
        wide = Image.new("RGB", (self.size * SCALE, sheet.height), PAPER)
        wide.paste(sheet)
        return wide

    def _draw_curves(self) -> None:
        """log SNR against t: all schedules pale, the present one dark; once for each schedule."""
        t = np.linspace(0.002, 0.998, 150)
        self._lines = Plane(360, 170, (0, 1), (-STEEP, STEEP), "t", "log SNR, nats")
        image, draw = self._lines.sheet()
        for name in [*(name for name in self._schedules if name != self.schedule), self.schedule]:
            log_snr = self._schedules[name].log_snr(torch.from_numpy(t)).numpy()
            seen = np.abs(log_snr) < 1.5 * STEEP
            here = name == self.schedule
            self._lines.curve(draw, t[seen], log_snr[seen], INK if here else "#b0b0b0", 1.8 if here else 1.0)
        self._lines.curve(draw, (0, 1), (0, 0), MUTED, 0.8, dash=(4, 4))
        image = self._lines.clip(image)
        legend(image, self._lines.box, [("this schedule", INK, 1.8, None), ("the others", "#b0b0b0", 1.0, None)])
        self._lines.keep(image)

    def _marked_curves(self, path: Path) -> Image.Image:
        image, draw = self._lines.sheet()
        at = min(max(path.log_snr, -STEEP), STEEP)
        self._lines.curve(draw, (path.t, path.t), (-STEEP, STEEP), FAINT, 1)
        self._lines.scatter(image, np.array([[path.t, at]]), 5.0, PAPER)
        self._lines.scatter(image, np.array([[path.t, at]]), 4.0, ACCENT)
        return image

    # --- words -----------------------------------------------------------------------------------------------------

    def _numbers(self, path: Path) -> list[list[str]]:
        rows = [["t", _digits(path.t)], ["alpha: what is left of the data", _digits(path.alpha)],
                ["sigma: standard deviation of the noise", _digits(path.sigma)],
                ["log SNR = ln(alpha²/sigma²), nats", _digits(path.log_snr)]]  # fmt: skip
        if self.noised.kind == "images":
            pool = len(self.noised.pool)
            return [*rows, [f"images that it could be, of {pool}", _digits(self._could_be)]]
        return [*rows, ["|score| where arrows are full", "–" if math.isnan(self._full) else _digits(self._full)]]

    def _remark(self, path: Path) -> str:
        """What there is to see, in a sentence."""
        if path.log_snr > 8:
            return "Data, and hardly any noise: next to nothing is to be learned here."
        if path.log_snr < -8:
            return "Noise: what the data were can no longer be told. Here sampling starts."
        if path.log_snr > 1:
            return "More data than noise: a denoiser puts details right."
        if path.log_snr < -1:
            return "More noise than data: a denoiser decides about the whole."
        return "As much noise as data: log SNR is near 0."

    def _setting(self, path: Path) -> str:
        return (f"schedule {NAMES.get(self.schedule, self._schedules[self.schedule])}, t = {path.t:.3g}: "
                f"alpha {_digits(path.alpha)}, sigma {_digits(path.sigma)}, log SNR {_digits(path.log_snr)} nats")  # fmt: skip

    def _described(self, path: Path) -> str:
        n = len(self.noised.data)
        if self.noised.kind == "images":
            return f"{n} noised images; {self._setting(path)}. {self._remark(path)}"
        shown = [words for words, on in (("their exact density", self.density_shown), ("its score as arrows", self.arrows_shown))
                 if on and self.noised.density_at(path) is not None]  # fmt: skip
        over = f" over {' and '.join(shown)}" if shown else ""
        return f"{n} noised points{over}; {self._setting(path)}. {self._remark(path)}"

    def _guess_words(self) -> str:
        return (f"The best guess of each image under its noise: on average it could be {_digits(self._could_be)} of "
                f"{len(self.noised.pool)} images.")  # fmt: skip

    def _curves_words(self, path: Path) -> str:
        return (f"The log signal-to-noise ratio falls with t, here to {_digits(path.log_snr)} nats at t = {path.t:.3g}; "
                "other schedules are drawn pale.")  # fmt: skip

    # --- still picture ---------------------------------------------------------------------------------------------

    @property
    def alt(self) -> str:
        times = ", ".join(f"{t:g}" for t in self._film())
        return f"A film strip at t = {times}. {self._described(self.path)}"

    def _film(self) -> list[float]:
        return [0.0, 0.25, 0.5, 0.75, 1.0]

    def picture(self) -> Image.Image:
        """A film strip from data to noise, the numbers at t, and log SNR."""
        schedule, frames = self._schedules[self.schedule], []
        for t in self._film():
            path = Path.of(schedule, t)
            if self.noised.kind == "points":
                frame, _ = self._plane_picture(path, 150)
            else:
                frame = beside([self._tiled(self.noised.shown(path), 140).convert("RGB"),
                                self._tiled(self.noised.guess(path)[0], 140).convert("RGB")], gap=6, down=True)  # fmt: skip
            frames.append(captioned(frame, f"t = {t:g}, log SNR {_digits(path.log_snr)}"))
        below = beside([table(self._numbers(self.path)), self._marked_curves(self.path)], gap=20)
        return beside([beside(frames), below], gap=8, down=True)


def _images(data) -> bool:
    """Whether examples are images, as far as can be told before looking closely."""
    x = data if isinstance(data, torch.Tensor) else getattr(data, "test", None)
    return isinstance(x, torch.Tensor) and x.ndim > 2


def _digits(value: float) -> str:
    """Three digits, a real minus sign, and ∞."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{0.0 if abs(value) < 5e-7 else value:.3g}".replace("-", "−")


def _html(rows: list[list[str]]) -> str:
    style = 'style="text-align:right;padding-left:14px;font-variant-numeric:tabular-nums"'
    body = "".join(f'<tr><th scope="row" style="text-align:left;font-weight:normal">{name}</th><td {style}>{value}</td>'
                   "</tr>" for name, value in rows)  # fmt: skip
    return f'<table style="line-height:1.45">{body}</table>'
