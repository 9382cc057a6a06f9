"""How a deep Boltzmann machine learns: the gradient of its bound, one layer alone, and all layers together."""

import itertools

import pytest
import torch
from deep_tables import SIX, images, joint, random_dbm, states, total_variation

from dgmcourse.core import Space
from dgmcourse.data import bars_and_stripes
from dgmcourse.models import DBM
from dgmcourse.models.boltzmann.deep_partition import exact_states
from dgmcourse.models.boltzmann.doubled import DoubledRBM
from dgmcourse.training import fit

SHAPES = [{}, {"classes": 3}, {"hidden": (4, 2, 3)}, {"hidden": (4, 2, 3), "classes": 2}]
every_shape = pytest.mark.parametrize("settings", SHAPES, ids=str)


def gradients(model: DBM) -> list[torch.Tensor]:
    found = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    return found


@every_shape
def test_with_the_models_own_odd_levels_as_chains_the_gradient_is_that_of_log_z(settings):
    """E[∂ log Σ_even exp(−E)] over the exact distribution of the odd levels is ∂ log Z: what chains estimate."""
    model = random_dbm(**settings)
    units = [units for level, units in enumerate(model.levels.sizes) if level % 2 and level != model.levels.label]
    rows = states(sum(units))
    labels = (
        torch.eye(model.classes or 1, dtype=torch.float64)
        if model.levels.label in model.levels.of(1)
        else torch.zeros(1, 0)
    )
    odd = torch.cat([rows.repeat_interleave(len(labels), 0), labels.double().repeat(len(rows), 1)], dim=1)
    log_weights = model.levels.log_marginal(model.levels.parted(odd), 1)
    (log_weights.detach().softmax(0) @ log_weights).backward()
    by_chains = gradients(model)
    joint(model).flatten().logsumexp(0).backward()
    for found, exact in zip(by_chains, gradients(model), strict=True):
        torch.testing.assert_close(found, exact, rtol=0, atol=1e-10)


def test_a_step_follows_the_gradient_of_the_bound():
    """With chains that are exact samples: minus the slope of the bound, whose mean field moves along, by differences."""
    model = random_dbm(scale=0.6, mean_field=200)
    x = images()[[3, 17, 40]]
    torch.manual_seed(0)
    model.chains = model.levels.joined(exact_states(model.levels, 200_000))
    next(model.training_step(x)).loss.backward()
    for parameter, gradient in zip(model.parameters(), gradients(model), strict=True):
        with torch.no_grad():
            value, bounds = parameter.flatten()[1].item(), []
            for change in (1e-5, -1e-5):
                parameter.view(-1)[1] = value + change
                bound = -model.variational_free_energy(x, updates=200).mean() - model.log_partition().value
                bounds.append(bound.item())
            parameter.view(-1)[1] = value
        assert -gradient.flatten()[1].item() == pytest.approx((bounds[0] - bounds[1]) / 2e-5, abs=0.006)


def test_chains_are_kept_and_converge_to_the_model():
    model = random_dbm(scale=0.7, chains=10_000, k=3)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    torch.manual_seed(0)
    before = model.chains.clone()
    for _ in range(10):
        list(model.training_step(images()[:2]))
    assert not torch.equal(model.chains, before)
    exact = joint(model).logsumexp((0, 2)).softmax(0)
    assert total_variation(model.chains, exact) < 0.03


def test_greedy_and_then_joint_learning_raise_the_bound_of_bars_and_stripes():
    patterns = bars_and_stripes(3).train.unique(dim=0).double()  # fourteen
    torch.manual_seed(0)
    model = DBM(Space.binary(1, 3, 3), (8, 8), k=5).double()
    found = [model.log_prob(patterns).value.mean().item()]
    for stage in (0, 1, "joint"):
        settings = {"steps": 400, "batch_size": 56, "schedule": "linear", "progress": False}
        fit(model.learn(stage), patterns.repeat(4, 1, 1, 1), lr=0.03, **settings)
        found.append(model.log_prob(patterns).value.mean().item())
    start, _, greedy, joint_ = found
    assert greedy > start + 0.5
    assert joint_ > greedy + 0.3
    assert joint_ > -4  # independent pixels are at −6.24, the truth is at −ln 14 = −2.64


# --- one layer alone -----------------------------------------------------------------------------------------------------------


def doubled(below: int, above: int, classes: int | None = None) -> DoubledRBM:
    torch.manual_seed(1)
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64)  # noqa: E731
    labels = () if classes is None else (draw(2, classes), draw(classes))
    return DoubledRBM(draw(3, 2), draw(3), draw(2), below, above, *labels)


def copies_table(rbm: DoubledRBM) -> torch.Tensor:
    """log of the unnormalized p of every state of all copies: (8, … for each visible one, 4, … for each hidden one)."""
    v, h, rank = states(3), states(2), rbm.below + rbm.above
    along = lambda values, *axes: values.view([values.shape[axes.index(j)] if j in axes else 1 for j in range(rank)])  # noqa: E731
    hidden = h @ rbm.hidden_bias
    if rbm.label_bias is not None:  # each copy's label, summed out
        hidden = hidden + (h @ rbm.label_weight + rbm.label_bias).logsumexp(1)
    total = torch.zeros([8] * rbm.below + [4] * rbm.above, dtype=torch.float64)
    for i in range(rbm.below):
        total = total + along(v @ rbm.visible_bias, i)
        for j in range(rbm.below, rank):
            total = total + along(v @ rbm.weight @ h.T, i, j)
    for j in range(rbm.below, rank):
        total = total + along(hidden, j)
    return total


@pytest.mark.parametrize(("below", "above"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_copies_are_summed_out_exactly_and_sampled_exactly(below, above):
    rbm = doubled(below, above)
    table = copies_table(rbm)
    over_hidden = table.logsumexp(tuple(range(below, below + above)))  # (8, …)
    v = states(3)
    total = v if below == 1 else (v[:, None] + v[None]).flatten(0, 1)
    torch.testing.assert_close(-rbm.free_energy(total), over_hidden.flatten(), rtol=0, atol=1e-12)
    torch.manual_seed(0)
    chain = below * v[torch.randint(8, (20_000,))]
    for _ in range(30):
        chain, _ = rbm.sweep(chain)
    p = over_hidden.flatten().softmax(0)
    torch.testing.assert_close(chain.mean(0), p @ total, rtol=0, atol=0.03)
    torch.testing.assert_close(chain.T @ chain / 20_000, (total.T * p) @ total, rtol=0, atol=0.06)


@pytest.mark.parametrize("above", [1, 2])
def test_labels_beside_the_hidden_copies_are_summed_and_drawn_exactly(above):
    rbm, v = doubled(1, above, classes=3), states(3)
    labels = torch.eye(3, dtype=torch.float64)
    free_energies = []
    for combination in itertools.product(labels, repeat=above):
        free_energies.append(rbm.free_energy(v, torch.stack(combination)[:, None].expand(-1, 8, -1)))
    summed = (-torch.stack(free_energies, dim=1)).logsumexp(1)  # over all labels of all copies
    exact = copies_table(rbm).logsumexp(tuple(range(1, 1 + above)))
    torch.testing.assert_close(summed, exact, rtol=0, atol=1e-12)
    torch.manual_seed(0)
    drawn = rbm.draw_labels(v[[5]].expand(20_000, -1))
    first = (-torch.stack(free_energies, dim=1)[5]).softmax(0).view(3, -1).sum(1)
    torch.testing.assert_close(drawn[0].mean(0), first, rtol=0, atol=0.02)
    chain, y = v[torch.randint(8, (20_000,))], labels[torch.randint(3, (above, 20_000))]
    for _ in range(40):
        chain, y = rbm.sweep(chain, y)
    torch.testing.assert_close(chain.mean(0), exact.softmax(0) @ v, rtol=0, atol=0.03)


@pytest.mark.parametrize("classes", [None, 3])
def test_two_layers_alone_average_to_the_machine_that_they_make(classes):
    """log p(h₁) of the DBM is the mean of its two doubled RBMs', up to a constant: what pretraining relies on."""
    model = random_dbm(classes=classes)
    below, above = DoubledRBM.of(model.levels, 0), DoubledRBM.of(model.levels, 1)
    h = states(4)
    from_below = h @ below.hidden_bias + 2 * torch.nn.functional.softplus(h @ below.weight.T + below.visible_bias).sum(
        -1
    )
    labels = None if classes is None else torch.eye(3, dtype=torch.float64)
    if classes is None:
        from_above = -above.free_energy(h)
    else:
        pairs = [torch.stack(pair)[:, None].expand(-1, 16, -1) for pair in itertools.product(labels, repeat=2)]
        from_above = torch.stack([-above.free_energy(h, pair) for pair in pairs]).logsumexp(0)
    table = joint(model)
    exact = table.logsumexp([axis for axis in range(table.ndim) if axis != 1])
    torch.testing.assert_close(((from_below + from_above) / 2).softmax(0), exact.softmax(0), rtol=0, atol=1e-12)


def test_a_layers_gradient_is_the_difference_of_outer_products():
    rbm, v = doubled(2, 1), states(3)[[1, 6, 3, 5]]
    weight = rbm.weight.clone().requires_grad_()
    rbm = DoubledRBM(weight, rbm.visible_bias, rbm.hidden_bias, 2, 1)
    torch.manual_seed(4)
    rbm.contrastive_loss(v, None, k=2).backward()
    torch.manual_seed(4)
    negatives, _ = rbm.sweep(rbm.sweep(2 * v)[0])
    with torch.no_grad():
        p = lambda total: (total @ weight + rbm.hidden_bias).sigmoid()  # noqa: E731
        by_hand = (negatives.T @ p(negatives) - 2 * v.T @ p(2 * v)) / 4
    torch.testing.assert_close(weight.grad, by_hand, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("stage", "groups", "touched"),
    [
        (0, {"layer 0"}, {"levels.weights.0", "levels.biases.0", "levels.biases.1"}),
        (1, {"layer 1"}, {"levels.weights.1", "levels.biases.2"}),
        (2, {"layer 2"}, {"levels.weights.2", "levels.biases.3", "levels.weights.3", "levels.biases.4"}),
        ("joint", {"model"}, {*(f"levels.weights.{i}" for i in range(4)), *(f"levels.biases.{i}" for i in range(5))}),
    ],
)
def test_a_stage_trains_its_own_parameters_and_leaves_all_others_as_they_are(stage, groups, touched):
    torch.manual_seed(0)
    model = DBM(SIX, (5, 4, 3), classes=2, chains=6).learn(stage)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    y = torch.arange(64) % 2
    history = fit(model, (images().float(), y), steps=12, batch_size=16, ema=0.5, lr=0.1, progress=False)
    assert set(history.losses) == set(model.parameter_groups()) == groups
    assert {name for name, value in model.named_parameters() if (value != before[name]).any()} == touched
    torch.testing.assert_close(model.data_mean, images().float().mean(0).flatten(), rtol=0, atol=0.2)


# --- what a user relies on -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labeled", [True, False])
def test_labels_may_be_given_or_missing_in_every_stage(labeled):
    torch.manual_seed(0)
    y = torch.arange(200) % 2
    x = torch.stack([y, y, y, 1 - y, 1 - y, 1 - y], dim=1).double()
    x = (x - (torch.rand_like(x) < 0.1).double()).abs().view(-1, 1, 2, 3)
    model = DBM(SIX, (8, 6), classes=2, chains=50, sweeps=50).double()
    for stage in (0, 1, "joint"):
        lr = 0.002 if stage == "joint" else 0.05  # both modes are far apart: chains must follow
        fit(model.learn(stage), (x, y) if labeled else x, steps=150, batch_size=50, lr=lr, progress=False)
    found = model.log_q_label(x)
    torch.testing.assert_close(found.exp().sum(1), torch.ones(200, dtype=torch.float64))
    if labeled:
        assert (found.argmax(1) == y).double().mean() > 0.95
        left, right = model.sample(200, y).flatten(1).split(3, dim=1)
        assert ((left.sum(1) > right.sum(1)) == y.bool()).double().mean() > 0.85
        assert model.log_prob(x, y).value.mean() > model.log_prob(x).value.mean() + 0.3
    assert model.log_prob(x).value.mean() > -3.6  # independent pixels are at −6 ln 2 = −4.16


def test_a_trained_machine_is_rebuilt_whole_and_a_stage_resumes_from_its_own_checkpoint(tmp_path):
    def trained(*calls) -> DBM:
        torch.manual_seed(0)
        model = DBM(SIX, (5, 4), chains=6)
        for stage, steps, folder in calls:
            settings = {"batch_size": 16, "progress": False, "checkpoint": folder}
            with torch.random.fork_rng():
                torch.manual_seed(1)
                model.learn(stage)
            fit(model, images().float(), steps=steps, **settings)
        return model

    whole = trained((0, 6, None), (1, 6, None), ("joint", 8, None))
    first = (0, 6, tmp_path / "0"), (1, 6, tmp_path / "1"), ("joint", 5, tmp_path / "joint")
    resumed = trained(*first, ("joint", 8, tmp_path / "joint"))
    whole.save_pretrained(tmp_path / "saved")
    loaded = DBM.from_pretrained(tmp_path / "saved")
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=0, atol=0)
    with pytest.raises(ValueError, match="stage: saved joint, now 0"):
        trained((0, 8, tmp_path / "joint"))


def test_impossible_machines_and_stages_are_refused_in_words():
    with pytest.raises(ValueError, match=r"binary.*digits\(levels=2\)"):
        DBM(Space.real(2))
    with pytest.raises(ValueError, match="use RBM"):
        DBM(SIX, (4,))
    with pytest.raises(ValueError, match="chains=0"):
        DBM(SIX, (4, 3), chains=0)
    with pytest.raises(ValueError, match="classes ≥ 2"):
        DBM(SIX, (4, 3), classes=1)
    with pytest.raises(ValueError, match=r"0, 1, 'joint'.*got 'generative'"):
        DBM(SIX, (4, 3)).learn("generative")
    with pytest.raises(ValueError, match="classes="):
        DBM(SIX, (4, 3)).log_q_label(images().float())
    with pytest.raises(ValueError, match=r"\(batch, 3\)"):
        DBM(SIX, (4, 3)).decode(torch.zeros(2, 4))
