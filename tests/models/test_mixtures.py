"""Mixtures against closed forms, enumeration, PyTorch's own, and what they are used for. EM has its own file."""

import copy
import math

import numpy
import pytest
import torch
from members import every, seeded, some
from mixture_cases import both_covariances, clusters, never_falls, random_mixture
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal, Normal

from dgmcourse.core import Kind, Latent, Space
from dgmcourse.data import digits, toy
from dgmcourse.models import BernoulliMixture, GaussianMixture
from dgmcourse.training import fit


def as_distribution(model):
    """The same mixture as PyTorch knows it."""
    covariances = model.covariances if model.covariance == "full" else model.covariances.diag_embed()
    return MixtureSameFamily(Categorical(model.weights), MultivariateNormal(model.means, covariances))


# --- densities -----------------------------------------------------------------------------------------------------


@both_covariances
@pytest.mark.parametrize("n", [7, 3000])  # the second in several pieces
def test_log_prob_equals_torchs(covariance, n):
    model, x = random_mixture(covariance, dim=24, components=20), 2 * torch.randn(n, 24, dtype=torch.float64)
    torch.testing.assert_close(model.log_prob(x).value, as_distribution(model).log_prob(x), rtol=1e-10, atol=1e-10)
    assert model.log_prob(x).kind is Kind.EXACT
    torch.testing.assert_close(model.log_joint(x).softmax(-1), model.responsibilities(x), rtol=1e-12, atol=1e-12)


@both_covariances
def test_gradients_equal_torchs(covariance):
    model, x = random_mixture(covariance), clusters(50)
    parameters = list(model.parameters())
    found = torch.autograd.grad(model.log_prob(x).value.sum(), parameters)
    expected = torch.autograd.grad(as_distribution(model).log_prob(x).sum(), parameters)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


@both_covariances
def test_a_narrow_component_far_out_loses_no_digits_in_float32(covariance):
    """μ² / σ² is 10¹²: distances multiplied out in float32 would be off by thousands of nats."""
    model = GaussianMixture(Space.real(2), 2, covariance)
    with torch.no_grad():
        model.means.copy_(torch.tensor([[100.0, -50.0], [0.0, 0.0]]))
        narrow = model.raw_factors.diagonal(dim1=1, dim2=2) if covariance == "full" else model.log_vars
        narrow[0] = math.log(1e-4) * (1 if covariance == "full" else 2)
    x = model.means[:1].detach() + 3e-4 * torch.randn(20, 2, generator=seeded())
    exact = copy.deepcopy(model).double().log_prob(x.double()).value
    torch.testing.assert_close(model.log_prob(x).value.double(), exact, rtol=1e-5, atol=1e-4)


@both_covariances
def test_draws_have_the_mixtures_moments(covariance):
    model, n = random_mixture(covariance, dim=2, components=3), 40_000
    torch.manual_seed(0)
    x = model.sample(n)
    weights, means = model.weights.detach(), model.means.detach()
    covariances = (model.covariances if covariance == "full" else model.covariances.diag_embed()).detach()
    mean = weights @ means
    second = torch.einsum("k,kij->ij", weights, covariances + means[:, :, None] * means[:, None])
    assert ((x.mean(0) - mean).abs() < 4 * x.std(0) / n**0.5).all()
    products = x[:, :, None] * x[:, None]
    assert ((products.mean(0) - second).abs() < 4 * products.std(0) / n**0.5).all()
    # and the average surprise is the same whether asked for or drawn again
    torch.manual_seed(1)
    values = [model.log_prob(part).value.mean() for part in (x, model.sample(n))]
    assert values[0].item() == pytest.approx(values[1].item(), abs=0.02)


@pytest.mark.parametrize("space", [Space.binary(1, 1, 2), Space.grey(1, 1, 2, levels=4)], ids=str)
@both_covariances
def test_on_discrete_spaces_log_prob_is_a_bound_of_the_mass_in_a_cell(space, covariance):
    torch.manual_seed(0)
    model, x = GaussianMixture(space, 3, "diagonal").double(), every(space).double()
    cells = (x.flatten(1) * (space.levels - 1))[:, None]
    component = Normal(model.means, model.covariances.sqrt())
    mass = component.cdf((cells + 1) / space.levels) - component.cdf(cells / space.levels)
    exact = (mass.prod(-1) @ model.weights).log()
    if covariance == "full":
        factors = 0.5 * model.log_vars.detach().diag_embed()
        model = GaussianMixture(space, 3, "full").double()
        model.load_state_dict({**model.state_dict(), "raw_factors": factors, "means": component.loc.detach()})
    found = model.log_prob(x)
    assert found.kind is Kind.LOWER_BOUND
    assert (found.value < exact).all()
    assert found.value.logsumexp(0) < 0
    # tighter than Jensen over both noise and components is the mean over noise alone, which is a bound too
    draws = torch.stack([space.dequantize(x).flatten(1) for _ in range(3000)])
    over_noise = as_distribution(model).log_prob(draws).mean(0) + space.log_cell_volume
    assert (found.value < over_noise + 0.02).all()
    assert (over_noise < exact + 0.02).all()


def test_half_precision_costs_the_likelihood_nothing():
    for covariance in ("full", "diagonal"):
        model, x = random_mixture(covariance, dim=8).float(), clusters(20, dim=8, dtype=torch.float32)
        with torch.autocast("cpu", torch.bfloat16):
            found = model.log_prob(x).value
        torch.testing.assert_close(found, model.log_prob(x).value, rtol=0, atol=0)


# --- starting, learning by gradient, representing -------------------------------------------------------------------


def test_starting_from_points_depends_on_the_seed_alone():
    x = clusters()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    models = [GaussianMixture(Space.real(3), 4).double() for _ in range(3)]
    torch.set_rng_state(state)
    for model, seed in zip(models, (5, 5, 6), strict=True):
        model.initialize(x, seed=seed)
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(models[0].means, models[1].means, rtol=0, atol=0)
    assert (models[0].means != models[2].means).any()
    assert all((x == mean).all(-1).any() for mean in models[0].means)
    expected = torch.cov(x.T, correction=0).expand(4, 3, 3)
    torch.testing.assert_close(models[0].covariances.detach(), expected, rtol=1e-9, atol=1e-9)


def test_k_means_finds_the_eight_gaussians():
    data = toy("eight_gaussians")
    model = GaussianMixture(data.space, 8).initialize(data.train, method="kmeans")
    list(model.em(data.train, 20))
    assert model.log_prob(data.test).value.mean().item() == pytest.approx(-data.truth.entropy, abs=0.03)
    assert model.weights.detach().numpy() == pytest.approx(1 / 8, abs=0.02)
    assert model.covariances.detach().numpy() == pytest.approx(
        numpy.broadcast_to(0.25 * numpy.eye(2), (8, 2, 2)), abs=0.04
    )


@both_covariances
def test_the_gradient_leads_where_em_leads(covariance):
    x = clusters(dtype=torch.float32)
    start = GaussianMixture(Space.real(3), 4, covariance).initialize(x)
    by_gradient = copy.deepcopy(start)
    *_, last = start.em(x, 200)
    first = by_gradient.log_prob(x).value.mean().item()
    fit(by_gradient, x, steps=600, batch_size=600, lr=0.05, schedule="cosine", progress=False)
    reached, best = by_gradient.log_prob(x).value.mean().item(), float(last.log_prob.mean())
    assert best - reached < 0.1
    assert best - reached < 0.05 * (best - first)


def test_a_mixture_represents_and_rebuilds():
    data = digits(17)
    model = GaussianMixture(data.space, 10, "diagonal").initialize(data.train, method="kmeans")
    assert isinstance(model, Latent)
    codes = model.encode(data.test)
    assert codes.shape == (297, model.latents)
    rebuilt = model.decode(codes)
    data.space.check(rebuilt)
    assert (rebuilt - data.test).square().sum() < 0.7 * (data.train.mean(0) - data.test).square().sum()
    # a component's mean, decoded, is the mean of the images that it holds
    labels = torch.eye(10)[data.train_labels]
    model.m_step(data.train, labels)
    torch.testing.assert_close(model.decode(torch.eye(10)[:1])[0], data.train[data.train_labels == 0].mean(0))


# --- mixtures of Bernoullis ------------------------------------------------------------------------------------------


def test_bernoulli_probabilities_sum_to_one_and_equal_the_products():
    torch.manual_seed(0)
    space = Space.binary(1, 3, 3)
    model, x = BernoulliMixture(space, 3).double(), every(space).double()
    with torch.no_grad():
        model.logits.copy_(torch.randn(3))
        found = model.log_prob(x)
        p = model.probabilities
        one_by_one = torch.where(x[:, None] == 1, p, 1 - p).flatten(2).prod(-1) @ model.weights
    assert found.kind is Kind.EXACT
    torch.testing.assert_close(found.value.exp(), one_by_one, rtol=1e-10, atol=1e-14)
    assert found.value.exp().sum().item() == pytest.approx(1, abs=1e-12)
    torch.manual_seed(0)
    share = model.sample(20_000).mean(0)
    assert ((share - model.decode(model.weights[None]).detach()[0]).abs() < 4 * 0.5 / 20_000**0.5).all()


def test_a_bernoulli_m_step_has_no_gradient_left():
    x = some(Space.binary(1, 3, 3), 60).double()
    q = torch.randn(60, 4, generator=seeded(), dtype=torch.float64).softmax(-1)
    for pseudo_count in (0.0, 0.5):
        model = BernoulliMixture(Space.binary(1, 3, 3), 4, pseudo_count).double().m_step(x, q)
        ((q * model.log_joint(x)).sum() + model.log_prior).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad.abs().max() < 1e-8, name


def test_with_pseudo_counts_em_climbs_likelihood_and_prior_together():
    data = digits()
    model, values = BernoulliMixture(data.space, 10, pseudo_count=1.0).double().initialize(data.train), []
    for state in model.em(data.train, 40):
        values.append((state.log_prob.sum() + model.log_prior).item())
    never_falls(values, 1e-8)


def test_without_pseudo_counts_nothing_becomes_infinite():
    data = digits()
    for dtype in (torch.float32, torch.float64):
        model = BernoulliMixture(data.space, 30, pseudo_count=0).to(dtype).initialize(data.train)
        values = [state.log_prob for state in model.em(data.train.to(dtype), 40)]
        assert torch.stack(values).isfinite().all()
        assert (model.probabilities > 0).all()
        assert (model.probabilities < 1).all()
        assert model.log_prob(data.test).value.isfinite().all()


def test_components_explain_digits_far_better_than_independent_pixels():
    """One component is independent pixels: 25.2 nats on the test images. The number of components is validation's choice."""
    data, found = digits(), {}
    for components in (1, 10, 40, 80):
        model = BernoulliMixture(data.space, components).initialize(data.train)
        list(model.em(data.train, 60))
        found[components] = [-model.log_prob(x).value.mean().item() for x in (data.valid, data.test)]
    assert found[1][1] == pytest.approx(25.2, abs=0.3)
    best = min(found, key=lambda components: found[components][0])
    assert best >= 40
    assert found[best][1] < 18.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianMixture(Space.tokens(4, 3)), "real, binary or grey"),
        (lambda: GaussianMixture(Space.real(2), 0), "components ≥ 1, got 0"),
        (lambda: GaussianMixture(Space.real(2), covariance="diag"), "'full' or 'diagonal', got 'diag'"),
        (lambda: GaussianMixture(Space.real(2), floor=-1.0), "floor is a variance"),
        (lambda: GaussianMixture(Space.real(2), 5).initialize(torch.zeros(4, 2)), "5 components need as many examples"),
        (lambda: GaussianMixture(Space.real(2)).initialize(torch.randn(9, 2), "random"), "'points' or 'kmeans'"),
        (lambda: GaussianMixture(Space.real(2), 3).m_step(torch.randn(9, 2), torch.ones(9, 2)), r"shape \(9, 3\)"),
        (lambda: next(GaussianMixture(Space.real(2)).em(torch.zeros(0, 2))), "at least one example"),
        (lambda: BernoulliMixture(Space.real(2)), r"binary space, got real\(2\); binarize"),
        (lambda: BernoulliMixture(Space.binary(2), pseudo_count=-1.0), "pseudo_count must be ≥ 0"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make()
