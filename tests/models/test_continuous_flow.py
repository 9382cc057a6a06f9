"""Continuous flows: known equations, both traces, both solvers, densities that integrate to one."""

import math

import pytest
import torch

from dgmcourse.core import Kind, Space
from dgmcourse.dynamics import SolverFailed
from dgmcourse.models import ContinuousFlow
from dgmcourse.models.flows import NeuralODE, divergence
from dgmcourse.training import fit

SOLVERS = [{"steps": 40}, {"solver": "adaptive", "tolerance": 1e-10}]
every_solver = pytest.mark.parametrize("arguments", SOLVERS, ids=["rk4", "adaptive"])


def stirred(dim=2, size=0.6, **arguments):
    """A flow with random weights, in float64."""
    torch.manual_seed(0)
    model = ContinuousFlow(Space.real(dim), hidden=(16, 16), **arguments)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(size * torch.randn_like(parameter))
    return model.double().eval()


def linear(matrix, **arguments):
    """A flow whose velocity is v(x) = A x."""
    model = ContinuousFlow(Space.real(len(matrix)), hidden=(), **arguments).double().eval()
    with torch.no_grad():
        model.ode.field.network[0].weight[:, :-1] = matrix
    return model


@every_solver
@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
def test_a_linear_equation_has_its_exponential_and_its_trace(arguments, trace):
    """dx/dt = Ax: x(1) = e^A x(0), log-determinant tr A. One draw of signs gives εᵀAε, tr A itself for a diagonal A."""
    matrix = torch.tensor([[0.5, -1.2, 0.0], [0.7, -0.3, 0.4], [0.0, 0.9, 0.6]], dtype=torch.float64)
    if trace == "hutchinson":
        matrix = matrix.diagonal().diag_embed()
    model, z = linear(matrix, trace=trace, **arguments), torch.randn(5, 3, dtype=torch.float64)
    x, log_det = model.ode.inverse(z)
    torch.testing.assert_close(x, z @ torch.matrix_exp(matrix).T, rtol=0, atol=1e-6)
    torch.testing.assert_close(log_det, matrix.trace().expand(5), rtol=0, atol=1e-6)
    back, there = model.ode(x)
    torch.testing.assert_close(back, z, rtol=0, atol=1e-6)
    torch.testing.assert_close(there, -matrix.trace().expand(5), rtol=0, atol=1e-6)


def test_a_linear_flow_has_the_density_of_its_gaussian():
    """x = e^A z is N(0, e^A e^Aᵀ)."""
    matrix = torch.tensor([[0.5, -1.2], [0.7, -0.3]], dtype=torch.float64)
    factor, x = torch.matrix_exp(matrix), torch.randn(50, 2, dtype=torch.float64)
    truth = torch.distributions.MultivariateNormal(torch.zeros(2).double(), factor @ factor.T).log_prob(x)
    found = linear(matrix, steps=40).log_prob(x)
    assert found.kind is Kind.EXACT
    torch.testing.assert_close(found.value, truth, rtol=0, atol=1e-6)


@every_solver
def test_both_directions_undo_each_other_and_the_log_determinant_is_that_of_the_jacobian(arguments):
    model, x = stirred(dim=3, **arguments), 20 * torch.rand(4, 3, dtype=torch.float64) - 10
    z, log_det = model.ode(x)
    back, again = model.ode.inverse(z)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-5)
    torch.testing.assert_close(log_det, -again, rtol=0, atol=1e-5)
    jacobian = torch.autograd.functional.jacobian(lambda one: model.ode(one)[0].flatten(), x[:1]).view(3, 3)
    truth = torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(log_det[0], truth, rtol=0, atol=1e-5)


def test_in_single_precision_both_directions_agree_to_four_digits():
    model = stirred(dim=3, size=0.3, steps=40).float()
    x = 20 * torch.rand(64, 3) - 10
    with torch.no_grad():
        z, there = model.ode(x)
        back, again = model.ode.inverse(z)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-4)
    torch.testing.assert_close(there, -again, rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [1e-30, 1e10])
@every_solver
def test_extreme_inputs_stay_finite(arguments, size):
    model = stirred(size=0.3, steps=8) if "steps" in arguments else stirred(size=0.3, solver="adaptive")
    found = model.log_density(size * torch.randn(5, 2, dtype=torch.float64))
    assert torch.isfinite(found).all()


def test_finer_steps_of_rk4_come_closer_to_the_density_by_order_4():
    x = torch.randn(20, 2, dtype=torch.float64)
    with torch.no_grad():
        truth = stirred(solver="adaptive", tolerance=1e-12).log_density(x)
        errors = [float((stirred(steps=steps).log_density(x) - truth).abs().mean()) for steps in (16, 32, 64)]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.4)
    assert errors[1] / errors[2] == pytest.approx(16, rel=0.4)


def test_the_adaptive_density_is_right_to_its_tolerance():
    x = torch.randn(20, 2, dtype=torch.float64)
    with torch.no_grad():
        truth = stirred(steps=400).log_density(x)
        for tolerance in (1e-4, 1e-7):
            model = stirred(solver="adaptive", tolerance=tolerance)
            assert float((model.log_density(x) - truth).abs().max()) < 50 * tolerance


def test_the_density_integrates_to_one():
    model = stirred(size=0.5, steps=12)
    side = torch.linspace(-9, 9, 161, dtype=torch.float64)
    with torch.no_grad():
        density = model.log_prob(torch.cartesian_prod(side, side)).value.exp()
    assert float(density.view(161, 161)[[0, -1]].max()) < 1e-6  # nothing is left outside
    assert float(density.sum() * (side[1] - side[0]) ** 2) == pytest.approx(1, abs=1e-3)


def test_hutchinsons_estimate_is_unbiased():
    """The mean log-density over many draws of signs is the exact one, within four standard errors, for every x."""
    exact, estimate = stirred(dim=3, steps=6), stirred(dim=3, steps=6, trace="hutchinson")
    x, draws = torch.randn(4, 3, dtype=torch.float64), 4000
    with torch.no_grad():
        found = estimate.log_prob(x.repeat(draws, 1))
        truth = exact.log_prob(x).value
    assert found.kind is Kind.ESTIMATE
    values = found.value.view(draws, 4)
    error = values.std(0) / math.sqrt(draws)
    assert (error > 1e-4).all()
    assert ((values.mean(0) - truth).abs() < 4 * error).all()


def test_the_divergence_of_a_field_by_hand():
    """v = (x₀² x₁, sin x₀ + 3 x₁): tr ∂v/∂x = 2 x₀ x₁ + 3."""
    x = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    v = torch.stack([x[:, 0] ** 2 * x[:, 1], x[:, 0].sin() + 3 * x[:, 1]], 1)
    truth = 2 * x[:, 0] * x[:, 1] + 3
    torch.testing.assert_close(divergence(v, x), truth)
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)  # their mean is exact in two dimensions
    estimates = [divergence(v, x, one.expand(6, 2)) for one in signs]
    torch.testing.assert_close(sum(estimates) / 2, truth)


@pytest.mark.parametrize("arguments", [{}, {"solver": "adaptive", "tolerance": 1e-7}, {"trace": "hutchinson"}])
def test_gradients_of_the_loss_are_those_of_finite_differences(arguments):
    model, x = stirred(**arguments), torch.randn(8, 2, dtype=torch.float64)

    def loss():
        torch.manual_seed(1)
        return -model.log_prob(x).value.mean()

    weight = model.ode.field.network[0].weight
    (slope,) = torch.autograd.grad(loss(), weight)
    direction, size = torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)).to(weight), 1e-5
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight += sign * size * direction
            values.append(float(loss()))
            weight -= sign * size * direction
    assert float((slope * direction).sum()) == pytest.approx((values[0] - values[1]) / (2 * size), rel=1e-4, abs=1e-6)


@pytest.mark.slow
def test_it_learns_a_banana_from_gaussian_noise():
    """x = (u, v + u²), u, v ~ N(0, 1): of entropy ln 2πe, whereas the best Gaussian is ½ ln 3 = 0.55 nats worse."""
    torch.manual_seed(0)
    u, v = torch.randn(2, 4000)
    x = torch.stack([u, v + u.square()], 1)
    model = ContinuousFlow(Space.real(2), hidden=(32, 32), steps=4)
    fit(model, x[:2000], steps=150, batch_size=200, lr=1e-2, schedule="cosine", progress=False)
    with torch.no_grad():
        gap = -float(model.log_prob(x[2000:]).value.mean()) - math.log(2 * math.pi * math.e)
    assert gap < 0.2


def test_labels_bend_the_flow_differently():
    model = stirred(classes=2)
    x, y = torch.randn(6, 2, dtype=torch.float64), torch.tensor([0, 1] * 3)
    assert (model.log_prob(x, y).value != model.log_prob(x, 1 - y).value).all()
    torch.testing.assert_close(model.decode(model.encode(x, y), y), x, rtol=0, atol=1e-3)


def test_every_step_of_the_solver_is_a_state_and_evaluations_are_counted():
    model = stirred(steps=5)
    states = list(model.states(torch.randn(3, 2, dtype=torch.float64)))
    assert len(states) == 6
    assert model.evaluations == 20
    adaptive = stirred(solver="adaptive", tolerance=1e-4)
    n = len(list(adaptive.states(torch.randn(3, 2, dtype=torch.float64))))
    assert adaptive.evaluations >= 1 + 6 * (n - 1)
    grey = ContinuousFlow(Space.grey(1, 2, 2, levels=4), steps=3)
    *_, before, last = grey.states(torch.randn(3, 4))
    assert torch.allclose(last, grey.layers[0].inverse(before.flatten(1))[0].view_as(last))


def test_scoring_without_gradients_keeps_none():
    model, x = stirred(), torch.randn(4, 2, dtype=torch.float64)
    with torch.no_grad():
        quiet = model.log_prob(x).value
    loud = model.log_prob(x).value
    assert not quiet.requires_grad
    assert loud.requires_grad
    torch.testing.assert_close(quiet, loud.detach())


def test_an_equation_that_escapes_is_reported():
    ode = NeuralODE(lambda x, t, y: x.square(), "adaptive", 1, 1e-6, "exact")
    with pytest.raises(SolverFailed, match="tolerance"):
        ode.inverse(torch.full((1, 1), 2.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"solver": "euler"}, "solver must be"),
        ({"trace": "none"}, "trace must be"),
        ({"activation": "relu"}, "must be smooth"),
        ({"steps": 0}, "steps ≥ 1"),
        ({"tolerance": 0.0}, "tolerance > 0"),
    ],
)
def test_bad_settings_are_refused_in_words(arguments, message):
    with pytest.raises(ValueError, match=message):
        ContinuousFlow(Space.real(2), **arguments)
