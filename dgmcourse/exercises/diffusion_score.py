"""Exercise of lesson 08 on what a prediction of the noise says of the data and the score."""

import torch

from . import Exercise, Mistake
from .diffusion_noising import LESSON

# --- noise, data, score -----------------------------------------------------------------------------------------------


def data_and_score(noise, x, alpha, sigma):
    return (x - sigma * noise) / alpha, -noise / sigma


def _draw_prediction(generator):
    """Five points of three entries, a prediction of the noise in them, and α and σ of one time."""
    alpha = 0.2 + 0.6 * torch.rand((), generator=generator)
    x, noise = (torch.randn(5, 3, generator=generator) for _ in range(2))
    return noise, x, alpha, (1 - alpha.square()).sqrt()


def _like_prediction(data=None, score=None):
    """Both, one of them otherwise."""
    data = data or (lambda noise, x, alpha, sigma: (x - sigma * noise) / alpha)
    score = score or (lambda noise, x, alpha, sigma: -noise / sigma)
    return lambda noise, x, alpha, sigma: (data(noise, x, alpha, sigma), score(noise, x, alpha, sigma))


SCORE = Exercise(
    "diffusion/score",
    data_and_score,
    _draw_prediction,
    lesson=LESSON,
    title="noise, data and score",
    minutes=6,
    difficulty=1,
    hints=(
        "Solve x = α · data + σ · noise for the data. The score stands in the text above: ∇ ln p_t(x) = −(…)/σ.",
        "First take the noise away, x − σ · noise; what is left is α · data: divide by α. The score is −noise / σ.",
        "return (x - sigma * noise) / alpha, -noise / sigma",
    ),
    mistakes=(
        Mistake(
            _like_prediction(data=lambda n, x, a, s: x - s * n),
            "x − σ · noise is α · data: divide by α.",
        ),
        Mistake(
            _like_prediction(data=lambda n, x, a, s: (x - n) / a),
            "In x stands σ · noise, not noise: (x − σ · noise) / α.",
            also=(_like_prediction(data=lambda n, x, a, s: x - n),),
        ),
        Mistake(
            _like_prediction(data=lambda n, x, a, s: x / a - s * n),
            "All of x − σ · noise is divided by α; mind the brackets.",
            also=(_like_prediction(data=lambda n, x, a, s: x - s * n / a),),
        ),
        Mistake(
            _like_prediction(data=lambda n, x, a, s: a * (x - s * n)),
            "You multiplied by α; to undo α · data, divide.",
        ),
        Mistake(
            _like_prediction(data=lambda n, x, a, s: (x + s * n) / a),
            "You added the noise once more: subtract it, (x − σ · noise) / α.",
        ),
        Mistake(
            _like_prediction(data=lambda n, x, a, s: (x - a * n) / s),
            "α and σ are exchanged in the data: (x − σ · noise) / α.",
        ),
        Mistake(
            _like_prediction(data=lambda n, x, a, s: (x - s**2 * n) / a),
            "In x stands σ · noise, not σ² · noise.",
        ),
        Mistake(
            _like_prediction(
                lambda n, x, a, s: (x - (1 - a).sqrt() * n) / a.sqrt(), lambda n, x, a, s: -n / (1 - a).sqrt()
            ),
            "No roots: our α and σ multiply data and noise as they are. (What DDPM's paper calls ᾱ is our α².)",
            also=(
                _like_prediction(data=lambda n, x, a, s: (x - (1 - a).sqrt() * n) / a.sqrt()),
                _like_prediction(data=lambda n, x, a, s: (x - s * n) / a.sqrt()),
                _like_prediction(lambda n, x, a, s: (x - s.sqrt() * n) / a.sqrt(), lambda n, x, a, s: -n / s.sqrt()),
            ),
        ),
        Mistake(
            _like_prediction(data=lambda n, x, a, s: ((x - s * n) / a).clamp(-1, 1)),
            "Nothing is to be cut off: a prediction of the data may lie beyond their range.",
        ),
        Mistake(
            _like_prediction(score=lambda n, x, a, s: n / s),
            "The score points *up* the density, back to where x came from, against the noise: −noise / σ.",
        ),
        Mistake(
            _like_prediction(score=lambda n, x, a, s: -n),
            "The score is −noise *divided by σ*: the less noise there is, the steeper the density.",
        ),
        Mistake(
            _like_prediction(score=lambda n, x, a, s: -n / s**2),
            "You divided by σ². The score is −(x − α · data)/σ², and x − α · data is σ · noise: one σ cancels.",
        ),
        Mistake(
            _like_prediction(score=lambda n, x, a, s: -s * n),
            "You multiplied by σ; the score is −noise / σ.",
        ),
        Mistake(
            _like_prediction(score=lambda n, x, a, s: -n / a),
            "You divided by α; the score is −noise / σ.",
        ),
        Mistake(
            _like_prediction(score=lambda n, x, a, s: -x / s**2),
            "This is the score of noise around 0. The Gaussian's mean is α · data: (α · data − x)/σ², which is −noise / σ.",
            also=(_like_prediction(score=lambda n, x, a, s: -x / s), _like_prediction(score=lambda n, x, a, s: -x)),
        ),
        Mistake(
            _like_prediction(score=lambda n, x, a, s: ((x - s * n) / a - x) / s**2),
            "The Gaussian's mean is α · data, not the data: the score is (α · data − x)/σ², which is −noise / σ.",
        ),
        Mistake(
            lambda noise, x, alpha, sigma: data_and_score(noise, x, alpha, sigma)[::-1],
            "Both are right, in the wrong order: data first, then the score.",
        ),
        Mistake(
            lambda noise, x, alpha, sigma: data_and_score(noise, x, alpha, sigma)[0],
            "The score is missing: return two things, data and score.",
        ),
    ),
    alternatives=(
        lambda noise, x, alpha, sigma: (x / alpha - noise * sigma / alpha, noise.neg() / sigma),
        lambda noise, x, alpha, sigma: [
            (x - (1 - alpha**2).sqrt() * noise) / alpha,
            (x - sigma * noise - x) / sigma**2,
        ],
    ),
)
