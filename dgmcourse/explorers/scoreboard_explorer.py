"""ScoreboardExplorer: all models of a scoreboard in a picture; rank them by hand, and see what the numbers prove."""

import html
import math
from collections.abc import Mapping

import ipywidgets as W
import traitlets
from PIL import Image
from torch import Tensor

from ..evaluation.report import QUANTITIES
from ..evaluation.scoreboard import Scoreboard
from .base import Explorer, Picture, reported, script
from .contest import Contest, Line, Verdict
from .drawing import OUTLINES, PALETTE, SCALE, beside, captioned, table
from .handles import Handle, HandlePicture
from .pixels import encode_drawing, encode_png, enlarge, tile, to_pil, to_uint8
from .score_plane import RINGS, ScorePlane, mark_of

__all__ = ["ScoreboardExplorer"]

WIDTH, HEIGHT = 620, 430  # of the picture, shown pixels
SAMPLES, COLUMNS = 20, 10  # images of a model, and how many stand in a row
COLORS = (*PALETTE, *RINGS)
HINT = ("Line through a dot: between what the truth lies (two standard errors each way, or the range of several runs). "
        "Arrow: a bound, open on that side. A name at the side: no number that could be placed. Drag the rings A and B, "
        "or move them by arrow keys; a click on a dot brings A there.")  # fmt: skip
GROUPS = ("certainly better: A", "certainly better: B", "a better number, but no known error", "not decided")


class RingPicture(HandlePicture):
    """Handles through which one sees what they stand on, and how the tables beside look."""

    _css = script("picture.css", "rings.css")


class ScoreboardExplorer(Explorer, W.VBox):
    """Rank the models of a scoreboard by one quantity, set it against another, and compare two of them.

    A model is certainly better than another in a quantity if the worst that its number may truly be is better than the
    best that the other's may be. So a bound that is open upward may yet be first, a log-probability with an unknown
    constant holds no place, and numbers within their errors share places, all of which are written out.

    Args:
        scoreboard: of two or more models.
        samples: model -> images in [0, 1], (n, h, w) or (n, 1 or 3, h, w); the first 20 of the two compared are shown.
        rank, against: the quantities to begin with, to the right and upward; by default the first two of the scoreboard.
        first, second: the models A and B to begin with; by default the two likely best.

    Attributes:
        rank, against, first, second: as above; set them, or observe them.
        better_half: whether the picture holds only the better half of the ranking.
        contest: the logic, see `Contest`.
        lines: all models, ranked, a list of `Line`.
        verdicts: the two models in every quantity, a list of `Verdict`.

    Raises:
        TypeError: not a scoreboard.
        ValueError: fewer than two models, nothing to rank them by, or samples that are no images of these models.
    """

    rank = traitlets.Unicode("")
    against = traitlets.Unicode("")
    first = traitlets.Unicode("")
    second = traitlets.Unicode("")
    better_half = traitlets.Bool(False)
    _still_vivid = True
    _still_bytes = 42_000

    def __init__(self, scoreboard: Scoreboard, samples: Mapping[str, Tensor] | None = None, *, rank: str | None = None,
                 against: str | None = None, first: str | None = None, second: str | None = None):  # fmt: skip
        self.contest = contest = Contest(scoreboard)
        self._images = {model: self._checked(model, images) for model, images in (samples or {}).items()}
        self._signs = {model: _sign(*mark_of(i)) for i, model in enumerate(contest.models)}
        self._still = True
        self.rank = rank or contest.rankable[0]
        others = [name for name in contest.rankable if name != self.rank] or [self.rank]
        self.against = against or others[0]
        best = [line.model for line in contest.ranking(self.rank)]
        self.first = first or next(model for model in best if model != second)
        self.second = second or next(model for model in best if model != self.first)
        super().__init__(self._build())
        self.add_class("dgm-explorer").add_class("dgm-scores")
        self._still = False
        self._turned()
        if self.error:
            raise ValueError(self.error)

    def _checked(self, model: str, images: Tensor) -> Image.Image:
        """A model's first samples, in rows."""
        if model not in self.contest.models:
            raise ValueError(f"samples are given for {model!r}, which is none of {', '.join(self.contest.models)}")
        if len(images) == 0:
            raise ValueError(f"there are no samples of {model}; leave it out")
        pixels = to_uint8(images[:SAMPLES])
        factor = max(1, round(34 * SCALE / pixels.shape[2]))
        return to_pil(tile(enlarge(pixels, factor), COLUMNS, gap=SCALE, outer=True)).convert("RGB")

    # --- what is on the page ---------------------------------------------------------------------------------------

    def _build(self) -> list[W.Widget]:
        contest, look = self.contest, {"style": {"description_width": "62px"}, "layout": W.Layout(width="250px")}
        self.choices = {
            "rank": W.Dropdown(options=contest.rankable, value=self.rank, description="rank by", **look),
            "against": W.Dropdown(options=contest.quantities, value=self.against, description="against", **look),
            "first": W.Dropdown(options=contest.models, value=self.first, description="A", **look),
            "second": W.Dropdown(options=contest.models, value=self.second, description="B", **look),
        }
        for trait, choice in self.choices.items():
            traitlets.link((self, trait), (choice, "value"))
        self.half = W.Checkbox(False, description="only the better half in the picture", indent=False,
                               layout=W.Layout(width="auto"))  # fmt: skip
        traitlets.link((self, "better_half"), (self.half, "value"))
        self._meanings = {"rank": W.HTML(), "against": W.HTML()}
        self._pad = RingPicture(self._respond, width=WIDTH, clicks=True).add_class("dgm-rings")
        self._row, self._verdicts, self._table = Picture(width=360, sharp=False), W.HTML(), W.HTML()
        hint = W.HTML(f'<div class="dgm-note" style="line-height:1.35;width:{WIDTH}px">{HINT}</div>')
        quantities = [W.VBox([self.choices[name], self._meanings[name]], layout=W.Layout(width="310px"))
                      for name in ("rank", "against")]  # fmt: skip
        left = W.VBox([W.HBox(quantities), self._pad, self.half, hint], layout=W.Layout(width=f"{WIDTH + 6}px"))
        right = W.VBox([self.choices["first"], self.choices["second"], self._verdicts, self._row],
                       layout=W.Layout(padding="0 0 0 20px", width="420px"))  # fmt: skip
        self._row.layout.display = None if self._images else "none"
        return [W.HBox([left, right], layout=W.Layout(flex_flow="row wrap")), self._table, self._message_box()]

    # --- choosing --------------------------------------------------------------------------------------------------

    @traitlets.validate("rank", "against", "first", "second")
    def _known(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        contest = self.contest
        known = {"rank": contest.rankable, "against": contest.quantities}.get(name, contest.models)
        if value not in known:
            raise traitlets.TraitError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        return value

    @reported
    def _respond(self, kind: str, handle: int, x: float, y: float) -> None:
        """What the browser asks: a ring dragged, or moved by keys, to another model; or a click on a dot."""
        if kind not in ("move", "step", "click", "press") or handle not in (0, 1):
            raise ValueError(f"there is no ring {handle} to {kind}")
        if not (math.isfinite(float(x)) and math.isfinite(float(y))):
            raise ValueError(f"a ring must move to finite numbers, got ({x}, {y})")
        trait = ("first", "second")[handle]
        if kind == "step":
            self.set_trait(trait, self.plane.beside(getattr(self, trait), int(x), int(y)))
        elif kind != "press":
            self.set_trait(trait, self.plane.nearest(float(x), float(y)))

    @traitlets.observe("rank", "against", "better_half")
    @reported
    def _turned(self, change=None) -> None:
        if self._still or (change and self._changed_places(change)):
            return
        self.plane = ScorePlane(self.contest, self.rank, self.against, self.better_half, WIDTH, HEIGHT)
        self.lines = self.contest.ranking(self.rank)
        self._other = {line.model: line for line in self.contest.ranking(self.against)}
        for name, box in self._meanings.items():
            box.value = f'<div class="dgm-note" style="line-height:1.35">{html.escape(self._meaning(name))}</div>'
        self._show()

    def _changed_places(self, change) -> bool:
        """Whether one quantity was set to the other, which then took the place that was left: a diagonal shows nothing."""
        other, free = {"rank": ("against", self.contest.quantities), "against": ("rank", self.contest.rankable)}.get(
            change.name, ("", ())
        )
        if self.rank != self.against or change.old not in free:
            return False
        self.set_trait(other, change.old)
        return True

    @traitlets.observe("first", "second")
    @reported
    def _chosen(self, _=None) -> None:
        if not self._still:
            self._show()

    def _meaning(self, trait: str) -> str:
        quantity = QUANTITIES[getattr(self, trait)]
        better = {"higher": "More is better.", "lower": "Less is better."}.get(quantity.better, "Neither is better.")
        return f"{quantity.about[0].upper()}{quantity.about[1:]}. {better}"

    # --- what is shown ---------------------------------------------------------------------------------------------

    def _show(self) -> None:
        pair = (self.first, self.second)
        self.verdicts = [] if self.first == self.second else self.contest.compare(*pair)
        handles = [Handle(self.plane.value_of(model), letter, "transparent", f"Model {letter}", self._told(model))
                   for letter, model in zip("AB", pair, strict=True)]  # fmt: skip
        self._pad.lay(encode_drawing(self.plane.drawn(*pair), COLORS), self._described(), self.plane, handles)
        self._verdicts.value = self._verdicts_html()
        self._table.value = self._table_html()
        if self._images:
            self._row.show(encode_png(self._samples()), self._samples_words())

    def _samples(self) -> Image.Image:
        parts = [captioned(self._images[model], f"{letter}: {model}") if model in self._images
                 else captioned(Image.new("RGB", (360 * SCALE, 1), "white"), f"{letter}: {model} (no samples given)")
                 for letter, model in (("A", self.first), ("B", self.second))]  # fmt: skip
        image = beside(parts, gap=8, down=True)
        wide = Image.new("RGB", (max(image.width, 360 * SCALE), image.height), "white")
        wide.paste(image)
        self._row.width = wide.width // SCALE
        return wide

    def _grouped(self) -> list[list[Verdict]]:
        """The verdicts in the order of GROUPS."""
        kinds = [(self.first, True), (self.second, True)]
        groups = [[v for v in self.verdicts if (v.better, v.certain) == kind] for kind in kinds]
        likely = [v for v in self.verdicts if v.better and not v.certain]
        return [*groups, likely, [v for v in self.verdicts if not v.better]]

    def _verdicts_html(self) -> str:
        parts = [
            f'<div role="status" class="dgm-verdict">{html.escape(self.contest.sentence(self.first, self.second))}</div>'
        ]
        for words, verdicts in zip(GROUPS, self._grouped(), strict=True):
            if verdicts:
                items = "".join(f"<li>{self._item(v)}</li>" for v in verdicts)
                parts.append(f"<b>{words}</b><ul>{items}</ul>")
        return f'<div class="dgm-verdicts">{"".join(parts)}</div>'

    def _item(self, verdict: Verdict) -> str:
        whose = (
            {self.first: " (A)", self.second: " (B)"}[verdict.better] if verdict.better and not verdict.certain else ""
        )
        return html.escape(f"{verdict.quantity}{whose}: {verdict.why}")

    def _table_html(self) -> str:
        double = self.against != self.rank
        head = ["place", "", "model", self.rank, "truth lies in", *([self.against] if double else []), "note"]
        cells = "".join(f'<th scope="col">{html.escape(words)}</th>' for words in head)
        body = "".join(self._table_row(line, double) for line in self.lines)
        better = {"higher": "most", "lower": "least"}[QUANTITIES[self.rank].better]
        caption = html.escape(f"Ranked by {self.rank}, {better} first. {self.contest.scoreboard.caption}")
        return (f'<table class="dgm-ranking"><caption>{caption}</caption><thead><tr>{cells}</tr></thead>'
                f"<tbody>{body}</tbody></table>")  # fmt: skip

    def _table_row(self, line: Line, double: bool) -> str:
        letter = "".join(
            sign for sign, model in zip("AB", (self.first, self.second), strict=True) if model == line.model
        )
        others = [self._other[line.model].number] if double else []
        values = [html.escape(words) for words in (line.number, line.between, *others, line.note)]
        name = f'<th scope="row">{self._signs[line.model]}{html.escape(line.model)}</th>'
        cells = "".join(f"<td>{words}</td>" for words in values)
        chosen = ' class="dgm-chosen"' if letter else ""
        return f"<tr{chosen}><td>{line.places}</td><td><b>{letter}</b></td>{name}{cells}</tr>"

    # --- words and still picture -----------------------------------------------------------------------------------

    def _told(self, model: str) -> str:
        """A model's place and numbers, for a handle."""
        line = next(line for line in self.lines if line.model == model)
        places = {"–": "no place", "any": "any place possible"}.get(line.places, f"place {line.places}")
        lacking = self.contest.missing(model, self.rank)
        mine = lacking if lacking else line.number
        other = "" if self.against == self.rank else f"; {self.against} {self._other[model].number}"
        return f"{model}, {places}: {self.rank} {mine}{other}"

    def _described(self) -> str:
        aside = (("not placed", self.plane.unplaced), ("outside", self.plane.outside))
        beside_it = "".join(f"; {words}: {', '.join(models)}" for words, models in aside if models)
        return (f"{len(self.contest.models)} models, {self.against} against {self.rank}{beside_it}. "
                f"A: {self._told(self.first)}. B: {self._told(self.second)}.")  # fmt: skip

    def _samples_words(self) -> str:
        known = [
            f"{letter}, {model}" for letter, model in (("A", self.first), ("B", self.second)) if model in self._images
        ]
        return f"Samples of {' and of '.join(known)}." if known else "No samples of these models were given."

    @property
    def alt(self) -> str:
        return f"{self._described()} {self.contest.sentence(self.first, self.second)}"

    def picture(self) -> Image.Image:
        """The picture with both rings, the ranking, and samples of both models."""
        rows = [["model", "place", self.rank], *[[line.model, line.places, line.number] for line in self.lines[:22]]]
        right = [table(rows)] + ([self._samples()] if self._images else [])
        return beside([self.plane.drawn(self.first, self.second, rings=True), beside(right, gap=12, down=True)], gap=16)


def _sign(shape: int, color: str) -> str:
    """A model's marker as a small drawing in the text."""
    points = " ".join(f"{x:.2f},{y:.2f}" for x, y in OUTLINES[shape])
    return (f'<svg width="12" height="12" viewBox="-1.1 -1.1 2.2 2.2" aria-hidden="true"><polygon points="{points}" '
            f'fill="{color}" stroke="#ffffff" stroke-width="0.15"/></svg> ')  # fmt: skip
