"""EnergyLandscape: drop particles into an energy, warm it or cool it, and watch them walk."""

import collections
import math

import ipywidgets as W
import numpy as np
import traitlets
from PIL import Image

from .base import Explorer, Picture, reported
from .drawing import ACCENT, INK, MUTED, PAPER, Plane, beside, captioned, font, legend, table
from .energy_surface import EnergySurface
from .energy_words import digits, html_table, misplaced, remark, rows_of_valleys, rows_of_walk
from .handles import Handle, HandlePicture
from .particles import WALKS, Particles
from .pixels import encode_drawing
from .shading import Shades

__all__ = ["EnergyLandscape"]

BANDS = 12
SHADES = Shades("#4f7cac", BANDS)
CROSS = "#882255"
TEMPERATURES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
STEP_SIZES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
WALK_WORDS = {"Langevin": "langevin", "Metropolis-adjusted (MALA)": "mala"}
SPEEDS = {"slow": 400, "medium": 200, "fast": 80}  # ms between looks
A_LOOK, A_NOTE = 5, 10  # steps between looks while playing, between notes in a hundred at once
HINT = "Dark: low energy. Dots: particles. Click to drop some, or move + by the arrow keys and press Enter."


class EnergyLandscape(Explorer, W.VBox):
    """An energy of the plane as a landscape, and particles that walk in it: downhill, shaken by noise.

        x ← x − ½ε ∇E(x) + √(εT)·noise            (ε the step size, T the temperature)

    Its law is exp(−E/T) after a while, up to an error that grows with ε; with Metropolis' rule ("mala") without one. What
    the particles do is held against the sum over a grid: the mean energy, and the share in each valley. Drop all
    of them into one valley, and see whether they ever get out. A step size that is too large makes them run away.

    Args:
        source: a model with `energy(x)` of `Space.real(2)`, such as `EnergyModel`, `JEM` or a composition; a density with
            `log_prob(x)`, such as `toy_density("moons")`: its energy is −log p; or a function (batch, 2) -> (batch,).
        extent: half the side of the square that is seen; by default the source's own, or 5.5.
        temperature, step_size, walk: to begin with; walk is "langevin" or "mala".
        drops: particles for each click.
        seed: of all randomness.
        size: of the picture, in CSS pixels.

    Attributes:
        temperature, step_size, walk: set them; the walk goes on.
        cross: where "Drop here" drops, (x₁, x₂).
        surface: the energy on a grid, its valleys and their exact shares, see `EnergySurface`.
        particles: see `Particles`.
        standing: the numbers, see `particles.Standing`.
        play: the play button.

    Raises:
        TypeError: the source has no energy.
        ValueError: it is not of the plane, or its energy is finite nowhere.
    """

    _still_vivid = True
    temperature = traitlets.Float(1.0)
    step_size = traitlets.Float(0.05)
    walk = traitlets.Enum(list(WALKS), "langevin")
    cross = traitlets.Tuple(traitlets.Float(), traitlets.Float(), default_value=(0.0, 0.0))

    def __init__(self, source, *, extent: float | None = None, temperature: float = 1.0, step_size: float = 0.05,
                 walk: str = "langevin", drops: int = 50, seed: int = 0, size: int = 430):  # fmt: skip
        if drops < 1:
            raise ValueError(f"drops must be 1 or more, got {drops}")
        self.surface = EnergySurface(source, extent)
        self.particles = Particles(self.surface, seed)
        self.size, self.drops = size, drops
        self.history: collections.deque[tuple[int, float, float]] = collections.deque(maxlen=600)
        self._still = True
        self.temperature, self.step_size, self.walk = temperature, step_size, walk
        super().__init__(self._build())
        self.add_class("dgm-explorer").add_class("dgm-landscape")
        self._still = False
        self._draw_axes()
        self._look()

    # --- what is on the page ---------------------------------------------------------------------------------------

    def _build(self) -> list[W.Widget]:
        self._pad = HandlePicture(self._respond, width=self.size, clicks=True)
        self._curves = Picture(width=360, sharp=False)
        self._table, self._words = W.HTML(), W.HTML()
        acts = {
            "drop": (f"Drop {self.drops} at +", "Particles at the cross", self.drop),
            "scatter": ("Scatter 200", "Particles anywhere in the square", self.scatter),
            "draw": ("Draw 200 exactly", "Particles from exp(−E/T) itself, by its sum over a grid", self.draw),
            "clear": ("Clear", "Take all particles out", self.clear),
            "one": ("1 step", "One step of every particle", lambda: self.step(1)),
            "hundred": ("100 steps", "A hundred steps of every particle", lambda: self.step(100)),
        }
        self.buttons = {key: self._button(*act) for key, act in acts.items()}
        self.play = W.Play(0, min=0, max=100_000, interval=200, tooltip=f"Walk on, {A_LOOK} steps at a time")
        self.play.observe(self._tick, "value")
        speed = W.Dropdown(options=SPEEDS, value=200, description="speed", style={"description_width": "44px"},
                           layout=W.Layout(width="140px"))  # fmt: skip
        speed.observe(lambda change: self.play.set_trait("interval", change["new"]), "value")
        hint = W.HTML(f'<div class="dgm-note" style="line-height:1.35">{HINT}</div>')
        left = W.VBox([self._pad, hint, self._curves], layout=W.Layout(width=f"{self.size + 6}px"))
        rows = [W.HBox([self.buttons[key] for key in keys]) for keys in (("drop", "scatter"), ("draw", "clear"))]
        walk = W.HBox([self.play, self.buttons["one"], self.buttons["hundred"]], layout=W.Layout(align_items="center"))
        right = W.VBox([*rows, walk, speed, *self._dials(), self._words, self._table],
                       layout=W.Layout(padding="0 0 0 16px", width="398px"))  # fmt: skip
        return [W.HBox([left, right], layout=W.Layout(flex_flow="row wrap")), self._message_box()]

    @staticmethod
    def _button(words: str, tip: str, act) -> W.Button:
        button = W.Button(description=words, tooltip=tip, layout=W.Layout(width=f"{8 * len(words) + 24}px"))
        button.on_click(lambda _: act())
        return button

    def _dials(self) -> list[W.Widget]:
        self.dials = {}
        for trait, values, words in (
            ("temperature", TEMPERATURES, "temperature T"),
            ("step_size", STEP_SIZES, "step size ε"),
        ):
            value = getattr(self, trait)
            options = sorted({*values, value})
            dial = W.SelectionSlider(options=[(f"{v:g}", v) for v in options], value=value, description=words,
                                     style={"description_width": "106px"}, layout=W.Layout(width="372px"))  # fmt: skip
            dial.observe(lambda change, trait=trait: setattr(self, trait, change["new"]), "value")
            self.dials[trait] = dial
        self.dials["walk"] = W.Dropdown(options=WALK_WORDS, value=self.walk, description="walk",
                                        style={"description_width": "106px"}, layout=W.Layout(width="334px"))  # fmt: skip
        traitlets.link((self, "walk"), (self.dials["walk"], "value"))
        return list(self.dials.values())

    # --- moves -----------------------------------------------------------------------------------------------------

    @traitlets.validate("temperature", "step_size", "cross")
    def _within(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        if name == "cross":
            if not np.isfinite(value).all() or not (np.abs(value) <= self.surface.extent).all():
                raise traitlets.TraitError(
                    f"cross must lie in −{self.surface.extent:g} … {self.surface.extent:g}, got {value}"
                )
        elif not (math.isfinite(value) and value >= 0) or (name == "step_size" and value == 0):
            raise traitlets.TraitError(
                f"{name} must be {'above 0' if name == 'step_size' else '0 or more'}, got {value}"
            )
        return value

    @reported
    def drop(self, at: tuple[float, float] | None = None) -> None:
        """Particles at this place, or at the cross; the cross goes along."""
        if at is not None:
            self.cross = (float(at[0]), float(at[1]))
        self.particles.drop(self.cross, self.drops)
        self._look()

    @reported
    def scatter(self, n: int = 200) -> None:
        """Particles anywhere in the square."""
        self.particles.scatter(n)
        self._look()

    @reported
    def draw(self, n: int = 200) -> None:
        """Particles from exp(−E/T) itself."""
        self.particles.draw(n, self.temperature)
        self._look()

    @reported
    def clear(self) -> None:
        """Take all particles out; steps count from 0."""
        self.play.playing = False
        self.particles.clear()
        self.history.clear()
        self._look()

    @reported
    def step(self, times: int = 1) -> None:
        """So many steps of every particle."""
        self.play.playing = False
        self._walk(times)

    def _tick(self, change) -> None:
        if self.play.playing and change["new"] > change["old"]:
            self._play_on()

    @reported
    def _play_on(self) -> None:
        try:
            self._walk(A_LOOK)
        except Exception:
            self.play.playing = False
            raise
        if not len(self.particles.x):
            self.play.playing = False

    def _walk(self, times: int) -> None:
        for done in range(0, times, A_NOTE):
            more = min(A_NOTE, times - done)
            self.particles.walk(more, self.step_size, self.temperature, self.walk)
            self._measure()
        self._show()

    @reported
    def _respond(self, kind: str, handle: int, x: float, y: float) -> None:
        """What the browser asks: the cross dragged or moved by keys; particles dropped by a click, Enter or Space."""
        if kind not in ("move", "step", "click", "press") or handle != 0:
            raise ValueError(f"there is no cross {handle} to {kind}")
        if not (math.isfinite(float(x)) and math.isfinite(float(y))):
            raise ValueError(f"the cross must move to finite numbers, got ({x}, {y})")
        extent = self.surface.extent
        if kind == "press":
            self.drop()
        elif kind == "step":
            at = np.clip(np.array(self.cross) + np.array([x, y]) * extent / 50, -extent, extent)
            self.cross = (float(at[0]), float(at[1]))
        else:
            at = np.clip(extent * (2 * np.array([float(x), float(y)]) - 1), -extent, extent)
            if kind == "click":
                self.drop((float(at[0]), float(at[1])))
            else:
                self.cross = (float(at[0]), float(at[1]))

    @traitlets.observe("cross")
    @reported
    def _moved(self, _=None) -> None:
        if not self._still:
            self._lay()

    @traitlets.observe("temperature", "step_size", "walk")
    @reported
    def _turned(self, change) -> None:
        if self._still:
            return
        dial = self.dials[change["name"]]
        if change["name"] != "walk" and change["new"] in [value for _, value in dial.options]:
            dial.value = change["new"]
        self._look(note=False)

    # --- what is shown ---------------------------------------------------------------------------------------------

    def _draw_axes(self) -> None:
        """The landscape, once."""
        e, surface = self.surface.extent, self.surface
        found = surface.grid[np.isfinite(surface.grid)]
        low = float(found.min())
        self._depth = min(max(float(np.quantile(found, 0.6)) - low, 1.0), 12.0)
        self._plane = self._landscape(self.size, e, low)
        self._stable = surface.stable_step()

    def _landscape(self, size: int, e: float, low: float) -> Plane:
        plane = Plane(size, None, (-e, e), (-e, e), "x₁", "x₂")
        image, draw = plane.sheet()
        left, top, right, bottom = (round(edge) for edge in plane.box)
        parts = 1 - (self.surface.grid - low) / self._depth
        image.paste(SHADES.field(np.where(np.isfinite(parts), parts, 0.0), (right - left, bottom - top)), (left, top))
        if len(self.surface.bottoms) > 1:
            for i, at in enumerate(self.surface.bottoms):
                draw.text(
                    plane.at(*at), chr(65 + i), fill=INK, font=font(10), anchor="mm", stroke_width=3, stroke_fill=PAPER
                )
        plane.keep(image)
        return plane

    def _look(self, note: bool = True) -> None:
        self._measure(note)
        self._show()

    def _measure(self, note: bool = True) -> None:
        self.standing = self.particles.standing()
        if note and self.standing.count and math.isfinite(self.standing.energy):
            self.history.append((self.standing.steps, self.standing.energy, self.surface.truth(self.temperature).mean))

    def _show(self) -> None:
        self._truth = self.surface.truth(self.temperature)
        self._png = encode_drawing(self._board(), (ACCENT, CROSS), SHADES.flat)
        self._lay()
        self._curves.show(encode_drawing(self._curves_picture(), (ACCENT, MUTED)), self._curves_words())
        self._table.value = html_table(self._rows()) + html_table(self._valleys())
        first, *more = self._remarks()
        words = " ".join([f"<b>{first}</b>" if self.standing.lost else first, *more])
        self._words.value = f'<div role="status" style="line-height:1.35;min-height:4.1em">{words}</div>'

    def _lay(self) -> None:
        at = f"at ({digits(self.cross[0])}, {digits(self.cross[1])})"
        cross = Handle(self.cross, "+", CROSS, f"Cross: Enter drops {self.drops} particles", at)
        self._pad.lay(self._png, self._described(), self._plane, [cross])

    def _board(self) -> Image.Image:
        image, _ = self._plane.sheet()
        x = self.particles.x.numpy().astype(float)
        self._plane.scatter(image, x, 2.4, PAPER)
        self._plane.scatter(image, x, 1.7, ACCENT)
        return self._plane.clip(image)

    def _curves_picture(self) -> Image.Image:
        """The particles' mean energy after the last looks, and that of exp(−E/T)."""
        notes = np.array(self.history, float).reshape(-1, 3)
        steps = notes[:, 0] if len(notes) else np.zeros(1)
        low = float(self.surface.grid.min())
        highest = [self._truth.mean + 1, *(np.minimum(notes[:, 1], low + 40) if len(notes) else [])]
        span = max(highest) - low
        plane = Plane(360, 140, (steps[0], max(steps[-1], steps[0] + 20)), (low - 0.05 * span, low + 1.6 * span), "steps",
                      "mean energy, nats")  # fmt: skip
        image, draw = plane.sheet()
        if len(notes):
            plane.curve(
                draw, np.append(steps, plane.x_range[1]), np.append(notes[:, 2], self._truth.mean), MUTED, 1.5, (5, 3)
            )
            plane.curve(draw, steps, np.minimum(notes[:, 1], low + 1e3), ACCENT, 1.8)
        else:
            plane.curve(draw, plane.x_range, [self._truth.mean] * 2, MUTED, 1.5, dash=(5, 3))
        image = plane.clip(image)
        legend(image, plane.box, [("particles", ACCENT, 1.8, None), ("exp(−E/T)", MUTED, 1.5, (5, 3))])
        return image

    # --- words -----------------------------------------------------------------------------------------------------

    def _rows(self) -> list[list[str]]:
        return rows_of_walk(self.standing, self.walk, self._stable)

    def _valleys(self) -> list[list[str]]:
        return rows_of_valleys(self.standing, self._truth)

    @property
    def misplaced(self) -> float:
        """How large a part of the particles must change its valley for the shares to be right: ½ Σ |share − exact|."""
        return misplaced(self.standing, self._truth)

    def _remarks(self) -> list[str]:
        return remark(self.particles, self.standing, self._truth, self._stable, self.temperature, self.walk)

    def _described(self) -> str:
        rows = [*self._rows(), *[[row[0], f"{row[1]} (exactly {row[2]})"] for row in self._valleys()[1:3]]]
        numbers = ", ".join(f"{name} {value}" for name, value in rows)
        valleys = f"{len(self.surface.bottoms)} valley{'s' * (len(self.surface.bottoms) > 1)}"
        return f"An energy landscape with {valleys} and particles in it; temperature {self.temperature:g}, step size {self.step_size:g}; {numbers}. {' '.join(self._remarks())}"

    def _curves_words(self) -> str:
        return (f"Mean energy of the particles along their walk: now {digits(self.standing.energy)} nats; of exp(−E/T): "
                f"{digits(self._truth.mean)} nats.")  # fmt: skip

    # --- still picture ---------------------------------------------------------------------------------------------

    @property
    def alt(self) -> str:
        return f"{self._described()} {self._curves_words()}"

    def picture(self) -> Image.Image:
        """The landscape with its particles, the numbers and the mean energy."""
        rows = [[*row, ""] for row in self._rows()]
        side = beside([table([*rows, *self._valleys()]), self._curves_picture()], gap=10, down=True)
        return captioned(beside([self._board(), side], gap=20), HINT.split(" Click")[0])
