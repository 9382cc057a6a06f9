"""The deep belief network against truths that are known: every state of 6-4-3 units enumerated."""

import math

import pytest
import torch
from deep_tables import SIX, exact_bound, images, log_top, random_dbn, states, tables, total_variation

from dgmcourse.core import Kind, Space
from dgmcourse.evaluation import annealed_log_prob, bracket, importance_weighted_log_prob
from dgmcourse.models import DBN
from dgmcourse.training import fit

# --- the bound ---------------------------------------------------------------------------------------------------------


def test_probabilities_of_all_images_sum_to_one_and_the_bound_is_below_each():
    model = random_dbn()
    exact = tables(model, images())[0].logsumexp(1)
    assert exact.exp().sum().item() == pytest.approx(1, abs=1e-12)
    bound = exact_bound(model, images())
    assert (bound < exact).all()
    torch.manual_seed(1)
    draws = model.log_weights(images(), samples=1000) - model.log_partition().value
    assert ((draws.mean(0) - bound).abs() < 4.5 * draws.std(0) / math.sqrt(1000)).all()
    torch.manual_seed(1)
    found = model.log_prob(images())
    assert found.kind is Kind.LOWER_BOUND
    torch.manual_seed(1)
    torch.testing.assert_close(found.value, model.log_weights(images())[0] - model.log_partition().value)


@pytest.mark.parametrize(("space", "classes"), [(SIX, None), (SIX, 3), (Space.real(2), None), (Space.real(2), 3)])
def test_a_weight_is_the_ratio_of_both_joint_probabilities(space, classes):
    """log p(x, h) − log q(h|x) for the very h that were drawn; p(x, h | y) where a label is given."""
    model = random_dbn(space, classes=classes)
    x = images() if space is SIX else torch.randn(64, 2, dtype=torch.float64)
    for label in (None, *range(classes or 0)):
        log_p, log_q = tables(model, x, label)
        y = None if label is None else torch.full((64,), label)
        torch.manual_seed(2)
        found = model.log_weights(x, y, samples=3) - model._normalizer(y)
        assert found.shape == (3, 64)
        torch.manual_seed(2)
        drawn = model._draw_up(x.repeat(3, *[1] * len(space.shape)), 1)[1]
        code = (drawn.long() * torch.tensor([8, 4, 2, 1])).sum(-1).view(3, 64)
        expected = torch.stack([(log_p - log_q)[torch.arange(64), row] for row in code])
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
        torch.manual_seed(2)
        torch.testing.assert_close(
            model.importance_weighted_bound(x, y, samples=3), expected.logsumexp(0) - math.log(3)
        )


def test_with_three_layers_a_weight_is_the_ratio_too():
    model = random_dbn(hidden=(5, 4, 3))
    log_h2 = log_top(model.top)
    torch.manual_seed(2)
    found = model.log_weights(images(), samples=1)[0] - model.log_partition().value
    torch.manual_seed(2)
    x, h1, h2 = model._draw_up(images(), 2)
    generated, recognized = log_h2[(h2.long() * torch.tensor([8, 4, 2, 1])).sum(-1)], torch.zeros(64).double()
    for rbm, linear, below, above in zip(model.layers, model.recognition, (x, h1), (h1, h2), strict=False):
        down = torch.distributions.Bernoulli(logits=above @ rbm.weight.T + rbm.visible_bias)
        generated = generated + down.log_prob(below).sum(-1)
        recognized = recognized + torch.distributions.Bernoulli(logits=linear(below)).log_prob(above).sum(-1)
    torch.testing.assert_close(found, generated - recognized, rtol=0, atol=1e-11)


def test_with_many_draws_the_importance_weighted_bound_reaches_the_truth():
    model = random_dbn(scale=0.5)
    model._follow(0)  # a recognition that is near the posterior, not equal to it
    exact = tables(model, images())[0].logsumexp(1)
    torch.manual_seed(3)
    few, many = (model.importance_weighted_bound(images(), samples=k, rows=64 * 300).mean() for k in (3, 1000))
    assert few + 0.01 < exact.mean() + 0.02
    assert many.item() == pytest.approx(exact.mean().item(), abs=0.01)
    estimate = importance_weighted_log_prob(model, images(), samples=300)
    assert estimate.kind is Kind.LOWER_BOUND
    assert estimate.value == pytest.approx(exact.mean().item(), abs=0.02)


def test_log_z_is_that_of_all_states_of_the_top_and_annealing_finds_it():
    model = random_dbn()
    top = model.top
    energies = torch.stack([top.energy(states(4), h.expand(16, -1)) for h in states(3)])
    exact = (-energies).logsumexp((0, 1)).item()
    assert model.log_partition().value.item() == pytest.approx(exact, abs=1e-9)
    torch.manual_seed(0)
    found = model.log_partition("ais", chains=500, temperatures=500)
    assert found.value.item() == pytest.approx(exact, abs=0.02)
    both = bracket(model, chains=300, temperatures=200)
    assert both.lower.value.item() - 0.05 < exact < both.upper.value.item() + 0.05
    estimate = annealed_log_prob(model, images(), chains=300, temperatures=200)
    assert estimate.kind is Kind.ESTIMATE
    assert estimate.value.mean().item() == pytest.approx(exact_bound(model, images()).mean().item(), abs=0.5)


def test_a_top_too_large_to_enumerate_is_said_to_be_unnormalized():
    model = DBN(Space.binary(9), (21, 22))
    x = torch.zeros(2, 9)
    assert model.log_prob(x).kind is Kind.UNNORMALIZED
    with pytest.raises(ValueError, match=r'log_partition\("ais"\)'):
        model.importance_weighted_bound(x)
    assert model.importance_weighted_bound(x, log_partition=3.0).shape == (2,)


# --- conditional distributions and samples ---------------------------------------------------------------------------------


def test_samples_have_the_exact_distribution():
    model = random_dbn(scale=0.8, sweeps=25)
    exact = tables(model, images())[0].logsumexp(1).exp()
    torch.manual_seed(1)
    assert total_variation(model.sample(10_000).flatten(1), exact) < 0.05


def test_recognition_after_greedy_learning_is_the_rbms_own_posterior():
    model = DBN(SIX, (4, 3)).double()
    fit(model.learn(0), images()[::3], steps=30, batch_size=16, lr=0.1, progress=False)
    rbm = model.layers[0]
    h = states(4)
    joint = -torch.stack([rbm.energy(images(), row.expand(64, -1)) for row in h], dim=1)  # (x, h)
    log_q = tables(model, images())[1]
    torch.testing.assert_close(log_q, joint.log_softmax(1), rtol=0, atol=1e-10)
    torch.testing.assert_close(model.encode(images()), model.top.hidden_given_visible(rbm.encode(images())))


def test_encoding_and_decoding_are_mean_field_passes():
    model = random_dbn()
    (up, top), bottom = (model.recognition[0], model.top), model.layers[0]
    by_hand = (up(images().flatten(1)).sigmoid() @ top.weight + top.hidden_bias).sigmoid()
    torch.testing.assert_close(model.encode(images()), by_hand)
    down = (by_hand @ top.weight.T + top.visible_bias).sigmoid() @ bottom.weight.T + bottom.visible_bias
    torch.testing.assert_close(model.decode(by_hand), down.sigmoid().view(-1, 1, 2, 3))


@pytest.mark.parametrize("scale", ["learned", "unit"])
def test_real_images_have_a_gaussian_bottom(scale):
    torch.manual_seed(0)
    model = DBN(Space.real(2), (3, 2), scale=scale, sweeps=30).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randn(5, 2, dtype=torch.float64)
    grid = torch.linspace(-14, 14, 141, dtype=torch.float64)
    plane = torch.cartesian_prod(grid, grid)
    assert tables(model, plane)[0].logsumexp(1).exp().sum().item() * 0.04 == pytest.approx(1, abs=1e-6)
    model._follow(0)
    torch.testing.assert_close(model._up(0, x).sigmoid(), model.layers[0].hidden_given_visible(x))
    torch.manual_seed(1)
    samples = model.sample(4000)
    mean = (tables(model, plane)[0].logsumexp(1).exp() @ plane) * 0.04
    torch.testing.assert_close(samples.mean(0), mean, rtol=0, atol=5 * samples.std().item() / math.sqrt(4000))


# --- labels ------------------------------------------------------------------------------------------------------------


def test_samples_given_a_label_have_the_exact_distribution():
    model = random_dbn(scale=0.7, sweeps=25, classes=3)
    torch.manual_seed(1)
    for label in (None, 2):
        exact = tables(model, images(), label)[0].logsumexp(1).exp()
        samples = model.sample(10_000, None if label is None else torch.full((10_000,), label))
        assert total_variation(samples.flatten(1), exact) < 0.05


def test_labels_that_are_missing_are_drawn_from_their_exact_posterior():
    model = random_dbn(classes=3)
    h = states(4)[[5]].expand(30_000, -1)
    torch.manual_seed(0)
    frequencies = torch.bincount(model._labels(h, None), minlength=3) / len(h)
    by_enumeration = torch.stack([log_top(model.top, label)[5] for label in range(3)]) + model.top._log_partitions()
    torch.testing.assert_close(frequencies.double(), by_enumeration.softmax(0), rtol=0, atol=0.01)
    given = torch.tensor([0, 2, 1])
    assert model._labels(h[:3], given) is given


def test_the_top_tells_labels_apart_once_it_has_learned_them():
    torch.manual_seed(0)
    y = torch.arange(200) % 2
    x = torch.stack([y, y, y, 1 - y, 1 - y, 1 - y], dim=1).double()
    x = (x - (torch.rand_like(x) < 0.1).double()).abs().view(-1, 1, 2, 3)
    model = DBN(SIX, (8, 8), classes=2, sweeps=50).double()
    for stage in (0, 1):
        fit(model.learn(stage), (x, y), steps=150, batch_size=50, lr=0.1, progress=False)
    found = model.log_q_label(x)
    torch.testing.assert_close(found.exp().sum(1), torch.ones(200, dtype=torch.float64))
    assert (found.argmax(1) == y).double().mean() > 0.95
    left, right = model.sample(200, y).flatten(1).split(3, dim=1)
    assert ((left.sum(1) > right.sum(1)) == y.bool()).double().mean() > 0.85
