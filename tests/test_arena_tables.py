"""What the arena makes of its results: tables, pictures, and the divergence from densities that are known."""

import pytest
import torch

from dgmcourse import models, plots
from dgmcourse.arena import Arena, Match, Result
from dgmcourse.arena.toys import judge_toy, toy_data
from dgmcourse.core import Kind
from dgmcourse.data import digits
from dgmcourse.evaluation import Report, course_features, frechet_distance
from dgmcourse.evaluation.likelihood import Estimate
from dgmcourse.evaluation.report import shown
from dgmcourse.tables import Table


def report_of(name, frechet, kind=Kind.EXACT):
    numbers = {"log p(x)": (-20.0, kind), "Fréchet": (frechet, None), "ms/sample": (0.5, None)}
    return Report(name, "digits", {key: Estimate(value, 0.1, kind, 9) for key, (value, kind) in numbers.items()})


def test_the_best_samples_come_first_and_failed_seeds_are_counted():
    found = [
        Result(Match("digits", "poor", 0, 60.0), report_of("poor", 300.0), seconds=10.0),
        Result(Match("digits", "poor", 1, 60.0), report_of("poor", 310.0), seconds=30.0),
        Result(Match("digits", "shaky", 0, 60.0), report_of("shaky", 50.0), seconds=5.0),
        Result(Match("digits", "shaky", 1, 60.0), None, failed="nan at step 3"),
        Result(Match("digits", "fine", 0, 60.0), report_of("fine", 20.0)),
    ]
    rows = Arena(found).table().rows
    assert [row[:2] for row in rows] == [("fine", "0"), ("shaky", "5"), ("poor", "20"), ("shaky", "5")]
    assert rows[-1][2] == "failed: 1 of 2 seeds: nan at step 3"
    assert "2 seeds" in Arena(found).scoreboard.caption


def test_what_is_known_up_to_a_constant_has_no_place_among_likelihoods(monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "plot_pareto", lambda contenders, *_: drawn.extend(contenders))
    kinds = {"a": Kind.EXACT, "b": Kind.LOWER_BOUND, "c": Kind.UNNORMALIZED}
    Arena([Result(Match("digits", n, 0, 1.0), report_of(n, 20.0, kind)) for n, kind in kinds.items()]).pareto()
    assert [(one.name, one.log_prob, one.kind) for one in drawn[:2]] == [("a", -20.0, "="), ("b", -20.0, "≥")]
    assert drawn[2].log_prob is None


def test_the_floor_is_what_all_training_images_get():
    data = digits(levels=2)
    assert Arena([]).floor == pytest.approx(frechet_distance(course_features(data.train), course_features(data.test)))


def test_markdown_keeps_bars_out_of_the_way():
    text = Table(("model", "log p(x|y)"), [("a", 1)], "two").markdown()
    assert text.splitlines() == ["two", "", "| model | log p(x\\|y) |", "| --- | --- |", "| a | 1 |"]


def test_the_truth_judged_by_itself_is_no_distance_away():
    """A mixture that is the very density has KL 0."""
    data = toy_data("eight_gaussians")
    model = models.GaussianMixture(data.space, 8)
    with torch.no_grad():
        model.means.copy_(data.truth.centers)
        model.raw_factors.copy_(torch.full((8, 2), data.truth.std).log().diag_embed())
    numbers = judge_toy(model, data).numbers
    assert numbers["KL"].value == pytest.approx(0, abs=1e-5)
    assert abs(numbers["MMD²"].value) < 2e-3
    again, other = (judge_toy(model, data, seed=seed).numbers["MMD²"].value for seed in (0, 1))
    assert again == numbers["MMD²"].value != other


class Bounded(models.Gaussian):
    """Knows its log-density by halves."""

    kind = Kind.LOWER_BOUND

    def log_prob(self, x, y=None):
        return super().log_prob(x, y)._replace(kind=self.kind)


def test_a_bound_of_the_density_bounds_the_divergence_from_the_other_side():
    data = toy_data("moons")
    model = Bounded(data.space).estimate(data.train)
    report = judge_toy(model, data)
    assert report.numbers["KL"].kind is Kind.UPPER_BOUND
    assert shown("KL", report.numbers["KL"]).startswith("≤ 0.9")
    exact = judge_toy(models.Gaussian(data.space).estimate(data.train), data).numbers["KL"]
    assert exact == report.numbers["KL"]._replace(kind=Kind.EXACT)
    model.kind = Kind.UNNORMALIZED
    assert judge_toy(model, data).notes["KL"] == "Bounded has no normalized density"


def test_no_density_is_told_from_one_that_could_not_be_had():
    number = Estimate(0.5, 0.1, Kind.EXACT, 9)
    reports = {
        "Gaussian": Report("Gaussian", "moons", {"KL": number}),
        "GAN": Report("GAN", "moons", {}, {"KL": "GAN has no normalized density"}),
        "VAE": Report("VAE", "moons", {}, {"KL": "the posterior of some x reaches the grid's border at ±6"}),
    }
    arena = Arena([Result(Match("moons", name, 0, 1.0), report) for name, report in reports.items()])
    assert arena.toy_table().rows == [("Gaussian", "= 0.500 ± 0.100"), ("GAN", "no density"), ("VAE", "unknown")]
