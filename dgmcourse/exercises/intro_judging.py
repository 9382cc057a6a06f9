"""Exercises of lesson 01 on judging a model: leaving one out, and a likelihood that is too good to be true."""

import math

import torch

from . import Exercise, Mistake
from .intro_tables import LESSON

# --- leave one out ----------------------------------------------------------------------------------------------------


def leave_one_out(log_kernel):
    others = log_kernel.clone().fill_diagonal_(-math.inf)
    return others.logsumexp(-1) - math.log(len(log_kernel) - 1)


def _draw_kernel(generator):
    """Each example is far likelier under itself than under the others, and all kernels round to zero; not so in row 0.

    It is not symmetric, so that the axes can be told apart.
    """
    log_kernel = -200 + 5 * torch.randn(6, 6, generator=generator) + 40 * torch.eye(6)
    log_kernel[0] = torch.randn(6, generator=generator) - 3
    return log_kernel


def _diagonal_set(value):
    """The leave-one-out of a kernel whose diagonal holds another value than −∞."""

    def wrong(log_kernel):
        others = log_kernel.clone().fill_diagonal_(value)
        return others.logsumexp(-1) - math.log(len(log_kernel) - 1)

    return wrong


def _over_others(log_kernel):
    return log_kernel.clone().fill_diagonal_(-math.inf)


LEAVE_ONE_OUT = Exercise(
    "intro/leave_one_out",
    leave_one_out,
    _draw_kernel,
    lesson=LESSON,
    title="leave one out",
    minutes=10,
    difficulty=2,
    hints=(
        "Row i holds the log-kernels of example i under every remembered one. Column i of that row is the example judged by "
        "itself: it must not count. The average is over the n − 1 others.",
        "A term that must not count in a sum of exponentials has the log −∞: put −∞ on the diagonal of a copy, "
        "log_kernel.clone().fill_diagonal_(-math.inf). Then average: logsumexp over the columns, minus a log.",
        "others = log_kernel.clone().fill_diagonal_(-math.inf); return others.logsumexp(-1) - math.log(len(log_kernel) - 1)",
    ),
    mistakes=(
        Mistake(
            lambda log_kernel: log_kernel.logsumexp(-1) - math.log(len(log_kernel)),
            "Each example is still judged by itself too, which is the very trouble: leave the diagonal out.",
            also=(lambda log_kernel: log_kernel.logsumexp(-1) - math.log(len(log_kernel) - 1),),
        ),
        Mistake(
            lambda log_kernel: _over_others(log_kernel).logsumexp(-1) - math.log(len(log_kernel)),
            "One is left out, so the average is over n − 1 others: subtract math.log(len(log_kernel) - 1).",
        ),
        Mistake(
            lambda log_kernel: _over_others(log_kernel).logsumexp(-1),
            "You added up the others' kernels; average them: subtract the log of their number, n − 1.",
        ),
        Mistake(
            lambda log_kernel: _over_others(log_kernel).logsumexp(-1) + math.log(len(log_kernel) - 1),
            "You added log(n − 1); subtract it: dividing by n − 1 is subtracting its log.",
        ),
        Mistake(
            _diagonal_set(0.0),
            "There is a 0 on the diagonal now, the log of 1: the largest kernel of all. A term that must not count has the log "
            "−∞: fill_diagonal_(-math.inf) on a copy.",
            also=(
                lambda log_kernel: (
                    (log_kernel * (1 - torch.eye(len(log_kernel)))).logsumexp(-1) - math.log(len(log_kernel))
                ),
                lambda log_kernel: (
                    (log_kernel - torch.diag(log_kernel.diagonal())).logsumexp(-1) - math.log(len(log_kernel))
                ),
            ),
        ),
        Mistake(
            lambda log_kernel: (
                (log_kernel.exp().sum(-1) - log_kernel.diagonal().exp()).log() - math.log(len(log_kernel) - 1)
            ),
            "exp of such numbers rounds to 0, and its log is −∞: put −∞ on the diagonal and use logsumexp.",
            also=(
                lambda log_kernel: (
                    (log_kernel.exp().sum(-1) - log_kernel.diagonal().exp()) / (len(log_kernel) - 1)
                ).log(),
                lambda log_kernel: (
                    (log_kernel.exp() * (1 - torch.eye(len(log_kernel)))).sum(-1) / (len(log_kernel) - 1)
                ).log(),
                lambda log_kernel: _over_others(log_kernel).exp().sum(-1).log() - math.log(len(log_kernel) - 1),
            ),
        ),
        Mistake(
            lambda log_kernel: log_kernel.logsumexp(-1) - log_kernel.diagonal() - math.log(len(log_kernel) - 1),
            "Subtracting the diagonal from a log divides by that kernel; you want its term gone from the sum: put −∞ on the "
            "diagonal of a copy, then logsumexp.",
        ),
        Mistake(
            lambda log_kernel: (
                (log_kernel - math.inf * torch.eye(len(log_kernel))).logsumexp(-1) - math.log(len(log_kernel) - 1)
            ),
            "∞ times the zeros of torch.eye is NaN: use fill_diagonal_(-math.inf) on a copy, or masked_fill.",
        ),
        Mistake(
            lambda log_kernel: log_kernel.triu(1).logsumexp(-1) - math.log(len(log_kernel) - 1),
            "triu and tril put zeros, logs of 1, in the places of half of the others too; only example i itself must not count, "
            "and −∞ is the log of nothing: fill_diagonal_(-math.inf) on a copy.",
            also=(
                lambda log_kernel: log_kernel.tril(-1).logsumexp(-1) - math.log(len(log_kernel) - 1),
                lambda log_kernel: log_kernel.tril(-1).logsumexp(-1) - math.log(len(log_kernel)),
                lambda log_kernel: log_kernel.triu(1).logsumexp(-1) - math.log(len(log_kernel)),
            ),
        ),
        Mistake(
            lambda log_kernel: (log_kernel.sum(-1) - log_kernel.diagonal()) / (len(log_kernel) - 1),
            "You averaged the logs; the density is an average of kernels, so take their logsumexp.",
        ),
        Mistake(
            lambda log_kernel: _over_others(log_kernel).mean(-1),
            "An average of logs that holds a −∞ is −∞; average the kernels themselves: logsumexp, minus log(n − 1).",
            also=(lambda log_kernel: _over_others(log_kernel).sum(-1) - math.log(len(log_kernel) - 1),),
        ),
        Mistake(
            lambda log_kernel: _over_others(log_kernel).logsumexp(0) - math.log(len(log_kernel) - 1),
            "Your sum runs over the examples that are judged (axis 0); it runs over those that judge: the columns, axis -1.",
        ),
        Mistake(
            lambda log_kernel: _over_others(log_kernel).max(-1).values,
            "This is the best of the others alone; average over all n − 1.",
            also=(lambda log_kernel: _over_others(log_kernel).max(-1).values - math.log(len(log_kernel) - 1),),
        ),
        Mistake(
            lambda log_kernel: _over_others(log_kernel).logsumexp(-1) / (len(log_kernel) - 1),
            "You divided the log by n − 1; divide inside it: subtract math.log(len(log_kernel) - 1).",
        ),
        Mistake(
            lambda log_kernel: leave_one_out(log_kernel).mean(),
            "You averaged over the examples; keep one number an example.",
        ),
    ),
    alternatives=(
        lambda log_kernel: (
            log_kernel.masked_fill(torch.eye(len(log_kernel), dtype=torch.bool), -math.inf).logsumexp(1)
            - math.log(log_kernel.shape[0] - 1)
        ),
        lambda log_kernel: torch.stack(
            [
                torch.cat([row[:i], row[i + 1 :]]).logsumexp(0) - math.log(len(row) - 1)
                for i, row in enumerate(log_kernel)
            ]
        ),
        lambda log_kernel: (
            (log_kernel - torch.diag(torch.full((len(log_kernel),), math.inf))).logsumexp(-1)
            - math.log(len(log_kernel) - 1)
        ),
    ),
)


# --- bug hunt ---------------------------------------------------------------------------------------------------------


def log_prob_of_classes(x, probabilities, prior):
    log_joint = _log_likelihood(x, probabilities) + prior.log()
    top = log_joint.amax(-1, keepdim=True)
    return top[:, 0] + (log_joint - top).exp().sum(-1).log()


def _draw_classes(generator):
    """Classes that are nearly alike, so that all count; the probability of an image rounds to 0, but for the first."""
    logits = torch.randn(160, generator=generator) + 0.15 * torch.randn(3, 160, generator=generator)
    x = (torch.rand(5, 160, generator=generator) < 0.5).float()
    x[0] = (logits[0] > 0).float()
    return x, (1.6 * logits).sigmoid(), torch.randn(3, generator=generator).softmax(0)


def _log_likelihood(x, probabilities):
    """(batch, pixels), (classes, pixels) -> (batch, classes)."""
    return torch.log1p(-probabilities).sum(-1) + x @ probabilities.logit().T


BUG = Exercise(
    "intro/bug",
    log_prob_of_classes,
    _draw_classes,
    lesson=LESSON,
    title="bug hunt: a likelihood too good to be true",
    minutes=10,
    difficulty=3,
    bug_hunt=True,
    hints=(
        "The probabilities of all images add up to 11 rather than 1. Test the parts, one at a time: does p(x|y) of a single "
        "class, from log_paper and log_odds alone, sum to 1? Do the last two lines agree with log_joint.logsumexp(-1)?",
        "They do, so what is left is the weight p(y). If it is 0.1, by which factor does it change the sum as it stands, and by "
        "which should it?",
        "log_joint is a log, prior a probability; a product of probabilities is a sum of logs, so add prior.log(): "
        "log_joint = log_paper + x @ log_odds.T + prior.log().",
    ),
    mistakes=(
        Mistake(
            lambda x, probabilities, prior: (_log_likelihood(x, probabilities) + prior).logsumexp(-1),
            "The bug is still there. Add up the probabilities of all images again: what should p(y) contribute?",
        ),
        Mistake(
            lambda x, probabilities, prior: _log_likelihood(x, probabilities).logsumexp(-1),
            "Without the prior the sum over all images is the number of classes: Σ p(x|y) sums to 1 for each of them. Each class "
            "counts with its weight p(y).",
        ),
        Mistake(
            lambda x, probabilities, prior: _log_likelihood(x, probabilities).logsumexp(-1) - math.log(len(prior)),
            "Now it sums to 1, but every class has the same weight: that is right only for a uniform prior. Use `prior`.",
        ),
        Mistake(
            lambda x, probabilities, prior: (_log_likelihood(x, probabilities) * prior).logsumexp(-1),
            "A log-likelihood times a probability is no product of probabilities: in logs, p(y) p(x|y) is "
            "log_likelihood + prior.log().",
        ),
        Mistake(
            lambda x, probabilities, prior: (_log_likelihood(x, probabilities) + prior.log_softmax(-1)).logsumexp(-1),
            "Now it sums to 1, but with other weights than p(y): a softmax of probabilities is not those probabilities. What "
            "is the log of p(y)?",
            also=(
                lambda x, probabilities, prior: (
                    (_log_likelihood(x, probabilities) + prior).logsumexp(-1) - prior.logsumexp(-1)
                ),
            ),
        ),
        Mistake(
            lambda x, probabilities, prior: (_log_likelihood(x, probabilities) - prior).logsumexp(-1),
            "The sign was right, the number was not: the factor p(y) is a sum in logs, + log p(y).",
            also=(lambda x, probabilities, prior: (_log_likelihood(x, probabilities) - prior.log()).logsumexp(-1),),
        ),
        Mistake(
            lambda x, probabilities, prior: (_log_likelihood(x, probabilities) / x.shape[-1] + prior.log()).logsumexp(
                -1
            ),
            "The prior is mended, but you averaged over the pixels; the sum was right: the pixels' probabilities multiply.",
            also=(
                lambda x, probabilities, prior: (
                    torch.log1p(-probabilities).mean(-1) + x @ probabilities.logit().T + prior.log()
                ).logsumexp(-1),
            ),
        ),
        Mistake(
            lambda x, probabilities, prior: (
                torch.log1p(-probabilities).mean(-1) + x @ probabilities.logit().T + prior
            ).logsumexp(-1),
            "An average over the pixels mends nothing: their probabilities multiply, so their logs add up, and .sum(-1) was "
            "right. The bug is still there.",
            also=(
                lambda x, probabilities, prior: (_log_likelihood(x, probabilities) / x.shape[-1] + prior).logsumexp(-1),
            ),
        ),
        Mistake(
            lambda x, probabilities, prior: (_log_likelihood(x, probabilities).exp() * prior).sum(-1).log(),
            "Right on paper, but exp of such log-likelihoods rounds to 0, and the log of that is −∞: stay in logs, with "
            "prior.log().",
            also=(
                lambda x, probabilities, prior: (_log_likelihood(x, probabilities) + prior.log()).exp().sum(-1).log(),
                lambda x, probabilities, prior: (
                    (torch.where(x[:, None] == 1, probabilities, 1 - probabilities).prod(-1) * prior).sum(-1).log()
                ),
            ),
        ),
        Mistake(
            lambda x, probabilities, prior: _log_likelihood(x, probabilities).logsumexp(-1) + prior.log(),
            "The weight p(y) belongs to each class before they are added up: into log_joint.",
            also=(
                lambda x, probabilities, prior: _log_likelihood(x, probabilities).logsumexp(-1) + prior.log().sum(),
                lambda x, probabilities, prior: _log_likelihood(x, probabilities).logsumexp(-1) + prior,
            ),
        ),
        Mistake(
            lambda x, probabilities, prior: (_log_likelihood(x, probabilities) + prior.log()).sum(-1),
            "This adds the logs, as if all classes had drawn the image together; p(x) is a sum of probabilities: the sum of exponentials was right.",
            also=(
                lambda x, probabilities, prior: (_log_likelihood(x, probabilities) + prior).sum(-1),
                lambda x, probabilities, prior: (_log_likelihood(x, probabilities) * prior).sum(-1),
            ),
        ),
        Mistake(
            lambda x, probabilities, prior: (_log_likelihood(x, probabilities) + prior.log()).max(-1).values,
            "This is the best class alone; p(x) adds up all of them, as the last line did.",
        ),
        Mistake(
            lambda x, probabilities, prior: (_log_likelihood(x, probabilities) + prior.log()).log_softmax(-1),
            "This is log p(y|x), the posterior; the last two lines were right: they add up the classes.",
        ),
        Mistake(
            lambda x, probabilities, prior: (_log_likelihood(x, probabilities) + prior.log()).mean(-1),
            "An average of logs is not the log of a weighted sum: the last two lines were right.",
        ),
        Mistake(
            lambda x, probabilities, prior: (_log_likelihood(x, probabilities) + prior.log()).logsumexp(0),
            "The sum was right: it runs over the classes, the last axis.",
        ),
        Mistake(
            lambda x, probabilities, prior: (_log_likelihood(x, probabilities) + prior.log2()).logsumexp(-1),
            "Nats and bits are mixed: the log-likelihood is in nats, so use the natural log of the prior.",
        ),
        Mistake(
            lambda x, probabilities, prior: -(_log_likelihood(x, probabilities) + prior.log()).logsumexp(-1),
            "The prior is mended, but the sign is turned round: this is −log p(x).",
        ),
        Mistake(
            lambda x, probabilities, prior: (_log_likelihood(x, probabilities) + prior.log()).logsumexp(-1).mean(),
            "The prior is mended, but you averaged over the images; keep one number an image.",
        ),
    ),
    alternatives=(
        lambda x, probabilities, prior: torch.stack(
            [_log_likelihood(x, p[None])[:, 0] + weight.log() for p, weight in zip(probabilities, prior, strict=True)]
        ).logsumexp(0),
        lambda x, probabilities, prior: (
            (x[:, None] * probabilities.log() + (1 - x[:, None]) * (1 - probabilities).log()).sum(-1) + prior.log()
        ).logsumexp(-1),
        lambda x, probabilities, prior: torch.distributions.MixtureSameFamily(
            torch.distributions.Categorical(prior),
            torch.distributions.Independent(torch.distributions.Bernoulli(probabilities), 1),
        ).log_prob(x),
    ),
)
