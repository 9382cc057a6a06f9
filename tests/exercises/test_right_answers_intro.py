"""Lesson 01's exercises accept right answers however they are written, and stand in the lesson's order."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Independent, MixtureSameFamily, Normal, kl_divergence
from torch.nn import functional as F

from dgmcourse.exercises import all_exercises
from dgmcourse.exercises.engine.judging import judge

EXERCISES = {one.name: one for one in all_exercises() if one.lesson == "01_introduction"}


def sample_by_loop(p, u):
    drawn = []
    for one in u:
        k, end = 0, float(p[0])
        while one >= end:
            k += 1
            end += float(p[k])
        drawn.append(k)
    return torch.tensor(drawn)


def sample_by_sorting(p, u):
    ends = p.cumsum(0)
    order = torch.cat([ends, u]).argsort(stable=True)  # an end that equals u comes first
    counted = (order < len(p)).cumsum(0)
    result = torch.empty(len(u), dtype=torch.int64)
    result[order[order >= len(p)] - len(p)] = counted[order >= len(p)]
    return result


def bernoulli_by_loop(x, p):
    totals = []
    for image in x:
        total = torch.zeros(())
        for pixel, chance in zip(image, p, strict=True):
            total = total + torch.log(chance if pixel == 1 else 1 - chance)
        totals.append(total)
    return torch.stack(totals)


def mle_by_loop(x):
    mean = sum(x) / len(x)
    return mean, sum(torch.outer(one - mean, one - mean) for one in x) / len(x)


def kl_by_moments(mean_p, std_p, mean_q, std_q):
    """E_p[log p − log q] from the first two moments of p."""
    entropy = 0.5 * torch.log(2 * math.pi * math.e * std_p**2)
    second = std_p**2 + mean_p**2 - 2 * mean_p * mean_q + mean_q**2
    return -entropy + 0.5 * torch.log(2 * math.pi * std_q**2) + second / (2 * std_q**2)


def posterior_by_class(likelihood, prior):
    joint = [likelihood[:, k] + prior[k] for k in range(len(prior))]
    total = joint[0]
    for one in joint[1:]:
        total = torch.logaddexp(total, one)
    return torch.stack([one - total for one in joint], dim=1)


def leave_out_by_slices(kernel):
    n = len(kernel)
    off = kernel.flatten()[1:].view(n - 1, n + 1)[:, :-1].reshape(n, n - 1)  # everything but the diagonal
    return off.logsumexp(1) - math.log(n - 1)


def leave_out_by_shift(kernel):
    top = kernel.max()
    weights = (kernel.double() - top).exp()
    weights = weights * (1 - torch.eye(len(kernel)))
    return ((weights.sum(1) / (len(kernel) - 1)).log() + top).float()


def leave_out_by_loop(kernel):
    n = len(kernel)
    return torch.stack([kernel[i, [j for j in range(n) if j != i]].logsumexp(0) for i in range(n)]) - math.log(n - 1)


def classes_by_loop(x, probabilities, prior):
    total = torch.full((len(x),), -math.inf)
    for p, weight in zip(probabilities, prior, strict=True):
        total = torch.logaddexp(total, weight.log() + torch.where(x == 1, p, 1 - p).log().sum(-1))
    return total


RIGHT = {
    "inverse_cdf": [
        sample_by_loop,
        sample_by_sorting,
        lambda p, u: torch.searchsorted(torch.cumsum(p, dim=0), u, side="right"),
        lambda p, u: (torch.cumsum(p, 0)[None, :] <= u[:, None]).sum(1),
        lambda p, u: (torch.cumsum(p, 0)[:, None] <= u).sum(0),
        lambda p, u: torch.bucketize(u, p.cumsum(-1), right=True),
        lambda p, u: torch.searchsorted(p.cumsum(0), u, right=True).clamp(max=len(p) - 1),
        lambda p, u: torch.argmax((p.cumsum(0) > u[:, None]).int(), dim=1),
        lambda p, u: torch.stack([(one >= p.cumsum(0)).sum() for one in u]),
        lambda p, u: len(p) - (u.unsqueeze(-1) < p.cumsum(0)).sum(-1),
    ],
    "bernoulli": [
        bernoulli_by_loop,
        lambda x, p: torch.log(x * p + (1 - x) * (1 - p)).sum(dim=1),
        lambda x, p: torch.where(x > 0.5, p.log(), (1 - p).log()).sum(-1),
        lambda x, p: Independent(Bernoulli(probs=p), 1).log_prob(x),
        lambda x, p: -F.binary_cross_entropy(p.expand(x.shape), x, reduction="none").sum(-1),
        lambda x, p: -F.binary_cross_entropy(p.repeat(len(x), 1), x, reduction="none").mean(-1) * x.shape[1],
        lambda x, p: x @ p.logit() + torch.log1p(-p).sum(),
        lambda x, p: torch.xlogy(x, p).sum(-1) + torch.xlogy(1 - x, 1 - p).sum(-1),
        lambda x, p: torch.einsum("bi,i->b", x, p.log()) + torch.einsum("bi,i->b", 1 - x, (1 - p).log()),
        lambda x, p: (p.log2() * x + (1 - p).log2() * (1 - x)).sum(-1) * math.log(2),
        lambda x, p: (p.double() ** x * (1 - p.double()) ** (1 - x)).log().sum(-1).float(),
    ],
    "bits_per_dim": [
        lambda log_prob, shape: -log_prob / math.log(2) / torch.tensor(shape).prod(),
        lambda log_prob, shape: -log_prob / torch.zeros(shape).numel() / math.log(2),
        lambda log_prob, shape: -(log_prob / math.prod(shape)) / torch.log(torch.tensor(2.0)),
        lambda log_prob, shape: -1.442695 * log_prob / (shape[0] * shape[1] * shape[2]),
        lambda log_prob, shape: torch.stack([-one / (math.prod(shape) * math.log(2)) for one in log_prob]),
        lambda log_prob, shape: log_prob.neg().div(math.log(2) * math.prod(shape)),
    ],
    "gaussian_mle": [
        mle_by_loop,
        lambda x: (x.mean(0), torch.cov(x.T, correction=0)),
        lambda x: (x.mean(dim=0), torch.cov(x.T) * (len(x) - 1) / len(x)),
        lambda x: (torch.mean(x, 0), (x - x.mean(0, keepdim=True)).T.matmul(x - x.mean(0)) / x.size(0)),
        lambda x: [x.mean(0), ((x - x.mean(0))[:, :, None] * (x - x.mean(0))[:, None, :]).mean(0)],
        lambda x: (x.mean(0), (x.double().T @ x.double() / len(x)).float() - torch.outer(x.mean(0), x.mean(0))),
        lambda x: (x.mean(0), torch.einsum("ni,nj->ij", x - x.mean(0), x - x.mean(0)) / len(x)),
    ],
    "gaussian_kl": [
        kl_by_moments,
        lambda a, s, b, t: kl_divergence(Normal(a, s), Normal(b, t)),
        lambda a, s, b, t: torch.log(t) - torch.log(s) + (s**2 + (b - a) ** 2) / (2 * t**2) - 1 / 2,
        lambda a, s, b, t: 0.5 * (torch.log(t**2 / s**2) + (s**2 + (a - b) ** 2) / t**2 - 1),
        lambda a, s, b, t: (t / s).log() + 0.5 * (s / t).square() + 0.5 * ((a - b) / t).square() - 0.5,
        lambda a, s, b, t: -torch.log(s / t) + (s.pow(2) + (a - b).pow(2)).div(2 * t.pow(2)).sub(0.5),
        lambda a, s, b, t: (t / s).log2() * math.log(2) + (s * s + (a - b).abs() ** 2) / (2 * t * t) - 0.5,
        lambda a, s, b, t: torch.stack([kl_divergence(Normal(a[i], s[i]), Normal(b[i], t[i])) for i in range(len(a))]),
    ],
    "bayes": [
        posterior_by_class,
        lambda likelihood, prior: F.log_softmax(likelihood + prior, dim=1),
        lambda likelihood, prior: Categorical(logits=likelihood + prior).logits,
        lambda likelihood, prior: (likelihood + prior).softmax(-1).log(),
        lambda likelihood, prior: (
            likelihood + prior - torch.logsumexp(likelihood + prior.expand_as(likelihood), 1)[:, None]
        ),
        lambda likelihood, prior: (
            (likelihood.double() + prior)
            .exp()
            .div((likelihood.double() + prior).exp().sum(-1, keepdim=True))
            .log()
            .float()
        ),
        lambda likelihood, prior: torch.stack([(row + prior).log_softmax(0) for row in likelihood]),
        lambda likelihood, prior: -((likelihood + prior).logsumexp(-1).unsqueeze(-1) - likelihood - prior),
    ],
    "leave_one_out": [
        leave_out_by_slices,
        leave_out_by_shift,
        leave_out_by_loop,
        lambda k: torch.where(torch.eye(len(k)) == 1, -math.inf, k).logsumexp(1) - math.log(len(k) - 1),
        lambda k: (k + torch.diag(torch.full((len(k),), -math.inf))).logsumexp(-1) - math.log(len(k) - 1),
        lambda k: k.masked_fill(torch.eye(len(k)).bool(), float("-inf")).logsumexp(1) - math.log(len(k) - 1),
        lambda k: torch.diagonal_scatter(k, torch.full((len(k),), -1e9)).logsumexp(1) - math.log(len(k) - 1),
        lambda k: (k - math.log(len(k) - 1)).masked_fill(torch.eye(len(k), dtype=torch.bool), -torch.inf).logsumexp(1),
    ],
    "bug": [
        classes_by_loop,
        lambda x, p, prior: (Bernoulli(p).log_prob(x[:, None]).sum(-1) + torch.log(prior)).logsumexp(1),
        lambda x, p, prior: (x @ p.logit().T + torch.log1p(-p).sum(-1) + prior.log()).logsumexp(-1),
        lambda x, p, prior: MixtureSameFamily(Categorical(prior), Independent(Bernoulli(p), 1)).log_prob(x),
        lambda x, p, prior: (torch.where(x[:, None] == 1, p, 1 - p).double().prod(-1) * prior).sum(-1).log().float(),
        lambda x, p, prior: (
            torch.where(x[:, None] == 1, p, 1 - p).log().sum(-1) + prior.log_softmax(-1) * 0 + prior.log()
        ).logsumexp(-1),
    ],
}


@pytest.mark.parametrize(("name", "index"), [(name, index) for name in RIGHT for index in range(len(RIGHT[name]))])
def test_a_right_answer_written_differently_passes(name, index):
    assert judge(EXERCISES[f"intro/{name}"], RIGHT[name][index]).message == ""


def test_the_exercises_stand_in_the_lessons_order():
    assert list(EXERCISES) == [f"intro/{n}" for n in RIGHT]


def test_the_references_are_true_against_enumeration_and_quadrature():
    images = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 9)  # every binary image of nine pixels
    p = torch.rand(9, generator=torch.Generator().manual_seed(0))
    assert float(EXERCISES["intro/bernoulli"].reference(images, p).exp().sum()) == pytest.approx(1, abs=1e-5)
    classes, prior = torch.rand(4, 9, generator=torch.Generator().manual_seed(1)), torch.tensor([0.1, 0.2, 0.3, 0.4])
    assert float(EXERCISES["intro/bug"].reference(images, classes, prior).exp().sum()) == pytest.approx(1, abs=1e-5)

    line = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    a, s, b, t = (torch.tensor(value, dtype=torch.float64) for value in (0.7, 0.8, -0.4, 1.7))
    log_p, log_q = Normal(a, s).log_prob(line), Normal(b, t).log_prob(line)
    quadrature = torch.trapezoid(log_p.exp() * (log_p - log_q), line)
    assert float(EXERCISES["intro/gaussian_kl"].reference(a, s, b, t)) == pytest.approx(float(quadrature), abs=1e-5)


def test_the_gaussian_of_exercise_4_has_the_largest_likelihood():
    x = (
        torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).double()
        @ torch.tensor([[1.0, 0.5], [0, 2]]).double()
    )
    mean, covariance = EXERCISES["intro/gaussian_mle"].reference(x)

    def average(mean, covariance):
        return float(torch.distributions.MultivariateNormal(mean, covariance).log_prob(x).mean())

    best = average(mean, covariance)
    for nudge in (0.02 * torch.eye(2), -0.02 * torch.eye(2), torch.tensor([[0, 0.02], [0.02, 0]])):
        assert average(mean, covariance + nudge.double()) < best
        assert average(mean + nudge[0].double(), covariance) < best
