"""Variational autoencoders on MNIST."""

from torch import Tensor

from ..data import mnist
from ..evaluation.likelihood import Estimate, average_log_prob, importance_weighted_log_prob, integrated_log_prob
from ..models import VAE
from .recipe import Published, Recipe

__all__ = ["RECIPES"]


def _vae_numbers(model: VAE, x: Tensor, y: Tensor | None) -> dict[str, Estimate]:
    """The evidence lower bound (mean of ten draws) and L_5000; where z is a plane, the integral instead."""
    numbers = {"ELBO": average_log_prob(model, x, repeats=10)}
    if model.latents <= 2:
        numbers["log p(x), integrated"] = Estimate.of(integrated_log_prob(model, x, extent=6, nodes=800))
    else:
        numbers["L_5000"] = importance_weighted_log_prob(model, x, samples=5000, progress=True)
    return numbers


_BURDA = "Burda, Grosse & Salakhutdinov 2016, https://arxiv.org/abs/1509.00519, table 1"

RECIPES = (
    Recipe(
        "vae-mnist",
        "VAE 784-512-512-40, one stochastic layer, dynamically binarized MNIST",
        data=lambda: mnist(binarize="dynamic", valid=1000),
        model=lambda data: VAE(data.space, latents=40, hidden=(512, 512), warmup=5_000),
        training={
            "steps": 90_000,
            "batch_size": 256,
            "lr": 1.5e-3,
            "warmup": 1_000,
            "schedule": "cosine",
            "ema": 0.999,
            "precision": "bf16",
        },
        judge=_vae_numbers,
        published=(
            Published("VAE 784-200-200-50", "L_5000", -86.76, _BURDA),
            Published("the same, trained as IWAE with k = 50", "L_5000", -84.78, _BURDA),
        ),
        minutes=40,
    ),
    Recipe(
        "vae-mnist-2d",
        "convolutional VAE with a two-dimensional latent space, dynamically binarized MNIST",
        data=lambda: mnist(binarize="dynamic", valid=1000),
        model=lambda data: VAE(data.space, latents=2, hidden=(256,), channels=(8, 32, 64)),
        training={"steps": 15_000, "batch_size": 128, "schedule": "cosine", "ema": 0.999, "precision": "bf16"},
        judge=_vae_numbers,
        minutes=25,
    ),
)
