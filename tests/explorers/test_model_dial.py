"""ModelDial, and what all explorers share: still pictures, words, quiet imports."""

import base64
import html
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from latent_models import Blobs, four_groups
from PIL import Image

from dgmcourse.explorers import (
    EMStepper,
    FitByHand,
    InterpolationStrip,
    LatentPad,
    LatentSliders,
    ModelDial,
    TrajectoryPlayer,
)

NUMBERS = {0.5: {"rate (nats)": 20.0, "distortion (nats)": 60.0}, 4.0: {"rate (nats)": 5.0, "distortion (nats)": 80.0}}


def test_turning_the_dial_shows_that_model_and_its_numbers():
    x, y = four_groups()
    dial = ModelDial({0.5: Blobs(2), 4.0: Blobs(3)}, x, y, numbers=NUMBERS)
    rows, plot = dial._rows.png, dial._plot.png
    assert "60" in dial._table.value
    dial.dial.value = 4.0
    assert dial._rows.png != rows
    assert dial._plot.png != plot
    assert "80" in dial._table.value
    assert "60" not in dial._table.value
    assert "β = 4.0" in dial.alt
    assert "rate (nats) 5" in dial._plot.alt


def test_a_model_is_loaded_and_drawn_once_when_it_is_first_chosen():
    loaded, drawn = [], []

    def load(k):
        loaded.append(k)
        return Blobs(2)

    def draw(model):
        drawn.append(model)
        return np.zeros((4, 4, 1), np.uint8)

    dial = ModelDial({k: lambda k=k: load(k) for k in "abc"}, draw=draw, label="model")
    assert loaded == ["a"]
    for k in "babab":
        dial.dial.value = k
    assert loaded == ["a", "b"]
    assert len(drawn) == 2


def test_the_marked_place_is_the_chosen_models_own():
    dial = ModelDial({0.5: Blobs(2), 4.0: Blobs(2)}, numbers=NUMBERS)
    dial.dial.value = 4.0
    column, row = dial._axes.at(5.0, 80.0)
    ring = np.asarray(dial._mark(4.0))[round(row), round(column) - 13].tolist()
    assert ring == [0xD5, 0x5E, 0x00]
    assert np.asarray(dial._mark(0.5))[round(row), round(column) - 13].tolist() != ring


def test_the_same_prior_draws_for_every_model():
    dial = ModelDial({1: Blobs(2), 2: Blobs(2)})
    first = np.asarray(dial.picture().crop((0, 30, 700, 300)))
    dial.dial.value = 2
    assert (np.asarray(dial.picture().crop((0, 50, 700, 300))) == first[20:]).all()


@pytest.mark.parametrize("made", [Image.new("RGB", (8, 8), "red"), np.zeros((8, 8, 3), np.uint8)])
def test_draw_may_return_what_people_have(made):
    from dgmcourse.explorers.pixels import encode_png

    for result in (made, encode_png(made)):
        assert ModelDial({1: Blobs(), 2: Blobs()}, draw=lambda _, result=result: result).error == ""


def test_a_model_that_fails_is_named_in_words_and_the_others_still_show():
    def draw(model):
        if model.latents == 3:
            raise RuntimeError("this one is broken")
        return np.zeros((4, 4, 1), np.uint8)

    dial = ModelDial({1: Blobs(2), 2: Blobs(3)}, draw=draw)
    dial.dial.value = 2
    assert "this one is broken" in dial.error
    dial.dial.value = 1
    assert dial.error == ""


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ModelDial({1: Blobs()}), "two or more"),
        (lambda: ModelDial({1: Blobs(), 2: Blobs()}, numbers={3: {"a": 1}}), r"given for \[3\]"),
        (
            lambda: ModelDial({0.5: Blobs(), 4.0: Blobs()}, numbers=NUMBERS, curve=("rate (nats)", "x")),
            "every model has",
        ),
        (lambda: ModelDial({1: Blobs(), 2: Blobs()}, draw=lambda _: "a string"), "PIL image"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# --- every explorer --------------------------------------------------------------------------------------------------

X, Y = four_groups()
EVERY = {
    "pad": lambda: LatentPad(Blobs(), X, Y),
    "pad with images": lambda: LatentPad(Blobs(classes=3), background="images"),
    "sliders": lambda: LatentSliders(Blobs(10), X),
    "interpolation": lambda: InterpolationStrip(Blobs(), X),
    "player, images": lambda: TrajectoryPlayer(Blobs()),
    "player, points": lambda: TrajectoryPlayer([torch.randn(2000, 2) for _ in range(5)], data=torch.randn(500, 2)),
    "player, text": lambda: TrajectoryPlayer([torch.randint(0, 26, (8, 300))] * 4, text="abcdefghijklmnopqrstuvwxyz"),
    "dial": lambda: ModelDial({0.5: Blobs(), 4.0: Blobs()}, X, numbers=NUMBERS),
    "fit by hand": lambda: FitByHand(),
    "fit by hand, one Gaussian": lambda: FitByHand(components=1),
    "EM": lambda: EMStepper(torch.randn(1000, 2), 8),
}


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_every_explorer_falls_back_on_a_small_picture_with_words(make):
    explorer = make()
    data, _ = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    image = re.fullmatch(r'<img alt="([^"]+)" style="[^"]+" src="data:image/png;base64,([^"]+)">', data["text/html"])
    assert len(data["text/html"]) < 60_000
    assert html.unescape(image[1]) == explorer.alt
    assert len(explorer.alt) > 40
    assert base64.b64decode(image[2]).startswith(b"\x89PNG")
    assert explorer.alt in data["text/plain"]
    assert explorer.picture().width >= 300


def test_importing_the_package_imports_no_widget():
    code = "import sys, dgmcourse; print([m for m in ('ipywidgets', 'anywidget', 'PIL') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_importing_the_explorers_does_not_import_pyplot():
    code = "import sys, dgmcourse.explorers; print('matplotlib.pyplot' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
