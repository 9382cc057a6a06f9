"""Exercises of lesson 08 on noise: noising, and the loss of a network that says it."""

import torch

from ..schedules import Cosine
from . import Exercise, Mistake

LESSON = "08_diffusion"


def beside(factor, x):
    """One number an example, ready to be multiplied with (batch, *shape)."""
    return factor.view(-1, *[1] * (x.ndim - 1))


# --- noising ----------------------------------------------------------------------------------------------------------


def noised(data, noise, alpha, sigma):
    return beside(alpha, data) * data + beside(sigma, data) * noise


def _draw_noising(generator):
    """Four images of 4×4 pixels or four points of four entries, and noise; batch and sides alike, so that axes can be mixed up."""
    shape = ((4, 1, 4, 4), (4, 4))[int(torch.randint(2, (), generator=generator))]
    alpha = 0.1 + 0.8 * torch.rand(4, generator=generator)
    data, noise = (torch.randn(shape, generator=generator) for _ in range(2))
    return data, noise, alpha, (1 - alpha.square()).sqrt()


def _like_noising(of_data=None, of_noise=None, wide=beside):
    """Noising with other factors, or with another way to bring them into shape."""
    of_data, of_noise = of_data or (lambda a, s: a), of_noise or (lambda a, s: s)

    def mixed(data, noise, alpha, sigma):
        return wide(of_data(alpha, sigma), data) * data + wide(of_noise(alpha, sigma), data) * noise

    return mixed


NOISING = Exercise(
    "diffusion/noising",
    noised,
    _draw_noising,
    lesson=LESSON,
    title="noising",
    minutes=5,
    difficulty=1,
    hints=(
        "x_t = α · data + σ · noise. The only trouble is the shapes: α and σ hold one number an example.",
        "alpha.view(-1, *[1] * (data.ndim - 1)) has the shape (batch, 1, …, 1), as many axes as data: it can be multiplied with data.",
        "ones = [1] * (data.ndim - 1); return alpha.view(-1, *ones) * data + sigma.view(-1, *ones) * noise",
    ),
    mistakes=(
        Mistake(
            _like_noising(wide=lambda factor, x: factor),
            "The shapes only seem to fit: α, (batch,), was laid along the last axis, so every *column* got its own α. Each example "
            "has one: alpha.view(-1, *[1] * (data.ndim - 1)).",
        ),
        Mistake(
            _like_noising(wide=lambda factor, x: factor.view(-1, 1)),
            "This is right for points, (batch, dim). In images, (batch, 1, height, width), it gives every *row* its own α: "
            "as many axes as data has, alpha.view(-1, *[1] * (data.ndim - 1)).",
            also=(_like_noising(wide=lambda factor, x: factor[:, None]),),
        ),
        Mistake(
            _like_noising(wide=lambda factor, x: factor.view(-1, 1, 1, 1)),
            "This is right for images, but points, (batch, dim), become (batch, 1, batch, dim): as many axes as data has, "
            "alpha.view(-1, *[1] * (data.ndim - 1)).",
        ),
        Mistake(
            _like_noising(wide=lambda factor, x: factor.view(-1, *[1] * x.ndim)),
            "α got one axis too many: the batch is an axis of data already, so data.ndim − 1 ones, alpha.view(-1, *[1] * (data.ndim - 1)).",
        ),
        Mistake(
            _like_noising(of_data=lambda a, s: s, of_noise=lambda a, s: a),
            "α and σ are exchanged: α is what is left of the data, σ belongs to the noise.",
        ),
        Mistake(
            _like_noising(of_data=lambda a, s: a.square(), of_noise=lambda a, s: s.square()),
            "You squared the factors. It is the variances, α² and σ², that add up to one; the factors are α and σ themselves.",
            also=(
                _like_noising(of_noise=lambda a, s: s.square()),
                _like_noising(of_data=lambda a, s: a.square()),
                _like_noising(of_data=lambda a, s: a.square(), of_noise=lambda a, s: 1 - a.square()),
            ),
        ),
        Mistake(
            _like_noising(of_data=lambda a, s: a.sqrt(), of_noise=lambda a, s: s.sqrt()),
            "No root: our α and σ multiply data and noise as they are. (What DDPM's paper calls ᾱ is our α².)",
            also=(
                _like_noising(of_data=lambda a, s: a.sqrt(), of_noise=lambda a, s: (1 - a).sqrt()),
                _like_noising(of_data=lambda a, s: a.sqrt()),
                _like_noising(of_noise=lambda a, s: s.sqrt()),
            ),
        ),
        Mistake(
            _like_noising(of_noise=lambda a, s: 1 - a),
            "The noise has the factor σ. It is α² + σ² = 1 here, not α + σ = 1.",
            also=(_like_noising(of_noise=lambda a, s: (1 - a).sqrt()),),
        ),
        Mistake(
            _like_noising(of_data=lambda a, s: torch.ones_like(a)),
            "The data must shrink, too: α · data. Else they never drown, and the variance grows.",
        ),
        Mistake(
            _like_noising(of_noise=lambda a, s: torch.ones_like(a)),
            "The noise must grow from nothing: σ · noise.",
        ),
        Mistake(
            _like_noising(of_noise=lambda a, s: -s),
            "The noise is added, + σ · noise. (Drawn at random, −noise would do as well, but later the network is asked for this noise.)",
        ),
        Mistake(
            lambda data, noise, alpha, sigma: noised(data, torch.randn_like(data), alpha, sigma),
            "You drew noise of your own; use the `noise` that is given: it is what the network will have to find.",
        ),
        Mistake(
            lambda data, noise, alpha, sigma: alpha[0] * data + sigma[0] * noise,
            "You used the first example's α and σ for all; each example has its own time.",
            also=(lambda data, noise, alpha, sigma: alpha.mean() * data + sigma.mean() * noise,),
        ),
        Mistake(
            lambda data, noise, alpha, sigma: noised(data, noise, alpha, sigma).clamp(-1, 1),
            "Nothing is to be cut off: x_t may lie far beyond the range of the data, as noise does.",
        ),
    ),
    alternatives=(
        lambda data, noise, alpha, sigma: torch.stack(
            [a * d + s * n for a, d, s, n in zip(alpha, data, sigma, noise, strict=True)]
        ),
        lambda data, noise, alpha, sigma: (
            torch.einsum("b,b...->b...", alpha, data) + torch.einsum("b,b...->b...", sigma, noise)
        ),
    ),
)


# --- the loss ---------------------------------------------------------------------------------------------------------


def noise_loss(predict, data, noise, t, schedule):
    x = noised(data, noise, schedule.alpha(t), schedule.sigma(t))
    return (predict(x, t) - noise).square().mean()


def _draw_loss(generator):
    """A predictor that heeds the time, five images, noise, and times on the cosine schedule."""
    weight = torch.randn(4, 4, generator=generator)

    def predict(x, t):
        return (x @ weight).tanh() + beside(t, x) * x

    data = torch.randn(5, 1, 4, 4, generator=generator).requires_grad_()
    return predict, data, torch.randn(data.shape, generator=generator), torch.rand(5, generator=generator), Cosine()


def _like_loss(state=None, target=None, error=None):
    """The loss with another x_t, another target, or another measure of the error."""
    state = state or (lambda data, noise, t, sc: noised(data, noise, sc.alpha(t), sc.sigma(t)))
    target = target or (lambda data, noise, x, t, sc: noise)
    error = error or (lambda difference: difference.square().mean())

    def loss(predict, data, noise, t, schedule):
        x = state(data, noise, t, schedule)
        return error(predict(x, t) - target(data, noise, x, t, schedule))

    return loss


def _ungraded(predict, data, noise, t, schedule):
    with torch.no_grad():
        return noise_loss(predict, data, noise, t, schedule)


def _weighted(predict, data, noise, t, schedule):
    x = noised(data, noise, schedule.alpha(t), schedule.sigma(t))
    return (beside(schedule.sigma(t), x) * (predict(x, t) - noise)).square().mean()


def _weighted_as_score(predict, data, noise, t, schedule):
    x = noised(data, noise, schedule.alpha(t), schedule.sigma(t))
    return ((predict(x, t) - noise) / beside(schedule.sigma(t), x)).square().mean()


def _told_otherwise(moment):
    """The network is told something else in place of the time."""

    def loss(predict, data, noise, t, schedule):
        return noise_loss(lambda x, t: predict(x, moment(t, schedule)), data, noise, t, schedule)

    return loss


LOSS = Exercise(
    "diffusion/loss",
    noise_loss,
    _draw_loss,
    lesson=LESSON,
    title="the loss",
    minutes=6,
    difficulty=1,
    differentiable=True,
    hints=(
        "Three lines: mix data and noise to x_t, let the network look at it, compare what it says with the noise that is in it.",
        "Your `noised` makes x_t; schedule.alpha(t) and schedule.sigma(t) are (batch,). The network wants x_t *and* t.",
        "x = noised(data, noise, schedule.alpha(t), schedule.sigma(t)); return (predict(x, t) - noise).square().mean()",
    ),
    mistakes=(
        Mistake(
            _like_loss(target=lambda data, noise, x, t, sc: data),
            "You compared the prediction with the data; this network is to say the *noise*.",
        ),
        Mistake(
            _like_loss(target=lambda data, noise, x, t, sc: x),
            "You compared the prediction with x_t, which the network can see; it is to say the noise in it.",
        ),
        Mistake(
            _like_loss(target=lambda data, noise, x, t, sc: beside(sc.sigma(t), x) * noise),
            "The target is the noise itself, of variance one at all times, not σ · noise.",
            also=(_like_loss(target=lambda data, noise, x, t, sc: x - data),),
        ),
        Mistake(
            _like_loss(target=lambda data, noise, x, t, sc: torch.randn_like(noise)),
            "You compared with fresh noise, which nobody can predict: take the very noise that is in x_t.",
        ),
        Mistake(
            _like_loss(state=lambda data, noise, t, sc: noised(data, torch.randn_like(noise), sc.alpha(t), sc.sigma(t))),
            "There is other noise in x_t than the noise you compare with: use the `noise` that is given for both.",
        ),
        Mistake(
            _like_loss(state=lambda data, noise, t, sc: sc.alpha(t) * data + sc.sigma(t) * noise),
            "schedule.alpha(t) has one number an example, and does not fit data as it is: let your `noised` mix.",
        ),
        Mistake(
            _like_loss(target=lambda data, noise, x, t, sc: -noise),
            "The prediction and the noise are added; it is their difference that counts.",
        ),
        Mistake(
            _like_loss(state=lambda data, noise, t, sc: data),
            "The network was shown the clean data; it must look at x_t.",
        ),
        Mistake(
            _like_loss(state=lambda data, noise, t, sc: noise),
            "The network was shown the noise itself, the answer; it must look at x_t.",
        ),
        Mistake(
            _like_loss(state=lambda data, noise, t, sc: data + beside(sc.sigma(t), data) * noise),
            "In x_t the data have the factor α: your `noised` knows.",
            also=(_like_loss(state=lambda data, noise, t, sc: data + noise),),
        ),
        Mistake(
            _like_loss(state=lambda data, noise, t, sc: noised(data, noise, 1 - t, t)),
            "You mixed with 1 − t and t; this schedule has its own factors: schedule.alpha(t) and schedule.sigma(t).",
        ),
        Mistake(
            _like_loss(state=lambda data, noise, t, sc: noised(data, noise, sc.sigma(t), sc.alpha(t))),
            "α and σ are exchanged: α belongs to the data.",
            also=(_like_loss(state=lambda data, noise, t, sc: noised(noise, data, sc.alpha(t), sc.sigma(t))),),
        ),
        Mistake(
            _like_loss(error=lambda difference: difference.square().sum()),
            "You added the squares up; their mean does not depend on how large batch and images are: .mean().",
            also=(_like_loss(error=lambda difference: difference.square().flatten(1).sum(1).mean()),),
        ),
        Mistake(
            _like_loss(error=lambda difference: difference.square().mean().sqrt()),
            "No root: the mean squared error itself has the conditional mean as its best answer.",
        ),
        Mistake(
            _like_loss(error=lambda difference: difference.abs().mean()),
            "Absolute errors have the conditional *median* as their best answer; we want the mean, so square.",
        ),
        Mistake(
            _like_loss(error=lambda difference: difference.mean().square()),
            "In a mean, errors of opposite sign cancel: square each of them first.",
            also=(_like_loss(error=lambda difference: difference.mean()), _like_loss(error=lambda difference: difference.mean().abs())),
        ),
        Mistake(
            _told_otherwise(lambda t, schedule: schedule.sigma(t)),
            "The network is told the time t itself: predict(x, t), not σ, α or λ in its place.",
            also=(_told_otherwise(lambda t, schedule: schedule.alpha(t)), _told_otherwise(lambda t, schedule: schedule.log_snr(t)), _told_otherwise(lambda t, schedule: 1 - t)),
        ),
        Mistake(
            _like_loss(error=lambda difference: difference.square().flatten(1).mean(1)),
            "One number an example; training wants one number in all: .mean().",
            also=(_like_loss(error=lambda difference: difference.square()),),
        ),
        Mistake(
            _like_loss(error=lambda difference: 0.5 * difference.square().mean()),
            "Without the ½: so the loss is 1 for a network that always says 0, which is easy to read.",
        ),
        Mistake(
            _weighted,
            "You weighted the errors by σ². The simple loss counts all times alike.",
        ),
        Mistake(
            _weighted_as_score,
            "You divided by σ, which makes this the error of the *score*. The simple loss compares noise with noise.",
        ),
        Mistake(
            _ungraded,
            "The values are right, but under no_grad (or after detach) the network cannot learn from them.",
            also=(_like_loss(error=lambda difference: difference.detach().square().mean()),),
        ),
    ),
    alternatives=(
        lambda predict, data, noise, t, schedule: torch.nn.functional.mse_loss(
            predict(schedule.noised(data, noise, t), t), noise
        ),
        lambda predict, data, noise, t, schedule: (
            (noise - predict(noised(data, noise, schedule.alpha(t), schedule.sigma(t)), t)).pow(2).flatten(1).mean(1).mean()
        ),
    ),
)  # fmt: skip
