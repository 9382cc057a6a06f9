"""EMStepper: expectation–maximization by hand, half a step at a time, with its lower bound."""

import ipywidgets as W
import numpy as np
import traitlets
from PIL import Image, ImageDraw
from torch import Tensor

from ..core import LogProb
from ..models import GaussianMixture
from .base import Explorer, Picture, reported
from .drawing import ACCENT, FAINT, INK, MUTED, PALETTE, PAPER, SCALE, Plane, beside, font, legend, marker, table
from .em_steps import EMSteps
from .handles import Handle, HandlePicture
from .pixels import encode_drawing

__all__ = ["EMStepper"]

MOST_COMPONENTS = 8
MOST_POINTS = 1500  # drawn; EM itself uses all
WINDOW = 9  # half steps that the picture of the bound shows
SPEEDS = {"slow": 1000, "medium": 500, "fast": 150}  # ms a half step
GAP = "#f3c6a5"
CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 73)), np.sin(np.linspace(0, 2 * np.pi, 73))])  # (2, 73)
COLORS = (ACCENT, GAP, INK, MUTED, FAINT)
ROWS = ("log p(x)", "ELBO", "KL(q ‖ p(h|x))")


class EMStepper(Explorer, W.VBox):
    """Fit a mixture of Gaussians to points in the plane by E-steps and M-steps, and watch the bound.

    Every point has the color of its responsibilities q, mixed, and the shape of the likeliest component; every
    component its ellipses of one and two standard deviations. The E-step lifts the bound until it touches log p(x);
    the M-step lifts both, and a gap opens, KL(q ‖ p(h|x)), because q is still that of the old parameters. The number
    on a mean is a handle: dragging it (or the arrow keys) makes a new start from there.

    Args:
        x: data, (n, 2).
        components: K, 1 … 8, of the mixture.
        model: a `GaussianMixture` of `Space.real(2)` to start from as it is, in place of `components`; it is copied.
        truth: a density known exactly, with `log_prob(x)` (a toy density, say): shown as the level to compare with.
        seed: of the start; "New start" uses the next one.
        size: side of the picture, in CSS pixels.

    Attributes:
        em: the algorithm, its mixture and every half step so far, see `EMSteps`.
        components: K; set it to start anew.
        play: the play button.

    Raises:
        TypeError: the model is no `GaussianMixture` of the plane.
        ValueError: x are no points of the plane, or there are too few or too many components.
    """

    components = traitlets.Int(3)

    def __init__(self, x: Tensor, components: int = 3, model: GaussianMixture | None = None, truth=None, seed: int = 0,
                 *, size: int = 400):  # fmt: skip
        components = model.components if isinstance(model, GaussianMixture) else components
        if not 1 <= components <= MOST_COMPONENTS:
            raise ValueError(f"EMStepper shows 1 … {MOST_COMPONENTS} components, got {components}")
        self.em = EMSteps(x, components, model, seed)
        self.seed, self.size, self._note = seed, size, ""
        self.level = None if truth is None else self._level(truth)
        self._still = True
        super().__init__(self._build(components))
        self.add_class("dgm-explorer").add_class("dgm-em")
        self.components = components
        self._still = False
        self._draw_axes()
        self._begin("")
        if self.error:
            raise ValueError(self.error)

    def _level(self, truth) -> float:
        """The truth's own log p(x), averaged over the data."""
        found = truth.log_prob(self.em.x)
        return float((found.value if isinstance(found, LogProb) else found).mean())

    # --- what is on the page ---------------------------------------------------------------------------------------

    def _build(self, components: int) -> list[W.Widget]:
        self._pad = HandlePicture(self._respond, width=self.size)
        self._bound, self._table, self._words = Picture(width=380, sharp=False), W.HTML(), W.HTML()
        acts = {
            "e": ("E-step", "q ← p(h|x; θ)", self.e_step),
            "m": ("M-step", "θ ← the best under q", self.m_step),
            "ten": ("10 iterations", "Ten E-steps and M-steps", lambda: self.iterate(10)),
            "back": ("Back to start", "The same start again", self.back),
            "new": ("New start", "Means on other examples", self.new_start),
        }
        self.buttons = {key: self._button(*act) for key, act in acts.items()}
        self.play = W.Play(0, min=0, max=10_000, interval=500, tooltip="Half a step at a time, until nothing changes")
        self.play.observe(self._tick, "value")
        speed = W.Dropdown(options=SPEEDS, value=500, description="speed", style={"description_width": "44px"},
                           layout=W.Layout(width="150px"))  # fmt: skip
        speed.observe(lambda change: self.play.set_trait("interval", change["new"]), "value")
        most = min(MOST_COMPONENTS, len(self.em.x))
        self.slider = W.IntSlider(components, 1, max(components, most), description="components", continuous_update=False,
                                  style={"description_width": "initial"}, layout=W.Layout(width="280px"))  # fmt: skip
        traitlets.link((self, "components"), (self.slider, "value"))
        hint = W.HTML('<span class="dgm-note">Drag a number, or use the arrow keys, to start from other means.</span>')
        steps = W.HBox([self.buttons[key] for key in ("e", "m", "ten")])
        starts = W.HBox([self.buttons[key] for key in ("back", "new")])
        left = W.VBox([self._pad, hint, self.slider, starts])
        right = W.VBox([steps, W.HBox([self.play, speed]), self._words, self._table, self._bound],
                       layout=W.Layout(padding="0 0 0 20px", width="420px"))  # fmt: skip
        return [W.HBox([left, right], layout=W.Layout(flex_flow="row wrap")), self._message_box()]

    @staticmethod
    def _button(words: str, tip: str, act) -> W.Button:
        button = W.Button(description=words, tooltip=tip, layout=W.Layout(width="118px"))
        button.on_click(lambda _: act())
        return button

    @reported
    def _draw_axes(self) -> None:
        """One scale for both axes, with room around the data."""
        x = self.em.x.numpy()
        low, high = x.min(0), x.max(0)
        reach = 0.56 * max(float((high - low).max()), 1e-6)
        ranges = [(float(middle) - reach, float(middle) + reach) for middle in (low + high) / 2]
        self._plane = Plane(self.size, None, *ranges, "x₁", "x₂")
        self._drawn = np.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).round().astype(int)

    # --- steps -----------------------------------------------------------------------------------------------------

    @reported
    def e_step(self) -> None:
        """q ← p(h|x; θ)."""
        self.play.playing = False
        self._e_step()
        self._show()

    def _e_step(self) -> None:
        if self.em.now.kind == "E":
            self._note = "q is p(h|x) already: another E-step changes nothing."
            return
        self.em.e_step()
        self._note = "E-step: the bound rose until it touches log p(x), which stayed."

    @reported
    def m_step(self) -> None:
        """θ ← what maximizes the bound under q."""
        self.play.playing = False
        self._m_step()
        self._show()

    def _m_step(self) -> None:
        if self.em.now.kind == "M":
            self._note = "θ is the best under this q already: another M-step changes nothing."
            return
        fresh = self.em.now.kind == "start"
        self.em.m_step()
        self._note = "M-step: the bound rose, log p(x) by as much or more; q is now that of the old θ, so a gap opens."
        if fresh and self.em.model.components > 1:
            self._note = ("M-step under a uniform q: every component became the same Gaussian, and no E-step can tell "
                          "them apart again. Go back to the start, and begin with an E-step.")  # fmt: skip

    @reported
    def iterate(self, times: int) -> None:
        """So many E-steps and M-steps."""
        self.play.playing = False
        before = self.em.now.log_prob
        for _ in range(times):
            if self.em.now.kind != "E":
                self.em.e_step()
            self.em.m_step()
        gain = self.em.now.log_prob - before
        self._note = f"{times} iterations: log p(x) rose by {_nats(gain)} nats."
        self._show()

    @reported
    def half_step(self) -> None:
        """The half that is next; once nothing changes any more, playing stops."""
        if self.em.now.kind == "E":
            self._m_step()
        else:
            self._e_step()
        if self.em.settled():
            self.play.playing = False
            self._note = "Nothing changes any more: EM has reached a maximum (or a saddle) of log p(x)."
        self._show()

    def _tick(self, change) -> None:
        if self.play.playing and change["new"] > change["old"]:  # a tick may still come after playing was stopped here
            self.half_step()

    # --- starts ----------------------------------------------------------------------------------------------------

    def _begin(self, note: str) -> None:
        self.play.playing = False
        self._note = note or "Start: q is uniform, every component has the same say about every point."
        self._show()

    @reported
    def back(self) -> None:
        """Back to the start."""
        self.em.back()
        self._begin("")

    @reported
    def new_start(self) -> None:
        """Another start, with the next seed."""
        self.seed += 1
        self.em.restart(self.components, self.seed)
        self._begin("")

    @traitlets.validate("components")
    def _countable(self, proposal) -> int:
        if not 1 <= proposal["value"] <= MOST_COMPONENTS:
            raise traitlets.TraitError(f"components must lie in 1 … {MOST_COMPONENTS}, got {proposal['value']}")
        return proposal["value"]

    @traitlets.observe("components")
    @reported
    def _counted(self, _=None) -> None:
        if not self._still:
            self.em.restart(self.components, self.seed)
            self._begin("")

    @reported
    def _respond(self, kind: str, handle: int, x: float, y: float) -> None:
        """What the browser asks: a mean dragged to parts (x, y) of the plane, or moved by steps of the keys."""
        if kind not in ("move", "step") or handle not in range(self.em.model.components):
            raise ValueError(f"there is no mean {handle} to {kind}")
        ranges = np.array([self._plane.x_range, self._plane.y_range])
        side = np.ptp(ranges, axis=1)
        given = np.array([float(x), float(y)])
        if kind == "step":
            place = np.clip(self.em.means[handle].numpy() + given * side / 100, *ranges.T)
        else:
            place = ranges[:, 0] + given * side
        self.place(handle, tuple(place.tolist()))

    @reported
    def place(self, component: int, mean: tuple[float, float]) -> None:
        """Start anew from here, with this component's mean moved."""
        if len(mean) != 2 or not np.isfinite(mean).all():
            raise ValueError(f"mean must be two finite numbers, got {mean}")
        self.em.place(component, mean)
        self._begin(f"A new start, with mean {component + 1} moved.")

    # --- what is shown ---------------------------------------------------------------------------------------------

    def _show(self) -> None:
        self._pad.lay(encode_drawing(self._points_picture()), self._points_words(), self._plane, self._handles())
        self._bound.show(encode_drawing(self._bound_picture(), COLORS), self._bound_words())
        self._table.value = self._table_html()
        self._words.value = f'<div role="status" style="line-height:1.35;min-height:4.1em">{self._note}</div>'
        after_e = self.em.now.kind == "E"
        self.buttons["e"].button_style, self.buttons["m"].button_style = ("", "info") if after_e else ("info", "")

    def _handles(self) -> list[Handle]:
        weights = self.em.model.weights.tolist()
        return [Handle(tuple(mean), str(k + 1), PALETTE[k], f"Mean of component {k + 1}",
                       f"at {_pair(mean)}, weight {weights[k]:.2f}; log p(x) {_nats(self.em.now.log_prob)} nats")
                for k, mean in enumerate(self.em.means.tolist())]  # fmt: skip

    def _points_picture(self) -> Image.Image:
        """The data in the colors of their responsibilities, and every component's ellipses."""
        image, draw = self._plane.sheet()
        q = self.em.q.numpy()[self._drawn]
        palette = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in PALETTE[: q.shape[1]]])
        colors = (0.25 * 255 + 0.75 * q @ palette).round().astype(int)  # paler than the ellipses
        radius = 3.0 if len(q) <= 300 else 2.4
        self._plane.stamp(image, self.em.x.numpy()[self._drawn], colors, q.argmax(1), radius)
        spreads, means = self.em.spreads.numpy(), self.em.means.numpy()
        for k, (spread, mean) in enumerate(zip(spreads, means, strict=True)):
            for sigmas, width in ((2, 1.5), (1, 2.5)):
                ellipse = mean[:, None] + sigmas * spread @ CIRCLE
                self._plane.curve(draw, *ellipse, PAPER, width + 2)
                self._plane.curve(draw, *ellipse, PALETTE[k], width)
        return self._plane.clip(image)

    def _points_words(self) -> str:
        parts = [f"{k + 1}: weight {weight:.2f}, mean {_pair(mean)}"
                 for k, (weight, mean) in enumerate(zip(self.em.model.weights.tolist(), self.em.means.tolist(), strict=True))]  # fmt: skip
        return f"{len(self.em.x)} points, and a mixture of {len(parts)} Gaussians ({'; '.join(parts)}), {self._where}."

    @property
    def _where(self) -> str:
        now = self.em.now
        if now.kind == "start":
            return "at the start"
        return f"after the {now.kind}-step of iteration {now.iteration + (now.kind == 'E')}"

    def _bound_picture(self) -> Image.Image:
        """log p(x) and the bound after each of the last half steps, and the gap between them."""
        first = max(0, len(self.em.steps) - WINDOW)
        steps = self.em.steps[first:]
        places = np.arange(first, first + len(steps))
        log_prob, elbo = (np.array([getattr(step, name) for step in steps]) for name in ("log_prob", "elbo"))
        low, high = elbo.min(), log_prob.max()
        near = self.level is not None and low <= self.level <= high + 2 * (high - low)
        high = max(high, self.level) if near else high
        margin = max(0.12 * (high - low), 1e-6)
        plane = Plane(
            380, 250, (first - 0.5, first + WINDOW - 0.5), (low - 1.6 * margin, high + margin), "half step", "nats"
        )
        image, draw = plane.sheet()
        if near:
            plane.curve(draw, plane.x_range, [self.level] * 2, MUTED, 1.2, dash=(5, 4))
        for place, bottom, top in zip(places, elbo, log_prob, strict=True):
            plane.curve(draw, [place, place], [bottom, top], GAP, 7)
        for values, shape, color, dash in ((elbo, 1, ACCENT, (5, 3)), (log_prob, 0, INK, None)):
            plane.curve(draw, places, values, color, 1.5, dash)
            for place, value in zip(places, values, strict=True):
                marker(draw, shape, *plane.at(place, value), 3.2, color)
        image = plane.clip(image)
        self._letter(ImageDraw.Draw(image), plane, places, steps)
        lines = [("log p(x)", INK, 1.5, None), ("ELBO", ACCENT, 1.5, (5, 3)), ("KL, the gap", GAP, 7, None)]
        lines += [("log p(x) of the truth", MUTED, 1.2, (5, 4))] if near else []
        legend(image, plane.box, lines, above=22)
        return image

    @staticmethod
    def _letter(draw: ImageDraw.ImageDraw, plane: Plane, places, steps) -> None:
        """Say under each place which half it was."""
        for place, step in zip(places, steps, strict=True):
            x, _ = plane.at(place, 0.0)
            draw.text((x, plane.box[3] - 4 * SCALE), step.kind, fill=INK, font=font(9), anchor="mb")

    def _bound_words(self) -> str:
        now = self.em.now
        level = "" if self.level is None else f", log p(x) of the truth {_nats(self.level)}"
        return (f"{self._where[0].upper()}{self._where[1:]}: log p(x) {_nats(now.log_prob)}, ELBO {_nats(now.elbo)}, "
                f"KL(q ‖ p(h|x)) {_nats(now.kl)}{level}; nats, averages of {len(self.em.x)} points.")  # fmt: skip

    def _numbers(self) -> list[list[str]]:
        now, before = self.em.now, self.em.before
        rows = [[name, _nats(new), _nats(new - old, plus=True) if len(self.em.steps) > 1 else ""]
                for name, new, old in zip(ROWS, now[2:], before[2:], strict=True)]  # fmt: skip
        return rows + ([["log p(x) of the truth", _nats(self.level), ""]] if self.level is not None else [])

    def _table_html(self) -> str:
        style = 'style="text-align:right;padding-left:14px;font-variant-numeric:tabular-nums"'
        body = "".join(
            f'<tr><th scope="row" style="text-align:left;font-weight:normal">{name}</th>'
            f"<td {style}>{value}</td><td {style}>{change}</td></tr>"
            for name, value, change in self._numbers())  # fmt: skip
        head = (f'<tr><td>{self._where}</td><th scope="col" {style}>now</th>'
                f'<th scope="col" {style}>change</th></tr>')  # fmt: skip
        caption = f'<caption style="text-align:left">nats, averages of {len(self.em.x)} points</caption>'
        return f'<table style="line-height:1.5;white-space:nowrap">{caption}{head}{body}</table>'

    # --- still picture ---------------------------------------------------------------------------------------------

    @property
    def alt(self) -> str:
        return f"{self._points_words()} {self._bound_words()}"

    def picture(self) -> Image.Image:
        """The points with their components, the numbers, and the bound."""
        image = self._points_picture()
        for handle in self._handles():
            handle.draw(ImageDraw.Draw(image), self._plane)
        numbers = table([[f"nats, {self._where}", "now", "change"], *self._numbers()])
        return beside([image, beside([numbers, self._bound_picture()], gap=10, down=True)], gap=20)


def _pair(mean) -> str:
    return "({})".format(", ".join(f"{value:.2f}" for value in mean).replace("-", "−"))


def _nats(value: float, plus: bool = False) -> str:
    """Five digits after the point, with a real minus sign; never −0.00000."""
    value = 0.0 if abs(value) < 5e-6 else value
    return f"{value:{'+' if plus else ''}.5f}".replace("-", "−")
