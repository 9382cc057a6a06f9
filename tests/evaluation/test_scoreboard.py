"""Places on the scoreboard are given only where they are certain."""

import csv
import io
import math

import pytest

from dgmcourse.core import Kind
from dgmcourse.evaluation.likelihood import Estimate
from dgmcourse.evaluation.report import Report
from dgmcourse.evaluation.scoreboard import Entry, Scoreboard, places, scoreboard


def number(value: float, error: float = 0.0, kind: Kind | None = Kind.EXACT) -> Estimate:
    return Estimate(value, error, kind, 100)


def board(**numbers) -> Scoreboard:
    """A scoreboard of log-likelihoods."""
    return scoreboard({name: Report(name, "digits", {"log p(x)": n}) for name, n in numbers.items()})


def test_exact_numbers_that_are_apart_hold_one_place_each():
    found = board(good=number(-17, 0.1), bad=number(-25, 0.1), middle=number(-18, 0.1)).places("log p(x)")
    assert found == {"good": (1, 1), "middle": (2, 2), "bad": (3, 3)}


def test_numbers_within_their_errors_share_places():
    found = board(one=number(-17.0, 0.3), other=number(-17.5, 0.3), bad=number(-25, 0.3)).places("log p(x)")
    assert found == {"one": (1, 2), "other": (1, 2), "bad": (3, 3)}


def test_equal_numbers_share_their_places():
    found = board(one=number(-17), other=number(-17), bad=number(-18)).places("log p(x)")
    assert found == {"one": (1, 2), "other": (1, 2), "bad": (3, 3)}


def test_a_number_that_is_missing_from_a_run_is_no_entry():
    whole, part = Report("a", "digits", {"log p(x)": number(-17)}), Report("a", "digits", {})
    assert list(scoreboard({"a": [whole, whole], "b": [whole, part]}).entries("log p(x)")) == ["a"]


def test_a_bound_proves_no_more_than_it_bounds():
    """≥ −18 beats = −20 and may beat = −17, too; ≥ −25 may be anything, and = −20 beats it by no means."""
    found = board(
        exact=number(-17),
        bounded=number(-18, kind=Kind.LOWER_BOUND),
        worse=number(-20),
        loose=number(-25, kind=Kind.LOWER_BOUND),
    ).places("log p(x)")
    assert found == {"exact": (1, 3), "bounded": (1, 3), "worse": (3, 4), "loose": (1, 4)}


def test_a_number_with_an_unknown_constant_holds_no_place():
    one = board(exact=number(-17), unknown=number(1000, kind=Kind.UNNORMALIZED))
    assert one.places("log p(x)") == {"exact": (1, 1)}
    assert "+C 1000.00" in repr(one)
    assert "(1)" not in repr(one)  # first of one: nothing to tell


def test_a_place_is_written_only_where_something_is_known():
    text = repr(board(one=number(-17, 0.3), other=number(-17.2, 0.3)))
    assert "(1" not in text
    assert "(2)" in repr(board(good=number(-17), bad=number(-25)))


def test_where_less_is_better_the_smallest_is_first():
    entries = {"a": Entry.of([number(3, kind=None)]), "b": Entry.of([number(1, kind=None)])}
    assert places(entries, "lower") == {"a": (2, 2), "b": (1, 1)}


def test_several_runs_span_an_interval_and_show_their_spread():
    entry = Entry.of([number(v, kind=None) for v in (1.0, 2.0, 3.0)])
    assert (entry.value, entry.low, entry.high, entry.error) == (2.0, 1.0, 3.0, 1.0)


def test_runs_of_several_kinds_claim_no_more_than_the_weakest():
    exact, bound, estimate, unknown = (
        number(1.0, kind=kind) for kind in (Kind.EXACT, Kind.LOWER_BOUND, Kind.ESTIMATE, Kind.UNNORMALIZED)
    )
    mixed = Entry.of([exact, bound])
    assert (mixed.kind, mixed.low, mixed.high) == (Kind.LOWER_BOUND, 1.0, math.inf)
    mixed = Entry.of([estimate, bound])
    assert (mixed.kind, mixed.low, mixed.high) == (Kind.ESTIMATE, 1.0, math.inf)
    mixed = Entry.of([exact, unknown])
    assert (mixed.kind, mixed.low, mixed.high) == (Kind.UNNORMALIZED, -math.inf, math.inf)
    assert Entry.of([exact, estimate]).kind is Kind.ESTIMATE


def test_a_bound_from_above_is_open_below():
    """A KL of at most 0.5 may be the smallest of all; one of at most 0.05 is certainly below = 0.1."""
    kl = {
        "exact": Entry.of([number(0.1)]),
        "bounded": Entry.of([number(0.5, kind=Kind.UPPER_BOUND)]),
        "tight": Entry.of([number(0.05, kind=Kind.UPPER_BOUND)]),
    }
    assert (kl["bounded"].low, kl["bounded"].high) == (-math.inf, 0.5)
    assert places(kl, "lower") == {"exact": (2, 3), "bounded": (1, 3), "tight": (1, 2)}


def test_an_interval_is_two_standard_errors_each_way_and_endless_for_an_endless_error():
    one = Entry.of([number(-17.0, 0.25)])
    assert (one.low, one.high) == (-17.5, -16.5)
    assert Entry.of([number(-17.0, math.inf)]).high == math.inf
    several = Entry.of([number(1.0, 0.5), number(2.0, 0.5)])
    assert (several.low, several.high) == (0.0, 3.0)


def test_a_value_that_is_not_finite_holds_no_place():
    found = board(fine=number(-17), lost=number(math.nan)).places("log p(x)")
    assert found == {"fine": (1, 1)}


def test_sorting_puts_the_likely_best_first_and_the_unranked_last():
    one = board(bad=number(-25), unknown=number(5, kind=Kind.UNNORMALIZED), good=number(-17))
    assert list(one.sorted_by("log p(x)").reports) == ["good", "bad", "unknown"]
    for ask in (one.sorted_by, one.places, lambda name: one.table([name])):
        with pytest.raises(ValueError, match="there is no quantity 'beauty'"):
            ask("beauty")


def test_a_quantity_that_has_no_better_end_ranks_nobody():
    reports = {name: Report(name, "digits", {"copying z": number(z, kind=None)}) for name, z in (("a", -9), ("b", 0))}
    assert scoreboard(reports).places("copying z") == {}


def test_failures_have_a_row_that_says_why():
    one = Scoreboard({"good": [Report("good", "digits", {"log p(x)": number(-17)})]}, {"GAN": "the loss was nan"})
    last = repr(one).splitlines()[-1]
    assert last.startswith("GAN")
    assert "failed: the loss was nan" in last
    nobody = Scoreboard({"GAN": [], "VAE": []}, {"GAN": "the loss was nan", "VAE": "too slow"})
    assert "GAN    failed: the loss was nan" in repr(nobody)
    assert "GAN    failed: the loss was nan" in repr(nobody.sorted_by("Fréchet"))


def test_reports_of_different_data_are_not_put_together():
    with pytest.raises(ValueError, match="different data"):
        scoreboard({"a": Report("a", "digits", {}), "b": Report("b", "MNIST", {})})


def test_json_and_csv_hold_every_number():
    one = scoreboard(
        {"a": [Report("a", "digits", {"log p(x)": number(v, 0.1)}, {"probe": "no latents"}) for v in (-17.0, -18.0)]},
        failures={"b": "diverged"},
        caption="two runs",
    )
    again = Scoreboard.from_json(one.to_json())
    assert again == one
    lines = list(csv.DictReader(io.StringIO(one.to_csv())))
    assert [(line["model"], line["run"], line["kind"], float(line["value"])) for line in lines] == [
        ("a", "0", "=", -17.0),
        ("a", "1", "=", -18.0),
    ]
    with pytest.raises(ValueError, match="no scoreboard"):
        Scoreboard.from_json("[1]")
    assert "<th" in one._repr_html_()


def test_no_place_is_written_by_a_number_of_one_run_whose_error_nobody_knows():
    def of(*distances: float) -> list[Report]:
        return [Report("any", "digits", {"Fréchet": number(d, math.nan, None)}) for d in distances]

    assert "(1)" not in repr(scoreboard({"near": of(10.0), "far": of(90.0)}).table(["Fréchet"]))
    several = repr(scoreboard({"near": of(10.0, 11.0), "far": of(90.0, 91.0)}).table(["Fréchet"]))
    assert "(1)" in several
    assert "(2)" in several
