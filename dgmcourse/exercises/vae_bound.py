"""Exercises of lesson 04 on the bound: the ELBO, and its importance-weighted sharpening."""

import math

import torch
from torch.nn import functional as F

from . import Exercise, Mistake
from .vae_encoder import LESSON, draw_gaussian, draw_pixels, kl_to_standard_normal

# --- ELBO -------------------------------------------------------------------------------------------------------------


def elbo(x, logits, mean, log_var, beta=1.0):
    log_likelihood = -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return log_likelihood - beta * kl_to_standard_normal(mean, log_var)


def _draw_elbo(generator):
    """In the first four images, the decoder is very sure of one pixel: wrongly, wrongly, rightly, rightly."""
    beta = float(0.5 + 2 * torch.rand((), generator=generator))
    x, logits = draw_pixels(generator)
    x[:4, 0] = torch.tensor([0.0, 1.0, 1.0, 0.0])
    logits.data[:4, 0] = torch.tensor([120.0, -120.0, 120.0, -120.0])
    return x, logits, *draw_gaussian(generator), beta


def _cross_entropy(x, logits):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none")


def _with(log_likelihood):
    """The bound with another log p(x|z), a function of x and logits."""
    return lambda x, logits, mean, log_var, beta=1.0: (
        log_likelihood(x, logits) - beta * kl_to_standard_normal(mean, log_var)
    )


def _by_hand(x, logits):
    p = logits.sigmoid()
    return (x * p.log() + (1 - x) * (1 - p).log()).sum(-1)


def _by_xlogy(x, logits):
    p = logits.sigmoid()
    return (torch.xlogy(x, p) + torch.xlogy(1 - x, 1 - p)).sum(-1)


def _clamped(smallest):
    def log_likelihood(x, logits):
        p = logits.sigmoid().clamp(smallest, 1 - smallest)
        return (x * p.log() + (1 - x) * (1 - p).log()).sum(-1)

    return log_likelihood


def _padded(smallest):
    def log_likelihood(x, logits):
        p = logits.sigmoid()
        return (x * (p + smallest).log() + (1 - x) * (1 - p + smallest).log()).sum(-1)

    return log_likelihood


def _latents_apart(mean, log_var):
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var)


ELBO = Exercise(
    "vae/elbo",
    elbo,
    _draw_elbo,
    lesson=LESSON,
    title="the evidence lower bound",
    minutes=10,
    difficulty=2,
    differentiable=True,
    hints=(
        "Two terms, each one number an example: log p(x|z), then β times the KL, which you have just written.",
        "log p(x|z) of independent binary pixels is −binary_cross_entropy_with_logits(logits, x, reduction='none'), "
        "added up over the pixels (the last axis).",
        "log_likelihood = -F.binary_cross_entropy_with_logits(logits, x, reduction='none').sum(-1), and the bound is "
        "log_likelihood - beta * kl_to_standard_normal(mean, log_var).",
    ),
    mistakes=(
        Mistake(
            lambda x, logits, mean, log_var, beta=1.0: -elbo(x, logits, mean, log_var, beta),
            "This is the loss, −ELBO; the exercise asks for the bound itself, which is negative here.",
        ),
        Mistake(
            _with(lambda x, logits: _cross_entropy(x, logits).sum(-1)),
            "The minus before the cross-entropy is missing: log p(x|z) is −binary_cross_entropy_with_logits.",
        ),
        Mistake(
            _with(_by_hand),
            "This is right for small logits; for large ones the sigmoid rounds to 0 or 1, and the log is −∞. "
            "binary_cross_entropy_with_logits never takes that log: use it.",
            also=(
                _with(_by_xlogy),
                _with(lambda x, logits: _by_hand(x.double(), logits.double()).float()),
                _with(lambda x, logits: _by_xlogy(x.double(), logits.double()).float()),
            ),
        ),
        Mistake(
            _with(lambda x, logits: -F.binary_cross_entropy(logits.sigmoid(), x, reduction="none").sum(-1)),
            "This is right for small logits; for large ones the sigmoid rounds to 0 or 1, and the log is cut off. "
            "binary_cross_entropy_with_logits takes the logits themselves: use it.",
            also=(
                _with(lambda x, logits: torch.distributions.Bernoulli(logits.sigmoid()).log_prob(x).sum(-1)),
                *(_with(_clamped(smallest)) for smallest in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)),
                *(_with(_padded(smallest)) for smallest in (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12)),
            ),
        ),
        Mistake(
            _with(lambda x, logits: (x * logits - (1 + logits.exp()).log()).sum(-1)),
            "This is right for small logits; for large ones exp(logits) overflows. F.softplus(logits) is "
            "log(1 + exp(logits)) without that, and binary_cross_entropy_with_logits does it all.",
        ),
        Mistake(
            _with(lambda x, logits: -_cross_entropy(x, logits).mean(-1)),
            "You averaged over the pixels; log p(x|z) of a whole image is the sum over its pixels: .sum(-1). "
            "Averaged, the KL weighs many times too much, and the model stops using z.",
        ),
        Mistake(
            _with(lambda x, logits: -_cross_entropy(x, logits).mean()),
            "binary_cross_entropy_with_logits averages over everything unless you pass reduction='none'; then sum over "
            "the pixels.",
        ),
        Mistake(
            _with(lambda x, logits: -_cross_entropy(x, logits).sum()),
            "The pixels of the whole batch are added up (as reduction='sum' does); pass reduction='none' and sum over "
            "the pixels alone: .sum(-1).",
        ),
        Mistake(
            _with(lambda x, logits: -_cross_entropy(x, logits)),
            "The cross-entropy is one number a pixel, and the KL one an image: sum the pixels first, .sum(-1).",
            also=(
                lambda x, logits, mean, log_var, beta=1.0: (
                    -beta * kl_to_standard_normal(mean, log_var) - _cross_entropy(x, logits)
                ),
            ),
        ),
        Mistake(
            _with(lambda x, logits: -_cross_entropy(x, logits).sum(0)),
            "You added up over the batch, axis 0; the pixels are the last axis: .sum(-1).",
            also=(
                lambda x, logits, mean, log_var, beta=1.0: (
                    -beta * kl_to_standard_normal(mean, log_var) - _cross_entropy(x, logits).sum(0)
                ),
            ),
        ),
        Mistake(
            lambda x, logits, mean, log_var, beta=1.0: (
                -_cross_entropy(x, logits).sum(-1) - beta * _latents_apart(mean, log_var)
            ),
            "Your KL is one number a latent, and log p(x|z) one an image: sum the KL over the latents too, .sum(-1).",
            also=(
                lambda x, logits, mean, log_var, beta=1.0: (
                    -beta * _latents_apart(mean, log_var) - _cross_entropy(x, logits).sum(-1)
                ),
            ),
        ),
        Mistake(
            lambda x, logits, mean, log_var, beta=1.0: (
                -_cross_entropy(x, logits) - beta * _latents_apart(mean, log_var)
            ),
            "One term is a number a pixel, the other a number a latent: sum each over its last axis, .sum(-1), first.",
            also=(
                lambda x, logits, mean, log_var, beta=1.0: (
                    -beta * _latents_apart(mean, log_var) - _cross_entropy(x, logits)
                ),
            ),
        ),
        Mistake(
            lambda x, logits, mean, log_var, beta=1.0: -_cross_entropy(x, logits).sum(-1),
            "This is log p(x|z) alone; the KL is missing: subtract beta * kl_to_standard_normal(mean, log_var).",
        ),
        Mistake(
            lambda x, logits, mean, log_var, beta=1.0: (
                -_cross_entropy(x, logits).sum(-1) + beta * kl_to_standard_normal(mean, log_var)
            ),
            "The KL is subtracted, not added: a code far from the prior costs.",
        ),
        Mistake(
            lambda x, logits, mean, log_var, beta=1.0: (
                -_cross_entropy(x, logits).sum(-1) - kl_to_standard_normal(mean, log_var)
            ),
            "You left out β: multiply the KL by `beta`.",
        ),
        Mistake(
            lambda x, logits, mean, log_var, beta=1.0: (
                -beta * _cross_entropy(x, logits).sum(-1) - kl_to_standard_normal(mean, log_var)
            ),
            "β stands before the wrong term: it multiplies the KL, not the reconstruction.",
        ),
        Mistake(
            lambda x, logits, mean, log_var, beta=1.0: beta * elbo(x, logits, mean, log_var),
            "β multiplies both terms here; it belongs to the KL alone.",
        ),
        Mistake(
            _with(lambda x, logits: -_cross_entropy(logits, x).sum(-1)),
            "The arguments are swapped: binary_cross_entropy_with_logits takes the logits first, then x.",
        ),
        Mistake(
            _with(lambda x, logits: -_cross_entropy(x, logits.sigmoid()).sum(-1)),
            "The sigmoid was applied twice: binary_cross_entropy_with_logits applies it itself, so give it the logits.",
        ),
        Mistake(
            _with(lambda x, logits: -F.binary_cross_entropy(logits, x, reduction="none").sum(-1)),
            "binary_cross_entropy wants probabilities between 0 and 1; these are logits: use "
            "binary_cross_entropy_with_logits.",
        ),
        Mistake(
            _with(lambda x, logits: -(x - logits.sigmoid()).square().sum(-1)),
            "A squared error is the log-likelihood of a Gaussian; these pixels are binary, so use "
            "binary_cross_entropy_with_logits.",
        ),
        Mistake(
            _with(lambda x, logits: (x * logits.sigmoid().log()).sum(-1)),
            "Pixels that are 0 count too: the log-likelihood is x ln p + (1 − x) ln(1 − p), and "
            "binary_cross_entropy_with_logits is minus that.",
            also=(_with(lambda x, logits: (x * F.logsigmoid(logits)).sum(-1)),),
        ),
        Mistake(
            lambda x, logits, mean, log_var, beta=1.0: elbo(x, logits, mean, log_var, beta).mean(),
            "You averaged over the batch; keep one number an example.",
        ),
        Mistake(
            lambda x, logits, mean, log_var, beta=1.0: elbo(x, logits, mean, log_var, beta).sum(),
            "You added up the batch; keep one number an example.",
        ),
    ),
    alternatives=(
        lambda x, logits, mean, log_var, beta=1.0: (
            torch.distributions.Bernoulli(logits=logits).log_prob(x).sum(1)
            - 0.5 * beta * (mean**2 + log_var.exp() - log_var - 1).sum(1)
        ),
        _with(lambda x, logits: (x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)).sum(-1)),
        _with(lambda x, logits: (x * logits - F.softplus(logits)).sum(-1)),
    ),
)


# --- the importance-weighted bound ------------------------------------------------------------------------------------


def importance_weighted_bound(log_weights):
    return log_weights.logsumexp(0) - math.log(len(log_weights))


IMPORTANCE = Exercise(
    "vae/importance",
    importance_weighted_bound,
    lambda generator: (torch.randn(7, 4, generator=generator).mul(3).sub(200).requires_grad_(),),
    lesson=LESSON,
    title="the importance-weighted bound",
    minutes=8,
    difficulty=2,
    differentiable=True,
    hints=(
        "Average the weights, then take the log; but weights such as exp(−200) are zero in float32. Stay in logs.",
        "log (1/k) Σ exp(log wᵢ) = logsumexp over the k samples, minus log k.",
        "log_weights.logsumexp(0) - math.log(len(log_weights)): axis 0 holds the samples.",
    ),
    mistakes=(
        Mistake(
            lambda log_weights: log_weights.mean(0),
            "You averaged the logs, which is the ELBO again whatever k is: average the weights, then take the log.",
        ),
        Mistake(
            lambda log_weights: log_weights.logsumexp(0),
            "You added the weights but did not average them: subtract log k.",
        ),
        Mistake(
            lambda log_weights: log_weights.logsumexp(0) + math.log(len(log_weights)),
            "You added log k; subtract it: dividing by k is subtracting log k in logs.",
        ),
        Mistake(
            lambda log_weights: log_weights.logsumexp(0) - torch.log(len(log_weights)),
            "torch.log takes a tensor, and the number of samples is a plain number: use math.log(len(log_weights)).",
        ),
        Mistake(
            lambda log_weights: log_weights.logsumexp(0) - math.log(log_weights.shape[1]),
            "You divided by the number of images; divide by the number of samples k, which is the size of axis 0.",
        ),
        Mistake(
            lambda log_weights: log_weights.logsumexp(1) - math.log(log_weights.shape[1]),
            "You averaged over the examples; the samples are axis 0.",
            also=(
                lambda log_weights: log_weights.logsumexp(-1) - math.log(len(log_weights)),
                lambda log_weights: log_weights.logsumexp(-1),
            ),
        ),
        Mistake(
            lambda log_weights: log_weights.exp().mean(0).log(),
            "exp(−200) is zero in float32, and its log −∞: use logsumexp, which stays in logs.",
        ),
        Mistake(
            lambda log_weights: (log_weights - log_weights.max(0).values).exp().mean(0).log(),
            "You subtracted the largest log-weight but did not add it back: add it after the log.",
            also=(
                lambda log_weights: (log_weights - log_weights.max()).exp().mean(0).log(),
                lambda log_weights: (log_weights - log_weights.max(0).values).exp().sum(0).log(),
            ),
        ),
        Mistake(
            lambda log_weights: log_weights.log_softmax(0).sum(0),
            "log_softmax makes the weights sum to 1, so their average is lost: use logsumexp, then subtract log k.",
            also=(
                lambda log_weights: log_weights.log_softmax(0).mean(0),
                lambda log_weights: log_weights.log_softmax(0).logsumexp(0) - math.log(len(log_weights)),
            ),
        ),
        Mistake(
            lambda log_weights: (log_weights.softmax(0) * log_weights).sum(0),
            "This averages the logs with normalised weights; average the weights themselves, then take the log.",
        ),
        Mistake(
            lambda log_weights: log_weights.logsumexp(0) / len(log_weights),
            "You divided the log by k; divide the sum inside the log, that is, subtract log k.",
        ),
        Mistake(
            lambda log_weights: log_weights.max(0).values,
            "This is the best sample alone; the bound averages all k weights.",
        ),
        Mistake(
            lambda log_weights: (log_weights.logsumexp(0) - math.log(len(log_weights))).mean(),
            "You averaged over the batch; keep one number an example.",
        ),
    ),
    alternatives=(
        lambda log_weights: torch.logsumexp(log_weights - math.log(log_weights.shape[0]), dim=0),
        lambda log_weights: (log_weights - log_weights.max(0).values).exp().mean(0).log() + log_weights.max(0).values,
    ),
)
