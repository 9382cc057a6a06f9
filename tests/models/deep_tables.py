"""Deep models of 6-4-3 binary units, small enough that every probability is a sum over all states."""

import itertools

import torch
from torch.nn import functional as F

from dgmcourse.core import Space
from dgmcourse.models import DBM, DBN, RBM

SIX = Space.binary(1, 2, 3)


def states(units: int) -> torch.Tensor:
    """Every binary vector, by itertools: (2^units, units), float64."""
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=units)), dtype=torch.float64)


def images() -> torch.Tensor:
    """All 64 members of `SIX`."""
    return states(6).view(-1, 1, 2, 3)


def total_variation(samples: torch.Tensor, exact: torch.Tensor) -> float:
    """½ Σ |frequency − probability| over all states of `states`."""
    weights = 2 ** torch.arange(samples.shape[1] - 1, -1, -1)
    codes = (samples.long() * weights).sum(-1)
    return float(0.5 * (torch.bincount(codes, minlength=len(exact)) / len(codes) - exact).abs().sum())


# --- deep belief networks ----------------------------------------------------------------------------------------------


def random_dbn(space=SIX, hidden=(4, 3), scale=1.0, **settings) -> DBN:
    """A DBN with all its weights and biases, those of recognition too, of order `scale`, in float64."""
    torch.manual_seed(0)
    model = DBN(space, hidden, **settings).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    return model


@torch.no_grad()
def log_top(rbm: RBM, y: int | None = None) -> torch.Tensor:
    """log p(v) of an RBM of binary units over all v, or log p(v | y): by summing exp(−E) over every state of all units."""
    n = rbm.space.dim
    v, h, labels = states(n), states(rbm.latents), torch.eye(max(rbm.classes or 0, 1), dtype=torch.float64)
    weight, bias = rbm.weight, rbm.visible_bias
    log_p = v @ weight[:n] @ h.T + (v @ bias[:n])[:, None] + h @ rbm.hidden_bias  # (v, h)
    if rbm.classes is not None:
        log_p = log_p[:, :, None] + (h @ weight[n:].T + bias[n:]) @ labels  # (v, h, y)
        log_p = log_p if y is None else log_p[:, :, y : y + 1]
    log_p = log_p.flatten(1).logsumexp(1)
    return log_p - log_p.logsumexp(0)


@torch.no_grad()
def tables(model: DBN, x: torch.Tensor, y: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """log p(x, h₁) and log q(h₁|x) of two hidden layers, for every x given and every h₁: (x, h₁), nats."""
    rbm, h, v = model.layers[0], states(model.hidden[0]), x.flatten(1)
    if rbm.real:
        mean = h @ rbm.weight.T + rbm.visible_bias
        log_p = torch.distributions.Normal(mean, rbm.scale).log_prob(v[:, None]).sum(-1)
    else:
        log_odds = h @ rbm.weight.T + rbm.visible_bias
        log_p = -F.binary_cross_entropy_with_logits(log_odds.expand(len(v), -1, -1), v[:, None].expand(-1, len(h), -1),
                                                    reduction="none").sum(-1)  # fmt: skip
    q = torch.distributions.Bernoulli(logits=model.recognition[0](v)[:, None])
    return log_p + log_top(model.top, y), q.log_prob(h).sum(-1)


def exact_bound(model: DBN, x: torch.Tensor, y: int | None = None) -> torch.Tensor:
    log_p, log_q = tables(model, x, y)
    return (log_q.exp() * (log_p - log_q)).sum(1)


# --- deep Boltzmann machines ---------------------------------------------------------------------------------------------


def random_dbm(hidden=(4, 3), scale=1.0, space=SIX, centered=True, **settings) -> DBM:
    """A DBM with weights and biases of order `scale`, counted from random centers in (0, 1), in float64."""
    torch.manual_seed(0)
    model = DBM(space, hidden, **{"chains": 5, **settings}).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    if centered:
        model.levels.centers.uniform_()
    return model


def joint(model: DBM) -> torch.Tensor:
    """−E of every state of all levels, one dimension a level: (64, 2^hidden[0], …, [classes]), term by term."""
    levels = [states(units) for units in (6, *model.hidden)]
    if model.classes is not None:
        levels.append(torch.eye(model.classes, dtype=torch.float64))
    parts = [len(level[0]) for level in levels]
    centers = model.levels.centers.split(parts)
    total = torch.zeros([len(level) for level in levels], dtype=torch.float64)
    for i, (level, bias) in enumerate(zip(levels, model.levels.biases, strict=True)):
        total = total + (level @ bias).view([-1 if j == i else 1 for j in range(len(levels))])
    for i, weight in enumerate(model.levels.weights):
        pairs = (levels[i] - centers[i]) @ weight @ (levels[i + 1] - centers[i + 1]).T
        total = total + pairs.view([pairs.shape[j - i] if j in (i, i + 1) else 1 for j in range(len(levels))])
    return total


def log_p(model: DBM, y: int | None = None) -> torch.Tensor:
    """Exact log p(x), or log p(x | y), of every image."""
    table = joint(model).detach()
    table = table if y is None else table[..., y]
    return table.flatten(1).logsumexp(1) - table.flatten().logsumexp(0)
