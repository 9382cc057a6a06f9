"""All models in one table: each number with its kind and uncertainty, and places only where they are certain."""

import csv
import io
import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..core import GenerativeModel, Kind
from ..data import Dataset
from ..tables import Table
from .likelihood import Estimate
from .report import QUANTITIES, Quantity, Report, evaluate

__all__ = ["Scoreboard", "places", "scoreboard"]


@dataclass(frozen=True)
class Entry:
    """One number of one model, over one or more runs.

    Attributes:
        value: the mean of the runs.
        low, high: the truth lies between, by all that is known: infinite on the open side of a bound. Of a single run
            whose error nobody knows, both are its value: what it leaves open is not known either.
        error: standard error of one run, or standard deviation of several.
        kind: of a log-probability.
        count: runs.
    """

    value: float
    low: float
    high: float
    error: float
    kind: Kind | None
    count: int

    @staticmethod
    def of(runs: Sequence[Estimate]) -> "Entry":
        """From one number of every run: two standard errors each way, or the range that the runs span."""
        values = [run.value for run in runs]
        kinds = {run.kind for run in runs}
        kind = _of_the_mean(kinds)
        errors = [0.0 if math.isnan(run.standard_error) else run.standard_error for run in runs]
        low = min(value - 2 * error for value, error in zip(values, errors, strict=True))
        high = max(value + 2 * error for value, error in zip(values, errors, strict=True))
        if kind is Kind.UNNORMALIZED or not all(map(math.isfinite, values)):
            low, high = -math.inf, math.inf
        low = -math.inf if Kind.UPPER_BOUND in kinds else low
        high = math.inf if Kind.LOWER_BOUND in kinds else high
        error = statistics.stdev(values) if len(values) > 1 else runs[0].standard_error
        return Entry(statistics.fmean(values), low, high, error, kind, len(runs))


def _of_the_mean(kinds: set[Kind | None]) -> Kind | None:
    """What the mean of numbers of these kinds is worth: with bounds of one side among exact ones, it is such a bound."""
    if len(kinds) == 1:
        return next(iter(kinds))
    if Kind.UNNORMALIZED in kinds:
        return Kind.UNNORMALIZED
    inexact = kinds - {Kind.EXACT}
    return inexact.pop() if inexact in ({Kind.LOWER_BOUND}, {Kind.UPPER_BOUND}) else Kind.ESTIMATE


def places(entries: Mapping[str, Entry], better: str = "higher") -> dict[str, tuple[int, int]]:
    """The best and the worst place that each may hold, by what is known: name -> (first, last), counted from 1.

    One is certainly better than another if its worst possible value is better than the other's best possible one. So
    what is only bounded from below may be first whatever the others have, and what is known up to a constant holds no
    place at all.

    Args:
        entries: by name.
        better: "higher" or "lower".
    """
    sign = 1 if better == "higher" else -1
    ranked = {name: e for name, e in entries.items() if math.isfinite(e.low) or math.isfinite(e.high)}
    # the interval with its better end last
    ends = {name: sorted((sign * e.low, sign * e.high)) for name, e in ranked.items()}
    found = {}
    for name, (low, high) in ends.items():
        above = sum(other[0] > high for key, other in ends.items() if key != name)
        below = sum(other[1] < low for key, other in ends.items() if key != name)
        found[name] = (1 + above, len(ends) - below)
    return found


@dataclass(frozen=True)
class Scoreboard:
    """Reports of several models on the same data.

    Attributes:
        reports: model -> its reports, one for each run (seed). A model whose runs all failed has none.
        failures: model -> why a run of it failed.
        caption: above the table.
    """

    reports: Mapping[str, Sequence[Report]]
    failures: Mapping[str, str]
    caption: str = ""

    def entries(self, quantity: str) -> dict[str, Entry]:
        """Model -> its number of this quantity, for those that have one in every run."""
        found = {}
        for model, reports in self.reports.items():
            runs = [report.numbers[quantity] for report in reports if quantity in report.numbers]
            if runs and len(runs) == len(reports):
                found[model] = Entry.of(runs)
        return found

    @property
    def quantities(self) -> list[str]:
        """Those that some model has, in the yardstick's order."""
        return [name for name in QUANTITIES if any(name in r.numbers for rs in self.reports.values() for r in rs)]

    def places(self, quantity: str) -> dict[str, tuple[int, int]]:
        """Model -> the places it may hold, see `places`; empty where neither more nor less is better.

        Raises:
            ValueError: there is no such quantity.
        """
        better = _quantity(quantity).better
        return places(self.entries(quantity), better) if better else {}

    def sorted_by(self, quantity: str) -> "Scoreboard":
        """The same with the likely best first; models without a place come last, in the order they had.

        Raises:
            ValueError: there is no such quantity.
        """
        held, entries = self.places(quantity), self.entries(quantity)
        sign = -1 if _quantity(quantity).better == "higher" else 1
        order = sorted(self.reports, key=lambda m: (0, sign * entries[m].value) if m in held else (1, 0))
        return Scoreboard({model: self.reports[model] for model in order}, self.failures, self.caption)

    def table(self, quantities: Iterable[str] | None = None, ranked: bool = True) -> Table:
        """One row for each model.

        Args:
            quantities: the columns; by default all that were measured.
            ranked: write the possible places after each number: (2), or (1–3); nothing where any place is possible, or
                where a single run's number has no known error.

        Raises:
            ValueError: a column that is no quantity.
        """
        columns = list(self.quantities if quantities is None else quantities)
        cells = {name: self._cells(name, ranked) for name in columns}
        failed = [model for model in {**self.reports, **self.failures} if model in self.failures]
        room = [""] if failed and not columns else []  # for the reasons, where nobody has a number
        rows = [
            (model, *(cells[name].get(model, "–") for name in columns), *room)
            for model in self.reports
            if self.reports[model]
        ]
        rows += [(model, f"failed: {self.failures[model]}", *[""] * (len(columns) - 1)) for model in failed]
        return Table(("model", *columns, *room), rows, self.caption)

    def _cells(self, quantity: str, ranked: bool) -> dict[str, str]:
        held = self.places(quantity) if ranked else {}
        found = {}
        for model, entry in self.entries(quantity).items():
            first, last = held.get(model, (0, 0))
            place = f" ({first})" if first == last else f" ({first}–{last})"
            known = entry.count > 1 or math.isfinite(entry.error) or entry.kind is not None
            if not first or not known or (first, last) == (1, len(held)):  # no place, or any, or by an unknown error
                place = ""
            digits = _quantity(quantity).digits
            error = f" ± {entry.error:.{digits}f}" if math.isfinite(entry.error) else ""
            found[model] = f"{entry.kind or ''} {entry.value:.{digits}f}{error}{place}".strip()
        return found

    def __repr__(self):
        return repr(self.table())

    def _repr_html_(self):
        return self.table()._repr_html_()

    def to_csv(self) -> str:
        """One line for each model, run and quantity: value, standard error, kind, count, unit."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("model", "run", "quantity", "kind", "value", "standard_error", "count", "unit"))
        for model, reports in self.reports.items():
            for run, report in enumerate(reports):
                for name, n in report.numbers.items():
                    row = (model, run, name, n.kind or "", n.value, n.standard_error, n.count, n.unit)
                    writer.writerow(row)
        return out.getvalue()

    def to_json(self) -> str:
        """All reports and failures, as `from_json` reads them."""
        reports = {model: [json.loads(report.to_json()) for report in runs] for model, runs in self.reports.items()}
        known = {"caption": self.caption, "reports": reports, "failures": dict(self.failures)}
        return json.dumps(known, indent=1, ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> "Scoreboard":
        """The scoreboard that `to_json` wrote.

        Raises:
            ValueError: the text is none.
        """
        try:
            known = json.loads(text)
            reports = {
                model: [Report.from_json(json.dumps(report)) for report in runs]
                for model, runs in known["reports"].items()
            }
            return Scoreboard(reports, known["failures"], known["caption"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no scoreboard ({error}); expected what Scoreboard.to_json writes") from None


def _quantity(name: str) -> Quantity:
    if name not in QUANTITIES:
        raise ValueError(f"there is no quantity {name!r}; there are: {', '.join(QUANTITIES)}")
    return QUANTITIES[name]


def scoreboard(
    models: Mapping[str, GenerativeModel | Report | Sequence[Report]],
    data: Dataset | None = None,
    *,
    failures: Mapping[str, str] | None = None,
    caption: str = "",
    **arguments,
) -> Scoreboard:
    """Put models beside each other.

    Args:
        models: name -> a trained model, its report, or the reports of several runs of it.
        data: what models that have no report yet are judged on.
        failures: name -> why it has no result.
        caption: above the table.
        **arguments: for `evaluate`.

    Raises:
        ValueError: a model is given without data; the reports are of different data, which cannot be compared.
    """
    reports: dict[str, list[Report]] = {}
    for name, given in models.items():
        if isinstance(given, GenerativeModel):
            if data is None:
                raise ValueError(f"{name} has no report yet: pass data=…, on which to judge it")
            reports[name] = [evaluate(given, data, name=name, **arguments)]
        else:
            reports[name] = [given] if isinstance(given, Report) else list(given)
    sources = sorted({report.data for runs in reports.values() for report in runs})
    if len(sources) > 1:
        raise ValueError(f"the reports are of different data ({', '.join(sources)}), which cannot be compared")
    return Scoreboard(reports, dict(failures or {}), caption)
