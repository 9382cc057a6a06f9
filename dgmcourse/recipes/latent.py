"""Mixtures and autoencoders on MNIST."""

import torch
from torch import Tensor

from ..core import GenerativeModel
from ..data import Dataset, mnist
from ..evaluation.likelihood import Estimate, average_log_prob
from ..models import Autoencoder, BernoulliMixture, IndependentPixels
from .recipe import Published, Recipe

__all__ = ["RECIPES"]

_GERMAIN = "Germain, Gregor, Murray & Larochelle 2015, https://arxiv.org/abs/1502.03509 (fixed binarization)"


def _mixture(data: Dataset) -> BernoulliMixture:
    """Each component starts halfway between the average image and one example."""
    return BernoulliMixture(data.space, components=500).initialize(data.transform(data.train))


def _mixture_numbers(model: GenerativeModel, x: Tensor, y: Tensor | None) -> dict[str, Estimate]:
    return {"log p(x)": average_log_prob(model, x)}


def _measure_codes(model: Autoencoder, data: Dataset) -> None:
    model.measure_codes(data.valid)


@torch.no_grad()
def _reconstruction(model: Autoencoder, x: Tensor, y: Tensor | None) -> dict[str, Estimate]:
    """Cross-entropy of the pixels, given their own code, and given nothing at all. No likelihood: the code is not paid for."""
    parts = [model.reconstruction_error(part.to(model.device)) for part in x.split(1000)]
    mean_image = IndependentPixels(model.space).estimate(x.cpu())
    return {
        "cross-entropy of the reconstruction": Estimate.mean(torch.cat(parts), "nats"),
        "cross-entropy of the mean image": Estimate.mean(-mean_image.log_prob(x.cpu()).value, "nats"),
    }


RECIPES = (
    Recipe(
        "mixture-mnist",
        "mixture of 500 products of Bernoullis, dynamically binarized MNIST",
        data=lambda: mnist(binarize="dynamic", valid=1000),
        model=_mixture,
        training={"steps": 12_000, "batch_size": 512, "lr": 2e-2, "schedule": "cosine", "ema": 0.999},
        judge=_mixture_numbers,
        published=(
            Published("mixture of 10 products of Bernoullis", "log p(x)", -168.95, _GERMAIN),
            Published("mixture of 500 products of Bernoullis", "log p(x)", -137.64, _GERMAIN),
        ),
        minutes=10,
    ),
    Recipe(
        "autoencoder-mnist",
        "convolutional autoencoder with a two-dimensional bottleneck, dynamically binarized MNIST",
        data=lambda: mnist(binarize="dynamic", valid=1000),
        model=lambda data: Autoencoder(data.space, latents=2, hidden=(128,), channels=(8, 16, 32)),
        training={"steps": 15_000, "batch_size": 128, "schedule": "cosine", "ema": 0.999, "precision": "bf16"},
        judge=_reconstruction,
        finish=_measure_codes,
        minutes=20,
    ),
)
