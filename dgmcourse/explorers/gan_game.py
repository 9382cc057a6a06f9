"""GanGame: step the two players of a GAN by hand, and watch the critic's field and the samples that it pushes."""

import collections
import functools
import math
from collections.abc import Callable

import ipywidgets as W
import numpy as np
import torch
import traitlets
from PIL import Image, ImageColor

from ..models.gan.gan import PENALTIES
from ..models.gan.objectives import OBJECTIVES
from .base import Explorer, Picture, reported
from .drawing import FAINT, MUTED, Plane, arrows, beside, captioned, legend, table
from .gan_match import GanMatch, Standing
from .pixels import encode_drawing

__all__ = ["GanGame"]

DATA, SAMPLE = "#333333", "#AA3377"
WARM, COOL = "#d55e00", "#0072b2"  # the critic takes it for data, for a sample
GRID, SHOWN, ARROWS = 56, 400, 36  # cells of the field a side, points of either kind, arrows
DOT, CROSS = 0, 5  # the shapes of data and of samples, as in the figures of the lesson
FARTHEST = 1.6  # an arrow is as long as the gradient, and at most this
HINT = "Orange: the critic takes it for data; blue: for a sample. Dots: data; ×: samples; arrows: where each is pushed."
SPEEDS = {"slow": 500, "medium": 250, "fast": 100}  # ms between looks
A_LOOK, A_NOTE = 5, 20  # training steps between looks while playing, between notes in a hundred at once
SETTINGS = {
    "clip": {"clip": 0.1},
    "zero-centered": {"penalty_weight": 0.1},
    "gradient": {"penalty_weight": 10.0},
    "one-sided": {"penalty_weight": 10.0},
}  # that go with a penalty chosen here
PENALTY_WORDS = {"none": "none", "gradient": "slope 1 (weight 10)", "one-sided": "slope at most 1 (weight 10)",
                 "zero-centered": "slope 0 at the data (weight 0.1)", "clip": "weights clipped to ±0.1"}  # fmt: skip
RATIOS = {f"1/{2**k}": 0.5**k for k in (4, 3, 2, 1)} | {str(2**k): float(2**k) for k in range(5)}


def _bands() -> list[int]:
    """256 colors from cool to warm in eleven bands, paper in the middle, pale enough for points to be seen on them."""
    place = np.round((np.arange(256) / 255 * 2 - 1) * 5) / 5  # −1 … 1
    warm, cool = (np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], float) for color in (WARM, COOL))
    full = np.where(place[:, None] > 0, warm, cool)
    return (255 + 0.55 * np.abs(place[:, None]) * (full - 255)).round().astype(int).flatten().tolist()


BANDS = _bands()
FLAT = tuple(dict.fromkeys(tuple(BANDS[i : i + 3]) for i in range(0, 768, 3)))


class GanGame(Explorer, W.VBox):
    """Two players, and a button for each: let the critic learn, let the generator learn, and see what the other gets.

    The plane is shaded by D(x), the critic's probability that x is data: orange where it takes points for data, blue
    where for samples, white where it cannot tell. An arrow says where the generator's loss pushes a sample, as long
    as the gradient. What happens if one of them is trained too far?

    Args:
        model: a `GAN` of `Space.real(2)` without labels (it is copied), or its arguments, {"hidden": (64, 64), …}.
        data: a known density, a `Dataset` or points (n, 2); by default the eight Gaussians.
        seed: of the players, the batches and the noise.
        lr: the generator's step size.
        batch_size: points a step.
        optimizer: `optimizer(group, parameters)`, as in `fit`; by default Adam, β₁ = 0.5.
        size: of the picture, in CSS pixels.

    Attributes:
        match: the players and what is measured, see `GanMatch`.
        standing: the numbers of the game, see `Standing`.
        history: the standing after each of the last moves.
        objective, penalty: of the model; another one starts the game again.
        ratio: the critic's step size as a multiple of the generator's; the game goes on.
        field_shown, arrows_shown: whether D and the arrows are drawn.
        play: the play button.

    Raises:
        TypeError: the model is no GAN.
        ValueError: it does not live in the plane, or has labels; the data are no points.
    """

    _still_vivid = True
    objective = traitlets.Enum([None, *OBJECTIVES], None)
    penalty = traitlets.Enum([None, *PENALTIES], None)
    ratio = traitlets.Float(1.0)
    field_shown = traitlets.Bool(True)
    arrows_shown = traitlets.Bool(True)

    def __init__(self, model=None, data=None, *, seed: int = 0, lr: float = 2e-3, batch_size: int = 128,
                 optimizer: Callable | None = None, size: int = 430):  # fmt: skip
        self.match = GanMatch(model, data, seed, lr, 1.0, batch_size, optimizer)
        self.size, self._note = size, ""
        self.history: collections.deque[Standing] = collections.deque(maxlen=400)
        self._still, self._settings = True, {}
        self.objective = getattr(self.match.model, "objective", None)
        self.penalty = getattr(self.match.model, "penalty", None)
        super().__init__(self._build())
        self.add_class("dgm-explorer").add_class("dgm-gan")
        self._still = False
        self.start_again()
        if self.error:
            raise ValueError(self.error)

    # --- what is on the page ---------------------------------------------------------------------------------------

    def _build(self) -> list[W.Widget]:
        self._board, self._curves = Picture(width=self.size, sharp=False), Picture(width=360, sharp=False)
        self._table, self._words = W.HTML(), W.HTML()
        acts = {
            "critic": ("Critic: 1 step", "One update of the critic; the generator stays", lambda: self.step("critic")),
            "critic10": ("Critic: 10 steps", "Ten updates of the critic alone", lambda: self.step("critic", 10)),
            "generator": ("Generator: 1 step", "One update of the generator; the critic stays",
                          lambda: self.step("generator")),
            "generator10": ("Generator: 10 steps", "Ten updates of the generator alone",
                            lambda: self.step("generator", 10)),
            "both": ("Both: 100 steps", "A hundred training steps, both players in turn", lambda: self.both(100)),
            "again": ("Start again", "The same players, as they were at the start", self.start_again),
            "seed": ("New seed", "Other players, other batches", self.new_seed),
        }  # fmt: skip
        self.buttons = {key: self._button(*act) for key, act in acts.items()}
        self.play = W.Play(0, min=0, max=100_000, interval=250, tooltip=f"Both players, {A_LOOK} steps at a time")
        self.play.observe(self._tick, "value")
        speed = W.Dropdown(options=SPEEDS, value=250, description="speed", style={"description_width": "44px"},
                           layout=W.Layout(width="150px"))  # fmt: skip
        speed.observe(lambda change: self.play.set_trait("interval", change["new"]), "value")
        hint = W.HTML(f'<div class="dgm-note" style="line-height:1.35">{HINT}</div>')
        left = W.VBox([self._board, hint, W.HBox(self._checks())], layout=W.Layout(width=f"{self.size + 6}px"))
        buttons = [W.HBox([self.buttons[key] for key in keys])
                   for keys in (("critic", "critic10"), ("generator", "generator10"), ("both", "again", "seed"))]  # fmt: skip
        right = W.VBox([*buttons, W.HBox([self.play, speed]), *self._dials(), self._words, self._table, self._curves],
                       layout=W.Layout(padding="0 0 0 16px", width="398px"))  # fmt: skip
        return [W.HBox([left, right], layout=W.Layout(flex_flow="row wrap")), self._message_box()]

    @staticmethod
    def _button(words: str, tip: str, act) -> W.Button:
        width = f"{8 * len(words) + 20}px"
        button = W.Button(description=words, tooltip=tip, layout=W.Layout(width=width))
        button.on_click(lambda _: act())
        return button

    def _checks(self) -> list[W.Widget]:
        checks = []
        for trait, words in (("field_shown", "show D"), ("arrows_shown", "show the generator's gradients")):
            checks.append(W.Checkbox(getattr(self, trait), description=words, indent=False, layout={"width": "auto"}))
            traitlets.link((self, trait), (checks[-1], "value"))
        return checks

    def _dials(self) -> list[W.Widget]:
        """Choices of objective and penalty (where the model has them), and of the critic's step size."""
        style, dials = {"description_width": "70px"}, []
        penalties = [(PENALTY_WORDS.get(name, name), name) for name in PENALTIES]
        for trait, options in (("objective", list(OBJECTIVES)), ("penalty", penalties)):
            if getattr(self, trait) is not None:
                dial = W.Dropdown(options=options, value=getattr(self, trait), description=trait, style=style,
                                  layout=W.Layout(width="330px"))  # fmt: skip
                traitlets.link((self, trait), (dial, "value"))
                dials.append(dial)
        self.dial = W.SelectionSlider(options=list(RATIOS.items()), value=1.0, description="critic's step size ÷ generator's",
                                      style={"description_width": "initial"}, layout=W.Layout(width="376px"))  # fmt: skip
        self.dial.observe(lambda change: setattr(self, "ratio", change["new"]), "value")
        return [*dials, self.dial]

    # --- moves -----------------------------------------------------------------------------------------------------

    @reported
    def step(self, player: str, times: int = 1) -> None:
        """So many updates of the "critic" or the "generator" alone."""
        self.play.playing = False
        self._move(lambda: self.match.step(player, times))

    @reported
    def both(self, times: int = 1) -> None:
        """So many training steps of both."""
        self.play.playing = False
        for done in range(0, times, A_NOTE):
            more = min(A_NOTE, times - done)
            self._move(functools.partial(self.match.both, more), last=done + more == times)

    def _tick(self, change) -> None:
        if self.play.playing and change["new"] > change["old"]:
            self._play_on()

    @reported
    def _play_on(self) -> None:
        self._move(lambda: self.match.both(A_LOOK))

    def _move(self, act, last: bool = True) -> None:
        """Make a move, and (where it is the last) show what came of it, even where it failed half way."""
        try:
            act()
        except Exception:
            self.play.playing, last = False, True
            raise
        finally:
            self._measure()
            if last:
                self._show()

    @reported
    def start_again(self) -> None:
        """The same players as at the start, with the present objective, penalty and step sizes."""
        self.play.playing = False
        chosen = {name: getattr(self, name) for name in ("objective", "penalty") if getattr(self, name) is not None}
        self.match.begin(**chosen, **self._settings)
        self.history.clear()
        self._draw_axes()
        self._look()

    @reported
    def new_seed(self) -> None:
        """Other players and other batches."""
        self.match.seed += 1
        self.start_again()

    @traitlets.observe("objective", "penalty")
    def _another_game(self, change) -> None:
        if not self._still:
            self._settings |= SETTINGS.get(change["new"], {})
            self.start_again()

    @traitlets.observe("ratio")
    @reported
    def _another_ratio(self, change) -> None:
        if not self._still:
            self.match.set_ratio(change["new"])
            if change["new"] in RATIOS.values():
                self.dial.value = change["new"]

    @traitlets.observe("field_shown", "arrows_shown")
    @reported
    def _redraw(self, _=None) -> None:
        if not self._still:
            self._show()

    # --- what is shown ---------------------------------------------------------------------------------------------

    def _draw_axes(self) -> None:
        """A square around the data; the data themselves as a mask, stamped on every picture at once."""
        x = self.match.real.cpu().double().numpy()
        low, high = x.min(0), x.max(0)
        reach = getattr(self.match.density, "extent", None) or 0.6 * max(float((high - low).max()), 1e-6)
        middle = np.zeros(2) if hasattr(self.match.density, "extent") else (low + high) / 2
        ranges = [(float(m) - reach, float(m) + reach) for m in middle]
        self._plane = Plane(self.size, None, *ranges, "x₁", "x₂")
        left, top, right, bottom = (round(edge) for edge in self._plane.box)
        self._inner = (right - left, bottom - top)
        self._data = Image.new("RGB", self._plane.size, "black")
        self._plane.stamp(self._data, x[:SHOWN], np.full((SHOWN, 3), 255), np.full(SHOWN, DOT), 1.4)
        self._data = self._data.convert("L")
        sides = [torch.linspace(low, high, GRID) for low, high in ranges]
        grid = torch.cartesian_prod(sides[1].flip(0), sides[0]).flip(1)  # rows from the top
        self._grid = grid.to(self.match.real)

    def _look(self) -> None:
        self._measure()
        self._show()

    def _measure(self) -> None:
        self._samples = self.match.samples()
        self.standing = self.match.standing(self._samples)
        self.history.append(self.standing)
        self._show()

    def _show(self) -> None:
        if not torch.isfinite(self._samples).all():
            raise ValueError("the generator's samples are not finite any more: the game has diverged; start again")
        self._board.show(encode_drawing(self._board_picture(), (SAMPLE,), FLAT), self._board_words())
        self._curves.show(encode_drawing(self._curves_picture(), (WARM, COOL, MUTED, FAINT)), self._curves_words())
        self._table.value = self._table_html()
        self._words.value = f'<div role="status" style="line-height:1.35;min-height:2.8em">{self._remark()}</div>'

    def _scale(self, field: np.ndarray) -> tuple[float, float]:
        """(the score that is neither, how far from it the color is full)."""
        if self.match.probabilistic:
            return 0.5, 0.5
        if self.objective == "hinge":
            return 0.0, 1.0
        middle = (self.standing.real + self.standing.fake) / 2
        return middle, max(2 * float(np.abs(field - middle).mean()), 1e-6)

    def _field(self) -> Image.Image:
        """D over the plane, in bands of color."""
        values = self.match.judge(self._grid).float().cpu().numpy().reshape(GRID, GRID)
        middle, full = self._scale(values)
        values = (values - middle) / full
        shades = Image.fromarray((127.5 + 127.5 * np.clip(np.nan_to_num(values), -1, 1)).astype(np.float32))
        image = shades.resize(self._inner, Image.Resampling.BILINEAR).convert("L")
        image.putpalette(BANDS)
        return image.convert("RGB")

    def _board_picture(self) -> Image.Image:
        """D, the data, the samples, and where the generator's loss pushes some of them."""
        image, draw = self._plane.sheet()
        if self.field_shown:
            image.paste(self._field(), (round(self._plane.box[0]), round(self._plane.box[1])))
        image.paste(DATA, mask=self._data)
        samples = self._samples[:SHOWN]
        shades = np.tile(np.array(ImageColor.getrgb(SAMPLE), np.uint8), (len(samples), 1))
        self._plane.stamp(image, samples.cpu().double().numpy(), shades, np.full(len(samples), CROSS), 3.0)
        if self.arrows_shown:
            pushes = self.match.pushes(samples[:ARROWS])
            push = pushes.cpu().double().numpy()
            push *= np.minimum(1.0, FARTHEST / np.maximum(np.linalg.norm(push, axis=1, keepdims=True), 1e-12))
            arrows(draw, self._plane, samples[:ARROWS].cpu().double().numpy(), push)
        return self._plane.clip(image)

    @property
    def _name(self) -> str:
        return "D" if self.match.probabilistic else "score"

    def _curves_picture(self) -> Image.Image:
        """The critic's mean verdict on data and on samples after the last moves."""
        moves = np.array([now.critic_steps + now.generator_steps for now in self.history], float)
        lines = np.array([(now.real, now.fake) for now in self.history]).T
        fit = (0, 1) if self.match.probabilistic else (np.nanmin(lines), np.nanmax(lines) + 1e-6)
        plane = Plane(360, 170, (moves[0], 1.04 * max(moves[-1], moves[0] + 10)), fit, "updates", f"mean {self._name}")
        image, draw = plane.sheet()
        if self.match.probabilistic:
            plane.curve(draw, plane.x_range, [0.5, 0.5], MUTED, 1, dash=(4, 4))
        for values, color, dash in ((lines[0], WARM, None), (lines[1], COOL, (5, 3))):
            plane.curve(draw, moves, values, color, 1.8, dash if len(moves) > 1 else None)
        image = plane.clip(image)
        legend(image, plane.box, [("on data", WARM, 1.8, None), ("on samples", COOL, 1.8, (5, 3))])
        return image

    # --- words -----------------------------------------------------------------------------------------------------

    def _numbers(self) -> list[list[str]]:
        now, name = self.standing, self._name
        unit = " (nats)" if self.match.probabilistic else ""
        rows = [["updates: critic, generator", f"{now.critic_steps}, {now.generator_steps}"],
                [f"last loss of the critic{unit}", _number(now.critic_loss)],
                [f"last loss of the generator{unit}", _number(now.generator_loss)],
                [f"mean {name} on data", _number(now.real)],
                [f"mean {name} on samples", _number(now.fake)],
                ["mean gradient at a sample", _number(now.push)]]  # fmt: skip
        if now.modes is not None:
            rows += [["modes covered", f"{now.modes} of {len(self.match.centers)}"],
                     ["samples within 3σ of a mode", f"{100 * now.share:.1f} %"]]  # fmt: skip
        return rows

    def _table_html(self) -> str:
        style = 'style="text-align:right;padding-left:14px;font-variant-numeric:tabular-nums"'
        body = "".join(
            f'<tr><th scope="row" style="text-align:left;font-weight:normal">{name}</th><td {style}>{value}</td></tr>'
            for name, value in self._numbers())  # fmt: skip
        return f'<table style="line-height:1.45">{body}</table>'

    def _remark(self) -> str:
        """What there is to see, in a sentence."""
        now = self.standing
        if not now.critic_steps + now.generator_steps:
            return "Neither has learned anything yet. Which of them should begin?"
        if now.modes is not None and now.modes <= len(self.match.centers) // 4 and now.share > 0.5:
            return f"Nearly all samples crowd into {max(now.modes, 1)} of {len(self.match.centers)} modes: a collapse."
        if not self.match.probabilistic:
            return f"The critic scores data {_number(now.real - now.fake)} higher than samples."
        if now.real - now.fake > 0.9:
            weak = "and hardly any gradient reaches the generator" if now.push < 0.3 else "yet the gradient is large"
            return f"The critic tells nearly all data from samples, {weak}."
        if now.fake > now.real and now.share is not None and now.share < 0.2:
            return "The critic takes samples for data, but they lie far from them: it has not learned that place yet."
        if now.fake > now.real:
            return "The generator is ahead: the critic takes samples for data more often than data themselves."
        if now.real - now.fake < 0.1:
            return "The critic can hardly tell data from samples: they are alike, or it is badly behind."
        return "The critic tells some of them apart."

    def _board_words(self) -> str:
        parts = ", ".join(f"{name} {value}" for name, value in self._numbers())
        given = f"objective {self.objective}, " if self.objective else ""
        return f"The critic's field, {SHOWN} data points and {SHOWN} generated ones; {given}{parts}. {self._remark()}"

    def _curves_words(self) -> str:
        now = self.standing
        return (f"Mean {self._name} after each move: now {_number(now.real)} on data and {_number(now.fake)} on samples, "
                f"after {now.critic_steps + now.generator_steps} updates.")  # fmt: skip

    # --- still picture ---------------------------------------------------------------------------------------------

    @property
    def alt(self) -> str:
        return f"{self._board_words()} {self._curves_words()}"

    def picture(self) -> Image.Image:
        """The board, the numbers and the curves."""
        side = beside([table(self._numbers()), self._curves_picture()], gap=10, down=True)
        return captioned(beside([self._board_picture(), side], gap=20), HINT)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}".replace("-", "−")
