"""Recipes: from a name to a model with a card, resumed, judged again, and shipped; the zoo keeps its promises."""

import json
from dataclasses import replace

import pytest
import torch

from dgmcourse import recipes, zoo
from dgmcourse.data import digits
from dgmcourse.evaluation import DigitClassifier, Estimate, annealed_average_log_prob, average_log_prob
from dgmcourse.models import VAE
from dgmcourse.recipes import RECIPES, boltzmann, evaluate, ship, table, train


@pytest.fixture
def tiny(monkeypatch):
    """A recipe that takes a second."""
    recipe = replace(
        RECIPES["vae-mnist"],
        name="tiny",
        about="a small VAE on the digits",
        data=digits,
        model=lambda data: VAE(data.space, latents=2, hidden=(16,)),
        training={"steps": 40, "batch_size": 64, "progress": False},
        judge=lambda model, x, y: {"ELBO": average_log_prob(model, x)},
    )
    monkeypatch.setitem(RECIPES, "tiny", recipe)
    return recipe


def test_a_recipe_leaves_a_model_and_a_card_that_says_what_it_is_worth(tiny, tmp_path):
    card = train("tiny", out=tmp_path / "run")
    stored = json.loads((tmp_path / "run" / "card.json").read_text())
    assert stored["recipe"] == "tiny"
    assert stored["steps"] == 40
    assert stored["numbers"]["ELBO"]["kind"] == "≥"
    assert stored["numbers"]["ELBO"]["count"] == 297
    assert stored["published"][0]["value"] == -86.76
    assert stored["parameters"] == sum(p.numel() for p in VAE.from_pretrained(tmp_path / "run").parameters())
    assert "≥ -" in str(card)
    assert "86.76" in str(card)


def test_judging_the_stored_model_again_gives_the_same_numbers(tiny, tmp_path):
    card = train("tiny", out=tmp_path)
    again = evaluate(tmp_path)
    assert again.numbers == card.numbers
    assert again.training_seconds == card.training_seconds


def test_running_a_finished_recipe_again_trains_no_more(tiny, tmp_path, monkeypatch):
    first = train("tiny", out=tmp_path)
    monkeypatch.setattr(VAE, "training_step", lambda *_: pytest.fail("it trained again"))
    assert train("tiny", out=tmp_path).numbers == first.numbers


def test_a_shipped_model_is_half_as_large_and_as_good(tiny, tmp_path, monkeypatch):
    card = train("tiny", out=tmp_path / "run")
    monkeypatch.setattr(zoo, "HOME", tmp_path / "zoo")
    (tmp_path / "zoo").mkdir()
    folder = ship(tmp_path / "run")
    assert zoo.names() == ["tiny"]
    assert (folder / "model.safetensors").stat().st_size < 0.6 * (tmp_path / "run/model.safetensors").stat().st_size
    found = evaluate(folder).numbers["ELBO"]["value"]
    assert found == pytest.approx(card.numbers["ELBO"]["value"], abs=0.05)


@pytest.mark.slow
def test_the_deep_boltzmann_machine_learns_without_pretraining_and_its_bound_stands_beside_the_published_one(
    tmp_path, monkeypatch
):
    def quick(model, x, chains, temperatures, **arguments):
        return annealed_average_log_prob(model, x, chains // 10, temperatures // 100, **arguments)

    recipe, data = RECIPES["dbm-mnist"], digits(levels=2)
    torch.manual_seed(0)
    start = quick(recipe.model(data), data.test, 200, 10_000).value
    monkeypatch.setattr(boltzmann, "annealed_average_log_prob", quick)
    training = recipe.training | {"progress": False}
    monkeypatch.setitem(RECIPES, "dbm", replace(recipe, data=lambda: data, training=training))
    card = train("dbm", steps=150, out=tmp_path)
    (published,) = card.published
    low, high = card.numbers[published["quantity"]], card.numbers["bound of log p(x), reverse AIS"]
    assert low["kind"] == "≈"
    assert low["value"] == pytest.approx(high["value"], abs=1)
    assert low["value"] > start + 0.3


def test_unknown_names_are_answered_with_the_closest():
    with pytest.raises(ValueError, match="did you mean 'vae-mnist'"):
        train("vae-mnits")
    with pytest.raises(ValueError, match="did you mean 'vae-mnist-2d'"):
        zoo.load("vae-mnist-2")
    with pytest.raises(ValueError, match="there are: "):
        zoo.card("dragon")


def test_a_folder_without_a_card_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no card.json.*dgmcourse train"):
        evaluate(tmp_path)


def test_the_table_lists_every_recipe_and_what_ships():
    text = repr(table())
    for name in RECIPES:
        assert name in text
    for name in zoo.names():
        assert f"{next(iter(zoo.card(name)['numbers'].values()))['value']:.2f}" in text


@pytest.mark.parametrize("name", zoo.models())
def test_every_shipped_model_loads_and_draws_and_answers_to_a_recipe(name):
    model, card = zoo.load(name), zoo.card(name)
    assert card["recipe"] in RECIPES
    assert card["numbers"]
    assert not model.training
    torch.manual_seed(0)
    y = torch.arange(3) if getattr(model, "classes", None) else None
    model.space.check(model.sample(3, y), values=True)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(("shape", "features", "grey", "binary"), [((1, 8, 8), 64, 98, 94), ((1, 28, 28), 192, 99, 98)])
def test_the_shipped_classifiers_recognize_digits_of_both_kinds(shape, features, grey, binary):
    (name,) = (name for name in set(zoo.names()) - set(zoo.models()) if zoo.load(name).space.shape == shape)
    classifier, card = zoo.load(name), zoo.card(name)
    assert card["recipe"] in RECIPES
    assert card["numbers"]["accuracy on grey test images"]["value"] >= grey
    assert card["numbers"]["accuracy on binarized test images"]["value"] >= binary
    assert classifier.features(torch.zeros(2, *shape)).shape == (2, features)
    assert not classifier.training
    if shape == (1, 8, 8):  # the data are here
        for key, number in evaluate(zoo.HOME / name).numbers.items():
            assert number["value"] == pytest.approx(card["numbers"][key]["value"], abs=0.4)  # an image more or less


def test_what_fit_does_not_train_has_a_trainer_of_its_own(tmp_path):
    card = train("classifier-digits", steps=20, out=tmp_path)
    assert card.steps == 20
    assert set(card.numbers) == {"accuracy on grey test images", "accuracy on binarized test images"}
    assert evaluate(tmp_path).numbers == card.numbers
    stored = DigitClassifier.from_pretrained(tmp_path)
    assert card.parameters == sum(p.numel() for p in stored.parameters())
    with pytest.raises(ValueError, match="one process in full precision"):
        train("classifier-digits", steps=20, out=tmp_path, precision="bf16")


def test_the_zoo_stays_within_nine_megabytes():
    assert sum(path.stat().st_size for path in zoo.HOME.rglob("*") if path.is_file()) < 9e6


def test_estimates_say_what_they_are_worth():
    from dgmcourse.core import Kind, LogProb

    estimate = Estimate.of(LogProb(torch.tensor([-1.0, -3.0, -2.0, -2.0]), Kind.LOWER_BOUND))
    assert estimate.value == -2.0
    assert estimate.standard_error == pytest.approx((2 / 3) ** 0.5 / 2)
    assert str(estimate) == "≥ -2.00 ± 0.41 nats"


def test_the_published_figures_have_sources():
    for recipe in recipes.RECIPES.values():
        for figure in recipe.published:
            assert "http" in figure.source
            assert any(year in figure.source for year in map(str, range(1980, 2030)))
