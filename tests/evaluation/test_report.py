"""A report holds what a family can answer, notes what it cannot, and agrees with the single metrics."""

import math
from dataclasses import replace

import pytest
import torch

from dgmcourse import GAN, VAE, IndependentPixels, KernelDensity, Space
from dgmcourse.core import Kind
from dgmcourse.data import Dataset, digits, toy
from dgmcourse.evaluation import (
    Report,
    course_features,
    evaluate,
    frechet_distance,
    kernel_distance,
    manifold_scores,
    memorization_test,
    quality,
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
    assert numbers["copying z"].value == memorization_test(train[:200], train, fresh).z
    assert numbers["copying z"].value != memorization_test(train[:200], train, test).z


def test_a_sample_counts_as_recognized_from_nine_tenths_on():
    chances = torch.tensor([[0.95, 0.05], [0.85, 0.15], [0.4, 0.6], [0.01, 0.99]])
    found = quality.recognition(chances, torch.tensor([0, 1, 1, 1]))
    assert found["recognized"].value == 0.5
    assert found["as asked"].value == 0.75
    assert "as asked" not in quality.recognition(chances)


def test_the_cost_of_a_sample_is_in_milliseconds(data, monkeypatch):
    times = iter([1.0, 3.0])
    monkeypatch.setattr(quality.time, "process_time", lambda: next(times))
    assert quality.draw(IndependentPixels(data.space), 4)[2] == 500


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
    above = Estimate(-64 * math.log(2), 0.1, Kind.UPPER_BOUND, 9)
    assert replace(bound, numbers={"log p(x)": above}).bits_per_dim == "≥ 1.000 bits/dim"
    unknown = Estimate(-64 * math.log(2), 0.1, Kind.UNNORMALIZED, 9)
    assert replace(bound, numbers={"log p(x)": unknown}).bits_per_dim == ""
    assert replace(bound, dim=None).bits_per_dim == ""


def test_points_in_the_plane_are_compared_as_they_are():
    data = toy("moons", n=(500, 100, 500))
    model = KernelDensity(data.space, 500, bandwidth=1e-3).remember(data.train)
    report = evaluate(model, data, samples=500)
    assert abs(report.numbers["MMD²"].value) < 0.01
    assert "Fréchet" not in report.numbers
    assert report.numbers["copied"].value > 0.3


def test_tokens_are_compared_by_how_many_differ():
    """Whatever numbers the tokens have: a vocabulary in another order gives the same distances."""
    torch.manual_seed(0)
    space, order = Space.tokens(6, 4), torch.tensor([2, 0, 3, 1])
    x = torch.randint(2, (90, 6)) * 3  # tokens 0 and 3
    text = Dataset("text", space, x[:40], x[40:60], x[60:])
    model, numbers = IndependentPixels(space), []
    for data in (text, replace(text, train=order[text.train], valid=order[text.valid], test=order[text.test])):
        model.sample = lambda n, y=None, data=data: data.test[torch.arange(n) % 5].roll(1, 0)
        numbers.append(evaluate(model, data, samples=30).numbers)
    for name in ("MMD²", "precision", "recall", "density", "coverage", "copying z"):
        assert numbers[0][name] == pytest.approx(numbers[1][name], nan_ok=True), name


def test_few_examples_are_noted_and_none_refused(data, copier):
    one = replace(data, test=data.test[:1], test_labels=data.test_labels[:1])
    report = evaluate(IndependentPixels(data.space), one, samples=50)
    assert report.numbers["log p(x)"].value == pytest.approx(-64 * math.log(2), abs=1e-3)
    assert "recognized" in report.numbers
    assert "Fréchet" not in report.numbers
    assert "distances need 6 samples, 6 test examples" in report.notes["samples"]
    assert "got 3," in evaluate(copier, data, samples=3).notes["samples"]
    nothing = replace(data, test=data.test[:0], test_labels=data.test_labels[:0])
    with pytest.raises(ValueError, match="needs test examples and samples ≥ 1, got 0 and samples=50"):
        evaluate(copier, nothing, samples=50)
    with pytest.raises(ValueError, match="samples=0"):
        evaluate(copier, data, samples=0)


def test_the_note_says_what_was_wrong_with_the_proper_question(data):
    model = IndependentPixels(data.space)
    model.log_prob = lambda x, y=None: (_ for _ in ()).throw(ValueError("of labels" if y is not None else "too large"))
    assert evaluate(model, data, samples=50).notes["log p(x)"] == "too large"
    grey = replace(digits(levels=17), name="grey digits")
    report = evaluate(IndependentPixels(data.space), grey, samples=50)
    assert "log p(x)" not in report.numbers  # no probability of what the model cannot hold
    assert "grey digits.test must hold the 2 values" in report.notes["log p(x)"]


def test_a_model_that_needs_labels_is_told_from_one_that_has_none(data):
    bare = replace(data, train_labels=None, valid_labels=None, test_labels=None)
    report = evaluate(VAE(data.space, 2, hidden=(16,), classes=10), bare, samples=50)
    assert "log p(x|y)" not in report.numbers
    assert "label" in report.notes["log p(x)"]
    assert "probe" not in report.numbers
    needs = IndependentPixels(data.space)
    needs.sample = lambda n, y=None: (_ for _ in ()).throw(ValueError("give y, vectors (n, 3)"))
    assert evaluate(needs, data, samples=50).notes["samples"] == "give y, vectors (n, 3)"


def test_training_images_are_judged_as_training_saw_them(data, copier):
    """A transform makes binary images of grey ones: a copier of those copies."""
    grey = digits(levels=17)
    raw = replace(data, train=grey.train, transform=lambda x: (x >= 0.5).to(x.dtype))
    made = replace(data, train=(grey.train >= 0.5).to(grey.train.dtype))
    found, expected = (evaluate(copier, d, samples=300).numbers for d in (raw, made))
    assert found["copied"] == expected["copied"]
    assert found["copying z"] == expected["copying z"]


def test_the_model_comes_back_in_its_mode(data):
    for mode in (True, False):
        model = IndependentPixels(data.space).train(mode)
        evaluate(model, data, samples=50)
        assert model.training is mode


def test_a_representation_that_cannot_be_probed_is_noted(data):
    model = VAE(data.space, 2, hidden=(16,))
    model.encode = lambda x, y=None: torch.full((len(x), 2), math.nan)
    assert "NaN" in evaluate(model, data, samples=50).notes["probe"]


def test_numbers_that_json_has_none_for_come_back():
    numbers = {
        "log p(x)": Estimate(-math.inf, math.nan, Kind.EXACT, 5),
        "KL": Estimate(math.nan, math.inf, Kind.UPPER_BOUND, 5),
    }
    text = Report("a", "b", numbers).to_json()
    assert "NaN" not in text
    assert "Infinity" not in text
    again = Report.from_json(text).numbers
    assert again["log p(x)"].value == -math.inf
    assert math.isnan(again["log p(x)"].standard_error)
    assert math.isnan(again["KL"].value)
    assert again["KL"].standard_error == math.inf
    assert again["KL"].kind is Kind.UPPER_BOUND
    with pytest.raises(ValueError, match="no report"):
        Report.from_json('{"model": "a", "data": "b", "numbers": [], "notes": {}, "dim": null}')


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
