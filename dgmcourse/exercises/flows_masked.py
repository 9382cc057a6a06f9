"""The exercise of lesson 06 on masked autoregressive layers: the density in one pass."""

import math

import torch

from . import Exercise, Mistake
from .flows_volume import LESSON, log_standard_normal


def masked_log_density(x, network):
    log_scale, shift = network(x)
    z = x * log_scale.exp() + shift
    return log_standard_normal(z).sum(-1) + log_scale.sum(-1)


def _draw_masked(generator):
    """Five points of four entries, and a network whose i-th log-scale and shift know only the entries before i."""
    weights = torch.randn(2, 4, 4, generator=generator).triu(1)
    biases = 0.3 * torch.randn(2, 4, generator=generator)

    def network(x):
        return (x @ weights[0] + biases[0]).sin(), (x @ weights[1] + biases[1]).tanh()

    return torch.randn(5, 4, generator=generator), network


def _like_masked(noise=None, log_det=None, base=None):
    """The density with another map, log-determinant or base."""
    noise = noise or (lambda x, s, t: x * s.exp() + t)
    log_det = log_det or (lambda s: s.sum(-1))
    base = base or (lambda z: log_standard_normal(z).sum(-1))

    def density(x, network):
        s, t = network(x)
        return base(noise(x, s, t)) + log_det(s)

    return density


def _noise_asked(x, network):
    """An inverse autoregressive layer: the network is asked about the noise before each entry."""
    z, total = torch.zeros_like(x), 0.0
    for i in range(x.shape[1]):
        s, t = (part[:, i] for part in network(z))
        z = torch.cat([z[:, :i], (x[:, i] * s.exp() + t)[:, None], z[:, i + 1 :]], dim=-1)
        total = total + s
    return log_standard_normal(z).sum(-1) + total


def _entry_by_entry(x, network):
    """The slow way to the same number: each entry after the ones before it are known."""
    total = torch.zeros(len(x))
    for i in range(x.shape[1]):
        seen = torch.cat([x[:, :i], torch.zeros_like(x[:, i:])], dim=-1)
        s, t = (part[:, i] for part in network(seen))
        total = total + log_standard_normal(x[:, i] * s.exp() + t) + s
    return total


MASKED = Exercise(
    "flows/masked",
    masked_log_density,
    _draw_masked,
    lesson=LESSON,
    title="a masked autoregressive density",
    minutes=8,
    difficulty=2,
    differentiable=True,
    hints=(
        "One call of the network gives all log-scales and shifts: log_scale, shift = network(x). Then all zᵢ at once.",
        "ln p(x) is the Gaussian's log density of z, summed over the entries, plus the log-determinant. The Jacobian is triangular: "
        "its determinant is the product of its diagonal, exp(s₁) exp(s₂) …",
        "z = x * log_scale.exp() + shift, then (-0.5 * z.square() - 0.5 * math.log(2 * math.pi) + log_scale).sum(-1)",
    ),
    mistakes=(
        Mistake(
            _like_masked(log_det=lambda s: 0.0),
            "The log-determinant is missing: each entry is stretched by exp(sᵢ), so add the sum of the log-scales.",
        ),
        Mistake(
            _like_masked(log_det=lambda s: -s.sum(-1)),
            "The log-determinant has the wrong sign: towards noise entry i is multiplied by exp(sᵢ), so it is + Σ sᵢ.",
        ),
        Mistake(
            _like_masked(noise=lambda x, s, t: (x - t) * (-s).exp()),
            "This is the way back, (x − t) exp(−s). Towards noise: z = x exp(s) + t.",
            also=(_like_masked(noise=lambda x, s, t: (x - t) * (-s).exp(), log_det=lambda s: -s.sum(-1)),),
        ),
        Mistake(
            _like_masked(noise=lambda x, s, t: x * s + t),
            "You multiplied by the log-scale itself; the scale is exp(log_scale).",
        ),
        Mistake(
            _like_masked(noise=lambda x, s, t: x * t.exp() + s),
            "Log-scale and shift are exchanged: the network returns the log-scale first.",
            also=(lambda x, network: masked_log_density(x, lambda x: network(x)[::-1]),),
        ),
        Mistake(
            _like_masked(noise=lambda x, s, t: (x + t) * s.exp()),
            "You shifted before you scaled: z = x exp(s) + t, so that the shift is not scaled.",
        ),
        Mistake(
            _like_masked(noise=lambda x, s, t: x * s.exp() - t),
            "The shift has the wrong sign: z = x exp(s) + t.",
        ),
        Mistake(
            _noise_asked,
            "You asked the network about the noise before each entry. Here it is asked about x, which is known: one call, network(x), "
            "gives all of s and t.",
        ),
        Mistake(
            _like_masked(noise=lambda x, s, t: x),
            "You scored x itself under the Gaussian; it is z = x exp(s) + t that is Gaussian.",
        ),
        Mistake(
            _like_masked(base=lambda z: -0.5 * z.square().sum(-1)),
            "The Gaussian's constant is missing: −½ ln 2π for every entry.",
        ),
        Mistake(
            _like_masked(base=lambda z: -0.5 * (z.square().sum(-1) + math.log(2 * math.pi))),
            "The Gaussian's constant stands here once; every entry has its own −½ ln 2π.",
        ),
        Mistake(
            _like_masked(log_det=lambda s: s.exp().sum(-1)),
            "The determinant is the product of the scales exp(sᵢ), so its log is the sum of the sᵢ themselves.",
            also=(_like_masked(log_det=lambda s: s.exp().prod(-1)),),
        ),
        Mistake(
            _like_masked(base=lambda z: log_standard_normal(z).mean(-1), log_det=lambda s: s.mean(-1)),
            "Logs of a product add up: .sum(-1) over the entries, not a mean.",
            also=(
                _like_masked(log_det=lambda s: s.mean(-1)),
                _like_masked(base=lambda z: log_standard_normal(z).mean(-1)),
            ),
        ),
        Mistake(
            lambda x, network: log_standard_normal(x * network(x)[0].exp() + network(x)[1]) + network(x)[0],
            "These are the terms of every entry; sum them over the entries, .sum(-1): one number a point.",
            also=(_like_masked(log_det=lambda s: s),),
        ),
        Mistake(
            _like_masked(log_det=lambda s: s.sum()),
            "The log-scales are summed over the batch; each point has its own log-determinant: log_scale.sum(-1).",
            also=(_like_masked(log_det=lambda s: s.sum(0)), _like_masked(log_det=lambda s: s.mean())),
        ),
        Mistake(
            _like_masked(log_det=lambda s: s.abs().sum(-1)),
            "ln |det|: the absolute value is of the determinant, not of its log. exp(s) is positive anyway: log_scale.sum(-1).",
        ),
        Mistake(
            lambda x, network: (_like_masked(log_det=lambda s: 0.0)(x, network), network(x)[0].sum(-1)),
            "Both terms are right; add them: ln p(x) is one number a point.",
        ),
        Mistake(
            lambda x, network: masked_log_density(x, network).sum(),
            "You summed over the batch too; each point has its own density: .sum(-1).",
            also=(lambda x, network: masked_log_density(x, network).mean(),),
        ),
        Mistake(
            lambda x, network: masked_log_density(x, network).exp(),
            "This is the density; return its log.",
        ),
        Mistake(
            lambda x, network: -masked_log_density(x, network),
            "This is −ln p(x), a loss; return ln p(x) itself.",
        ),
    ),
    alternatives=(
        _entry_by_entry,
        lambda x, network: (
            torch.distributions.Normal(-network(x)[1] * (-network(x)[0]).exp(), (-network(x)[0]).exp())
            .log_prob(x)
            .sum(-1)
        ),
    ),
)
