"""Exercises of lesson 02 on a mixture's hidden choice: summing it out, and guessing it from what is seen."""

import math

import torch
from torch.nn import functional as F

from . import Exercise, Mistake, sums_to_one

LESSON = "02_latent_variables"


def draw_mixture(generator: torch.Generator, batch: int = 6, components: int = 4):
    """Weights π_h and log p(x|h) of a batch: the first x lies far from every component, the second in a narrow one."""
    weights = torch.randn(components, generator=generator).softmax(-1)
    log_likelihood = 3 * torch.randn(batch, components, generator=generator) - 4
    log_likelihood[0] -= 2000  # exp of it is 0 in float32 and in float64
    log_likelihood[1] += 120  # exp of it is infinite in float32
    return weights.requires_grad_(), log_likelihood.requires_grad_()


# --- the marginal: log p(x) = log Σ_h p(x, h) -------------------------------------------------------------------------


def log_marginal(weights, log_likelihood):
    return (weights.log() + log_likelihood).logsumexp(-1)


def _shifted(log_likelihood):
    return (log_likelihood - log_likelihood.amax(-1, keepdim=True)).exp()


def _joint(weights, log_likelihood):
    return weights.log() + log_likelihood


def _below_the_largest_of_all(joint):
    """exp of logs from which the largest of the whole batch was subtracted, not of each example."""
    return (joint - joint.max()).exp()


def _padded(smallest):
    return lambda weights, log_likelihood: ((weights * log_likelihood.exp()).sum(-1) + smallest).log()


def _clamped(smallest):
    return lambda weights, log_likelihood: (weights * log_likelihood.exp()).sum(-1).clamp_min(smallest).log()


MARGINAL = Exercise(
    "latent/marginal",
    log_marginal,
    draw_mixture,
    lesson=LESSON,
    title="sum the hidden choice out",
    minutes=8,
    difficulty=1,
    differentiable=True,
    hints=(
        "A product is a sum in logs: log (π_h p(x|h)) = log π_h + log p(x|h). Then comes a sum over h, of numbers whose "
        "logs you have.",
        "weights.log() + log_likelihood is log p(x, h), of shape (batch, components). tensor.logsumexp(dim) gives "
        "log Σ exp without ever leaving logs.",
        "(weights.log() + log_likelihood).logsumexp(-1): the last axis is h, so one number an example is left.",
    ),
    mistakes=(
        Mistake(
            lambda weights, log_likelihood: (weights * log_likelihood.exp()).sum(-1).log(),
            "This is the formula, but the numbers do not survive it: exp(−2000) is zero in float32 and float64 (its log is −∞), "
            "and exp(120) is infinite in float32. Stay in logs: logsumexp.",
            also=(
                lambda weights, log_likelihood: (log_likelihood.exp() @ weights).log(),
                lambda weights, log_likelihood: (
                    (weights.double() * log_likelihood.double().exp()).sum(-1).log().float()
                ),
                lambda weights, log_likelihood: (weights.log() + log_likelihood).exp().sum(-1).log(),
                *(_padded(smallest) for smallest in (1e-6, 1e-8, 1e-9, 1e-10, 1e-12, 1e-20, 1e-30)),
                *(_clamped(smallest) for smallest in (1e-6, 1e-8, 1e-9, 1e-10, 1e-12, 1e-20, 1e-30)),
            ),
        ),
        Mistake(
            lambda weights, log_likelihood: log_likelihood.logsumexp(-1),
            "The weights are missing: you summed p(x|h), and the sum is of p(x, h) = π_h p(x|h). Add weights.log().",
            also=(lambda weights, log_likelihood: log_likelihood.logsumexp(-1) - math.log(len(weights)),),
        ),
        Mistake(
            lambda weights, log_likelihood: (weights + log_likelihood).logsumexp(-1),
            "You added the weights themselves to a log: add their logs, weights.log().",
        ),
        Mistake(
            lambda weights, log_likelihood: (weights * log_likelihood).sum(-1),
            "This is the weighted mean of the logs; what is wanted is the log of the weighted mean, which is larger.",
            also=(lambda weights, log_likelihood: log_likelihood @ weights,),
        ),
        Mistake(
            lambda weights, log_likelihood: (weights * log_likelihood).logsumexp(-1),
            "You multiplied the weights into a log: in logs a product is a sum, weights.log() + log_likelihood.",
        ),
        Mistake(
            lambda weights, log_likelihood: (weights.log() + log_likelihood).sum(-1),
            "Adding logs multiplies the components; their probabilities are added: logsumexp in place of sum.",
        ),
        Mistake(
            lambda weights, log_likelihood: (weights.log() + log_likelihood).amax(-1),
            "This is the best component alone; the others count too: logsumexp in place of the maximum.",
        ),
        Mistake(
            lambda weights, log_likelihood: (weights.log() + log_likelihood).logsumexp(0),
            "You summed over the batch, axis 0; the hidden choice is the last axis: logsumexp(-1).",
        ),
        Mistake(
            lambda weights, log_likelihood: (weights.log() + log_likelihood).logsumexp(-1, keepdim=True),
            "Leave keepdim away: one number an example, of shape (batch,).",
        ),
        Mistake(
            lambda weights, log_likelihood: (weights.log() + log_likelihood).log_softmax(-1),
            "log_softmax divides by the sum, and so gives log p(h|x), the next exercise; here the sum itself is wanted: "
            "logsumexp.",
        ),
        Mistake(
            lambda weights, log_likelihood: (weights.log() + log_likelihood).logsumexp(-1).exp(),
            "This is p(x), which is zero or infinite for some of these x: return its log.",
            also=(lambda weights, log_likelihood: (weights * log_likelihood.exp()).sum(-1),),
        ),
        Mistake(
            lambda weights, log_likelihood: (weights * _shifted(log_likelihood)).sum(-1).log(),
            "You subtracted the largest log-likelihood, but did not add it back: add it after the log.",
        ),
        Mistake(
            lambda weights, log_likelihood: (
                _below_the_largest_of_all(_joint(weights, log_likelihood)).sum(-1).log()
                + _joint(weights, log_likelihood).max()
            ),
            "You subtracted the largest number of the whole batch; an example far below it still comes out as −∞. Subtract "
            "each example's own largest: amax(-1, keepdim=True), or logsumexp, which does it.",
            also=(
                lambda weights, log_likelihood: (
                    (weights * _below_the_largest_of_all(log_likelihood)).sum(-1).log() + log_likelihood.max()
                ),
            ),
        ),
        Mistake(
            lambda weights, log_likelihood: -log_marginal(weights, log_likelihood),
            "This is −log p(x), the loss; return log p(x).",
        ),
        Mistake(
            lambda weights, log_likelihood: log_marginal(weights, log_likelihood).mean(),
            "You averaged over the batch; keep one number an example.",
        ),
        Mistake(
            lambda weights, log_likelihood: log_marginal(weights, log_likelihood).sum(),
            "You added up the batch; keep one number an example.",
        ),
        Mistake(
            lambda weights, log_likelihood: (math.log(weights) + log_likelihood).logsumexp(-1),
            "The functions of `math` take a single number, not a tensor: use the tensor's own, weights.log().",
        ),
    ),
    alternatives=(
        lambda weights, log_likelihood: torch.logsumexp(torch.log(weights) + log_likelihood, dim=1),
        lambda weights, log_likelihood: (weights * _shifted(log_likelihood)).sum(-1).log() + log_likelihood.amax(-1),
        lambda weights, log_likelihood: (log_likelihood.T + weights.log()[:, None]).logsumexp(0),
    ),
)


# --- the E-step: p(h|x) -----------------------------------------------------------------------------------------------


def e_step(weights, log_likelihood):
    return (weights.log() + log_likelihood).softmax(-1)


def _normalized(joint, dim=-1):
    return joint / joint.sum(dim, keepdim=True)


E_STEP = Exercise(
    "latent/e_step",
    e_step,
    draw_mixture,
    lesson=LESSON,
    title="the E-step: which component?",
    minutes=8,
    difficulty=1,
    differentiable=True,
    properties=(sums_to_one(-1),),
    hints=(
        "Bayes' rule: p(h|x) = p(x, h) / Σ_h' p(x, h'). In logs, a division is a subtraction, and you wrote the log of "
        "the denominator a moment ago.",
        "log p(x, h) − log p(x) is log p(h|x), and only then comes exp. PyTorch has this in one: softmax, which is "
        "exp divided by the sum of exp, done safely.",
        "(weights.log() + log_likelihood).softmax(-1): softmax over the last axis, h.",
    ),
    mistakes=(
        Mistake(
            lambda weights, log_likelihood: log_likelihood.softmax(-1),
            "The weights π_h are missing, so a rare component counts as much as a common one: add weights.log() first. "
            "(In daily life this is called the base-rate fallacy.)",
            also=(lambda weights, log_likelihood: (log_likelihood - math.log(len(weights))).softmax(-1),),
        ),
        Mistake(
            lambda weights, log_likelihood: _normalized(weights * log_likelihood.exp()),
            "This is Bayes' rule, but the numbers do not survive it: exp(−2000) is zero for every component, and 0/0 is NaN. "
            "Stay in logs to the end: softmax of the logs does.",
            also=(
                lambda weights, log_likelihood: _normalized(weights.double() * log_likelihood.double().exp()).float(),
                lambda weights, log_likelihood: (
                    (weights.log() + log_likelihood).exp() / log_marginal(weights, log_likelihood).exp()[:, None]
                ),
                *(
                    lambda weights, log_likelihood, s=smallest: (
                        (weights * log_likelihood.exp()) / ((weights * log_likelihood.exp()).sum(-1, keepdim=True) + s)
                    )
                    for smallest in (1e-6, 1e-8, 1e-10, 1e-12, 1e-30)
                ),
            ),
        ),
        Mistake(
            lambda weights, log_likelihood: _normalized(_below_the_largest_of_all(_joint(weights, log_likelihood))),
            "You subtracted the largest number of the whole batch; an example far below it still comes out as 0/0. Subtract "
            "each example's own largest: amax(-1, keepdim=True), or use softmax, which does it.",
            also=(
                lambda weights, log_likelihood: _normalized(weights * _below_the_largest_of_all(log_likelihood)),
                lambda weights, log_likelihood: _normalized((log_likelihood - log_likelihood.max()).exp()),
            ),
        ),
        Mistake(
            lambda weights, log_likelihood: (weights.log() + log_likelihood).softmax(0),
            "You shared each component out among the points; share each point out among the components: softmax over the "
            "last axis, softmax(-1).",
            also=(lambda weights, log_likelihood: log_likelihood.softmax(0),),
        ),
        Mistake(
            lambda weights, log_likelihood: (weights + log_likelihood).softmax(-1),
            "You added the weights themselves to a log: add their logs, weights.log().",
        ),
        Mistake(
            lambda weights, log_likelihood: (weights * log_likelihood).softmax(-1),
            "You multiplied the weights into a log: in logs a product is a sum, weights.log() + log_likelihood.",
        ),
        Mistake(
            lambda weights, log_likelihood: weights * log_likelihood.softmax(-1),
            "After the weights are multiplied in, the entries no longer sum to 1: put the weights inside the softmax, as "
            "weights.log() + log_likelihood.",
        ),
        Mistake(
            lambda weights, log_likelihood: (weights.log() + log_likelihood).log_softmax(-1),
            "This is log p(h|x); responsibilities are probabilities: put exp around it, or use softmax.",
            also=(
                lambda weights, log_likelihood: (
                    weights.log() + log_likelihood - log_marginal(weights, log_likelihood)[:, None]
                ),
            ),
        ),
        Mistake(
            lambda weights, log_likelihood: weights.log() + log_likelihood,
            "This is log p(x, h): it is not yet divided by p(x), nor turned back from a log. softmax does both.",
        ),
        Mistake(
            lambda weights, log_likelihood: weights * log_likelihood.exp(),
            "This is p(x, h): divide by its sum over h. And stay in logs, for exp(−2000) is zero: softmax.",
            also=(lambda weights, log_likelihood: (weights.log() + log_likelihood).exp(),),
        ),
        Mistake(
            lambda weights, log_likelihood: _normalized(weights.log() + log_likelihood),
            "You divided logs by their sum: divide the probabilities, which softmax does.",
        ),
        Mistake(
            lambda weights, log_likelihood: F.one_hot((weights.log() + log_likelihood).argmax(-1), len(weights)).to(
                weights.dtype
            ),
            "This gives each point wholly to its best component; here every component gets its share, p(h|x): softmax in "
            "place of argmax.",
        ),
        Mistake(
            lambda weights, log_likelihood: (weights.log() + log_likelihood).argmax(-1),
            "This is the number of the best component; the E-step wants the probability of each: softmax in place of argmax.",
        ),
        Mistake(
            lambda weights, log_likelihood: weights.log() + log_likelihood - log_marginal(weights, log_likelihood),
            "(batch, components) minus (batch,) does not fit: give log p(x) a last axis, [:, None] (or keepdim=True).",
            also=(
                lambda weights, log_likelihood: (
                    weights.log() + log_likelihood - log_marginal(weights, log_likelihood)
                ).exp(),
            ),
        ),
    ),
    alternatives=(
        lambda weights, log_likelihood: (weights.log() + log_likelihood).log_softmax(-1).exp(),
        lambda weights, log_likelihood: _normalized(weights * _shifted(log_likelihood)),
        lambda weights, log_likelihood: _normalized(weights * log_likelihood.softmax(-1)),
        lambda weights, log_likelihood: (
            weights.log() + log_likelihood - log_marginal(weights, log_likelihood)[:, None]
        ).exp(),
    ),
)
