"""RESULTS.md is what the cards say, and the cards were measured by one yardstick."""

import re
import shutil

import pytest
import torch

from dgmcourse import results, zoo
from dgmcourse.data import glyphs
from dgmcourse.evaluation import Estimate, course_features
from dgmcourse.evaluation.quality import draw
from dgmcourse.models import IndependentPixels
from dgmcourse.recipes import RECIPES, yardstick
from dgmcourse.recipes.run import Card
from dgmcourse.recipes.yardstick import JUDGE, SAMPLES, RealImages, compare, measure

COLUMNS = {"recognized", "Fréchet", "kernel", "precision", "recall", "density", "coverage", "copying z", "copied"}


def test_the_committed_file_says_what_the_cards_say():
    assert results.FILE.read_text(encoding="utf-8") == results.render(), "run: python -m dgmcourse results"


def test_an_installed_course_asks_where_to_write(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FILE", tmp_path / "RESULTS.md")
    with pytest.raises(ValueError, match="--out"):
        results.write(tmp_path / "RESULTS.md")
    assert f"{len(zoo.names())} cards" in results.write(tmp_path / "mine.md")


def test_numbers_are_written_with_the_error_that_is_known():
    entry = {"value": -88.5, "standard_error": 0.234, "kind": "≥", "count": 9, "unit": "nats"}
    assert results._number(entry) == "≥ -88.50 ± 0.23 nats"
    assert results._number({**entry, "standard_error": 0.004}) == "≥ -88.5000 ± 0.0040 nats"
    for unknown in (None, float("nan")):
        assert results._number({**entry, "standard_error": unknown}) == "≥ -88.50 nats"
    kernel = {"kernel": {**entry, "value": 1.0}}
    assert results._sampled(kernel, "kernel") == "1.000 ± 0.234"
    assert results._sampled({"kernel": {**kernel["kernel"], "standard_error": None}}, "kernel") == "1.000"
    assert results._sampled({}, "kernel") == "–"


def test_a_file_that_cannot_be_written_whole_stays_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "mine.md").write_text("old")
    monkeypatch.setattr(results, "render", lambda: (_ for _ in ()).throw(ValueError("a damaged card")))
    with pytest.raises(ValueError, match="damaged"):
        results.write(tmp_path / "mine.md")
    assert (tmp_path / "mine.md").read_text() == "old"


def test_the_yardstick_has_real_images_of_two_kinds():
    with pytest.raises(ValueError, match="not of 'real'; use evaluate"):
        compare(torch.rand(10, 1, 28, 28), "real")


def test_every_model_has_its_row_and_every_published_figure_its_source():
    text = results.render()
    for name in zoo.models():
        assert text.count(f"| `{name}` |") == 2, f"{name} stands once among likelihoods, once among samples"
        for figure in Card.read(zoo.HOME / name).published:
            assert str(figure["value"]) in text
    for recipe in RECIPES.values():
        assert f"`{recipe.name}`" in text
    for row in re.findall(r"^\|.*\|$", text, re.MULTILINE):
        assert re.fullmatch(r"\|( \S.*? \|)+", row), "no cell is empty"


@pytest.mark.parametrize("name", zoo.models())
def test_every_shipped_model_was_held_to_the_yardstick_beside_images_of_its_kind(name):
    card, model = Card.read(zoo.HOME / name), zoo.load(name)
    ((row, numbers),) = card.yardstick["rows"].items()
    assert row == f"{model.space.kind}: samples"
    wanted = COLUMNS | {"ms/sample"} | ({"as asked"} if getattr(model, "classes", None) else set())
    assert set(numbers) == wanted
    assert {entry["count"] for key, entry in numbers.items() if key != "kernel"} == {SAMPLES}
    floor = Card.read(zoo.HOME / JUDGE).yardstick["rows"][f"{model.space.kind}: other test images"]
    assert set(floor) == COLUMNS | {"as asked"}
    assert numbers["Fréchet"]["value"] > floor["Fréchet"]["value"]
    assert numbers["ms/sample"]["value"] > 0


def test_what_is_said_about_sampling_is_so():
    diffusion, machine = zoo.load("diffusion-mnist"), zoo.load("rbm-mnist")
    assert (diffusion.steps, diffusion.sampler, diffusion.guidance) == (20, "dpm-solver++", 0)
    assert machine.sweeps == 1000


@pytest.fixture
def letters(monkeypatch):
    """Printed digits in place of MNIST: 28×28, grey, of known kind."""
    data = glyphs(side=28, characters="0123456789", n=(1200, 400, 800), seed=0)
    halves = data.test[::2], data.test[1::2], data.test_labels[1::2]
    real = RealImages(*halves, data.train, data.train_labels, data.valid)
    described = course_features(real.test), course_features(real.train), course_features(real.fresh)
    monkeypatch.setattr(yardstick, "_features", lambda kind: described)
    return real


def test_real_images_pass_copies_are_noticed_and_noise_is_far(letters):
    real = compare(letters.rest, "grey", letters.rest_labels)
    assert set(real) == COLUMNS | {"as asked"}
    assert real["density"].value == pytest.approx(1, abs=0.1)
    assert real["precision"].value > 0.85
    assert abs(real["copying z"].value) < 3
    copies = compare(letters.train[:400], "grey")
    assert copies["copying z"].value < -10
    assert copies["copied"].value == 1
    assert real["copied"].value < 0.05
    assert "as asked" not in copies
    noise = compare(torch.rand(400, 1, 28, 28, generator=torch.Generator().manual_seed(0)), "grey")
    assert noise["precision"].value < 0.05
    assert noise["Fréchet"].value > 10 * real["Fréchet"].value
    one_kind = compare(letters.rest[letters.rest_labels < 5], "grey")
    assert one_kind["recall"].value < 0.8 * real["recall"].value


def test_samples_are_the_same_for_a_seed_and_labels_are_asked_in_turn(letters):
    model = zoo.load("gan-mnist")
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    x, asked, milliseconds = draw(model, 12)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert asked.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert torch.equal(draw(model, 12)[0], x)
    assert not torch.equal(draw(model, 12, seed=1)[0], x)
    assert milliseconds > 0
    assert draw(IndependentPixels(model.space), 3)[1] is None


def test_measuring_keeps_what_was_measured(tmp_path, monkeypatch):
    for name in (JUDGE, "gan-mnist", "vae-mnist-2d"):
        shutil.copytree(zoo.HOME / name, tmp_path / name)
    monkeypatch.setattr(zoo, "HOME", tmp_path)
    card = Card.read(tmp_path / "vae-mnist-2d")
    before, card.yardstick = card.yardstick, {}
    card.write(tmp_path / "vae-mnist-2d")
    assert "yardstick" not in (tmp_path / "vae-mnist-2d/card.json").read_text(encoding="utf-8")
    found = {"Fréchet": Estimate(1.23456789, float("nan"), None, 7, ""), "kernel": Estimate(2.0, 0.5, None, 7, "")}
    monkeypatch.setattr(yardstick, "yardstick", lambda model: found)
    assert list(measure()) == ["vae-mnist-2d"]
    after = Card.read(tmp_path / "vae-mnist-2d")
    assert after.numbers == card.numbers
    assert after.yardstick["rows"] == {
        "binary: samples": {
            "Fréchet": {"value": 1.23457, "standard_error": None, "count": 7, "unit": ""},
            "kernel": {"value": 2.0, "standard_error": 0.5, "count": 7, "unit": ""},
        }
    }
    assert set(after.yardstick) == set(before)
    assert list(measure()) == []
    monkeypatch.setattr(yardstick, "_of_real_images", lambda: {"grey: training images": found})
    assert list(measure(again=True)) == [JUDGE, "gan-mnist", "vae-mnist-2d"]


def test_the_command_measures_only_when_asked(tmp_path, monkeypatch):
    from dgmcourse.__main__ import results as command

    calls = []
    monkeypatch.setattr(yardstick, "measure", lambda again: calls.append(again) or iter(["x"]))
    command(measure=False, again=False, out=tmp_path / "a.md")
    assert not calls
    command(measure=True, again=False, out=tmp_path / "a.md")
    assert calls == [False]
    assert (tmp_path / "a.md").read_text(encoding="utf-8") == results.render()
