"""A report holds what a family can answer, notes what it cannot, and agrees with the single metrics."""

import math
from dataclasses import replace

import pytest
import torch

from dgmcourse import GAN, VAE, IndependentPixels, KernelDensity, Space
from dgmcourse.core import Kind
from dgmcourse.data import digits, toy
from dgmcourse.evaluation import (
    Report,
    course_features,
    evaluate,
    frechet_distance,
    kernel_distance,
    manifold_scores,
    memorization_test,
    scoreboard,
)
from dgmcourse.evaluation.likelihood import Estimate


@pytest.fixture(scope="module")
def data():
    return digits(levels=2)


@pytest.fixture(scope="module")
def copier(data):
    """A model that hands out the training images themselves."""
    return KernelDensity(data.space, len(data.train), bandwidth=1e-4).remember(data.train)


def test_a_copier_is_told_from_a_coin(data, copier):
    copies = evaluate(copier, data, samples=500).numbers
    coins = evaluate(IndependentPixels(data.space), data, samples=500).numbers
    assert copies["copied"].value > 0.7 > 0.1 > coins["copied"].value
    assert copies["Fréchet"].value < coins["Fréchet"].value
    assert copies["coverage"].value > 0.8 > coins["coverage"].value
    assert copies["recognized"].value > coins["recognized"].value
    assert coins["log p(x)"].value == pytest.approx(-64 * math.log(2), abs=1e-3)
    assert coins["log p(x)"].kind is Kind.EXACT


def test_numbers_repeat_for_a_seed(data, copier):
    first, again, other = (evaluate(copier, data, samples=300, seed=seed) for seed in (1, 1, 2))
    timeless = [{k: v for k, v in r.numbers.items() if k != "ms/sample"} for r in (first, again, other)]
    assert timeless[0] == timeless[1] != timeless[2]


def test_sample_numbers_are_those_of_the_metrics(data, copier, monkeypatch):
    monkeypatch.setattr(KernelDensity, "sample", lambda self, n, y=None: data.train[:n])
    numbers = evaluate(copier, data, samples=200).numbers
    test, train, fresh = (course_features(x) for x in (data.test, data.train, data.valid))
    assert numbers["Fréchet"].value == pytest.approx(frechet_distance(test, train[:200]))
    assert numbers["kernel"] == kernel_distance(test, train[:200])
    assert numbers["coverage"].value == pytest.approx(manifold_scores(test, train[:200]).coverage)
    assert numbers["copied"].value == memorization_test(train[:200], train, fresh).copied > 0.9


def test_what_a_family_cannot_answer_is_noted(data):
    grey = replace(data, space=Space.grey(1, 8, 8, levels=2))
    report = evaluate(GAN(grey.space, latents=4, hidden=(16,)), grey, samples=100, name="untrained")
    assert "log p(x)" not in report.numbers
    assert report.notes["log p(x)"] == "GAN samples, but cannot score"
    assert "untrained on " in repr(report)
    assert report.bits_per_dim == ""


def test_a_conditional_model_answers_another_question(data):
    torch.manual_seed(0)
    report = evaluate(VAE(data.space, 2, hidden=(16,), classes=10), data, samples=100)
    assert "log p(x)" not in report.numbers
    assert report.numbers["log p(x|y)"].kind is Kind.LOWER_BOUND
    assert 0 <= report.numbers["as asked"].value <= 1
    assert "probe" in report.numbers or "probe" in report.notes


def test_bits_per_dimension_bound_from_the_other_side():
    bound = Report("a", "digits", {"log p(x)": Estimate(-64 * math.log(2), 0.1, Kind.LOWER_BOUND, 9)}, dim=64)
    assert bound.bits_per_dim == "≤ 1.000 bits/dim"
    assert replace(bound, dim=None).bits_per_dim == ""


def test_points_in_the_plane_are_compared_as_they_are():
    data = toy("moons", n=(500, 100, 500))
    model = KernelDensity(data.space, 500, bandwidth=1e-3).remember(data.train)
    report = evaluate(model, data, samples=500)
    assert abs(report.numbers["MMD²"].value) < 0.01
    assert "Fréchet" not in report.numbers
    assert report.numbers["copied"].value > 0.3


def test_a_report_comes_back_from_json(data):
    report = evaluate(IndependentPixels(data.space), data, samples=100)
    again = Report.from_json(report.to_json())
    assert again.to_json() == report.to_json()
    with pytest.raises(ValueError, match="no report"):
        Report.from_json("{}")
    assert "<td" in report._repr_html_()


def test_models_are_judged_on_the_way_to_the_scoreboard(data):
    board = scoreboard({"coins": IndependentPixels(data.space)}, data, samples=100)
    assert board.places("log p(x)") == {"coins": (1, 1)}
    with pytest.raises(ValueError, match="has no report yet: pass data"):
        scoreboard({"coins": IndependentPixels(data.space)})
    with pytest.raises(ValueError, match="but moons lives in"):
        evaluate(IndependentPixels(data.space), toy("moons", n=(10, 10, 10)))
