"""Exercises of lesson 04 on the encoder's Gaussian: a draw from it, and its KL to the prior."""

import math

import numpy as np
import torch
from torch import Tensor

from . import Exercise, Mistake

LESSON = "04_vaes"


def draw_gaussian(generator: torch.Generator, batch: int = 5, latents: int = 3) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of a batch of diagonal Gaussians, as an encoder might give them.

    The first example's log-variances are all positive, most others negative: so a root or a log of them shows.
    """
    mean = torch.randn(batch, latents, generator=generator)
    log_var = torch.randn(batch, latents, generator=generator) - 1
    log_var[0] = log_var[0].abs()
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
            also=(lambda mean, log_var, noise: mean + 0.5 * log_var * noise,),
        ),
        Mistake(
            lambda mean, log_var, noise: mean + log_var.sqrt() * noise,
            "You took the root of log_var, which is NaN where log_var is negative: log_var is a log, not a variance. "
            "σ = exp(½ · log_var).",
        ),
        Mistake(
            lambda mean, log_var, noise: mean + (-0.5 * log_var).exp() * noise,
            "The sign in the exponent is turned round, which gives 1/σ: σ = exp(+½ · log_var).",
        ),
        Mistake(
            lambda mean, log_var, noise: mean + math.exp(0.5 * log_var) * noise,
            "The functions of `math` take a single number, not a tensor: use the tensor's own, such as log_var.exp().",
        ),
        Mistake(
            lambda mean, log_var, noise: mean + np.exp(0.5 * log_var) * noise,
            "NumPy cannot follow gradients: use PyTorch's own functions, such as log_var.exp().",
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
        "0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1): one number a latent, summed over the last axis, "
        "leaves one number an example.",
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
            lambda mean, log_var: 0.5 * (mean.square() + log_var.exp() ** 2 - 1 - log_var).sum(-1),
            "You squared exp(log_var), which is σ² already: log_var.exp(), without the square.",
        ),
        Mistake(
            lambda mean, log_var: 0.5 * (mean.square() + (0.5 * log_var).exp() - 1 - log_var).sum(-1),
            "exp(½ · log_var) is σ; the formula has σ², which is log_var.exp().",
        ),
        Mistake(
            lambda mean, log_var: 0.5 * (mean + log_var.exp() - 1 - log_var).sum(-1),
            "The mean is not squared: the formula has μ², mean.square().",
        ),
        Mistake(
            lambda mean, log_var: 0.5 * (mean.square() + log_var.exp() - 1 + log_var).sum(-1),
            "You added ln σ²; subtract it: … − 1 − log_var.",
        ),
        Mistake(
            lambda mean, log_var: 0.5 * (mean.square() + log_var.exp() - 1 - 2 * log_var).sum(-1),
            "The formula has ln σ² once, and that is log_var itself: leave the factor 2 out.",
        ),
        Mistake(
            lambda mean, log_var: 0.5 * (mean.square() + log_var.exp() - 1 - log_var.log()).sum(-1),
            "You took the log of log_var, which is NaN where log_var is negative: log_var is already the log, ln σ².",
        ),
        Mistake(
            lambda mean, log_var: 0.5 * (mean.square() + log_var - 1 - log_var.log()).sum(-1),
            "You used log_var as if it were the variance σ²: it is ln σ², so σ² = exp(log_var).",
        ),
        Mistake(
            lambda mean, log_var: 0.5 * (mean.square() + log_var.square() - 1 - 2 * log_var.abs().log()).sum(-1),
            "You used log_var as if it were σ: the variance is σ² = exp(log_var), and its log is log_var itself.",
            also=(lambda mean, log_var: 0.5 * (mean.square() + log_var.square() - 1 - 2 * log_var.log()).sum(-1),),
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
        Mistake(
            lambda mean, log_var: 0.5 * (mean.square() + math.exp(log_var) - 1 - log_var).sum(-1),
            "The functions of `math` take a single number, not a tensor: use the tensor's own, such as log_var.exp().",
        ),
        Mistake(
            lambda mean, log_var: 0.5 * (mean.square() + np.exp(log_var) - 1 - log_var).sum(-1),
            "NumPy cannot follow gradients: use PyTorch's own functions, such as log_var.exp().",
        ),
    ),
    alternatives=(
        lambda mean, log_var: -0.5 * torch.sum(1 + log_var - mean**2 - torch.exp(log_var), dim=1),
        lambda mean, log_var: torch.distributions.kl_divergence(
            torch.distributions.Normal(mean, (log_var / 2).exp()), torch.distributions.Normal(0.0, 1.0)
        ).sum(-1),
    ),
)
