"""The strongest likelihood of each family: exact where it is, a bound or an estimate that agrees with the exact value elsewhere."""

import math

import pytest
import torch

from dgmcourse import DBM, DBN, GAN, RBM, VAE, EnergyModel, IndependentPixels, Space
from dgmcourse.core import Kind, LogProb
from dgmcourse.evaluation import annealing, strongest
from dgmcourse.evaluation.likelihood import Estimate, integrated_log_prob
from dgmcourse.evaluation.strongest import strongest_log_prob

SMALL = Space.binary(1, 3, 3)


@pytest.fixture
def x():
    return torch.randint(2, (40, 1, 3, 3), generator=torch.Generator().manual_seed(0)).float()


def test_an_rbm_too_large_to_enumerate_is_annealed_to_the_exact_value(x, monkeypatch):
    torch.manual_seed(0)
    model = RBM(SMALL, hidden=12)
    torch.nn.init.normal_(model.weight, std=0.3)
    with torch.no_grad():
        exact = model.log_prob(x)
    assert exact.kind is Kind.EXACT
    assert strongest_log_prob(model, x).value == pytest.approx(float(exact.value.mean()), abs=1e-5)
    monkeypatch.setattr(RBM, "enumerable", property(lambda self: False))
    found = strongest_log_prob(model, x)
    assert found.kind is Kind.ESTIMATE
    assert found.value == pytest.approx(float(exact.value.mean()), abs=0.02)


def test_a_vae_is_bounded_with_importance_weights_that_come_near_the_integral(x):
    torch.manual_seed(0)
    model = VAE(SMALL, latents=1, hidden=(16,))
    found = strongest_log_prob(model, x)
    exact = float(integrated_log_prob(model, x).value.mean())
    assert found.kind is Kind.LOWER_BOUND
    assert exact - 0.05 < found.value < exact + 0.01
    assert found.value > float(model.log_prob(x).value.mean())


@pytest.mark.parametrize("make", [lambda: DBN(SMALL, (20, 20)), lambda: DBM(SMALL, (20, 20))], ids=["DBN", "DBM"])
def test_deep_machines_of_independent_units_are_known_exactly(make, x):
    """With all weights zero each pixel is a fair coin, the posterior is known, and so is log p."""
    torch.manual_seed(0)
    model = make()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    found = strongest_log_prob(model, x)
    assert found.kind is Kind.ESTIMATE
    assert found.value == pytest.approx(-9 * math.log(2), abs=1e-3)


@pytest.mark.parametrize("make", [lambda: DBN(SMALL, (20, 20)), lambda: DBM(SMALL, (20, 20))], ids=["DBN", "DBM"])
def test_the_error_of_the_partition_function_is_part_of_the_estimates(make, x, monkeypatch):
    """It is common to all images: no number of them averages it away."""
    for module in (strongest, annealing):
        monkeypatch.setattr(module, "annealed_log_partition", lambda *_: Estimate(0.0, 3.0, Kind.ESTIMATE, 9))
    torch.manual_seed(0)
    found = strongest_log_prob(make(), x)
    assert found.kind is Kind.ESTIMATE
    assert 3.0 <= found.standard_error < 3.5


def test_a_bound_that_is_drawn_is_averaged_over_draws(x):
    model, draws = IndependentPixels(SMALL), iter(range(100))

    def drawn(part, y=None):
        return LogProb(torch.full((len(part),), float(next(draws))), Kind.LOWER_BOUND)

    model.log_prob = drawn
    found = strongest_log_prob(model, x, repeats=4)
    assert (found.value, found.kind) == (2.5, Kind.LOWER_BOUND)  # the mean of draws 1 to 4, after one look at the kind


def test_an_image_under_an_energy_is_bounded_over_its_cell_and_not_taken_at_its_middle():
    """A bowl over [−1, 1]: the mass of a cell is a difference of two normal distribution functions."""
    torch.manual_seed(0)
    space, narrow = Space.binary(1, 1, 2), 0.4
    model = EnergyModel(space, hidden=(), reference=narrow)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    x = torch.tensor([[[[0.0, 1.0]]], [[[1.0, 1.0]]]])
    # each pixel's cell is [−1, 0] or [0, 1] under N(0, narrow²)
    mass = 0.5 * math.erf(1 / narrow / math.sqrt(2))
    truth = 2 * math.log(mass)
    middle = 2 * (-0.5 * (0.5 / narrow) ** 2 - 0.5 * math.log(2 * math.pi * narrow**2))
    found = strongest_log_prob(model, x)
    spread = 2 * (-(1 / 3) / (2 * narrow**2) - 0.5 * math.log(2 * math.pi * narrow**2))  # E over a cell of u² is 1/3
    assert found.value == pytest.approx(spread, abs=0.5)
    assert found.value < truth
    assert found.value != pytest.approx(middle, abs=0.2)


def test_who_cannot_score_has_none():
    assert strongest_log_prob(GAN(Space.real(2)), torch.zeros(3, 2)) is None
