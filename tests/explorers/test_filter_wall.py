"""FilterWall: what it shows of an RBM's units is what the RBM's own formulas say."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from traitlets import TraitError

from dgmcourse.core import Space
from dgmcourse.data import digits
from dgmcourse.explorers import FilterWall
from dgmcourse.explorers.filters import Filters, signed_uint8
from dgmcourse.explorers.tiles import TilePicture
from dgmcourse.models import PPCA, RBM

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


def machine(hidden=6, side=4, seed=0, **arguments):
    """An RBM with weights that differ a lot from unit to unit."""
    torch.manual_seed(seed)
    model = RBM(Space.binary(1, side, side), hidden, **arguments)
    with torch.no_grad():
        model.weight.copy_(torch.randn_like(model.weight) * torch.linspace(0.3, 2, hidden))
        model.hidden_bias.copy_(torch.linspace(-1, 1, hidden))
        model.visible_bias.normal_()
    return model


def images(n=20, side=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(n, 1, side, side, generator=generator) < 0.4).float()


@pytest.fixture
def wall():
    return FilterWall(machine(), images())


def click(tiles, i):
    """What the browser sends when tile i is chosen."""
    tiles.set_state({"chosen": i})


def decoded(picture):
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)


# --- the numbers -----------------------------------------------------------------------------------------------------


def test_filters_biases_and_how_often_a_unit_is_on_are_the_rbms_own():
    model, x = machine(), images()
    found = Filters(model, x)
    w = model.weight.detach().numpy()
    assert found.weights.shape == (6, 4, 4)
    np.testing.assert_allclose(found.weights.reshape(6, 16), w.T)
    np.testing.assert_allclose(found.biases, model.hidden_bias.detach().numpy())
    by_hand = 1 / (1 + np.exp(-(x.flatten(1).numpy() @ w + found.biases)))
    np.testing.assert_allclose(found.activities, by_hand, rtol=1e-5)
    assert found.activity(2) == pytest.approx(by_hand[:, 2].mean(), rel=1e-5)
    assert found.probabilities
    best = found.exciting(3, 5)
    assert by_hand[best, 3].tolist() == sorted(by_hand[:, 3], reverse=True)[:5]


def test_reconstructions_hold_a_unit_at_its_value_and_leave_the_others():
    model, x = machine(), images()
    w, b = model.weight.detach(), model.visible_bias.detach()
    h = model.hidden_given_visible(x[7:8]).detach()
    free, held = Filters(model, x).reconstruct(7, [{}, {2: 0.0, 4: 1.0}])
    np.testing.assert_allclose(free.flatten(), torch.sigmoid(h @ w.T + b)[0], rtol=1e-5)
    h[:, 2], h[:, 4] = 0, 1
    np.testing.assert_allclose(held.flatten(), torch.sigmoid(h @ w.T + b)[0], rtol=1e-5)


def test_with_every_unit_off_only_the_visible_bias_is_left():
    model = machine()
    _, nothing = Filters(model, images()).without(0, range(6))
    np.testing.assert_allclose(nothing.flatten(), model.visible_bias.detach().sigmoid(), rtol=1e-5)


def test_labels_of_a_joint_rbm_are_no_pixels():
    model = machine(classes=3)
    found = Filters(model, images())
    assert found.weights.shape == (6, 4, 4)
    np.testing.assert_allclose(found.weights.reshape(6, 16), model.weight.detach()[:16].T)
    assert ((found.activities > 0) & (found.activities < 1)).all()
    assert FilterWall(model, images()).reconstructions


def test_other_models_with_codes_and_weights_serve_too():
    data = digits(levels=17)
    torch.manual_seed(0)
    model = PPCA(data.space, 5)
    wall = FilterWall(model, data.test[:50])
    assert not wall.filters.probabilities
    assert wall.filters.biases is None
    np.testing.assert_allclose(wall.filters.weights.reshape(5, 64), model.weight.detach().T, rtol=1e-6)
    assert [name for name, _ in wall._numbers()] == ["weights from", "code, 50 images"]
    assert wall.error == ""


def test_weights_can_be_given_and_some_units_chosen():
    layer = nn.Linear(16, 9)
    layer.space = Space.binary(1, 4, 4)
    wall = FilterWall(layer, weights=layer.weight, units=[8, 2])
    np.testing.assert_allclose(wall.filters.weights.reshape(2, 16), layer.weight.detach()[[8, 2]])
    wall.unit = 1
    assert "unit 2" in wall.alt
    assert wall.reconstructions == {}


def test_real_images_are_drawn_between_the_least_and_the_largest_value():
    torch.manual_seed(0)
    model = RBM(Space.real(9), 4)
    x = 3 * torch.randn(30, 9)
    wall = FilterWall(model, x, shape=(3, 3))
    assert (wall.filters.low, wall.filters.high) == (float(x.min()), float(x.max()))
    darkest = wall._as_images(x).reshape(-1).argmin()
    assert darkest == int(x.argmax())


def test_colors_tell_the_sign_and_zero_is_paper():
    colors = signed_uint8(np.array([[[-2.0, -1, 0, 1, 2]]]), 1.0)[0, 0].astype(int)
    assert colors[2].tolist() == [255, 255, 255]
    assert colors[0].tolist() == colors[1].tolist()  # beyond the largest nothing grows darker
    assert colors[3][0] > colors[3][2] + 100  # orange: more red than blue
    assert colors[1][2] > colors[1][0] + 100
    assert abs(colors[1].sum() - colors[3].sum()) < 60  # the two are about as dark as each other


# --- what a hand does ------------------------------------------------------------------------------------------------


def test_choosing_a_unit_on_the_wall_shows_it(wall):
    before, row = wall._large.png, wall._row.png
    click(wall._wall, 4)
    assert wall.unit == 4
    assert wall._large.png != before
    assert wall._row.png != row
    assert wall._large.alt.startswith("Weights of unit 4;")
    assert wall._wall.text == wall._unit_words()
    pixels = decoded(wall._large)
    assert (pixels == signed_uint8(wall.filters.weights[4:5], wall.filters.largest(False))[0]).all()


def test_the_wall_shows_every_filter_where_a_click_finds_it(wall):
    sheet = decoded(wall._wall)
    width, height, gap = wall._wall.cell
    for unit in range(6):
        left, top = (
            (unit % wall._wall.columns) * (width + gap) + gap,
            (unit // wall._wall.columns) * (height + gap) + gap,
        )
        tile = sheet[top : top + height : height // 4, left : left + width : width // 4]
        assert (tile == signed_uint8(wall.filters.weights[unit][None], wall.filters.largest(False))[0]).all()


def test_sorted_by_activity_a_click_chooses_the_unit_that_is_seen(wall):
    wall.order = "activity"
    most = int(wall.filters.activities.mean(0).argmax())
    click(wall._wall, 0)
    assert wall.unit == most
    wall.order = "number"
    assert wall._wall.chosen == most  # the frame went along


def test_choosing_an_exciting_image_reconstructs_it(wall):
    wall.unit = 2
    best = wall.filters.exciting(2, 10)
    click(wall._exciting, 6)
    assert wall.example == best[6]
    assert wall.image.value == best[6]
    assert next(iter(wall.reconstructions)) == f"image {best[6]}"
    wall.unit = 5
    places = wall.filters.exciting(5, 10).tolist()
    assert wall._exciting.chosen == (places.index(best[6]) if best[6] in places else -1)


def test_units_are_switched_off_and_on_again(wall):
    wall.unit = 5
    before = wall.reconstructions["all units"]
    wall.switch.value = True
    assert wall.off == (5,)
    assert wall._wall.crossed == [5]
    np.testing.assert_allclose(wall.reconstructions["1 unit off"], wall.filters.without(0, [5])[1])
    np.testing.assert_allclose(wall.reconstructions["all units"], before)
    np.testing.assert_allclose(wall.reconstructions["change"], before - wall.reconstructions["1 unit off"])
    wall.unit = 3
    assert not wall.switch.value  # the switch is this unit's
    assert wall.off == (5,)
    wall.switch_unit(3, False)
    assert "2 units off" in wall.reconstructions
    wall.all_on.click()
    assert wall.off == ()
    assert wall._wall.crossed == []
    assert "change" not in wall.reconstructions


def test_the_wall_is_drawn_once_for_all_choices(wall, monkeypatch):
    drawn = []
    monkeypatch.setattr(TilePicture, "_sheet", lambda self: drawn.append(self) or np.zeros((9, 9, 1), np.uint8))
    wall.unit = 3
    wall.example = 2
    wall.switch_unit(3, False)
    assert wall._wall not in drawn


def test_after_more_training_refresh_shows_the_new_weights():
    model = machine()
    wall = FilterWall(model, images())
    before = wall._wall.png
    with torch.no_grad():
        model.weight.neg_()
    wall.refresh()
    assert wall._wall.png != before
    np.testing.assert_allclose(wall.filters.weights.reshape(6, 16), model.weight.detach().T)


def test_without_images_filters_and_biases_are_shown_alone():
    wall = FilterWall(machine())
    wall.unit = 2
    assert wall.error == ""
    assert "reconstructions" not in wall.alt
    assert [name for name, _ in wall._numbers()] == ["weights from", "bias"]
    assert [value for _, value in wall.ordering.options] == ["number"]  # nothing is known of activities


# --- refusals, words, the still picture --------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused_in_words():
    with pytest.raises(TypeError, match="no weight"):
        FilterWall(Nothing(), images())
    with pytest.raises(TypeError, match="no encode"):
        FilterWall(nn.Linear(16, 3), images(), weights=torch.rand(3, 16))
    with pytest.raises(ValueError, match=r"shape=\(8, 8\)"):
        FilterWall(RBM(Space.binary(9), 4))
    with pytest.raises(ValueError, match="units=range"):
        FilterWall(RBM(Space.binary(1, 2, 2), 601))
    with pytest.raises(ValueError, match="units must"):
        FilterWall(machine(), units=[0, 0])
    with pytest.raises(ValueError, match=r"\(batch, 1, 4, 4\)"):
        FilterWall(machine(), torch.rand(3, 1, 5, 5))
    wall = FilterWall(machine(), images())
    for name, value in (("unit", 6), ("example", 20), ("off", (1, 9))):
        with pytest.raises(TraitError, match="0 … "):
            setattr(wall, name, value)


class Nothing:
    """Encodes, but has no weights."""

    space = Space.binary(1, 4, 4)

    def encode(self, x):
        return x.flatten(1)


def test_a_failing_model_is_reported_and_recovers(wall, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(wall.filters.model, "decode", lambda h: 1 / 0)
        wall.unit = 1
        assert "ZeroDivisionError" in wall.error
    wall.unit = 2
    assert wall.error == ""


def test_the_training_mode_is_left_as_it_was():
    model = machine().train()
    wall = FilterWall(model, images())
    wall.unit = 3
    assert model.training


def test_words_and_still_picture_tell_what_is_seen(wall):
    wall.unit = 4
    wall.switch_unit(1, False)
    on = 100 * wall.filters.activity(4)
    assert "Weights of 6 hidden units as 4×4 images" in wall.alt
    assert f"on, of 20 images {on:.1f} %" in wall.alt
    assert "1 unit off" in wall.alt
    bundle = wall._repr_mimebundle_()[0]
    assert len(bundle["text/html"]) < 60_000
    assert 'alt="Weights of 6 hidden units' in bundle["text/html"]
    assert wall._wall.name == "Filters of 6 hidden units"


def test_a_wall_of_500_units_of_28_by_28_pixels_fits():
    torch.manual_seed(0)
    wall = FilterWall(RBM(Space.binary(1, 28, 28), 500), (torch.rand(50, 1, 28, 28) > 0.8).float())
    assert wall._wall.count == 500
    assert wall._wall.width <= 700
    wall.unit = 499
    assert wall._wall.chosen == 499
    shown, stored = wall.picture(), wall._repr_mimebundle_()[0]["text/html"]
    assert len(stored) < 60_000
    png = Image.open(io.BytesIO(base64.b64decode(stored.split("base64,")[1].split('"')[0])))
    assert png.width >= shown.width, "the still picture was made smaller, so that its captions cannot be read"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("device", DEVICES)
def test_models_and_images_may_lie_anywhere_and_in_double_precision(device, dtype):
    wall = FilterWall(machine().to(device, dtype), images())
    wall.unit = 1
    wall.switch_unit(1, False)
    assert wall.error == ""
    elsewhere = FilterWall(machine().to(device, dtype), images().to(device))
    elsewhere.unit = 1
    assert elsewhere.error == ""
    np.testing.assert_allclose(elsewhere.filters.activities, wall.filters.activities, rtol=1e-4)
