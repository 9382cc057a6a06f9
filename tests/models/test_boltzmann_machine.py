"""The general Boltzmann machine against enumeration, hand-derived gradients, and the Ising model's known values."""

import itertools

import pytest
import torch

from dgmcourse.core import Kind, Space
from dgmcourse.models import BoltzmannMachine
from dgmcourse.training import fit

ISING = [(0.2, 11.771470, -0.456135), (0.4406868, 15.521916, -1.565624), (0.6, 20.056533, -1.908070)]


def random_machine(dim=6, hidden=0, std=0.7, **settings) -> BoltzmannMachine:
    torch.manual_seed(0)
    model = BoltzmannMachine(Space.binary(dim), hidden, **settings).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return model


def states(units: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=units)), dtype=torch.float64)


def test_the_energy_is_a_sum_over_pairs_and_units():
    model, s = random_machine(), states(6)
    j = model.couplings
    assert torch.equal(j, j.T)
    assert torch.equal(j.diagonal(), torch.zeros(6, dtype=torch.float64))
    pairs = sum(j[a, b] * s[:, a] * s[:, b] for a in range(6) for b in range(a))
    torch.testing.assert_close(model.energy(s), -pairs - s @ model.bias, rtol=0, atol=1e-12)


@pytest.mark.parametrize("hidden", [0, 3])
def test_probabilities_are_those_of_enumeration_and_sum_to_one(hidden):
    model = random_machine(5, hidden)
    joint = (-model.energy(states(5 + hidden))).softmax(0).view(32, -1).sum(1)
    found = model.log_prob(states(5))
    assert found.kind is Kind.EXACT
    torch.testing.assert_close(found.value.exp(), joint, rtol=0, atol=1e-12)
    x, p = model.distribution()
    assert p.sum().item() == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(p, model.log_prob(x).value.exp().detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("hidden", [0, 2])
def test_the_gradient_is_correlations_of_data_minus_those_of_the_model(hidden):
    model, x = random_machine(5, hidden), states(5)[[3, 9, 9, 30]]
    (step,) = model.training_step(x)
    step.loss.backward()
    s = states(5 + hidden)
    p_model = (-model.energy(s)).softmax(0).detach()
    agrees = (s[:, None, :5] == x).all(-1).double()  # (states, examples)
    p_data = (p_model[:, None] * agrees / (p_model @ agrees)).mean(1)  # hidden units by their posterior
    correlations = s.T @ ((p_model - p_data)[:, None] * s)
    torch.testing.assert_close(model.weight.grad, correlations.triu(1), rtol=0, atol=1e-10)
    torch.testing.assert_close(model.bias.grad, correlations.diagonal(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("hidden", [0, 3])
def test_gibbs_sampling_has_the_models_distribution_as_its_stationary_one(hidden):
    model = random_machine(6, hidden, sweeps=40)
    torch.manual_seed(1)
    samples = model.sample(20_000)
    _, exact = model.distribution()
    codes = (samples.long() * 2 ** torch.arange(6)).sum(-1)
    frequency = torch.bincount(codes, minlength=64) / len(codes)
    assert 0.5 * (frequency - exact).abs().sum() < 0.035


@pytest.mark.parametrize(("coupling", "log_z", "energy"), ISING)
def test_ising_on_four_by_four_has_its_known_partition_and_energy(coupling, log_z, energy):
    model = BoltzmannMachine.ising(4, coupling).double()
    assert model.log_partition().value.item() == pytest.approx(log_z, abs=1e-6)
    x, p = model.distribution()
    spins = 2 * x - 1  # (states, 1, 4, 4)
    bonds = (spins * spins.roll(1, -1) + spins * spins.roll(1, -2)).flatten(1).sum(-1)
    torch.testing.assert_close(model.energy(x.flatten(1)), -coupling * bonds, rtol=0, atol=1e-5)
    assert -(p @ bonds).item() / 16 == pytest.approx(energy, abs=1e-6)


def test_an_ising_lattice_is_updated_as_a_checkerboard_and_a_full_machine_unit_by_unit():
    blocks = BoltzmannMachine.ising(4, 0.3)._blocks()
    assert [len(block) for block in blocks] == [8, 8]
    rows = blocks[0] // 4 + blocks[0] % 4
    assert len(torch.unique(rows % 2)) == 1
    assert [len(block) for block in random_machine(7)._blocks()] == [1] * 7
    with pytest.raises(ValueError, match="side ≥ 3"):
        BoltzmannMachine.ising(2, 0.3)


def test_exact_learning_reaches_a_distribution_of_its_own_family():
    truth = random_machine(5)
    x, p = truth.distribution()
    data = x[torch.multinomial(p, 20_000, replacement=True, generator=torch.Generator().manual_seed(0))].float()
    torch.manual_seed(1)
    model = BoltzmannMachine(Space.binary(5))
    fit(model, data, steps=300, batch_size=2000, lr=0.05, schedule="linear", progress=False)
    with torch.no_grad():
        kl = (p * (p.log() - model.log_prob(x.float()).value)).sum()
    assert 0 <= kl < 2e-3  # 20,000 samples and 15 parameters leave about 15 / 40,000


def test_a_large_machine_learns_from_its_persistent_chains():
    """25 units in pairs that always agree: the chains, and so the model, take up the agreement."""
    torch.manual_seed(0)
    half = (torch.rand(500, 12) < 0.5).float()
    data = torch.cat([half, half], dim=1)
    model = BoltzmannMachine(Space.binary(24), sweeps=20)
    before = model.chains.clone()
    fit(model, data, steps=300, lr=0.02, progress=False)
    assert not torch.equal(model.chains, before)
    torch.manual_seed(1)
    samples = model.sample(300)
    assert (samples[:, :12] == samples[:, 12:]).float().mean() > 0.85
    assert model.log_prob(data).kind is Kind.UNNORMALIZED
    with pytest.raises(ValueError, match=r"2\^24 states"):
        model.log_partition()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BoltzmannMachine(Space.real(3)), "binary space, got real"),
        (lambda: BoltzmannMachine(Space.binary(3), hidden=11), "hidden from 0 to 10"),
        (lambda: BoltzmannMachine(Space.binary(3)).log_partition("guess"), "'exact' or 'ais'"),
        (lambda: BoltzmannMachine.ising(3, 0.1).energy(torch.zeros(2, 1, 3, 3)), r"\(batch, 9\).*flatten"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make()
