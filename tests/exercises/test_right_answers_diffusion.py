"""Lesson 08's exercises accept right answers however they are written, and their references are the package's own methods."""

from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from dgmcourse import samplers
from dgmcourse.core import Space
from dgmcourse.data import toy_density
from dgmcourse.exercises import all_exercises
from dgmcourse.exercises.engine.judging import judge
from dgmcourse.models import Diffusion, FlowMatching
from dgmcourse.schedules import Cosine, Linear, StraightLine

EXERCISES = {one.name: one for one in all_exercises() if one.lesson == "08_diffusion"}
REFERENCE = {name.split("/")[1]: one.reference for name, one in EXERCISES.items()}


def noised_by_loop(data, noise, alpha, sigma):
    x = torch.empty_like(data)
    for i in range(len(data)):
        x[i] = alpha[i] * data[i] + sigma[i] * noise[i]
    return x


def noised_from_behind(data, noise, alpha, sigma):
    return (alpha * data.movedim(0, -1) + sigma * noise.movedim(0, -1)).movedim(-1, 0)


def noised_by_indexing(data, noise, alpha, sigma):
    place = (...,) + (None,) * (data.ndim - 1)
    return alpha[place] * data + sigma[place] * noise


def loss_by_loop(predict, data, noise, t, schedule):
    total = 0
    for i in range(len(data)):
        x = schedule.alpha(t[i]) * data[i : i + 1] + schedule.sigma(t[i]) * noise[i : i + 1]
        total = total + ((predict(x, t[i : i + 1]) - noise[i : i + 1]) ** 2).mean()
    return total / len(data)


def loss_by_convert(predict, data, noise, t, schedule):
    x = schedule.noised(data, noise, t)
    return F.mse_loss(predict(x, t), schedule.convert(data, x, t, "data", "noise"))


def score_by_density(noise, x, alpha, sigma):
    data = (x - sigma * noise) / alpha
    return data, (alpha * data - x) / sigma.square()


def ddpm_by_bayes(x, data, fresh, alpha_t, sigma_t, alpha_s, sigma_s):
    """Condition the joint Gaussian of x_s and x_t, given the data."""
    a = alpha_t / alpha_s
    gain = a * sigma_s**2 / sigma_t**2  # cov(x_s, x_t) / var(x_t)
    mean = alpha_s * data + gain * (x - alpha_t * data)
    return mean + (sigma_s**2 - gain * a * sigma_s**2).clamp(min=0).sqrt() * fresh


def ddpm_by_betas(x, data, fresh, alpha_t, sigma_t, alpha_s, sigma_s):
    """As the paper writes it: ᾱ = α², β = 1 − ᾱ_t/ᾱ_s."""
    bar, before = alpha_t**2, alpha_s**2
    beta = 1 - bar / before
    mean = before.sqrt() * beta / (1 - bar) * data + (1 - beta).sqrt() * (1 - before) / (1 - bar) * x
    return mean + (beta * (1 - before) / (1 - bar)).sqrt() * fresh


def ddim_as_euler(x, noise, alpha_t, sigma_t, alpha_s, sigma_s):
    return alpha_s * (x / alpha_t + (sigma_s / alpha_s - sigma_t / alpha_t) * noise)


def guided_by_difference(predict, x, t, y, weight):
    labeled, blank = predict(x, t, y), predict(x, t, None)
    return labeled.add(labeled - blank, alpha=weight)


def spaced_by_bisection(schedule, steps, last):
    high, low = float(schedule.log_snr(torch.tensor(last))), float(schedule.log_snr(torch.tensor(1.0)))
    times = [1.0]
    for i in range(1, steps - 1):
        wanted, early, late = low + (high - low) * i / (steps - 1), 0.0, 1.0
        for _ in range(50):
            middle = (early + late) / 2
            early, late = (middle, late) if float(schedule.log_snr(torch.tensor(middle))) > wanted else (early, middle)
        times.append(middle)
    return torch.tensor([*times, last, 0.0])


def bug_by_the_package(predict, schedule, x, times, fresh):
    for t, s, extra in zip(times[:-1], times[1:], fresh, strict=True):
        data = schedule.convert(predict(x, t), x, t, "noise", "data")
        mean, variance = schedule.posterior(x, data, s, t)
        x = mean + variance.sqrt() * extra
    return x


RIGHT = {
    "noising": [
        noised_by_loop,
        noised_from_behind,
        noised_by_indexing,
        lambda data, noise, alpha, sigma: (
            data * alpha.reshape(-1, *(1,) * (data.dim() - 1)) + noise * sigma.reshape(-1, *(1,) * (data.dim() - 1))
        ),
        lambda data, noise, alpha, sigma: (
            alpha.view(-1, *[1] * (data.ndim - 1)) * data
            + (1 - alpha**2).sqrt().view(-1, *[1] * (data.ndim - 1)) * noise
        ),
    ],
    "loss": [
        loss_by_loop,
        loss_by_convert,
        lambda predict, data, noise, t, schedule: (
            (noise - predict(schedule.noised(data, noise, t), t)).flatten(1).pow(2).mean(dim=1).mean()
        ),
        lambda f, data, noise, t, s: torch.nn.MSELoss()(f(s.noised(data, noise, t), t), noise),
        lambda f, data, noise, t, s: F.mse_loss(f(x=s.noised(data, noise, t), t=t), noise),
    ],
    "score": [
        score_by_density,
        lambda noise, x, alpha, sigma: (x / alpha - sigma / alpha * noise, -(noise / sigma)),
        lambda noise, x, alpha, sigma: ((x - sigma * noise).div(alpha), noise.div(sigma).neg()),
    ],
    "ddpm": [
        ddpm_by_bayes,
        ddpm_by_betas,
        lambda x, data, fresh, at, st, as_, ss: (
            at / as_ * (ss / st) ** 2 * x
            + as_ * (1 - (at * ss / (as_ * st)) ** 2) * data
            + ss * torch.sqrt(1 - (at * ss / (as_ * st)) ** 2) * fresh
        ),
    ],
    "ddim": [
        ddim_as_euler,
        lambda x, noise, at, st, as_, ss: (as_ * x - as_ * st * noise + at * ss * noise) / at,
        lambda x, noise, at, st, as_, ss: ss * noise + as_ * ((x - torch.sqrt(1 - at**2) * noise) / at),
    ],
    "guidance": [
        guided_by_difference,
        lambda f, x, t, y, w: f(x, t, None) + (1 + w) * (f(x, t, y) - f(x, t, None)),
        lambda f, x, t, y, w: (1 + w) * f(x, t, y=y) - w * f(x, t, y=None),
        lambda f, x, t, y, w: samplers.guided(lambda x, t: f(x, t, y), lambda x, t: f(x, t, None), w)(x, t),
    ],
    "spacing": [
        spaced_by_bisection,
        lambda schedule, steps, last: samplers.time_grid(schedule, steps, "log-snr", last),
    ],
    "bug": [bug_by_the_package],
}


@pytest.mark.parametrize(("name", "index"), [(name, index) for name in RIGHT for index in range(len(RIGHT[name]))])
def test_a_right_answer_written_differently_passes(name, index):
    assert judge(EXERCISES[f"diffusion/{name}"], RIGHT[name][index]).message == ""


def test_the_exercises_stand_in_the_lessons_order():
    assert list(EXERCISES) == [f"diffusion/{name}" for name in RIGHT]


WRONG = {  # plausible answers that are no known mistake: refused, whatever is said
    "noising": [
        lambda d, n, a, s: a.mean() * d + s.mean() * n + 0 * d,
        lambda d, n, a, s: noised_by_loop(d, n, a, s) - d.mean(),
    ],
    "loss": [
        lambda f, d, n, t, s: loss_by_convert(f, d, n, 1 - t, s),
        lambda f, d, n, t, s: loss_by_convert(lambda x, t: f(x, torch.zeros_like(t)), d, n, t, s),
        lambda f, d, n, t, s: F.l1_loss(f(s.noised(d, n, t), t), n) ** 2,
    ],
    "score": [
        lambda n, x, a, s: ((x - s * n) / a.sqrt(), -n / s),
        lambda n, x, a, s: ((x - s * n) / a, -x / s),
        lambda n, x, a, s: ((x - s.sqrt() * n) / a, -n / s.sqrt()),
    ],
    "ddpm": [
        lambda x, d, f, at, st, as_, ss: ddpm_by_bayes(x, d, f.abs(), at, st, as_, ss),
        lambda x, d, f, at, st, as_, ss: ddpm_by_bayes(x, d, f, as_, ss, at, st),
        lambda x, d, f, at, st, as_, ss: ddpm_by_bayes(x, d.clamp(-1, 1), f, at, st, as_, ss),
    ],
    "ddim": [
        lambda x, n, at, st, as_, ss: ddim_as_euler(x, n, as_, ss, at, st),
        lambda x, n, at, st, as_, ss: ddim_as_euler(x, n.clamp(-1, 1), at, st, as_, ss),
    ],
    "guidance": [
        lambda f, x, t, y, w: guided_by_difference(f, x, 0 * t, y, w),
        lambda f, x, t, y, w: guided_by_difference(f, x, t, y, -w),
        lambda f, x, t, y, w: guided_by_difference(f, x, t, y, w + 1),
    ],
    "spacing": [
        lambda sc, steps, last: samplers.time_grid(sc, steps, "karras", last),
        lambda sc, steps, last: samplers.time_grid(sc, steps, "log-snr", last / 2),
        lambda sc, steps, last: torch.logspace(0, -2, steps + 1),
    ],
    "bug": [lambda f, sc, x, times, fresh: bug_by_the_package(f, sc, x, times, fresh.flip(0))],
}


@pytest.mark.parametrize(("name", "index"), [(name, index) for name in WRONG for index in range(len(WRONG[name]))])
def test_a_plausible_wrong_answer_does_not_pass(name, index):
    result = judge(EXERCISES[f"diffusion/{name}"], WRONG[name][index])
    assert result.status == "wrong"
    assert result.message


SAID = [  # answers as learners write them, not as the known mistakes are made, and what they must be told
    ("noising", lambda d, n, a, s: noised_by_indexing(d, n, a, (1 - a).sqrt()), "α² + σ² = 1"),
    ("noising", lambda d, n, a, s: noised_by_indexing(d, n, a, s**2), "factors are α and σ"),
    ("noising", lambda d, n, a, s: torch.clip(noised_by_loop(d, n, a, s), -1, 1), "cut off"),
    ("loss", lambda f, d, n, t, s: F.mse_loss(f(s.noised(d, n, t), s.sigma(t)), n), "time t itself"),
    ("loss", lambda f, d, n, t, s: F.mse_loss(f(s.noised(d, torch.randn_like(d), t), t), n), "other noise"),
    ("loss", lambda f, d, n, t, s: F.mse_loss(f(s.alpha(t) * d + s.sigma(t) * n, t), n), "let your `noised` mix"),
    ("score", lambda n, x, a, s: (x - s * n / a, -n / s), "brackets"),
    ("score", lambda n, x, a, s: ((x - s * n) / a, -x / s**2), "noise around 0"),
    ("score", lambda n, x, a, s: ((x - (1 - a) ** 0.5 * n) / a**0.5, -n / s), "No roots"),
    ("ddpm", lambda x, d, f, at, st, as_, ss: ddpm_by_bayes(x, d, -f, at, st, as_, ss), "compares numbers"),
    ("ddpm", lambda x, d, f, at, st, as_, ss: ddpm_by_betas(x, d, f, as_, ss, at, st), "exchanged"),
    ("ddim", lambda x, n, at, st, as_, ss: ddim_as_euler(x, n, at, st, as_, ss) / as_, "multiply by α_s"),
    ("ddim", lambda x, n, at, st, as_, ss: as_ * ((x - ss * n) / at) + ss * n, "x is x_t"),
    ("guidance", lambda f, x, t, y, w: (1 + w) * f(x, t, y) - w * f(x, t, torch.full_like(y, -1)), "None hides"),
    ("spacing", lambda sc, steps, last: torch.linspace(sc.log_snr(1.0), sc.log_snr(last), steps), "takes a tensor"),
    ("spacing", lambda sc, steps, last: samplers.time_grid(sc, steps - 1, "log-snr", last), "One time is missing"),
    ("bug", lambda f, sc, x, times, fresh: bug_by_the_package(f, sc, x, times, 0 * fresh), "fresh noise was right"),
    ("bug", lambda f, sc, x, times, fresh: last(samplers.ddim(f, sc, x, times)), "DDIM"),
]  # fmt: skip


@pytest.mark.parametrize("index", range(len(SAID)))
def test_a_wrong_answer_as_a_learner_writes_it_meets_the_message_that_helps(index):
    name, answer, words = SAID[index]
    result = judge(EXERCISES[f"diffusion/{name}"], answer)
    assert result.status == "wrong"
    assert words in result.message


def last(states):
    *_, state = states
    return state


def moments(schedule, t):
    return schedule.alpha(t), schedule.sigma(t)


@pytest.mark.parametrize("name", ["ddpm", "ddim"])
def test_the_steps_are_the_packages_samplers(name):
    schedule, noise = Linear(), samplers.exact_noise(toy_density("eight_gaussians"), Linear())
    torch.manual_seed(0)
    x, times = torch.randn(50, 2), samplers.time_grid(schedule, 7)
    expected = last(getattr(samplers, name)(noise, schedule, x, times))
    torch.manual_seed(0)
    torch.randn(50, 2)
    for t, s in pairwise(times):
        said, spans = noise(x, t), (*moments(schedule, t), *moments(schedule, s))
        if name == "ddim":
            x = REFERENCE["ddim"](x, said, *spans)
            continue
        data, _ = REFERENCE["score"](said, x, *spans[:2])
        fresh = torch.randn_like(x) if s > 0 else torch.zeros_like(x)
        x = REFERENCE["ddpm"](x, data, fresh, *spans)
    torch.testing.assert_close(x, expected, rtol=1e-3, atol=1e-3)


def test_the_loss_and_the_score_are_the_packages():
    torch.manual_seed(0)
    model = Diffusion(Space.real(2), schedule="cosine", hidden=(8,), classes=3)
    torch.nn.init.normal_(model.network.last.weight)
    data, noise, t = torch.randn(6, 2), torch.randn(6, 2), torch.rand(6)
    x = model.schedule.noised(data, noise, t)
    found = REFERENCE["loss"](model.predict, data, noise, t, Cosine())
    torch.testing.assert_close(found, (model.predict(x, t) - noise).square().mean())
    now = torch.tensor(0.4)
    data, score = REFERENCE["score"](model.predict(x, now), x, *moments(Cosine(), now))
    torch.testing.assert_close(data, model.predict(x, now, wanted="data"))
    torch.testing.assert_close(score, model.score(x, now))
    y = torch.arange(6) % 3
    guided = REFERENCE["guidance"](model.predict, x, now, y, 1.5)
    torch.testing.assert_close(guided, model.noise(y, 1.5)(x, now))


def test_a_ddim_step_on_the_straight_path_is_eulers_step_of_flow_matching():
    model = FlowMatching(Space.real(2), hidden=(8,))
    torch.nn.init.normal_(model.network.last.weight)
    x, t, s = torch.randn(20, 2), torch.tensor(0.7), torch.tensor(0.6)
    with torch.no_grad():
        step = REFERENCE["ddim"](x, model.predict(x, t), *moments(StraightLine(), t), *moments(StraightLine(), s))
        torch.testing.assert_close(step, x + (s - t) * model.velocity(x, t))


def test_the_shipped_bug_spoils_samples_of_an_exact_predictor_and_the_mended_sampler_does_not():
    density, schedule = toy_density("eight_gaussians").noised(1 / 3, 0.0), Linear()
    noise, times = samplers.exact_noise(density, schedule), samplers.time_grid(schedule, 10).float()
    torch.manual_seed(0)
    start, fresh = torch.randn(2000, 2), torch.randn(10, 2000, 2)
    mended, shipped = (
        -float(density.log_prob(sampler(noise, schedule, start, times, fresh)).mean()) - density.entropy
        for sampler in (REFERENCE["bug"], EXERCISES["diffusion/bug"].mistakes[0].function)
    )
    assert mended < 0.7
    assert shipped > 2
