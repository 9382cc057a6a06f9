"""Exercises of lesson 05 on critics that measure a distance: their loss, and what keeps their slope at one."""

import torch
from torch.nn import functional as F

from . import Exercise, Mistake
from .gan_objectives import LESSON

# --- the critic's loss ------------------------------------------------------------------------------------------------


def critic_loss(real, fake):
    return fake.mean() - real.mean()


def _draw_scores(generator):
    """As many samples as examples, so that a mean of differences is right too."""
    real, fake = 2 * torch.randn(2, 6, generator=generator)
    return (real + 1).requires_grad_(), (fake - 1).requires_grad_()


CRITIC_LOSS = Exercise(
    "gan/critic_loss",
    critic_loss,
    _draw_scores,
    lesson=LESSON,
    title="the critic's loss",
    minutes=4,
    difficulty=1,
    differentiable=True,
    hints=(
        "The critic climbs E_data[f] − E_samples[f]. A loss is lowered: what is to be lowered?",
        "Two means and one difference, with the samples' mean first. No sigmoid, no log.",
        "fake.mean() - real.mean()",
    ),
    mistakes=(
        Mistake(
            lambda real, fake: real.mean() - fake.mean(),
            "This is what the critic climbs. A loss is to be lowered: turn the sign round.",
        ),
        Mistake(
            lambda real, fake: fake.sigmoid().mean() - real.sigmoid().mean(),
            "Without the sigmoid: a critic's scores are any numbers, and no probabilities.",
        ),
        Mistake(
            lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
            "This is the discriminator's loss of exercise 2. A critic's is simpler: means of the scores themselves.",
        ),
        Mistake(
            lambda real, fake: (fake - real).abs().mean(),
            "Without the absolute value: the critic has to learn on which side its scores are the higher ones.",
            also=(lambda real, fake: -(fake - real).abs().mean(),),
        ),
        Mistake(
            lambda real, fake: fake.sum() - real.sum(),
            "These are sums, which grow with the batch; expectations are estimated by means.",
        ),
        Mistake(
            lambda real, fake: fake - real,
            "This is one number a pair; average over the batch: .mean().",
        ),
        Mistake(
            lambda real, fake: fake.mean() + real.mean(),
            "Data and samples pull in opposite directions: the samples' scores should fall, the data's should rise.",
            also=(lambda real, fake: -(real.mean() + fake.mean()),),
        ),
        Mistake(
            lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(),
            "This is the hinge loss, which stops where a score is beyond ±1; the distance is the plain difference of means.",
        ),
        Mistake(
            lambda real, fake: -fake.mean(),
            "This is the generator's loss against a critic. The critic's own has both: samples down, data up.",
        ),
        Mistake(
            lambda real, fake: fake.mean(),
            "The data are missing: subtract the mean of their scores.",
        ),
        Mistake(
            lambda real, fake: (fake.mean() - real.mean()) / 2,
            "Without the ½: the distance is a difference of two means, each over its own batch.",
        ),
        Mistake(
            lambda real, fake: (fake.mean() - real.mean()).square(),
            "Without the square: the difference itself.",
            also=(lambda real, fake: (fake - real).square().mean(),),
        ),
    ),
    alternatives=(
        lambda real, fake: -(real.mean() - fake.mean()),
        lambda real, fake: (fake - real).mean(),
        lambda real, fake: torch.cat([fake, -real]).mean() * 2,
    ),
)


# --- the gradient penalty ---------------------------------------------------------------------------------------------


def gradient_penalty(critic, real, fake, u):
    between = ((1 - u) * real + u * fake).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (slope.norm(dim=1) - 1).square().mean()


def _draw_penalty(generator):
    """Points, uniform numbers, and the weights of a critic with one hidden layer, by which gradients are taken."""
    real, fake = torch.randn(6, 3, generator=generator) + 1, torch.randn(6, 3, generator=generator) - 1
    first = torch.randn(3, 8, generator=generator).requires_grad_()
    second = torch.randn(8, generator=generator).requires_grad_()
    return real, fake, torch.rand(6, 1, generator=generator), first, second


def _with_critic(answer, real, fake, u, first, second):
    """The penalty of the critic tanh(x · first) · second."""
    return answer(lambda x: (x @ first).tanh() @ second, real, fake, u)


def _penalized(of_slope, at=None, create_graph=True):
    """A penalty with another function of the slopes (batch, 3), or at other points."""

    def penalty(critic, real, fake, u):
        points = (1 - u) * real + u * fake if at is None else at(real, fake, u)
        points = points.clone().requires_grad_()
        (slope,) = torch.autograd.grad(critic(points).sum(), points, create_graph=create_graph)
        return of_slope(slope)

    return penalty


def _two_sided(slope):
    return (slope.norm(dim=1) - 1).square().mean()


def _of_a_mean(critic, real, fake, u):
    between = ((1 - u) * real + u * fake).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).mean(), between, create_graph=True)
    return _two_sided(slope)


def _not_asked_for(critic, real, fake, u):
    between = (1 - u) * real + u * fake
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return _two_sided(slope)


def _of_many(critic, real, fake, u):
    between = ((1 - u) * real + u * fake).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between), between, create_graph=True)
    return _two_sided(slope)


def _not_unpacked(of_tuple):
    def penalty(critic, real, fake, u):
        between = ((1 - u) * real + u * fake).requires_grad_()
        return of_tuple(torch.autograd.grad(critic(between).sum(), between, create_graph=True))

    return penalty


def _without_graph(critic, real, fake, u):
    between = ((1 - u) * real + u * fake).requires_grad_()
    with torch.no_grad():
        scores = critic(between)
    return _two_sided(torch.autograd.grad(scores.sum(), between, create_graph=True)[0])


def _of_scores(critic, real, fake, u):
    return ((1 - u[:, 0]) * critic(real) + u[:, 0] * critic(fake) - 1).square().mean()


def _by_backward(critic, real, fake, u):
    between = ((1 - u) * real + u * fake).requires_grad_()
    critic(between).sum().backward()
    return _two_sided(between.grad)


def _by_quotient(critic, real, fake, u):
    return (((critic(real) - critic(fake)) / (real - fake).norm(dim=1)) - 1).square().mean()


PENALTY = Exercise(
    "gan/penalty",
    gradient_penalty,
    _draw_penalty,
    lesson=LESSON,
    title="the gradient penalty",
    minutes=12,
    difficulty=3,
    differentiable=True,
    call=_with_critic,
    hints=(
        "Three lines: the points between; the critic's slope there, by torch.autograd.grad; the mean of (length of slope − 1)².",
        "between = ((1 - u) * real + u * fake).requires_grad_(), and slope, = torch.autograd.grad(critic(between).sum(), "
        "between, create_graph=True). Each score depends on its own point alone, so the gradient of their sum holds every "
        "point's own slope, (batch, dim).",
        "Then (slope.norm(dim=1) - 1).square().mean(). create_graph=True is needed since the penalty's own gradient, with "
        "respect to the critic's weights, goes through the slope.",
    ),
    mistakes=(
        Mistake(
            _penalized(_two_sided, create_graph=False),
            "The value is right, but the critic cannot learn from it: take the slope by torch.autograd.grad(…, "
            "create_graph=True), so that it can itself be differentiated.",
            also=(_by_backward,),
        ),
        Mistake(
            _not_asked_for,
            "Autograd was not told that you want a slope at these points: between.requires_grad_() before the critic sees them, "
            "and no torch.no_grad() around it.",
            also=(_without_graph,),
        ),
        Mistake(
            _not_unpacked(lambda slope: slope.norm(dim=1)),
            "torch.autograd.grad returns a tuple, one gradient for each input; there is one here, so take [0] of it, or unpack "
            "it: (slope,) = …",
            also=tuple(
                _not_unpacked(of_tuple)
                for of_tuple in (
                    lambda slope: slope.square(),
                    lambda slope: slope.pow(2),
                    lambda slope: slope**2,
                    lambda slope: slope - 1,
                    lambda slope: torch.linalg.norm(slope, dim=1),
                    lambda slope: torch.linalg.vector_norm(slope, dim=1),
                    lambda slope: torch.norm(slope, dim=1),
                )
            ),
        ),
        Mistake(
            _of_scores,
            "This mixes the critic's scores, and asks them to be 1. The slope of the critic is meant, at mixed *points*: "
            "torch.autograd.grad.",
        ),
        Mistake(
            _of_many,
            "Autograd differentiates one number; add up the scores first: critic(between).sum(). Each depends on its own point "
            "alone, so nothing gets mixed.",
        ),
        Mistake(
            _of_a_mean,
            "You differentiated the mean of the scores, so that every slope is too small by the size of the batch: use .sum().",
        ),
        Mistake(
            _penalized(lambda slope: (slope.square().sum(1) - 1).square().mean()),
            "This is the squared length, minus 1; the length itself is asked for: slope.norm(dim=1).",
        ),
        Mistake(
            _penalized(lambda slope: slope.norm(dim=1).square().mean()),
            "The − 1 is missing: the slope should have length 1, not 0.",
        ),
        Mistake(
            _penalized(lambda slope: (slope.norm(dim=1) - 1).mean()),
            "The square is missing: slopes of ½ and 1½ would cancel each other.",
        ),
        Mistake(
            _penalized(lambda slope: (slope.norm(dim=1) - 1).abs().mean()),
            "An absolute value stands where the square belongs.",
        ),
        Mistake(
            _penalized(lambda slope: F.relu(slope.norm(dim=1) - 1).square().mean()),
            "This is the one-sided penalty, which lets slopes below 1 go free: a good idea of 2018, but the exercise asks for "
            "both sides.",
        ),
        Mistake(
            _penalized(lambda slope: (slope.norm() - 1).square()),
            "This is one length for the whole batch together; each point has its own: norm(dim=1), then the mean.",
        ),
        Mistake(
            _penalized(lambda slope: (slope.norm(dim=0) - 1).square().mean()),
            "You took lengths along the batch, axis 0; a slope's entries lie along axis 1.",
        ),
        Mistake(
            _penalized(lambda slope: (slope.abs().sum(1) - 1).square().mean()),
            "This is the sum of the absolute entries; the length is the root of the sum of squares: slope.norm(dim=1).",
        ),
        Mistake(
            _penalized(lambda slope: (slope.sum(1) - 1).square().mean()),
            "The entries of a slope do not add up to its length: slope.norm(dim=1).",
        ),
        Mistake(
            _penalized(lambda slope: (slope - 1).square().mean()),
            "You ask every entry of the slope to be 1; its length should be: slope.norm(dim=1).",
        ),
        Mistake(
            _penalized(lambda slope: (slope.norm(dim=1).mean() - 1).square()),
            "First subtract and square, then average: else long slopes make up for short ones.",
        ),
        Mistake(
            _penalized(lambda slope: (slope.norm(dim=1) - 1).square().sum()),
            "This is the sum over the batch; average: .mean().",
        ),
        Mistake(
            _penalized(lambda slope: (slope.norm(dim=1) - 1).square()),
            "This is one number a point; average over the batch: .mean().",
        ),
        Mistake(
            _penalized(lambda slope: 10 * _two_sided(slope)),
            "The factor comes in later: return the penalty itself, without it.",
        ),
        Mistake(
            _penalized(_two_sided, at=lambda real, fake, u: u * real + (1 - u) * fake),
            "For training this is as good, since u and 1 − u are equally likely. But the formula above starts at the example: "
            "(1 − u) · real + u · fake.",
        ),
        Mistake(
            _penalized(_two_sided, at=lambda real, fake, u: real),
            "You looked at the data alone; the points lie between data and samples: (1 − u) · real + u · fake.",
        ),
        Mistake(
            _penalized(_two_sided, at=lambda real, fake, u: fake),
            "You looked at the samples alone; the points lie between data and samples: (1 − u) · real + u · fake.",
        ),
        Mistake(
            _penalized(_two_sided, at=lambda real, fake, u: (real + fake) / 2),
            "You took the middle each time; u says how far from the example to the sample.",
        ),
        Mistake(
            _by_quotient,
            "This is the average slope from example to sample, along that one line; the slope at the point between, in all "
            "directions, is asked for: torch.autograd.grad.",
        ),
    ),
    alternatives=(
        _penalized(lambda slope: (slope.square().sum(-1).sqrt() - 1).square().mean()),
        _penalized(lambda slope: ((slope.norm(2, dim=1) - 1) ** 2).mean(), at=lambda r, f, u: torch.lerp(r, f, u)),
        _penalized(
            lambda slope: (1 - torch.linalg.vector_norm(slope, dim=-1)).pow(2).sum() / len(slope),
            at=lambda r, f, u: r + u * (f - r),
        ),
    ),
)
