"""Lesson 03's bug hunt: the loss of contrastive divergence, with a gradient that takes a short cut."""

import torch

from . import Exercise, Mistake
from .boltzmann_energy import LESSON, draw_binary, draw_machine, free_energy


def cd_loss(x, noise, weight, b, c):
    h = (noise < (c + x @ weight).sigmoid()).float()
    negatives = (b + h @ weight.T).sigmoid().detach()
    return free_energy(x, weight, b, c).mean() - free_energy(negatives, weight, b, c).mean()


def _draw_step(generator, batch=6):
    weight, b, c = draw_machine(generator)
    x = draw_binary(generator, batch, len(b))
    noise = torch.rand(batch, len(c), generator=generator)
    return x, noise, *(parameter.requires_grad_() for parameter in (weight, b, c))


def _loss(negative, positive=lambda x: x):
    """The loss with other negatives, made from their probabilities."""

    def other(x, noise, weight, b, c):
        h = (noise < (c + x @ weight).sigmoid()).float()
        negatives = negative((b + h @ weight.T).sigmoid())
        parameters = (weight, b, c)
        return free_energy(positive(x), *parameters).mean() - free_energy(negatives, *parameters).mean()

    return other


def _all_detached(x, noise, weight, b, c):
    h = (noise < (c + x @ weight).sigmoid()).float()
    negatives = (b + h @ weight.T).sigmoid()
    return free_energy(x, weight, b, c).mean() - free_energy(negatives, weight, b, c).mean().detach()


def _turned(x, noise, weight, b, c):
    h = (noise < (c + x @ weight).sigmoid()).float()
    negatives = (b + h @ weight.T).sigmoid()
    return free_energy(negatives, weight, b, c).mean() - free_energy(x, weight, b, c).mean()


def _other_coins(x, noise, weight, b, c):
    h = (noise > (c + x @ weight).sigmoid()).float()
    negatives = (b + h @ weight.T).sigmoid()
    return free_energy(x, weight, b, c).mean() - free_energy(negatives, weight, b, c).mean()


def _means_up(x, noise, weight, b, c):
    negatives = (b + (c + x @ weight).sigmoid() @ weight.T).sigmoid()
    return free_energy(x, weight, b, c).mean() - free_energy(negatives, weight, b, c).mean()


def _without_gradient(x, noise, weight, b, c):
    with torch.no_grad():
        h = (noise < (c + x @ weight).sigmoid()).float()
        negatives = (b + h @ weight.T).sigmoid()
    return free_energy(x, weight, b, c).mean() - free_energy(negatives, weight, b, c).mean()


def _frozen_weights(x, noise, weight, b, c):
    h = (noise < (c + x @ weight).sigmoid()).float()
    negatives = (b.detach() + h @ weight.detach().T).sigmoid()
    return (free_energy(x, weight, b, c)).mean() - (free_energy(negatives, weight, b, c)).mean()


BUG = Exercise(
    "boltzmann/bug",
    cd_loss,
    _draw_step,
    lesson=LESSON,
    title="bug hunt: the loss that has found a short cut",
    minutes=10,
    difficulty=3,
    differentiable=True,
    bug_hunt=True,
    hints=(
        "The value of this loss is right; its gradient is not. Compare it with your gradient by hand: which paths lead from "
        "the loss back to W?",
        "W stands in the free energy, and W made the negatives. The gradient of contrastive divergence knows only the first "
        "path: negatives are samples, as given as the data. Here the second path is open, and tells W to make "
        "reconstructions with a high free energy: bad ones.",
        "Cut the second path: negatives = (b + h @ weight.T).sigmoid().detach()",
    ),
    mistakes=(
        Mistake(
            _loss(lambda p: p),
            "The bug is still there. Which paths does the gradient take from the loss back to W?",
        ),
        Mistake(
            _loss(lambda p: torch.bernoulli(p)),
            "A drawn state has no gradient either, so the short cut is closed; but the negatives are now noisier than need be. "
            "Keep the probabilities, and cut the gradient: .detach().",
            also=(_loss(lambda p: (torch.rand_like(p) < p).float()),),
        ),
        Mistake(
            _loss(lambda p: p.round()),
            "Rounding has no gradient, so the short cut is closed; but these are not the machine's reconstructions any more. "
            "Keep the probabilities, and cut the gradient: .detach().",
        ),
        Mistake(
            _other_coins,
            "The coins were right: noise < p is true with probability p. The bug is elsewhere.",
            also=(lambda x, noise, *parameters: _loss(lambda p: p)(x, 1 - noise, *parameters),),
        ),
        Mistake(
            _all_detached,
            "Now the whole negative phase is cut off, and nothing keeps the energies up. Detach the negatives, not their free "
            "energy.",
        ),
        Mistake(
            lambda *inputs: _loss(lambda p: p.detach())(*inputs).detach(),
            "Now nothing is left to learn from: detach the negatives, not the loss.",
        ),
        Mistake(
            _turned,
            "The sign of the loss was right: the data's free energy shall sink, that of the negatives rise.",
            also=(lambda *inputs: -cd_loss(*inputs),),
        ),
        Mistake(
            _means_up,
            "Drawing h was right: it is what keeps h to one bit a unit. The bug is elsewhere.",
        ),
        Mistake(
            _loss(lambda p: p.detach(), positive=lambda x: x.mean(0, keepdim=True)),
            "The free energy of the mean image is not the mean free energy; the positive phase was right.",
        ),
        Mistake(
            lambda *inputs: _loss(lambda p: p)(*inputs).square(),
            "A negative loss is no error here: it is a difference of two free energies. The bug is in its gradient.",
        ),
    ),
    alternatives=(
        _without_gradient,
        _frozen_weights,
        lambda x, noise, weight, b, c: _loss(lambda p: p.detach())(x, noise, weight, b, c),
    ),
)
