"""The exercise of lesson 06 on a log-scale with a bound."""

import math

import torch

from . import Exercise, Mistake
from .flows_volume import LESSON


def bounded(raw, bound):
    return bound * torch.tanh(raw / bound)


def _draw_raw(generator):
    raw = 2 * torch.randn(9, generator=generator)
    raw[0], raw[1] = 300.0, -300.0
    return raw, 1.5


BOUNDED = Exercise(
    "flows/bounded",
    bounded,
    _draw_raw,
    lesson=LESSON,
    title="a scale that cannot run away",
    minutes=4,
    difficulty=1,
    differentiable=True,
    hints=(
        "tanh rises from −1 to 1 with slope 1 at zero. Scale its output, so that it rises from −bound to bound.",
        "bound · tanh(raw) has slope `bound` at zero. Undo that inside the tanh.",
        "bound * torch.tanh(raw / bound)",
    ),
    mistakes=(
        Mistake(
            lambda raw, bound: bound * torch.tanh(raw),
            "The ends are right, but the slope at zero is `bound`, not 1: divide inside, tanh(raw / bound).",
        ),
        Mistake(
            lambda raw, bound: torch.tanh(raw / bound),
            "This ends at ±1: multiply by the bound.",
        ),
        Mistake(
            lambda raw, bound: torch.tanh(raw),
            "This ends at ±1, whatever the bound: scale outside by `bound`, and inside by 1 / bound.",
        ),
        Mistake(
            lambda raw, bound: raw.clamp(-bound, bound),
            "This stays within the bound, but what lies beyond gets no gradient, and never comes back. tanh bends instead.",
            also=(lambda raw, bound: bound * (raw / bound).clamp(-1, 1),),
        ),
        Mistake(
            lambda raw, bound: bound * torch.tanh(raw * bound),
            "Inside the tanh, divide by the bound: with a product the slope at zero is bound².",
        ),
        Mistake(
            lambda raw, bound: torch.tanh(raw * bound) / bound,
            "The two scales are exchanged: this ends at ±1 / bound. Divide inside the tanh, multiply outside.",
        ),
        Mistake(
            lambda raw, bound: bound * torch.atan(raw / bound),
            "An arctangent ends at ±π/2, so this runs past the bound. tanh ends at ±1.",
        ),
        Mistake(
            lambda raw, bound: bound * math.tanh(raw / bound),
            "math.tanh takes a single number; raw is a tensor of any shape: torch.tanh.",
        ),
        Mistake(
            lambda raw, bound: bound * torch.sigmoid(raw / bound),
            "A sigmoid runs from 0 to 1: such a layer can only stretch, never squeeze. tanh runs from −1 to 1.",
            also=(lambda raw, bound: bound * torch.sigmoid(raw),),
        ),
        Mistake(
            lambda raw, bound: bounded(raw, bound).exp(),
            "This is the scale; the bounded *log*-scale is asked for, and the layer takes the exp.",
            also=(lambda raw, bound: torch.exp(raw).clamp(max=bound),),
        ),
        Mistake(
            lambda raw, bound: raw / bound,
            "A smaller log-scale is still unbounded: put a tanh around it, and multiply by the bound again.",
        ),
        Mistake(
            lambda raw, bound: raw / (1 + raw.abs() / bound),
            "This has the right slope and the right ends, and would do as well (the package uses it). Here, so that results can be "
            "compared, take tanh.",
        ),
    ),
    alternatives=(
        lambda raw, bound: bound * (2 * torch.sigmoid(2 * raw / bound) - 1),
        lambda raw, bound: torch.mul(torch.div(raw, bound).tanh(), bound),
    ),
)
