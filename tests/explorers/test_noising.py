"""Noising without a browser: what is drawn is the path itself, its exact density, and the exact best guess."""

import math

import numpy as np
import pytest
import torch
from traitlets import TraitError

from dgmcourse.data import digits, toy, toy_density
from dgmcourse.explorers import Noising
from dgmcourse.explorers.noised import NoisedImages, Path, noised_data
from dgmcourse.schedules import SCHEDULES, Cosine, Linear

IMAGES = (torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(0)) > 0.6).float()


@pytest.fixture(scope="module")
def noising():
    return Noising(toy_density("eight_gaussians"))


# --- the mathematics ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_path_is_the_schedules(name):
    t = torch.tensor(0.37, dtype=torch.float64)
    schedule = SCHEDULES[name]()
    path = Path.of(schedule, 0.37)
    assert path.alpha == pytest.approx(float(schedule.alpha(t)))
    assert path.sigma == pytest.approx(float(schedule.sigma(t)))
    assert path.log_snr == pytest.approx(2 * math.log(path.alpha / path.sigma))


def test_every_point_keeps_its_noise_all_along():
    noised = noised_data(toy_density("moons"), 50, 0, 2.0)
    noised.draw_noise(7)
    for t in (0.0, 0.3, 1.0):
        path = Path.of(Linear(), t)
        torch.testing.assert_close(noised.at(path), path.alpha * noised.data + path.sigma * noised.noise)
    noise = noised.noise
    noised.draw_noise(8)
    assert not torch.equal(noised.noise, noise)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_the_density_shown_is_that_of_many_noised_points(scale):
    truth = toy_density("eight_gaussians")
    noised = noised_data(truth, 20_000, 0, scale)
    noised.draw_noise(1)
    path = Path.of(Linear(), 0.2)
    density, x = noised.density_at(path), noised.at(path)
    half = noised.extent(path)
    grid = torch.linspace(-2 * half, 2 * half, 401, dtype=torch.float64)
    p = density.log_prob(torch.cartesian_prod(grid, grid)).exp()
    cell = float(grid[1] - grid[0]) ** 2
    assert float(p.sum()) * cell == pytest.approx(1, abs=1e-4)
    second = float((p[:, None] * torch.cartesian_prod(grid, grid) ** 2).sum()) * cell
    assert float(x.double().square().sum(1).mean()) == pytest.approx(second, rel=0.03)
    assert (x.abs() < half).all(1).float().mean() > 0.97


def test_mere_points_have_the_density_of_a_component_for_each():
    points = torch.tensor([[0.0, 0.0], [2.0, 1.0]])
    noised = noised_data(points, 10, 0, 1.0)
    assert not noised.exact
    path = Path(0.5, 0.8, 0.6, 2 * math.log(0.8 / 0.6))
    x = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    squares = (x - 0.8 * points).square().sum(1)
    expected = math.log(float((-squares / 0.72).exp().mean()) / (2 * math.pi * 0.36))
    assert float(noised.density_at(path).log_prob(x)) == pytest.approx(expected, abs=1e-6)
    assert noised.density_at(Path(0.0, 1.0, 0.0, math.inf)) is None


def test_the_score_points_from_x_to_the_best_guess():
    noised = noised_data(toy("spirals", (100, 10, 10)), 10, 0, 1.0)
    assert noised.exact
    path = Path.of(Cosine(), 0.4)
    density, x = noised.density_at(path), torch.tensor([[0.5, 0.7]], dtype=torch.float64)
    h = 1e-5
    slopes = [
        (density.log_prob(x + h * e) - density.log_prob(x - h * e)) / (2 * h) for e in torch.eye(2, dtype=x.dtype)
    ]
    torch.testing.assert_close(density.score(x)[0], torch.cat(slopes), atol=1e-5, rtol=1e-5)


def test_the_guess_is_the_mean_of_the_posterior_over_the_pool():
    noised = NoisedImages(IMAGES[:3], IMAGES)
    noised.draw_noise(0)
    path = Path(0.5, 0.8, 0.9, 2 * math.log(0.8 / 0.9))
    guess, could_be = noised.guess(path)
    pool = (2 * IMAGES - 1).double().flatten(1)
    for i, x in enumerate(noised.at(path).double().flatten(1)):
        likelihood = torch.distributions.Normal(0.8 * pool, 0.9).log_prob(x).sum(1)
        weights = likelihood.softmax(0)
        torch.testing.assert_close(2 * guess[i].flatten().double() - 1, weights @ pool, atol=1e-5, rtol=1e-4)
        assert could_be[i] == pytest.approx(math.exp(-float((weights * weights.log()).sum())), rel=1e-4)


def test_without_noise_the_guess_is_the_image_and_in_noise_alone_the_mean_of_all():
    noised = NoisedImages(IMAGES[:5], IMAGES)
    noised.draw_noise(0)
    guess, could_be = noised.guess(Path.of(Linear(), 0.0))
    torch.testing.assert_close(guess, IMAGES[:5])
    assert could_be.tolist() == [1] * 5
    guess, could_be = noised.guess(Path(1.0, 0.0, 1.0, -math.inf))
    torch.testing.assert_close(guess[0], IMAGES.mean(0))
    np.testing.assert_allclose(could_be, 40, rtol=1e-5)


# --- what can be moved -------------------------------------------------------------------------------------------------


def test_slider_and_time_move_each_other(noising):
    noising.t = 0.25
    assert noising.playback.slider.value == 50
    noising.playback.slider.value = 100
    assert noising.t == 0.5
    assert "t = 0.5" in noising.alt
    assert noising.path.log_snr == pytest.approx(float(Linear().log_snr(torch.tensor(0.5))), abs=1e-4)
    for value in (-0.1, 1.1):
        with pytest.raises(TraitError, match="t must lie in 0 … 1"):
            noising.t = value


def test_a_schedule_is_chosen_by_name_or_given(noising):
    noising.t = 0.5
    first = noising._picture.png
    for name in ("cosine", "vp", "ve", "straight"):
        noising.choice.value = name
        assert noising.schedule == name
        assert noising.error == ""
    noising.schedule = "linear"
    assert noising._picture.png == first
    with pytest.raises(TraitError, match="there is no schedule 'quadratic'"):
        noising.schedule = "quadratic"
    given = Noising(IMAGES, Linear(steps=100), t=0.5)
    assert given.schedule == "given"
    assert given.path.alpha == pytest.approx(float(Linear(steps=100).alpha(torch.tensor(0.5))), abs=1e-6)
    given.schedule = "cosine"
    given.choice.value = "given"
    assert "Linear(steps=100)" in given.alt


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(
    "data", [toy_density("ring"), toy_density("pinwheel"), IMAGES], ids=["ring", "pinwheel", "images"]
)
def test_both_ends_of_every_schedule_are_drawn(name, data):
    explorer = Noising(data, name, n=9)
    for t in (0.0, 0.005, 0.995, 1.0):
        explorer.t = t
        assert explorer.error == ""
        assert "nan" not in explorer.alt + explorer._table.value


def test_other_noise_and_what_is_drawn_are_choices(noising):
    noising.t = 0.3
    pictures = [noising._picture.png]
    noising.arrows_shown = False
    assert "score as arrows" not in noising._picture.alt
    pictures.append(noising._picture.png)
    noising.density_shown = False
    pictures.append(noising._picture.png)
    noising.arrows_shown = noising.density_shown = True
    noising.new_noise()
    pictures.append(noising._picture.png)
    assert len(set(pictures)) == 4


def test_a_dataset_of_images_guesses_from_its_training_images():
    explorer = Noising(digits(levels=17), t=0.2)
    assert len(explorer.noised.pool) == 1300
    assert "images that it could be, of 1300" in explorer._table.value
    guessed = explorer._could_be
    explorer.t = 0.9
    assert explorer._could_be > 10 * guessed
    assert "best guess" in explorer._guess.alt


# --- what is seen ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [toy_density("moons"), IMAGES], ids=["points", "images"])
def test_the_still_picture_is_a_film_from_data_to_noise(data):
    html = Noising(data, t=0.4)._repr_mimebundle_()[0]["text/html"]
    assert html.startswith("<img alt=")
    assert "t = 0, 0.25, 0.5, 0.75, 1" in html
    assert len(html) < 60_000


def test_what_cannot_be_noised_is_refused_in_words():
    with pytest.raises(TypeError, match="Noising needs a known density, a dataset, points"):
        Noising("moons")
    with pytest.raises(ValueError, match=r"points \(n, 2\) and images"):
        Noising(torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"values in \[0, 1\], got 0 … 3"):
        Noising(3 * IMAGES)
    with pytest.raises(ValueError, match="finite"):
        Noising(torch.full((4, 2), math.nan))
    with pytest.raises(TraitError, match="there is no schedule"):
        Noising(IMAGES, "quadratic")
    with pytest.raises(ValueError, match="n ≥ 1 and scale > 0"):
        Noising(IMAGES, scale=0.0)
