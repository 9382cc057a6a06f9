"""Recipes for diffusion models, and how they are judged."""

import functools

import torch
from torch import Tensor

from ..data import Dataset, mnist
from ..evaluation.likelihood import Estimate, average_log_prob
from ..evaluation.nearest import nearest_distance
from ..models import Diffusion
from .gan import mnist_classifier
from .recipe import Recipe

__all__ = ["RECIPES"]

FEW_STEPS = {10: 1000, 20: 1000, 50: 1000, 1000: 100}  # steps of the sampler: how many samples are judged


def _data() -> Dataset:
    return mnist(valid=1000)


def _right(model: Diffusion, n: int, **how) -> tuple[Tensor, Tensor]:
    """n samples of all labels in turn, on the CPU, and which of them the classifier takes for what they were asked to be."""
    asked = torch.arange(n) % model.classes
    parts = [model.trajectory(len(part), part.to(model.device), **how) for part in asked.split(250)]
    ends = [functools.reduce(lambda _, state: state, walk) for walk in parts]  # the last state of each
    samples = torch.cat(ends).cpu()
    return samples, mnist_classifier().predict(samples) == asked


def _numbers(model: Diffusion, x: Tensor, y: Tensor) -> dict[str, Estimate]:
    """Which share of samples is recognized as the label asked for by a classifier trained on real digits (GAN-test),
    with guidance and without, in few and many steps of DDIM; how far samples and test images are from the training
    images; the bound on log p(x|y).

    Shmelkov, Schmid & Alahari, "How good is my GAN?", 2018, https://arxiv.org/abs/1807.09499 (GAN-test)
    """
    train, numbers = _data().train, {}

    def percent(right: Tensor) -> Estimate:
        return Estimate.mean(100 * right.double(), "%")

    def distance(images: Tensor) -> Estimate:
        return Estimate.mean(nearest_distance(images, train), "")

    for guidance in (1.0, 0.0):
        samples, right = _right(model, 1000, guidance=guidance)
        numbers[f"label accuracy, guidance {guidance:.0f}"] = percent(right)
        numbers[f"distance to training images, guidance {guidance:.0f}"] = distance(samples)
    numbers["distance to training images, test images"] = distance(x[:1000])
    numbers["the classifier on real test images"] = percent(mnist_classifier().predict(x) == y)
    for steps, n in FEW_STEPS.items():
        samples, right = _right(model, n, sampler="ddim", steps=steps, guidance=0.0)
        numbers[f"label accuracy, DDIM, {steps} steps"] = percent(right)
        numbers[f"distance to training images, DDIM, {steps} steps"] = distance(samples)
    return numbers | {"bound of log p(x|y)": average_log_prob(model, x[:1000], y[:1000], batch_size=250)}


RECIPES = (
    Recipe(
        "diffusion-mnist",
        "conditional diffusion, v-prediction on the cosine schedule, U-Net on patches of 2×2 pixels, grey MNIST",
        data=_data,
        model=lambda data: Diffusion(
            data.space,
            "cosine",
            "v",
            channels=(32, 56),
            patch=2,
            classes=data.classes,
            sampler="dpm-solver++",
            steps=20,
        ),
        training={
            "steps": 14_000,
            "batch_size": 64,
            "lr": 2e-3,
            "schedule": "cosine",
            "warmup": 300,
            "clip": 1.0,
            "ema": 0.999,
            "precision": "bf16",
        },
        judge=_numbers,
        minutes=35,
    ),
)
