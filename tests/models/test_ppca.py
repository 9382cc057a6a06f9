"""Probabilistic PCA against eigenvalues, direct conditioning of a Gaussian, and scikit-learn."""

import copy
import itertools
import math

import pytest
import torch
from members import correlated, every, seeded
from sklearn.decomposition import PCA
from torch.distributions import MultivariateNormal, Normal

from dgmcourse.core import Kind, Latent, Space
from dgmcourse.data import digits
from dgmcourse.evaluation import linear_gaussian_log_prob
from dgmcourse.models import PPCA
from dgmcourse.models.latent.ppca import linear_gaussian_log_density
from dgmcourse.training import fit


@pytest.fixture(scope="module")
def scans():
    """All 1,797 digits, their ink from 0 to 1: (1797, 64)."""
    data = digits(17)
    return torch.cat([data.train, data.valid, data.test]).flatten(1)


def average(model, x):
    return model.log_prob(x).value.mean().item()


def covariance_of(model):
    return (model.weight @ model.weight.T + model.variance * torch.eye(len(model.weight)).to(model.weight)).detach()


@pytest.mark.parametrize(("latents", "truth"), [(2, 0.006), (8, 14.210), (16, 23.929)])
def test_digits_in_closed_form_and_by_em(scans, latents, truth):
    closed = PPCA(Space.real(64), latents).estimate(scans)
    assert average(closed, scans) == pytest.approx(truth, abs=1e-3)
    values = torch.linalg.eigvalsh(torch.cov(scans.double().T, correction=0)).flip(0)
    noise = values[latents:].mean()
    formula = -0.5 * (64 * math.log(2 * math.pi) + values[:latents].log().sum() + (64 - latents) * noise.log() + 64)
    assert average(closed, scans) == pytest.approx(float(formula), abs=1e-4)
    assert average(copy.deepcopy(closed).double(), scans.double()) == pytest.approx(float(formula), abs=1e-6)
    torch.manual_seed(0)
    model = PPCA(Space.real(64), latents)
    found = [float(state.log_prob.double().mean()) for state in model.em(scans, 200)]
    assert found[-1] == pytest.approx(truth, abs=0.01)
    assert min(later - earlier for earlier, later in itertools.pairwise(found)) > -3e-5  # float32
    assert average(model, scans) == pytest.approx(found[-1], abs=1e-4)


@pytest.mark.parametrize("latents", [2, 8, 16])
def test_scores_equal_scikit_learns(scans, latents):
    x = scans.double()
    model, reference = (
        PPCA(Space.real(64), latents).double().estimate(x),
        PCA(latents, svd_solver="full").fit(x.numpy()),
    )
    assert average(model, x) == pytest.approx(reference.score(x.numpy()), abs=1e-5)
    with torch.no_grad():  # scikit-learn divides by n − 1; with that, the same to the last digits
        model.weight.mul_((1797 / 1796) ** 0.5)
        model.log_variance.add_(math.log(1797 / 1796))
    expected = torch.from_numpy(reference.score_samples(x.numpy()))
    torch.testing.assert_close(model.log_prob(x).value.detach(), expected, rtol=1e-9, atol=1e-8)


def test_em_never_falls_and_reaches_the_closed_form():
    x = correlated(300, 6)
    closed = average(PPCA(Space.real(6), 2).double().estimate(x), x)
    torch.manual_seed(0)
    model, found = PPCA(Space.real(6), 2).double(), []
    for state in model.em(x, 1500):
        found.append(float(state.log_prob.mean()))
    assert min(later - earlier for earlier, later in itertools.pairwise(found)) > -1e-12
    assert found[-1] == pytest.approx(closed, abs=1e-6)
    assert max(found) < closed + 1e-9
    assert [state.iteration for state in model.em(x, 2)] == [0, 1, 2]


def test_the_closed_form_has_no_gradient_left_and_training_finds_it(scans):
    x = correlated(300, 6)
    grey = digits(17)
    for space, points, latents in ((Space.real(6), x, 2), (grey.space, grey.train.double(), 8)):
        model = PPCA(space, latents).double().estimate(points)
        model.log_prob(points).value.mean().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad.abs().max() < 1e-9, (space, name)
    torch.manual_seed(0)
    by_gradient = PPCA(Space.real(64), 2)
    fit(by_gradient, scans, steps=600, batch_size=300, lr=0.05, schedule="cosine", progress=False)
    assert average(by_gradient, scans) == pytest.approx(0.006, abs=0.05)


def test_density_and_its_gradient_equal_the_full_gaussians():
    generator = seeded()
    x, weight = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((9, 5), (5, 2)))
    bias = torch.randn(5, generator=generator, dtype=torch.float64)
    parts = [part.requires_grad_() for part in (weight, bias, torch.tensor(0.3, dtype=torch.float64))]
    weight, bias, variance = parts
    normal = MultivariateNormal(bias, weight @ weight.T + variance * torch.eye(5, dtype=torch.float64))
    found, expected = linear_gaussian_log_density(x, *parts), normal.log_prob(x)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    for one, other in zip(
        torch.autograd.grad(found.sum(), parts), torch.autograd.grad(expected.sum(), parts), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    of_evaluation = linear_gaussian_log_prob(x, weight, bias, variance.sqrt())
    torch.testing.assert_close(of_evaluation.value, expected.detach(), rtol=1e-10, atol=1e-10)


def test_a_small_noise_costs_float32_no_digits():
    """W is 10⁴ times as large as σ: subtracting large squares would lose nats."""
    torch.manual_seed(0)
    model = PPCA(Space.real(20), 3)
    with torch.no_grad():
        model.weight.mul_(10)
        model.log_variance.fill_(math.log(1e-6))
        x = model.sample(50)
    exact = copy.deepcopy(model).double().log_prob(x.double()).value
    torch.testing.assert_close(model.log_prob(x).value.double(), exact, rtol=1e-3, atol=0.05)


def test_the_posterior_is_the_joint_gaussian_conditioned_on_x():
    x = correlated(50, 5)
    model = PPCA(Space.real(5), 2).double().estimate(x)
    with torch.no_grad():
        mean, covariance = model.posterior(x)
        # z and x are jointly Gaussian with cov(z, x) = Wᵀ
        gain = model.weight.T @ torch.linalg.inv(covariance_of(model))
        torch.testing.assert_close(mean, (x - model.bias) @ gain.T, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(covariance, torch.eye(2).double() - gain @ model.weight, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(model.encode(x), mean, rtol=0, atol=0)
        # Bayes' rule at any z
        z = torch.randn(50, 2, generator=seeded(), dtype=torch.float64)
        likelihood = Normal(model.decode(z), model.variance.sqrt()).log_prob(x).sum(-1)
        prior = Normal(0.0, 1.0).log_prob(z).sum(-1)
        posterior = MultivariateNormal(mean, covariance).log_prob(z)
        torch.testing.assert_close(likelihood + prior - posterior, model.log_prob(x).value, rtol=1e-9, atol=1e-9)
    assert isinstance(model, Latent)


def test_draws_have_the_models_moments():
    model, n = PPCA(Space.real(4), 2).double().estimate(correlated(200, 4)), 50_000
    torch.manual_seed(0)
    x = model.sample(n)
    assert ((x.mean(0) - model.bias.detach()).abs() < 4 * x.std(0) / n**0.5).all()
    products = (x - model.bias.detach())[:, :, None] * (x - model.bias.detach())[:, None]
    assert ((products.mean(0) - covariance_of(model)).abs() < 4 * products.std(0) / n**0.5).all()


def test_a_rotation_of_the_latents_changes_nothing_but_the_latents():
    x = correlated(50, 5)
    model = PPCA(Space.real(5), 2).double().estimate(x)
    before = model.log_prob(x).value.detach()
    turn = torch.tensor([[math.cos(1), -math.sin(1)], [math.sin(1), math.cos(1)]], dtype=torch.float64)
    with torch.no_grad():
        codes = model.encode(x)
        model.weight.copy_(model.weight @ turn)
    torch.testing.assert_close(model.log_prob(x).value.detach(), before, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(model.encode(x).detach(), codes @ turn, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("space", [Space.binary(1, 1, 3), Space.grey(1, 1, 3, levels=4)], ids=str)
def test_on_discrete_spaces_log_prob_is_the_mean_over_noise_and_a_bound(space):
    torch.manual_seed(0)
    model, x = PPCA(space, 1).double(), every(space).double()
    with torch.no_grad():
        model.log_variance.fill_(-3.0)
        found = model.log_prob(x)
        normal = MultivariateNormal(model.bias, covariance_of(model))
        draws = torch.stack([space.dequantize(x).flatten(1) for _ in range(4000)])
        sampled = normal.log_prob(draws) + space.log_cell_volume
    assert found.kind is Kind.LOWER_BOUND
    assert ((sampled.mean(0) - found.value).abs() < 4.5 * sampled.std(0) / 4000**0.5).all()
    assert found.value.logsumexp(0) < 0


def test_grey_images_are_estimated_and_rebuilt():
    data = digits(17)
    model = PPCA(data.space, 16).estimate(data.train)
    nats = [average(PPCA(data.space, latents).estimate(data.train), data.test) for latents in (2, 8, 16)]
    assert nats == sorted(nats)
    torch.manual_seed(0)
    *_, last = PPCA(data.space, 16).em(data.train, 200)
    assert float(last.log_prob.mean()) == pytest.approx(average(model, data.train), abs=0.01)
    rebuilt = model.decode(model.encode(data.test)).detach()
    data.space.check(rebuilt)
    assert (rebuilt - data.test).square().sum() < 0.2 * (data.train.mean(0) - data.test).square().sum()
    # what a latent of zero means is the average image
    torch.testing.assert_close(model.decode(torch.zeros(1, 16)).detach()[0], data.train.mean(0), rtol=0, atol=1e-5)


def test_what_makes_no_sense_is_refused_in_words():
    assert PPCA(Space.real(2)).latents == 1
    assert PPCA(Space.real(3)).latents == 2
    with pytest.raises(ValueError, match=r"1 ≤ latents < 2.*got 2"):
        PPCA(Space.real(2), 2)
    with pytest.raises(ValueError, match="real, binary or grey"):
        PPCA(Space.tokens(4, 3))
    with pytest.raises(ValueError, match="at least 3 examples, got 2"):
        PPCA(Space.real(3), 2).estimate(torch.randn(2, 3))
    line = torch.randn(50, 1, generator=seeded()) * torch.tensor([[1.0, 2.0, -1.0]])
    with pytest.raises(ValueError, match="no more than 1 directions"):
        PPCA(Space.real(3), 1).estimate(line)
    with pytest.raises(ValueError, match="no more than 1 directions"):
        list(PPCA(Space.real(3), 1).em(line, 500))
    with pytest.raises(ValueError, match=r"z must have shape \(batch, 2\)"):
        PPCA(Space.real(3), 2).decode(torch.zeros(4, 3))
