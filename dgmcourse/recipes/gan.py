"""Recipes for generative adversarial networks, and how they are judged."""

import functools
from dataclasses import replace

import torch
from torch import Tensor

from ..data import Dataset, mnist
from ..evaluation.classifier import DigitClassifier, train_classifier
from ..evaluation.likelihood import Estimate
from ..models import GAN
from ..models.gan import two_time_scales
from .recipe import Recipe

__all__ = ["RECIPES", "mnist_classifier"]


def _data() -> Dataset:
    return mnist(valid=1000)


@functools.cache
def mnist_classifier() -> DigitClassifier:
    """Trained on real digits alone, with its own seed."""
    return train_classifier(_data(), seed=1, progress=True)


def _labeled_samples(model: GAN, n: int) -> tuple[Tensor, Tensor]:
    """n samples of each label in turn, and the labels, on the CPU."""
    y = torch.arange(model.classes).repeat(n)
    parts = [model.sample(len(part), part.to(model.device)).cpu() for part in y.split(1000)]
    return torch.cat(parts), y


def _shares(model: GAN, x: Tensor, y: Tensor) -> dict[str, Estimate]:
    """How many samples are what they were asked to be, and how many real digits their like suffices to recognize.

    GAN-test: a classifier trained on real digits recognizes this share of 10,000 samples as the label asked for.
    GAN-train: a classifier trained on samples alone recognizes this share of the real test images, so samples that are
    all alike do badly here.
    Shmelkov, Schmid & Alahari, "How good is my GAN?", 2018, https://arxiv.org/abs/1807.09499
    """
    samples, asked = _labeled_samples(model, 1000)
    many, labels = _labeled_samples(model, 5900)
    pupil = train_classifier(replace(_data(), train=many, train_labels=labels), seed=1, progress=True)
    answers = {
        "GAN-test": mnist_classifier().predict(samples) == asked,
        "GAN-train": pupil.predict(x) == y,
        "the classifier on real test images": mnist_classifier().predict(x) == y,
    }
    return {name: Estimate.mean(100 * right.double(), "%") for name, right in answers.items()}


RECIPES = (
    Recipe(
        "gan-mnist",
        "conditional convolutional GAN, non-saturating with a zero-centered gradient penalty, grey MNIST",
        data=_data,
        model=lambda data: GAN(
            data.space,
            latents=64,
            penalty="zero-centered",
            penalty_weight=0.1,
            hidden=(128,),
            channels=(16, 32, 64),
            classes=data.classes,
        ),
        training={
            "steps": 8_000,
            "batch_size": 64,
            "optimizer": two_time_scales(1e-3, betas=(0.0, 0.99)),
            "schedule": "cosine",
            "ema": 0.999,
            "precision": "bf16",
        },
        judge=_shares,
        minutes=20,
    ),
)
