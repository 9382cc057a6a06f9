"""The deep Boltzmann machine against truths that are known: every state of 6-4-3 units enumerated."""

import itertools
import math

import pytest
import torch
from deep_tables import SIX, images, joint, log_p, random_dbm, states, total_variation

from dgmcourse.core import Kind, Space
from dgmcourse.evaluation import annealed_log_prob, bracket
from dgmcourse.models import DBM
from dgmcourse.models.boltzmann.deep_partition import log_partitions

SHAPES = [{}, {"classes": 3}, {"hidden": (4, 2, 3)}, {"hidden": (4, 2, 3), "classes": 2}]
every_shape = pytest.mark.parametrize("settings", SHAPES, ids=str)


# --- energy and log Z ------------------------------------------------------------------------------------------------------


@every_shape
def test_the_energy_is_the_formula_and_log_z_sums_it_over_even_and_over_odd_levels(settings):
    model = random_dbm(**settings)
    table = joint(model)
    index = [int(torch.randint(size, (), generator=torch.Generator().manual_seed(3))) for size in table.shape]
    h = [states(units)[[i]] for units, i in zip(model.hidden, index[1:], strict=False)]
    y = None if model.classes is None else torch.tensor([index[-1]])
    torch.testing.assert_close(model.energy(images()[[index[0]]], h, y)[0], -table[tuple(index)], rtol=0, atol=1e-12)
    exact = table.flatten().logsumexp(0) if y is None else table.flatten(0, -2).logsumexp(0)
    for parity in (0, 1):
        found = log_partitions(model.levels, parity)
        torch.testing.assert_close(found, exact.view(found.shape), rtol=0, atol=1e-9)
    assert model.log_partition().value.item() == pytest.approx(
        table.logsumexp(tuple(range(table.ndim))).item(), abs=1e-9
    )


@every_shape
def test_annealing_finds_log_z(settings):
    model = random_dbm(**settings)
    exact = model.log_partition().value.item()
    torch.manual_seed(0)
    found = model.log_partition("ais", chains=500, temperatures=1000)
    assert found.kind is Kind.ESTIMATE
    assert found.value.item() == pytest.approx(exact, abs=0.02)
    both = bracket(model, chains=200, temperatures=200)
    assert both.lower.value.item() - 0.1 < exact < both.upper.value.item() + 0.1
    assert both.gap < 0.2


def test_a_model_too_large_to_enumerate_is_said_to_be_unnormalized_and_refused():
    model = DBM(Space.binary(24), (22, 3))
    x = torch.zeros(2, 24)
    assert model.log_prob(x).kind is Kind.UNNORMALIZED
    with pytest.raises(ValueError, match=r"2\^22 states.*ais"):
        model.log_partition()
    with pytest.raises(ValueError, match="'exact' or 'ais'"):
        model.log_partition("guess")
    assert annealed_log_prob(model, x, chains=10, temperatures=5).kind is Kind.ESTIMATE


@every_shape
def test_counting_from_centers_changes_the_parameters_and_not_the_family(settings):
    """With bᵢ − Wᵢ oᵢ₊₁ − Wᵢ₋₁ᵀ oᵢ₋₁ in place of bᵢ, and no centers, it is the same machine."""
    model, plain = random_dbm(**settings), random_dbm(centered=False, **settings)
    with torch.no_grad():
        for i, weight in enumerate(model.levels.weights):
            plain.levels.biases[i] -= weight @ model.levels.center(i + 1)
            plain.levels.biases[i + 1] -= model.levels.center(i) @ weight
    torch.testing.assert_close(log_p(model), log_p(plain), rtol=0, atol=1e-12)
    torch.testing.assert_close(model.log_prob(images()).value, plain.log_prob(images()).value, rtol=0, atol=1e-9)
    assert not any(DBM(SIX, (4, 3)).levels.centers)  # a new machine is the textbook's


def test_a_machine_that_is_centered_on_data_starts_at_their_means():
    x = images()[[1, 3, 7, 15, 31, 62]]
    model = DBM(SIX, (4, 3), classes=2).double().initialize(x)
    with torch.no_grad():
        for weight in model.levels.weights:
            weight.zero_()
    mean = x.mean(0).flatten().clamp(0.01, 0.99)
    independent = torch.distributions.Bernoulli(mean).log_prob(images().flatten(1)).sum(-1)
    torch.testing.assert_close(model.log_prob(images()).value, independent, rtol=0, atol=1e-10)
    torch.testing.assert_close(model.levels.centers[:6], x.mean(0).flatten())


# --- the bound -------------------------------------------------------------------------------------------------------------


@every_shape
def test_the_bound_is_below_log_p_of_every_image_by_the_divergence_of_q_from_the_posterior(settings):
    model = random_dbm(**settings)
    log_posterior = joint(model).flatten(1).log_softmax(1)
    means = model.mean_field(images(), updates=50)
    log_q = torch.zeros(64, 1, dtype=torch.float64)
    for level, mean in enumerate(means):
        if level < len(model.hidden):
            part = torch.distributions.Bernoulli(mean[:, None]).log_prob(states(mean.shape[1])).sum(-1)
        else:
            part = mean.log()
        log_q = (log_q[:, :, None] + part[:, None]).flatten(1)
    divergence = (log_q.exp() * (log_q - log_posterior)).sum(1)
    found = model.log_prob(images())
    assert found.kind is Kind.LOWER_BOUND
    assert (found.value < log_p(model)).all()
    torch.testing.assert_close(found.value, log_p(model) - divergence, rtol=0, atol=1e-10)
    for label in range(model.classes or 0):
        given = model.log_prob(images(), torch.full((64,), label)).value
        assert (given < log_p(model, label)).all()
        assert (given > log_p(model, label) - 3).all()


@every_shape
def test_every_round_of_mean_field_raises_the_bound_and_its_end_is_a_stationary_point(settings):
    model = random_dbm(**settings)
    bounds = [-model.variational_free_energy(images(), updates=n) for n in (0, 1, 2, 4, 8, 400)]
    for earlier, later in itertools.pairwise(bounds):
        assert (later >= earlier - 1e-12).all()
    assert (bounds[-1] > bounds[0] + 1e-6).any()
    means = model.mean_field(images(), updates=2000)
    logits = [mean.log() if i == len(model.hidden) else mean.logit() for i, mean in enumerate(means)]
    logits = [logit.detach().requires_grad_() for logit in logits]
    free = [logit.softmax(-1) if i == len(model.hidden) else logit.sigmoid() for i, logit in enumerate(logits)]
    entropy = sum(torch.special.entr(mean).sum() for mean in free)
    entropy = entropy + sum(torch.special.entr(1 - mean).sum() for mean in free[: len(model.hidden)])
    (model.levels.energy([images().flatten(1), *free]).sum() - entropy).backward()
    for logit in logits:
        torch.testing.assert_close(logit.grad, torch.zeros_like(logit), rtol=0, atol=1e-8)


def test_annealing_gives_the_bound_an_estimated_log_z():
    model = random_dbm()
    torch.manual_seed(0)
    found = annealed_log_prob(model, images(), chains=300, temperatures=500)
    assert found.kind is Kind.ESTIMATE
    torch.testing.assert_close(found.value, model.log_prob(images()).value, rtol=0, atol=0.03)


# --- conditional distributions and samples -------------------------------------------------------------------------------------


def test_conditionals_are_those_of_the_joint():
    model = random_dbm()
    p, h1, h2, x = joint(model).exp(), states(4), states(3), states(6)
    given_both = torch.einsum("xhk,hi->xki", p, h1) / p.sum(1)[:, :, None]  # E[h₁ | x, h₂]
    pairs = [x.repeat_interleave(8, 0), None, h2.repeat(64, 1)]
    torch.testing.assert_close(model.levels.inputs(1, pairs).sigmoid(), given_both.flatten(0, 1), rtol=0, atol=1e-12)
    given_h1 = torch.einsum("xhk,xi->hi", p, x) / p.sum((0, 2))[:, None]
    torch.testing.assert_close(model.levels.inputs(0, [None, h1, None]).sigmoid(), given_h1, rtol=0, atol=1e-12)
    given_h1 = torch.einsum("xhk,ki->hi", p, h2) / p.sum((0, 2))[:, None]
    torch.testing.assert_close(model.levels.inputs(2, [None, h1, None]).sigmoid(), given_h1, rtol=0, atol=1e-12)


@every_shape
def test_samples_have_the_exact_distribution(settings):
    model = random_dbm(scale=0.7, sweeps=30, **settings)
    exact = log_p(model).exp()
    torch.manual_seed(1)
    assert total_variation(model.sample(10_000).flatten(1), exact) < 0.05
    assert total_variation(model.exact_samples(10_000).flatten(1), exact) < 0.05
    for label in range(model.classes or 0):
        samples = model.sample(10_000, torch.full((10_000,), label))
        assert total_variation(samples.flatten(1), log_p(model, label).exp()) < 0.05


def test_completing_keeps_what_is_known_and_draws_the_rest_from_its_conditional():
    model = random_dbm(scale=0.8)
    known = torch.tensor([True, True, False, False, True, False]).view(1, 2, 3)
    x = torch.tensor([1.0, 0.0, 0.5, 0.5, 1.0, 0.5], dtype=torch.float64).view(1, 1, 2, 3).repeat(10_000, 1, 1, 1)
    torch.manual_seed(2)
    completed = model.complete(x, known, sweeps=30)
    assert torch.equal(completed[:, known], x[:, known])
    agrees = (states(6)[:, known.flatten()] == x[0][known]).all(-1)
    exact = log_p(model).masked_fill(~agrees, -math.inf).softmax(0)
    assert total_variation(completed.flatten(1), exact) < 0.03


@pytest.mark.parametrize("hidden", [(4, 3), (4, 2, 3)])
def test_where_couplings_are_weak_mean_field_is_nearly_exact(hidden):
    model = random_dbm(hidden, scale=0.1)
    p, tops = joint(model).exp().flatten(1, -2), states(hidden[-1])  # (x, inner, top)
    top_given_x = torch.einsum("xik,kj->xj", p, tops) / p.sum((1, 2))[:, None]
    torch.testing.assert_close(model.encode(images()), top_given_x, rtol=0, atol=1e-3)
    x_given_top = torch.einsum("xik,xj->kj", p, states(6)) / p.sum((0, 1))[:, None]
    torch.testing.assert_close(model.decode(tops).flatten(1), x_given_top, rtol=0, atol=1e-3)
