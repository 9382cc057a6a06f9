"""LatentSliders and InterpolationStrip, driven by their traits."""

import numpy as np
import pytest
import torch
from latent_models import Blobs, four_groups

from dgmcourse.core import Space
from dgmcourse.data.dataset import Dataset
from dgmcourse.explorers import InterpolationStrip, LatentSliders
from dgmcourse.explorers.model import latent_name, slerp
from dgmcourse.explorers.pixels import to_uint8


def at(model, *z, y=None):
    z = torch.tensor([z], dtype=torch.float32)
    return to_uint8(model.decode(z) if y is None else model.decode(z, torch.tensor([y])))[0]


def test_a_slider_moves_its_latent_alone_and_the_image_with_it():
    model = Blobs(4)
    sliders = LatentSliders(model)
    before = sliders._current.png
    sliders.sliders[1].value = 1.5
    assert sliders.z.tolist() == [0, 1.5, 0, 0]
    assert (sliders.image == at(model, 0, 1.5, 0, 0)).all()
    assert sliders._current.png != before


def test_a_strip_walks_its_latent_and_holds_the_others():
    model = Blobs(4)
    sliders = LatentSliders(model, steps=5, extent=2.0)
    sliders.move([0.5, -1.0, 0.25, 0.0])
    for value, image in zip([-2, -1, 0, 1, 2], sliders.strips[0], strict=True):
        assert (image == at(model, value, -1.0, 0.25, 0.0)).all()
    assert (sliders.strips[1][1] == at(model, 0.5, -1.0, 0.25, 0.0)).all()


def test_a_move_of_all_latents_decodes_once():
    model = Blobs(6)
    sliders = LatentSliders(model)
    model.calls.clear()
    sliders.new_sample()
    assert len(model.calls) == 1
    assert [s.value for s in sliders.sliders.values()] == pytest.approx(sliders.z.tolist(), abs=1e-6)


def test_new_samples_repeat_for_a_seed_and_differ_from_one_another():
    first, second = LatentSliders(Blobs(4), seed=3), LatentSliders(Blobs(4), seed=3)
    draws = []
    for sliders in (first, second, second):
        sliders.new_sample()
        draws.append(sliders.z)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[1], draws[2])


def test_an_example_is_encoded_and_shown():
    x, y = four_groups()
    model = Blobs(4)
    sliders = LatentSliders(model, x, y)
    sliders.example.value = 6  # as the number field does
    torch.testing.assert_close(sliders.z, model.encode(x[6:7])[0])
    assert sliders._original_box.layout.display is None
    sliders.new_sample()
    assert sliders._original_box.layout.display == "none"
    sliders.encode_example(len(x))
    assert "0 … 39" in sliders.error


def test_with_examples_the_sliders_start_at_the_first_as_if_it_had_been_encoded():
    x, y = four_groups()
    x, y = x[3:], y[3:]  # the first label is 3
    model = Blobs(4, classes=4)
    sliders = LatentSliders(model, x, y)
    torch.testing.assert_close(sliders.z, model.encode(x[:1])[0])
    assert sliders.label.value == 3
    assert (sliders.image == at(model, *sliders.z.tolist(), y=3)).all()
    assert [s.value for s in sliders.sliders.values()] == pytest.approx(sliders.z.tolist(), abs=1e-6)
    assert sliders._original_box.layout.display is None
    started = sliders._current.png
    sliders.new_sample()
    sliders.label.value = 0
    assert sliders._current.png != started
    sliders.encode_example(0)
    assert sliders._current.png == started
    assert LatentSliders(model).z.tolist() == [0, 0, 0, 0]


def test_an_example_with_another_label_decodes_once():
    x, y = four_groups()
    model = Blobs(4, classes=4)
    sliders = LatentSliders(model, x, y)
    model.calls.clear()
    sliders.example.value = 2
    assert len(model.calls) == 1
    assert sliders.label.value == 2
    sliders.label.value = 1
    assert len(model.calls) == 2


def test_beyond_the_sliders_the_point_is_kept():
    sliders = LatentSliders(Blobs(3), extent=1.0)
    sliders.move([2.5, 0, 0])
    assert sliders.sliders[0].value == 1.0
    assert sliders.z[0] == 2.5
    assert sliders.image[..., 0].argmin() % 16 == round((2.5 + 3) / 6 * 15)


def test_of_many_latents_those_that_vary_are_shown():
    x, _ = four_groups()

    class Shuffled(Blobs):
        def encode(self, x, y=None):
            return super().encode(x, y).flip(1)  # the two used latents come last

    assert LatentSliders(Blobs(12)).shown == list(range(8))
    assert {10, 11} < set(LatentSliders(Shuffled(12), x).shown)
    assert LatentSliders(Blobs(12), shown=[3, 0]).shown == [3, 0]


def test_a_label_conditions_image_and_strips():
    model = Blobs(3, classes=4)
    sliders = LatentSliders(model)
    sliders.label.value = 3
    assert (sliders.image == at(model, 0, 0, 0, y=3)).all()
    assert (sliders.strips[2][0] == at(model, 0, 0, -3, y=3)).all()


def test_the_still_picture_and_its_words_follow():
    sliders = LatentSliders(Blobs(3))
    before = np.asarray(sliders.picture())
    sliders.sliders[0].value = -2.0
    assert "z₁ = −2.00" in sliders.alt
    assert (np.asarray(sliders.picture()) != before).any()
    assert latent_name(11) == "z₁₂"


def test_failures_are_shown_in_words(monkeypatch):
    model = Blobs(3)
    sliders = LatentSliders(model)

    def decode(z):
        raise RuntimeError("out of <memory>")

    with monkeypatch.context() as broken:
        broken.setattr(model, "decode", decode)
        sliders.sliders[0].value = 1.0
    box = sliders.children[-1]
    assert sliders.error == "RuntimeError: out of <memory>"
    assert "out of &lt;memory&gt;" in box.value
    assert 'role="alert"' in box.value
    assert box.layout.display is None
    sliders.sliders[0].value = 0.5
    assert sliders.error == box.value == ""


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LatentSliders(Blobs(3), shown=[0, 3]), "0 … 2"),
        (lambda: LatentSliders(Blobs(3), steps=4), "odd"),
        (lambda: LatentSliders(Blobs(3), x=four_groups()[0][:0]), "no examples"),
        (lambda: LatentSliders(Blobs(3)).move([1.0]), "3 finite numbers"),
        (lambda: InterpolationStrip(Blobs(), four_groups()[0][:1]), "two examples"),
        (lambda: InterpolationStrip(Blobs(), four_groups()[0], first=40), "0 … 39"),
        (lambda: InterpolationStrip(Blobs(), torch.rand(1, 4, 4), torch.rand(1, 5, 5)), "one shape"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# --- interpolation ---------------------------------------------------------------------------------------------------


def test_slerp_keeps_to_the_arc():
    start, end = torch.tensor([2.0, 0.0, 0.0]), torch.tensor([0.0, 2.0, 0.0])
    path = slerp(start, end, torch.linspace(0, 1, 4))
    torch.testing.assert_close(path.norm(dim=1), torch.full((4,), 2.0))
    angles = torch.rad2deg(torch.atan2(path[:, 1], path[:, 0]))
    torch.testing.assert_close(angles, torch.tensor([0.0, 30.0, 60.0, 90.0]))
    # lengths 1 and 3 change evenly; vectors in line, opposed or zero have a straight path
    torch.testing.assert_close(slerp(start / 2, 1.5 * end, torch.tensor([0.5])).norm(), torch.tensor(2.0))
    for other in (3 * start, -start, torch.zeros(3)):
        torch.testing.assert_close(slerp(start, other, torch.tensor([0.25]))[0], 0.75 * start + 0.25 * other)


def test_every_path_begins_and_ends_at_its_examples():
    x, _ = four_groups()
    model = Blobs()
    strip = InterpolationStrip(model, x, first=0, second=1, steps=5)
    reconstructed = to_uint8(model.decode(model.encode(x[:2])))
    for name in ("linear", "spherical"):
        assert np.abs(strip.rows[name][[0, -1]].astype(int) - reconstructed).max() <= 1
    assert (strip.rows["pixels"][[0, -1]] == to_uint8(x[:2])).all()


def test_latent_paths_move_the_blob_and_the_pixel_path_shows_two():
    x, _ = four_groups()
    strip = InterpolationStrip(Blobs(), x, first=0, second=1, steps=5)  # north-east to north-west
    column = np.unravel_index(strip.rows["linear"][2][..., 0].argmin(), (16, 16))[1]
    assert 6 <= column <= 9  # the blob is in the middle
    half = to_uint8((x[:1] + x[1:2]) / 2)[0]
    assert np.abs(strip.rows["pixels"][2].astype(int) - half).max() <= 1


def test_the_place_slider_shows_that_place_and_the_index_sliders_other_examples():
    x, _ = four_groups()
    strip = InterpolationStrip(Blobs(), x, steps=5)
    strip.place.value = 0.25
    for name, here in strip.here.items():
        assert np.abs(here.astype(int) - strip.rows[name][1]).max() <= 1
    before, png = strip.rows["linear"].copy(), strip._strips["linear"].png
    strip.second.value = 2
    assert (strip.rows["linear"][0] == before[0]).all()
    assert (strip.rows["linear"][-1] != before[-1]).any()
    assert strip._strips["linear"].png != png


def test_a_dataset_or_two_images_serve_as_well():
    x, y = four_groups()
    x = (x * 255).round() / 255
    data = Dataset("blobs", Space.grey(1, 16, 16, levels=256), x[:20], x[20:30], x[30:], y[:20], y[20:30], y[30:])
    assert InterpolationStrip(Blobs(), data).first.max == 9
    for pair in ((x[0], x[1]), (x[:1], x[1:2])):
        strip = InterpolationStrip(Blobs(), *pair)
        assert (strip.rows["pixels"][-1] == to_uint8(x[1:2])[0]).all()


def test_a_conditional_model_keeps_the_label_of_the_first_example():
    x, y = four_groups()
    strip = InterpolationStrip(Blobs(classes=4), x, y=y, first=3, second=0)
    assert strip.rows["linear"].min() >= 255 * (1 - 1 / 4) - 1
