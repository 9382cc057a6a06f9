"""Exercises of lesson 06 on the affine coupling layer: forward and back."""

import torch

from . import Exercise, Mistake, invertible
from .flows_volume import LESSON

# --- towards noise ----------------------------------------------------------------------------------------------------


def couple(x, network):
    a, b = x.chunk(2, dim=-1)
    log_scale, shift = network(a)
    return torch.cat([a, b * log_scale.exp() + shift], dim=-1), log_scale.sum(-1)


def uncouple(z, network):
    a, b = z.chunk(2, dim=-1)
    log_scale, shift = network(a)
    return torch.cat([a, (b - shift) * (-log_scale).exp()], dim=-1)


def _draw_layer(generator):
    """Five points of six entries, and a network that gives three log-scales and three shifts for three entries."""
    weight = 0.7 * torch.randn(3, 6, generator=generator)

    def network(a):
        return (a @ weight).sin().chunk(2, dim=-1)

    return torch.randn(5, 6, generator=generator), network


def _like_couple(moved=None, log_det=None, join=None):
    """A coupling layer with another function of b, log-determinant, or order of the halves."""
    moved = moved or (lambda b, s, t: b * s.exp() + t)
    log_det = log_det or (lambda s, t: s.sum(-1))
    join = join or (lambda a, b: torch.cat([a, b], dim=-1))

    def layer(x, network):
        a, b = x.chunk(2, dim=-1)
        s, t = network(a)
        return join(a, moved(b, s, t)), log_det(s, t)

    return layer


def _other_half_asked(x, network):
    a, b = x.chunk(2, dim=-1)
    s, t = network(b)
    return torch.cat([a, b * s.exp() + t], dim=-1), s.sum(-1)


def _other_half_moved(x, network):
    a, b = x.chunk(2, dim=-1)
    s, t = network(a)
    return torch.cat([a * s.exp() + t, b], dim=-1), s.sum(-1)


def _second_half_kept(x, network):
    a, b = x.chunk(2, dim=-1)
    s, t = network(b)
    return torch.cat([a * s.exp() + t, b], dim=-1), s.sum(-1)


def _all_asked(x, network):
    s, t = network(x)
    return x * s.exp() + t, s.sum(-1)


def _every_second(x, network):
    a, b = x[:, ::2], x[:, 1::2]
    s, t = network(a)
    return torch.stack([a, b * s.exp() + t], dim=-1).flatten(1), s.sum(-1)


def _every_second_first(x, network):
    a, b = x[:, ::2], x[:, 1::2]
    s, t = network(a)
    return torch.cat([a, b * s.exp() + t], dim=-1), s.sum(-1)


def _halves_of_the_batch(x, network):
    a, b = x.chunk(2)
    s, t = network(a)
    return torch.cat([a, b * s.exp() + t]), s.sum(-1)


def _halves_changed_in_place(x, network):
    a, b = x.chunk(2, dim=-1)
    s, t = network(a)
    b *= s.exp()
    b += t
    return torch.cat([a, b], dim=-1), s.sum(-1)


def _by_slices(x, network):
    half = x.shape[1] // 2
    s, t = network(x[:, :half])
    z = x.clone()
    z[:, half:] = torch.exp(s) * x[:, half:] + t
    return z, torch.sum(s, dim=1)


COUPLE = Exercise(
    "flows/coupling",
    couple,
    _draw_layer,
    lesson=LESSON,
    title="an affine coupling layer",
    minutes=10,
    difficulty=2,
    differentiable=True,
    properties=(invertible(uncouple),),
    hints=(
        "a, b = x.chunk(2, dim=-1) are the halves. The network is asked about a alone: log_scale, shift = network(a).",
        "b becomes b * log_scale.exp() + shift; a stays. Join them in the old order with torch.cat([…, …], dim=-1). "
        "The log-determinant is the sum of the log-scales over the entries, one number a point.",
        "return torch.cat([a, b * log_scale.exp() + shift], dim=-1), log_scale.sum(-1)",
    ),
    mistakes=(
        Mistake(
            _like_couple(moved=lambda b, s, t: b * s + t),
            "You multiplied by the log-scale itself; the scale is exp(log_scale), which is never 0 or negative.",
            also=(_like_couple(moved=lambda b, s, t: b * s + t, log_det=lambda s, t: s.abs().log().sum(-1)),),
        ),
        Mistake(
            _like_couple(moved=lambda b, s, t: (b - t) * (-s).exp()),
            "This is the way back, (b − t) exp(−s). Towards noise: b exp(s) + t.",
            also=(_like_couple(moved=lambda b, s, t: (b - t) * (-s).exp(), log_det=lambda s, t: -s.sum(-1)),),
        ),
        Mistake(
            _like_couple(moved=lambda b, s, t: (b + t) * s.exp()),
            "You shifted before you scaled: b exp(s) + t, so that the shift is not scaled.",
        ),
        Mistake(
            _like_couple(moved=lambda b, s, t: b * s.exp() - t),
            "The shift has the wrong sign: b exp(s) + t.",
        ),
        Mistake(
            _like_couple(moved=lambda b, s, t: b * t.exp() + s, log_det=lambda s, t: t.sum(-1)),
            "Log-scale and shift are exchanged: the network returns the log-scale first.",
            also=(_like_couple(moved=lambda b, s, t: b * t.exp() + s),),
        ),
        Mistake(
            _like_couple(log_det=lambda s, t: -s.sum(-1)),
            "The log-determinant has the wrong sign: b is multiplied by exp(s), so the slope of each entry is exp(s), and its log s.",
        ),
        Mistake(
            _like_couple(log_det=lambda s, t: s.exp().sum(-1)),
            "The determinant is the *product* of the scales exp(s); its log is the sum of the s themselves.",
            also=(_like_couple(log_det=lambda s, t: s.exp().sum(-1).log()),),
        ),
        Mistake(
            _like_couple(log_det=lambda s, t: s.exp().prod(-1)),
            "This is the determinant; return its log, which is simply the sum of the log-scales.",
        ),
        Mistake(
            _like_couple(log_det=lambda s, t: s.mean(-1)),
            "The determinant is a product over the entries, so its log is a sum: .sum(-1), not a mean.",
        ),
        Mistake(
            _like_couple(log_det=lambda s, t: s),
            "The log-determinant is one number a point: sum the log-scales over the entries, .sum(-1).",
        ),
        Mistake(
            _like_couple(log_det=lambda s, t: s.sum()),
            "You summed over the batch too; each point has its own log-determinant: .sum(-1).",
            also=(_like_couple(log_det=lambda s, t: s.mean()), _like_couple(log_det=lambda s, t: s.sum(0))),
        ),
        Mistake(
            _like_couple(log_det=lambda s, t: s.abs().sum(-1)),
            "ln |det|: the absolute value is of the determinant, not of its log. exp(s) is positive anyway: s.sum(-1).",
        ),
        Mistake(
            _like_couple(log_det=lambda s, t: (s + t).sum(-1)),
            "The shift moves points without stretching anything, so it does not count: only the log-scales do.",
        ),
        Mistake(
            _like_couple(log_det=lambda s, t: torch.zeros(len(s))),
            "A scale other than 1 changes volume: the log-determinant is the sum of the log-scales.",
        ),
        Mistake(
            _like_couple(join=lambda a, b: torch.cat([b, a], dim=-1)),
            "The halves come back in the wrong order: first a, then what became of b.",
        ),
        Mistake(
            _like_couple(join=lambda a, b: b),
            "The half that stays is part of z, too: torch.cat([a, …], dim=-1).",
        ),
        Mistake(
            _like_couple(join=lambda a, b: torch.cat([a, b])),
            "You joined the halves one below the other; side by side is dim=-1.",
        ),
        Mistake(
            _like_couple(join=lambda a, b: torch.stack([a, b], dim=-1)),
            "torch.stack makes a new dimension; to put the halves side by side again: torch.cat([a, …], dim=-1).",
            also=(_like_couple(join=lambda a, b: torch.stack([a, b])),),
        ),
        Mistake(
            _other_half_asked,
            "You asked the network about b, the half that changes. On the way back nobody knows b yet: ask it about a.",
        ),
        Mistake(
            _other_half_moved,
            "You scaled the half that the network was asked about. On the way back nobody would know what to ask: a stays, b moves.",
        ),
        Mistake(
            _second_half_kept,
            "This is a coupling layer, but with the halves exchanged: a, the half that stays, is the first one.",
        ),
        Mistake(
            _all_asked,
            "The network takes half of the entries: hand it a alone, a, b = x.chunk(2, dim=-1).",
        ),
        Mistake(
            _every_second,
            "This keeps every second entry. It would do as well, but here a is the first half: x.chunk(2, dim=-1).",
            also=(_every_second_first,),
        ),
        Mistake(
            _halves_of_the_batch,
            "You cut the batch in two, not the points: chunk(2, dim=-1).",
        ),
        Mistake(
            _halves_changed_in_place,
            "chunk returns views: b is still a part of x, and PyTorch refuses to change it in place. Make something new: b * … + shift, "
            "without *= and +=.",
        ),
        Mistake(
            lambda x, network: couple(x, network)[::-1],
            "Both parts are right, but in the wrong order: first z, then the log-determinant.",
        ),
        Mistake(
            lambda x, network: couple(x, network)[0],
            "The log-determinant is missing: return two things, z and log_scale.sum(-1).",
        ),
    ),
    alternatives=(
        _by_slices,
        lambda x, network: (
            torch.cat([x[:, :3], torch.addcmul(network(x[:, :3])[1], x[:, 3:], network(x[:, :3])[0].exp())], 1),
            network(x[:, :3])[0].exp().log().sum(1),
        ),
    ),
)


# --- towards data -----------------------------------------------------------------------------------------------------


def _like_uncouple(moved, asked=0, kept=0):
    """The way back with another function of b, or other halves asked and kept."""

    def layer(z, network):
        halves = list(z.chunk(2, dim=-1))
        s, t = network(halves[asked])
        halves[1 - kept] = moved(halves[1 - kept], s, t)
        return torch.cat(halves, dim=-1)

    return layer


def _back(b, s, t):
    return (b - t) * (-s).exp()


def _back_in_place(z, network):
    a, b = z.chunk(2, dim=-1)
    s, t = network(a)
    b -= t
    b /= s.exp()
    return torch.cat([a, b], dim=-1)


def _with_the_determinant(z, network):
    return uncouple(z, network), -network(z.chunk(2, dim=-1)[0])[0].sum(-1)


UNCOUPLE = Exercise(
    "flows/inverse",
    uncouple,
    _draw_layer,
    lesson=LESSON,
    title="the coupling layer, backwards",
    minutes=6,
    difficulty=1,
    differentiable=True,
    properties=(invertible(lambda x, network: couple(x, network)[0]),),
    hints=(
        "The first half of z is a itself, so the network can be asked the same question as on the way there.",
        "Solve z_b = b · exp(s) + t for b: first subtract the shift, then divide by the scale. Dividing by exp(s) is multiplying by exp(−s).",
        "torch.cat([a, (b - shift) * (-log_scale).exp()], dim=-1), with log_scale, shift = network(a)",
    ),
    mistakes=(
        Mistake(
            lambda z, network: couple(z, network)[0],
            "This is the way there once more; back again: subtract the shift, then divide by the scale.",
        ),
        Mistake(
            _like_uncouple(lambda b, s, t: b * (-s).exp() - t),
            "Undo the steps in the opposite order: the shift came last, so it goes first, (b − t) exp(−s).",
        ),
        Mistake(
            _like_uncouple(lambda b, s, t: b - t * (-s).exp()),
            "Brackets are missing: b − t / exp(s) scales the shift alone. All of z_b − t is scaled: (b − t) exp(−s).",
        ),
        Mistake(
            _like_uncouple(lambda b, s, t: (b + t) * (-s).exp()),
            "The shift was added, so it must be subtracted: (b − t) exp(−s).",
        ),
        Mistake(
            _like_uncouple(lambda b, s, t: (b - t) * s.exp()),
            "The scale multiplied b, so divide by it: (b − t) exp(−s).",
        ),
        Mistake(
            _like_uncouple(lambda b, s, t: (b - t) / s),
            "You divided by the log-scale; the scale is exp(log_scale).",
        ),
        Mistake(
            _like_uncouple(lambda b, s, t: (b - t) * -s.exp()),
            "−exp(s) is not exp(−s): the minus belongs inside, (-log_scale).exp().",
        ),
        Mistake(
            _like_uncouple(lambda b, s, t: (b - s) * (-t).exp()),
            "Log-scale and shift are exchanged: the network returns the log-scale first.",
        ),
        Mistake(
            _like_uncouple(_back, asked=1),
            "You asked the network about the half that was changed; it was asked about a, and a is still here, unchanged.",
        ),
        Mistake(
            _like_uncouple(_back, kept=1),
            "You changed a, the half that stayed as it was; b is the one to bring back.",
            also=(_like_uncouple(_back, asked=1, kept=1),),
        ),
        Mistake(
            lambda z, network: uncouple(z, network)[:, z.shape[1] // 2 :],
            "This is b alone; x is both halves: torch.cat([a, b], dim=-1).",
        ),
        Mistake(
            lambda z, network: torch.cat(uncouple(z, network).chunk(2, dim=-1)[::-1], dim=-1),
            "The halves come back in the wrong order: first a, then b.",
        ),
        Mistake(
            _with_the_determinant,
            "The values are right, but x alone is asked for, without the log-determinant.",
        ),
        Mistake(
            _back_in_place,
            "chunk returns views: b is still a part of z, and PyTorch refuses to change it in place. Make something new: "
            "(b − shift) * …, without -= and /=.",
        ),
    ),
    alternatives=(
        _like_uncouple(lambda b, s, t: (b - t) / s.exp()),
        lambda z, network: torch.cat(
            [z[:, :3], torch.exp(-network(z[:, :3])[0]) * (z[:, 3:] - network(z[:, :3])[1])], 1
        ),
    ),
)
