"""Rational-quadratic splines, held to their definition."""

import pytest
import torch
from torch.nn import functional as F

from dgmcourse.models.flows import rational_quadratic_spline
from dgmcourse.models.flows.elementwise import SMALLEST, spline_knots

BOUND = 4.0


def raws(n: int = 200, bins: int = 6, scale: float = 1.5) -> torch.Tensor:
    return scale * torch.randn(n, 3 * bins - 1, generator=torch.Generator().manual_seed(0)).double()


def slope(x: torch.Tensor, raw: torch.Tensor) -> torch.Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(rational_quadratic_spline(x, raw, BOUND)[0].sum(), x)[0]


def test_it_passes_through_its_knots_with_their_slopes():
    raw = raws()
    for place, value, slope_there in zip(*(part.unbind(-1) for part in spline_knots(raw, BOUND)), strict=True):
        y, log_slope = rational_quadratic_spline(place, raw, BOUND)
        torch.testing.assert_close(y, value, rtol=0, atol=1e-12)
        torch.testing.assert_close(log_slope.exp(), slope_there)
        back, log_back = rational_quadratic_spline(value, raw, BOUND, inverse=True)
        torch.testing.assert_close(back, place, rtol=0, atol=1e-9)
        torch.testing.assert_close(log_back, -slope_there.log())


def test_values_and_slopes_are_continuous_at_the_knots():
    raw, step = raws(), 1e-9
    for place in spline_knots(raw, BOUND)[0].unbind(-1):
        below, above = place - step, place + step
        torch.testing.assert_close(slope(below, raw), slope(above, raw), rtol=1e-4, atol=1e-4)
        rise = rational_quadratic_spline(above, raw, BOUND)[0] - rational_quadratic_spline(below, raw, BOUND)[0]
        assert (rise > 0).all()
        assert (rise < 1e-4).all()


def test_between_two_knots_it_is_the_papers_quotient():
    """Equation 4 of Durkan et al., with ξ, s, δ, y as there, for one bin at a time."""
    raw = raws(50)
    knots = spline_knots(raw, BOUND)
    for k in range(6):
        (x0, x1), (y0, y1), (d0, d1) = (part.unbind(-1) for part in knots[..., k : k + 2])
        xi = torch.linspace(0.01, 0.99, 50).double()
        s = (y1 - y0) / (x1 - x0)
        top = (y1 - y0) * (s * xi**2 + d0 * xi * (1 - xi))
        expected = y0 + top / (s + (d1 + d0 - 2 * s) * xi * (1 - xi))
        found = rational_quadratic_spline(x0 + xi * (x1 - x0), raw, BOUND)[0]
        torch.testing.assert_close(found, expected)


def test_the_slope_is_autograds_and_positive_everywhere():
    raw = raws(400, scale=2.0)
    x = torch.linspace(-BOUND - 1, BOUND + 1, 400).double()
    by_autograd = slope(x, raw)
    assert (by_autograd > 0).all()
    torch.testing.assert_close(rational_quadratic_spline(x, raw, BOUND)[1], by_autograd.log(), rtol=1e-8, atol=1e-8)


def test_beyond_the_bound_it_is_the_identity_and_it_meets_it_smoothly():
    raw = raws(8)
    x = torch.tensor([-1e6, -7.0, -BOUND, BOUND, 7.0, 1e6, 4.0001, -4.0001]).double()
    for inverse in (False, True):
        y, log_slope = rational_quadratic_spline(x, raw, BOUND, inverse=inverse)
        torch.testing.assert_close(y, x, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(log_slope, torch.zeros(8).double(), rtol=0, atol=1e-10)
    torch.testing.assert_close(slope(x, raw), torch.ones(8).double())


def test_raw_zeros_are_the_identity():
    x = torch.linspace(-5, 5, 101).double()
    y, log_slope = rational_quadratic_spline(x, torch.zeros(101, 23).double(), BOUND)
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(log_slope, torch.zeros(101).double(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("inverse", [False, True])
def test_extreme_raw_numbers_give_finite_values_and_gradients(inverse):
    raw = torch.randn(500, 23, generator=torch.Generator().manual_seed(0)).mul(1e3).requires_grad_()
    x = torch.linspace(-BOUND, BOUND, 500).requires_grad_()
    y, log_slope = rational_quadratic_spline(x, raw, BOUND, inverse=inverse)
    (y.sum() + log_slope.sum()).backward()
    for part in (y, log_slope, raw.grad, x.grad):
        assert torch.isfinite(part).all()
    assert (y.abs() <= BOUND).all()


def test_the_gradient_with_respect_to_the_raw_numbers_is_that_of_finite_differences():
    raw = raws(20).requires_grad_()
    x = torch.linspace(-5, 5, 20).double().requires_grad_()
    for inverse in (False, True):
        assert torch.autograd.gradcheck(lambda x, raw, i=inverse: rational_quadratic_spline(x, raw, BOUND, i), (x, raw))


def test_shares_of_the_interval_are_a_softmax_with_a_floor():
    raw = raws(10)
    places, values, _ = spline_knots(raw, BOUND)
    for knots, logits in ((places, raw[:, :6]), (values, raw[:, 6:12])):
        shares = knots.diff(dim=-1) / (2 * BOUND)
        torch.testing.assert_close(shares, SMALLEST + (1 - 6 * SMALLEST) * F.softmax(logits, -1))
