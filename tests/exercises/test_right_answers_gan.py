"""Lesson 05's exercises accept right answers however they are written, and stand in the lesson's order."""

import math

import pytest
import torch
from torch.distributions import Normal
from torch.nn import functional as F

from dgmcourse.exercises import all_exercises
from dgmcourse.exercises.engine.judging import judge
from dgmcourse.models.gan import objectives

EXERCISES = {one.name: one for one in all_exercises() if one.lesson == "05_gans"}


def bce(scores, label):
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, label))


def optimal_by_loop(log_p, log_q):
    return torch.tensor([1 / (1 + math.exp(min(float(q - p), 700))) for p, q in zip(log_p, log_q, strict=True)])


def discriminator_by_loop(real, fake):
    total = torch.zeros(())
    for score in real:
        total = total - F.logsigmoid(score) / len(real)
    for score in fake:
        total = total - F.logsigmoid(-score) / len(fake)
    return total


def penalty_by_loop(critic, real, fake, u):
    total = 0.0
    for i in range(len(real)):
        point = (real[i] * (1 - u[i]) + fake[i] * u[i])[None].detach().requires_grad_(True)
        slope = torch.autograd.grad(critic(point)[0], point, create_graph=True)[0][0]
        total = total + (torch.sqrt((slope * slope).sum()) - 1) ** 2 / len(real)
    return total


def penalty_with_outputs(critic, real, fake, u):
    mixed = torch.autograd.Variable(u * fake + (1 - u) * real, requires_grad=True)
    scores = critic(mixed)
    slope = torch.autograd.grad(
        outputs=scores, inputs=mixed, grad_outputs=torch.ones_like(scores), create_graph=True, retain_graph=True
    )[0]
    return ((slope.view(len(slope), -1).norm(2, dim=1) - 1) ** 2).mean()


def penalty_by_mean(critic, real, fake, u):
    mixed = torch.lerp(real, fake, u).requires_grad_()
    slope = len(mixed) * torch.autograd.grad(critic(mixed).mean(), mixed, create_graph=True)[0]
    return torch.mean(torch.square(torch.linalg.norm(slope, dim=-1) - 1))


def penalty_by_functions(critic, real, fake, u):
    mixed = real + (fake - real) * u
    slope = torch.func.vmap(torch.func.grad(lambda point: critic(point[None])[0]))(mixed)
    return (slope.norm(dim=-1) - 1).pow(2).mean()


def penalty_with(lengths):
    def penalty(critic, real, fake, u):
        mixed = (real - u * real + u * fake).clone().requires_grad_()
        slope = torch.autograd.grad(critic(mixed).sum(0), [mixed], create_graph=True)[0]
        return F.mse_loss(lengths(slope), torch.ones(len(real)))

    return penalty


def shares_by_loop(samples, centers, radius):
    shares = []
    for center in centers:
        near = sum(math.dist(sample.tolist(), center.tolist()) <= radius for sample in samples)
        shares.append(near / len(samples))
    return torch.tensor(shares)


def labels_by_loop(scores, y):
    total = torch.zeros(len(y))
    for i, label in enumerate(y.tolist()):
        total[i] = scores[i, 0] + scores[i, label + 1]
    return total


def labels_by_mask(scores, y):
    mask = torch.cat([torch.ones(len(y), 1), torch.zeros(len(y), 4).scatter_(1, y.view(-1, 1), 1.0)], dim=1)
    return (scores * mask).sum(dim=1)


def turns_by_bce(generator, critic, x, noise):
    made = generator(noise)
    yield bce(critic(x), 1.0) + bce(critic(made.detach()), 0.0)
    yield bce(critic(made), 1.0)


def turns_without_graph(generator, critic, x, noise):
    with torch.no_grad():
        fixed = generator(noise)
    both = critic(torch.cat([x, fixed]))
    yield F.softplus(-both[: len(x)]).mean() + F.softplus(both[len(x) :]).mean()
    yield -F.logsigmoid(critic(generator(noise))).mean()


def turns_with_data(generator, critic, x, noise):
    samples = generator(noise)
    fake, real = critic(samples.data), critic(x)
    yield F.softplus(-real).mean() + F.softplus(fake).mean()
    samples = generator(noise)
    yield F.softplus(-critic(samples)).mean()


def turns_as_two_nets(generator, critic, x, noise):
    samples = generator(noise)

    def loss_of_critic():
        return (F.softplus(-critic(x)) + F.softplus(critic(samples.detach()))).mean()

    yield loss_of_critic()
    fooled = critic(samples)
    yield (F.softplus(fooled) - fooled).mean()


RIGHT = {
    "optimal": [
        optimal_by_loop,
        lambda p, q: torch.special.expit(p - q),
        lambda p, q: torch.reciprocal(1 + torch.exp(q - p)),
        lambda p, q: (p - torch.logsumexp(torch.stack([p, q]), 0)).exp(),
        lambda p, q: F.softmax(torch.stack([p, q], dim=-1), dim=-1)[:, 0],
        lambda p, q: (1 + torch.tanh((p - q) / 2)) / 2,
        lambda p, q: F.logsigmoid(p - q).exp(),
        lambda p, q: (
            (p - torch.maximum(p, q)).exp() / ((p - torch.maximum(p, q)).exp() + (q - torch.maximum(p, q)).exp())
        ),
    ],
    "discriminator_loss": [
        discriminator_by_loop,
        lambda real, fake: bce(real, 1.0) + bce(fake, 0.0),
        lambda real, fake: (F.softplus(-real) + F.softplus(fake)).mean(),
        lambda real, fake: -torch.mean(F.logsigmoid(real)) - torch.mean(F.logsigmoid(fake) - fake),
        lambda real, fake: -torch.cat([F.logsigmoid(real), F.logsigmoid(-fake)]).mean() * 2,
        lambda real, fake: torch.log1p(torch.exp(-real)).mean() + F.softplus(fake).mean(),
        lambda real, fake: (
            2 * F.binary_cross_entropy_with_logits(torch.cat([real, fake]), torch.cat([torch.ones(6), torch.zeros(6)]))
        ),
        lambda real, fake: torch.logaddexp(torch.zeros(6), -real).mean() + torch.logaddexp(torch.zeros(6), fake).mean(),
    ],
    "generator_losses": [
        lambda fake: (-bce(fake, 0.0), bce(fake, 1.0)),
        lambda fake: (-F.softplus(fake).mean(), F.softplus(-fake).mean()),
        lambda fake: [-torch.logaddexp(torch.zeros(6), fake).mean(), torch.logaddexp(torch.zeros(6), -fake).mean()],
        lambda fake: (torch.mean(F.logsigmoid(-fake)), torch.mean(-F.logsigmoid(fake))),
        lambda fake: ((F.logsigmoid(fake) - fake).mean(), (F.softplus(fake) - fake).mean()),
        lambda fake: (F.logsigmoid(-fake).sum() / len(fake), -F.logsigmoid(fake).sum() / len(fake)),
        lambda fake: torch.stack([F.logsigmoid(-fake), -F.logsigmoid(fake)]).mean(1).unbind(),
        lambda fake: (-F.binary_cross_entropy_with_logits(fake, torch.zeros(6)), -F.logsigmoid(fake).mean()),
    ],
    "modes": [
        shares_by_loop,
        lambda x, c, r: (torch.cdist(x, c) < r).sum(0) / len(x),
        lambda x, c, r: torch.le(torch.cdist(x, c), r).to(torch.float32).mean(dim=0),
        lambda x, c, r: (torch.linalg.vector_norm(x[:, None, :] - c[None, :, :], dim=2) <= r).float().mean(0),
        lambda x, c, r: ((x[None] - c[:, None]).norm(dim=-1) <= r).float().mean(1),
        lambda x, c, r: (((x[:, :1] - c[:, 0]) ** 2 + (x[:, 1:] - c[:, 1]) ** 2) <= r * r).float().mean(0),
        lambda x, c, r: torch.where(torch.cdist(x, c) <= r, 1.0, 0.0).mean(0),
        lambda x, c, r: torch.count_nonzero(torch.cdist(x, c) <= r, dim=0) / x.shape[0],
    ],
    "critic_loss": [
        lambda real, fake: -(real.mean() - fake.mean()),
        lambda real, fake: torch.mean(fake) - torch.mean(real),
        lambda real, fake: (fake - real).mean(),
        lambda real, fake: -real.mean() + fake.mean(),
        lambda real, fake: fake.sum() / len(fake) - real.sum() / len(real),
        lambda real, fake: -(real - fake).mean(),
        lambda real, fake: torch.cat([fake, -real]).sum() / len(real),
        lambda real, fake: fake.mean().sub(real.mean()),
    ],
    "penalty": [
        penalty_by_loop,
        penalty_with_outputs,
        penalty_by_mean,
        penalty_by_functions,
        penalty_with(lambda slope: slope.norm(dim=-1)),
        penalty_with(lambda slope: slope.pow(2).sum(1).sqrt()),
        penalty_with(lambda slope: torch.einsum("bi,bi->b", slope, slope) ** 0.5),
        penalty_with(lambda slope: torch.hypot(torch.hypot(slope[:, 0], slope[:, 1]), slope[:, 2])),
    ],
    "labels": [
        labels_by_loop,
        labels_by_mask,
        lambda s, y: s[:, 0] + s[range(len(y)), y + 1],
        lambda s, y: s[:, 0] + torch.gather(s[:, 1:], 1, y.unsqueeze(1)).squeeze(1),
        lambda s, y: s[:, 0] + torch.take_along_dim(s, y[:, None] + 1, dim=1).flatten(),
        lambda s, y: s[:, 0] + s[:, 1:][torch.arange(4) == y[:, None]],
        lambda s, y: s[:, 0] + (s[:, 1:] @ F.one_hot(y, 4).float().T).diagonal(),
        lambda s, y: s[:, 0] + torch.einsum("bc,bc->b", s[:, 1:], torch.eye(4)[y]),
    ],
    "bug": [turns_by_bce, turns_without_graph, turns_with_data, turns_as_two_nets],
}


@pytest.mark.parametrize(("name", "index"), [(name, index) for name in RIGHT for index in range(len(RIGHT[name]))])
def test_a_right_answer_written_differently_passes(name, index):
    assert judge(EXERCISES[f"gan/{name}"], RIGHT[name][index]).message == ""


def test_the_exercises_stand_in_the_lessons_order():
    assert list(EXERCISES) == [f"gan/{name}" for name in RIGHT]


def test_the_best_discriminator_reaches_twice_the_jensen_shannon_divergence_less_ln_4():
    line = torch.linspace(-9, 9, 6001, dtype=torch.float64)
    log_p, log_q = Normal(-1.0, 1.0).log_prob(line), Normal(1.5, 0.7).log_prob(line)
    best = EXERCISES["gan/optimal"].reference  # with p and q exchanged it is 1 − D*, which does not round to zero
    value = torch.trapezoid(log_p.exp() * best(log_p, log_q).log() + log_q.exp() * best(log_q, log_p).log(), line)
    middle = torch.logaddexp(log_p, log_q) - math.log(2)
    js = torch.trapezoid(log_p.exp() * (log_p - middle) + log_q.exp() * (log_q - middle), line) / 2
    assert float(value) == pytest.approx(float(2 * js) - math.log(4), abs=1e-6)


def test_the_references_are_those_of_the_package():
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 50, generator=generator)
    reference = {name: EXERCISES[f"gan/{name}"].reference for name in RIGHT}
    torch.testing.assert_close(reference["discriminator_loss"](real, fake), objectives.discriminator_loss(real, fake))
    saturating, non_saturating = reference["generator_losses"](fake)
    torch.testing.assert_close(saturating, objectives.saturating_loss(fake))
    torch.testing.assert_close(non_saturating, objectives.non_saturating_loss(fake))
    torch.testing.assert_close(reference["critic_loss"](real, fake), objectives.critic_loss(real, fake))

    x, samples = torch.randn(2, 30, 2, generator=generator)
    torch.manual_seed(0)
    theirs = objectives.gradient_penalty(lambda x: x.square().sum(-1), x, samples)
    torch.manual_seed(0)
    mine = reference["penalty"](lambda x: x.square().sum(-1), x, samples, torch.rand(30, 1))
    torch.testing.assert_close(mine, theirs)
