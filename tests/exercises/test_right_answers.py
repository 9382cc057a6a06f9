"""Lesson 04's exercises accept right answers however they are written."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence
from torch.nn import functional as F

from dgmcourse.exercises import find
from dgmcourse.exercises.engine.judging import judge


def kl(mean, log_var):
    return 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)


def bound(log_likelihood):
    return lambda x, logits, mean, log_var, beta=1.0: log_likelihood(x, logits) - beta * kl(mean, log_var)


def loss(term, other=kl):
    return lambda x, logits, mean, log_var: (term(x, logits) + other(mean, log_var)).mean()


def stable_cross_entropy(x, logits):
    return logits.clamp(min=0) - x * logits + torch.log1p(torch.exp(-logits.abs()))


def kl_by_columns(mean, log_var):
    total = torch.zeros(len(mean))
    for m, v in zip(mean.T, log_var.T, strict=True):
        total = total + 0.5 * (m * m + torch.exp(v) - v - 1)
    return total


def auroc_by_ranks(normal, anomalous):
    ordered = normal.sort().values
    below = torch.searchsorted(ordered, anomalous) + torch.searchsorted(ordered, anomalous, right=True)
    return below.float().mean() / 2 / len(normal)


def auroc_by_loop(normal, anomalous):
    wins = sum(1.0 if a > n else 0.5 if a == n else 0.0 for a in anomalous for n in normal)
    return torch.tensor(wins / (len(normal) * len(anomalous)))


def warmup_by_cases(step, warmup, beta=1.0):
    if step >= warmup:
        return beta
    return step / warmup * beta


RIGHT = {
    "reparameterize": [
        lambda m, v, e: e * torch.exp(0.5 * v) + m,
        lambda m, v, e: m + v.exp().sqrt() * e,
        lambda m, v, e: m + v.exp() ** 0.5 * e,
        lambda m, v, e: torch.addcmul(m, (v / 2).exp(), e),
        lambda m, v, e: (m.double() + (v.double() / 2).exp() * e.double()).float(),
        lambda m, v, e: m + v.mul(0.5).exp().mul(e),
        lambda m, v, e: m + math.e ** (0.5 * v) * e,
        lambda m, v, e: Normal(m, (v / 2).exp()).icdf(Normal(0.0, 1.0).cdf(e.double())).float(),
        lambda m, v, e: m + torch.exp2(v / (2 * math.log(2))) * e,
        lambda m, v, e: m + e / torch.exp(-0.5 * v),
    ],
    "kl": [
        kl_by_columns,
        lambda m, v: -0.5 * (1 + v - m.pow(2) - v.exp()).sum(dim=-1),
        lambda m, v: kl(m.double(), v.double()).float(),
        lambda m, v: (m.square() + torch.expm1(v) - v).sum(-1) / 2,
        lambda m, v: kl_divergence(Normal(m, v.exp().sqrt()), Normal(0.0, 1.0)).sum(-1),
        lambda m, v: kl_divergence(Independent(Normal(m, (v / 2).exp()), 1), Independent(Normal(0 * m, 1), 1)),
        lambda m, v: 0.5 * torch.einsum("bl->b", m * m + v.exp() - v) - m.shape[-1] / 2,
        lambda m, v: 0.5 * (m.norm(dim=1) ** 2 + v.exp().sum(1) - m.shape[1] - v.sum(1)),
        lambda m, v: (0.5 * m**2 + 0.5 * v.exp() - 0.5 - torch.log(torch.exp(0.5 * v))).sum(-1),
        lambda m, v: torch.vmap(lambda a, b: 0.5 * (a @ a + (b.exp() - 1 - b).sum()))(m, v),
    ],
    "elbo": [
        bound(lambda x, y: Bernoulli(logits=y).log_prob(x).sum(-1)),
        bound(lambda x, y: Independent(Bernoulli(logits=y), 1).log_prob(x)),
        bound(lambda x, y: (x * F.logsigmoid(y) + (1 - x) * F.logsigmoid(-y)).sum(-1)),
        bound(lambda x, y: (x * y - F.softplus(y)).sum(-1)),
        bound(lambda x, y: -F.softplus((1 - 2 * x) * y).sum(-1)),
        bound(lambda x, y: -stable_cross_entropy(x, y).sum(-1)),
        bound(lambda x, y: (x * y - torch.logaddexp(y, torch.zeros(()))).sum(1)),
        bound(
            lambda x, y: -F.binary_cross_entropy_with_logits(y.double(), x.double(), reduction="none").sum(1).float()
        ),
        lambda x, y, m, v, beta=1.0: (
            -(F.binary_cross_entropy_with_logits(y, x, reduction="none").sum(1) + kl(m, v) * beta)
        ),
        bound(
            lambda x, y: torch.stack(
                [-F.binary_cross_entropy_with_logits(b, a, reduction="sum") for a, b in zip(x, y, strict=True)]
            )
        ),
        bound(lambda x, y: F.logsigmoid(torch.where(x > 0, y, -y)).sum(-1)),
        bound(lambda x, y: torch.where(x == 1, F.logsigmoid(y), F.logsigmoid(-y)).sum(1)),
        bound(lambda x, y: -F.binary_cross_entropy_with_logits(y, x, reduction="none").mean(-1) * x.shape[-1]),
    ],
    "importance": [
        lambda w: torch.logsumexp(w, dim=0) - math.log(w.shape[0]),
        lambda w: torch.special.logsumexp(w, 0) - math.log(len(w)),
        lambda w: (w - math.log(len(w))).logsumexp(0),
        lambda w: w.double().exp().mean(0).log().float(),
        lambda w: (w - w.max()).exp().mean(0).log() + w.max(),
        lambda w: (w - w.amax(0)).exp().mean(0).log() + w.amax(0),
        lambda w: torch.logsumexp(w, 0) - torch.log(torch.tensor(float(len(w)))),
        lambda w: torch.stack([column.logsumexp(0) for column in w.T]) - math.log(w.size(0)),
        lambda w: w.logcumsumexp(0)[-1] - math.log(len(w)),
        lambda w: w[0] - w.log_softmax(0)[0] - math.log(len(w)),
        lambda w: w.T.logsumexp(1) + math.log(1 / len(w)),
    ],
    "interpolate": [
        lambda a, b, n: torch.lerp(a, b, torch.linspace(0, 1, n)[:, None]),
        lambda a, b, n: a + torch.linspace(0, 1, n).unsqueeze(-1) * (b - a),
        lambda a, b, n: a + (b - a) * torch.arange(n)[:, None] / (n - 1),
        lambda a, b, n: torch.stack([a * (1 - i / (n - 1)) + b * i / (n - 1) for i in range(n)]),
        lambda a, b, n: torch.stack([torch.linspace(p, q, n) for p, q in zip(a, b, strict=True)], dim=1),
        lambda a, b, n: torch.outer(torch.linspace(1, 0, n), a) + torch.outer(torch.linspace(0, 1, n), b),
        lambda a, b, n: torch.stack([torch.linspace(1, 0, n), torch.linspace(0, 1, n)], 1) @ torch.stack([a, b]),
        lambda a, b, n: (a[:, None] + (b - a)[:, None] * torch.linspace(0, 1, n)).T,
        lambda a, b, n: torch.linspace(0, 1, n, dtype=torch.float64)[:, None].mul(b - a).add(a).float(),
        lambda a, b, n: torch.cat([(a + t * (b - a))[None] for t in torch.linspace(0, 1, n)]),
        lambda a, b, n: torch.einsum("t,l->tl", torch.linspace(0, 1, n), b - a) + a,
    ],
    "anomaly": [
        auroc_by_ranks,
        auroc_by_loop,
        lambda n, a: ((a[:, None] > n).double() + (a[:, None] == n) / 2).mean().float(),
        lambda n, a: (torch.sign(a[None] - n[:, None]).mean() + 1) / 2,
        lambda n, a: torch.heaviside(a[:, None] - n, torch.tensor(0.5)).mean(),
        lambda n, a: ((a[:, None] > n).float().mean() + (a[:, None] >= n).float().mean()) / 2,
        lambda n, a: 1 - ((n[:, None] > a).float() + 0.5 * (n[:, None] == a)).mean(),
        lambda n, a: torch.where(a[:, None] > n, 1.0, torch.where(a[:, None] == n, 0.5, 0.0)).mean(),
        lambda n, a: ((a.view(-1, 1) > n.view(1, -1)) + 0.5 * (a.view(-1, 1) == n)).sum() / (len(a) * len(n)),
        lambda n, a: torch.stack([(one > n).float().mean() + 0.5 * (one == n).float().mean() for one in a]).mean(),
        lambda n, a: (torch.cartesian_prod(a, n).diff(dim=1).sign().mean() * -1 + 1) / 2,
    ],
    "warmup": [
        warmup_by_cases,
        lambda step, warmup, beta=1.0: min(step / warmup, 1) * beta,
        lambda step, warmup, beta=1.0: min(beta, beta * step / warmup),
        lambda step, warmup, beta=1.0: beta * min(step, warmup) / warmup,
        lambda step, warmup, beta=1.0: beta if step > warmup else beta / warmup * step,
        lambda step, warmup, beta=1.0: beta * max(0.0, min(1.0, step / warmup)),
        lambda step, warmup, beta=1.0: beta - beta * max(0, warmup - step) / warmup,
        lambda step, warmup, beta=1.0: float(beta * torch.tensor(step / warmup).clamp(0, 1)),
        lambda step, warmup, beta=1.0: sorted((0.0, step / warmup, 1.0))[1] * beta,
        lambda step, warmup, beta=1.0: beta * (step / warmup if step < warmup else 1.0),
    ],
    "bug": [
        loss(lambda x, y: F.binary_cross_entropy_with_logits(y, x, reduction="none").sum(-1)),
        loss(lambda x, y: F.binary_cross_entropy_with_logits(y, x, reduction="none").sum(1).mean()),
        loss(lambda x, y: F.binary_cross_entropy_with_logits(y, x, reduction="sum") / len(x)),
        loss(lambda x, y: F.binary_cross_entropy_with_logits(y, x) * 64),
        loss(lambda x, y: F.binary_cross_entropy_with_logits(y, x) * x.shape[-1]),
        loss(lambda x, y: F.binary_cross_entropy_with_logits(y, x, reduction="none").mean(-1) * x[0].numel()),
        loss(lambda x, y: -Bernoulli(logits=y).log_prob(x).sum(-1)),
        loss(lambda x, y: stable_cross_entropy(x, y).sum(-1)),
        loss(lambda x, y: (F.softplus(y) - x * y).sum(-1), kl_by_columns),
        lambda x, y, m, v: (F.binary_cross_entropy_with_logits(y, x, reduction="sum") + kl(m, v).sum()) / x.size(0),
    ],
}


@pytest.mark.parametrize(("name", "index"), [(name, index) for name in RIGHT for index in range(len(RIGHT[name]))])
def test_a_right_answer_written_differently_passes(name, index):
    assert judge(find(f"vae/{name}"), RIGHT[name][index]).message == ""
