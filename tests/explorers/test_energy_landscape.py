"""EnergyLandscape without a browser: valleys and shares are those of exp(−E/T), walks are those of `dynamics`."""

import math

import numpy as np
import pytest
import torch
from traitlets import TraitError

from dgmcourse.core import Space
from dgmcourse.data import toy_density
from dgmcourse.explorers import EnergyLandscape
from dgmcourse.explorers.energy_surface import EnergySurface
from dgmcourse.explorers.particles import Particles
from dgmcourse.models import JEM, VAE, EnergyModel
from dgmcourse.models.energy import Product


def bowl(x):
    """N(0, I) without its normalizer."""
    return 0.5 * x.square().sum(1)


def two_wells(x):
    """Wells at (±1.5, 0), the left one a nat deeper."""
    return 2 * (x[:, 0].square() - 2.25).square() / 2.25 + 2 * x[:, 1].square() + x[:, 0] / 3


def ask(landscape, kind, x, y, handle=0):
    """What the browser sends: the cross dragged, a step of the keys, a click, or Enter."""
    content = {"kind": kind, "id": "view:1", "handle": handle, "x": x, "y": y}
    landscape._pad._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


@pytest.fixture
def landscape():
    return EnergyLandscape(two_wells, extent=4.0)


# --- the surface -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "valleys"), [("eight_gaussians", 8), ("grid", 25), ("ring", 1), ("moons", 2),
                                               ("spirals", 2), ("banana", 1), ("pinwheel", 5), ("checkerboard", 8)])  # fmt: skip
def test_toys_have_as_many_valleys_as_modes(name, valleys):
    surface = EnergySurface(toy_density(name))
    assert len(surface.bottoms) == valleys
    np.testing.assert_allclose(surface.truth(1.0).shares, 1 / valleys, atol=0.02)


def test_the_truth_is_the_integral_of_exp_minus_energy():
    surface = EnergySurface(two_wells, 4.0)
    side = torch.linspace(-4, 4, 2001, dtype=torch.float64)
    x = torch.cartesian_prod(side, side)
    for temperature in (0.5, 1.0, 3.0):
        energy = two_wells(x)
        p = (-energy / temperature).softmax(0)
        truth = surface.truth(temperature)
        assert truth.inside
        assert truth.mean == pytest.approx(float((p * energy).sum()), abs=2e-3)
        assert truth.shares[0] == pytest.approx(
            float(p[x[:, 0] < 0].sum()), abs=0.02
        )  # the deeper well is the left one
    assert surface.bottoms[0, 0] < 0
    cold = surface.truth(0.0)
    assert cold.mean == pytest.approx(float(two_wells(x).min()), abs=0.01)
    assert np.isnan(cold.shares).all()


def test_exact_draws_have_the_moments_of_the_density():
    x = EnergySurface(bowl, 5.0).draw(20_000, 2.0, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(x.var(0), 2.0, rtol=0.03)
    np.testing.assert_allclose(x.mean(0), 0.0, atol=0.04)


def test_the_stable_step_is_that_of_the_steepest_curvature():
    assert EnergySurface(bowl).stable_step() == pytest.approx(4, rel=1e-3)
    assert EnergySurface(lambda x: 2 * x[:, 0].square() + 8 * x[:, 1].square()).stable_step() == pytest.approx(
        0.25, rel=0.01
    )
    assert math.isinf(EnergySurface(lambda x: 0 * x.sum(1)).stable_step())


def test_models_densities_and_functions_have_energies():
    torch.manual_seed(0)
    x = torch.randn(5, 2)
    truth = toy_density("moons")
    torch.testing.assert_close(EnergySurface(truth).energy(x), -truth.log_prob(x))
    plane = Space.real(2)
    for model in (EnergyModel(plane, hidden=(8,)), JEM(plane, 3, hidden=(8,))):
        torch.testing.assert_close(EnergySurface(model).energy(x), model.energy(x))
    product = Product([truth_energy := (lambda x: -truth.log_prob(x)), bowl], space=plane)
    torch.testing.assert_close(EnergySurface(product).energy(x), truth_energy(x) + bowl(x))


# --- the particles -----------------------------------------------------------------------------------------------------


def test_ten_steps_at_once_are_ten_times_one():
    surface, states = EnergySurface(bowl), []
    for parts in ((10,), (1,) * 10, (3, 7)):
        particles = Particles(surface, seed=3)
        particles.scatter(20)
        for steps in parts:
            particles.walk(steps, 0.1, 1.0)
        states.append(particles.x)
    torch.testing.assert_close(states[0], states[1])
    torch.testing.assert_close(states[0], states[2])


@pytest.mark.parametrize("how", ["langevin", "mala"])
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_long_walk_has_the_variance_of_its_temperature(how, temperature):
    particles = Particles(EnergySurface(bowl))
    particles.drop((1.0, 1.0), 2000)
    particles.walk(120, 0.2, temperature, how)
    step = 0.2 if how == "langevin" else 0.0
    expected = temperature / (1 - step / 4)  # x ← (1 − ε/2) x + √(εT)·noise
    np.testing.assert_allclose(particles.x.var(0), expected, rtol=0.12)
    assert math.isnan(particles.accepted) == (how == "langevin")


def test_without_temperature_a_walk_is_gradient_descent():
    particles = Particles(EnergySurface(bowl))
    particles.add(torch.tensor([[2.0, -4.0]]))
    particles.walk(3, 0.5, 0.0)
    torch.testing.assert_close(particles.x, torch.tensor([[2.0, -4.0]]) * 0.75**3)


def test_randomness_outside_is_left_alone():
    particles = Particles(EnergySurface(bowl))
    particles.scatter(5)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    particles.walk(3, 0.1, 1.0)
    assert torch.equal(torch.rand(3), expected)


# --- what runs away ----------------------------------------------------------------------------------------------------


def test_a_step_too_large_is_told_with_the_one_that_is_stable():
    landscape = EnergyLandscape(toy_density("eight_gaussians"), step_size=5.0)
    landscape.scatter(50)
    landscape.step(100)
    assert landscape.error == ""
    assert landscape.standing.lost == 50
    assert "50 particles ran away: with ε = 5 a walk overshoots" in landscape.alt
    assert "below 1 it does not" in landscape.alt
    assert "nan" not in landscape.alt
    landscape.step_size = 0.05
    landscape.scatter(50)
    landscape.step(10)
    assert landscape.standing.count == 50


def quartic_wells(x):
    """Two wells between walls that rise as the fourth power: no step size is stable all the way up."""
    return (x[:, 0].square() - 4).square() / 8 + 0.5 * x[:, 1].square()


def test_the_reason_of_a_loss_is_that_of_the_walk_that_made_it():
    landscape = EnergyLandscape(quartic_wells, extent=4.5, step_size=1.0)
    landscape.scatter(50)
    landscape.step(100)
    lost = landscape.standing.lost
    assert lost > 25
    landscape.walk, landscape.step_size = "mala", 0.1
    landscape.scatter(50)
    landscape.step(20)
    assert landscape.standing.lost == lost
    assert f"{lost} particles ran away: with ε = 1 a walk overshoots" in landscape.alt
    assert "falls without end" not in landscape.alt


def test_walls_too_steep_for_a_step_that_is_stable_in_the_valleys_are_told():
    landscape = EnergyLandscape(quartic_wells, extent=6.0, step_size=0.5)
    landscape.drop((5.5, 0.0))
    landscape.step(20)
    assert landscape.standing.lost == 50
    assert "with ε = 0.5 a step down the steep slopes out there" in landscape.alt
    landscape.clear()
    landscape.drop((2.0, 0.0))
    landscape.step(1)
    assert "ran away" not in landscape.alt


@pytest.mark.parametrize(
    ("energy", "rises"),
    [(quartic_wells, True), (lambda x: -x.square().sum(1), False), (lambda x: x[:, 0], False), (lambda x: x.norm(dim=1).log(), True)],
)  # fmt: skip
def test_whether_an_energy_rises_is_looked_up_far_out(energy, rises):
    assert EnergySurface(energy).rises is rises


def test_an_energy_without_a_floor_is_told():
    landscape = EnergyLandscape(lambda x: -x.square().sum(1))
    landscape.scatter(20)
    landscape.step(300)
    assert landscape.standing.lost == 20
    assert "falls without end" in landscape.alt
    assert landscape._repr_mimebundle_()[0]["text/html"].startswith("<img alt=")


def test_metropolis_never_runs_away_but_stands_still():
    landscape = EnergyLandscape(toy_density("eight_gaussians"), step_size=10.0, walk="mala")
    landscape.draw(50)
    landscape.step(20)
    assert landscape.standing.lost == 0
    assert landscape.standing.accepted < 0.1
    assert "Hardly any step is accepted" in landscape.alt


def test_an_energy_that_is_infinite_here_and_there_is_drawn():
    landscape = EnergyLandscape(toy_density("checkerboard"), walk="mala", step_size=0.1)
    landscape.draw(100)
    landscape.step(30)
    assert landscape.error == ""
    assert landscape.standing.count == 100
    assert landscape.standing.energy == pytest.approx(math.log(32), abs=1e-4)
    with pytest.raises(ValueError, match="finite nowhere"):
        EnergyLandscape(lambda x: x.sum(1) * math.nan)


def test_metropolis_without_temperature_is_refused(landscape):
    landscape.scatter(5)
    landscape.temperature, landscape.walk = 0.0, "mala"
    landscape.step()
    assert "at temperature 0" in landscape.error
    landscape.walk = "langevin"
    landscape.step()
    assert landscape.error == ""
    assert "Without noise" in landscape.alt


# --- what a hand does --------------------------------------------------------------------------------------------------


def test_clicks_and_keys_drop_particles_where_they_point(landscape):
    ask(landscape, "click", 0.75, 0.5)
    assert landscape.cross == (2.0, 0.0)
    np.testing.assert_allclose(landscape.particles.x.mean(0), [2.0, 0.0], atol=0.03)
    assert landscape.standing.count == 50
    ask(landscape, "step", -5, 0)
    assert landscape.cross == (pytest.approx(1.6), 0.0)
    assert landscape.standing.count == 50
    ask(landscape, "press", 0, 0)
    assert landscape.standing.count == 100
    ask(landscape, "move", 0.0, 1.0)
    assert landscape.cross == (-4.0, 4.0)
    ask(landscape, "step", -5, 5)
    assert landscape.cross == (-4.0, 4.0)
    ask(landscape, "move", math.nan, 1.0)
    assert "finite" in landscape.error
    ask(landscape, "click", 0.5, 0.5, handle=3)
    assert "no cross 3" in landscape.error


def test_there_is_a_most(landscape):
    for _ in range(11):
        landscape.scatter(200)
    assert "2000 is the most" in landscape.error
    landscape.clear()
    assert landscape.error == ""
    assert landscape.standing.count == 0
    assert "Drop some" in landscape.alt


def test_playing_walks_and_stops_where_nobody_is_left(landscape):
    landscape.scatter(20)
    landscape.play.playing = True
    landscape.play.value = 1
    assert landscape.standing.steps == 5
    landscape.step_size = 10.0
    for tick in range(2, 60):
        landscape.play.value = tick
    assert landscape.standing.lost == 20
    assert not landscape.play.playing


def test_dials_and_traits_move_each_other(landscape):
    landscape.dials["temperature"].value = 2.0
    assert landscape.temperature == 2.0
    landscape.step_size = 0.2
    assert landscape.dials["step_size"].value == 0.2
    landscape.dials["walk"].value = "mala"
    assert landscape.walk == "mala"
    for name, value in (("temperature", -1.0), ("step_size", 0.0), ("temperature", math.nan), ("cross", (9.0, 0.0))):
        with pytest.raises(TraitError):
            setattr(landscape, name, value)


def test_particles_in_one_well_are_misplaced_and_exact_ones_are_not(landscape):
    landscape.drop((1.5, 0.0))
    right = int(landscape.surface.bottoms[0, 0] < 0)
    assert landscape.misplaced == pytest.approx(1 - landscape.surface.truth(1.0).shares[right], abs=1e-6)
    landscape.clear()
    landscape.draw(1000)
    assert landscape.misplaced < 0.05
    landscape.walk = "mala"
    landscape.step(50)
    assert landscape.misplaced < 0.05  # it is invariant
    assert landscape.standing.energy == pytest.approx(landscape.surface.truth(1.0).mean, abs=0.1)


def test_the_still_picture_and_its_words_tell_the_numbers(landscape):
    landscape.scatter(100)
    landscape.step(20)
    assert "An energy landscape with 2 valleys" in landscape.alt
    assert "in valley A" in landscape.alt
    html = landscape._repr_mimebundle_()[0]["text/html"]
    assert html.startswith("<img alt=")
    assert len(html) < 60_000


def test_what_has_no_energy_of_the_plane_is_refused_in_words():
    with pytest.raises(TypeError, match=r"a model with energy\(x\), a density with log_prob\(x\), or a function"):
        EnergyLandscape(3)
    with pytest.raises(ValueError, match="energies of the plane"):
        EnergyLandscape(VAE(Space.binary(1, 4, 4), 2))
    with pytest.raises(ValueError, match=r"must be \(batch,\)"):
        EnergyLandscape(lambda x: x)
    with pytest.raises(ValueError, match="extent must be positive"):
        EnergyLandscape(bowl, extent=0.0)
