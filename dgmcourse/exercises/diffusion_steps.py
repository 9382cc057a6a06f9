"""Exercises of lesson 08 on one step towards the data: DDPM's random one, DDIM's without randomness."""

import torch

from . import Exercise, Mistake
from .diffusion_noising import LESSON

# --- DDPM: a draw of the posterior ------------------------------------------------------------------------------------


def ddpm_step(x, data, fresh, alpha_t, sigma_t, alpha_s, sigma_s):
    a = alpha_t / alpha_s
    b = sigma_t**2 - a**2 * sigma_s**2
    mean = (a * sigma_s**2 * x + alpha_s * b * data) / sigma_t**2
    return mean + b.sqrt() * sigma_s / sigma_t * fresh


def _draw_times(generator, last: bool):
    """α and σ at t and at an earlier s, which is 0 if this is the last step; α² + σ² = 1."""
    alpha_s = torch.ones(()) if last else 0.5 + 0.4 * torch.rand((), generator=generator)
    alpha_t = alpha_s * (0.3 + 0.5 * torch.rand((), generator=generator))
    sigma_t, sigma_s = ((1 - alpha.square()).sqrt() for alpha in (alpha_t, alpha_s))
    return alpha_t, sigma_t, alpha_s, sigma_s


def _draw_posterior(generator):
    """Five points of three entries, data predicted for them, fresh noise, and two times; sometimes s = 0."""
    last = bool(torch.randint(2, (), generator=generator))
    x, data, fresh = (torch.randn(5, 3, generator=generator) for _ in range(3))
    return x, data, fresh, *_draw_times(generator, last)


def _like_posterior(a=None, b=None, mean=None, deviation=None):
    """The step with another a, b, mean or standard deviation; each a function of what it needs."""
    a = a or (lambda at, as_: at / as_)
    b = b or (lambda a, st, ss: st**2 - a**2 * ss**2)
    mean = mean or (lambda x, data, a, b, st, as_, ss: (a * ss**2 * x + as_ * b * data) / st**2)
    deviation = deviation or (lambda b, st, ss: b.sqrt() * ss / st)

    def step(x, data, fresh, alpha_t, sigma_t, alpha_s, sigma_s):
        ratio = a(alpha_t, alpha_s)
        added = b(ratio, sigma_t, sigma_s)
        return (
            mean(x, data, ratio, added, sigma_t, alpha_s, sigma_s) + deviation(added, sigma_t, sigma_s).nan_to_num() * fresh
        )  # fmt: skip

    return step


def _upside_down(x, data, fresh, alpha_t, sigma_t, alpha_s, sigma_s):
    a = alpha_s / alpha_t
    b = sigma_t**2 - a**2 * sigma_s**2  # may be negative, and then the step is not a number
    return (a * sigma_s**2 * x + alpha_s * b * data) / sigma_t**2 + b.sqrt() * sigma_s / sigma_t * fresh


def _by_precisions(x, data, fresh, alpha_t, sigma_t, alpha_s, sigma_s):
    a = alpha_t / alpha_s
    b = sigma_t**2 - a**2 * sigma_s**2
    variance = 1 / (1 / sigma_s**2 + a**2 / b)
    return variance * (alpha_s * data / sigma_s**2 + a * x / b) + variance.sqrt() * fresh


def _by_precisions_in_safety(x, data, fresh, alpha_t, sigma_t, alpha_s, sigma_s):
    a = alpha_t / alpha_s
    b = sigma_t**2 - a**2 * sigma_s**2
    variance = sigma_s**2 * b / (b + a**2 * sigma_s**2)
    mean = alpha_s * data + a * sigma_s**2 / (b + a**2 * sigma_s**2) * (x - a * alpha_s * data)
    return mean + variance.sqrt() * fresh


def _ddim_by_mistake(x, data, fresh, alpha_t, sigma_t, alpha_s, sigma_s):
    return alpha_s * data + sigma_s * (x - alpha_t * data) / sigma_t


DDPM = Exercise(
    "diffusion/ddpm",
    ddpm_step,
    _draw_posterior,
    lesson=LESSON,
    title="a DDPM step",
    minutes=10,
    difficulty=2,
    hints=(
        "Four lines, each a formula of the text: a, b, the mean, and the mean plus the standard deviation times the fresh noise.",
        "a = alpha_t / alpha_s; b = sigma_t**2 - a**2 * sigma_s**2. The variance is b σ_s²/σ_t², and noise is stretched by its root.",
        "mean = (a * sigma_s**2 * x + alpha_s * b * data) / sigma_t**2; return mean + b.sqrt() * sigma_s / sigma_t * fresh",
    ),
    mistakes=(
        Mistake(
            _like_posterior(deviation=lambda b, st, ss: b * ss**2 / st**2),
            "You stretched the fresh noise by the variance; stretch it by its root, √b · σ_s/σ_t.",
        ),
        Mistake(
            _like_posterior(deviation=lambda b, st, ss: (b * ss / st).sqrt()),
            "Mind the root: that of the variance b σ_s²/σ_t² is √b · σ_s/σ_t.",
            also=(
                _like_posterior(deviation=lambda b, st, ss: b * ss / st),
                _like_posterior(deviation=lambda b, st, ss: (b.sqrt() * ss / st).sqrt()),
                _like_posterior(deviation=lambda b, st, ss: b.sqrt() * ss**2 / st**2),
            ),
        ),
        Mistake(
            _like_posterior(deviation=lambda b, st, ss: b.sqrt()),
            "√b is the noise of a step *forward*. Back again we know the data, so less is left open: √b · σ_s/σ_t. (DDPM's paper "
            "tried both; where s = 0 yours leaves noise in the sample.)",
            also=(_like_posterior(deviation=lambda b, st, ss: b),),
        ),
        Mistake(
            _like_posterior(deviation=lambda b, st, ss: ss),
            "σ_s is the noise of x_s if the data alone are known. We also know x_t, so less is left open: √b · σ_s/σ_t.",
        ),
        Mistake(
            _like_posterior(deviation=lambda b, st, ss: st),
            "σ_t is all the noise that was in x_t; as much as that is not put back: √b · σ_s/σ_t.",
        ),
        Mistake(
            _like_posterior(deviation=lambda b, st, ss: -b.sqrt() * ss / st),
            "The noise is added, + √b · σ_s/σ_t · fresh. (As chance has it, −fresh would do as well; the check compares numbers.)",
        ),
        Mistake(
            _like_posterior(deviation=lambda b, st, ss: 0 * ss),
            "This is the mean alone. Without fresh noise in every step the samples crowd together: + √b · σ_s/σ_t · fresh.",
        ),
        Mistake(
            lambda x, data, fresh, at, st, as_, ss: as_ * data + ss * fresh,
            "This forgets x_t: it noises the predicted data anew. The mean is a compromise between x_t and the data.",
        ),
        Mistake(
            _ddim_by_mistake,
            "This is a step without randomness, DDIM's: its turn comes with the next exercise. Here fresh noise is added.",
        ),
        Mistake(
            _by_precisions,
            "The formula is right for s > 0, but in the last step σ_s = 0, and you divide by it: use the mean as it stands in the text.",
        ),
        Mistake(
            _like_posterior(mean=lambda x, data, a, b, st, as_, ss: (as_ * b * x + a * ss**2 * data) / st**2),
            "The two weights are exchanged: a σ_s²/σ_t² belongs to x_t, α_s b/σ_t² to the data.",
        ),
        Mistake(
            _like_posterior(mean=lambda x, data, a, b, st, as_, ss: (a * ss**2 * x + b * data) / st**2),
            "The data's weight lacks the factor α_s: α_s b/σ_t².",
        ),
        Mistake(
            _like_posterior(mean=lambda x, data, a, b, st, as_, ss: (ss**2 * x + as_ * b * data) / st**2),
            "The weight of x_t lacks the factor a: a σ_s²/σ_t².",
        ),
        Mistake(
            _like_posterior(mean=lambda x, data, a, b, st, as_, ss: (a * ss * x + as_ * b * data) / st),
            "The mean's weights have squares: a σ_s²/σ_t² and α_s b/σ_t².",
            also=(
                _like_posterior(mean=lambda x, data, a, b, st, as_, ss: a * ss**2 * x + as_ * b * data),
                _like_posterior(mean=lambda x, data, a, b, st, as_, ss: (a * ss**2 * x + as_ * b * data) / st),
                _like_posterior(mean=lambda x, data, a, b, st, as_, ss: a * ss / st * x + as_ * b / st**2 * data),
                _like_posterior(mean=lambda x, data, a, b, st, as_, ss: (a * ss / st) ** 2 * x + as_ * b / st**2 * data),
                _like_posterior(mean=lambda x, data, a, b, st, as_, ss: a * ss**2 / st**2 * x + as_ * b / st * data),
            ),
        ),
        Mistake(
            lambda x, data, fresh, at, st, as_, ss: (
                ddpm_step(x, data, fresh, at, st, as_, ss) + (at - as_) * (st**2 - (at / as_) ** 2 * ss**2) / st**2 * data
            ),
            "The data's weight has α_s, the factor of the time where the step ends: α_s b/σ_t².",
        ),
        Mistake(
            _like_posterior(b=lambda a, st, ss: st**2 - ss**2),
            "b is what one step adds: the old noise has shrunk by a before, so b = σ_t² − a² σ_s².",
            also=(_like_posterior(b=lambda a, st, ss: st - a * ss), _like_posterior(b=lambda a, st, ss: st**2 - a * ss**2)),
        ),
        Mistake(
            _like_posterior(a=lambda at, as_: as_ / at),
            "a is upside down: from s to t the data shrink from α_s to α_t, so a = α_t/α_s, less than one.",
            also=(_upside_down,),
        ),
        Mistake(
            lambda x, data, fresh, at, st, as_, ss: ddpm_step(x, data, fresh, as_, ss, at, st),
            "s and t are exchanged: t is the time of x, the noisier one, and a = α_t/α_s.",
        ),
        Mistake(
            _like_posterior(a=lambda at, as_: (at / as_) ** 2),
            "a = α_t/α_s, no square: the α are factors, not variances.",
        ),
        Mistake(
            _like_posterior(a=lambda at, as_: (at / as_).sqrt()),
            "a = α_t/α_s, no root. (What DDPM's paper calls ᾱ is our α².)",
        ),
        Mistake(
            lambda x, data, fresh, at, st, as_, ss: ddpm_step(x, data, torch.randn_like(x), at, st, as_, ss),
            "You drew noise of your own; use `fresh`, which is given.",
        ),
        Mistake(
            lambda x, data, fresh, at, st, as_, ss: at / as_ * x + (st**2 - (at / as_) ** 2 * ss**2).sqrt() * fresh,
            "This is a step *forward*, a · x + √b · noise: it makes x noisier.",
        ),
    ),
    alternatives=(
        _by_precisions_in_safety,
        lambda x, data, fresh, at, st, as_, ss: (
            at / as_ * ss**2 / st**2 * x
            + as_ * (1 - at**2 / as_**2) / (1 - at**2) * data
            + torch.sqrt((1 - at**2 / as_**2) * (1 - as_**2) / (1 - at**2)) * fresh
        ),
    ),
)  # fmt: skip


# --- DDIM -------------------------------------------------------------------------------------------------------------


def ddim_step(x, noise, alpha_t, sigma_t, alpha_s, sigma_s):
    data = (x - sigma_t * noise) / alpha_t
    return alpha_s * data + sigma_s * noise


def _draw_ddim(generator):
    """Five points of three entries, the noise predicted in them, and two times; sometimes s = 0."""
    last = bool(torch.randint(2, (), generator=generator))
    x, noise = (torch.randn(5, 3, generator=generator) for _ in range(2))
    return x, noise, *_draw_times(generator, last)


DDIM = Exercise(
    "diffusion/ddim",
    ddim_step,
    _draw_ddim,
    lesson=LESSON,
    title="a DDIM step",
    minutes=5,
    difficulty=1,
    hints=(
        "You have done both halves: exercise 3 gives the data, exercise 1 noises them.",
        "data = (x − σ_t · noise)/α_t: at time t, as x is x_t. Then mix data and the same noise anew, with α_s and σ_s.",
        "data = (x - sigma_t * noise) / alpha_t; return alpha_s * data + sigma_s * noise",
    ),
    mistakes=(
        Mistake(
            lambda x, noise, at, st, as_, ss: as_ * (x - ss * noise) / as_ + ss * noise,
            "This returns x as it was. Take the noise out with α_t and σ_t (x is x_t), and put it in with α_s and σ_s.",
            also=(
                lambda x, noise, at, st, as_, ss: at * (x - st * noise) / at + st * noise,
                lambda x, noise, at, st, as_, ss: x,
            ),
        ),
        Mistake(
            lambda x, noise, at, st, as_, ss: at * (x - ss * noise) / as_ + st * noise,
            "The times are exchanged: x is x_t, so take the noise out with α_t and σ_t; then mix with α_s and σ_s.",
        ),
        Mistake(
            lambda x, noise, at, st, as_, ss: (x - st * noise) / at,
            "These are the predicted data, the end of the walk in one leap. Mix them with the noise again, as much as belongs to time s.",
        ),
        Mistake(
            lambda x, noise, at, st, as_, ss: as_ * (x - st * noise) / at,
            "The noise of time s is missing: + σ_s · noise.",
        ),
        Mistake(
            lambda x, noise, at, st, as_, ss: (x - st * noise) / at + ss * noise,
            "At time s the data have the factor α_s: α_s · data + σ_s · noise.",
        ),
        Mistake(
            lambda x, noise, at, st, as_, ss: as_ * (x - st * noise) + ss * noise,
            "x − σ_t · noise is α_t · data: divide by α_t.",
        ),
        Mistake(
            lambda x, noise, at, st, as_, ss: x - (st - ss) * noise,
            "This takes away some of the noise, but the data must grow as well, from α_t to α_s.",
        ),
        Mistake(
            lambda x, noise, at, st, as_, ss: as_ * (x - st * noise) / at + ss * torch.randn_like(x),
            "You mixed the data with fresh noise: then all that x knew is lost but the predicted data. Use the predicted noise again.",
        ),
        Mistake(
            lambda x, noise, at, st, as_, ss: as_ * (x - st * noise) / at - ss * noise,
            "The noise is put back with the sign it had: + σ_s · noise.",
        ),
        Mistake(
            lambda x, noise, at, st, as_, ss: as_ * (x + st * noise) / at + ss * noise,
            "The noise is to be taken out of x: x − σ_t · noise.",
        ),
        Mistake(
            lambda x, noise, at, st, as_, ss: as_ * (x - st * noise) / at + st * noise,
            "As much noise as before was put back: at time s it is σ_s · noise.",
        ),
        Mistake(
            lambda x, noise, at, st, as_, ss: as_ * (x - st * noise) / at + ss**2 * noise,
            "The noise has the factor σ_s, not σ_s².",
        ),
        Mistake(
            lambda x, noise, at, st, as_, ss: as_ * (x - ss * noise) / at + ss * noise,
            "x is x_t, and in it stands σ_t · noise: the data are (x − σ_t · noise)/α_t.",
            also=(lambda x, noise, at, st, as_, ss: as_ * (x - noise) / at + ss * noise,),
        ),
        Mistake(
            lambda x, noise, at, st, as_, ss: as_ * x + ss * noise,
            "x is x_t, not the data: first take its noise out, (x − σ_t · noise)/α_t.",
        ),
        Mistake(
            lambda x, noise, at, st, as_, ss: ss * (x - st * noise) / at + as_ * noise,
            "α and σ are exchanged: α_s belongs to the data, σ_s to the noise.",
        ),
        Mistake(
            lambda x, noise, at, st, as_, ss: x / at + (ss / as_ - st / at) * noise,
            "Euler's step leads to x_s/α_s: multiply by α_s.",
            also=(lambda x, noise, at, st, as_, ss: at * (x / at + (ss / as_ - st / at) * noise),),
        ),
        Mistake(
            lambda x, noise, at, st, as_, ss: as_ * (x / at - (ss / as_ - st / at) * noise),
            "The step goes from σ_t/α_t to σ_s/α_s, so its length, σ_s/α_s − σ_t/α_t, is added with its sign.",
        ),
        Mistake(
            lambda x, noise, at, st, as_, ss: (
                as_.sqrt() * (x - (1 - at).sqrt() * noise) / at.sqrt() + (1 - as_).sqrt() * noise
            ),
            "No roots: our α and σ multiply data and noise as they are. (What DDPM's paper calls ᾱ is our α².)",
        ),
        Mistake(
            lambda x, noise, at, st, as_, ss: ddpm_step(x, (x - st * noise) / at, 0 * x, at, st, as_, ss),
            "This is DDPM's mean, without its fresh noise: too little noise is left. DDIM mixes predicted data and predicted noise anew.",
        ),
    ),
    alternatives=(
        lambda x, noise, at, st, as_, ss: as_ / at * x + (ss - st * as_ / at) * noise,
        lambda x, noise, at, st, as_, ss: as_ * (x / at + (ss / as_ - st / at) * noise),
    ),
)
