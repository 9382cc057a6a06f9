"""Energy models whose truth is a Gaussian: energies, phases, learning, walks, and what JEM adds."""

import math

import pytest
import torch
from gaussian_energies import gaussian_model, mean_of_points

from dgmcourse.core import Kind, Space
from dgmcourse.models.energy import JEM, OBJECTIVES, EnergyModel, walk
from dgmcourse.models.energy.replay import Replay
from dgmcourse.training import fit

GREY = Space.grey(1, 2, 3, levels=5)


@pytest.mark.parametrize("space", [Space.real(3), Space.binary(1, 2, 3), GREY], ids=str)
def test_points_and_back(space):
    model = EnergyModel(space, hidden=(), scale=2.5)
    torch.manual_seed(0)
    x = torch.randn(20, 3) if not space.discrete else torch.randint(space.levels, (20, 1, 2, 3)) / (space.levels - 1)
    u = model.points(x)
    torch.testing.assert_close(model.member(u), x)
    torch.testing.assert_close(model.from_points(u), x)
    spread = model.points(x, spread=True)
    torch.testing.assert_close(model.member(spread), x)  # anywhere in its cell
    if space.discrete:
        assert ((spread - u).abs() <= 1 / space.levels + 1e-6).all()
        assert (spread.abs() <= 1).all()


def test_energy_score_and_log_prob_agree_with_the_closed_form():
    model = gaussian_model(scale=2.0)
    x = torch.randn(10, 2, generator=torch.Generator().manual_seed(0))
    u, a = x / 2, torch.tensor([0.5, -0.5])
    energy = u @ a + 0.7 + 0.5 * u.square().sum(1) / 1.5**2
    torch.testing.assert_close(model.energy(x).detach(), energy)
    torch.testing.assert_close(model.score(x), -(a + u / 1.5**2) / 2)
    assert model.log_prob(x).kind is Kind.UNNORMALIZED
    torch.testing.assert_close(model.log_prob(x).value.detach(), -energy)
    assert EnergyModel(Space.real(2), "noise-contrastive").log_prob(x).kind is Kind.ESTIMATE


def test_the_contrastive_gradient_is_the_positive_minus_the_negative_phase():
    """∂E/∂a = u and ∂E/∂b = 1: the gradient is mean(data) − mean(samples), and 0."""
    torch.manual_seed(0)
    model = gaussian_model(chains=32, restart=0.0, regularization=0.0, k=3)
    x, before = torch.randn(32, 2), model.replay.states.clone()
    place = model.replay.states.data_ptr()
    steps = model.training_step(x)
    next(steps).loss.backward()
    torch.testing.assert_close(model.replay.states, before, rtol=0, atol=0)  # kept only after the update
    assert next(steps, None) is None
    samples = model.replay.states  # all 32 chains took part
    assert (samples != before).all()
    assert samples.data_ptr() == place
    layer = model.network[-1]
    torch.testing.assert_close(layer.weight.grad[0], x.mean(0) - samples.mean(0))
    torch.testing.assert_close(layer.bias.grad, torch.zeros(1), rtol=0, atol=1e-6)


def test_regularization_pulls_potentials_to_zero():
    """Without data's or samples' help the offset b is free; with it, its slope is 2 · weight · (sum of mean potentials)."""
    torch.manual_seed(0)
    model = gaussian_model(slope=0.0, offset=3.0, chains=8, regularization=0.01)
    next(model.training_step(torch.randn(8, 2))).loss.backward()
    torch.testing.assert_close(model.network[-1].bias.grad, torch.tensor([0.01 * 2 * (3.0 + 3.0)]))


def test_replay_keeps_its_shape_and_starts_some_chains_anew():
    torch.manual_seed(0)
    replay, fresh = Replay(torch.zeros(1000, 2), restart=0.2), torch.ones(500, 2)
    places, states = replay.draw(fresh)
    assert places.unique().numel() == 500
    assert 0.1 < float(states.mean()) < 0.3
    replay.store(places, torch.full((500, 2), 7.0))
    assert replay.states.shape == (1000, 2)
    assert int((replay.states == 7).all(1).sum()) == 500
    assert len(replay.draw(torch.ones(3000, 2))[0]) == 1000


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_learns_the_mean_of_a_gaussian(objective):
    """Data N(m, s² I) have the bowl's own width (with the noise, where it is denoised), so that the mean is all to learn."""
    reference, noise, mean = 1.0, 0.5, torch.tensor([0.6, -0.8])
    torch.manual_seed(0)
    model = gaussian_model(slope=0.0, offset=0.0, reference=reference, objective=objective, noise_levels=(noise,),
                           chains=128, k=4, step_size=0.8, walk="metropolis", regularization=0.0)  # fmt: skip
    std = math.sqrt(reference**2 - noise**2) if objective == "denoising" else reference
    draws = torch.randn(4000, 2)
    data = mean + std * (draws - draws.mean(0)) / draws.std(0)  # these moments exactly
    fit(model, data, steps=250, batch_size=128, lr=0.05, schedule="linear", progress=False)
    torch.testing.assert_close(mean_of_points(model), mean, rtol=0, atol=0.06)
    if objective == "noise-contrastive":  # it learns Z, too
        truth = 0.5 * mean.square().sum() + math.log(2 * math.pi)
        assert abs(float(model.network[-1].bias.detach()) - float(truth)) < 0.06


def test_a_sample_of_a_known_gaussian():
    """Metropolis' walks have its moments; the last state is mapped back to x."""
    torch.manual_seed(0)
    model = gaussian_model(scale=2.0, walk="metropolis", steps=60, step_size=1.5)
    x, std = model.sample(10_000), 2.0 * 1.5
    assert ((x.mean(0) - 2.0 * mean_of_points(model)).abs() < 3 * std / 100).all()
    assert ((x.var(0) / std**2 - 1).abs() < 3 * math.sqrt(2 / 10_000)).all()


def test_temperature_scales_the_variance_and_zero_is_descent():
    torch.manual_seed(0)
    energy = lambda u: 0.5 * u.square().sum(1)  # noqa: E731
    *_, u = walk(energy, torch.zeros(20_000, 1), step_size=1.0, steps=40, temperature=0.25, metropolis=True)
    assert abs(float(u.var()) / 0.25 - 1) < 3 * math.sqrt(2 / 20_000)
    *_, u = walk(energy, torch.zeros(20_000, 1), step_size=0.4, steps=40, temperature=0.25)
    assert abs(float(u.var()) * (1 - 0.4 / 4) / 0.25 - 1) < 3 * math.sqrt(2 / 20_000)  # the known bias
    *_, u = walk(energy, torch.ones(3, 1), step_size=0.5, steps=10, temperature=0.0)
    torch.testing.assert_close(u, torch.full((3, 1), 0.75**10))
    with pytest.raises(ValueError, match="temperature"):
        next(walk(energy, u, 0.1, 1, temperature=0.0, metropolis=True))


def test_walks_start_where_they_are_told_and_end_in_the_space():
    torch.manual_seed(0)
    model = EnergyModel(GREY, hidden=(8,))
    x = torch.randint(5, (4, 1, 2, 3)) / 4
    states = list(model.trajectory(4, steps=3, step_size=1e-10, start=x))
    assert len(states) == 3
    torch.testing.assert_close(states[0], x, rtol=0, atol=1e-3)
    model.space.check(states[-1], values=True)
    with pytest.raises(ValueError, match="start must have shape"):
        next(model.trajectory(4, start=x[0]))
    with pytest.raises(ValueError, match="pass n=4"):
        next(model.trajectory(5, start=x))
    with pytest.raises(ValueError, match="steps ≥ 1"):
        next(model.trajectory(4, steps=0))


def test_levels_of_noise_are_told_apart_and_walked_through():
    torch.manual_seed(0)
    model = EnergyModel(Space.real(2), "denoising", hidden=(8,), noise_levels=(1.0, 0.1, 0.3))
    u = torch.randn(5, 2)
    at = {level: model.potential(u, None, level) for level in (0.1, 0.3, 1.0)}
    assert not torch.allclose(at[0.1], at[1.0])
    torch.testing.assert_close(model.energy(u), at[0.1] + model.bowl(u))
    assert len(list(model.trajectory(2, steps=10))) == 10
    assert len(list(model.trajectory(2, steps=2))) == 2  # fewer than levels


def test_a_model_of_several_levels_learns_each_of_them():
    """Of N(0, 1) noised by σ the score is −x / (1 + σ²), at any σ."""
    torch.manual_seed(0)
    data = torch.randn(4000, 1)
    model = EnergyModel(Space.real(1), "denoising", hidden=(32, 32), noise_levels=(0.5, 1.5), reference=2.0)
    fit(model, data, steps=400, batch_size=256, lr=0.01, schedule="cosine", progress=False)
    u = torch.linspace(-1.5, 1.5, 31)[:, None].requires_grad_()
    for level in (0.5, 1.5):
        energy = model.potential(u, None, level) + model.bowl(u)
        (slope,) = torch.autograd.grad(energy.sum(), u)
        assert float((slope - u.detach() / (1 + level**2)).square().mean()) < 0.02


# --- the classifier -----------------------------------------------------------------------------------------------


def test_the_classifiers_energies_are_one_joint_density():
    torch.manual_seed(0)
    model = JEM(Space.real(2), 3, hidden=(8,))
    x = torch.randn(6, 2)
    joint = torch.stack([model.energy(x, torch.full((6,), y)) for y in range(3)], dim=1)
    torch.testing.assert_close(model.energy(x), -(-joint).logsumexp(1))
    torch.testing.assert_close(model.classify(x), (-joint).log_softmax(1))
    torch.testing.assert_close(model.classify(x).exp().sum(1), torch.ones(6))


def test_a_classifier_learns_labels_and_density():
    """Two Gaussians at ±1.5 along the first axis: labels to Bayes' rule, the density nearer to the truth than the bowl's."""
    torch.manual_seed(0)
    y = torch.randint(2, (2000,))
    x = 0.5 * torch.randn(2000, 2) + torch.stack([3.0 * y - 1.5, torch.zeros(2000)], dim=1)
    model = JEM(Space.real(2), 2, hidden=(32,), k=8, step_size=0.3, walk="metropolis", steps=100)
    fit(model, (x, y), steps=300, batch_size=128, lr=0.01, schedule="cosine", progress=False)
    assert model.accuracy(x, y) > 0.99
    truth = -math.log(2 * math.pi * math.e * 0.25) - math.log(2)  # E[log p], the two hardly overlap
    assert float(model.normalized().log_prob(x).value.detach().mean()) > truth - 0.15
    samples = model.sample(200, torch.ones(200, dtype=torch.int64))
    assert float((samples[:, 0] > 0).float().mean()) > 0.9
    assert model.accuracy(samples, torch.ones(200, dtype=torch.int64)) > 0.9


def test_without_weight_the_energy_is_not_trained():
    torch.manual_seed(0)
    model = JEM(Space.real(2), 2, weight=0.0)
    x, y = torch.randn(8, 2), torch.randint(2, (8,))
    before = model.replay.states.clone()
    (step,) = list(model.training_step(x, y))
    torch.testing.assert_close(step.loss, -model.classify(x)[range(8), y].mean())
    torch.testing.assert_close(model.replay.states, before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "likelihood"}, "objective must be one of"),
        ({"activation": "relu"}, "smooth activation"),
        ({"walk": "random"}, "walk must be"),
        ({"reference": 0.0}, "reference"),
        ({"k": 0}, "k ≥ 1"),
        ({"channels": (4,)}, "needs images"),
        ({"objective": "denoising", "noise_levels": ()}, "noise_levels above 0"),
        ({"directions": 0}, "directions"),
    ],
)
def test_wrong_settings_are_refused_in_words(settings, message):
    with pytest.raises(ValueError, match=message):
        EnergyModel(Space.real(2), **settings)


def test_wrong_spaces_are_refused_in_words():
    with pytest.raises(ValueError, match="tokens"):
        EnergyModel(Space.tokens(4, 3))
    with pytest.raises(ValueError, match="backward pass for each"):
        EnergyModel(Space.real(100), "score matching")
    with pytest.raises(ValueError, match="classes ≥ 2"):
        JEM(Space.real(2), 1)
    with pytest.raises(ValueError, match="there is JEM"):
        EnergyModel(Space.real(2)).energy(torch.zeros(2, 2), torch.zeros(2, dtype=torch.int64))
