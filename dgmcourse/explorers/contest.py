"""Who is better than whom, in what, and how sure that is: the logic behind the scoreboard that a hand can turn."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from ..core import Kind
from ..evaluation.report import QUANTITIES
from ..evaluation.scoreboard import Entry, Scoreboard

__all__ = ["Contest", "Line", "Verdict", "shown_number"]

# quantities that are measured on samples: a note on the samples says why there are none
OF_SAMPLES = ("Fréchet", "kernel", "MMD²", "precision", "recall", "density", "coverage", "recognized", "as asked",
              "copied", "copying z")  # fmt: skip


class Verdict(NamedTuple):
    """Two models in one quantity.

    Attributes:
        quantity: in which.
        better: the better one, "" where that is not decided.
        certain: whether known errors leave no doubt. A better number of which no error is known is no certainty.
        why: the two numbers; or why it is not decided.
    """

    quantity: str
    better: str
    certain: bool
    why: str


class Line(NamedTuple):
    """One model's line in a ranking.

    Attributes:
        model: its name.
        places: the places it may hold: "2", "1–3", "any", or "–" for none.
        number: "≥ −17.63 ± 0.21".
        between: where the truth lies, "−18.05 … ∞"; "" where nothing is known.
        note: why it holds no place.
    """

    model: str
    places: str
    number: str
    between: str
    note: str


class Contest:
    """A scoreboard's numbers, read once.

    Args:
        scoreboard: of two or more models.

    Attributes:
        models: all, with those that failed.
        quantities: those that some model has.
        rankable: those of them of which more, or less, is better.
        entries: quantity -> model -> number.
        held: quantity -> model -> (first, last) possible place.

    Raises:
        TypeError: not a scoreboard.
        ValueError: fewer than two models, or nothing to rank them by.
    """

    def __init__(self, scoreboard: Scoreboard):
        if not isinstance(scoreboard, Scoreboard):
            raise TypeError("a dgmcourse.evaluation.Scoreboard is needed, e.g. scoreboard({name: model}, data), got "
                            f"{type(scoreboard).__name__}")  # fmt: skip
        self.scoreboard = scoreboard
        self.models = list({**scoreboard.reports, **scoreboard.failures})
        self.quantities = scoreboard.quantities
        self.rankable = [name for name in self.quantities if QUANTITIES[name].better]
        if len(self.models) < 2 or not self.rankable:
            raise ValueError("two or more models and a quantity to rank them by are needed; got "
                             f"{len(self.models)} models with {', '.join(self.quantities) or 'no numbers'}")  # fmt: skip
        self.entries = {name: scoreboard.entries(name) for name in self.quantities}
        self.held = {name: scoreboard.places(name) for name in self.quantities}

    def placed(self, quantity: str) -> dict[str, Entry]:
        """Models whose number is known from one side at least."""
        known = self.entries[quantity].items()
        return {model: e for model, e in known if math.isfinite(e.low) or math.isfinite(e.high)}

    def unit(self, quantity: str) -> str:
        """Of the numbers: "nats", or "" where the quantity's name says it."""
        runs = [r.numbers[quantity] for rs in self.scoreboard.reports.values() for r in rs if quantity in r.numbers]
        return runs[0].unit if runs and runs[0].unit not in quantity else ""

    def missing(self, model: str, quantity: str) -> str:
        """Why a model cannot be placed by this quantity, "" where it can."""
        entry = self.entries[quantity].get(model)
        if entry is not None:
            if math.isfinite(entry.low) or math.isfinite(entry.high):
                return ""
            constant = "known only up to a constant that nobody knows (+C)"
            return constant if entry.kind is Kind.UNNORMALIZED else "its number is not finite"
        reports = self.scoreboard.reports.get(model, ())
        if not reports:
            return f"failed: {self.scoreboard.failures.get(model, 'it has no report')}"
        having = sum(quantity in report.numbers for report in reports)
        if having:
            return f"measured in {having} of {len(reports)} runs only"
        notes = [r.notes.get(quantity) or (r.notes.get("samples") if quantity in OF_SAMPLES else None) for r in reports]
        return next(filter(None, notes), "not measured")

    # --- two models ------------------------------------------------------------------------------------------------

    def verdict(self, quantity: str, first: str, second: str) -> Verdict:
        """Which of two models is better: the one whose worst possible number beats the other's best possible one."""
        gaps = [why if why.startswith(model) else f"{model}: {why}"
                for model in (first, second) if (why := self.missing(model, quantity))]  # fmt: skip
        if gaps:
            return Verdict(quantity, "", False, "; ".join(gaps))
        sign = 1 if QUANTITIES[quantity].better == "higher" else -1
        pair = {model: self.entries[quantity][model] for model in (first, second)}
        ends = {model: sorted((sign * e.low, sign * e.high)) for model, e in pair.items()}  # the better end last
        for one, other in ((first, second), (second, first)):
            if ends[one][0] > ends[other][1]:
                known = all(math.isfinite(e.error) for e in pair.values())
                return Verdict(quantity, one, known, self._against(quantity, pair[one], pair[other]))
        return Verdict(quantity, "", False, self._undecided(quantity, pair))

    @staticmethod
    def _against(quantity: str, one: Entry, other: Entry) -> str:
        """Two numbers, with more digits where those of tables are the same."""
        for more in (0, 2, 4):
            words = [shown_number(quantity, entry, more) for entry in (one, other)]
            if words[0] != words[1]:
                break
        return " against ".join(words)

    def _undecided(self, quantity: str, pair: dict[str, Entry]) -> str:
        """Why two numbers leave it open which is better."""
        numbers = " and ".join(shown_number(quantity, entry) for entry in pair.values())
        open_ended = [model for model, e in pair.items() if not (math.isfinite(e.low) and math.isfinite(e.high))]
        if open_ended:
            whose = "both are only bounds" if len(open_ended) == 2 else f"{open_ended[0]}'s is only a bound"
            side = "higher" if any(math.isinf(pair[model].high) for model in open_ended) else "lower"
            return f"{numbers}: {whose}, the truth may be {side}"
        if len({entry.value for entry in pair.values()}) == 1:
            return f"{numbers}: the same number"
        return f"{numbers}: within the errors"

    def compare(self, first: str, second: str) -> list[Verdict]:
        """Two models in every quantity of which more, or less, is better."""
        return [self.verdict(quantity, first, second) for quantity in self.rankable]

    def sentence(self, first: str, second: str) -> str:
        """The comparison in words."""
        if first == second:
            return f"A and B are both {first}: choose another model to compare it with."
        found = self.compare(first, second)
        sure = {one: [v.quantity for v in found if v.better == one and v.certain] for one in (first, second)}
        parts = [f"{one} is certainly better than {other} in {_listed(sure[one])}."
                 for one, other in ((first, second), (second, first)) if sure[one]]  # fmt: skip
        parts = parts or ["Neither is certainly better in anything."]
        likely = {one: [v.quantity for v in found if v.better == one and not v.certain] for one in sure}
        whose = [f"by {one} in {_listed(names)}" for one, names in likely.items() if names]
        if whose:
            parts.append(f"A better number, but no known error, has been reached {' and '.join(whose)}.")
        undecided = [v.quantity for v in found if not v.better]
        return " ".join([*parts, *([f"Not decided: {_listed(undecided)}."] if undecided else [])])

    # --- all models ------------------------------------------------------------------------------------------------

    def ranking(self, quantity: str) -> list[Line]:
        """All models, the likely best first; those that hold no place come last, with the reason."""
        held, entries = self.held[quantity], self.entries[quantity]
        sign = -1 if QUANTITIES[quantity].better == "higher" else 1
        order = sorted(self.models, key=lambda m: (0, sign * entries[m].value) if m in held else (1, 0))
        lines = []
        for model in order:
            entry, (first, last) = entries.get(model), held.get(model, (0, 0))
            if not first:
                words = "–"
            elif (first, last) == (1, len(held)) and len(held) > 1:
                words = "any"
            else:
                words = f"{first}" if first == last else f"{first}–{last}"
            number = "–" if entry is None else shown_number(quantity, entry)
            known = first and entry.low < entry.high  # a number without an error has no interval
            between = f"{_digits(quantity, entry.low)} … {_digits(quantity, entry.high)}" if known else ""
            note = self.missing(model, quantity) or ("" if math.isfinite(entry.error) else "no error known")
            if note == "" and model in self.scoreboard.failures:
                note = f"failed: {self.scoreboard.failures[model]}"
            lines.append(Line(model, words, number, between, note))
        return lines


def shown_number(quantity: str, entry: Entry, more: int = 0) -> str:
    """A number with its kind and its error, "≥ −17.63 ± 0.21", with so many more digits than in tables."""
    error = f" ± {_digits(quantity, entry.error, more)}" if math.isfinite(entry.error) else ""
    return f"{entry.kind or ''} {_digits(quantity, entry.value, more)}{error}".strip()


def _digits(quantity: str, value: float, more: int = 0) -> str:
    """As many digits as tables show (or so many more), two where these would be zeros; a real minus sign, and ∞."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    words = f"{value:.{QUANTITIES[quantity].digits + more}f}"
    if value and float(words) == 0:
        words = f"{value:.2g}"
    return words.replace("-", "−")


def _listed(words: Sequence[str]) -> str:
    """One or more words as "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
