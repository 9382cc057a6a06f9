"""Exercises of lesson 03 on the normalizer Z: summed exactly, and estimated by annealed importance sampling."""

import math
from itertools import pairwise

import torch
from torch.nn import functional as F

from . import Exercise, Mistake
from .boltzmann_energy import LESSON, draw_machine, free_energy

# --- exact log Z ------------------------------------------------------------------------------------------------------


def log_partition(h, weight, b, c):
    return (h @ c + F.softplus(b + h @ weight.T).sum(-1)).logsumexp(0)


def _draw_states(generator, visible=6, hidden=4):
    """All states of the hidden side, some of which have a weight that float32 cannot hold."""
    weight, b, c = draw_machine(generator, visible, hidden)
    c[0] = 100.0
    states = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * hidden)
    return states, *(parameter.requires_grad_() for parameter in (weight, b, c))


def _log_weight(h, weight, b, c):
    """log Σ_x exp(−E(x, h)) of every h: (states,)."""
    return h @ c + F.softplus(b + h @ weight.T).sum(-1)


def _by_both_sides(h, weight, b, c):
    x = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * len(b))
    return (x @ weight @ h.T + (x @ b)[:, None] + h @ c).flatten().logsumexp(0)


def _by_visible_side(h, weight, b, c):
    x = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * len(b))
    return (x @ b + F.softplus(c + x @ weight).sum(-1)).logsumexp(0)


LOG_PARTITION = Exercise(
    "boltzmann/log_partition",
    log_partition,
    _draw_states,
    lesson=LESSON,
    title="log Z, exactly",
    minutes=10,
    difficulty=2,
    differentiable=True,
    hints=(
        "Z = Σ_h Σ_x exp(−E(x, h)). For one fixed h the inner sum over all x has a closed form: it is the free energy's sum "
        "with the two sides exchanged. Only the outer sum is left to be done state by state.",
        "For one h: log Σ_x exp(−E(x, h)) = cᵀh + Σᵢ softplus(bᵢ + (W h)ᵢ). For all rows of h at once, W h is h @ weight.T, "
        "(states, visible).",
        "(h @ c + F.softplus(b + h @ weight.T).sum(-1)).logsumexp(0)",
    ),
    mistakes=(
        Mistake(
            lambda h, weight, b, c: _log_weight(h, weight, b, c).exp().sum().log(),
            "exp of these numbers overflows, and so would Z itself: keep to logarithms, .logsumexp(0) over the states, and "
            "return log Z.",
            also=(lambda h, weight, b, c: _log_weight(h, weight, b, c).logsumexp(0).exp(),),
        ),
        Mistake(
            lambda h, weight, b, c: _log_weight(h, weight, b, c).sum(),
            "You added up logarithms, which multiplies the states' weights; Z is their sum: .logsumexp(0).",
        ),
        Mistake(
            lambda h, weight, b, c: _log_weight(h, weight, b, c).mean(),
            "This is the mean of the logarithms; Z is a sum of weights: .logsumexp(0).",
        ),
        Mistake(
            lambda h, weight, b, c: _log_weight(h, weight, b, c).logsumexp(0) - torch.tensor(float(len(h))).log(),
            "Z is the sum over the states, not their average: do not divide by their number.",
        ),
        Mistake(
            lambda h, weight, b, c: _log_weight(h, weight, b, c),
            "This is one number for every state of h: sum over the states too, .logsumexp(0).",
        ),
        Mistake(
            lambda h, weight, b, c: _log_weight(h, weight, b, c).max(),
            "You took the best state alone; all of them count: .logsumexp(0).",
        ),
        Mistake(
            lambda h, weight, b, c: -_log_weight(h, weight, b, c).logsumexp(0),
            "This is −log Z: the sign is turned round.",
        ),
        Mistake(
            lambda h, weight, b, c: (-_log_weight(h, weight, b, c)).logsumexp(0),
            "You summed exp(+F) over the states; Z sums exp(−F): mind the sign inside logsumexp.",
        ),
        Mistake(
            lambda h, weight, b, c: F.softplus(b + h @ weight.T).sum(-1).logsumexp(0),
            "The hidden biases are missing: the state h brings cᵀh with it.",
        ),
        Mistake(
            lambda h, weight, b, c: (h @ c + F.softplus(h @ weight.T).sum(-1)).logsumexp(0),
            "The visible biases are missing: the input of visible unit i is bᵢ + (W h)ᵢ.",
        ),
        Mistake(
            lambda h, weight, b, c: (h @ c + (b + h @ weight.T).sum(-1)).logsumexp(0),
            "This lets every visible unit be on; summed over both of its states, a unit's term is softplus(bᵢ + (W h)ᵢ).",
        ),
        Mistake(
            lambda h, weight, b, c: (h @ c + (b + h @ weight.T).sigmoid().sum(-1)).logsumexp(0),
            "sigmoid is a unit's mean; the sum over its two states has the logarithm softplus(bᵢ + (W h)ᵢ).",
        ),
        Mistake(
            lambda h, weight, b, c: (h @ c + F.softplus(b + h @ weight.T)).logsumexp(0),
            "Sum the softplus over the visible units first, .sum(-1): one number for each state h.",
        ),
        Mistake(
            lambda h, weight, b, c: (h @ c + F.softplus(b + h @ weight.T).mean(-1)).logsumexp(0),
            "Sum the softplus over the visible units; you averaged.",
        ),
        Mistake(
            lambda h, weight, b, c: (h @ c + F.softplus(b + h @ weight).sum(-1)).logsumexp(0),
            "W is (visible, hidden): from hidden to visible it is h @ weight.T.",
        ),
        Mistake(
            lambda h, weight, b, c: (h @ b + F.softplus(c + h @ weight.T).sum(-1)).logsumexp(0),
            "b and c are swapped: c belongs to the hidden units, b to the visible ones.",
            also=(
                lambda h, weight, b, c: (-free_energy(h, weight.T, b, c)).logsumexp(0),
                lambda h, weight, b, c: ((h * b).sum(-1) + F.softplus(c + h @ weight.T).sum(-1)).logsumexp(0),
            ),
        ),
        Mistake(
            lambda h, weight, b, c: (h @ c - F.softplus(b + h @ weight.T).sum(-1)).logsumexp(0),
            "softplus has the wrong sign: every x that is summed adds to the weight of h.",
        ),
    ),
    alternatives=(
        _by_both_sides,
        _by_visible_side,
        lambda h, weight, b, c: (h @ c - F.logsigmoid(-(b + h @ weight.T)).sum(1)).logsumexp(dim=0),
        lambda h, weight, b, c: torch.logsumexp(
            torch.stack([c @ one + F.softplus(b + weight @ one).sum() for one in h]), 0
        ),
    ),
)


# --- the weights of annealed importance sampling ----------------------------------------------------------------------


def annealed_log_weights(log_f, move, x, betas):
    log_weights = torch.zeros(len(x), device=x.device)
    for before, now in pairwise(betas):
        log_weights = log_weights + log_f(x, now) - log_f(x, before)
        x = move(x, now)
    return log_weights


def _log_f(x, beta):
    return -(0.3 + beta) * x.square().sum(-1) + beta * x.sum(-1)


def _move(x, beta):
    """Stands in for a Gibbs sweep at β; without chance, so that answers can be compared."""
    return (1 - 0.4 * beta) * x.roll(1, -1) + 0.7 * beta


def _draw_path(generator, chains=5):
    """Temperatures that are not evenly spaced, given as numbers; the ladder leads up or, in reverse, down."""
    x, down = torch.randn(chains, 3, generator=generator), torch.rand((), generator=generator) < 0.5
    betas = [0.0, 0.1, 0.3, 0.6, 0.65, 1.0]
    return _log_f, _move, x, betas[::-1] if down else betas


def _ladder(gained, at="before", moved="now", gather=sum):
    """Weights from other increments, with x before or after the move, which is made at another temperature."""

    def other(log_f, move, x, betas):
        increments = []
        for before, now in pairwise(betas):
            new = move(x, now if moved == "now" else before)
            increments.append(gained(log_f, x if at == "before" else new, before, now))
            x = new
        return gather(increments)

    return other


def _difference(log_f, x, before, now):
    return log_f(x, now) - log_f(x, before)


def _without_moving(log_f, move, x, betas):
    return log_f(x, betas[-1]) - log_f(x, betas[0])


def _ends_of_the_walk(log_f, move, x, betas):
    start = x
    for beta in betas[1:]:
        x = move(x, beta)
    return log_f(x, betas[-1]) - log_f(start, betas[0])


def _after_the_walk(log_f, move, x, betas):
    for beta in betas:
        x = move(x, beta)
    return log_f(x, betas[-1]) - log_f(x, betas[0])


def _listed(log_f, move, x, betas):
    """All states first, then all weights."""
    states = [x]
    for beta in betas[1:-1]:
        states.append(move(states[-1], beta))
    values = [log_f(s, now) - log_f(s, before) for s, (before, now) in zip(states, pairwise(betas), strict=True)]
    return torch.stack(values).sum(0)


def _by_index(log_f, move, x, betas):
    log_w = 0
    for t in range(len(betas) - 1):
        if t > 0:
            x = move(x, betas[t])
        log_w = log_w + (log_f(x, betas[t + 1]) - log_f(x, betas[t]))
    return log_w


def _in_place(log_f, move, x, betas):
    log_w = x.new_zeros(x.shape[0])
    last = betas[0]
    for beta in betas[1:]:
        log_w += log_f(x, beta)
        log_w -= log_f(x, last)
        x, last = move(x, beta), beta
    return log_w


AIS = Exercise(
    "boltzmann/ais",
    annealed_log_weights,
    _draw_path,
    lesson=LESSON,
    title="weights of annealed importance sampling",
    minutes=10,
    difficulty=3,
    hints=(
        "A loop over neighbors of the ladder, (β₀, β₁), (β₁, β₂), …: `for before, now in pairwise(betas)`. In each round two "
        "things happen: the weight grows, and x moves. In which order?",
        "First the weight: log_f(x, now) − log_f(x, before), both at the same x, which has been sampled at `before`. Then "
        "the move: x = move(x, now). Increments add up, because these are logarithms.",
        "log_weights = torch.zeros(len(x)); for before, now in pairwise(betas): log_weights = log_weights + log_f(x, now) - "
        "log_f(x, before); x = move(x, now). Return log_weights after the loop.",
    ),
    mistakes=(
        Mistake(
            _ladder(_difference, at="after"),
            "You moved x before you weighed it. The increment from β to β′ is taken where x is a sample of β; only then does "
            "x move on at β′.",
        ),
        Mistake(
            _ladder(_difference, moved="before"),
            "The move after an increment is made at the new temperature: move(x, now).",
        ),
        Mistake(
            _ladder(lambda log_f, x, before, now: log_f(x, before) - log_f(x, now)),
            "The sign of the increments is turned round: log f at the new temperature minus log f at the old one.",
        ),
        Mistake(
            _without_moving,
            "x never moves: this is plain importance sampling, from one end to the other in a single leap.",
        ),
        Mistake(
            _ends_of_the_walk,
            "Both log f of an increment are taken at the same x. You compared the first state with the last.",
        ),
        Mistake(
            _after_the_walk,
            "One difference, at the last state, is no weight: the chain earns an increment at every rung, on its way.",
        ),
        Mistake(
            lambda log_f, move, x, betas: (
                annealed_log_weights(lambda x, beta: log_f(x, beta), move, x, betas) + log_f(x, betas[0])
            ),
            "Every increment is a difference, also the first: log_f(x, now) − log_f(x, before).",
        ),
        Mistake(
            _ladder(lambda log_f, x, before, now: log_f(x, now)),
            "You added up log f itself; a weight is a ratio, so subtract log_f(x, before) each time.",
        ),
        Mistake(
            _ladder(_difference, gather=lambda increments: increments[-1]),
            "You kept the last increment alone; they all add up.",
        ),
        Mistake(
            _ladder(_difference, gather=lambda increments: increments[0]),
            "You returned after the first increment: they all add up. (Is the return inside the loop?)",
        ),
        Mistake(
            _ladder(_difference, gather=lambda increments: sum(increments).exp()),
            "These are the weights; return their logarithms, which do not overflow.",
        ),
        Mistake(
            _ladder(lambda *step: _difference(*step).exp()),
            "You added up ratios; ratios multiply, so add up their logarithms.",
        ),
        Mistake(
            _ladder(_difference, gather=math.prod),
            "You multiplied the increments. Ratios multiply; these are their logarithms, which add up.",
        ),
        Mistake(
            _ladder(_difference, gather=lambda increments: sum(increments) / len(increments)),
            "Sum the increments; you averaged over the temperatures.",
        ),
        Mistake(
            _ladder(_difference, gather=lambda increments: sum(increments).mean()),
            "One weight a chain: do not average over the chains yet.",
            also=(
                _ladder(_difference, gather=lambda increments: sum(increments).logsumexp(0)),
                _ladder(
                    _difference,
                    gather=lambda increments: sum(increments).logsumexp(0) - math.log(len(increments[0])),
                ),
                _ladder(_difference, gather=lambda increments: sum(increments).sum()),
            ),
        ),
        Mistake(
            lambda log_f, move, x, betas: annealed_log_weights(log_f, move, x, sorted(betas)),
            "Take the rungs in the order of `betas`, whichever way it leads: below, the ladder is climbed down as well.",
            also=(
                lambda log_f, move, x, betas: annealed_log_weights(log_f, move, x, betas[::-1]),
                lambda log_f, move, x, betas: annealed_log_weights(log_f, move, x, sorted(betas)[::-1]),
            ),
        ),
        Mistake(
            lambda log_f, move, x, betas: annealed_log_weights(log_f, move, x, betas[:-1]),
            "The last rung is missing: the ladder ends at betas[-1].",
        ),
        Mistake(
            lambda log_f, move, x, betas: annealed_log_weights(log_f, lambda state, beta: move(x, beta), x, betas),
            "Every move starts again at the first x; it goes on from where the last one ended: x = move(x, now).",
        ),
    ),
    alternatives=(_listed, _by_index, _in_place, _ladder(_difference)),
)
