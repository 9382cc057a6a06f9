"""Samplers against the papers' equations written out, and against densities whose noised score is known exactly."""

import math

import pytest
import torch

from dgmcourse.data import toy_density
from dgmcourse.dynamics import euler
from dgmcourse.samplers import (
    ddim,
    ddpm,
    dpm_solver_pp_2m,
    exact_noise,
    guided,
    heun_probability_flow,
    probability_flow,
    start,
    time_grid,
)
from dgmcourse.schedules import Linear, noise_schedule


def last(states):
    state = None
    for state in states:  # noqa: B007
        pass
    return state


def dummy():
    """The sample and the 'network' that diffusion libraries test their schedulers with: ε̂ = x·k/(k + 1)."""
    x = torch.arange(4 * 3 * 8 * 8, dtype=torch.float64).reshape(3, 8, 8, 4) / (4 * 3 * 8 * 8)
    return x.permute(3, 0, 1, 2), lambda x, t: x * _index(t) / (_index(t) + 1)


def _index(t):
    return round(float(t) * 1000) - 1


BETAS = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
BARS = (1 - BETAS).cumprod(0)


@pytest.mark.parametrize("variance", ["small", "large"])
def test_ddpm_is_algorithm_2_of_the_paper(variance):
    x, noise = dummy()
    torch.manual_seed(0)
    found = last(ddpm(noise, Linear(), x, time_grid(Linear(), 1000), variance))
    torch.manual_seed(0)
    for k in range(999, -1, -1):
        before = BARS[k - 1] if k else torch.ones(())
        mean = (x - BETAS[k] / (1 - BARS[k]).sqrt() * noise(x, (k + 1) / 1000)) / (1 - BETAS[k]).sqrt()
        spread = BETAS[k] * (1 - before) / (1 - BARS[k]) if variance == "small" else BETAS[k]
        x = mean + (spread.sqrt() * torch.randn_like(x) if k else 0)
    torch.testing.assert_close(found, x, rtol=1e-8, atol=1e-8)
    assert float(found.abs().sum()) == pytest.approx(float(x.abs().sum()), rel=1e-9)


@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_ddim_is_equation_12_of_the_paper(eta):
    x, noise = dummy()
    torch.manual_seed(0)
    found = last(ddim(noise, Linear(), x, time_grid(Linear(), 50), eta))
    torch.manual_seed(0)
    for k in range(999, -1, -20):
        bar, before = BARS[k], BARS[k - 20] if k >= 20 else torch.ones(()).double()
        epsilon = noise(x, (k + 1) / 1000)
        sigma = eta * ((1 - before) / (1 - bar) * (1 - bar / before)).sqrt()
        data = (x - (1 - bar).sqrt() * epsilon) / bar.sqrt()
        x = before.sqrt() * data + (1 - before - sigma**2).clamp(min=0).sqrt() * epsilon
        if eta:
            x = x + sigma * torch.randn_like(x)
    torch.testing.assert_close(found, x, rtol=1e-8, atol=1e-8)


def test_clipped_data_stay_in_range():
    x, _ = dummy()
    for sampler in (ddpm, ddim, dpm_solver_pp_2m):
        found = last(sampler(lambda x, t: -5 * x, Linear(), x, time_grid(Linear(), 20), clip=(-1, 1)))
        assert found.abs().max() <= 1


# --- a Gaussian, whose probability flow has a closed form -----------------------------------------------------------


class Normal:
    """N(mean, std²), independent entries, under noise."""

    def __init__(self, mean, std):
        self.mean, self.std = mean, std

    def noised(self, alpha, sigma):
        return Normal(alpha * self.mean, math.sqrt(alpha**2 * self.std**2 + sigma**2))

    def score(self, x):
        return (self.mean - x) / self.std**2


DATA = Normal(1.5, 0.6)


def carried(schedule, x, times):
    """Where the flow of a Gaussian takes x: it keeps its distance from the mean in standard deviations."""
    ends = [DATA.noised(float(schedule.alpha(t)), float(schedule.sigma(t))) for t in (times[0], times[-1])]
    return ends[1].mean + (x - ends[0].mean) / ends[0].std * ends[1].std


def order(sampler, schedule, spacing, stop=None):
    """The slope of log error against log steps, a least squares fit over 32 … 256 steps."""
    x, counts, errors = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None], (32, 64, 128, 256), []
    for steps in counts:
        times = time_grid(schedule, steps, spacing, last=1e-2)
        times = times[:stop] if stop else times
        found = last(sampler(exact_noise(DATA, schedule), schedule, x, times))
        errors.append(float((found - carried(schedule, x, times)).abs().max()))
    logs = torch.tensor([[math.log(n), math.log(e)] for n, e in zip(counts, errors, strict=True)])
    centered = logs - logs.mean(0)
    return -float((centered[:, 0] * centered[:, 1]).sum() / centered[:, 0].square().sum())


def plain_euler(noise, schedule, x, times):
    return euler(probability_flow(noise, schedule), x, times)


@pytest.mark.parametrize(
    ("sampler", "wanted"), [(plain_euler, 1), (ddim, 1), (heun_probability_flow, 2), (dpm_solver_pp_2m, 2)]
)
def test_errors_shrink_with_the_order_of_the_method(sampler, wanted):
    for name in ("vp", "ve", "cosine"):
        assert order(sampler, noise_schedule(name), "log-snr", stop=-1) == pytest.approx(wanted, abs=0.3), name


def test_more_evaluations_pay_off_sooner_with_the_solver_made_for_it():
    """On the eight Gaussians' exact score, at 10 and 20 evaluations: DPM-Solver++(2M) beats DDIM."""
    density, schedule = toy_density("eight_gaussians"), noise_schedule("vp")
    torch.manual_seed(0)
    x, noise = start(schedule, 2000, (2,)).double(), exact_noise(density, schedule)
    for steps in (10, 20):
        times = time_grid(schedule, steps, "log-snr")
        entropies = [
            -float(density.log_prob(last(s(noise, schedule, x, times))).mean()) for s in (ddim, dpm_solver_pp_2m)
        ]
        assert abs(entropies[1] - density.entropy) < abs(entropies[0] - density.entropy)


def test_samples_of_every_sampler_follow_the_density():
    """Nats per sample against the entropy: 4000 samples have a standard error of about 0.015."""
    density, schedule = toy_density("eight_gaussians"), noise_schedule("vp")
    torch.manual_seed(0)
    x, noise, times = (
        start(schedule, 4000, (2,)).double(),
        exact_noise(density, schedule),
        time_grid(schedule, 150, "karras"),
    )
    for sampler in (ddpm, ddim, heun_probability_flow, dpm_solver_pp_2m):
        found = last(sampler(noise, schedule, x, times))
        assert float(-density.log_prob(found).mean()) == pytest.approx(density.entropy, abs=0.06), sampler.__name__


def test_guidance_pushes_away_from_the_unconditional():
    noise = guided(lambda x, t: x + 1, lambda x, t: x, 2.0)
    torch.testing.assert_close(noise(torch.zeros(3), torch.tensor(0.5)), torch.full((3,), 3.0))


def test_grids_fall_from_one_to_zero():
    for spacing in ("even", "log-snr", "karras"):
        times = time_grid(noise_schedule("cosine"), 12, spacing)
        assert len(times) == 13
        assert times[0] == 1
        assert times[-1] == 0
        assert (times.diff() < 0).all()
    with pytest.raises(ValueError, match="spacing must be"):
        time_grid(Linear(), 10, "quadratic")
    with pytest.raises(ValueError, match="no finite signal-to-noise ratio"):
        time_grid(noise_schedule("straight"), 10, "karras")
