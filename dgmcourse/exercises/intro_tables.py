"""Exercises of lesson 01 on tables of probabilities: drawing from one, and the likelihood of independent pixels."""

import numpy as np
import torch
from torch.nn import functional as F

from . import Exercise, Mistake

LESSON = "01_introduction"

# --- sampling by the inverse CDF --------------------------------------------------------------------------------------


def sample_by_inverse_cdf(probabilities, u):
    return torch.searchsorted(probabilities.cumsum(0), u, right=True)


def _draw_table(generator):
    """Two outcomes have probability 0, the first among them; the first u is 0, where rounding down would draw it."""
    weights = torch.rand(8, generator=generator) + 0.05
    weights[[0, 4]] = 0
    u = torch.rand(40, generator=generator)
    u[0] = 0
    return weights / weights.sum(), u


INVERSE_CDF = Exercise(
    "intro/inverse_cdf",
    sample_by_inverse_cdf,
    _draw_table,
    lesson=LESSON,
    title="sampling by the inverse CDF",
    minutes=8,
    difficulty=1,
    hints=(
        "Lay the probabilities end to end: they fill the line from 0 to 1. Outcome k owns a piece as long as its "
        "probability, and u falls into the piece of the outcome that it draws. Where does each piece end?",
        "probabilities.cumsum(0) holds the ends of the pieces. You want, for each u, how many of these ends lie at or "
        "below it: torch.searchsorted counts that in a sorted list.",
        "torch.searchsorted(probabilities.cumsum(0), u, right=True). With right=True, a u that meets the end of a piece "
        "exactly falls into the next one.",
    ),
    mistakes=(
        Mistake(
            lambda probabilities, u: torch.searchsorted(probabilities.cumsum(0), u),
            "Nearly: an outcome of probability 0 was drawn. Where u meets the end of a piece exactly, it belongs to the next "
            "one: pass right=True (or compare with ≥ rather than >).",
            also=(
                lambda probabilities, u: torch.bucketize(u, probabilities.cumsum(0)),
                lambda probabilities, u: (u[:, None] > probabilities.cumsum(0)).sum(-1),
                lambda probabilities, u: (probabilities.cumsum(0) >= u[:, None]).float().argmax(-1),
            ),
        ),
        Mistake(
            lambda probabilities, u: torch.searchsorted(probabilities, u, right=True),
            "These are comparisons with the probabilities themselves; compare u with their running sum, "
            "probabilities.cumsum(0).",
            also=(
                lambda probabilities, u: torch.searchsorted(probabilities, u),
                lambda probabilities, u: (u[:, None] >= probabilities).sum(-1),
                lambda probabilities, u: (u[:, None] > probabilities).sum(-1),
                lambda probabilities, u: (u[:, None] < probabilities).float().argmax(-1),
                lambda probabilities, u: (u[:, None] <= probabilities).float().argmax(-1),
            ),
        ),
        Mistake(
            lambda probabilities, u: (u[:, None] < probabilities.cumsum(0)).sum(-1),
            "You counted the pieces that end above u; count those that end at or below it.",
            also=(lambda probabilities, u: (u[:, None] <= probabilities.cumsum(0)).sum(-1),),
        ),
        Mistake(
            lambda probabilities, u: sample_by_inverse_cdf(probabilities, u) + 1,
            "Every outcome is one too high: they are numbered from 0.",
        ),
        Mistake(
            lambda probabilities, u: sample_by_inverse_cdf(probabilities, u) - 1,
            "Every outcome is one too low: the number of pieces that end at or below u is the outcome itself.",
        ),
        Mistake(
            lambda probabilities, u: torch.searchsorted(u, probabilities.cumsum(0), right=True),
            "The arguments are swapped: torch.searchsorted takes the sorted list first (the running sum), then the values "
            "to look up (u).",
            also=(
                lambda probabilities, u: torch.searchsorted(u, probabilities.cumsum(0)),
                lambda probabilities, u: torch.bucketize(probabilities.cumsum(0), u, right=True),
                lambda probabilities, u: torch.bucketize(probabilities.cumsum(0), u),
            ),
        ),
        Mistake(
            lambda probabilities, u: torch.multinomial(probabilities, len(u), replacement=True),
            "This draws numbers of its own. Here u is all the randomness there is: which outcome does each u fall on?",
            also=(lambda probabilities, u: torch.distributions.Categorical(probabilities).sample(u.shape),),
        ),
        Mistake(
            lambda probabilities, u: (u * len(probabilities)).long(),
            "This gives every outcome the same chance: the probabilities were not used.",
            also=(lambda probabilities, u: (u * len(probabilities)).floor().long(),),
        ),
        Mistake(
            lambda probabilities, u: probabilities[sample_by_inverse_cdf(probabilities, u)],
            "These are the probabilities of the outcomes drawn; return their numbers: the indices themselves.",
        ),
        Mistake(
            lambda probabilities, u: probabilities.cumsum(0)[sample_by_inverse_cdf(probabilities, u)],
            "These are the ends of the pieces that were hit; return their numbers: the indices themselves.",
        ),
        Mistake(
            lambda probabilities, u: (u[:, None] >= probabilities.cumsum(0)).sum(0),
            "You added up over the draws, axis 0, and counted the u above each end; for each u count the ends, axis -1.",
            also=(
                lambda probabilities, u: (u[:, None] > probabilities.cumsum(0)).sum(0),
                lambda probabilities, u: (u >= probabilities.cumsum(0)[:, None]).sum(-1),
            ),
        ),
        Mistake(
            lambda probabilities, u: (u[:, None] - probabilities.cumsum(0)).abs().argmin(-1),
            "You took the piece whose end is nearest to u; take the piece that u lies in.",
        ),
        Mistake(
            lambda probabilities, u: (u >= probabilities.cumsum(0)).sum(-1),
            "u and the running sum have different lengths and meet entry by entry: compare all pairs, with u[:, None].",
            also=(
                lambda probabilities, u: (probabilities.cumsum(0) <= u).sum(-1),
                lambda probabilities, u: (u > probabilities.cumsum(0)).sum(-1),
            ),
        ),
    ),
    alternatives=(
        lambda probabilities, u: (u[:, None] >= probabilities.cumsum(0)).sum(-1),
        lambda probabilities, u: torch.bucketize(u, probabilities.cumsum(0), right=True),
        lambda probabilities, u: (probabilities.cumsum(0) > u[:, None]).float().argmax(-1),
    ),
)


# --- the likelihood of independent pixels -----------------------------------------------------------------------------


def bernoulli_log_likelihood(x, p):
    return (x * p.log() + (1 - x) * (1 - p).log()).sum(-1)


def draw_ink(generator, batch=4, pixels=784):
    """Binary images and the probability of ink at each pixel.

    A product of so many probabilities rounds to 0, but for the first image, whose every pixel is as it most often is.
    """
    rare = 0.02 + 0.04 * torch.rand(pixels, generator=generator)
    p = torch.where(torch.rand(pixels, generator=generator) < 0.4, 1 - rare, rare)
    x = (torch.rand(batch, pixels, generator=generator) < 0.4).float()
    x[0] = p.round()
    return x, p.requires_grad_()


def _log_terms(x, p):
    return x * p.log() + (1 - x) * (1 - p).log()


def _product(x, p):
    return (p**x * (1 - p) ** (1 - x)).prod(-1)


BERNOULLI = Exercise(
    "intro/bernoulli",
    bernoulli_log_likelihood,
    draw_ink,
    lesson=LESSON,
    title="log-likelihood of independent pixels",
    minutes=8,
    difficulty=1,
    differentiable=True,
    hints=(
        "One pixel first: with ink (x = 1) its probability is p, without (x = 0) it is 1 − p. x ln p + (1 − x) ln(1 − p) says "
        "both in one line: one of the two terms is always 0.",
        "Independent pixels multiply, so their logs add up: .sum over the last axis, the pixels. p broadcasts over the batch "
        "by itself.",
        "(x * p.log() + (1 - x) * (1 - p).log()).sum(-1)",
    ),
    mistakes=(
        Mistake(
            lambda x, p: (x * p.log()).sum(-1),
            "Pixels without ink count too: add (1 − x) ln(1 − p).",
        ),
        Mistake(
            lambda x, p: -_log_terms(x, p).sum(-1),
            "The sign is turned round: the log of a probability is never positive. (Minus this is the loss.)",
        ),
        Mistake(
            lambda x, p: (x * p.log() - (1 - x) * (1 - p).log()).sum(-1),
            "Both kinds of pixels make an image less likely, so the two terms are added: x ln p + (1 − x) ln(1 − p).",
        ),
        Mistake(
            lambda x, p: (x * p.log() + 1 - x * (1 - p).log()).sum(-1),
            "Brackets are missing: the second term is (1 − x) · ln(1 − p), with 1 − x as a whole in front.",
        ),
        Mistake(
            lambda x, p: _log_terms(x, p).mean(-1),
            "You averaged over the pixels. The pixels' probabilities multiply, so their logs add up: .sum(-1).",
        ),
        Mistake(
            lambda x, p: _log_terms(x, p),
            "This is one number a pixel; add them up over the pixels, the last axis: .sum(-1).",
        ),
        Mistake(
            lambda x, p: _log_terms(x, p).sum(),
            "You added up the whole batch; keep one number an image: .sum(-1).",
            also=(lambda x, p: _log_terms(x, p).sum(-1).mean(),),
        ),
        Mistake(
            lambda x, p: _log_terms(x, p).sum(0),
            "You added up over the batch, axis 0; the pixels are the last axis: .sum(-1).",
        ),
        Mistake(
            lambda x, p: _product(x, p).log(),
            "This is right for a few pixels. The product of hundreds of probabilities rounds to 0 in float32, and its log is "
            "−∞: take the logs first and add them.",
            also=(
                lambda x, p: torch.where(x == 1, p, 1 - p).prod(-1).log(),
                lambda x, p: (x * p + (1 - x) * (1 - p)).prod(-1).log(),
            ),
        ),
        Mistake(
            _product,
            "This is the probability, which for so many pixels rounds to 0; the exercise asks for its logarithm: add up logs.",
            also=(lambda x, p: torch.where(x == 1, p, 1 - p).prod(-1),),
        ),
        Mistake(
            lambda x, p: (x * p + (1 - x) * (1 - p)).sum(-1),
            "These are probabilities, added up; take the log of each first.",
        ),
        Mistake(
            lambda x, p: (x * p + (1 - x) * (1 - p)).sum(-1).log(),
            "You added the probabilities and took the log of the sum; take the log of each, then add.",
        ),
        Mistake(
            lambda x, p: (x * p.log() + (1 - x) * (1 - p.log())).sum(-1),
            "1 − ln p is not ln(1 − p): subtract first, then take the log: (1 - p).log().",
        ),
        Mistake(
            lambda x, p: (x * p.log2() + (1 - x) * (1 - p).log2()).sum(-1),
            "This is in bits, log to the base 2; nats are asked for: .log().",
        ),
        Mistake(
            lambda x, p: (x * p.log10() + (1 - x) * (1 - p).log10()).sum(-1),
            "log10 is the logarithm to the base 10; nats need the natural one: .log().",
        ),
        Mistake(
            lambda x, p: (p * x.log() + (1 - p) * (1 - x).log()).sum(-1),
            "x and p have changed places: the log is taken of the probability p, and x, which is 0 or 1, chooses the term.",
        ),
        Mistake(
            lambda x, p: -F.binary_cross_entropy(p, x, reduction="none").sum(-1),
            "binary_cross_entropy wants both of the same shape: give it p.expand_as(x).",
            also=(
                lambda x, p: F.binary_cross_entropy(p, x, reduction="none").sum(-1),
                lambda x, p: -F.binary_cross_entropy(p, x),
                lambda x, p: F.binary_cross_entropy(p, x),
                lambda x, p: -F.binary_cross_entropy(p, x, reduction="sum"),
            ),
        ),
        Mistake(
            lambda x, p: -F.binary_cross_entropy(p.expand_as(x), x),
            "This is averaged over everything, pixels and images (as binary_cross_entropy does unless told "
            "reduction='none'): add up the pixels of each image, .sum(-1).",
        ),
        Mistake(
            lambda x, p: -F.binary_cross_entropy_with_logits(p.expand_as(x), x, reduction="none").sum(-1),
            "p is already a probability, so no sigmoid is needed: binary_cross_entropy, or x ln p + (1 − x) ln(1 − p).",
        ),
        Mistake(
            lambda x, p: -(x - p).square().sum(-1),
            "A squared error is the log-likelihood of a Gaussian; these pixels are coins: x ln p + (1 − x) ln(1 − p).",
        ),
        Mistake(
            lambda x, p: (x * np.log(p) + (1 - x) * np.log(1 - p)).sum(-1),
            "NumPy cannot follow gradients: use PyTorch's own functions, such as p.log().",
        ),
    ),
    alternatives=(
        lambda x, p: torch.where(x == 1, p, 1 - p).log().sum(-1),
        lambda x, p: torch.distributions.Bernoulli(p).log_prob(x).sum(-1),
        lambda x, p: -F.binary_cross_entropy(p.expand_as(x), x, reduction="none").sum(1),
        lambda x, p: x @ p.log() + (1 - x) @ torch.log1p(-p),
    ),
)
