"""From noise to data along a `NoiseSchedule`: each sampler a short generator that is named after its algorithm.

They know a function `noise(x, t)`, the noise predicted in x_t, and no model: the exact score of a known density serves as
well as a network. Each yields the state after every step; the last one is the sample. Times fall from 1 to 0.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from .schedules import NoiseSchedule

__all__ = ["conditioned", "ddim", "ddpm", "dpm_solver_pp_2m", "exact_noise", "guided", "heun_probability_flow", "probability_flow", "start",
           "time_grid"]  # fmt: skip

Predictor = Callable[[Tensor, Tensor], Tensor]


def time_grid(schedule: NoiseSchedule, steps: int, spacing: str = "even", last: float = 1e-3) -> Tensor:
    """Times 1 = t_0 > t_1 > … > t_steps = 0, (steps + 1,), float64.

    Args:
        schedule: whose log signal-to-noise ratio is meant.
        steps: how many.
        spacing: "even" in t; "log-snr": even in ln(alpha²/sigma²) from t = 1 to `last`, then one step to 0; "karras":
            alike, but even in (sigma/alpha)^(1/7) (Karras et al. 2022, https://arxiv.org/abs/2206.00364).
        last: the last time before 0 of the two uneven grids.

    Raises:
        ValueError: an unknown spacing; fewer than two steps of an uneven grid, or fewer than one of the even one.
    """
    if spacing not in ("even", "log-snr", "karras"):
        raise ValueError(f"spacing must be 'even', 'log-snr' or 'karras', got {spacing!r}")
    if steps < (1 if spacing == "even" else 2):
        raise ValueError(f"an {spacing} grid needs at least {1 if spacing == 'even' else 2} steps, got {steps}")
    if spacing == "even":
        return torch.linspace(1, 0, steps + 1, dtype=torch.float64, device="cpu")
    ends = schedule.log_snr(torch.tensor([1.0, last], dtype=torch.float64, device="cpu"))
    if not torch.isfinite(ends).all():
        raise ValueError(f"{schedule} has no finite signal-to-noise ratio at t = 1; take spacing='even'")
    if spacing == "karras":
        root = (-ends / 14).exp()  # (sigma/alpha)^(1/7)
        between = -14 * torch.linspace(float(root[0]), float(root[1]), steps, dtype=torch.float64, device="cpu").log()
    else:
        between = torch.linspace(float(ends[0]), float(ends[1]), steps, dtype=torch.float64, device="cpu")
    inner = schedule.time_of_log_snr(between[1:-1])
    return torch.cat([ends.new_ones(1), inner, ends.new_tensor([last, 0.0])])


def start(schedule: NoiseSchedule, n: int, shape: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
    """Pure noise at t = 1: n samples of N(0, sigma(1)² I), (n, *shape)."""
    return schedule.sigma(torch.ones((), device="cpu")).to(device) * torch.randn(n, *shape, device=device)


def exact_noise(density, schedule: NoiseSchedule) -> Predictor:
    """The best prediction there is, E[noise | x_t] = −sigma·∇log p_t(x_t), of a density that is known under noise.

    Args:
        density: with `noised(alpha, sigma)` -> a density with `score(x)`: `data.toy_density("eight_gaussians")`, say.
        schedule: the path.
    """

    def noise(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
        return -sigma * density.noised(alpha, sigma).score(x)

    return noise


def guided(conditional: Predictor, unconditional: Predictor, weight: float) -> Predictor:
    """Classifier-free guidance: (1 + w)·conditional − w·unconditional; w = 0 is no guidance.

    What comes out is no noised density's score: samples do not follow p(x)·p(y|x)^(1 + w).
    Ho & Salimans, "Classifier-free diffusion guidance", 2022, https://arxiv.org/abs/2207.12598
    """
    return lambda x, t: torch.lerp(unconditional(x, t), conditional(x, t), 1 + weight)


def conditioned(noise: Predictor, schedule: NoiseSchedule, data: Tensor, mask: Tensor) -> Predictor:
    """Inpainting: where the mask is True the data are known, so the noise there is what x_t has beside them.

    The rest is predicted from an x_t whose known part is as it must be; that the known part was drawn without regard to
    the rest is why this is an approximation (Lugmayr et al., "RePaint", 2022, https://arxiv.org/abs/2201.09865).

    Args:
        noise: predicts all of it.
        schedule: the path.
        data: the known data on the path, broadcastable to (batch, *shape).
        mask: True where they are known, broadcastable alike.
    """

    def predict(x: Tensor, t: Tensor) -> Tensor:
        known = schedule.convert(data.expand_as(x), x, t, "data", "noise")
        return torch.where(mask, known, noise(x, t))

    return predict


@torch.no_grad()
def ddpm(
    noise: Predictor,
    schedule: NoiseSchedule,
    x: Tensor,
    times: Tensor,
    variance: str = "small",
    clip: tuple[float, float] | None = None,
) -> Iterator[Tensor]:
    """Ancestral sampling: x_s ~ N(mean of q(x_s | x_t, predicted data), variance), and no noise in the last step.

    Ho, Jain & Abbeel, "Denoising diffusion probabilistic models", 2020, algorithm 2, https://arxiv.org/abs/2006.11239

    Args:
        noise: (x_t (batch, *shape), t a scalar) -> predicted noise (batch, *shape).
        schedule: the path.
        x: the state at times[0], (batch, *shape).
        times: (steps + 1,), falling.
        variance: "small": of the posterior given the data (right for one data point); "large": of the forward step
            (right for data of unit variance). The truth is in between.
        clip: smallest and largest value of data, if predicted data are to be clamped to it.

    Raises:
        ValueError: another variance.
    """
    if variance not in ("small", "large"):
        raise ValueError(f"variance must be 'small' or 'large', got {variance!r}")
    for t, s in pairwise(times):
        data, _ = _predicted(noise(x, t), x, t, schedule, clip)
        x, spread = schedule.posterior(x, data, s, t)
        if variance == "large":
            spread = schedule.between(s, t)[1]
        if s > times[-1]:
            x = x + spread.sqrt().to(x) * torch.randn_like(x)
        yield x


@torch.no_grad()
def ddim(
    noise: Predictor,
    schedule: NoiseSchedule,
    x: Tensor,
    times: Tensor,
    eta: float = 0.0,
    clip: tuple[float, float] | None = None,
) -> Iterator[Tensor]:
    """x_s = alpha_s·data + √(sigma_s² − η²v)·noise + η√v·fresh noise, v the posterior's variance (data, noise predicted).

    η = 0 follows a curve without any randomness: Euler's method for the probability flow in the coordinates x/alpha,
    sigma/alpha, an error of order 1. η = 1 is ancestral sampling.
    Song, Meng & Ermon, "Denoising diffusion implicit models", 2021, eq. 12, https://arxiv.org/abs/2010.02502

    Arguments as of `ddpm`; eta between 0 and 1.
    """
    for t, s in pairwise(times):
        data, predicted = _predicted(noise(x, t), x, t, schedule, clip)
        spread = eta**2 * schedule.posterior(x, data, s, t)[1].to(x) if eta else 0.0
        sigma = schedule.sigma(s).to(x)
        x = schedule.alpha(s).to(x) * data + (sigma.square() - spread).clamp(min=0).sqrt() * predicted
        if eta:
            x = x + spread.sqrt() * torch.randn_like(x)
        yield x


def probability_flow(noise: Predictor, schedule: NoiseSchedule) -> Predictor:
    """The velocity dx/dt = d alpha/dt·data + d sigma/dt·noise (both predicted), for `dynamics.euler` and its like.

    Its flow carries the density at one time to that of any other (Song et al. 2021, https://arxiv.org/abs/2011.13456).
    Where variance is preserved it is infinite at t = 0: stop a little before.
    """
    return lambda x, t: schedule.convert(noise(x, t), x, t, "noise", "velocity")


@torch.no_grad()
def heun_probability_flow(noise: Predictor, schedule: NoiseSchedule, x: Tensor, times: Tensor) -> Iterator[Tensor]:
    """Heun's method for d(x/alpha) = noise(x, t) d(sigma/alpha): an error of order 2, two evaluations a step.

    The last step, if it ends where there is no noise, is Euler's: one evaluation.
    Karras et al., "Elucidating the design space of diffusion-based generative models", 2022, algorithm 1,
    https://arxiv.org/abs/2206.00364
    """
    for t, s in pairwise(times):
        alpha, sigma = schedule.alpha(t).to(x), schedule.sigma(t).to(x)
        alpha_next, sigma_next = schedule.alpha(s).to(x), schedule.sigma(s).to(x)
        step = sigma_next / alpha_next - sigma / alpha
        slope = noise(x, t)
        ahead = alpha_next * (x / alpha + step * slope)
        if sigma_next > 0:
            ahead = alpha_next * (x / alpha + step * 0.5 * (slope + noise(ahead, s)))
        x = ahead
        yield x


@torch.no_grad()
def dpm_solver_pp_2m(
    noise: Predictor,
    schedule: NoiseSchedule,
    x: Tensor,
    times: Tensor,
    clip: tuple[float, float] | None = None,
) -> Iterator[Tensor]:
    """DPM-Solver++(2M): second order from one evaluation a step, by extrapolating the data predicted before.

        x_s = sigma_s/sigma_t·x_t − alpha_s(e^−h − 1)·D,   D = data + (data − data before)/(2r)

    in λ = ln(alpha/sigma), h = λ_s − λ_t, r = h before/h. The first step, and a last one to where there is no noise, take
    D = data.
    Lu et al., "DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models", 2022, algorithm 2,
    https://arxiv.org/abs/2211.01095

    Arguments as of `ddpm`.
    """
    before, h_before = None, None
    for t, s in pairwise(times):
        data, _ = _predicted(noise(x, t), x, t, schedule, clip)
        h = 0.5 * (schedule.log_snr(s) - schedule.log_snr(t))
        direction = data
        if before is not None and torch.isfinite(h):
            direction = data + 0.5 * (h / h_before).to(x) * (data - before)
        ratio = (schedule.sigma(s) / schedule.sigma(t)).to(x)
        x = ratio * x - (schedule.alpha(s) * torch.expm1(-h)).to(x) * direction
        before, h_before = data, h
        yield x


def _predicted(
    noise: Tensor, x: Tensor, t: Tensor, schedule: NoiseSchedule, clip: tuple[float, float] | None
) -> tuple[Tensor, Tensor]:
    """Data and noise that belong together, the data clamped if asked."""
    data = schedule.convert(noise, x, t, "noise", "data")
    if clip is None:
        return data, noise
    data = data.clamp(*clip)
    return data, schedule.convert(data, x, t, "data", "noise")
