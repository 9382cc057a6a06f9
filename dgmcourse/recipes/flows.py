"""Normalizing flows on MNIST."""

import math

import torch
from torch import Tensor

from ..core import Kind
from ..data import mnist
from ..evaluation.likelihood import Estimate
from ..models import Glow
from .recipe import Published, Recipe

__all__ = ["RECIPES"]


@torch.no_grad()
def _flow_numbers(model: Glow, x: Tensor, y: Tensor | None) -> dict[str, Estimate]:
    """The bound of log P(x) of the 256 levels (mean of three draws of the noise), and the bits a dimension that it gives.

    Affine layers extrapolate without limit, so that a single strange image can cost more than all others together.
    Beside the mean stand the median, with half the width of its 68 % interval by order statistics, and the share of
    images that cost more than the 8 bits of storing them as they are.
    """
    draws = [torch.cat([model.log_prob(part).value.cpu() for part in x.split(500)]).double() for _ in range(3)]
    values = torch.stack(draws).mean(0)  # (3, n) -> (n,)
    bits = -values / (model.space.dim * math.log(2))
    ranked, margin = bits.sort().values, math.sqrt(len(bits)) / 2
    low, middle, high = (ranked[min(max(round(len(bits) / 2 + by), 0), len(bits) - 1)] for by in (-margin, 0, margin))
    median = Estimate(float(middle), float(high - low) / 2, None, len(bits), "bits/dim")
    return {
        "log P(x)": Estimate.mean(values, "nats", Kind.LOWER_BOUND),
        "bits per dimension, at most": Estimate.mean(bits, "bits/dim"),
        "bits per dimension, median image": median,
        "images that cost more than 8 bits per dimension": Estimate.mean(100 * (bits > 8).double(), "%"),
    }


_GRATHWOHL = "Grathwohl et al. 2019, https://arxiv.org/abs/1810.01367, table 2"

RECIPES = (
    Recipe(
        "glow-mnist",
        "Glow of two scales with eight steps each, MNIST in 256 levels with uniform dequantization",
        data=lambda: mnist(valid=1000),
        model=lambda data: Glow(data.space, scales=2, depth=8, channels=48),
        training={
            "steps": 8_000,
            "batch_size": 128,
            "lr": 2e-3,
            "warmup": 200,
            "schedule": "cosine",
            "ema": 0.999,
            "clip": 50.0,
            "precision": "bf16",
        },
        judge=_flow_numbers,
        published=(
            Published("multi-scale Real NVP", "bits per dimension", 1.06, _GRATHWOHL),
            Published("multi-scale Glow", "bits per dimension", 1.05, _GRATHWOHL),
            Published("multi-scale FFJORD", "bits per dimension", 0.99, _GRATHWOHL),
        ),
        minutes=30,
    ),
)
