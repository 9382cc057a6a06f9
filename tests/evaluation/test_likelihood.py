"""Averages over splits, exact Gaussians, grids."""

import math

import pytest
import torch
from torch.distributions import Normal

from dgmcourse.core import GenerativeModel, Kind, LogProb, Space, Step
from dgmcourse.evaluation import (
    average_log_prob,
    grid_posterior,
    importance_weighted_log_prob,
    integrated_log_prob,
    linear_gaussian_log_prob,
)
from dgmcourse.models import VAE


class Standard(GenerativeModel):
    """N(0, I), exactly; noisy by a known amount where asked."""

    noise = 0.0

    def __init__(self, space: Space):
        super().__init__(space)
        self.unused = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, x, y=None):
        yield Step(self.unused.square())

    def trajectory(self, n, y=None):
        yield torch.randn(n, *self.space.shape)

    def log_prob(self, x, y=None):
        exact = Normal(0.0, 1.0).log_prob(x).sum(-1)
        return LogProb(exact + self.noise * torch.randn_like(exact), Kind.EXACT)


class Mute(Standard):
    def log_prob(self, x, y=None):
        return None


def test_the_average_is_the_mean_whatever_the_batches():
    x = torch.randn(103, 3, generator=torch.Generator().manual_seed(0))
    model = Standard(Space.real(3))
    whole, parts = average_log_prob(model, x), average_log_prob(model, x, batch_size=10)
    values = model.log_prob(x).value
    assert whole.value == pytest.approx(float(values.mean()), rel=1e-6)
    assert parts.value == pytest.approx(whole.value, rel=1e-6)
    assert whole.standard_error == pytest.approx(float(values.std()) / math.sqrt(103), rel=1e-5)
    assert (whole.kind, whole.count) == (Kind.EXACT, 103)


def test_repeats_average_the_noise_of_a_bound_away():
    x = torch.zeros(50, 1)
    model = Standard(Space.real(1))
    model.noise = 1.0
    torch.manual_seed(0)
    once = average_log_prob(model, x).standard_error
    often = average_log_prob(model, x, repeats=100).standard_error
    assert often == pytest.approx(once / 10, rel=0.3)


def test_a_model_that_cannot_score_is_named():
    with pytest.raises(ValueError, match="Mute has no log_prob"):
        average_log_prob(Mute(Space.real(1)), torch.zeros(3, 1))


def test_linear_gaussian_equals_a_numerical_integral():
    weight, bias = torch.tensor([[1.0], [-0.5]]), torch.tensor([0.2, 0.1])
    x = torch.tensor([[0.0, 0.0], [1.0, 1.0], [-2.0, 0.3]])
    z = torch.linspace(-9, 9, 6001, dtype=torch.float64)
    means = z[:, None] * weight[:, 0].double() + bias.double()
    joint = Normal(means, 0.7).log_prob(x[:, None].double()).sum(-1) + Normal(0.0, 1.0).log_prob(z)
    integral = joint.logsumexp(-1) + math.log(18 / 6000)
    found = linear_gaussian_log_prob(x, weight, bias, 0.7)
    torch.testing.assert_close(found.value.double(), integral, rtol=0, atol=1e-6)
    assert found.kind is Kind.EXACT


def test_importance_weighting_over_a_split_is_the_models_own_bound():
    torch.manual_seed(0)
    model = VAE(Space.binary(1, 3, 3), 1, hidden=(8,))
    x = torch.bernoulli(torch.full((30, 1, 3, 3), 0.4))
    exact = float(integrated_log_prob(model, x).value.mean())
    estimate = importance_weighted_log_prob(model, x, samples=2000, batch_size=7)
    assert estimate.value == pytest.approx(exact, abs=0.01)
    assert (estimate.kind, estimate.count) == (Kind.LOWER_BOUND, 30)


def test_a_grid_knows_the_posterior():
    torch.manual_seed(0)
    model = VAE(Space.binary(1, 3, 3), 1, hidden=(8,)).double()
    x = torch.bernoulli(torch.full((4, 1, 3, 3), 0.4, dtype=torch.float64))
    grid = grid_posterior(model, x)
    for density in (grid.posterior, grid.guess):
        torch.testing.assert_close(density.sum(-1) * grid.spacing, torch.ones(4).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(grid.log_prob, integrated_log_prob(model, x).value, rtol=0, atol=1e-8)
    with pytest.raises(ValueError, match="for one latent, this model has 2"):
        grid_posterior(VAE(Space.real(2), 2), torch.zeros(1, 2))


def test_integrals_respect_the_condition():
    torch.manual_seed(0)
    model = VAE(Space.binary(1, 2, 2), 1, hidden=(8,), classes=3)
    images = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4).view(-1, 1, 2, 2)
    for label in range(3):
        y = torch.full((16,), label)
        assert float(integrated_log_prob(model, images, y).value.logsumexp(0)) == pytest.approx(0, abs=1e-5)
    mixed = torch.arange(16) % 3
    found = integrated_log_prob(model, images, mixed).value
    for label in range(3):
        chosen = mixed == label
        alone = integrated_log_prob(model, images[chosen], mixed[chosen]).value
        torch.testing.assert_close(found[chosen], alone)


def test_a_grid_that_is_too_small_is_refused():
    torch.manual_seed(0)
    model = VAE(Space.real(1), 1, hidden=())
    with torch.no_grad():
        model.decoder[0].weight.fill_(1.0)
        model.log_scale.fill_(-2.0)
    with pytest.raises(ValueError, match="give a larger extent"):
        integrated_log_prob(model, torch.tensor([[8.0]]))
    found = integrated_log_prob(model, torch.tensor([[8.0]]), extent=14.0, nodes=3000)
    exact = linear_gaussian_log_prob(torch.tensor([[8.0]]), *(p.detach() for p in (model.decoder[0].weight, model.decoder[0].bias)),
                                     model.log_scale.exp())  # fmt: skip
    torch.testing.assert_close(found.value, exact.value, rtol=0, atol=1e-3)
