"""Recipes for the classifiers in whose features samples are compared, and which say what a sample shows."""

from dataclasses import replace

import torch
from torch import Tensor

from ..data import Dataset, digits, mnist
from ..data.handwriting import draw_binary
from ..evaluation.classifier import DigitClassifier, train_classifier
from ..evaluation.likelihood import Estimate
from .recipe import Recipe

__all__ = ["RECIPES"]


def _half_binary(binarized) -> object:
    """Every second image of a training batch, by chance, in black and white: models of both kinds are judged."""

    def transform(x: Tensor) -> Tensor:
        chosen = torch.rand(len(x), device=x.device) < 0.5
        return torch.where(chosen.view(-1, 1, 1, 1), binarized(x), x)

    return transform


def _threshold(x: Tensor) -> Tensor:
    """As `digits(levels=2)` does."""
    return (16 * x > 7.5).to(x.dtype)


def _digits() -> Dataset:
    return replace(digits(levels=17), transform=_half_binary(_threshold))


def _mnist() -> Dataset:
    return replace(mnist(valid=1000), transform=_half_binary(draw_binary))


def _accuracy(model: DigitClassifier, x: Tensor, y: Tensor) -> dict[str, Estimate]:
    """Which share of the test images is recognized, in grey and in black and white."""
    binary = digits(levels=2) if x.shape[-1] == 8 else mnist(binarize="dynamic", valid=1000)
    return {
        f"accuracy on {name} test images": Estimate.mean(100 * (model.predict(images) == y).double(), "%")
        for name, images in (("grey", x), ("binarized", binary.test))
    }


RECIPES = (
    Recipe(
        "classifier-digits",
        "convolutional classifier with 64 features, 8×8 digits, grey and binary, judge of the course's samples",
        data=_digits,
        model=None,
        trainer=train_classifier,
        training={"steps": 3_000, "features": 64, "channels": (32, 64), "width": 128, "shift": 0, "progress": True},
        judge=_accuracy,
        minutes=1,
        seed=2,
    ),
    Recipe(
        "classifier-mnist",
        "convolutional classifier with 192 features, MNIST, grey and binarized anew, judge of the course's samples",
        data=_mnist,
        model=None,
        trainer=train_classifier,
        training={"steps": 24_000, "features": 192, "channels": (16, 32, 64), "width": 160, "progress": True},
        judge=_accuracy,
        minutes=6,
        seed=2,
    ),
)
