"""Exercises of lesson 04, first half: the bound. The second half is in `vae_practice.py`."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from . import Exercise, Mistake, register

LESSON = "04_vaes"


def draw_gaussian(generator: torch.Generator, batch: int = 5, latents: int = 3) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of a batch of diagonal Gaussians, as an encoder might give them."""
    mean = torch.randn(batch, latents, generator=generator)
    log_var = torch.randn(batch, latents, generator=generator) - 1
    return mean.requires_grad_(), log_var.requires_grad_()


def draw_pixels(generator: torch.Generator, batch: int = 5, pixels: int = 16) -> tuple[Tensor, Tensor]:
    """Binary pixels and logits of a decoder."""
    x = (torch.rand(batch, pixels, generator=generator) < 0.4).float()
    return x, torch.randn(batch, pixels, generator=generator).mul(2).requires_grad_()


# --- reparameterize ---------------------------------------------------------------------------------------------------


def reparameterize(mean, log_var, noise):
    return mean + (0.5 * log_var).exp() * noise


def _draw_reparameterize(generator):
    mean, log_var = draw_gaussian(generator)
    return mean, log_var, torch.randn(mean.shape, generator=generator)


REPARAMETERIZE = Exercise(
    "vae/reparameterize",
    reparameterize,
    _draw_reparameterize,
    lesson=LESSON,
    title="reparameterise",
    minutes=5,
    difficulty=1,
    differentiable=True,
    hints=(
        "A draw of N(μ, σ²) is a draw of N(0, 1), stretched by σ and moved by μ.",
        "You are given ln σ², the log of the variance. σ is the square root of exp(log_var): half the log, then exp.",
        "z = mean + (0.5 * log_var).exp() * noise, entry by entry. The noise is given: draw none yourself.",
    ),
    mistakes=(
        Mistake(
            lambda mean, log_var, noise: mean + log_var.exp() * noise,
            "You stretched the noise by the variance σ² = exp(log_var); stretch it by the standard deviation "
            "σ = exp(½ · log_var).",
        ),
        Mistake(
            lambda mean, log_var, noise: mean + log_var * noise,
            "You stretched the noise by log_var itself, which may be negative; turn it into a standard deviation "
            "first: σ = exp(½ · log_var).",
        ),
        Mistake(
            lambda mean, log_var, noise: mean + (0.5 * log_var).exp() * torch.randn_like(mean),
            "You drew noise of your own; use the `noise` that is given, so that the same noise gives the same z.",
        ),
        Mistake(
            lambda mean, log_var, noise: mean + log_var.exp() ** 2 * noise,
            "You squared the variance; the noise is stretched by its square root, σ = exp(½ · log_var).",
        ),
        Mistake(
            lambda mean, log_var, noise: mean + (0.5 * log_var).exp() + noise,
            "You added σ to the noise; the noise is multiplied by σ.",
        ),
        Mistake(
            lambda mean, log_var, noise: (mean + (0.5 * log_var).exp() * noise).detach(),
            "Your z is cut off from the gradient (detach, no_grad or .data): then the encoder cannot learn from the "
            "decoder's errors, and that is what this trick is for.",
        ),
    ),
    alternatives=(
        lambda mean, log_var, noise: torch.sqrt(torch.exp(log_var)) * noise + mean,
        lambda mean, log_var, noise: torch.addcmul(mean, torch.exp(log_var / 2), noise),
    ),
)


# --- KL to the standard normal ----------------------------------------------------------------------------------------


def kl_to_standard_normal(mean, log_var):
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)


KL = Exercise(
    "vae/kl",
    kl_to_standard_normal,
    draw_gaussian,
    lesson=LESSON,
    title="KL to N(0, I)",
    minutes=8,
    difficulty=1,
    differentiable=True,
    hints=(
        "The formula stands above the cell, for one latent. Latents are independent, so their KLs add up.",
        "With log_var = ln σ²: μ² is mean.square(), σ² is log_var.exp(), and ln σ² is log_var itself.",
        "0.5 * (mean.square() + log_var.exp() - 1 - log_var) has one number a latent: sum over the last axis, "
        "so that one number an example is left.",
    ),
    mistakes=(
        Mistake(
            lambda mean, log_var: 0.5 * (mean.square() + log_var.exp() - 1 - log_var).mean(-1),
            "You averaged over the latents; their KLs add up, so use .sum(-1).",
        ),
        Mistake(
            lambda mean, log_var: 0.5 * (mean.square() + log_var.exp() - 1 - log_var),
            "This is one KL a latent; add them up over the last axis, so that one number an example is left: .sum(-1).",
        ),
        Mistake(
            lambda mean, log_var: 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(),
            "You added up the whole batch; keep one number an example: .sum(-1).",
        ),
        Mistake(
            lambda mean, log_var: 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1).mean(),
            "You averaged over the batch; keep one number an example: the mean is taken later.",
        ),
        Mistake(
            lambda mean, log_var: 0.5 * (mean.square() + log_var.square() - 1 - 2 * log_var.abs().log()).sum(-1),
            "You used log_var as if it were σ: the variance is σ² = exp(log_var), and its log is log_var itself.",
        ),
        Mistake(
            lambda mean, log_var: 0.5 * (mean.square() + (2 * log_var).exp() - 1 - 2 * log_var).sum(-1),
            "You used log_var as if it were ln σ: it is ln σ², so σ² = exp(log_var), without a factor 2.",
        ),
        Mistake(
            lambda mean, log_var: -0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1),
            "The sign is turned round: a KL is never negative.",
        ),
        Mistake(
            lambda mean, log_var: (mean.square() + log_var.exp() - 1 - log_var).sum(-1),
            "The factor ½ is missing.",
        ),
        Mistake(
            lambda mean, log_var: 0.5 * (mean.square() / log_var.exp() + (-log_var).exp() - 1 + log_var).sum(-1),
            "This is KL(N(0, I) ‖ q), the other way round; the bound needs KL(q ‖ N(0, I)).",
        ),
        Mistake(
            lambda mean, log_var: 0.5 * (mean.square() + log_var.exp() - log_var).sum(-1),
            "The −1 is missing: with μ = 0 and σ = 1 the KL must be 0.",
        ),
    ),
    alternatives=(
        lambda mean, log_var: -0.5 * torch.sum(1 + log_var - mean**2 - torch.exp(log_var), dim=1),
        lambda mean, log_var: torch.distributions.kl_divergence(
            torch.distributions.Normal(mean, (log_var / 2).exp()), torch.distributions.Normal(0.0, 1.0)
        ).sum(-1),
    ),
)


# --- ELBO -------------------------------------------------------------------------------------------------------------


def elbo(x, logits, mean, log_var, beta=1.0):
    log_likelihood = -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return log_likelihood - beta * kl_to_standard_normal(mean, log_var)


def _draw_elbo(generator):
    beta = float(0.5 + 2 * torch.rand((), generator=generator))
    return *draw_pixels(generator), *draw_gaussian(generator), beta


def _reconstruction(x, logits):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none")


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
            lambda x, logits, mean, log_var, beta=1.0: (
                -_reconstruction(x, logits).mean(-1) - beta * kl_to_standard_normal(mean, log_var)
            ),
            "You averaged over the pixels; log p(x|z) of a whole image is the sum over its pixels: .sum(-1). "
            "Averaged, the KL weighs many times too much, and the model stops using z.",
        ),
        Mistake(
            lambda x, logits, mean, log_var, beta=1.0: (
                -_reconstruction(x, logits).mean() - beta * kl_to_standard_normal(mean, log_var)
            ),
            "binary_cross_entropy_with_logits averages over everything unless you pass reduction='none'; then sum over "
            "the pixels.",
        ),
        Mistake(
            lambda x, logits, mean, log_var, beta=1.0: (
                -_reconstruction(x, logits).sum(-1) + beta * kl_to_standard_normal(mean, log_var)
            ),
            "The KL is subtracted, not added: a code far from the prior costs.",
        ),
        Mistake(
            lambda x, logits, mean, log_var, beta=1.0: (
                -_reconstruction(x, logits).sum(-1) - kl_to_standard_normal(mean, log_var)
            ),
            "You left out β: multiply the KL by `beta`.",
        ),
        Mistake(
            lambda x, logits, mean, log_var, beta=1.0: (
                -F.binary_cross_entropy(logits.sigmoid().sigmoid(), x, reduction="none").sum(-1)
                - beta * kl_to_standard_normal(mean, log_var)
            ),
            "The sigmoid was applied twice: binary_cross_entropy_with_logits applies it itself, so give it the logits.",
        ),
        Mistake(
            lambda x, logits, mean, log_var, beta=1.0: (
                -(x - logits.sigmoid()).square().sum(-1) - beta * kl_to_standard_normal(mean, log_var)
            ),
            "A squared error is the log-likelihood of a Gaussian; these pixels are binary, so use "
            "binary_cross_entropy_with_logits.",
        ),
        Mistake(
            lambda x, logits, mean, log_var, beta=1.0: (
                (x * logits.sigmoid().log()).sum(-1) - beta * kl_to_standard_normal(mean, log_var)
            ),
            "Pixels that are 0 count too: the log-likelihood is x ln p + (1 − x) ln(1 − p).",
        ),
        Mistake(
            lambda x, logits, mean, log_var, beta=1.0: elbo(x, logits, mean, log_var, beta).mean(),
            "You averaged over the batch; keep one number an example.",
        ),
    ),
    alternatives=(
        lambda x, logits, mean, log_var, beta=1.0: (
            torch.distributions.Bernoulli(logits=logits).log_prob(x).sum(1)
            - 0.5 * beta * (mean**2 + log_var.exp() - log_var - 1).sum(1)
        ),
        lambda x, logits, mean, log_var, beta=1.0: (
            (x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)).sum(-1)
            - beta * kl_to_standard_normal(mean, log_var)
        ),
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
            lambda log_weights: log_weights.logsumexp(1) - math.log(log_weights.shape[1]),
            "You averaged over the examples; the samples are axis 0.",
        ),
        Mistake(
            lambda log_weights: log_weights.exp().mean(0).log(),
            "exp(−200) is zero in float32, and its log −∞: use logsumexp, which stays in logs.",
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


from . import vae_practice  # noqa: E402, F401 (the second half of the lesson registers itself)

register(REPARAMETERIZE, KL, ELBO, IMPORTANCE)
