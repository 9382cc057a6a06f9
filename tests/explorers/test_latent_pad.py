"""LatentPad without a browser: traits are set and messages sent as a browser would."""

import numpy as np
import pytest
import torch
from latent_models import Blobs, four_groups
from traitlets import TraitError

from dgmcourse.core import Space
from dgmcourse.data import digits
from dgmcourse.explorers import LatentPad, LatentPlane
from dgmcourse.explorers.drawing import Plane
from dgmcourse.explorers.pixels import EDGE
from dgmcourse.models import VAE, Autoencoder


def move(pad, position, identity="view:1", **more):
    """What the browser sends when the ring is dragged."""
    content = {"kind": "move", "id": identity, "position": position, **more}
    pad._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


@pytest.fixture
def sent(monkeypatch):
    """Record what a widget sends to the browser: a list of (data, buffers)."""

    def record(widget):
        messages = []
        monkeypatch.setattr(
            widget.comm, "send", lambda data=None, *a, buffers=None, **k: messages.append((data, buffers))
        )
        return messages

    return record


def decoded(answer):
    return np.frombuffer(answer["pixels"], np.uint8).reshape(answer["height"], answer["width"], answer["channels"])


def darkest(answer, extent=3.0):
    """Where the blob is seen: the place of the pixel with the most ink, in the coordinates of the pad."""
    row, column = np.unravel_index(decoded(answer)[..., 0].argmin(), decoded(answer).shape[:2])
    side = answer["width"] - 1
    return 2 * extent * column / side - extent, extent - 2 * extent * row / side


def test_moving_decodes_exactly_what_the_model_decodes():
    model = VAE(Space.grey(1, 8, 8, levels=17), latents=2, hidden=(16,))
    pad = LatentPad(model)
    pad.position = (0.7, -1.3)
    expected = model.eval().decode(torch.tensor([[0.7, -1.3]]))[0, 0].detach()
    assert np.abs(decoded(pad.answer)[..., 0] - 255 * (1 - expected.numpy())).max() <= 0.5001
    assert (pad.image == decoded(pad.answer)).all()


def test_right_is_right_and_up_is_up():
    pad = LatentPad(Blobs())
    pad.position = (2.0, -1.0)
    assert darkest(pad.answer) == pytest.approx((2.0, -1.0), abs=0.25)


def test_a_request_is_answered_with_one_message_that_bears_its_name(sent):
    pad = LatentPad(Blobs())
    messages = sent(pad)
    move(pad, [1.0, 2.0], "view:7")
    assert len(messages) == 1  # position and answer together: nothing else delays the next request
    data, buffers = messages[0]
    assert data["method"] == "update"
    assert data["state"]["answer"]["id"] == "view:7"
    assert bytes(buffers[0]) == pad.image.tobytes()
    assert pad.position == (1.0, 2.0)


def test_even_a_request_for_the_same_place_is_answered(sent):
    pad = LatentPad(Blobs())
    move(pad, [1.0, 2.0], "view:1")
    messages = sent(pad)
    move(pad, [1.0, 2.0], "view:2")
    assert [data["state"]["answer"]["id"] for data, _ in messages] == ["view:2"]


def test_each_request_decodes_once():
    model = Blobs()
    pad = LatentPad(model)
    model.calls.clear()
    for i in range(5):
        move(pad, [i / 5, 0.0], f"view:{i}")
    assert len(model.calls) == 5


def test_decoding_runs_without_gradients_in_evaluation_mode_and_leaves_the_mode_as_it_was():
    model = Blobs().train()
    LatentPad(model).position = (1, 1)
    assert all(call[:2] == (False, False) for call in model.calls)
    assert model.training
    assert torch.is_grad_enabled()


def test_positions_stop_at_the_edge_and_nonsense_is_refused():
    pad = LatentPad(Blobs(), extent=2.0)
    pad.position = (5, -9)
    assert pad.position == (2.0, -2.0)
    with pytest.raises(TraitError, match="finite"):
        pad.position = (float("nan"), 0)


@pytest.mark.parametrize("nonsense", [[float("inf"), 0], ["a", 1], [1], None])
def test_a_broken_request_is_answered_in_words_and_the_next_one_works(nonsense):
    pad = LatentPad(Blobs())
    move(pad, nonsense, "view:1")
    assert pad.answer["id"] == "view:1"  # so the browser does not wait for ever
    assert pad.error
    move(pad, [1, 1], "view:2")
    assert pad.error == ""
    assert pad.position == (1.0, 1.0)


def test_a_failing_model_is_reported_in_words_and_recovers(monkeypatch):
    model = Blobs()
    pad = LatentPad(model)
    before = pad.image.copy()
    with monkeypatch.context() as broken:
        broken.setattr(model, "decode", lambda z: torch.full((1, 1, 4, 4), float("nan")))
        move(pad, [1, 1], "view:1")
        assert "NaN" in pad.error
        assert pad.answer["id"] == "view:1"
        assert (pad.image == before).all()
    move(pad, [1, 1], "view:2")
    assert pad.error == ""
    assert (pad.image != before).any()


def test_examples_are_encoded_and_the_nearest_class_is_read_out():
    x, y = four_groups()
    pad = LatentPad(Blobs(), x, y, names=["north-east", "north-west", "south-west", "south-east"])
    assert np.abs(pad.points[y == 0].mean(0) - [1.4, 1.4]).max() < 0.2
    for position, name in [((1.4, 1.4), "north-east"), ((-1.4, -1.4), "south-west")]:
        pad.position = position
        assert pad.nearest == name
        assert pad.answer["reading"].endswith(f"nearest example: {name}")
    assert "−1.40" in pad.answer["reading"]
    assert "40 encoded examples of 4 classes" in pad.alt


def test_points_reach_the_browser_as_they_are():
    points = torch.tensor([[0.5, -1.0], [2.0, 0.25], [-1.5, 1.0]])
    pad = LatentPad(Blobs(), points=points, labels=torch.tensor([2, 0, 2]))
    sent = pad.get_state("_setup")["_setup"]
    assert np.frombuffer(sent["points"], "<f4").reshape(-1, 2).tolist() == points.tolist()
    assert list(sent["labels"]) == [2, 0, 2]
    assert sent["legend"] == [[0, "0"], [2, "2"]]
    assert pad.background == "points"


def test_many_points_are_thinned_evenly():
    points = torch.stack([torch.linspace(-3, 3, 9000), torch.zeros(9000)], 1)
    pad = LatentPad(Blobs(), points=points)
    assert len(pad.points) == 2000
    assert pad.points[[0, -1], 0].tolist() == [-3, 3]


def test_the_grid_shows_each_cell_decoded_at_its_middle():
    import io

    from PIL import Image

    model = Blobs()
    pad = LatentPad(model, size=340)
    assert pad._grid == b""  # nothing is decoded before it is wanted
    pad.background = "images"
    grid = np.asarray(Image.open(io.BytesIO(pad._grid)), float)
    assert grid.shape == (237, 237)  # 14 cells of 16 pixels, and light grey lines between them
    assert (grid[16::17] == EDGE).all()
    assert (grid[:, 16::17] == EDGE).all()
    middle = -3 + 6 * np.array([10.5, 14 - 3.5]) / 14
    cell = grid[3 * 17 : 3 * 17 + 16, 10 * 17 : 10 * 17 + 16]
    expected = model.decode(torch.tensor(middle[None], dtype=torch.float32))[0, 0].numpy()
    assert np.abs(cell - 255 * (1 - expected)).max() <= 1


def far_apart(model, x):
    """An autoencoder whose codes lie far from the origin, as they do after training: no prior holds them there."""
    codes = model.encode(x).detach()
    with torch.no_grad():
        last = [layer for layer in model.encoder.modules() if isinstance(layer, torch.nn.Linear)][-1]
        last.weight.mul_(40 / codes.abs().max())
        last.bias.mul_(40 / codes.abs().max())
    return model


@pytest.mark.parametrize("networks", [{"hidden": (16,)}, {"hidden": ()}, {"hidden": (16,), "channels": (4,)}])
@pytest.mark.parametrize("levels", [2, 17])
def test_an_autoencoders_codes_and_images_are_shown_as_far_as_they_reach(networks, levels):
    torch.manual_seed(0)
    data = digits(levels=levels)
    model = far_apart(Autoencoder(data.space, 2, **networks), data.test)
    pad = LatentPad(model, data.test, data.test_labels, background="points on images")
    codes = model.encode(data.test).detach()
    assert pad.extent >= codes.abs().max()
    assert pad.extent == pytest.approx(41, abs=1.01)
    np.testing.assert_allclose(pad.points, codes.numpy(), rtol=1e-5)
    pad.position = tuple(codes[7].tolist())
    expected = 1 - model.decode(codes[7:8])[0, 0].detach().clamp(0, 1).numpy()
    assert np.abs(decoded(pad.answer)[..., 0] - 255 * expected).max() <= 0.51
    assert pad.nearest == str(int(data.test_labels[7]))
    assert f"from −{pad.extent:g} to {pad.extent:g}, with 297 encoded examples of 10 classes" in pad.alt


def test_points_are_drawn_on_images_and_alone():
    points = torch.tensor([[1.0, 1.0], [-2.0, 0.5]])
    pad = LatentPad(Blobs(), points=points)
    assert "points on images" in pad.get_state("_setup")["_setup"]["backgrounds"]
    assert "points on images" not in LatentPad(Blobs()).get_state("_setup")["_setup"]["backgrounds"]
    plane = Plane(pad.size, None, (-3, 3), (-3, 3), *pad.plane.names)
    color = (0x33, 0x22, 0x88)  # of label 0
    seen = {}
    for background in ("points", "images", "points on images"):
        pad.background = background
        picture = pad.picture()
        seen[background] = [picture.getpixel(tuple(map(round, plane.at(*point)))) == color for point in points.tolist()]
    assert seen == {"points": [True] * 2, "images": [False] * 2, "points on images": [True] * 2}
    assert pad._grid.startswith(b"\x89PNG")


def test_the_pad_reaches_to_three_unless_many_points_lie_beyond():
    generator = torch.Generator().manual_seed(0)
    prior = torch.randn(1000, 2, generator=generator)
    assert LatentPad(Blobs()).extent == 3
    assert LatentPad(Blobs(), points=prior).extent == 3  # a few of a thousand lie beyond three
    assert LatentPad(Blobs(), points=4.13 * prior / prior.abs().max()).extent == 3
    assert LatentPad(Blobs(), points=torch.tensor([[2.0, -27.0]])).extent == 28
    assert LatentPad(Blobs(), points=torch.tensor([[2.0, -27.0]]), extent=5).extent == 5


def test_a_conditional_model_gets_the_chosen_label_and_its_own_grid():
    pad = LatentPad(Blobs(classes=3), background="images")
    first, grid = 255 - int(pad.image.min()), pad._grid  # the most ink
    pad.label = 2
    assert 255 - int(pad.image.min()) == pytest.approx(first / 3, abs=1)
    assert pad._grid != grid
    move(pad, [0, 0], label=1)
    assert 255 - int(pad.image.min()) == pytest.approx(first / 2, abs=1)
    assert pad.get_state("_setup")["_setup"]["classes"] == ["0", "1", "2"]
    with pytest.raises(TraitError, match="0 … 2"):
        pad.label = 3
    with pytest.raises(ValueError, match="conditional"):
        LatentPad(Blobs(classes=3), x=four_groups()[0])


def test_a_plane_of_two_coordinates_holds_the_others():
    pad = LatentPad(Blobs(latents=4), axes=(3, 1), origin=[0.5, 9.0, -1.0, 9.0])
    pad.position = (1.0, -2.0)
    assert pad.z.tolist() == [0.5, -2.0, -1.0, 1.0]
    assert pad.plane.names == ("z₄", "z₂")


def test_a_plane_of_two_directions_passes_through_its_origin():
    directions = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    plane = LatentPlane(3, directions, origin=[1.0, 2.0, 3.0])
    assert plane.points([[0.0, 0.0], [2.0, -1.0]]).tolist() == [[1, 2, 3], [3, 3, 1]]
    positions = torch.tensor([[0.3, -1.2], [2.0, 0.7]])
    torch.testing.assert_close(plane.positions(plane.points(positions)), positions)


def test_the_ring_is_seen_in_the_still_picture_on_ink_and_on_paper():
    class Flat(Blobs):
        def __init__(self, value):
            super().__init__()
            self.value = value

        def decode(self, z, y=None):
            return torch.full((len(z), 1, 16, 16), self.value)

    for value in (0.0, 1.0):
        pad = LatentPad(Flat(value), background="images")
        pad.position = (1.0, -0.5)
        picture = np.asarray(pad.picture())
        x, y = Plane(pad.size, None, (-3, 3), (-3, 3), *pad.plane.names).at(1.0, -0.5)
        along = {tuple(pixel) for pixel in picture[round(y), round(x) - 26 : round(x)].tolist()}
        assert {(0x22, 0x22, 0x22), (255, 255, 255), (0xD5, 0x5E, 0x00)} <= along


def test_colors_are_kept():
    assert LatentPad(Blobs(colors=3)).answer["channels"] == 3


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: LatentPad(torch.nn.Linear(2, 2)), TypeError, "Linear has no decode and no latents"),
        (lambda: LatentPad(VAE(Space.real(2), 2, hidden=(4,))), ValueError, r"decodes examples of shape \(2,\)"),
        (lambda: LatentPad(VAE(Space.binary(1, 4, 4), 1, hidden=())), ValueError, "one latent; use LatentSliders"),
        (lambda: LatentPad(Blobs(), axes=(0, 2)), ValueError, r"different coordinates in 0 … 1"),
        (lambda: LatentPad(Blobs(3), axes=torch.ones(2, 3)), ValueError, "on one line"),
        (lambda: LatentPad(Blobs(3), axes=(0, 1, 2)), ValueError, "two coordinates"),
        (lambda: LatentPad(Blobs(), points=torch.rand(5, 3)), ValueError, r"of shape \(n, 2\), got \(5, 3\)"),
        (lambda: LatentPad(Blobs(), points=torch.rand(5, 2), labels=torch.tensor([1])), ValueError, "5 integers"),
        (lambda: LatentPad(Blobs(), x=torch.rand(5, 1, 8, 8)), ValueError, "must have shape"),
        (lambda: LatentPad(Blobs(), x=torch.rand(5, 1, 16, 16), points=torch.rand(5, 2)), ValueError, "not both"),
        (lambda: LatentPad(Blobs(), extent=0), ValueError, "extent must be positive"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_words(make, error, words):
    with pytest.raises(error, match=words):
        make()
