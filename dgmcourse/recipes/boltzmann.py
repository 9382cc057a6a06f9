"""Recipes for Boltzmann machines, and how they are judged."""

import functools

import torch
from torch import Tensor, nn

from ..data import Dataset, mnist
from ..evaluation.annealing import annealed_average_log_prob
from ..evaluation.likelihood import Estimate
from ..models import DBM, RBM
from .recipe import Published, Recipe

__all__ = ["RECIPES"]


def _annealed_numbers(model: RBM, x: Tensor, y: Tensor | None) -> dict[str, Estimate]:
    """log p(x) by annealing to the model, which rather overestimates it, and back, which rather underestimates it."""
    run = functools.partial(annealed_average_log_prob, model, x, chains=500, temperatures=10_000, progress=True)
    forward, back = run(reverse=False), run(reverse=True)
    return {"log p(x), AIS": forward, "log p(x), reverse AIS": back}


def _bounded_numbers(model: DBM, x: Tensor, y: Tensor | None) -> dict[str, Estimate]:
    """The mean-field bound of log p(x), its log Z by annealing to the model and back: a bound but for log Z's error."""
    run = functools.partial(annealed_average_log_prob, model, x, chains=200, temperatures=10_000, progress=True)
    forward, back = run(reverse=False), run(reverse=True)
    return {"bound of log p(x), AIS": forward, "bound of log p(x), reverse AIS": back}


def _centered(data: Dataset) -> DBM:
    """Counted from the data's mean, both layers can learn at once, without pretraining."""
    return DBM(data.space, hidden=(500, 1000), chains=100, mean_field=5).initialize(data.train)


def _gradient_descent(group: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """Plain steps, which persistent chains follow better than Adam's."""
    return torch.optim.SGD(parameters, lr=0.05, fused=True)


_SALAKHUTDINOV = "Salakhutdinov & Murray 2008, https://doi.org/10.1145/1390156.1390266, CD-25"
_DEEP = "Salakhutdinov & Hinton 2009, https://proceedings.mlr.press/v5/salakhutdinov09a.html, pretrained, lower bound"

RECIPES = (
    Recipe(
        "rbm-mnist",
        "RBM with 500 hidden units and 100 persistent chains, MNIST binarized once",
        data=lambda: mnist(binarize="fixed", valid=1000),
        model=lambda data: RBM(data.space, hidden=500, chains=100).start_from(data.train),
        training={
            "steps": 150_000,
            "batch_size": 100,
            "optimizer": _gradient_descent,
            "schedule": "linear",
            "ema": 0.999,
            "precision": "bf16",
        },
        judge=_annealed_numbers,
        published=(Published("RBM with 500 hidden units", "log p(x), AIS", -86.34, _SALAKHUTDINOV),),
        minutes=15,
    ),
    Recipe(
        "dbm-mnist",
        "centered DBM with 500 and 1000 hidden units and 100 persistent chains, MNIST binarized once",
        data=lambda: mnist(binarize="fixed", valid=1000),
        model=_centered,
        training={
            "steps": 50_000,
            "batch_size": 100,
            "optimizer": _gradient_descent,
            "schedule": "linear",
            "ema": 0.999,
            "precision": "bf16",
        },
        judge=_bounded_numbers,
        published=(Published("DBM with 500 and 1000 hidden units", "bound of log p(x), AIS", -84.62, _DEEP),),
        minutes=25,
    ),
)
