"""DenoisingPlayer: from noise to data, with dials for how a diffusion model or flow matching goes there."""

import collections
import inspect
import math
from collections.abc import Iterator
from typing import NamedTuple

import ipywidgets as W
import torch
from PIL import Image
from torch import Tensor, nn

from ..models.diffusion.diffusion import SAMPLERS
from ..models.diffusion.flow_matching import SOLVERS
from ..samplers import start
from .base import Picture, reported
from .drawing import beside, table
from .model import device_of
from .pixels import encode_png
from .state_views import view_for
from .trajectory_player import TrajectoryPlayer

__all__ = ["DenoisingPlayer", "Run"]

STEPS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100)
GUIDANCE = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0)
SPACINGS = ("even", "log-snr", "karras")
EACH, NONE = -1, -2  # of the choice of labels: each in turn, or none


class Run(NamedTuple):
    """One run with its dials.

    Attributes:
        words: the dials, in words.
        evaluations: how often the network was asked.
        quality: mean −log p of the samples under the truth, nats, where the truth is known; else NaN.
        change: root of the mean square difference from the samples of the run before; NaN for the first.
        samples: (n, *shape).
    """

    words: str
    evaluations: int
    quality: float
    change: float
    samples: Tensor


class DenoisingPlayer(TrajectoryPlayer):
    """Play how a diffusion model, or flow matching, takes noise away, and turn the dials: sampler, steps, times, η, guidance.

    Every run starts from the same noise, so that two settings of the dials can be compared example by example; the run
    before stands beside the present one, and a table counts how often the network was asked (guidance asks twice).
    "Run again" draws other noise.

    Args:
        model: a `Diffusion`, a `FlowMatching`, or a model with such a `schedule`, `network` and `trajectory`.
        n: how many samples.
        y: labels, (n,), of a conditional model; by default each label in turn. The choice of labels replaces them.
        sampler, steps: to begin with; by default the model's own. Of flow matching the sampler is its solver.
        spacing: of the times, "even", "log-snr" or "karras", see `samplers.time_grid`; diffusion only.
        guidance: weight w of (1 + w)·conditional − w·unconditional, to begin with.
        eta: of DDIM: 0 follows a curve, 1 is ancestral sampling.
        truth: a known density (`toy_density("moons")`), by which the samples of a run are judged; its own samples are drawn
            pale behind, unless data are given.
        data: points, (m, 2), drawn pale behind a scatter.
        seed: of the noise.
        size: width in CSS pixels.

    Attributes:
        dials: name -> widget: "sampler", "steps", "spacing", "eta", "label", "guidance", those that the model has.
        runs: what was run since the noise was drawn, a list of `Run`, the newest last; at most six.
        frame, play, states, places, length: as of `TrajectoryPlayer`; state 0 is the noise.

    Raises:
        TypeError: the model does not denoise.
        ValueError: settings that it does not have.
    """

    def __init__(self, model, n: int = 16, y: Tensor | None = None, *, sampler: str | None = None,
                 steps: int | None = None, spacing: str = "even", guidance: float | None = None, eta: float = 0.0,
                 truth=None, data: Tensor | None = None, max_frames: int = 120, seed: int = 0, size: int = 380):  # fmt: skip
        missing = [
            name for name in ("trajectory", "schedule", "network", "from_path", "space") if not hasattr(model, name)
        ]
        if missing:
            raise TypeError("DenoisingPlayer needs a model that denoises, a Diffusion or FlowMatching; "
                            f"{type(model).__name__} has no {', '.join(missing)}")  # fmt: skip
        self._word = "sampler" if "sampler" in inspect.signature(model.trajectory).parameters else "solver"
        self._options_of = SAMPLERS if self._word == "sampler" else SOLVERS
        self._begin = {"sampler": sampler or getattr(model, self._word), "steps": steps or model.steps, "spacing": spacing,
                       "eta": eta, "guidance": model.guidance if guidance is None else guidance}  # fmt: skip
        self._check_settings(model, n, y)
        self._given_y, self.truth, self._still = y, truth, False
        self.runs: collections.deque[Run] = collections.deque(maxlen=6)
        self._evaluations = 0
        if truth is not None and data is None:
            data = truth.sample(1000, torch.Generator().manual_seed(seed))
        super().__init__(model, n, y, max_frames, seed=seed, data=data, size=size)
        self.add_class("dgm-denoising")

    def _check_settings(self, model, n: int, y: Tensor | None) -> None:
        begin = self._begin
        if begin["sampler"] not in self._options_of:
            raise ValueError(f"{self._word} must be one of {', '.join(self._options_of)}, got {begin['sampler']!r}")
        if begin["spacing"] not in SPACINGS:
            raise ValueError(f"spacing must be one of {', '.join(SPACINGS)}, got {begin['spacing']!r}")
        if begin["steps"] < 1 or not 0 <= begin["eta"] <= 1 or not math.isfinite(begin["guidance"]):
            raise ValueError(f"steps must be 1 or more, eta in 0 … 1 and guidance finite; got {begin['steps']}, "
                             f"{begin['eta']} and {begin['guidance']}")  # fmt: skip
        if y is not None and (model.classes is None or y.shape != (n,)):
            raise ValueError(
                f"y must be {n} labels of a conditional model, got {tuple(y.shape)} for {model.classes} classes"
            )

    # --- what is on the page ---------------------------------------------------------------------------------------

    def _build(self) -> list[W.Widget]:
        picture, controls, row, message = super()._build()
        self.dials = self._make_dials()
        for dial in self.dials.values():
            dial.observe(lambda _: self._still or self._redial(), "value")
        self._before, self._table = Picture(width=170, sharp=False), W.HTML()
        self._beside = W.VBox(
            [W.HTML('<span class="dgm-note">the run before, from the same noise</span>'), self._before]
        )
        controls.children = controls.children[:2]  # beside each other with the dials in JupyterLab's default window
        left = W.VBox([picture, controls, self._place, row], layout=W.Layout(width=f"{max(self.size, 394) + 6}px"))
        right = W.VBox([*self.dials.values(), self._table, self._beside],
                       layout=W.Layout(padding="0 0 0 20px", width="420px"))  # fmt: skip
        self._enable()
        return [W.HBox([left, right], layout=W.Layout(flex_flow="row wrap")), message]

    def _make_dials(self) -> dict[str, W.Widget]:
        style, begin, model = {"description_width": "92px"}, self._begin, self.source
        wide, narrow = W.Layout(width="360px"), W.Layout(width="270px")

        def slider(words: str, values, value) -> W.SelectionSlider:
            options = [(f"{v:g}", v) for v in sorted({*values, value})]
            return W.SelectionSlider(options=options, value=value, description=words, style=style, layout=wide,
                                     continuous_update=False)  # fmt: skip

        dials = {"sampler": W.Dropdown(options=list(self._options_of), value=begin["sampler"], description=self._word,
                                       style=style, layout=narrow),
                 "steps": slider("steps", STEPS, begin["steps"])}  # fmt: skip
        if self._word == "sampler":
            dials["spacing"] = W.Dropdown(options=[("even in t", "even"), ("even in log SNR", "log-snr"), ("Karras et al.", "karras")],
                                          value=begin["spacing"], description="times", style=style, layout=narrow)  # fmt: skip
            dials["eta"] = W.FloatSlider(begin["eta"], min=0, max=1, step=0.1, description="η (DDIM)", style=style, layout=wide,
                                         continuous_update=False, readout_format=".1f")  # fmt: skip
        if model.classes:
            given = [("as given", None)] if self._given_y is not None else []
            none = [("none: p(x)", NONE)] if model.drop_label else []
            options = [*given, ("each in turn", EACH), *((str(k), k) for k in range(model.classes)), *none]
            dials["label"] = W.Dropdown(
                options=options, value=options[0][1], description="label", style=style, layout=narrow
            )
            if model.drop_label:
                dials["guidance"] = slider("guidance w", GUIDANCE, float(begin["guidance"]))
        return dials

    def _enable(self) -> None:
        """Dials that the present setting does not look at are switched off."""
        value = {name: dial.value for name, dial in self.dials.items()}
        if "eta" in self.dials:
            self.dials["eta"].disabled = value["sampler"] != "ddim"
        if "guidance" in self.dials:
            self.dials["guidance"].disabled = value["label"] == NONE

    # --- running ---------------------------------------------------------------------------------------------------

    @property
    def _labels(self) -> Tensor | None:
        """The labels asked for, (n,), on the model's device."""
        if "label" not in self.dials or self.dials["label"].value == NONE:
            return None
        choice = self.dials["label"].value
        if choice is None:
            y = self._given_y
        elif choice == EACH:
            y = torch.arange(self.n) % self.source.classes
        else:
            y = torch.full((self.n,), choice)
        return y.to(device_of(self.source))

    def _chosen(self) -> dict[str, object]:
        """The present settings, as `trajectory` takes them."""
        value = {name: dial.value for name, dial in self.dials.items()}
        settings = {self._word: value["sampler"], "steps": value["steps"]}
        if "spacing" in value:
            settings["spacing"] = value["spacing"]
        if value.get("eta") and value["sampler"] == "ddim":
            settings["eta"] = value["eta"]
        if "guidance" in value and value["label"] != NONE:
            settings["guidance"] = value["guidance"]
        return settings

    def _iterate(self) -> Iterator[Tensor]:
        """The noise, then the model's own trajectory from it."""
        model = self.source
        self.y, self.settings = self._labels, self._chosen()
        noise = start(model.schedule, self.n, model.space.shape, device_of(model))
        torch.manual_seed(self.seed)  # the model draws this very noise first
        yield model.from_path(noise)
        yield from model.trajectory(self.n, self.y, **self.settings)

    def _run(self) -> None:
        self._evaluations = 0

        def count(*_):
            self._evaluations += 1

        network = self.source.network
        hook = network.register_forward_hook(count) if isinstance(network, nn.Module) else None
        try:
            super()._run()
        finally:
            if hook is not None:
                hook.remove()
        self._note()

    def _note(self) -> None:
        """Remember what this run came to."""
        samples = self._states[-1]
        if not samples.isfinite().all():
            raise ValueError("the samples are not finite: fewer steps, or a smaller guidance weight, may do")
        quality, change = math.nan, math.nan
        if self.truth is not None:
            quality = -float(self.truth.log_prob(samples.float()).mean())
        if self.runs and self.runs[-1].samples.shape == samples.shape:
            change = float((samples - self.runs[-1].samples).double().square().mean().sqrt())
        self.runs.append(Run(self._dial_words(), self._evaluations, quality, change, samples))

    def _dial_words(self) -> str:
        value, words = {name: dial.value for name, dial in self.dials.items()}, []
        words.append(f"{value['sampler']}, {value['steps']} step{'s' * (value['steps'] > 1)}")
        if value.get("spacing", "even") != "even":
            words.append(value["spacing"])
        if value.get("eta") and value["sampler"] == "ddim":
            words.append(f"η = {value['eta']:g}")
        if "label" in value:
            label = {NONE: "no label", EACH: "", None: ""}.get(value["label"], f"label {value['label']}")
            words += [label] if label else []
            if value.get("guidance") and value["label"] != NONE:
                words.append(f"w = {value['guidance']:g}")
        return ", ".join(words)

    @reported
    def _redial(self) -> None:
        """Run with the present dials, from the same noise, and stand at the same part of the way."""
        part = self.frame.value / max(1, self.frame.max) if self._states is not None else 0.0
        self._enable()
        self.play.playing = False
        self._place.value = "running …"
        self._run()
        self.frame.value = round(part * self.frame.max)
        self._draw()

    def run_again(self) -> None:
        """Other noise, with the next seed; the runs are forgotten."""
        self.runs.clear()
        super().run_again()

    # --- showing ---------------------------------------------------------------------------------------------------

    def _where(self, index: int) -> str:
        place, steps = self.places[index], self.length - 1
        return f"noise, before step 1 of {steps}" if place == 0 else f"after step {place} of {steps}"

    def _caption(self, index: int) -> str:
        return f"step {self.places[index]}" if self.places[index] else "noise"

    def _draw(self) -> None:
        super()._draw()
        before = self.runs[-2] if len(self.runs) > 1 else None
        self._beside.layout.display = None if before else "none"
        if before:
            small = view_for([*self._states[-1:], before.samples], 170, **self._options)
            self._before.show(encode_png(small.frame(before.samples)), f"The run before: {self._run_words(before)}")
        self._table.value = self._table_html()

    def _told(self, index: int) -> str:
        return f"; {self._run_words(self.runs[-1])}"

    def _run_words(self, run: Run) -> str:
        judged = (
            "" if math.isnan(run.quality) else f", mean −log p under the truth {run.quality:.3f} nats".replace("-", "−")
        )
        changed = "" if math.isnan(run.change) else f", {run.change:.3g} (root mean square) from the run before it"
        return f"{run.words}: {run.evaluations} evaluations of the network{judged}{changed}"

    def _rows(self) -> list[list[str]]:
        judged = self.truth is not None
        head = ["run", "evaluations", *(["−log p, nats"] if judged else []), "change"]
        rows = [["the truth's own samples", "–", f"{self.truth.entropy:.3f}", "–"]] if judged else []
        for run in self.runs:
            quality = [f"{run.quality:.3f}".replace("-", "−")] if judged else []
            rows.append(
                [run.words, str(run.evaluations), *quality, "–" if math.isnan(run.change) else f"{run.change:.3g}"]
            )
        return [head, *rows]

    def _table_html(self) -> str:
        style = 'style="text-align:right;padding-left:12px;font-variant-numeric:tabular-nums"'
        head, *rows = self._rows()
        top = f'<th scope="col" style="text-align:left">{head[0]}</th>' + "".join(
            f'<th scope="col" {style}>{w}</th>' for w in head[1:]
        )
        body = "".join(f'<tr><th scope="row" style="text-align:left;font-weight:normal">{row[0]}</th>'
                       + "".join(f"<td {style}>{value}</td>" for value in row[1:]) + "</tr>" for row in rows)  # fmt: skip
        return f'<div role="status"><table style="line-height:1.4"><tr>{top}</tr>{body}</table></div>'

    # --- still picture ---------------------------------------------------------------------------------------------

    def picture(self) -> Image.Image:
        """The film strip from noise to the samples, and what the runs came to."""
        film = super().picture()
        return beside([film, table(self._rows())], gap=8, down=True)
