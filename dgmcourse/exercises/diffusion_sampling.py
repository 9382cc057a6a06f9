"""Exercises of lesson 08 on whole samplers: guidance, where to place the steps, and the bug hunt."""

import math
from itertools import pairwise

import torch

from ..schedules import ContinuousVP, Cosine, Linear
from . import Exercise, Mistake
from .diffusion_noising import LESSON
from .diffusion_steps import ddpm_step

# --- classifier-free guidance -----------------------------------------------------------------------------------------


def guided_noise(predict, x, t, y, weight):
    return (1 + weight) * predict(x, t, y) - weight * predict(x, t, None)


def _draw_guidance(generator):
    """A predictor that heeds label and time, five points, a time, labels and a weight."""
    towards = torch.randn(4, 3, generator=generator)

    def predict(x, t, y):
        said = (x * (1 + t)).tanh()
        return said if y is None else said + towards[y]

    weight = float(0.5 + 2 * torch.rand((), generator=generator))
    x = torch.randn(5, 3, generator=generator)
    return predict, x, torch.rand((), generator=generator), torch.randint(4, (5,), generator=generator), weight


def _like_guidance(mix):
    return lambda predict, x, t, y, weight: mix(predict(x, t, y), predict(x, t, None), weight)


GUIDANCE = Exercise(
    "diffusion/guidance",
    guided_noise,
    _draw_guidance,
    lesson=LESSON,
    title="classifier-free guidance",
    minutes=5,
    difficulty=1,
    hints=(
        "Ask the network twice: with the label, and with None in its place.",
        "Begin at the prediction with the label, and go on, by w, in the direction that leads there from the one without.",
        "return (1 + weight) * predict(x, t, y) - weight * predict(x, t, None)",
    ),
    mistakes=(
        Mistake(
            _like_guidance(lambda with_y, without, w: without + w * (with_y - without)),
            "This is another convention, in which w = 1 is no guidance. Here w = 0 is: begin at the prediction *with* the label.",
        ),
        Mistake(
            _like_guidance(lambda with_y, without, w: (1 - w) * with_y + w * without),
            "You went from the label *towards* the prediction without it. Guidance goes beyond the label: (1 + w) … − w ….",
        ),
        Mistake(
            _like_guidance(lambda with_y, without, w: (1 + w) * without - w * with_y),
            "The two predictions are exchanged: this drives x away from its label.",
        ),
        Mistake(
            _like_guidance(lambda with_y, without, w: with_y - w * without),
            "The weights must add up to one, 1 + w and −w: else the noise gets too small or too large altogether.",
            also=(
                _like_guidance(lambda with_y, without, w: with_y + w * without),
                _like_guidance(lambda with_y, without, w: w * with_y - without),
                _like_guidance(lambda with_y, without, w: (1 + w) * with_y + w * without),
            ),
        ),
        Mistake(
            _like_guidance(lambda with_y, without, w: (1 + w) * with_y - without),
            "The prediction without the label has the weight −w.",
        ),
        Mistake(
            _like_guidance(lambda with_y, without, w: (1 + w) * with_y),
            "The prediction without the label is missing: − w · predict(x, t, None).",
        ),
        Mistake(
            _like_guidance(lambda with_y, without, w: with_y),
            "This is the prediction with the label, without any guidance (w = 0).",
        ),
        Mistake(
            _like_guidance(lambda with_y, without, w: w * (with_y - without)),
            "This is the change alone; add it to the prediction with the label.",
        ),
        Mistake(
            _like_guidance(lambda with_y, without, w: ((1 + w) * with_y - w * without) / (1 + 2 * w)),
            "1 + w and −w add up to one already: nothing is to be divided.",
            also=(_like_guidance(lambda with_y, without, w: ((1 + w) * with_y - w * without) / (1 + w)),),
        ),
        Mistake(
            lambda predict, x, t, y, weight: (1 + weight) * predict(x, t, y) - weight * predict(x, t, y * 0),
            "For the prediction without a label you gave the label 0, which is a class of its own. None hides the label.",
            also=(lambda predict, x, t, y, weight: (1 + weight) * predict(x, t, y) - weight * predict(x, t, 0),),
        ),
        Mistake(
            lambda predict, x, t, y, weight: (
                (1 + weight) * predict(x, t, y) - weight * predict(x, t, -torch.ones_like(y))
            ),
            "The label −1 means the last class here, as −1 is the last entry of a list. None hides the label.",
        ),
    ),
    alternatives=(
        lambda predict, x, t, y, weight: torch.lerp(predict(x, t, None), predict(x, t, y), 1 + weight),
        _like_guidance(lambda with_y, without, w: with_y + w * (with_y - without)),
    ),
)


# --- where to place the steps -----------------------------------------------------------------------------------------


def even_in_log_snr(schedule, steps, last):
    ends = schedule.log_snr(torch.tensor([1.0, last]))
    times = schedule.time_of_log_snr(torch.linspace(float(ends[0]), float(ends[1]), steps))
    return torch.cat([times, torch.zeros(1)])


def _draw_spacing(generator):
    """A schedule, a number of steps, and the last time before 0."""
    schedule = (Linear(), ContinuousVP(), Cosine())[int(torch.randint(3, (), generator=generator))]
    return schedule, int(torch.randint(4, 9, (), generator=generator)), 0.01


def _times(answer, schedule, steps, last):
    """The learner's times, in float32 whatever they were computed in."""
    times = answer(schedule, steps, last)
    return times.float() if isinstance(times, torch.Tensor) and times.is_floating_point() else times


def _like_spacing(count=lambda steps: steps, ends=(1.0, None), finish=None):
    """Times even in the log of the signal-to-noise ratio, another number of them, other ends, or another last."""
    finish = finish or (lambda times: torch.cat([times, torch.zeros(1)]))

    def spaced(schedule, steps, last):
        places = torch.tensor([last if end is None else end for end in ends])
        low, high = schedule.log_snr(places).tolist()
        return finish(schedule.time_of_log_snr(torch.linspace(low, high, count(steps))))

    return spaced


def _evenly(towards, back):
    """Times even in some function of λ; `back` is its inverse."""

    def spaced(schedule, steps, last):
        low, high = towards(schedule.log_snr(torch.tensor([1.0, last]))).tolist()
        return torch.cat([schedule.time_of_log_snr(back(torch.linspace(low, high, steps))), torch.zeros(1)])

    return spaced


SPACING = Exercise(
    "diffusion/spacing",
    even_in_log_snr,
    _draw_spacing,
    lesson=LESSON,
    title="where to place the steps",
    minutes=8,
    difficulty=2,
    tolerance=1e-3,
    call=_times,
    hints=(
        "Find λ at both ends, t = 1 and t = last; place `steps` values evenly between them; ask which times they belong to; add the 0.",
        "schedule.log_snr(torch.tensor([1.0, last])) gives the ends, torch.linspace(low, high, steps) the values, "
        "schedule.time_of_log_snr their times.",
        "ends = schedule.log_snr(torch.tensor([1.0, last])); times = schedule.time_of_log_snr(torch.linspace(float(ends[0]), "
        "float(ends[1]), steps)); return torch.cat([times, torch.zeros(1)])",
    ),
    mistakes=(
        Mistake(
            lambda schedule, steps, last: torch.linspace(1, 0, steps + 1),
            "These times are even in t, which is what we want to get away from. Make λ even, and ask for its times.",
            also=(lambda schedule, steps, last: torch.cat([torch.linspace(1, last, steps), torch.zeros(1)]),),
        ),
        Mistake(
            _like_spacing(finish=lambda times: times),
            "The last step, to t = 0, is missing: append a zero, so that there are steps + 1 times.",
        ),
        Mistake(
            _like_spacing(count=lambda steps: steps + 1),
            "There is one time too many: `steps` values from t = 1 to t = last, and then the 0, make steps + 1.",
        ),
        Mistake(
            _like_spacing(count=lambda steps: steps + 1, finish=lambda times: times),
            "These are steps + 1 times, but the last of them is `last`, so a little noise remains: `steps` of them, and then 0.",
        ),
        Mistake(
            _like_spacing(ends=(None, 1.0), finish=lambda times: torch.cat([times, torch.zeros(1)])),
            "These times rise. A sampler goes from noise to data: begin at λ of t = 1.",
            also=(_like_spacing(ends=(None, 1.0), finish=lambda times: torch.cat([torch.zeros(1), times])),),
        ),
        Mistake(
            lambda schedule, steps, last: torch.cat(
                [torch.linspace(*schedule.log_snr(torch.tensor([1.0, last])).tolist(), steps), torch.zeros(1)]
            ),
            "These are values of λ; times are wanted: schedule.time_of_log_snr(…).",
        ),
        Mistake(
            lambda schedule, steps, last: torch.cat(
                [schedule.log_snr(torch.linspace(1, last, steps)), torch.zeros(1)]
            ),
            "These are the λ of evenly spaced times; it is the other way round: the times of evenly spaced λ.",
        ),
        Mistake(
            _like_spacing(count=lambda steps: steps - 1),
            "One time is missing: `steps` values from t = 1 to t = last, both among them, and then the 0.",
        ),
        Mistake(
            lambda schedule, steps, last: torch.cat([_like_spacing(finish=lambda times: times)(schedule, steps, last), torch.tensor([last])]),
            "The last of all times is 0, the clean data, and `last` the one before.",
        ),
        Mistake(
            _like_spacing(ends=(1.0, 0.0), count=lambda steps: steps + 1, finish=lambda times: times),
            "At t = 0 there is no noise, and λ is infinite: go to λ of `last`, and append the 0.",
            also=(_like_spacing(ends=(1.0, 0.0)),),
        ),
        Mistake(
            _evenly(lambda lam: lam.exp(), lambda ratio: ratio.log()),
            "These times are even in α²/σ²; λ is its logarithm, and it is λ that is to rise evenly.",
            also=(_evenly(lambda lam: (lam / 2).exp(), lambda ratio: 2 * ratio.log()),),
        ),
        Mistake(
            lambda schedule, steps, last: torch.cat([torch.logspace(0, math.log10(last), steps), torch.zeros(1)]),
            "These times are even in ln t; λ = ln(α²/σ²) is to rise evenly: ask schedule.time_of_log_snr.",
        ),
        Mistake(
            lambda schedule, steps, last: schedule.log_snr(last),
            "schedule.log_snr takes a tensor, `last` is a number: torch.tensor(last).",
            also=(lambda schedule, steps, last: schedule.log_snr(1.0), lambda schedule, steps, last: schedule.log_snr(1)),
        ),
    ),
    alternatives=(
        lambda schedule, steps, last: torch.stack(
            [
                schedule.time_of_log_snr(
                    schedule.log_snr(torch.tensor(1.0)) * (1 - i / (steps - 1))
                    + schedule.log_snr(torch.tensor(last)) * i / (steps - 1)
                )
                for i in range(steps)
            ]
            + [torch.tensor(0.0)]
        ),
        lambda schedule, steps, last: torch.nn.functional.pad(
            schedule.time_of_log_snr(
                torch.linspace(*schedule.log_snr(torch.tensor([1.0, last]).double()).tolist(), steps).double()
            ),
            (0, 1),
        ),
    ),
)  # fmt: skip


# --- the bug hunt: a sampler that asks about the wrong moment ---------------------------------------------------------


def ancestral(predict, schedule, x, times, fresh):
    for t, s, extra in zip(times, times[1:], fresh, strict=False):
        noise = predict(x, t)
        data = (x - schedule.sigma(t) * noise) / schedule.alpha(t)
        x = ddpm_step(x, data, extra, schedule.alpha(t), schedule.sigma(t), schedule.alpha(s), schedule.sigma(s))
    return x


def _draw_ancestral(generator):
    """The exact predictor of a Gaussian, the cosine schedule, noise to begin with, six times, fresh noise for each step."""
    mean, variance, schedule = torch.randn(3, generator=generator), 0.3, Cosine()

    def predict(x, t):
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        return sigma * (x - alpha * mean) / (alpha**2 * variance + sigma**2)

    times = torch.tensor([1.0, 0.8, 0.5, 0.3, 0.1, 0.0])
    return predict, schedule, torch.randn(4, 3, generator=generator), times, torch.randn(5, 4, 3, generator=generator)


def _like_ancestral(ask=lambda t, s: t, take=lambda t, s: t, back=lambda t, s: (t, s), noise=lambda extra, s: extra):
    """The sampler asking at another time, taking noise out at another, stepping between others, or with other noise."""

    def sampler(predict, schedule, x, times, fresh):
        for t, s, extra in zip(times, times[1:], fresh, strict=False):
            said, out = predict(x, ask(t, s)), take(t, s)
            data = (x - schedule.sigma(out) * said) / schedule.alpha(out)
            old, new = back(t, s)
            x = ddpm_step(x, data, noise(extra, s), schedule.alpha(old), schedule.sigma(old), schedule.alpha(new), schedule.sigma(new))  # fmt: skip
        return x

    return sampler


def _first_noise_again(predict, schedule, x, times, fresh):
    return ancestral(predict, schedule, x, times, fresh[:1].expand_as(fresh))


def _without_randomness(predict, schedule, x, times, fresh):
    for t, s in pairwise(times):
        noise = predict(x, t)
        x = schedule.alpha(s) * (x - schedule.sigma(t) * noise) / schedule.alpha(t) + schedule.sigma(s) * noise
    return x


def _stops_early(predict, schedule, x, times, fresh):
    return ancestral(predict, schedule, x, times[:-1], fresh)


def _by_posterior(predict, schedule, x, times, fresh):
    for i in range(len(times) - 1):
        t, s = times[i], times[i + 1]
        data = schedule.convert(predict(x, t), x, t, "noise", "data")
        mean, variance = schedule.posterior(x, data, s, t)
        x = mean + variance.sqrt() * fresh[i]
    return x


def _shifted_pairs(predict, schedule, x, times, fresh):
    for i in range(1, len(times)):
        t, s = times[i - 1], times[i]
        data = (x - schedule.sigma(t) * predict(x, t)) / schedule.alpha(t)
        x = ddpm_step(x, data, fresh[i - 1], schedule.alpha(t), schedule.sigma(t), schedule.alpha(s), schedule.sigma(s))
    return x


BUG = Exercise(
    "diffusion/bug",
    ancestral,
    _draw_ancestral,
    lesson=LESSON,
    title="bug hunt: samples that stay rough",
    minutes=8,
    difficulty=2,
    bug_hunt=True,
    hints=(
        "With the exact predictor the samples are too rough as well: so it is not the network. Every line of the loop says t or s; "
        "at which time is x, before the step?",
        "x is x_t until the last line of the loop. Everything that is said about *this* x must be said at time t.",
        "noise = predict(x, t)",
    ),
    mistakes=(
        Mistake(
            _like_ancestral(ask=lambda t, s: s),
            "The bug is still there. At which time is x, when the network looks at it?",
        ),
        Mistake(
            _like_ancestral(ask=lambda t, s: s, take=lambda t, s: s),
            "Now both lines are wrong together: x is still x_t there, so ask, and take the noise out, at time t.",
        ),
        Mistake(
            _like_ancestral(take=lambda t, s: s),
            "You found the line that asks, but the next one was right: the noise is taken out of x_t, with α and σ of t.",
        ),
        Mistake(
            _like_ancestral(ask=lambda t, s: (t + s) / 2),
            "Half-way between is nearer, but x is x_t when the network looks at it: predict(x, t).",
        ),
        Mistake(
            _like_ancestral(ask=lambda t, s: s, noise=lambda extra, s: 0 * extra),
            "Without fresh noise the samples look smoother, but they crowd together, and the bug is still there: at which time "
            "is x, when the network looks at it?",
        ),
        Mistake(
            _like_ancestral(noise=lambda extra, s: 0 * extra),
            "You found the line that asks, but the fresh noise was right, too: without it the samples crowd together.",
        ),
        Mistake(
            _like_ancestral(ask=lambda t, s: s, back=lambda t, s: (s, s)),
            "The step itself was right: it goes from t to s. Look at the line above it.",
            also=(_like_ancestral(back=lambda t, s: (s, t)), _like_ancestral(ask=lambda t, s: s, back=lambda t, s: (s, t))),
        ),
        Mistake(
            _first_noise_again,
            "Each step needs fresh noise of its own; that line was right.",
        ),
        Mistake(
            _without_randomness,
            "This is DDIM's step. The colleague's method is DDPM, and its step was right: mend the line that asks the network.",
        ),
        Mistake(
            lambda predict, schedule, x, times, fresh: ancestral(predict, schedule, x, times, torch.randn_like(fresh)),
            "The noise was right: it is given in `fresh`. Look at the line that asks the network.",
            also=(
                _like_ancestral(noise=lambda extra, s: torch.randn_like(extra)),
                _like_ancestral(ask=lambda t, s: s, noise=lambda extra, s: torch.randn_like(extra)),
            ),
        ),
        Mistake(
            _stops_early,
            "The walk must end at t = 0: all the times are needed.",
        ),
    ),
    alternatives=(_by_posterior, _shifted_pairs),
)  # fmt: skip
