"""The normalizer of a deep Boltzmann machine: summed over every other level where these are small, or annealed."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from ...dynamics import AnnealingPath
from .levels import Levels, States
from .partition import all_states, log_sum_over_states

__all__ = ["annealing_path", "binary_units", "exact_states", "log_partitions"]


def binary_units(levels: Levels, parity: int) -> int:
    """Units of all even (0) or odd (1) levels, but the label's."""
    return sum(levels.sizes[level] for level in levels.of(parity) if level != levels.label)


def _smaller(levels: Levels) -> int:
    return min((1, 0), key=lambda parity: binary_units(levels, parity))


def _classes(levels: Levels) -> int:
    return 1 if levels.label is None else levels.sizes[levels.label]


def _parted(levels: Levels, rows: Tensor, parity: int) -> States:
    """Binary units of one parity, side by side, as states of its levels; None for all other levels."""
    states: States = [None] * len(levels.sizes)
    binary = [level for level in levels.of(parity) if level != levels.label]
    for level, part in zip(binary, rows.split([levels.sizes[level] for level in binary], dim=1), strict=True):
        states[level] = part
    return states


def _columns(levels: Levels, rows: Tensor, parity: int) -> Tensor:
    """log Σ exp(−E) over the other parity's levels, for each label: (rows, units) -> (rows, classes), or (rows, 1)."""
    states = _parted(levels, rows, parity)
    if levels.label is None:
        return levels.log_marginal(states, parity).unsqueeze(-1)
    columns = []
    for label in torch.eye(_classes(levels), dtype=rows.dtype, device=rows.device):
        states[levels.label] = label.expand(len(rows), -1)
        columns.append(levels.log_marginal(states, parity))
    return torch.stack(columns, dim=-1)


def log_partitions(levels: Levels, parity: int | None = None) -> Tensor:
    """log Σ exp(−E) for each label where there are any: (classes,) or (1,), exact, nats.

    Args:
        parity: enumerate the odd (1) or the even (0) levels; those with fewer units by default.
    """
    parity = _smaller(levels) if parity is None else parity
    units, width = binary_units(levels, parity), max(levels.sizes) * _classes(levels)
    return log_sum_over_states(lambda rows: _columns(levels, rows, parity), units, levels.weights[0], width)


@torch.no_grad()
def exact_states(levels: Levels, n: int) -> States:
    """n independent states of all levels: one parity drawn among all its states, then the other given it."""
    parity = _smaller(levels)
    rows = torch.cat(list(all_states(binary_units(levels, parity), levels.weights[0])))
    table = torch.cat([_columns(levels, part, parity) for part in rows.split(1 << 12)])  # (states, classes or 1)
    drawn = torch.multinomial((table - table.max()).exp().flatten(), n, replacement=True)
    states, held = _parted(levels, rows[drawn // table.shape[1]], parity), []
    if levels.label is not None:
        states[levels.label] = F.one_hot(drawn % table.shape[1], table.shape[1]).to(rows.dtype)
        held = [levels.label]
    return levels.updated(states, 1 - parity, levels.draw, held)


def annealing_path(levels: Levels, base: Tensor, end: Callable[[int], Tensor]) -> AnnealingPath:
    """From independent units to a deep Boltzmann machine, over states of its odd levels, joined.

        f_β(s₁, s₃, …) = Σ over the even levels of exp(−(1 − β) E₀ − β E),        E₀ = −baseᵀs₀

    Salakhutdinov & Hinton, "Deep Boltzmann Machines", 2009, section 4, https://proceedings.mlr.press/v5/salakhutdinov09a.html

    Args:
        base: log-odds of the lowest level at the start, (units,).
        end: n states of the machine's own distribution, for annealing in reverse.
    """

    def scaled(level: int, inputs: Tensor, beta: float) -> Tensor:
        return torch.lerp(base.expand_as(inputs), inputs, beta) if level == 0 else beta * inputs

    def step(odd: Tensor, before: float, now: float) -> tuple[Tensor, Tensor]:
        states = levels.parted(odd)
        gained = (now - before) * sum(states[level] @ levels.biases[level] for level in levels.of(1))
        for level in levels.of(0):
            inputs = levels.inputs(level, states)
            at_now = scaled(level, inputs, now)
            gained = gained + levels.log_sum(level, at_now) - levels.log_sum(level, scaled(level, inputs, before))
            gained = gained - (now - before) * ((inputs - levels.biases[level]) @ levels.center(level))
            states[level] = levels.draw(level, at_now)
        return levels.joined(levels.updated(states, 1, lambda level, inputs: levels.draw(level, now * inputs))), gained

    hidden = sum(size for level, size in enumerate(levels.sizes) if level not in (0, levels.label))
    log_partition = F.softplus(base).sum() + hidden * math.log(2) + math.log(_classes(levels))
    return AnnealingPath(log_partition, lambda n: levels.joined(levels.noise(1, n)), step, end)
