"""Solvers that can be learned through: their order, their tolerance and their gradients on equations with known solutions."""

import math
from itertools import pairwise

import pytest
import torch

from dgmcourse.dynamics import SolverFailed, dormand_prince, rk4


def logistic(x, t):
    """dx/dt = x (1 − x), solved by x(t) = 1 / (1 + (1/x₀ − 1) e⁻ᵗ)."""
    return x * (1 - x)


def logistic_solution(start, t):
    return 1 / (1 + (1 / start - 1) * math.exp(-t))


class Counted:
    """A velocity that counts how often it is asked."""

    def __init__(self, velocity):
        self.velocity, self.calls = velocity, 0

    def __call__(self, x, t):
        self.calls += 1
        return self.velocity(x, t)


def test_rk4_has_order_4():
    """dx/dt = −t·x, from t = 0 to 2: x(2) = x(0) e⁻². Halving the step divides the error by sixteen."""
    errors = []
    for steps in (20, 40, 80):
        times = torch.linspace(0, 2, steps + 1, dtype=torch.float64)
        *_, x = rk4(lambda x, t: -t * x, torch.ones(1, 1, dtype=torch.float64), times)
        errors.append(abs(float(x) - math.exp(-2)))
    assert [math.log2(a / b) for a, b in pairwise(errors)] == pytest.approx([4, 4], abs=0.15)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8, 1e-10])
def test_dormand_prince_meets_its_tolerance_for_every_example(tolerance):
    start = torch.tensor([[0.01], [0.3], [0.9], [2.0]], dtype=torch.float64)
    *_, (x, t) = dormand_prince(logistic, start, 0, 6, tolerance)
    assert t == 6
    torch.testing.assert_close(x, logistic_solution(start, 6), rtol=0, atol=10 * tolerance)


def test_dormand_prince_follows_a_known_orbit_and_returns():
    """A rotation by ten full turns, and back again in the other direction of time."""
    start = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    turn = lambda x, t: torch.stack([-x[:, 1], x[:, 0]], 1)  # noqa: E731
    *_, (there, _) = dormand_prince(turn, start, 0, 20 * math.pi, 1e-8)
    torch.testing.assert_close(there, start, rtol=0, atol=1e-5)
    *_, (back, t) = dormand_prince(turn, there, 20 * math.pi, 0, 1e-8)
    assert t == 0
    torch.testing.assert_close(back, start, rtol=0, atol=1e-5)


def test_dormand_prince_works_where_the_equation_is_hard_and_rests_where_it_is_easy():
    """dx/dt of a narrow bump around t = 1: most steps are taken there. A tolerance 10⁵ times finer costs ten times as much."""
    bump = Counted(lambda x, t: torch.exp(-0.5 * ((t - 1) / 0.1) ** 2) + 0 * x)
    *_, (x, _) = states = list(dormand_prince(bump, torch.zeros(1, 1, dtype=torch.float64), 0, 3, 1e-8))
    assert float(x) == pytest.approx(0.1 * math.sqrt(2 * math.pi), abs=1e-7)
    near = sum(abs(t - 1) < 0.5 for _, t in states)
    assert near > 0.7 * len(states)
    assert bump.calls <= 1 + 6 * 2 * len(states)  # six a step, the rejected ones included
    costs = []
    for tolerance in (1e-6, 1e-11):
        orbit = Counted(lambda x, t: torch.stack([-x[:, 1], x[:, 0]], 1))
        for _ in dormand_prince(orbit, torch.tensor([[1.0, 0.0]], dtype=torch.float64), 0, 20, tolerance):
            pass
        costs.append(orbit.calls)
    assert costs[1] / costs[0] == pytest.approx(10, rel=0.15)  # error ~ h^5: 10^5 times less, ten times the steps


@pytest.mark.parametrize("solver", ["rk4", "dormand_prince"])
def test_gradients_pass_through_the_solver(solver):
    """x(T) = x₀ e^(aT), so that ∂x/∂a = T x(T) and ∂x/∂x₀ = e^(aT)."""
    rate = torch.tensor(-0.7, dtype=torch.float64, requires_grad=True)
    start = torch.tensor([[1.5]], dtype=torch.float64, requires_grad=True)
    if solver == "rk4":
        *_, x = rk4(lambda x, t: rate * x, start, torch.linspace(0, 2, 101, dtype=torch.float64))
    else:
        *_, (x, _) = dormand_prince(lambda x, t: rate * x, start, 0, 2, 1e-10)
    by_rate, by_start = torch.autograd.grad(x.sum(), [rate, start])
    truth = 1.5 * math.exp(-1.4)
    assert float(by_rate) == pytest.approx(2 * truth, rel=1e-6)
    assert float(by_start) == pytest.approx(math.exp(-1.4), rel=1e-6)


def test_a_solution_that_escapes_is_reported_in_words():
    """dx/dt = x² from 1 reaches infinity at t = 1."""
    with pytest.raises(SolverFailed, match="tolerance"):
        list(dormand_prince(lambda x, t: x.square(), torch.ones(1, 1), 0, 2))
    with pytest.raises(SolverFailed, match="3 steps reached"):
        list(dormand_prince(logistic, torch.full((1, 1), 0.1), 0, 50, max_steps=3))
    with pytest.raises(ValueError, match="tolerance must be positive"):
        next(dormand_prince(logistic, torch.ones(1, 1), 0, 1, tolerance=0))
