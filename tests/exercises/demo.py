"""Exercises that only the tests use: one of each sort that the engine knows."""

import dataclasses

import torch
from torch import nn

from dgmcourse.exercises import Exercise, Mistake, invertible, sums_to_one
from dgmcourse.exercises.engine.judging import judge

HINTS = ("Look at the formula.", "Which term is a variance?", "Write it term by term.")


def kl(mean, log_var):
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)


def mean_and_log_var(generator):
    return torch.randn(5, 3, generator=generator), 0.5 * torch.randn(5, 3, generator=generator)


def kl_with_standard_deviation(mean, log_var):
    return 0.5 * (mean.square() + (0.5 * log_var).exp() - 1 - log_var).sum(-1)


def kl_averaged(mean, log_var):
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).mean(-1)


def kl_detached(mean, log_var):
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var.detach()).sum(-1)


KL = Exercise(
    "demo/kl",
    reference=kl,
    inputs=mean_and_log_var,
    hints=HINTS,
    mistakes=[
        Mistake(kl_with_standard_deviation, "You used σ where the variance belongs: σ² = exp(log_var)."),
        Mistake(kl_averaged, "Sum over the latents: a KL of independent parts is a sum, not a mean."),
        Mistake(kl_detached, "You cut log_var out of the graph, so it would never learn."),
    ],
    alternatives=[lambda mu, lv: sum(0.5 * (m**2 + v.exp() - 1 - v) for m, v in zip(mu.T, lv.T, strict=True))],
    differentiable=True,
    lesson="04_demo",
    title="KL to N(0, I)",
)


def reparameterize(mean, log_var):
    return mean + (0.5 * log_var).exp() * torch.randn_like(mean)


def reparameterize_with_variance(mean, log_var):
    return mean + log_var.exp() * torch.randn_like(mean)


def reparameterize_without_noise(mean, log_var):
    return mean + (0.5 * log_var).exp()


def reparameterize_with_uniform_noise(mean, log_var):
    return mean + (0.5 * log_var).exp() * torch.rand_like(mean)


def reparameterize_by_columns(mean, log_var):
    columns = [m + (0.5 * v).exp() * torch.randn(len(m)) for m, v in zip(mean.T, log_var.T, strict=True)]
    return torch.stack(columns, dim=1)


REPARAMETERIZE = Exercise(
    "demo/reparameterize",
    reference=reparameterize,
    inputs=mean_and_log_var,
    hints=HINTS,
    mistakes=[
        Mistake(reparameterize_with_variance, "The noise is scaled by the variance; scale it by σ."),
        Mistake(reparameterize_without_noise, "There is no noise in it."),
        Mistake(reparameterize_with_uniform_noise, "The noise is uniform (rand), not normal (randn)."),
    ],
    alternatives=[reparameterize_by_columns],
    differentiable=True,
    random=True,
    lesson="04_demo",
)


def softmax(energies):
    return torch.softmax(-energies, dim=-1)


BOLTZMANN = Exercise(
    "demo/boltzmann",
    reference=softmax,
    inputs=lambda generator: torch.randn(4, 6, generator=generator),
    hints=HINTS,
    mistakes=[
        Mistake(lambda energies: torch.softmax(energies, dim=-1), "A high energy should be improbable: p ∝ exp(−E)."),
        Mistake(lambda energies: torch.softmax(-energies, dim=0), "You normalize over the batch."),
        Mistake(lambda energies: torch.exp(-energies), "The partition function is missing."),
    ],
    alternatives=[lambda energies: (-energies).exp() / (-energies).exp().sum(-1, keepdim=True)],
    properties=[sums_to_one()],
    lesson="03_demo",
)


def some_squashing(x, scale):
    return torch.tanh(scale * x)


SQUASH = Exercise(
    "demo/squash",
    reference=some_squashing,
    inputs=lambda generator: {"x": torch.randn(7, generator=generator), "scale": torch.tensor(0.3)},
    hints=HINTS,
    mistakes=[
        Mistake(lambda x, scale: torch.zeros_like(x), "Nothing of x is left."),
        Mistake(lambda x, scale: x, "You forgot the scale."),
        Mistake(lambda x, scale: (scale * x).abs(), "The sign is lost."),
    ],
    alternatives=[lambda x, scale: (2 * scale * x).sigmoid() * 2 - 1],
    properties=[invertible(lambda y, scale: y.atanh() / scale)],
    compare=False,
    lesson="06_demo",
)


def free_energy(v, weights, visible_bias, hidden_bias):
    return -v @ visible_bias - torch.nn.functional.softplus(v @ weights + hidden_bias).sum(-1)


def free_energy_with_bug(v, weights, visible_bias, hidden_bias):
    return v @ visible_bias - torch.nn.functional.softplus(v @ weights + hidden_bias).sum(-1)


BUG_HUNT = Exercise(
    "demo/free_energy",
    reference=free_energy,
    inputs=lambda generator: (
        torch.bernoulli(torch.full((4, 6), 0.5), generator=generator),
        torch.randn(6, 3, generator=generator),
        torch.randn(6, generator=generator),
        torch.randn(3, generator=generator),
    ),
    hints=HINTS,
    mistakes=[
        Mistake(free_energy_with_bug, "The bug is still there: which states should have low energy?"),
        Mistake(lambda v, w, b, c: -free_energy(v, w, b, c), "The sign is turned everywhere."),
        Mistake(lambda v, w, b, c: -torch.nn.functional.softplus(v @ w + c).sum(-1), "Now the visible bias is lost."),
    ],
    alternatives=[lambda v, w, b, c: -(v * b).sum(-1) - (1 + (v @ w + c).exp()).log().sum(-1)],
    bug_hunt=True,
    lesson="03_demo",
)


def random_walk(start, steps):
    for _ in range(steps):
        start = start + torch.randn_like(start)
        yield start


def walk_with_small_steps(start, steps):
    for _ in range(steps):
        start = start + 0.1 * torch.randn_like(start)
        yield start


def walk_that_never_moves(start, steps):
    for _ in range(steps):
        yield start


def walk_with_start(start, steps):
    yield start
    yield from random_walk(start, steps)


def walk_in_a_list(start, steps):
    return list(random_walk(start, steps))


SAMPLER = Exercise(
    "demo/walk",
    reference=random_walk,
    inputs=lambda generator: (torch.randn(3, 2, generator=generator), 4),
    hints=HINTS,
    mistakes=[
        Mistake(walk_with_small_steps, "Your steps are ten times too small."),
        Mistake(walk_that_never_moves, "It never moves."),
        Mistake(walk_with_start, "Yield the state after each step, not the start."),
    ],
    alternatives=[walk_in_a_list],
    lesson="09_demo",
)


class Shift(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.amount = nn.Parameter(torch.ones(size))

    def forward(self, x):
        return x + self.amount


class ShiftWritten(Shift):
    def forward(self, x):
        return self.amount.add(x)


class ShiftDown(Shift):
    def forward(self, x):
        return x - self.amount


class NoShift(Shift):
    def forward(self, x):
        return x


class ShiftTwice(Shift):
    def forward(self, x):
        return x + 2 * self.amount


LAYER = Exercise(
    "demo/shift",
    reference=Shift,
    inputs=lambda generator: torch.randn(4, 3, generator=generator),
    call=lambda layer, x: layer(3)(x),
    hints=HINTS,
    mistakes=[
        Mistake(ShiftDown, "It shifts down."),
        Mistake(NoShift, "It does not use its parameter."),
        Mistake(ShiftTwice, "It shifts twice."),
    ],
    alternatives=[ShiftWritten],
    lesson="06_demo",
)

ALL = [KL, REPARAMETERIZE, BOLTZMANN, SQUASH, BUG_HUNT, SAMPLER, LAYER]


def verdict(answer, exercise=KL, **changes):
    """What the check of an exercise (with changed settings) says of an answer."""
    return judge(dataclasses.replace(exercise, **changes), answer)
