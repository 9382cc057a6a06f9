"""Exercises of lesson 10: an importance-weighted likelihood that says how far to trust it, and a classifier as a test."""

import math

import torch

from . import Exercise, Mistake
from .evaluation_distances import LESSON, as_numbers

# --- importance weights ---------------------------------------------------------------------------------------------------


def importance_weighted(log_joint, log_q):
    log_w = log_joint - log_q
    k = len(log_w)
    log_p = log_w.logsumexp(0) - math.log(k)
    share = torch.exp(2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0)) / k
    return log_p, share


def _draw_weights(generator):
    """Eight draws for each of five images, at log-densities whose exponential a computer rounds to 0, far apart for the images."""
    log_q = torch.randn(8, 5, generator=generator) - 3
    return log_q + 1.5 * torch.randn(8, 5, generator=generator) - 500 + 90 * torch.arange(5.0), log_q


def _log_p(log_w):
    return log_w.logsumexp(0) - math.log(len(log_w))


def _share(log_w):
    return log_w.softmax(0).square().sum(0).reciprocal() / len(log_w)


def _like_importance(log_p=_log_p, share=_share, weights=lambda joint, q: joint - q):
    """Another estimate, another share, other weights."""
    return lambda log_joint, log_q: (log_p(weights(log_joint, log_q)), share(weights(log_joint, log_q)))


def _by_largest(log_joint, log_q):
    log_w = log_joint - log_q
    top = log_w.amax(0)
    w = (log_w - top).exp()
    return top + w.mean(0).log(), w.sum(0) ** 2 / (w**2).sum(0) / w.shape[0]


def _by_largest_of_all(log_joint, log_q):
    log_w = log_joint - log_q
    w = (log_w - log_w.max()).exp()
    return log_w.max() + w.mean(0).log(), w.sum(0) ** 2 / (w**2).sum(0) / w.shape[0]


def _naive(log_joint, log_q):
    w = (log_joint - log_q).exp()
    return w.mean(0).log(), w.sum(0).square() / w.square().sum(0) / len(w)


IMPORTANCE = Exercise(
    "evaluation/importance",
    importance_weighted,
    _draw_weights,
    lesson=LESSON,
    title="an importance-weighted likelihood",
    minutes=10,
    difficulty=2,
    differentiable=False,
    hints=(
        "The logarithm of each weight is log_joint − log_q, (samples, batch). The mean over samples, in logarithms, is a logsumexp less the log of their number.",
        "log_p = log_w.logsumexp(0) − log k. For the share: normalized weights are log_w.softmax(0); (Σw)²/Σw² is 1 over the sum of their squares.",
        "log_w = log_joint - log_q; return log_w.logsumexp(0) - math.log(len(log_w)), 1 / log_w.softmax(0).square().sum(0) / len(log_w)",
    ),
    mistakes=(
        Mistake(
            _like_importance(log_p=lambda w: w.mean(0)),
            "This is the mean of the logarithms, the evidence lower bound; the logarithm of the *mean weight* is asked for, which is never smaller.",
        ),
        Mistake(
            _like_importance(log_p=lambda w: w.logsumexp(0)),
            "This is the logarithm of the *sum* of the weights: take off log k, for their mean. Else every further sample makes the model look better.",
        ),
        Mistake(
            _like_importance(log_p=lambda w: w.logsumexp(0) / len(w)),
            "To divide by k inside a logarithm is to subtract log k outside of it.",
        ),
        Mistake(
            lambda log_joint, log_q: (log_joint.logsumexp(0) - log_q.logsumexp(0), _share(log_joint - log_q)),
            "You divided the sum of p(x, z) by the sum of q(z|x); the weights are divided one by one, and then averaged: subtract first.",
        ),
        Mistake(
            _like_importance(share=lambda w: 1 / w.softmax(1).square().sum(0) / len(w)),
            "The weights of one image are to be compared with each other: samples are the first dimension, softmax(0).",
            also=(_like_importance(share=lambda w: 1 / w.softmax(1).square().sum(1) / len(w)),),
        ),
        Mistake(
            _like_importance(log_p=lambda w: w.logsumexp(0) - math.log(w.shape[1])),
            "k is the number of samples for each image, the first dimension: len(log_w).",
        ),
        Mistake(
            lambda log_joint, log_q: (_log_p(log_joint - log_q).mean(), _share(log_joint - log_q).mean()),
            "One number for each image, (batch,): leave the mean over images to whoever calls.",
        ),
        Mistake(
            _like_importance(log_p=lambda w: w.logsumexp(1) - math.log(w.shape[1])),
            "You averaged over the images: samples are the first dimension, logsumexp(0).",
            also=(lambda log_joint, log_q: importance_weighted(log_joint.T, log_q.T),),
        ),
        Mistake(
            _like_importance(weights=lambda joint, q: joint + q),
            "The proposal's log-density is subtracted: a weight is p(x, z) / q(z|x).",
        ),
        Mistake(
            _like_importance(weights=lambda joint, q: joint),
            "log q is missing: draws are more frequent where q is large, and must weigh less there.",
        ),
        Mistake(
            _like_importance(weights=lambda joint, q: q - joint),
            "The weights are upside down: p(x, z) / q(z|x), so log_joint − log_q.",
        ),
        Mistake(
            _naive,
            "exp(−500) is rounded to 0, and then nothing is left but log 0. Stay in logarithms: logsumexp.",
            also=(
                lambda log_joint, log_q: (_naive(log_joint, log_q)[0], _share(log_joint - log_q)),
                lambda log_joint, log_q: (_log_p(log_joint - log_q), _naive(log_joint, log_q)[1]),
            ),
        ),
        Mistake(
            _by_largest_of_all,
            "You took out the largest weight of *all* images, and those of less likely images are rounded to 0 again. Each image has its own: amax(0).",
        ),
        Mistake(
            _like_importance(log_p=lambda w: (w - w.amax(0)).exp().mean(0).log()),
            "What was subtracted before exp must be added again after log: the largest log-weight.",
            also=(_like_importance(log_p=lambda w: (w - w.max()).exp().mean(0).log()),),
        ),
        Mistake(
            _like_importance(share=lambda w: w.sum(0).square() / w.square().sum(0) / len(w)),
            "These are sums of log-weights; the effective number is made of the weights themselves: log_w.softmax(0) are the weights, up to a factor that cancels.",
        ),
        Mistake(
            _like_importance(share=lambda w: _share(w).log()),
            "This is the logarithm of the share; take its exp.",
        ),
        Mistake(
            _like_importance(share=lambda w: len(w) * _share(w)),
            "The number of effective samples is right; return their share, divided by k.",
        ),
        Mistake(
            _like_importance(share=lambda w: w.softmax(0).square().sum(0)),
            "This is Σw² / (Σw)², for normalized weights; the effective number is one over it, and the share that divided by k.",
            also=(_like_importance(share=lambda w: len(w) * w.softmax(0).square().sum(0)),),
        ),
        Mistake(
            _like_importance(
                share=lambda w: w.softmax(0).sum(0).square() / w.softmax(0).square().sum(0).sqrt() / len(w)
            ),
            "Below the line stands the sum of the squares itself, without a root.",
        ),
        Mistake(
            _like_importance(share=lambda w: 1 / w.softmax(0).amax(0) / len(w)),
            "This looks at the largest weight alone; the effective number is (Σw)² / Σw².",
        ),
        Mistake(
            lambda log_joint, log_q: _log_p(log_joint - log_q),
            "The first part is there; return two things: log p, and the share of samples that count.",
        ),
        Mistake(
            lambda log_joint, log_q: importance_weighted(log_joint, log_q)[::-1],
            "The two parts are exchanged: log p first, then the share.",
        ),
    ),
    alternatives=(
        _by_largest,
        lambda log_joint, log_q: (
            torch.logsumexp(log_joint - log_q - math.log(log_q.shape[0]), dim=0),
            1 / (len(log_q) * (log_joint - log_q).softmax(0).pow(2).sum(0)),
        ),
    ),
)


# --- a classifier as a test ---------------------------------------------------------------------------------------------


def two_sample(a, b, train):
    half = len(a) // 2
    labels = torch.cat([torch.zeros(half), torch.ones(half)])
    guess = train(torch.cat([a[:half], b[:half]]), labels)
    right = torch.cat([guess(a[half:]) == 0, guess(b[half:]) == 1]).float()
    accuracy = right.mean()
    return accuracy, (accuracy - 0.5) / (0.25 / len(right)) ** 0.5


def nearest_neighbor(points, labels):
    """A classifier that answers with the label of the nearest point that it has seen."""
    return lambda x: labels[torch.cdist(x, points).argmin(1)]


def _draw_two(generator):
    """Two sets of thirty points that overlap, and a classifier to train; in some draws the sets change places in the middle.

    It is then wrong more often than right, and z is below 0.
    """
    a, b = (torch.randn(30, 2, generator=generator) for _ in range(2))
    b += torch.tensor([1.0, 0.3])
    if torch.rand((), generator=generator) < 0.4:
        a, b = torch.cat([a[:15], b[15:]]), torch.cat([b[:15], a[15:]])
    return a, b, nearest_neighbor


def _halves(x):
    return x[: len(x) // 2], x[len(x) // 2 :]


def _like_two_sample(learn=None, judge=None, score=None):
    """Other sets to learn from or to judge by, or another standardization."""
    score = score or (lambda right: (right.mean(), (right.mean() - 0.5) * 2 * len(right) ** 0.5))
    learn = learn or (lambda a, b: (_halves(a)[0], _halves(b)[0]))
    judge = judge or (lambda a, b: (_halves(a)[1], _halves(b)[1]))

    def test(a, b, train):
        first, second = learn(a, b)
        guess = train(torch.cat([first, second]), torch.cat([torch.zeros(len(first)), torch.ones(len(second))]))
        first, second = judge(a, b)
        return score(torch.cat([guess(first) == 0, guess(second) == 1]).float())

    return test


def _p_value(right):
    return torch.special.ndtr(-(right.mean() - 0.5) * 2 * len(right) ** 0.5)


def _labels_exchanged(a, b, train):
    accuracy, z = two_sample(a, b, train)
    return 1 - accuracy, -z


def _unordered(a, b, train):
    """The pooled points cut in the middle: learns from a alone."""
    x, y = torch.cat([a, b]), torch.cat([torch.zeros(len(a)), torch.ones(len(b))])
    right = (train(x[: len(a)], y[: len(a)])(x[len(a) :]) == y[len(a) :]).float()
    return right.mean(), (right.mean() - 0.5) * 2 * len(right) ** 0.5


def _by_pooling(a, b, train):
    (a_seen, a_new), (b_seen, b_new) = a.chunk(2), b.chunk(2)
    guess = train(torch.cat([b_seen, a_seen]), torch.tensor([1.0] * len(b_seen) + [0.0] * len(a_seen)))
    x, y = torch.cat([a_new, b_new]), torch.tensor([0.0] * len(a_new) + [1.0] * len(b_new))
    accuracy = (guess(x) == y).double().mean().float()
    return accuracy, 2 * math.sqrt(len(x)) * (accuracy - 0.5)


TWO_SAMPLE = Exercise(
    "evaluation/two_sample",
    two_sample,
    _draw_two,
    call=as_numbers,
    lesson=LESSON,
    title="a classifier as a test",
    minutes=10,
    difficulty=2,
    hints=(
        "Four parts: a and b, each cut into a first and a second half. Train on both first halves, with labels 0 for a and 1 for b; judge on both second halves.",
        "guess = train(torch.cat([a[:half], b[:half]]), labels). Right are guess(a[half:]) == 0 and guess(b[half:]) == 1. Of t guesses by chance, "
        "the share of right ones has mean ½ and variance ¼ / t.",
        "right = torch.cat([guess(a[half:]) == 0, guess(b[half:]) == 1]).float(); return right.mean(), (right.mean() - 0.5) / (0.25 / len(right)) ** 0.5",
    ),
    mistakes=(
        Mistake(
            _like_two_sample(judge=lambda a, b: (_halves(a)[0], _halves(b)[0])),
            "You judged the classifier on the points that it had learned from. It knows them by heart, and finds a difference between any two sets.",
            also=(
                _like_two_sample(learn=lambda a, b: (a, b), judge=lambda a, b: (a, b)),
                _like_two_sample(learn=lambda a, b: (a, b)),
                _like_two_sample(judge=lambda a, b: (a, b)),
            ),
        ),
        Mistake(
            _labels_exchanged,
            "The labels are exchanged somewhere: a is 0 and b is 1, in training as in judging.",
        ),
        Mistake(
            _like_two_sample(
                learn=lambda a, b: (_halves(a)[1], _halves(b)[1]), judge=lambda a, b: (_halves(a)[0], _halves(b)[0])
            ),
            "It would do as well, but to compare numbers, learn from the *first* halves, and judge by the second.",
        ),
        Mistake(
            _unordered,
            "You put a and b into one row and cut that in the middle: the classifier learned from a alone. Cut each set by itself.",
        ),
        Mistake(
            _like_two_sample(judge=lambda a, b: (_halves(a)[1], b[:0])),
            "Judge by the second halves of *both* sets: a classifier that calls everything a is right about all of a.",
            also=(_like_two_sample(judge=lambda a, b: (a[:0], _halves(b)[1])),),
        ),
        Mistake(
            _like_two_sample(score=lambda right: (right.mean(), (right.mean() - 0.5) * len(right) ** 0.5)),
            "A coin's variance is ½ · ½: divide by √(¼ / t), which is half of √(1 / t).",
        ),
        Mistake(
            _like_two_sample(score=lambda right: (right.mean(), (right.mean() - 0.5) / (0.25 / len(right)))),
            "You divided by the variance; divide by its root.",
        ),
        Mistake(
            _like_two_sample(score=lambda right: (right.mean(), (right.mean() - 0.5) * len(right) ** 0.5 * 2**0.5)),
            "t is the number of *all* points that are judged, those of a and those of b together.",
        ),
        Mistake(
            _like_two_sample(score=lambda right: (right.mean(), right.mean() / (0.25 / len(right)) ** 0.5)),
            "Chance is right about half of the points: subtract ½ before you divide.",
        ),
        Mistake(
            _like_two_sample(
                score=lambda right: (
                    right.mean(),
                    (right.mean() - 0.5) / (right.mean() * (1 - right.mean()) / len(right)) ** 0.5,
                )
            ),
            "Under the hypothesis that is tested, the accuracy is ½, so its variance is ¼ / t, whatever was found.",
        ),
        Mistake(
            _like_two_sample(score=lambda right: (2 * right.mean(), (2 * right.mean() - 0.5) * 2 * len(right) ** 0.5)),
            "You added the two sets' shares of right guesses: take their mean, or the mean over all that are judged.",
        ),
        Mistake(
            _like_two_sample(score=lambda right: (right.mean(), (right.mean() - 0.5).abs() * 2 * len(right) ** 0.5)),
            "Keep the sign: a classifier that is wrong more often than right has found no difference, and z is below 0 then.",
            also=(
                _like_two_sample(
                    score=lambda right: (
                        0.5 + (right.mean() - 0.5).abs(),
                        (right.mean() - 0.5).abs() * 2 * len(right) ** 0.5,
                    )
                ),
            ),
        ),
        Mistake(
            _like_two_sample(score=lambda right: (right.mean(), (0.5 - right.mean()) * 2 * len(right) ** 0.5)),
            "The sign is turned round: z is above 0 where more guesses are right than by chance, accuracy − ½.",
        ),
        Mistake(
            _like_two_sample(score=lambda right: (right.mean(), (right.mean() - 0.5) / (0.25 * len(right)) ** 0.5)),
            "The variance of a share is ¼ *divided* by t: the more guesses, the smaller.",
        ),
        Mistake(
            _like_two_sample(score=lambda right: (right.mean(), (right.mean() - 0.5) * 2 * (2 * len(right)) ** 0.5)),
            "t counts the points that are judged, which are the second halves alone.",
        ),
        Mistake(
            _like_two_sample(score=lambda right: (right.mean(), _p_value(right))),
            "This is a p-value; return z itself.",
            also=(
                _like_two_sample(score=lambda right: (right.mean(), 1 - _p_value(right))),
                _like_two_sample(
                    score=lambda right: (right.mean(), 2 * torch.minimum(_p_value(right), 1 - _p_value(right)))
                ),
            ),
        ),
        Mistake(
            _like_two_sample(learn=lambda a, b: (a[::2], b[::2]), judge=lambda a, b: (a[1::2], b[1::2])),
            "Every other point would do as well, but to compare numbers, learn from the first halves, a[:half], and judge by the second, a[half:].",
        ),
        Mistake(
            _like_two_sample(score=lambda right: right.mean()),
            "The accuracy is right; return z as well.",
        ),
        Mistake(
            _like_two_sample(score=lambda right: (right.sum(), (right.mean() - 0.5) * 2 * len(right) ** 0.5)),
            "Return the *share* of right guesses, not their number.",
        ),
    ),
    alternatives=(_by_pooling,),
)
