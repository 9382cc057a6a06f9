"""Samplers against the moments of a known Gaussian, solvers against a known solution and their order."""

import math
from itertools import pairwise

import pytest
import torch

from dgmcourse.data.toys import toy_density
from dgmcourse.dynamics import euler, heun, hmc, langevin, metropolis_langevin, tuned_step_size

CHAINS = 20_000
MEAN, STD = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 2.0])


def log_prob(x):
    return -0.5 * ((x - MEAN) / STD).square().sum(-1)


def within_three_standard_errors(x, mean, std):
    """Mean and variance of independent chains against the truth."""
    error = std / math.sqrt(len(x))
    assert ((x.mean(0) - mean).abs() < 3 * error).all()
    assert ((x.var(0) / std**2 - 1).abs() < 3 * math.sqrt(2 / len(x))).all()


def exact_draws():
    torch.manual_seed(0)
    return MEAN + STD * torch.randn(CHAINS, 2)


@pytest.mark.parametrize(
    "chain",
    [
        lambda x: metropolis_langevin(log_prob, x, step_size=0.3, steps=20),
        lambda x: hmc(log_prob, x, step_size=0.4, leaps=5, steps=20),
    ],
    ids=["MALA", "HMC"],
)
def test_metropolis_leaves_the_target_as_it_is(chain):
    """Started from exact draws, every later state is an exact draw, though the steps are coarse."""
    for x, accepted in chain(exact_draws()):  # noqa: B007 (the last x is looked at)
        assert 0.3 < float(accepted) < 0.995
    within_three_standard_errors(x, MEAN, STD)


def reversals(chain, truth):
    """f(before) g(after) − g(before) f(after) of exact draws and their successors, in standard errors from its mean 0."""
    torch.manual_seed(0)
    before = truth.sample(CHAINS)
    after = next(chain(before))
    after = after[0] if isinstance(after, tuple) else after
    f, g = (lambda x: x[:, 0].square()), truth.log_prob
    difference = f(before) * g(after) - g(before) * f(after)
    drift = g(after) - g(before)
    return [abs(float(d.mean() / d.std())) * math.sqrt(CHAINS) for d in (difference, drift)]


def test_metropolis_is_reversible_and_unadjusted_steps_are_not():
    """Among eight Gaussians: in its own law a chain looks the same run backwards, and E[log p] stays −entropy."""
    truth = toy_density("eight_gaussians")
    chains = {
        "MALA": lambda x: metropolis_langevin(truth.log_prob, x, step_size=0.3, steps=1),
        "HMC": lambda x: hmc(truth.log_prob, x, step_size=0.5, leaps=3, steps=1),
        "ULA": lambda x: langevin(truth.score, x, step_size=0.3, steps=1),
    }
    found = {name: reversals(chain, truth) for name, chain in chains.items()}
    assert max(found["MALA"]) < 3
    assert max(found["HMC"]) < 3
    assert found["ULA"][1] > 10  # the test would see it


def test_metropolis_reaches_the_target_from_afar():
    torch.manual_seed(0)
    *_, (x, _) = hmc(log_prob, (MEAN + 4 * STD).expand(CHAINS, 2), step_size=0.4, leaps=5, steps=40)
    within_three_standard_errors(x, MEAN, STD)


def test_unadjusted_langevin_has_its_known_bias():
    """For N(m, s²) the step is an AR(1) process, x' − m = (1 − ε/2s²)(x − m) + √ε n, with variance s² / (1 − ε/4s²)."""
    torch.manual_seed(0)
    step_size = 0.4
    score = lambda x: -(x - MEAN) / STD**2  # noqa: E731
    *_, x = langevin(score, MEAN.expand(CHAINS, 2), step_size, steps=100)
    within_three_standard_errors(x, MEAN, STD / (1 - step_size / (4 * STD**2)).sqrt())


@pytest.mark.parametrize(("solver", "order"), [(euler, 1), (heun, 2)])
def test_solvers_have_their_order_on_a_linear_equation(solver, order):
    """dx/dt = −t·x, from t = 0 to 2: x(2) = x(0) e⁻². Halving the step divides the error by 2 to the order."""
    errors = []
    for steps in (40, 80, 160):
        times = torch.linspace(0, 2, steps + 1, dtype=torch.float64)
        *_, x = solver(lambda x, t: -t * x, torch.ones(1, 1, dtype=torch.float64), times)
        errors.append(abs(float(x) - math.exp(-2)))
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert slopes == pytest.approx([order, order], abs=0.1)


def test_solvers_run_backwards_too():
    times = torch.linspace(0, 1, 201, dtype=torch.float64)
    start = torch.tensor([[0.3, -1.0]], dtype=torch.float64)
    *_, there = heun(lambda x, t: torch.sin(x) + t, start, times)
    *_, back = heun(lambda x, t: torch.sin(x) + t, there, times.flip(0))
    torch.testing.assert_close(back, start, rtol=0, atol=1e-4)


def test_every_state_is_yielded_and_gradients_do_not_leak():
    weight = torch.ones((), requires_grad=True)
    states = langevin(lambda x: -weight * x, torch.zeros(3, 2), step_size=0.1, steps=5)
    first = next(states)
    assert torch.is_grad_enabled()  # between two states too
    assert not first.requires_grad
    assert len(list(states)) == 4
    x, _ = next(hmc(lambda x: -weight * x.square().sum(-1), torch.zeros(3, 2), 0.1, 2, 1))
    assert not x.requires_grad
    assert weight.grad is None
    start = torch.zeros(3, 2, requires_grad=True)
    for chain in (metropolis_langevin(log_prob, start, 0.1, 2), hmc(log_prob, start, 0.1, 2, 2)):
        assert not any(x.requires_grad for x, _ in chain)


def test_a_proposal_without_a_density_is_never_accepted():
    torch.manual_seed(0)
    inside = lambda x: torch.where(x.abs().amax(-1) < 1, 0.0 * x.sum(-1), torch.tensor(float("nan")))  # noqa: E731
    for x, _ in metropolis_langevin(inside, torch.zeros(500, 2), step_size=1.0, steps=10):
        assert (x.abs() < 1).all()


@pytest.mark.parametrize("start", [1e-3, 50.0], ids=["too small", "too large"])
@pytest.mark.parametrize(("kind", "target"), [("MALA", 0.57), ("HMC", 0.8)])
def test_a_tuned_step_size_accepts_what_was_asked_for(kind, target, start):
    def chain(x, step_size, steps=1):
        if kind == "MALA":
            return metropolis_langevin(log_prob, x, step_size, steps)
        return hmc(log_prob, x, step_size, leaps=5, steps=steps)

    torch.manual_seed(0)
    step_size, x = tuned_step_size(chain, MEAN + STD * torch.randn(500, 2), target, start)
    shares = torch.stack([accepted for _, accepted in chain(x, step_size, steps=40)])
    assert abs(float(shares.mean()) - target) < 0.06
    assert x.shape == (500, 2)


def test_tuning_refuses_what_makes_no_sense():
    with pytest.raises(ValueError, match="0 < target < 1"):
        tuned_step_size(lambda x, step_size: hmc(log_prob, x, step_size, 1, 1), torch.zeros(1, 2), target=1.0)
