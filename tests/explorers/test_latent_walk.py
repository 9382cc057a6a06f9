"""LatentWalk: a path that is closed and smooth and passes its anchors, and images that are what the model generates."""

import math

import numpy as np
import pytest
import torch
from latent_models import Blobs
from torch import nn

from dgmcourse.core import Space
from dgmcourse.explorers import LatentWalk
from dgmcourse.explorers.closed_path import ClosedPath
from dgmcourse.explorers.pixels import to_uint8
from dgmcourse.models import GAN, VAE

GREY = Space.grey(1, 8, 8, levels=17)
DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


def generated(model, z, y=None):
    labels = None if y is None else torch.tensor([y])
    with torch.no_grad():
        return to_uint8(model.eval().decode(z[None], labels))[0]


@pytest.fixture
def walk():
    return LatentWalk(Blobs(4), anchors=5, steps=10)


# --- the path ----------------------------------------------------------------------------------------------------------


def test_a_path_passes_its_anchors_and_is_closed():
    path = ClosedPath.random(6, 30, seed=2)
    for k in range(6):
        torch.testing.assert_close(path.at(k / 6), path.anchors[k], rtol=0, atol=1e-5)
    torch.testing.assert_close(path.at(1.0), path.at(0.0))
    torch.testing.assert_close(path.at(1.25), path.at(0.25))


def test_a_path_has_no_kinks():
    """Its velocity is continuous, also across the anchors: second differences vanish like the step squared."""
    path = ClosedPath(ClosedPath.random(5, 8, seed=1).anchors.double())

    def largest_kink(steps):
        z = torch.stack([path.at(i / steps) for i in range(-1, steps + 1)]).double()
        return float((z[2:] - 2 * z[1:-1] + z[:-2]).norm(dim=1).max()) * steps  # a jump of the velocity stays as it is

    assert largest_kink(800) < 0.6 * largest_kink(400)


def test_a_path_stays_where_samples_are():
    """In 200 dimensions lengths lie near √200; half way along straight lines they would be √100."""
    path = ClosedPath.random(6, 200, seed=0)
    lengths = torch.stack([path.at(i / 120) for i in range(120)]).norm(dim=1)
    ends = path.anchors.norm(dim=1)
    assert float(ends.min()) - 1e-3 <= float(lengths.min())
    assert float(lengths.max()) <= float(ends.max()) + 1e-3
    middle = (path.anchors[0] + path.anchors[1]) / 2
    assert float(middle.norm()) < 0.8 * math.sqrt(200) < float(lengths.min())


def test_half_way_between_two_anchors_both_are_as_near():
    path = ClosedPath.random(4, 12)
    z = path.at(0.5 / 4)
    a, b = path.anchors[:2]
    cosines = [float(nn.functional.cosine_similarity(z, end, dim=0)) for end in (a, b)]
    assert cosines[0] == pytest.approx(cosines[1], abs=1e-5)


def test_paths_repeat_for_a_seed_and_nonsense_is_no_path():
    assert torch.equal(ClosedPath.random(3, 4, 7).anchors, ClosedPath.random(3, 4, 7).anchors)
    assert not torch.equal(ClosedPath.random(3, 4, 7).anchors, ClosedPath.random(3, 4, 8).anchors)
    for anchors in (torch.zeros(1, 4), torch.zeros(4), torch.full((2, 2), math.nan)):
        with pytest.raises(ValueError, match="two or more anchors"):
            ClosedPath(anchors)


# --- walking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gan", "vae", "blobs"])
def test_the_image_is_what_the_model_generates_there(kind):
    torch.manual_seed(0)
    model = {"gan": lambda: GAN(GREY, 5, hidden=(16,)), "vae": lambda: VAE(GREY, 3, hidden=(16,)),
             "blobs": lambda: Blobs(4)}[kind]()  # fmt: skip
    walk = LatentWalk(model, steps=8)
    first = walk._current.png
    walk.place.value = 13
    assert (walk.image == generated(model, walk.path.at(13 / 48))).all()
    assert walk._current.png != first
    assert walk.error == ""


@pytest.mark.parametrize("device", DEVICES)
def test_a_model_is_walked_where_it_is(device):
    torch.manual_seed(0)
    model = GAN(GREY, 5, hidden=(16,), classes=2)
    there = LatentWalk(model.to(device))
    there.place.value = 13
    there.keep()
    assert there.error == ""
    assert (there.image == generated(model.cpu(), there.path.at(13 / 144), 0)).mean() > 0.95  # to a rounding


def test_a_generator_without_decode_serves_too():
    class Bare(nn.Module):
        latents = 2

        def generate(self, z):
            return torch.sigmoid(z[:, :1, None, None] + torch.zeros(1, 1, 4, 4))

    walk = LatentWalk(Bare())
    walk.place.value = 30
    assert np.abs(walk.image / 255 - (1 - 1 / (1 + math.exp(-float(walk.z[0]))))).max() < 0.01


def test_labels_choose_what_is_generated():
    torch.manual_seed(0)
    model = GAN(GREY, 3, hidden=(16,), classes=4)
    walk = LatentWalk(model, label=2)
    assert (walk.image == generated(model, walk.path.anchors[0], 2)).all()
    anchors = walk._along.png
    walk.label.value = 3
    assert (walk.image == generated(model, walk.path.anchors[0], 3)).all()
    assert walk._along.png != anchors
    assert "label 3" in walk.alt
    assert not hasattr(LatentWalk(Blobs()), "label")


def test_each_move_generates_one_image(walk):
    walk.decoder.model.calls.clear()
    for place in (3, 4, 5):
        walk.place.value = place
    assert [n for *_, n in walk.decoder.model.calls] == [1, 1, 1]


def test_the_slider_goes_once_round(walk):
    assert walk.place.max == walk.play.max == 50
    start = walk.image
    walk.place.value = 50
    assert (walk.image == start).all()
    assert walk._along.chosen == 0
    assert walk.play.repeat


def test_the_anchor_passed_last_is_framed_and_a_click_goes_to_an_anchor(walk):
    walk.place.value = 27
    assert (walk._along.chosen, walk._along.text) == (2, "anchor 3 of 5")
    assert walk._current.alt == "Image generated 70% of the way from anchor 3 to 4"
    walk._along.set_state({"chosen": 4})  # as the browser does
    assert walk.place.value == 40
    torch.testing.assert_close(walk.z, walk.path.anchors[4])
    assert walk._current.alt == "Image generated at anchor 5"


def test_a_new_path_begins_at_its_start(walk):
    before = walk.path.anchors
    walk.place.value = 12
    walk.buttons["new"].click()
    assert not torch.equal(walk.path.anchors, before)
    assert walk.place.value == 0
    assert torch.equal(LatentWalk(Blobs(4), anchors=5, seed=1).path.anchors, walk.path.anchors)


def test_anchors_can_be_given():
    z = torch.randn(3, 4)
    walk = LatentWalk(Blobs(4), z)
    assert torch.equal(walk.path.anchors, z)
    walk.new_path()
    assert walk.path.anchors.shape == (3, 4)


# --- keeping -----------------------------------------------------------------------------------------------------------


def test_kept_images_stay_and_a_walk_through_them_visits_them(walk):
    assert walk._kept_box.layout.display == "none"
    for place in (7, 23, 41):
        walk.place.value = place
        walk.buttons["keep"].click()
    kept = [(k.z, k.image) for k in walk.kept]
    assert walk._strip.count == 3
    walk.new_path()
    assert walk._strip.count == 3
    assert walk._kept_box.layout.display is None
    walk.buttons["through"].click()
    assert len(walk.path) == 3
    for k, (z, image) in enumerate(kept):
        walk.place.value = 10 * k
        torch.testing.assert_close(walk.z, z, rtol=0, atol=1e-5)
        assert np.abs(walk.image.astype(int) - image).max() <= 1
    assert "through the images kept" in walk.alt


def test_the_framed_image_is_dropped(walk):
    for place in (7, 23, 41):
        walk.place.value = place
        walk.keep()
    first, _, third = walk.kept
    walk._strip.set_state({"chosen": 1})
    walk.buttons["drop"].click()
    assert walk.kept == [first, third]
    walk.drop()
    walk.drop()
    assert walk.kept == []
    walk.drop()
    assert "no image is framed" in walk.error
    walk.walk_through_kept()
    assert "two or more" in walk.error
    walk.place.value = 3
    assert walk.error == ""


def test_what_is_kept_knows_its_label():
    walk = LatentWalk(Blobs(classes=3))
    walk.label.value = 2
    walk.keep()
    assert walk.kept[0].label == 2
    assert walk._strip.text == "image 1, label 2"


# --- refusals, words, the still picture --------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused_in_words():
    with pytest.raises(TypeError, match="has no decode"):
        LatentWalk(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="shows images"):
        LatentWalk(GAN(Space.real(2), 2))
    with pytest.raises(ValueError, match="two or more anchors"):
        LatentWalk(Blobs(), anchors=1)
    with pytest.raises(ValueError, match=r"\(anchors, 2\)"):
        LatentWalk(Blobs(), torch.randn(4, 3))
    with pytest.raises(ValueError, match="a label of the model"):
        LatentWalk(Blobs(classes=3), label=3)


def test_a_failing_model_is_reported_and_recovers(walk, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(walk.decoder.model, "decode", lambda z: 1 / 0)
        walk.place.value = 3
        assert "ZeroDivisionError" in walk.error
    walk.place.value = 4
    assert walk.error == ""


def test_words_and_still_picture(walk):
    walk.place.value = 15
    walk.keep()
    assert "latent space of 4 dimensions" in walk.alt
    assert "50% of the way from anchor 2 to 3" in walk.alt
    assert "1 images" not in walk.alt
    bundle = walk._repr_mimebundle_()[0]["text/html"]
    assert len(bundle) < 60_000
    assert 'alt="A closed walk' in bundle
