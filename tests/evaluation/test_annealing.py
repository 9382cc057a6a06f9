"""Annealed importance sampling against normalizers that are known exactly."""

import math

import pytest
import torch

from dgmcourse.core import Kind, Space
from dgmcourse.data import digits
from dgmcourse.dynamics import AnnealingPath, annealed_importance_sampling, hmc, inverse_temperatures, log_mean_exp
from dgmcourse.evaluation import annealed_average_log_prob, annealed_log_prob, average_log_prob, bracket
from dgmcourse.models import RBM, VAE, BoltzmannMachine
from dgmcourse.training import fit


@pytest.fixture(scope="module")
def trained():
    """A 64×16 RBM that has learned the binary digits."""
    data = digits(levels=2)
    torch.manual_seed(0)
    model = RBM(data.space, 16, chains=100)
    fit(model, data, steps=2000, batch_size=100, lr=5e-3, schedule="linear", progress=False)
    return model, data


def test_forward_and_reverse_annealing_bracket_the_exact_log_z_of_a_trained_rbm(trained):
    model, _ = trained
    exact = model.log_partition().value.item()
    torch.manual_seed(1)
    found = bracket(model, chains=500, temperatures=2000)
    for end in found:
        assert end.kind is Kind.ESTIMATE
        assert end.value.item() == pytest.approx(exact, abs=0.05)
        assert abs(end.value.item() - exact) < 5 * end.standard_error
    assert str(found).startswith("log Z from")
    assert model.log_partition("ais", chains=200, temperatures=500).value.item() == pytest.approx(exact, abs=0.1)


def test_a_single_fast_chain_is_below_the_truth_forward_and_above_it_in_reverse(trained):
    """Jensen's inequality: E[log w] < log E[w], by much with ten temperatures, and the truth is between the sides."""
    model, _ = trained
    exact, path, betas = model.log_partition().value.item(), model.annealing_path(), inverse_temperatures(10)
    torch.manual_seed(1)
    ends = []
    for start, order in ((path.start, betas), (path.end, betas.flip(0))):
        *_, (_, log_weights) = annealed_importance_sampling(path.step, start(500), order)
        ends.append(log_weights.mean().item())
    lower, upper = path.log_partition.item() + ends[0], path.log_partition.item() - ends[1]
    assert lower < exact - 0.2
    assert exact + 0.2 < upper


def test_log_prob_by_annealing_is_the_exact_one(trained):
    model, data = trained
    torch.manual_seed(1)
    found = annealed_log_prob(model, data.test, chains=200)
    assert found.kind is Kind.ESTIMATE
    with torch.no_grad():
        difference = found.value - model.log_prob(data.test).value
    assert difference.abs().max() < 0.05
    assert difference.std() < 1e-4  # one and the same error for every x
    exact = average_log_prob(model, data.test)
    for reverse in (False, True):
        average = annealed_average_log_prob(model, data.test, chains=200, temperatures=500, reverse=reverse)
        assert average.kind is Kind.ESTIMATE
        assert average.value == pytest.approx(exact.value, abs=0.1)
        assert exact.standard_error < average.standard_error < exact.standard_error + 0.01


@pytest.mark.parametrize(("coupling", "log_z"), [(0.2, 11.771470), (0.4406868, 15.521916), (0.6, 20.056533)])
def test_annealing_finds_the_partition_of_the_ising_model(coupling, log_z):
    torch.manual_seed(0)
    found = bracket(BoltzmannMachine.ising(4, coupling), chains=500, temperatures=1000)
    for end in found:
        assert end.value.item() == pytest.approx(log_z, abs=0.02)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RBM(Space.real(3), 6),
        lambda: RBM(Space.binary(1, 3, 3), 6, classes=3),
        lambda: RBM(Space.real(2), 5, classes=4, scale="unit"),
        lambda: BoltzmannMachine(Space.binary(5), hidden=3),
    ],
    ids=["real", "labels", "real with labels", "fully connected"],
)
def test_every_kind_of_machine_can_be_annealed(make):
    torch.manual_seed(0)
    model = make()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    exact = model.log_partition().value.item()
    for end in bracket(model, chains=500, temperatures=300):
        assert end.value.item() == pytest.approx(exact, abs=max(0.01, 4 * end.standard_error))


def test_the_weights_of_annealing_average_to_the_ratio_of_normalizers_at_any_speed():
    """From N(0, 1) to an unnormalized N(1, ½²): Z = √(2π)/2, with three temperatures and a single HMC move each."""

    def log_density(x, beta):
        return (1 - beta) * -0.5 * x.square().sum(-1) + beta * -2 * (x - 1).square().sum(-1)

    def step(x, before, now):
        gained = log_density(x, now) - log_density(x, before)
        ((x, _),) = hmc(lambda x: log_density(x, now), x, 0.3, leaps=5, steps=1)
        return x, gained

    path = AnnealingPath(torch.tensor(0.5 * math.log(2 * math.pi)), lambda n: torch.randn(n, 1), step, torch.randn)
    torch.manual_seed(0)
    betas = torch.linspace(0, 1, 4)
    *_, (_, log_weights) = annealed_importance_sampling(path.step, path.start(20_000), betas)
    value, error = log_mean_exp(log_weights)
    exact = 0.5 * math.log(2 * math.pi) + math.log(0.5)
    assert error < 0.03
    assert (path.log_partition + value).item() == pytest.approx(exact, abs=4 * error)


def test_log_mean_exp_and_its_standard_error():
    log_weights = torch.randn(1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 800
    value, error = log_mean_exp(log_weights)
    weights = (log_weights - 800).exp()
    assert value.item() == pytest.approx(800 + math.log(weights.mean()), abs=1e-10)
    assert error == pytest.approx(float(weights.std() / weights.mean()) / math.sqrt(1000), rel=1e-6)
    with pytest.raises(ValueError, match="at least 2 chains"):
        log_mean_exp(log_weights[:1])


def test_inverse_temperatures_rise_from_zero_to_one():
    betas = inverse_temperatures(1000)
    assert (betas[0], betas[-1]) == (0, 1)
    assert (betas.diff() > 0).all()


def test_a_model_without_an_energy_is_refused_in_words():
    with pytest.raises(ValueError, match="VAE has not both"):
        annealed_log_prob(VAE(Space.binary(4), 2, hidden=()), torch.zeros(1, 4))
