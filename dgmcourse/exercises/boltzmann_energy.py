"""Exercises of lesson 03 on energies: of a Boltzmann machine, and of the visible side of a restricted one."""

import torch
from torch.nn import functional as F

from . import Exercise, Mistake

LESSON = "03_boltzmann_machines"


def draw_binary(generator, *shape):
    """Fair coins, 0.0 or 1.0."""
    return (torch.rand(*shape, generator=generator) < 0.5).float()


def draw_machine(generator, visible=6, hidden=4):
    """Weights and biases of a restricted machine: W (visible, hidden), b (visible,), c (hidden,)."""
    weight = torch.randn(visible, hidden, generator=generator)
    return weight, torch.randn(visible, generator=generator), torch.randn(hidden, generator=generator)


# --- the energy of a Boltzmann machine --------------------------------------------------------------------------------


def energy(s, couplings, bias):
    return -0.5 * ((s @ couplings) * s).sum(-1) - s @ bias


def _draw_units(generator, batch=7, units=5):
    upper = torch.randn(units, units, generator=generator).triu(1)
    return draw_binary(generator, batch, units), upper + upper.T, torch.randn(units, generator=generator)


def _pairs(s, couplings):
    """Σᵢⱼ sᵢ Jᵢⱼ sⱼ, in which every pair stands twice: (batch,)."""
    return ((s @ couplings) * s).sum(-1)


def _pair_by_pair(s, couplings, bias):
    total = -(s @ bias)
    for i in range(len(bias)):
        for j in range(i):
            total = total - couplings[i, j] * s[:, i] * s[:, j]
    return total


ENERGY = Exercise(
    "boltzmann/energy",
    energy,
    _draw_units,
    lesson=LESSON,
    title="the energy of a Boltzmann machine",
    minutes=6,
    difficulty=1,
    hints=(
        "Two parts: what the pairs of units say, and what each unit says for itself. For a batch, s @ bias is the second part "
        "of every state at once.",
        "(s @ couplings) * s holds sⱼ Σᵢ sᵢ Jᵢⱼ for every state and unit j. Summed over j, each pair is in it twice: as (i, j) "
        "and as (j, i).",
        "-0.5 * ((s @ couplings) * s).sum(-1) - s @ bias",
    ),
    mistakes=(
        Mistake(
            lambda s, couplings, bias: -_pairs(s, couplings) - s @ bias,
            "Every pair is counted twice, as (i, j) and as (j, i): the double sum needs the ½ before it.",
        ),
        Mistake(
            lambda s, couplings, bias: 0.5 * _pairs(s, couplings) + s @ bias,
            "The sign is turned round: units that pull together (J > 0) and are both on make the energy lower.",
            also=(lambda s, couplings, bias: _pairs(s, couplings) + s @ bias,),
        ),
        Mistake(
            lambda s, couplings, bias: -0.5 * _pairs(s, couplings),
            "The biases are missing: −Σᵢ bᵢ sᵢ.",
            also=(lambda s, couplings, bias: -_pairs(s, couplings),),
        ),
        Mistake(
            lambda s, couplings, bias: -0.5 * (_pairs(s, couplings) + s @ bias),
            "The ½ belongs to the pairs alone: each bias is counted once already.",
        ),
        Mistake(
            lambda s, couplings, bias: -0.5 * _pairs(s, couplings) + s @ bias,
            "The biases have the wrong sign: a unit with a large bias likes to be on, so being on must lower the energy.",
        ),
        Mistake(
            lambda s, couplings, bias: 0.5 * _pairs(s, couplings) - s @ bias,
            "The pairs have the wrong sign: two units that like each other (J > 0) and are both on must lower the energy.",
            also=(lambda s, couplings, bias: _pairs(s, couplings) - s @ bias,),
        ),
        Mistake(
            lambda s, couplings, bias: -0.5 * _pairs(s, couplings) - bias.sum(),
            "A bias counts only while its unit is on: bᵢ sᵢ, summed over the units, s @ bias.",
        ),
        Mistake(
            lambda s, couplings, bias: -0.5 * _pairs(s, couplings).sum() - s @ bias,
            "The pairs of all states are added up into one number: sum over the units of each state alone, .sum(-1).",
        ),
        Mistake(
            lambda s, couplings, bias: -s @ bias,
            "The pairs are missing: −½ Σᵢⱼ sᵢ Jᵢⱼ sⱼ.",
        ),
        Mistake(
            lambda s, couplings, bias: -0.5 * _pairs(s, couplings.triu()) - s @ bias,
            "With the upper triangle every pair is counted once already, so the ½ is one too many.",
            also=(lambda s, couplings, bias: -0.5 * _pairs(s, couplings.tril()) - s @ bias,),
        ),
        Mistake(
            lambda s, couplings, bias: -0.5 * s @ couplings @ s.T - s @ bias,
            "s @ couplings @ s.T pairs every state of the batch with every other; a state's energy is on its diagonal: "
            "((s @ couplings) * s).sum(-1).",
            also=(lambda s, couplings, bias: -s @ couplings @ s.T - s @ bias,),
        ),
        Mistake(
            lambda s, couplings, bias: -0.5 * s.T @ couplings @ s - s @ bias,
            "sᵀ J s is the formula for a single state; s holds one in each row, (batch, n): ((s @ couplings) * s).sum(-1).",
        ),
        Mistake(
            lambda s, couplings, bias: -0.5 * (s @ couplings) * s - s * bias,
            "This is what each unit contributes: sum over the units, .sum(-1), so that one number a state is left.",
        ),
        Mistake(
            lambda s, couplings, bias: energy(s, couplings, bias).sum(),
            "You added up the batch as well: one energy a state, (batch,).",
        ),
        Mistake(
            lambda s, couplings, bias: energy(s, couplings, bias).mean(),
            "You averaged over the batch: one energy a state, (batch,).",
        ),
        Mistake(
            lambda s, couplings, bias: -0.5 * ((s @ couplings) * s).mean(-1) - (s * bias).mean(-1),
            "Energies add up over the units: sum, not mean.",
            also=(lambda s, couplings, bias: -0.5 * ((s @ couplings) * s).mean(-1) - s @ bias,),
        ),
        Mistake(
            lambda s, couplings, bias: energy(2 * s - 1, couplings, bias),
            "These units are 0 or 1, as they are given; you made them −1 or 1.",
        ),
        Mistake(
            lambda s, couplings, bias: energy(s, couplings, bias).exp(),
            "This is exp(E); return the energy itself.",
            also=(lambda s, couplings, bias: (-energy(s, couplings, bias)).exp(),),
        ),
    ),
    alternatives=(
        _pair_by_pair,
        lambda s, couplings, bias: -torch.einsum("ni,ij,nj->n", s, couplings.triu(1), s) - (s * bias).sum(1),
        lambda s, couplings, bias: -(s * (0.5 * s @ couplings + bias)).sum(dim=1),
        lambda s, couplings, bias: torch.stack([-0.5 * (one @ couplings @ one) - bias @ one for one in s]),
    ),
)


# --- the free energy of a restricted machine --------------------------------------------------------------------------


def free_energy(x, weight, b, c):
    return -x @ b - F.softplus(c + x @ weight).sum(-1)


def _draw_visible(generator, batch=5):
    """For the first image, a hidden unit has an input whose exponential float32 cannot hold."""
    weight, b, c = draw_machine(generator)
    x = draw_binary(generator, batch, len(b))
    x[:, 0], weight[0, 0] = torch.eye(batch)[0], 120.0
    return x, weight, b, c


def _naive(x, weight, b, c):
    return -x @ b - (1 + (c + x @ weight).exp()).log().sum(-1)


def _by_enumeration(x, weight, b, c):
    """−log Σ_h exp(−E(x, h)), over all states h."""
    h = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * len(c))  # (2^hidden, hidden)
    return -((x @ b)[:, None] + x @ weight @ h.T + h @ c).logsumexp(-1)


FREE_ENERGY = Exercise(
    "boltzmann/free_energy",
    free_energy,
    _draw_visible,
    lesson=LESSON,
    title="the free energy",
    minutes=8,
    difficulty=2,
    differentiable=True,
    hints=(
        "Two parts again: −bᵀx, which no hidden unit changes, and one term for each hidden unit. c + x @ weight is "
        "the input of every hidden unit, (batch, hidden).",
        "A hidden unit is off, which contributes exp(0) = 1, or on, which contributes exp(its input): together 1 + exp(input). "
        "Its logarithm is F.softplus(input), which does not overflow.",
        "-x @ b - F.softplus(c + x @ weight).sum(-1)",
    ),
    mistakes=(
        Mistake(
            _naive,
            "Right for small inputs; but exp of a large one overflows, and its log is ∞. F.softplus(a) is log(1 + exp(a)), "
            "computed safely.",
            also=(lambda x, weight, b, c: -x @ b - torch.log1p((c + x @ weight).exp()).sum(-1),),
        ),
        Mistake(
            lambda x, weight, b, c: x @ b + F.softplus(c + x @ weight).sum(-1),
            "This is −F(x), the logarithm of what p(x) is proportional to: the sign is turned round.",
        ),
        Mistake(
            lambda x, weight, b, c: -x @ b + F.softplus(c + x @ weight).sum(-1),
            "The hidden units have the wrong sign: each state h that fits x makes x more probable, so its free energy lower.",
        ),
        Mistake(
            lambda x, weight, b, c: x @ b - F.softplus(c + x @ weight).sum(-1),
            "The visible biases have the wrong sign: a pixel that likes to be on lowers the free energy, −bᵀx.",
        ),
        Mistake(
            lambda x, weight, b, c: -F.softplus(c + x @ weight).sum(-1),
            "The visible biases are missing: −bᵀx.",
        ),
        Mistake(
            lambda x, weight, b, c: -x @ b - F.softplus(x @ weight).sum(-1),
            "The hidden biases are missing: the input of unit j is cⱼ + (xᵀW)ⱼ.",
        ),
        Mistake(
            lambda x, weight, b, c: -x @ b - (c + F.softplus(x @ weight)).sum(-1),
            "c is part of each unit's input, and belongs inside softplus: cⱼ counts only when hⱼ is on.",
            also=(lambda x, weight, b, c: -x @ b - c.sum() - F.softplus(x @ weight).sum(-1),),
        ),
        Mistake(
            lambda x, weight, b, c: -x @ b - (c + x @ weight).sigmoid().sum(-1),
            "sigmoid is the probability that a unit is on; the sum over its two states is 1 + exp(input), whose log is softplus.",
        ),
        Mistake(
            lambda x, weight, b, c: -x @ b - F.softplus(c + x @ weight).log().sum(-1),
            "softplus is a logarithm already, log(1 + exp(a)): you took it twice.",
        ),
        Mistake(
            lambda x, weight, b, c: -x @ b - F.softplus(c + x @ weight).prod(-1),
            "The log of a product is a sum of logs: sum the softplus terms, .sum(-1).",
        ),
        Mistake(
            lambda x, weight, b, c: -x @ b - (c + x @ weight).relu().sum(-1),
            "You took the better of the two states of each hidden unit (relu); the sum over both is softplus.",
        ),
        Mistake(
            lambda x, weight, b, c: -x @ b - (c + x @ weight).sum(-1),
            "This is the energy with all hidden units on; summed over both states of each, a unit's term is "
            "softplus(input) = log(1 + exp(input)).",
        ),
        Mistake(
            lambda x, weight, b, c: -x @ b - F.softplus(c + x @ weight).mean(-1),
            "Sum over the hidden units; you averaged. (The log of a product is a sum.)",
        ),
        Mistake(
            lambda x, weight, b, c: -x @ b - F.softplus((c + x @ weight).sum(-1)),
            "softplus of each unit first, then the sum: the hidden units are summed out one by one.",
        ),
        Mistake(
            lambda x, weight, b, c: -x @ b - (c + x @ weight).logsumexp(-1),
            "logsumexp over the units says that exactly one hidden unit is on; here each is on or off by itself: softplus of "
            "each, then the sum.",
        ),
        Mistake(
            lambda x, weight, b, c: -x @ b - F.softplus(c + x @ weight),
            "One term a hidden unit is left: sum over them, .sum(-1).",
        ),
        Mistake(
            lambda x, weight, b, c: (-x @ b - F.softplus(c + x @ weight).sum(-1)).mean(),
            "You averaged over the batch: one free energy an image, (batch,).",
        ),
        Mistake(
            lambda x, weight, b, c: -x @ b - F.softplus(c + x @ weight).sum(),
            "The hidden units of all images are added up: sum over the units of each image alone, .sum(-1).",
            also=(lambda x, weight, b, c: (-x @ b - F.softplus(c + x @ weight).sum(-1)).sum(),),
        ),
        Mistake(
            lambda x, weight, b, c: -x @ b - F.softplus(c + weight @ x),
            "x holds one image in each row, (batch, visible), and W is (visible, hidden): the inputs are x @ weight.",
            also=(lambda x, weight, b, c: -x @ b - F.softplus(c + weight.T @ x),),
        ),
        Mistake(
            lambda x, weight, b, c: -b @ x - F.softplus(c + x @ weight).sum(-1),
            "bᵀx is the formula for a single image; x holds one in each row, (batch, visible): x @ b.",
        ),
        Mistake(
            lambda x, weight, b, c: -x @ c - F.softplus(b + x @ weight).sum(-1),
            "b and c are swapped: b belongs to the visible units, c to the hidden ones.",
        ),
    ),
    alternatives=(
        _by_enumeration,
        lambda x, weight, b, c: -(x * b).sum(1) - torch.logaddexp(torch.zeros(()), x @ weight + c).sum(1),
        lambda x, weight, b, c: F.logsigmoid(-(c + x @ weight)).sum(-1) - torch.mv(x, b),
    ),
)
