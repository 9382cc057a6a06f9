"""Exercises of lesson 01 on likelihood: its unit, and the Gaussian that maximizes it."""

import math

import torch

from . import Exercise, Mistake
from .intro_tables import LESSON

# --- bits per dimension -----------------------------------------------------------------------------------------------


def bits_per_dim(log_prob, shape):
    return -log_prob / (math.prod(shape) * math.log(2))


BITS_PER_DIM = Exercise(
    "intro/bits_per_dim",
    bits_per_dim,
    lambda generator: (-2500 - 200 * torch.rand(5, generator=generator), (3, 16, 20)),
    lesson=LESSON,
    title="bits per dimension",
    minutes=5,
    difficulty=1,
    hints=(
        "Three steps: from log-likelihood to cost (a sign), from nats to bits (a factor), from the whole image to one of its "
        "numbers (a division).",
        "A bit is ln 2 = 0.693 nats, so dividing nats by ln 2 gives bits. An image of shape (channels, height, width) holds "
        "channels · height · width numbers: math.prod(shape).",
        "-log_prob / (math.prod(shape) * math.log(2))",
    ),
    mistakes=(
        Mistake(
            lambda log_prob, shape: log_prob / (math.prod(shape) * math.log(2)),
            "The sign is missing: a cost is −log p, a positive number here.",
        ),
        Mistake(
            lambda log_prob, shape: -log_prob / math.prod(shape),
            "These are nats per dimension: divide by ln 2 = math.log(2) as well. (math.log2(2) is 1.)",
        ),
        Mistake(
            lambda log_prob, shape: -log_prob * math.log(2) / math.prod(shape),
            "You multiplied by ln 2; divide: a bit is smaller than a nat, so there are more of them.",
        ),
        Mistake(
            lambda log_prob, shape: -log_prob / (math.prod(shape) * math.log10(2)),
            "math.log10(2) is the logarithm to the base 10; a bit is ln 2 nats, and ln 2 is math.log(2).",
        ),
        Mistake(
            lambda log_prob, shape: -log_prob / math.log(2),
            "These are the bits of the whole image; divide by the number of its dimensions, math.prod(shape).",
        ),
        Mistake(
            lambda log_prob, shape: -log_prob / (shape[-2] * shape[-1] * math.log(2)),
            "Channels count too: a color image has 3 · height · width dimensions, math.prod(shape). (Per pixel and per "
            "dimension are two units.)",
        ),
        Mistake(
            lambda log_prob, shape: -log_prob / (len(shape) * math.log(2)),
            "len(shape) is the number of axes; the number of dimensions of x is the product of the sides, math.prod(shape).",
        ),
        Mistake(
            lambda log_prob, shape: -log_prob / (sum(shape) * math.log(2)),
            "You added the sides; multiply them: math.prod(shape).",
        ),
        Mistake(
            lambda log_prob, shape: -log_prob / (len(log_prob) * math.log(2)),
            "You divided by the number of images; divide by the numbers in one image, math.prod(shape).",
        ),
        Mistake(
            lambda log_prob, shape: -(log_prob.exp().log2()) / math.prod(shape),
            "exp of such a number rounds to 0, and its log is −∞; stay in logs: dividing nats by ln 2 gives bits.",
        ),
        Mistake(
            lambda log_prob, shape: -log_prob.log2() / math.prod(shape),
            "You took the log of a log-probability, which is negative: log_prob is a log already. Divide it by ln 2.",
            also=(lambda log_prob, shape: log_prob.log2() / math.prod(shape),),
        ),
        Mistake(
            lambda log_prob, shape: (-log_prob).log2() / math.prod(shape),
            "log_prob is a logarithm already; to change its base, divide by ln 2 rather than take another log.",
        ),
        Mistake(
            lambda log_prob, shape: -log_prob / (math.prod(shape) * math.log(2)) / 8,
            "Per dimension, not per byte: leave the 8 out.",
        ),
        Mistake(
            lambda log_prob, shape: (-log_prob / (math.prod(shape) * math.log(2))).mean(),
            "You averaged over the batch; keep one number an image.",
        ),
    ),
    alternatives=(
        lambda log_prob, shape: -log_prob / math.log(2) / math.prod(shape),
        lambda log_prob, shape: -log_prob * math.log2(math.e) / math.prod(shape),
        lambda log_prob, shape: log_prob / math.log(0.5) / torch.Size(shape).numel(),
    ),
)


# --- the Gaussian of largest likelihood -------------------------------------------------------------------------------


def gaussian_mle(x):
    mean = x.mean(0)
    centered = x - mean
    return mean, centered.T @ centered / len(x)


def _draw_points(generator):
    """Points around a center far from 0, with strong correlations."""
    mix = torch.randn(3, 3, generator=generator)
    return torch.randn(12, 3, generator=generator) @ mix + 2 * torch.randn(3, generator=generator)


def _covariance(x, divide_by):
    centered = x - x.mean(0)
    return centered.T @ centered / divide_by


GAUSSIAN_MLE = Exercise(
    "intro/gaussian_mle",
    gaussian_mle,
    _draw_points,
    lesson=LESSON,
    title="the Gaussian of largest likelihood",
    minutes=8,
    difficulty=2,
    hints=(
        "Two lines for two formulas. The mean runs over the examples, axis 0. For the covariance subtract that mean first.",
        "Σ is a sum of outer products (x − μ)(x − μ)ᵀ over the examples. A matrix product does that sum: with one example a "
        "row, it is centered.T @ centered, of shape (dim, dim).",
        "mean = x.mean(0); centered = x - mean; return mean, centered.T @ centered / len(x)",
    ),
    mistakes=(
        Mistake(
            lambda x: (x.mean(0), torch.cov(x.T)),
            "This divides by n − 1, as torch.cov does unless told correction=0. That is the unbiased estimate; the one of "
            "largest likelihood divides by n.",
            also=(lambda x: (x.mean(0), _covariance(x, len(x) - 1)),),
        ),
        Mistake(
            lambda x: (x.mean(0), x.T @ x / len(x)),
            "The mean was not subtracted before the products: these are second moments around 0, not around μ.",
        ),
        Mistake(
            lambda x: (x.mean(0), _covariance(x, 1)),
            "This is the sum over the examples; divide it by n = len(x).",
        ),
        Mistake(
            lambda x: (x.mean(0), _covariance(x, x.shape[1])),
            "You divided by the number of dimensions; divide by the number of examples, len(x).",
        ),
        Mistake(
            lambda x: (x.mean(0), _covariance(x, x.numel())),
            "You divided by the number of all entries; divide by the number of examples, len(x).",
        ),
        Mistake(
            lambda x: (x.mean(0), (x - x.mean(0)) @ (x - x.mean(0)).T / len(x)),
            "This is examples by examples: it compares two examples with each other. Transpose the first factor instead, "
            "centered.T @ centered, and the sum runs over the examples.",
            also=(lambda x: (x.mean(0), torch.cov(x)), lambda x: (x.mean(0), torch.cov(x, correction=0))),
        ),
        Mistake(
            lambda x: (x.mean(0), x.var(0, unbiased=False)),
            "These are the variances alone, the diagonal of Σ; the covariance matrix also says how two dimensions vary "
            "together: (dim, dim).",
            also=(
                lambda x: (x.mean(0), x.var(0)),
                lambda x: (x.mean(0), (x - x.mean(0)).square().mean(0)),
                lambda x: (x.mean(0), x.std(0)),
            ),
        ),
        Mistake(
            lambda x: (x.mean(0), torch.diag(x.var(0, unbiased=False))),
            "Off the diagonal you have zeros: that is the Gaussian of independent dimensions. The full covariance is "
            "centered.T @ centered / len(x).",
            also=(lambda x: (x.mean(0), torch.diag(x.var(0))),),
        ),
        Mistake(
            lambda x: (x.mean(0), torch.corrcoef(x.T)),
            "These are correlations, with ones on the diagonal; the covariance keeps the scale of each dimension.",
        ),
        Mistake(
            lambda x: (x.mean(), _covariance(x, len(x))),
            "Your mean runs over everything; there is one mean a dimension: x.mean(0).",
        ),
        Mistake(
            lambda x: (x.mean(), (x - x.mean()).T @ (x - x.mean()) / len(x)),
            "One mean for everything was subtracted; each dimension has its own: x.mean(0).",
        ),
        Mistake(
            lambda x: (x.mean(1), _covariance(x, len(x))),
            "Your mean runs over the dimensions of one example; it runs over the examples, axis 0: x.mean(0).",
            also=(
                lambda x: (x.mean(1), (x - x.mean(1, keepdim=True)).T @ (x - x.mean(1, keepdim=True)) / len(x)),
                lambda x: (x.mean(1, keepdim=True), _covariance(x, len(x))),
            ),
        ),
        Mistake(
            lambda x: (x.mean(1), (x - x.mean(1)).T @ (x - x.mean(1)) / len(x)),
            "The shapes do not fit, as your mean runs over the dimensions of one example; it runs over the examples, axis 0: "
            "x.mean(0).",
        ),
        Mistake(
            lambda x: gaussian_mle(x)[::-1],
            "The two are right, in the other order: return mean, covariance.",
        ),
        Mistake(
            lambda x: gaussian_mle(x)[1],
            "The covariance is right; return the mean before it: return mean, covariance.",
        ),
    ),
    alternatives=(
        lambda x: (x.mean(0), torch.cov(x.T, correction=0)),
        lambda x: (x.sum(0) / len(x), x.T @ x / len(x) - torch.outer(x.mean(0), x.mean(0))),
        lambda x: (x.mean(dim=0), torch.einsum("ni,nj->ij", x - x.mean(0), x - x.mean(0)) / x.shape[0]),
    ),
)
