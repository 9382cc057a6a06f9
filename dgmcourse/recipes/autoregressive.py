"""Autoregressive models on MNIST."""

from torch import Tensor

from ..data import mnist
from ..evaluation.likelihood import Estimate, average_log_prob
from ..models import MADE, PixelCNN
from .recipe import Published, Recipe

__all__ = ["RECIPES"]


def _numbers(model: MADE | PixelCNN, x: Tensor, y: Tensor | None) -> dict[str, Estimate]:
    """The exact log-likelihood."""
    return {"log p(x)": average_log_prob(model, x, batch_size=500)}


_GERMAIN = "Germain et al. 2015, https://arxiv.org/abs/1502.03509, binarized once"
_OORD = "van den Oord, Kalchbrenner & Kavukcuoglu 2016, https://arxiv.org/abs/1601.06759, binarized once"
_HOTAJ = "Hotaj 2020, https://github.com/EugenHotaj/pytorch-generative, binarized anew each epoch"

RECIPES = (
    Recipe(
        "made-mnist",
        "MADE 784-1000-784 with direct connections, in reading order, dynamically binarized MNIST",
        data=lambda: mnist(binarize="dynamic", valid=1000),
        model=lambda data: MADE(data.space, hidden=(1000,), direct=True, dropout=0.1),
        training={
            "steps": 20_000,
            "batch_size": 256,
            "lr": 3e-3,
            "warmup": 1_000,
            "schedule": "cosine",
            "ema": 0.999,
            "keep_best": True,
            "precision": "bf16",
        },
        judge=_numbers,
        published=(
            Published("MADE, two hidden layers, 32 orderings", "log p(x)", -86.64, _GERMAIN),
            Published("MADE", "log p(x)", -84.87, _HOTAJ),
        ),
        minutes=10,
    ),
    Recipe(
        "pixelcnn-mnist",
        "gated PixelCNN, 32 channels, 4 layers of 5×5 after one of 7×7, dynamically binarized MNIST",
        data=lambda: mnist(binarize="dynamic", valid=1000),
        model=lambda data: PixelCNN(data.space, channels=32, layers=4, kernel=5),
        training={
            "steps": 7_000,
            "batch_size": 32,
            "lr": 3e-3,
            "warmup": 300,
            "schedule": "cosine",
            "ema": 0.999,
            "clip": 1.0,
            "precision": "bf16",
        },
        judge=_numbers,
        published=(
            Published("PixelCNN", "log p(x)", -81.30, _OORD),
            Published("PixelCNN", "log p(x)", -81.45, _HOTAJ),
            Published("gated PixelCNN", "log p(x)", -81.50, _HOTAJ),
        ),
        minutes=25,
    ),
)
