"""Noise schedules against the papers' constants, their own derivatives, and Gaussians composed by hand."""

import itertools

import pytest
import torch

from dgmcourse.schedules import REPRESENTATIONS, SCHEDULES, Linear, noise_schedule

TIMES = torch.linspace(0.01, 0.99, 37, dtype=torch.float64)


@pytest.fixture(params=sorted(SCHEDULES))
def schedule(request):
    return noise_schedule(request.param)


def test_the_linear_schedule_is_that_of_ddpm():
    """β̃ of Ho et al. 2020: index k of the paper's T = 1000 is t = (k + 1)/1000."""
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    bars = (1 - betas).cumprod(0)
    schedule, k = Linear(), torch.arange(1000, dtype=torch.float64)
    t, s = (k + 1) / 1000, k / 1000
    torch.testing.assert_close(schedule.alpha(t).square(), bars, rtol=1e-12, atol=0)
    x = torch.zeros(1000, 1, dtype=torch.float64)
    variance = schedule.posterior(x, x, s, t)[1]
    wanted = betas * (1 - torch.cat([torch.ones(1).double(), bars[:-1]])) / (1 - bars)
    torch.testing.assert_close(variance, wanted, rtol=1e-9, atol=1e-15)
    assert variance[0] == 0
    assert float(variance[487]) == pytest.approx(0.00979, abs=1e-5)
    assert float(variance[999]) == pytest.approx(0.02, abs=1e-5)
    torch.testing.assert_close(schedule.between(s, t)[1], betas, rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(schedule.alpha(t.float()), bars.sqrt().float())  # float32's k/1000 is k/1000


def test_many_small_steps_approach_the_continuous_schedule():
    fine, limit = noise_schedule("linear", steps=100_000), noise_schedule("vp")
    torch.testing.assert_close(fine.alpha(TIMES), limit.alpha(TIMES), rtol=2e-3, atol=1e-6)


def test_rates_are_the_derivatives(schedule):
    t = (TIMES + 0.00023).clone()  # not on a corner of the table
    step = 1e-6
    for function, rate in ((schedule.alpha, schedule.alpha_dot), (schedule.sigma, schedule.sigma_dot)):
        torch.testing.assert_close(
            rate(t), (function(t + step) - function(t - step)) / (2 * step), rtol=1e-5, atol=1e-6
        )


def test_noise_grows_from_nothing_to_almost_everything(schedule):
    snr = schedule.log_snr(TIMES)
    assert (snr.diff() < 0).all()
    torch.testing.assert_close(schedule.time_of_log_snr(snr), TIMES, rtol=0, atol=1e-4)
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    sigma, alpha = schedule.sigma(ends), schedule.alpha(ends)
    assert sigma[0] <= 0.0100001
    assert alpha[0] == 1
    assert sigma[1] / alpha[1] >= 50


def test_variance_is_preserved():
    for name in ("linear", "vp", "cosine"):
        schedule = noise_schedule(name)
        total = schedule.alpha(TIMES).square() + schedule.sigma(TIMES).square()
        torch.testing.assert_close(total, torch.ones_like(total), rtol=1e-12, atol=0)


def test_every_prediction_can_be_said_in_every_words(schedule):
    generator = torch.Generator().manual_seed(0)
    data, noise = torch.randn(2, 37, 3, generator=generator, dtype=torch.float64)
    x = schedule.noised(data, noise, TIMES)
    alpha, sigma = schedule.alpha(TIMES)[:, None], schedule.sigma(TIMES)[:, None]
    truth = {
        "noise": noise,
        "data": data,
        "v": alpha * noise - sigma * data,
        "velocity": schedule.alpha_dot(TIMES)[:, None] * data + schedule.sigma_dot(TIMES)[:, None] * noise,
        "score": -noise / sigma,
    }
    for given, wanted in itertools.product(REPRESENTATIONS, repeat=2):
        found = schedule.convert(truth[given], x, TIMES, given, wanted)
        torch.testing.assert_close(
            found, truth[wanted], rtol=1e-6, atol=1e-7, msg=lambda m, g=given, w=wanted: f"{g} {w} {m}"
        )


def test_a_network_in_float32_may_predict_at_either_end():
    schedule, x = noise_schedule("straight"), torch.randn(4, 2)
    for t in (torch.tensor(0.0), torch.tensor(1.0)):
        for wanted in ("data", "noise"):
            found = schedule.convert(torch.ones(4, 2), x, t, "velocity", wanted)
            assert found.dtype == torch.float32
            assert torch.isfinite(found).all()


def test_two_steps_make_one(schedule):
    """x_r → x_s → x_t is x_r → x_t: signals multiply, variances add up."""
    r, s, t = (torch.tensor(value, dtype=torch.float64) for value in (0.2, 0.45, 0.8))
    (a1, b1), (a2, b2), (a, b) = schedule.between(r, s), schedule.between(s, t), schedule.between(r, t)
    torch.testing.assert_close(a1 * a2, a)
    torch.testing.assert_close(a2.square() * b1 + b2, b)


def test_the_posterior_is_bayes_rule(schedule):
    """q(x_s | x_t, data) from the joint Gaussian of (x_s, x_t) given data."""
    s, t = (torch.tensor(value, dtype=torch.float64) for value in (0.35, 0.6))
    a, _ = schedule.between(s, t)
    data, x = torch.tensor([[1.3]], dtype=torch.float64), torch.tensor([[-0.4]], dtype=torch.float64)
    var_s, var_t = schedule.sigma(s).square(), schedule.sigma(t).square()
    covariance = a * var_s
    mean = schedule.alpha(s) * data + covariance / var_t * (x - schedule.alpha(t) * data)
    found, variance = schedule.posterior(x, data, s, t)
    torch.testing.assert_close(found, mean)
    torch.testing.assert_close(variance, var_s - covariance.square() / var_t)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="no schedule 'quadratic'; choose one of linear"):
        noise_schedule("quadratic")
    with pytest.raises(ValueError, match="each β must lie between 0 and 1"):
        Linear(steps=10)
    with pytest.raises(ValueError, match="prediction is one of noise, data"):
        Linear().convert(torch.zeros(1, 1), torch.zeros(1, 1), torch.tensor(0.5), "epsilon", "data")
