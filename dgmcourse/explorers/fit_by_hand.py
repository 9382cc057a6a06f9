"""FitByHand: move one or two Gaussians onto data, and watch the likelihood and both divergences."""

import collections
import copy
import html
import math

import ipywidgets as W
import numpy as np
import torch
import traitlets
from PIL import Image, ImageDraw

from ..data import LineMixture
from .base import Explorer, Picture, reported
from .drawing import ACCENT, FAINT, INK, MUTED, PALETTE, Plane, beside, legend, table
from .handles import Handle, HandlePicture
from .line_fit import LineFit, Scores
from .pixels import encode_drawing

__all__ = ["FitByHand"]

DEFAULT = LineMixture([-2.5, 1.5], [0.5, 1.0], [0.35, 0.65])
BEST = {"em": "fit by EM", "forward": "least KL(p‖q)", "reverse": "least KL(q‖p)"}
HEIGHT = 300
BARS = "#d9d9d9"
TRUTH, COMPARED = (INK, 1.5, (6, 4)), ("#0072b2", 2, (2, 2.5))  # color, width, dashes
COLORS = (ACCENT, COMPARED[0], *PALETTE[:2], BARS, INK, MUTED, FAINT)
ROWS = (
    "log q(x), average of the data",
    "log q(x), expected of new data",
    "KL(p‖q), forward",
    "KL(q‖p), reverse",
)


class FitByHand(Explorer, W.VBox):
    """Fit a mixture of two Gaussians (or one Gaussian) to data on the line, by hand.

    Each Gaussian has a handle on its peak: drag it sideways to move the mean, up to make it narrower, down to make it
    wider; or use the arrow keys. The density p that the data come from is known exactly, so that beside the likelihood
    of the data both divergences are shown, computed by quadrature.

    Args:
        density: p, a `dgmcourse.data.LineMixture`; by default an uneven mixture of two Gaussians.
        n: how many samples.
        components: 1 or 2, how many Gaussians to start with.
        seed: of the samples.
        width: of the picture, in CSS pixels.

    Attributes:
        means, stds: of the two Gaussians; set them to move.
        weight: w of the first one; the second has 1 − w.
        components: how many of them are used.
        truth_shown: whether p is drawn.
        model: q, what all this amounts to: a `LineMixture`.
        scores: how well q does, in nats.
        history: average log-likelihood after each of the last thousand moves.
        fit: data, density and the best fits, see `LineFit`.
        best: None, "em", "forward" or "reverse": which of the best fits is shown for comparison.

    Raises:
        TypeError: density is no `LineMixture`.
        ValueError: fewer than two samples, or components other than 1 or 2.
    """

    means = traitlets.Tuple((0.0, 0.0))
    stds = traitlets.Tuple((1.0, 1.0))
    weight = traitlets.Float(0.5)
    components = traitlets.Int(2)
    truth_shown = traitlets.Bool(True)
    best = traitlets.Enum([None, *BEST], None)

    def __init__(self, density: LineMixture | None = None, n: int = 200, components: int = 2, seed: int = 0, *,
                 width: int = 520):  # fmt: skip
        if components not in (1, 2):
            raise ValueError(f"FitByHand has 1 or 2 components, got {components}")
        self.fit = LineFit(DEFAULT if density is None else density, n, seed)
        self.seed, self.width = seed, width
        self.history: collections.deque[float] = collections.deque(maxlen=1000)
        self._still = True  # nothing is drawn before everything is there
        super().__init__(self._build(components))
        self.add_class("dgm-explorer").add_class("dgm-fit")
        self.components = components
        self._draw_axes()
        self.start_again()
        if self.error:
            raise ValueError(self.error)

    # --- what is on the page ---------------------------------------------------------------------------------------

    def _build(self, components: int) -> list[W.Widget]:
        self._pad = HandlePicture(self._respond, width=self.width)
        self._curve, self._table = Picture(width=330, sharp=False), W.HTML()
        self.weight_slider = W.FloatSlider(0.5, min=0.02, max=0.98, step=0.01, description="weight of Gaussian 1",
                                           style={"description_width": "initial"}, layout=W.Layout(width="380px"))  # fmt: skip
        self.choice = W.ToggleButtons(options=[("one Gaussian", 1), ("two Gaussians", 2)], value=components,
                                      tooltips=["q is one Gaussian", "q is a mixture of two"],
                                      style={"button_width": "120px"})  # fmt: skip
        truth = W.Checkbox(description="show p", indent=False, layout=W.Layout(width="90px"))
        for trait, widget in (("weight", self.weight_slider), ("components", self.choice), ("truth_shown", truth)):
            traitlets.link((self, trait), (widget, "value"))
        words = {"em": "Fit by EM", "forward": "Least KL(p‖q)", "reverse": "Least KL(q‖p)"}
        tips = {"em": "The most likely model of the data that EM finds", "forward": "Downhill from here in KL(p‖q)",
                "reverse": "Downhill from here in KL(q‖p): a local minimum"}  # fmt: skip
        self.buttons = {
            key: self._button(words[key], tips[key], lambda _, key=key: self.show_best(key)) for key in BEST
        }
        again = self._button("Start again", "Back to the first place", lambda _: self.start_again())
        new = self._button("New data", "Draw the data anew, with the next seed", lambda _: self.new_data())
        hint = W.HTML('<div class="dgm-note" style="line-height:1.35">Drag a numbered handle, or use the arrow keys: '
                      "sideways moves the mean, up makes narrower.</div>")  # fmt: skip
        left = W.VBox([self._pad, hint, W.HBox([self.choice, truth]), self.weight_slider],
                      layout=W.Layout(width=f"{self.width + 12}px"))  # fmt: skip
        row = W.Layout(flex_flow="row wrap")
        right = W.VBox([self._table, self._curve, W.HBox([*self.buttons.values()], layout=row), W.HBox([again, new])],
                       layout=W.Layout(padding="0 0 0 20px"))  # fmt: skip
        return [W.HBox([left, right], layout=row), self._message_box()]

    @staticmethod
    def _button(words: str, tip: str, act) -> W.Button:
        button = W.Button(description=words, tooltip=tip, layout=W.Layout(width="118px"))
        button.on_click(act)
        return button

    @reported
    def _draw_axes(self) -> None:
        """The plane with the data's histogram, under every model; p is drawn on the same grid of x."""
        self._grid = torch.linspace(self.fit.low, self.fit.high, 401, dtype=torch.float64)
        truth = self.fit.density.log_prob(self._grid).exp()
        heights, edges = np.histogram(self.fit.x.numpy(), 40, (self.fit.low, self.fit.high))
        heights = heights / (self.fit.n * np.diff(edges))
        narrow = 1 / (float(self.fit.density.stds.min()) * math.sqrt(2 * math.pi))  # one Gaussian on the narrowest mode
        top = 1.25 * max(1.3 * float(truth.max()), heights.max(), 0.0 if self.components == 2 else narrow)
        self._plane = Plane(self.width, HEIGHT, (self.fit.low, self.fit.high), (0, top), "x", "density")
        image, draw = self._plane.sheet()
        self._plane.bars(draw, edges, heights, BARS)
        self._plane.keep(image)
        self._plane_with_truth = copy.copy(self._plane)
        image, draw = self._plane.sheet()
        self._plane.curve(draw, self._grid.numpy(), truth.numpy(), *TRUTH)
        self._plane_with_truth.keep(image)

    # --- moving ----------------------------------------------------------------------------------------------------

    @traitlets.validate("means", "stds")
    def _two_within(self, proposal) -> tuple[float, float]:
        given = proposal["value"]
        if len(given) != 2 or not np.isfinite(given).all():
            raise traitlets.TraitError(f"{proposal['trait'].name} must be two finite numbers, got {given}")
        limits = {"means": (self.fit.low, self.fit.high), "stds": (self.fit.narrowest, self.fit.widest)}
        return tuple(float(np.clip(value, *limits[proposal["trait"].name])) for value in given)

    @traitlets.validate("weight")
    def _is_a_weight(self, proposal) -> float:
        if not math.isfinite(proposal["value"]):
            raise traitlets.TraitError(f"weight must be a finite number, got {proposal['value']}")
        return float(np.clip(proposal["value"], 0.02, 0.98))

    @traitlets.validate("components")
    def _is_one_or_two(self, proposal) -> int:
        if proposal["value"] not in (1, 2):
            raise traitlets.TraitError(f"components must be 1 or 2, got {proposal['value']}")
        return proposal["value"]

    @traitlets.observe("means", "stds", "weight")
    @reported
    def _moved(self, _=None) -> None:
        if not self._still:
            self._score()
            self._show()

    @traitlets.observe("components")
    def _counted(self, _=None) -> None:
        self.best = None
        if not self._still:
            self._draw_axes()
        self._moved()

    @traitlets.observe("truth_shown")
    @reported
    def _redraw(self, _=None) -> None:
        if not self._still:
            self._show()

    @reported
    def _respond(self, kind: str, handle: int, x: float, y: float) -> None:
        """What the browser asks: a handle dragged to parts (x, y) of the plane, or moved by steps of the keys."""
        if kind not in ("move", "step") or handle not in range(self.components):
            raise ValueError(f"there is no handle {handle} to {kind}")
        means, stds = list(self.means), list(self.stds)
        if kind == "step":
            means[handle] += (self.fit.high - self.fit.low) / 100 * float(x)
            stds[handle] *= 1.05 ** -float(y)
        else:
            means[handle] = self.fit.low + (self.fit.high - self.fit.low) * float(x)
            stds[handle] = self._std_of(handle, float(y))
        self.move(means, stds)

    def _std_of(self, handle: int, y: float) -> float:
        """The σ that puts the handle's peak at part y of the plane's height; at the upper edge the present one, if its
        peak lies beyond."""
        top = self._plane.y_range[1]
        if y >= 0.999 and self._peak(handle) > top:
            return self.stds[handle]
        return self._shares[handle] / (max(y, 1e-6) * top * math.sqrt(2 * math.pi))

    def move(self, means=None, stds=None, weight: float | None = None) -> None:
        """Go to these means, standard deviations and weight (those given), as one move."""
        self._still = True
        try:
            with self.hold_trait_notifications():  # one number that is refused takes the others back
                self.means = self.means if means is None else tuple(means)
                self.stds = self.stds if stds is None else tuple(stds)
                self.weight = self.weight if weight is None else weight
        finally:
            self._still = False
        self._moved()

    def start_again(self) -> None:
        """Back to the first place, with an empty history."""
        span = self.fit.high - self.fit.low
        self.history.clear()
        self.best = None
        self.move((self.fit.low + 0.45 * span, self.fit.low + 0.8 * span), (span / 10, span / 10), 0.5)

    @reported
    def new_data(self) -> None:
        """Draw the data anew, with the next seed; the model stays."""
        self.seed += 1
        self.fit.draw(self.seed)
        self.history.clear()
        self.best = None
        self._draw_axes()
        self._score()
        self._show()

    @reported
    def show_best(self, which: str) -> None:
        """Compute one of the best fits ("em", "forward", "reverse") and draw it beside the hand's; again: hide it."""
        if which == self.best:
            self.best = None
        else:
            found = {
                "em": lambda: self.fit.by_em(self.components),
                "forward": lambda: self.fit.nearest(self.model),
                "reverse": lambda: self.fit.nearest(self.model, reverse=True),
            }[which]()
            self._best_model, self._best_scores, self.best = found, self.fit.scores(found), which
        self._show()

    # --- what is shown ---------------------------------------------------------------------------------------------

    @property
    def _shares(self) -> list[float]:
        """The weights of the Gaussians in use."""
        return [1.0] if self.components == 1 else [self.weight, 1 - self.weight]

    @property
    def model(self) -> LineMixture:
        """q as it stands."""
        return LineMixture(self.means[: self.components], self.stds[: self.components], self._shares)

    def _peak(self, k: int) -> float:
        return self._shares[k] / (self.stds[k] * math.sqrt(2 * math.pi))

    def _score(self) -> None:
        self.scores = self.fit.scores(self.model)
        self.history.append(self.scores.log_likelihood)

    def _show(self) -> None:
        self._pad.lay(encode_drawing(self._curves(), COLORS), self._curves_words(), self._plane, self._handles())
        self._table.value = self._table_html()
        self._curve.show(encode_drawing(self._history_picture(), COLORS), self._history_words())
        self.weight_slider.layout.visibility = "visible" if self.components == 2 else "hidden"
        for key, button in self.buttons.items():
            button.button_style = "info" if key == self.best else ""

    def _handles(self) -> list[Handle]:
        """A handle on the peak of every Gaussian in use."""
        score = _nats(self.scores.log_likelihood)
        return [Handle((self.means[k], self._peak(k)), str(k + 1), PALETTE[k], f"Gaussian {k + 1}",
                       f"mean {_minus(self.means[k], 2)}, σ {self.stds[k]:.2f}; log-likelihood {score} nats")
                for k in range(self.components)]  # fmt: skip

    def _curves(self) -> Image.Image:
        """Histogram, p, q and its parts, and the best fit that is compared."""
        plane = self._plane_with_truth if self.truth_shown else self._plane
        image, draw = plane.sheet()
        x, parts = self._grid.numpy(), self.model.log_joint(self._grid).exp().T.numpy()
        lines = [("data", BARS, 7, None)] + ([("p, the truth", *TRUTH)] if self.truth_shown else [])
        if self.components == 2:
            for part, color in zip(parts, PALETTE, strict=False):
                plane.curve(draw, x, part, color, 1.2)
        if self.best:
            plane.curve(draw, x, self._best_model.log_prob(self._grid).exp().numpy(), *COMPARED)
            lines.append((BEST[self.best], *COMPARED))
        plane.curve(draw, x, parts.sum(0), ACCENT, 2.5)
        image = plane.clip(image)
        legend(image, plane.box, [*lines, ("q, yours", ACCENT, 2.5, None)])
        return image

    def _columns(self) -> dict[str, Scores]:
        compared = {BEST[self.best]: self._best_scores} if self.best else {}
        return {"q, yours": self.scores, **compared, "p itself": self.fit.ceiling}

    def _table_html(self) -> str:
        columns = self._columns()
        style = 'style="text-align:right;padding-left:14px;font-variant-numeric:tabular-nums"'
        head = "".join(f'<th scope="col" {style}>{html.escape(name)}</th>' for name in columns)
        body = "".join(
            f'<tr><th scope="row" style="text-align:left;font-weight:normal">{row}</th>'
            + "".join(f"<td {style}>{_nats(scores[i])}</td>" for scores in columns.values()) + "</tr>"
            for i, row in enumerate(ROWS))  # fmt: skip
        caption = f"in nats, {self.fit.n} data points; entropy of p: {self.fit.density.entropy:.3f}"
        return f'<table style="line-height:1.5;white-space:nowrap"><caption style="text-align:left">{caption}</caption><tr><td></td>{head}</tr>{body}</table>'

    # --- the history -----------------------------------------------------------------------------------------------

    def _history_picture(self) -> Image.Image:
        """Average log-likelihood after every move; dashed, that of p itself; dotted, that of the fit compared."""
        values = np.array(self.history)
        levels = [self.fit.ceiling.log_likelihood] + ([self._best_scores.log_likelihood] if self.best else [])
        high = max([values.max(), *levels])
        low = max(min([values.min(), *levels]), high - 4)  # what is worse leaves the picture
        margin = 0.08 * max(high - low, 0.2)
        plane = Plane(330, 150, (0, max(10, len(values) - 1)), (low - margin, high + margin), "move", "log q(x), nats")
        image, draw = plane.sheet()
        ends = np.array(plane.x_range)
        plane.curve(draw, ends, np.full(2, levels[0]), *TRUTH)
        if self.best:
            plane.curve(draw, ends, np.full(2, levels[1]), *COMPARED)
        plane.curve(draw, np.arange(len(values)), values, ACCENT, 1.5)
        plane.scatter(image, np.array([[len(values) - 1, values[-1]]]), 3.5, ACCENT)
        return plane.clip(image)

    def _history_words(self) -> str:
        past = f"Average log-likelihood at the last {len(self.history)} places: " if len(self.history) > 1 else ""
        return (f"{past or 'Average log-likelihood: '}now {_nats(self.history[-1])}, at best {_nats(max(self.history))}, "
                f"p itself {_nats(self.fit.ceiling.log_likelihood)} nats.")  # fmt: skip

    # --- still picture ---------------------------------------------------------------------------------------------

    def _curves_words(self) -> str:
        q = self.scores
        words = (f"Histogram of {self.fit.n} samples of p = {self.fit.density!r}, and the model q = {self.model!r}. "
                 f"Average log-likelihood of the data {_nats(q.log_likelihood)} nats (p itself: "
                 f"{_nats(self.fit.ceiling.log_likelihood)}); KL(p‖q) {_nats(q.forward)}, KL(q‖p) {_nats(q.reverse)}, "
                 f"entropy of p {self.fit.density.entropy:.3f} nats.")  # fmt: skip
        if self.best:
            found = self._best_scores
            words += (f" For comparison, {BEST[self.best]}: {self._best_model!r}, log-likelihood "
                      f"{_nats(found.log_likelihood)}, KL(p‖q) {_nats(found.forward)}, "
                      f"KL(q‖p) {_nats(found.reverse)} nats.")  # fmt: skip
        return words

    @property
    def alt(self) -> str:
        return f"{self._curves_words()} {self._history_words()}"

    def picture(self) -> Image.Image:
        """The curves with their handles, the numbers, and the history."""
        image = self._curves()
        for handle in self._handles():
            handle.draw(ImageDraw.Draw(image), self._plane)
        columns = self._columns()
        rows = [["in nats", *columns]]
        rows += [[row, *(_nats(scores[i]) for scores in columns.values())] for i, row in enumerate(ROWS)]
        rows.append([f"entropy of p: {self.fit.density.entropy:.3f}", *[""] * len(columns)])
        numbers = table(rows)
        return beside([image, beside([numbers, self._history_picture()], gap=14, down=True)], gap=20)


def _minus(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "−")


def _nats(value: float) -> str:
    """Three digits after the point, with a real minus sign; never −0.000."""
    return _minus(0.0 if abs(value) < 5e-4 else value, 3)
