"""The RBM against truths that are known: enumeration, hand-derived gradients, quadrature, exact conditionals."""

import itertools
import math

import pytest
import torch

from dgmcourse.core import Kind, Space
from dgmcourse.data import bars_and_stripes, digits
from dgmcourse.evaluation import average_log_prob
from dgmcourse.models import RBM
from dgmcourse.training import fit

TINY = Space.binary(1, 2, 3)


def states(units: int) -> torch.Tensor:
    """Every binary vector, by itertools: (2^units, units), float64."""
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=units)), dtype=torch.float64)


def random_rbm(space=TINY, hidden=4, scale=1.0, **settings) -> RBM:
    """An RBM with weights and biases of order `scale`, in float64."""
    torch.manual_seed(0)
    model = RBM(space, hidden, **settings).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    return model


def sgd(lr: float):
    return lambda group, parameters: torch.optim.SGD(parameters, lr=lr, fused=True)


def total_variation(samples: torch.Tensor, exact: torch.Tensor) -> float:
    """½ Σ |frequency − probability| over all states of `states`."""
    weights = 2 ** torch.arange(samples.shape[1] - 1, -1, -1)
    codes = (samples.long() * weights).sum(-1)
    return float(0.5 * (torch.bincount(codes, minlength=len(exact)) / len(codes) - exact).abs().sum())


def test_the_energy_is_the_formula_and_the_free_energy_sums_it_over_the_hidden_units():
    model = random_rbm()
    v, h = states(6), states(4)
    pairs_v, pairs_h = v.repeat_interleave(len(h), 0), h.repeat(len(v), 1)
    by_hand = torch.stack([-(a @ model.weight @ b) - model.visible_bias @ a - model.hidden_bias @ b
                           for a, b in zip(pairs_v, pairs_h, strict=True)])  # fmt: skip
    energy = model.energy(pairs_v.view(-1, 1, 2, 3), pairs_h)
    torch.testing.assert_close(energy, by_hand, rtol=0, atol=1e-12)
    summed = -(-energy).view(len(v), len(h)).logsumexp(-1)
    torch.testing.assert_close(model.free_energy(v.view(-1, 1, 2, 3)), summed, rtol=0, atol=1e-12)


def test_both_conditionals_are_those_of_the_joint():
    model = random_rbm()
    v, h = states(6), states(4)
    joint = (v @ model.weight @ h.T + (v @ model.visible_bias)[:, None] + h @ model.hidden_bias).exp()
    given_v = joint @ h / joint.sum(1, keepdim=True)
    torch.testing.assert_close(model.hidden_given_visible(v.view(-1, 1, 2, 3)), given_v, rtol=0, atol=1e-12)
    given_h = (joint.T @ v / joint.T.sum(1, keepdim=True)).view(-1, 1, 2, 3)
    torch.testing.assert_close(model.visible_given_hidden(h), given_h, rtol=0, atol=1e-12)
    torch.testing.assert_close(model.decode(model.encode(given_h)).shape, given_h.shape)


@pytest.mark.parametrize(("visible", "hidden"), [((1, 2, 3), 4), ((12,), 7), ((5,), 14)])
def test_log_partition_is_the_same_by_visible_and_by_hidden_enumeration(visible, hidden):
    model = random_rbm(Space.binary(*visible), hidden)
    by_visible, by_hidden = (model.log_partition("exact", side=side) for side in ("visible", "hidden"))
    assert by_visible.kind is by_hidden.kind is Kind.EXACT
    assert by_visible.value.item() == pytest.approx(by_hidden.value.item(), abs=1e-9)
    assert model.log_partition().value.item() == pytest.approx(by_hidden.value.item(), abs=1e-9)


def test_exact_probabilities_sum_to_one():
    model = random_rbm()
    found = model.log_prob(states(6).view(-1, 1, 2, 3))
    assert found.kind is Kind.EXACT
    assert found.value.exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_more_units_than_can_be_enumerated_are_said_to_be_unnormalized_and_refused():
    model = RBM(Space.binary(30), 21)
    x = torch.zeros(2, 30)
    found = model.log_prob(x)
    assert found.kind is Kind.UNNORMALIZED
    torch.testing.assert_close(found.value, -model.free_energy(x))
    with pytest.raises(ValueError, match=r"2\^21 states.*ais"):
        model.log_partition()
    with pytest.raises(ValueError, match=r"2\^21 states"):
        model.exact_samples(3)
    with pytest.raises(ValueError, match="'exact' or 'ais'"):
        model.log_partition("guess")


@pytest.mark.parametrize("settings", [{"k": 3}, {"chains": 7, "k": 2}, {"weight_decay": 0.1, "chains": 5}])
def test_the_gradient_of_the_loss_is_the_difference_of_outer_products(settings):
    """ΔW = E_negative[v p(h|v)ᵀ] − E_data[v p(h|v)ᵀ] (+ λW), from Hinton 2002, by hand."""
    model = random_rbm(Space.binary(1, 3, 3), 5, **settings)
    x = (torch.rand(11, 1, 3, 3) < 0.5).double()
    torch.manual_seed(5)
    (step,) = [turn for turn in itertools.islice(model.training_step(x), 1)]
    step.loss.backward()
    torch.manual_seed(5)
    negatives = model._negatives(x.flatten(1))
    with torch.no_grad():
        data, p_data = x.flatten(1), (x.flatten(1) @ model.weight + model.hidden_bias).sigmoid()
        p_negative = (negatives @ model.weight + model.hidden_bias).sigmoid()
        weight = negatives.T @ p_negative / len(negatives) - data.T @ p_data / len(data)
        weight += settings.get("weight_decay", 0.0) * model.weight
    torch.testing.assert_close(model.weight.grad, weight, rtol=0, atol=1e-6)
    torch.testing.assert_close(model.visible_bias.grad, negatives.mean(0) - data.mean(0), rtol=0, atol=1e-6)
    torch.testing.assert_close(model.hidden_bias.grad, p_negative.mean(0) - p_data.mean(0), rtol=0, atol=1e-6)


def test_with_the_models_own_distribution_as_negatives_the_gradient_is_that_of_the_likelihood():
    """The exact log Z can be differentiated; its gradient is minus the mean of ∂E under the model."""
    model, x = random_rbm(), states(6)[[3, 17, 40]].view(-1, 1, 2, 3)
    (-model.log_prob(x).value.mean()).backward()
    by_likelihood = model.weight.grad.clone()
    model.zero_grad()
    every = states(6).view(-1, 1, 2, 3)
    p = model.log_prob(every).value.exp().detach()
    (model.free_energy(x).mean() - p @ model.free_energy(every)).backward()
    torch.testing.assert_close(by_likelihood, model.weight.grad, rtol=0, atol=1e-12)


def test_gibbs_sampling_has_the_models_distribution_as_its_stationary_one():
    """64 states, 20,000 chains: total variation of exact samples is about 0.02, and of a wrong kernel 0.1 and more."""
    model = random_rbm(scale=0.8, sweeps=60)
    exact = model.log_prob(states(6).view(-1, 1, 2, 3)).value.exp().detach()
    torch.manual_seed(1)
    samples = model.sample(20_000)
    assert total_variation(samples.flatten(1), exact) < 0.035
    assert total_variation(model.exact_samples(20_000).flatten(1), exact) < 0.035


def test_gibbs_yields_each_sweep_and_starts_where_it_is_told():
    model = random_rbm(scale=30.0)  # so large weights that chains hardly move
    start = model.exact_samples(4)
    states_seen = list(model.gibbs(start, sweeps=3))
    assert len(states_seen) == 3
    torch.testing.assert_close(states_seen[0], start)
    assert len(list(RBM(TINY, 3, sweeps=7).trajectory(2))) == 7


def test_completing_keeps_what_is_known_and_draws_the_rest_from_its_conditional():
    model = random_rbm(scale=0.8)
    known = torch.tensor([True, True, False, False, True, False]).view(1, 2, 3)
    x = torch.tensor([1.0, 0.0, 0.5, 0.5, 1.0, 0.5], dtype=torch.float64).view(1, 1, 2, 3).repeat(20_000, 1, 1, 1)
    torch.manual_seed(2)
    completed = model.complete(x, known, sweeps=60)
    assert torch.equal(completed[:, known], x[:, known])
    every = states(6)
    agrees = (every[:, known.flatten()] == x[0][known]).all(-1)
    exact = model.log_prob(every.view(-1, 1, 2, 3)).value.masked_fill(~agrees, -math.inf).softmax(0).detach()
    assert total_variation(completed.flatten(1), exact) < 0.02


# --- real visible units ------------------------------------------------------------------------------------------------


def test_a_real_rbm_is_the_mixture_of_gaussians_that_its_hidden_states_make():
    """p(v) = Σ_h p(h) N(v; b + W h, σ²) with p(h) ∝ ∫ exp(−E(v, h)) dv."""
    model = random_rbm(Space.real(2), 3, scale=0.7)
    h, sigma = states(3), model.scale
    means = model.visible_bias + h @ model.weight.T
    squares = ((means / sigma).square() - (model.visible_bias / sigma).square()).sum(-1)
    log_weights = (h @ model.hidden_bias + 0.5 * squares).log_softmax(0)
    x = torch.randn(50, 2, dtype=torch.float64)
    parts = torch.distributions.Normal(means, sigma).log_prob(x[:, None]).sum(-1)
    found = model.log_prob(x)
    assert found.kind is Kind.EXACT
    torch.testing.assert_close(found.value, (parts + log_weights).logsumexp(-1), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("dim", "scale"), [(1, "learned"), (2, "learned"), (2, "unit")])
def test_the_density_of_a_real_rbm_integrates_to_one(dim, scale):
    model = random_unit(dim) if scale == "unit" else random_rbm(Space.real(dim), 4, scale=0.5)
    axis = torch.linspace(-15, 15, 601, dtype=torch.float64)
    grid = torch.cartesian_prod(*[axis] * dim).view(-1, dim)
    total = model.log_prob(grid).value.exp().sum() * (axis[1] - axis[0]) ** dim
    assert total.item() == pytest.approx(1, abs=1e-6)


def random_unit(dim: int) -> RBM:
    torch.manual_seed(1)
    model = RBM(Space.real(dim), 4, scale="unit").double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    assert "log_scale" not in dict(model.named_parameters())
    return model


def test_annealed_and_gibbs_samples_of_a_real_rbm_follow_its_density():
    model = random_rbm(Space.real(1), 3, scale=0.7, sweeps=60)
    torch.manual_seed(1)
    axis = torch.linspace(-12, 12, 4001, dtype=torch.float64)[:, None]
    p = model.log_prob(axis).value.exp().detach()
    cumulative = (p / p.sum()).cumsum(0)
    for samples in (model.sample(20_000), model.exact_samples(20_000)):
        x = samples.flatten().sort().values
        found = cumulative[torch.searchsorted(axis[:, 0], x).clamp_max(4000)]
        uniform = torch.linspace(0, 1, len(x), dtype=torch.float64)
        assert (found - uniform).abs().max() < 0.02  # Kolmogorov and Smirnov


def test_real_units_learn_location_and_scale():
    """Without use for its hidden units, the RBM is a Gaussian, whose best mean and scale are the data's."""
    torch.manual_seed(0)
    x = torch.tensor([3.0, -2.0]) + torch.tensor([0.5, 2.0]) * torch.randn(4000, 2)
    model = RBM(Space.real(2), 2, chains=500)
    fit(model, x, steps=600, batch_size=500, lr=0.05, schedule="linear", progress=False)
    torch.testing.assert_close(model.data_mean, x.mean(0), rtol=0, atol=0.1)
    torch.testing.assert_close(model.data_variance.sqrt(), x.std(0), rtol=0.05, atol=0)
    entropy = math.log(0.5 * 2.0) + 1 + math.log(2 * math.pi)
    assert -average_log_prob(model, x).value == pytest.approx(entropy, abs=0.05)
    torch.testing.assert_close(model.sample(4000).mean(0), x.mean(0), rtol=0, atol=0.2)


# --- labels ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def joint():
    return random_rbm(TINY, 4, scale=0.7, classes=3, sweeps=60)


def all_pairs():
    v = states(6).view(-1, 1, 2, 3)
    return v.repeat_interleave(3, 0), torch.arange(3).repeat(len(v))


def test_the_posterior_of_labels_is_that_of_the_enumerated_joint(joint):
    v, y = all_pairs()
    h = states(4)
    onehot = torch.nn.functional.one_hot(y, 3).double()
    energies = torch.stack([joint.energy(v, row.expand(len(v), 4), y) for row in h], dim=1)
    by_hand = -(v.flatten(1) @ joint.weight[:6] + onehot @ joint.weight[6:] + joint.hidden_bias) @ h.T
    by_hand = by_hand - (v.flatten(1) @ joint.visible_bias[:6] + onehot @ joint.visible_bias[6:])[:, None]
    torch.testing.assert_close(energies, by_hand, rtol=0, atol=1e-12)
    p = (-energies).exp().sum(1).view(64, 3)
    posterior = joint.log_posterior(states(6).view(-1, 1, 2, 3)).exp()
    torch.testing.assert_close(posterior.sum(-1), torch.ones(64, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(posterior, p / p.sum(-1, keepdim=True), rtol=0, atol=1e-12)
    hidden = joint.hidden_given_visible(states(6).view(-1, 1, 2, 3))
    weights = (-energies).exp().view(64, 3, -1).sum(1)  # (v, h)
    torch.testing.assert_close(hidden, weights @ h / weights.sum(1, keepdim=True), rtol=0, atol=1e-12)


@pytest.mark.parametrize("side", ["visible", "hidden"])
def test_joint_marginal_and_conditional_probabilities_sum_to_one(joint, side):
    v, y = all_pairs()
    log_z = joint.log_partition(side=side).value
    assert (-joint.free_energy(v, y) - log_z).exp().sum().item() == pytest.approx(1, abs=1e-9)
    assert joint.log_prob(v[::3]).value.exp().sum().item() == pytest.approx(1, abs=1e-9)
    for label in range(3):
        conditional = joint.log_prob(v[y == label], y[y == label])
        assert conditional.kind is Kind.EXACT
        assert conditional.value.exp().sum().item() == pytest.approx(1, abs=1e-9)


def test_samples_follow_the_label_that_is_asked_for_and_without_one_the_marginal(joint):
    every = states(6).view(-1, 1, 2, 3)
    torch.manual_seed(3)
    for y in (None, torch.full((20_000,), 2)):
        exact = joint.log_prob(every, None if y is None else y[:64]).value.exp().detach()
        assert total_variation(joint.sample(20_000, y).flatten(1), exact) < 0.035
    marginal = joint.log_prob(every).value.exp().detach()
    assert total_variation(joint.exact_samples(20_000).flatten(1), marginal) < 0.035


def test_label_given_hidden_is_a_softmax_and_labels_need_a_model_with_labels(joint):
    log_p = joint.label_given_hidden(states(4))
    torch.testing.assert_close(log_p, (states(4) @ joint.weight[6:].T + joint.visible_bias[6:]).log_softmax(-1))
    with pytest.raises(ValueError, match="no labels"):
        random_rbm().log_posterior(torch.zeros(1, 1, 2, 3))


def test_a_joint_model_learns_to_classify():
    data = digits(levels=2)
    torch.manual_seed(0)
    model = RBM(data.space, 60, chains=100, classes=10)
    fit(model, data, steps=1000, batch_size=100, schedule="linear", optimizer=sgd(0.2), progress=False)
    right = model.log_posterior(data.test).argmax(-1) == data.test_labels
    assert right.float().mean() > 0.8


# --- learning ----------------------------------------------------------------------------------------------------------


def test_bars_and_stripes_are_learned_to_a_tenth_of_a_nat():
    data = bars_and_stripes(3)
    torch.manual_seed(0)
    model = RBM(data.space, 16, k=10)
    fit(model, data, steps=2000, batch_size=100, lr=0.02, schedule="linear", ema=0.99, progress=False)
    kl = -average_log_prob(model, data.test).value - data.truth.entropy
    assert 0 < kl <= 0.1


@pytest.mark.slow
def test_sixteen_hidden_units_learn_the_digits_to_their_exact_likelihood():
    data = digits(levels=2)
    torch.manual_seed(0)
    model = RBM(data.space, 16, chains=100)
    fit(model, data, steps=6000, batch_size=50, schedule="linear", ema=0.999, optimizer=sgd(0.1), progress=False)
    found = average_log_prob(model, data.test)
    assert found.kind is Kind.EXACT
    assert -found.value <= 18.7  # 18.4 to 18.6; benchmarks/rbm_digits.py has the better, longer run


def test_persistent_chains_go_on_from_where_they_were_and_contrastive_ones_start_at_the_data():
    space = Space.binary(40)
    x = (torch.rand(6, 40) < 0.5).float()
    stiff = lambda **settings: _copying(RBM(space, 40, **settings))  # noqa: E731 (v copies h and h copies v)
    contrastive = stiff()
    torch.testing.assert_close(contrastive._negatives(x), x)
    persistent = stiff(chains=5)
    before = persistent.chains.clone()
    torch.testing.assert_close(persistent._negatives(x), before)
    for _ in persistent.training_step(x):
        torch.testing.assert_close(persistent.chains, before, rtol=0, atol=0)  # not before the update
    torch.testing.assert_close(persistent.chains, before)


def _copying(model: RBM) -> RBM:
    with torch.no_grad():
        model.weight.copy_(100 * torch.eye(40))
        model.visible_bias.fill_(-50)
        model.hidden_bias.fill_(-50)
    return model


def test_chains_move_are_saved_and_a_resumed_run_ends_as_an_unbroken_one(tmp_path):
    x = (torch.rand(64, 1, 2, 3, generator=torch.Generator().manual_seed(0)) < 0.5).float()

    def make():
        torch.manual_seed(0)
        return RBM(TINY, 4, chains=9)

    def run(model, steps, folder):
        fit(model, x, steps=steps, batch_size=16, ema=0.9, checkpoint=tmp_path / folder, progress=False)
        return model.state_dict()

    whole = run(make(), 20, "whole")
    assert not torch.equal(whole["chains"], make().chains)
    assert set(whole["chains"].unique().tolist()) == {0.0, 1.0}  # an average of chains would be none
    run(make(), 10, "broken")
    resumed = run(make(), 20, "broken")
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0)


def test_half_precision_learns_as_well():
    data = bars_and_stripes(3)
    found = []
    for precision in ("no", "bf16"):
        torch.manual_seed(0)
        model = RBM(data.space, 16, chains=100, k=2)
        fit(model, data, steps=600, batch_size=100, lr=0.02, schedule="linear", precision=precision, progress=False)
        found.append(average_log_prob(model, data.test).value)
        assert model.weight.dtype == model.chains.dtype == torch.float32
    assert found[1] == pytest.approx(found[0], abs=0.1)


def test_the_average_of_the_data_is_kept():
    x = (torch.rand(500, 9, generator=torch.Generator().manual_seed(0)) < torch.linspace(0.1, 0.9, 9)).float()
    model = RBM(Space.binary(9), 3)
    fit(model, x, steps=100, batch_size=50, progress=False)
    torch.testing.assert_close(model.data_mean, x.mean(0), rtol=0, atol=1e-5)


def test_starting_from_data_makes_units_as_frequent_as_there():
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(4000, 1, 2, 3, generator=generator) < torch.linspace(0.1, 0.9, 6).view(1, 2, 3)).float()
    model = RBM(TINY, 3).start_from(x)
    torch.nn.init.zeros_(model.weight)
    every = states(6).view(-1, 1, 2, 3).float()
    mean = (model.log_prob(every).value.exp()[:, None, None, None] * every).sum(0)
    torch.testing.assert_close(mean, x.mean(0), rtol=0, atol=1e-5)
    reals = torch.tensor([1.0, -3.0]) + torch.tensor([2.0, 0.1]) * torch.randn(4000, 2, generator=generator)
    model = RBM(Space.real(2), 3).start_from(reals)
    torch.nn.init.zeros_(model.weight)
    expected = torch.distributions.Normal(reals.mean(0), reals.std(0)).log_prob(reals).sum(-1)
    torch.testing.assert_close(model.log_prob(reals).value, expected, rtol=0, atol=1e-4)
    assert RBM(Space.real(2), 3, scale="unit").start_from(reals).scale.eq(1).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"space": Space.grey(1, 2, 2, levels=4)}, r"binary or real space, got grey.*binarize"),
        ({"hidden": 0}, "hidden, k, sweeps ≥ 1"),
        ({"chains": -1}, "chains, weight_decay ≥ 0"),
        ({"classes": 1}, "classes ≥ 2"),
        ({"scale": "large"}, "'learned' or 'unit'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(settings, message):
    with pytest.raises(ValueError, match=message):
        RBM(**{"space": TINY} | settings)


def test_hidden_states_of_the_wrong_width_and_a_side_that_is_none_are_refused():
    with pytest.raises(ValueError, match=r"\(batch, 4\), got \(2, 5\)"):
        random_rbm().decode(torch.zeros(2, 5))
    with pytest.raises(ValueError, match="'hidden' for real"):
        random_rbm(Space.real(2)).log_partition(side="visible")
