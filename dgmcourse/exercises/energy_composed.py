"""Exercises of lesson 09 on putting energies to use: and, or, not; and what a classifier's logits say of an image."""

import math

import torch

from . import Exercise, Mistake
from .energy_walks import LESSON

# --- and, or, not -----------------------------------------------------------------------------------------------------


def compose(a, b, weight):
    return a + b, -torch.logaddexp(-a, -b), a - weight * b


def _draw_pair(generator):
    """Two energies at eight places, the last of them far from everything, and a weight well below one."""
    a, b = (2 * torch.randn(8, generator=generator) for _ in range(2))
    a[7], b[7] = a[7] + 130, b[7] + 128
    return a, b, 0.3 + 0.3 * float(torch.rand((), generator=generator))


def _like_composition(both=lambda a, b: a + b, either=lambda a, b: -torch.logaddexp(-a, -b), but=None):
    """Another and, another or, another not."""
    but = but or (lambda a, b, w: a - w * b)
    return lambda a, b, weight: (both(a, b), either(a, b), but(a, b, weight))


COMPOSE = Exercise(
    "energy/compose",
    compose,
    _draw_pair,
    lesson=LESSON,
    title="and, or, not",
    minutes=8,
    difficulty=2,
    hints=(
        "Write down the three densities with p = exp(−E), then take −log of each.",
        "A product of densities is a sum of energies; dividing by p_b^weight subtracts weight · E_b. For the sum of densities nothing is "
        "simpler than −log(exp(−a) + exp(−b)), and torch.logaddexp does the log of a sum of two exponentials safely.",
        "return a + b, -torch.logaddexp(-a, -b), a - weight * b",
    ),
    mistakes=(
        Mistake(
            _like_composition(both=lambda a, b: -torch.logaddexp(-a, -b), either=lambda a, b: a + b),
            "The first two are exchanged: *and* is the product of the densities, so the sum of the energies.",
        ),
        Mistake(
            _like_composition(both=lambda a, b: a * b),
            "*And* multiplies the densities, exp(−a) · exp(−b); their energies add up.",
        ),
        Mistake(
            _like_composition(both=lambda a, b: (a + b) / 2),
            "Half of each energy is the square root of the product: a milder *and*. The product itself has a + b.",
        ),
        Mistake(
            _like_composition(both=torch.maximum),
            "The larger of the two is a *hard* and; the product of the densities has the sum of the energies.",
        ),
        Mistake(
            _like_composition(either=lambda a, b: torch.logaddexp(-a, -b)),
            "*Or*: this is the log of the sum of the densities; an energy is minus that.",
        ),
        Mistake(
            _like_composition(either=torch.logaddexp),
            "*Or*: the densities are exp(−a) and exp(−b), with a minus inside as well as one before the log.",
            also=(_like_composition(either=lambda a, b: -torch.logaddexp(a, b)),),
        ),
        Mistake(
            _like_composition(either=lambda a, b: math.log(2) - torch.logaddexp(-a, -b)),
            "*Or*: right up to a constant, the ln 2 of halving. Leave it out, so that numbers can be compared.",
        ),
        Mistake(
            _like_composition(either=torch.minimum),
            "The smaller of the two is a *hard* or. Where both are likely the densities add up: −log(exp(−a) + exp(−b)).",
        ),
        Mistake(
            _like_composition(either=lambda a, b: -((-a).exp() + (-b).exp()).log()),
            "*Or*: right where energies are small; but far out exp(−130) rounds to 0, whose log is −∞, and walkers there would not find "
            "home. torch.logaddexp(-a, -b) is the same log, computed safely.",
            also=(
                lambda a, b, weight: (
                    -((-a).exp() * (-b).exp()).log(),
                    -((-a).exp() + (-b).exp()).log(),
                    -((-a).exp() / (-b).exp() ** weight).log(),
                ),
            ),
        ),
        Mistake(
            _like_composition(either=lambda a, b: -0.5 * torch.logaddexp(-a, -b)),
            "*Or*: half of a density adds a constant, ln 2, to its energy; it does not halve the energy. Leave the half out.",
        ),
        Mistake(
            lambda a, b, weight: (
                a + b,
                -torch.logaddexp(math.log(weight) - a, math.log(1 - weight) - b),
                a - weight * b,
            ),
            "*Or*: both with the same weight here; `weight` is for *but not* alone.",
            also=(
                lambda a, b, weight: (
                    a + b,
                    -torch.logaddexp(math.log(1 - weight) - a, math.log(weight) - b),
                    a - weight * b,
                ),
            ),
        ),
        Mistake(
            lambda a, b, weight: (a + weight * b, -torch.logaddexp(-a, -b), a - weight * b),
            "*And*: both count in full; `weight` is for *but not* alone.",
        ),
        Mistake(
            lambda a, b, weight: ((-a - b).exp(), (-a).exp() + (-b).exp(), (weight * b - a).exp()),
            "These are the three densities; an energy is −log of a density.",
            also=(
                lambda a, b, weight: (
                    (-a).exp() * (-b).exp(),
                    (-a).exp() + (-b).exp(),
                    (-a).exp() / (-b).exp() ** weight,
                ),
            ),
        ),
        Mistake(
            lambda a, b, weight: (-a - b, torch.logaddexp(-a, -b), weight * b - a),
            "These are the logarithms of the three densities; energies are *minus* that.",
        ),
        Mistake(
            _like_composition(either=lambda a, b: (-a).exp() + (-b).exp()),
            "*Or*: these are the densities' sum; its energy is −log of it.",
        ),
        Mistake(
            _like_composition(either=lambda a, b: (a + b) / 2),
            "*Or*: a mean of energies is a product of densities. It is the densities that are added, not the energies.",
        ),
        Mistake(
            _like_composition(either=lambda a, b: a * b),
            "*Or* adds the densities: −log(exp(−a) + exp(−b)).",
        ),
        Mistake(
            _like_composition(but=lambda a, b, w: a + w * b),
            "*But not*: with a plus this is a milder *and*. Dividing by a density subtracts its energy.",
        ),
        Mistake(
            _like_composition(but=lambda a, b, w: a - b),
            "*But not*: the weight is missing. At full weight far places, where both are unlikely, would win.",
        ),
        Mistake(
            _like_composition(but=lambda a, b, w: w * a - b),
            "*But not*: the weight is for b, what shall not be.",
            also=(
                _like_composition(but=lambda a, b, w: (1 - w) * a - w * b),
                _like_composition(but=lambda a, b, w: w * (a - b)),
                _like_composition(but=lambda a, b, w: a / w - b),
            ),
        ),
        Mistake(
            _like_composition(but=lambda a, b, w: a - b**w),
            "*But not*: it is the density that has the power; the log of p_b to the power w is w · log p_b, so its energy is weight · b.",
            also=(_like_composition(but=lambda a, b, w: a / b**w), _like_composition(but=lambda a, b, w: a / (w * b))),
        ),
        Mistake(
            _like_composition(but=lambda a, b, w: b - w * a),
            "*But not*: a and b are exchanged. a is what we want, b what shall not be.",
        ),
        Mistake(
            _like_composition(but=lambda a, b, w: a - b / w),
            "*But not*: multiply by the weight, so that 0 leaves a alone.",
        ),
        Mistake(
            _like_composition(but=lambda a, b, w: w * b - a),
            "*But not*: the sign is turned round: a keeps its plus, and weight · b is subtracted.",
        ),
    ),
    alternatives=(
        lambda a, b, weight: (
            torch.add(a, b),
            -torch.logsumexp(torch.stack([-a, -b]), 0),
            torch.sub(a, b, alpha=weight),
        ),
        lambda a, b, weight: [
            torch.stack([a, b]).sum(0),
            torch.minimum(a, b) - torch.log1p((-(a - b).abs()).exp()),
            -weight * b + a,
        ],
        lambda a, b, weight: (a + b, b - torch.nn.functional.softplus(b - a), a - weight * b),
    ),
)


# --- how strange is it? -----------------------------------------------------------------------------------------------


def strangeness(logits):
    return -logits.logsumexp(-1), -logits.softmax(-1).amax(-1)


def _draw_logits(generator):
    """Seven rows of five logits; to some of them something is added, which a softmax does not feel."""
    logits = 2 * torch.randn(7, 5, generator=generator)
    return logits + torch.tensor([0.0, 6.0, -5.0, 0.0, 110.0, 2.0, -120.0])[:, None]


def _like_strangeness(energy=lambda f: -f.logsumexp(-1), unsure=lambda f: -f.softmax(-1).amax(-1)):
    """Another energy, or another doubt."""
    return lambda logits: (energy(logits), unsure(logits))


STRANGE = Exercise(
    "energy/strange",
    strangeness,
    _draw_logits,
    lesson=LESSON,
    title="two scores of strangeness",
    minutes=5,
    difficulty=1,
    hints=(
        "Both are larger for stranger images. The first is the formula above; the second is minus the largest of the probabilities p(y|x).",
        "p(y|x) is the softmax of the logits over the classes, their last dimension; log Σ exp is logsumexp.",
        "return -logits.logsumexp(-1), -logits.softmax(-1).amax(-1)",
    ),
    mistakes=(
        Mistake(
            _like_strangeness(energy=lambda f: f.logsumexp(-1)),
            "The energy is *minus* the logsumexp: large logits are a low energy, something familiar.",
        ),
        Mistake(
            _like_strangeness(energy=lambda f: -f.log_softmax(-1).logsumexp(-1)),
            "You normalized first: the logsumexp of log-probabilities is always 0. What the softmax takes away is just what we want.",
            also=(
                _like_strangeness(energy=lambda f: -f.softmax(-1).logsumexp(-1)),
                _like_strangeness(energy=lambda f: -f.softmax(-1).sum(-1).log()),
            ),
        ),
        Mistake(
            _like_strangeness(energy=lambda f: -f.exp().sum(-1).log()),
            "Right for logits of moderate size; but exp(110) overflows, and exp(−120) rounds to 0. logsumexp(-1) is the same, computed safely.",
            also=(
                lambda logits: (-logits.exp().sum(-1).log(), -(logits.exp() / logits.exp().sum(-1, True)).amax(-1)),
            ),
        ),
        Mistake(
            _like_strangeness(unsure=lambda f: -(f.exp() / f.exp().sum(-1, True)).amax(-1)),
            "The second divides by a sum that overflows for large logits: logits.softmax(-1) is the same, computed safely.",
        ),
        Mistake(
            _like_strangeness(energy=lambda f: math.log(f.shape[-1]) - f.logsumexp(-1)),
            "A sum over the classes, not a mean: no division by their number.",
        ),
        Mistake(
            _like_strangeness(unsure=lambda f: -f.sigmoid().amax(-1)),
            "Softmax, not sigmoid: p(y|x) are probabilities of classes that exclude each other, and add up to 1.",
        ),
        Mistake(
            _like_strangeness(unsure=lambda f: -f.softmax(-1).amin(-1)),
            "The *largest* of the probabilities, amax: how sure the classifier is of its favorite.",
            also=(_like_strangeness(unsure=lambda f: f.softmax(-1).amin(-1)),),
        ),
        Mistake(
            _like_strangeness(energy=lambda f: -f.amax(-1)),
            "This is the energy together with the likeliest label, −max f; here all labels are summed out: −log Σ exp f.",
        ),
        Mistake(
            _like_strangeness(energy=lambda f: (-f).logsumexp(-1)),
            "The minus stands before the logarithm, not inside: −log Σ exp(f).",
            also=(_like_strangeness(energy=lambda f: -(-f).logsumexp(-1)),),
        ),
        Mistake(
            _like_strangeness(energy=lambda f: -f.exp().sum(-1)),
            "The logarithm is missing: −log Σ exp(f).",
        ),
        Mistake(
            _like_strangeness(energy=lambda f: -f.sum(-1)),
            "Logits are logs: the sum is over exp(f), and its log is taken: logsumexp.",
            also=(_like_strangeness(energy=lambda f: -f.mean(-1)),),
        ),
        Mistake(
            _like_strangeness(energy=lambda f: -f.logsumexp(0)),
            "You summed over the images; sum over the classes, the last dimension.",
            also=(
                _like_strangeness(energy=lambda f: -f.logsumexp(0), unsure=lambda f: -f.softmax(0).amax(0)),
            ),
        ),
        Mistake(
            _like_strangeness(unsure=lambda f: f.softmax(-1).amax(-1)),
            "The second is how sure the classifier is. Strange images are to have the *larger* score: a minus.",
        ),
        Mistake(
            _like_strangeness(unsure=lambda f: -f.amax(-1)),
            "The second is about probabilities: softmax first, then the largest.",
        ),
        Mistake(
            _like_strangeness(unsure=lambda f: -f.log_softmax(-1).amax(-1)),
            "The second is minus the largest probability itself, not its log. (They order images alike, but we compare numbers.)",
        ),
        Mistake(
            _like_strangeness(unsure=lambda f: -(f.softmax(-1) * f.log_softmax(-1)).sum(-1)),
            "The entropy of p(y|x) measures doubt as well; here it is minus the largest probability.",
            also=(_like_strangeness(unsure=lambda f: (f.softmax(-1) * f.log_softmax(-1)).sum(-1)),),
        ),
        Mistake(
            _like_strangeness(unsure=lambda f: 1 - f.softmax(-1).amax(-1)),
            "The second is off by one: −max p(y|x). (1 − max p orders images alike, but we compare numbers.)",
        ),
        Mistake(
            _like_strangeness(unsure=lambda f: -f.softmax(0).amax(-1)),
            "The softmax runs over the classes, the last dimension, not over the images.",
        ),
        Mistake(
            _like_strangeness(unsure=lambda f: f.argmax(-1)),
            "argmax is the name of the likeliest class; how likely it is, is amax.",
            also=(_like_strangeness(unsure=lambda f: -f.argmax(-1)),
                  _like_strangeness(unsure=lambda f: -f.softmax(-1).argmax(-1))),
        ),
        Mistake(
            lambda logits: (-logits.softmax(-1).amax(-1), -logits.logsumexp(-1)),
            "The two are exchanged: the energy comes first.",
        ),
        Mistake(
            lambda logits: (-logits.logsumexp(-1), -logits.softmax(-1).max(-1)),
            "max(-1) returns values and places; take .values, or use amax(-1).",
        ),
    ),
    alternatives=(
        lambda logits: (-logits.logsumexp(dim=1), -torch.softmax(logits, dim=1).max(dim=1).values),
        lambda logits: [-torch.logsumexp(logits, 1), -logits.log_softmax(1).amax(1).exp()],
        lambda logits: (-logits.logsumexp(1), -(logits.amax(1) - logits.logsumexp(1)).exp()),
    ),
)  # fmt: skip
