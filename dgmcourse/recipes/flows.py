"""Normalizing flows on MNIST."""

import math

from torch import Tensor

from ..data import mnist
from ..evaluation.likelihood import Estimate, average_log_prob
from ..models import Glow
from .recipe import Published, Recipe

__all__ = ["RECIPES"]


def _flow_numbers(model: Glow, x: Tensor, y: Tensor | None) -> dict[str, Estimate]:
    """The bound of log P(x) of the 256 levels (mean of three draws of the noise), and the bits a dimension that it gives."""
    bound = average_log_prob(model, x, y, repeats=3)
    per_dimension = 1 / (model.space.dim * math.log(2))
    bits = Estimate(-bound.value * per_dimension, bound.standard_error * per_dimension, None, bound.count, "bits/dim")
    return {"log P(x)": bound, "bits per dimension, at most": bits}


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
