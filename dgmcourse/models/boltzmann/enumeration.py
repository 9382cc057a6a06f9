"""Sums over all states of one side of a restricted Boltzmann machine, which leave nothing to chance."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .partition import all_states, log_sum_over_states

__all__ = ["exact_samples", "log_partitions", "sides"]


def sides(rbm) -> dict[str, int]:
    """The sides of an RBM whose states can be enumerated, with their numbers of units; the smaller comes first."""
    found = {"hidden": rbm.latents} | ({} if rbm.real else {"visible": rbm.space.dim})
    return dict(sorted(found.items(), key=lambda side: side[1]))


def log_partitions(rbm, side: str | None = None) -> Tensor:
    """log Σ exp(−E), for each label where there are any: (classes,) or (1,), exact and differentiable, nats.

    Args:
        side: "hidden" or "visible", whose states are enumerated; the smaller by default.
    """
    known = sides(rbm)
    side = next(iter(known)) if side is None else side
    if side not in known:
        raise ValueError(f"side must be one of {', '.join(map(repr, known))} for {rbm.space}, got {side!r}")
    width = max(rbm.latents, rbm.space.dim) * (rbm.classes or 1)
    return log_sum_over_states(lambda states: _log_weights(rbm, states, side), known[side], rbm.weight, width)


def exact_samples(rbm, n: int) -> Tensor:
    """n independent draws of the visible units, (n, dim + classes): one side among all its states, then the other."""
    side, units = next(iter(sides(rbm).items()))
    states = torch.cat(list(all_states(units, rbm.weight)))
    table = torch.cat([_log_weights(rbm, part, side) for part in states.split(1 << 14)])  # (states, classes or 1)
    drawn = torch.multinomial((table - table.max()).exp().flatten(), n, replacement=True)
    state, label = states[drawn // table.shape[1]], drawn % table.shape[1]
    if side == "hidden":
        return rbm._draw_visible(rbm._visible_inputs(state))
    return rbm._flat(state.view(-1, *rbm.space.shape), label)


def _log_weights(rbm, states: Tensor, side: str) -> Tensor:
    """log Σ exp(−E) over the other side, for states (rows, units) of this one: (rows, classes or 1), nats."""
    if side == "visible":
        v = states.view(-1, *rbm.space.shape)
        return -(rbm._free_energy(states).unsqueeze(-1) if rbm.classes is None else rbm._free_energies(v))
    inputs = rbm._visible_inputs(states)
    pixels, labels = inputs[:, : rbm.space.dim], inputs[:, rbm.space.dim :]
    if rbm.real:  # a Gaussian integral: ∫ exp(−½ (v − b)²/σ² + v·(Wh)/σ²) dv
        squares = (pixels.square() - rbm.visible_bias[: rbm.space.dim].square()) / rbm.scale.square()
        total = (0.5 * squares + rbm.log_scale + 0.5 * math.log(2 * math.pi)).sum(-1)
    else:
        total = F.softplus(pixels).sum(-1)
    total = (total + states @ rbm.hidden_bias).unsqueeze(-1)
    return total if rbm.classes is None else total + labels
