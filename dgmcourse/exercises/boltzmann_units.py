"""Exercises of lesson 03 on the two sides of a restricted machine: p(h|x), and a sweep of block Gibbs sampling."""

import torch
from torch.nn import functional as F

from . import Exercise, Mistake
from .boltzmann_energy import LESSON, draw_binary, draw_machine

# --- p(h = 1 | x) -----------------------------------------------------------------------------------------------------


def hidden_probability(x, weight, c):
    return (c + x @ weight).sigmoid()


def _draw_visible(generator, batch=5):
    weight, b, c = draw_machine(generator)
    return draw_binary(generator, batch, len(b)), weight, c


def _bernoulli(p):
    return (torch.rand_like(p) < p).float()


def _two_states(x, weight, c):
    """exp(input) of the unit switched on, against exp(0) of the unit switched off."""
    on = c + x @ weight
    return torch.stack([torch.zeros_like(on), on]).softmax(0)[1]


HIDDEN = Exercise(
    "boltzmann/hidden",
    hidden_probability,
    _draw_visible,
    lesson=LESSON,
    title="p(h | x)",
    minutes=4,
    difficulty=1,
    differentiable=True,
    hints=(
        "Every hidden unit has an input: its bias, and what the visible units that are on send it. For a batch that is "
        "c + x @ weight.",
        "exp(input) stands for on, exp(0) = 1 for off. On as a share of both is exp(input) / (1 + exp(input)), the sigmoid.",
        "(c + x @ weight).sigmoid()",
    ),
    mistakes=(
        Mistake(
            lambda x, weight, c: (x @ weight).sigmoid(),
            "The hidden biases c are missing.",
        ),
        Mistake(
            lambda x, weight, c: (-(c + x @ weight)).sigmoid(),
            "This is the probability of being off: −E stands in the exponent, so a positive input makes on more likely.",
            also=(lambda x, weight, c: 1 - (c + x @ weight).sigmoid(),),
        ),
        Mistake(
            lambda x, weight, c: (c + x @ weight).softmax(-1),
            "softmax would let exactly one hidden unit be on; each is on or off by itself: sigmoid.",
        ),
        Mistake(
            lambda x, weight, c: c + x @ weight,
            "This is the input of each unit, its log-odds; the probability is its sigmoid.",
        ),
        Mistake(
            lambda x, weight, c: F.softplus(c + x @ weight),
            "softplus is log(1 + exp(input)), from the free energy; the probability is its slope, the sigmoid.",
        ),
        Mistake(
            lambda x, weight, c: (c + x @ weight).exp(),
            "exp(input) is the weight of on; divide by the weights of on and off together, 1 + exp(input).",
        ),
        Mistake(
            lambda x, weight, c: (c + x @ weight > 0).float(),
            "You decided for each unit; return its probability of being on.",
            also=(
                lambda x, weight, c: (c + x @ weight).sigmoid().round(),
                lambda x, weight, c: (c + x @ weight).sigmoid() > 0.5,
            ),
        ),
        Mistake(
            lambda x, weight, c: _bernoulli((c + x @ weight).sigmoid()),
            "You drew the units; return the probabilities. Drawing comes in the next exercise.",
            also=(
                lambda x, weight, c: torch.bernoulli((c + x @ weight).sigmoid()),
                lambda x, weight, c: _bernoulli((c + x @ weight).sigmoid()).bool(),
            ),
        ),
        Mistake(
            lambda x, weight, c: (c + x @ weight.T).sigmoid(),
            "W is (visible, hidden): x @ weight leads from visible to hidden units, weight.T leads back.",
            also=(
                lambda x, weight, c: (c + weight @ x).sigmoid(),
                lambda x, weight, c: (c + weight.T @ x).sigmoid(),
            ),
        ),
        Mistake(
            lambda x, weight, c: (c + x @ weight).sigmoid().prod(-1),
            "This is the probability that all units are on; return each unit's own, (batch, hidden).",
        ),
        Mistake(
            lambda x, weight, c: (c + x @ weight).sigmoid().mean(0),
            "You averaged over the batch: one probability for each image and unit, (batch, hidden).",
        ),
        Mistake(
            lambda x, weight, c: (c + x @ weight).tanh(),
            "tanh lies between −1 and 1; a probability is the sigmoid.",
        ),
    ),
    alternatives=(
        _two_states,
        lambda x, weight, c: 1 / (1 + torch.exp(-torch.addmm(c, x, weight))),
        lambda x, weight, c: F.linear(x, weight.T, c).sigmoid(),
    ),
)


# --- a sweep of block Gibbs sampling ----------------------------------------------------------------------------------


def gibbs_sweep(x, weight, b, c):
    h = _bernoulli((c + x @ weight).sigmoid())
    return _bernoulli((b + h @ weight.T).sigmoid())


def _draw_state(generator, batch=3):
    """The hidden units are undecided, and their states matter. The first image is blank, so that c alone decides."""
    weight, b, _ = draw_machine(generator, visible=4, hidden=3)
    x = draw_binary(generator, batch, 4)
    x[0] = 0.0
    return x, 2.5 * weight, b, torch.tensor([1.4, -1.2, 0.5]) + 0.2 * torch.rand(3, generator=generator)


def _up(x, weight, c):
    return (c + x @ weight).sigmoid()


def _down(h, weight, b):
    return (b + h @ weight.T).sigmoid()


def _one_noise_for_all(x, weight, b, c):
    p = _up(x, weight, c)
    p = _down((torch.rand(p.shape[1]) < p).float(), weight, b)
    return (torch.rand(p.shape[1]) < p).float()


def _one_coin_an_image(x, weight, b, c):
    h = (torch.rand(len(x), 1) < _up(x, weight, c)).float()
    return (torch.rand(len(x), 1) < _down(h, weight, b)).float()


def _one_coin_for_all(x, weight, b, c):
    h = (torch.rand(()) < _up(x, weight, c)).float()
    return (torch.rand(()) < _down(h, weight, b)).float()


def _normal_noise(x, weight, b, c):
    p = _up(x, weight, c)
    p = _down((torch.randn_like(p) < p).float(), weight, b)
    return (torch.randn_like(p) < p).float()


SWEEP = Exercise(
    "boltzmann/sweep",
    gibbs_sweep,
    _draw_state,
    lesson=LESSON,
    title="a Gibbs sweep",
    minutes=8,
    difficulty=2,
    random=True,
    hints=(
        "Up, then down. Up: the probabilities of the hidden units given x, and a coin for each. Down: the probabilities of "
        "the visible units given the h that you drew, and a coin for each.",
        "Down is the mirror image of up: the input of visible unit i is bᵢ + Σⱼ Wᵢⱼ hⱼ, for a batch b + h @ weight.T. A coin "
        "that shows 1 with probability p is (torch.rand_like(p) < p).float().",
        "p = (c + x @ weight).sigmoid(); h = (torch.rand_like(p) < p).float(); q = (b + h @ weight.T).sigmoid(); return "
        "(torch.rand_like(q) < q).float()",
    ),
    mistakes=(
        Mistake(
            lambda x, weight, b, c: _bernoulli(_down(_up(x, weight, c), weight, b)),
            "You sent the hidden probabilities down instead of drawn zeros and ones. Then h says more than a bit a unit, and "
            "the chain no longer samples from the model.",
        ),
        Mistake(
            lambda x, weight, b, c: _down(_bernoulli(_up(x, weight, c)), weight, b),
            "You return the probabilities of the visible units; draw them too: a state is zeros and ones.",
        ),
        Mistake(
            lambda x, weight, b, c: _down(_up(x, weight, c), weight, b),
            "Nothing is drawn: this is a mean going up and down. Draw h before you go down, and x before you return it.",
        ),
        Mistake(
            lambda x, weight, b, c: _bernoulli(_down((_up(x, weight, c) > 0.5).float(), weight, b)),
            "You took the more likely state of a unit; draw it with its probability: (torch.rand_like(p) < p).float().",
            also=(
                lambda x, weight, b, c: (_down((_up(x, weight, c) > 0.5).float(), weight, b) > 0.5).float(),
                lambda x, weight, b, c: (_down(_bernoulli(_up(x, weight, c)), weight, b) > 0.5).float(),
            ),
        ),
        Mistake(
            lambda x, weight, b, c: _bernoulli(_up(x, weight, c)),
            "You went up and stayed there: now draw x given h, and return x.",
        ),
        Mistake(
            lambda x, weight, b, c: gibbs_sweep(x, weight, b, c).bool(),
            "Right, but true and false: make them numbers, .float().",
        ),
        Mistake(
            lambda x, weight, b, c: _bernoulli((b + _bernoulli(_up(x, weight, c)) @ weight).sigmoid()),
            "On the way down the weights are transposed: W is (visible, hidden), so h @ weight.T is (batch, visible).",
        ),
        Mistake(
            lambda x, weight, b, c: _bernoulli((_bernoulli(_up(x, weight, c)) @ weight.T).sigmoid()),
            "The visible biases b are missing on the way down.",
        ),
        Mistake(
            lambda x, weight, b, c: _bernoulli(_down(_bernoulli((x @ weight).sigmoid()), weight, b)),
            "The hidden biases c are missing on the way up.",
        ),
        Mistake(
            lambda x, weight, b, c: 1 - _bernoulli(_down(1 - _bernoulli(_up(x, weight, c)), weight, b)),
            "Your coins show 1 where they should show 0: rand < p is true with probability p, rand > p with 1 − p.",
            also=(
                lambda x, weight, b, c: 1 - _bernoulli(_down(_bernoulli(_up(x, weight, c)), weight, b)),
                lambda x, weight, b, c: _bernoulli(_down(1 - _bernoulli(_up(x, weight, c)), weight, b)),
            ),
        ),
        Mistake(
            lambda x, weight, b, c: _bernoulli(b + _bernoulli(c + x @ weight) @ weight.T),
            "These are the inputs of the units, which may be anything; their sigmoid is a probability to compare a coin with.",
            also=(
                lambda x, weight, b, c: _bernoulli(b + _bernoulli(_up(x, weight, c)) @ weight.T),
                lambda x, weight, b, c: _bernoulli(_down(_bernoulli(c + x @ weight), weight, b)),
            ),
        ),
        Mistake(
            _one_noise_for_all,
            "One set of coins serves the whole batch, so the chains move together: draw coins of p's full shape, "
            "torch.rand_like(p).",
        ),
        Mistake(
            _one_coin_an_image,
            "One random number decides all units of an image together; each unit needs its own: torch.rand_like(p).",
            also=(_one_coin_for_all,),
        ),
        Mistake(
            _normal_noise,
            "randn is Gaussian; a coin of probability p needs uniform noise: torch.rand_like(p) < p.",
            also=(
                lambda x, weight, b, c: _bernoulli(
                    _down((torch.randn(len(x), len(c)) < _up(x, weight, c)).float(), weight, b)
                ),
            ),
        ),
    ),
    alternatives=(
        lambda x, weight, b, c: torch.bernoulli(
            torch.sigmoid(torch.bernoulli(torch.sigmoid(x @ weight + c)) @ weight.T + b)
        ),
        lambda x, weight, b, c: torch.distributions.Bernoulli(
            logits=b + torch.distributions.Bernoulli(logits=c + x @ weight).sample() @ weight.T
        ).sample(),
        lambda x, weight, b, c: torch.where(
            torch.rand(len(x), len(b)) < _down(_bernoulli(_up(x, weight, c)), weight, b), 1.0, 0.0
        ),
    ),
)
