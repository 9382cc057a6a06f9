"""Exercises of lesson 01 on comparing distributions: the KL divergence, and Bayes' rule."""

import math

import torch

from . import Exercise, Mistake, sums_to_one
from .intro_tables import LESSON

# --- KL between Gaussians ---------------------------------------------------------------------------------------------


def gaussian_kl(mean_p, std_p, mean_q, std_q):
    return (std_q / std_p).log() + (std_p.square() + (mean_p - mean_q).square()) / (2 * std_q.square()) - 0.5


def _draw_two_gaussians(generator):
    means = 1.5 * torch.randn(2, 5, generator=generator)
    stds = (0.6 * torch.randn(2, 5, generator=generator)).exp()
    return tuple(part.clone().requires_grad_() for part in (means[0], stds[0], means[1], stds[1]))


def _kl(log_term, quadratic, constant=0.5):
    """The formula with some of its three parts exchanged: functions of (difference, std_p, std_q)."""
    return lambda mean_p, std_p, mean_q, std_q: (
        log_term(std_p, std_q) + quadratic(mean_p - mean_q, std_p, std_q) - constant
    )


def _log_ratio(std_p, std_q):
    return (std_q / std_p).log()


def _quadratic(difference, std_p, std_q):
    return (std_p.square() + difference.square()) / (2 * std_q.square())


GAUSSIAN_KL = Exercise(
    "intro/gaussian_kl",
    gaussian_kl,
    _draw_two_gaussians,
    lesson=LESSON,
    title="KL between Gaussians",
    minutes=8,
    difficulty=1,
    differentiable=True,
    hints=(
        "The formula stands above the cell; translate it term by term. μ is a mean, σ a standard deviation, and the variance "
        "is σ², std.square().",
        "Three terms: (std_q / std_p).log(), then a fraction with std_p.square() + (mean_p - mean_q).square() above and "
        "2 * std_q.square() below, then - 0.5.",
        "(std_q / std_p).log() + (std_p.square() + (mean_p - mean_q).square()) / (2 * std_q.square()) - 0.5",
    ),
    mistakes=(
        Mistake(
            lambda mean_p, std_p, mean_q, std_q: gaussian_kl(mean_q, std_q, mean_p, std_p),
            "This is KL(q ‖ p), the other direction: exchange the roles of p and q.",
        ),
        Mistake(
            _kl(lambda std_p, std_q: (std_p / std_q).log(), _quadratic),
            "The ratio in the log is upside down: ln(σ_q / σ_p).",
        ),
        Mistake(
            _kl(_log_ratio, lambda d, std_p, std_q: (std_p.square() + d.square()) / (2 * std_p.square())),
            "You divided by p's own variance; the fraction stands over 2σ_q².",
        ),
        Mistake(
            _kl(_log_ratio, _quadratic, constant=0),
            "The −½ is missing: for p = q the KL must be 0.",
        ),
        Mistake(
            _kl(_log_ratio, _quadratic, constant=1),
            "Subtract ½, not 1: for p = q the KL must be 0.",
        ),
        Mistake(
            _kl(_log_ratio, _quadratic, constant=-0.5),
            "The ½ is subtracted, not added: for p = q the KL must be 0.",
        ),
        Mistake(
            _kl(_log_ratio, lambda d, std_p, std_q: (std_p.square() + d.square()) / std_q.square()),
            "The 2 in the denominator is missing: the fraction stands over 2σ_q².",
        ),
        Mistake(
            _kl(_log_ratio, lambda d, std_p, std_q: (std_p.square() + d.square()) / 2 * std_q.square()),
            "Read from the left, … / 2 * σ_q² divides by 2 and multiplies by σ_q²: put brackets round (2 * std_q.square()).",
        ),
        Mistake(
            _kl(_log_ratio, lambda d, std_p, std_q: (std_p + d.square()) / (2 * std_q)),
            "These are standard deviations; the fraction has variances: std_p.square() above, std_q.square() below.",
        ),
        Mistake(
            _kl(_log_ratio, lambda d, std_p, std_q: (std_p.square() + d.square()) / (2 * std_q)),
            "σ_q is not squared below: the fraction stands over 2σ_q².",
        ),
        Mistake(
            _kl(_log_ratio, lambda d, std_p, std_q: (std_p + d.square()) / (2 * std_q.square())),
            "σ_p is not squared above: the fraction has σ_p² + (μ_p − μ_q)².",
        ),
        Mistake(
            _kl(_log_ratio, lambda d, std_p, std_q: (std_p.square() + d) / (2 * std_q.square())),
            "The difference of the means is not squared.",
            also=(_kl(_log_ratio, lambda d, std_p, std_q: (std_p.square() + d.abs()) / (2 * std_q.square())),),
        ),
        Mistake(
            _kl(_log_ratio, lambda d, std_p, std_q: (std_p + d).square() / (2 * std_q.square())),
            "Square first, then add: σ_p² + (μ_p − μ_q)², not (σ_p + μ_p − μ_q)².",
        ),
        Mistake(
            _kl(_log_ratio, lambda d, std_p, std_q: std_p.square() + d.square() / (2 * std_q.square())),
            "Brackets are missing: the sum σ_p² + (μ_p − μ_q)² as a whole stands over 2σ_q².",
        ),
        Mistake(
            _kl(_log_ratio, lambda d, std_p, std_q: d.square() / (2 * std_q.square())),
            "σ_p² is missing above the fraction: two Gaussians of one mean but different widths differ too.",
        ),
        Mistake(
            _kl(lambda std_p, std_q: (std_q / std_p).square().log(), _quadratic),
            "Your log is of a ratio of variances, which is twice that of the standard deviations: ln(σ_q / σ_p).",
        ),
        Mistake(
            lambda mean_p, std_p, mean_q, std_q: gaussian_kl(mean_p, std_p.square(), mean_q, std_q.square()),
            "Variances stand where standard deviations belong: torch's Normal, too, takes σ, not σ².",
        ),
        Mistake(
            _kl(_log_ratio, lambda d, std_p, std_q: (std_p.square() + d.square()) / (4 * std_q.square())),
            "There is a 2 too many below the fraction: it stands over 2σ_q².",
        ),
        Mistake(
            _kl(lambda std_p, std_q: (std_q / std_p).log2(), _quadratic),
            "The log is to the base 2; nats need the natural one: .log().",
        ),
        Mistake(
            _kl(lambda std_p, std_q: torch.zeros_like(std_p), _quadratic),
            "The term ln(σ_q / σ_p) is missing.",
        ),
        Mistake(
            lambda mean_p, std_p, mean_q, std_q: -gaussian_kl(mean_p, std_p, mean_q, std_q),
            "The sign is turned round: a KL is never negative.",
        ),
        Mistake(
            lambda mean_p, std_p, mean_q, std_q: gaussian_kl(mean_p, std_p, mean_q, std_q).sum(),
            "You added up all pairs; keep one number a pair.",
            also=(lambda mean_p, std_p, mean_q, std_q: gaussian_kl(mean_p, std_p, mean_q, std_q).mean(),),
        ),
        Mistake(
            _kl(lambda std_p, std_q: math.log(std_q / std_p), _quadratic),
            "The functions of `math` take a single number, not a tensor: use the tensor's own .log().",
        ),
    ),
    alternatives=(
        lambda mean_p, std_p, mean_q, std_q: torch.distributions.kl_divergence(
            torch.distributions.Normal(mean_p, std_p), torch.distributions.Normal(mean_q, std_q)
        ),
        lambda mean_p, std_p, mean_q, std_q: (
            0.5 * ((std_p**2 + (mean_q - mean_p) ** 2) / std_q**2 - 1 - 2 * torch.log(std_p / std_q))
        ),
        lambda mean_p, std_p, mean_q, std_q: (
            std_q.log() - std_p.log() + 0.5 * ((std_p / std_q) ** 2 + ((mean_p - mean_q) / std_q) ** 2) - 1 / 2
        ),
    ),
)


# --- Bayes' rule ------------------------------------------------------------------------------------------------------


def log_posterior(log_likelihood, log_prior):
    joint = log_likelihood + log_prior
    return joint - joint.logsumexp(-1, keepdim=True)


def _draw_likelihoods(generator):
    """Log-likelihoods of images, whose exponentials round to zero but for the first, and a prior that is not uniform."""
    log_likelihood = -300 + 3 * torch.randn(5, 4, generator=generator)
    log_likelihood[0] += 295
    return log_likelihood, torch.randn(4, generator=generator).log_softmax(0)


BAYES = Exercise(
    "intro/bayes",
    log_posterior,
    _draw_likelihoods,
    lesson=LESSON,
    title="a classifier by Bayes' rule",
    minutes=8,
    difficulty=2,
    properties=(sums_to_one(-1, log=True),),
    hints=(
        "In logs the product p(x|y) p(y) is a sum, and the division by p(x) a subtraction. p(x) is the sum of the products over "
        "all classes.",
        "joint = log_likelihood + log_prior holds log p(x, y) for every class, (batch, classes). log p(x) = "
        "joint.logsumexp(-1): log of a sum of exponentials, without underflow.",
        "joint = log_likelihood + log_prior; return joint - joint.logsumexp(-1, keepdim=True). (keepdim leaves a column, which "
        "is subtracted from every class.)",
    ),
    mistakes=(
        Mistake(
            lambda log_likelihood, log_prior: log_likelihood + log_prior,
            "This is log p(x, y). Divide by p(x), the sum over the classes: subtract its logsumexp.",
        ),
        Mistake(
            lambda log_likelihood, log_prior: log_likelihood.log_softmax(-1),
            "The prior is missing: add log_prior before you normalize.",
        ),
        Mistake(
            lambda log_likelihood, log_prior: log_likelihood.log_softmax(-1) + log_prior,
            "The prior came too late, after normalizing, so the result no longer sums to 1: p(x) = Σ p(x|y) p(y) has the prior "
            "in it too. Add, then normalize.",
        ),
        Mistake(
            lambda log_likelihood, log_prior: (log_likelihood + log_prior).softmax(-1),
            "These are the probabilities themselves, and right; the exercise asks for their logs: .log_softmax(-1), or "
            "joint − logsumexp.",
        ),
        Mistake(
            lambda log_likelihood, log_prior: log_posterior(log_likelihood, log_prior.exp()),
            "log_prior is a log already, and is added as it is: without .exp().",
        ),
        Mistake(
            lambda log_likelihood, log_prior: log_posterior(log_likelihood, log_prior.log()),
            "log_prior is a log already; the log of it, of a negative number, is NaN.",
        ),
        Mistake(
            lambda log_likelihood, log_prior: (log_likelihood * log_prior).log_softmax(-1),
            "Probabilities multiply, so their logs add: log_likelihood + log_prior.",
        ),
        Mistake(
            lambda log_likelihood, log_prior: (log_likelihood - log_prior).log_softmax(-1),
            "The prior is subtracted here; p(x|y) p(y) is a product, so its logs are added.",
        ),
        Mistake(
            lambda log_likelihood, log_prior: (log_likelihood + log_prior).log_softmax(0),
            "You normalized over the batch, axis 0; for each image the classes must sum to 1: axis -1.",
        ),
        Mistake(
            lambda log_likelihood, log_prior: (
                log_likelihood + log_prior - (log_likelihood.exp() * log_prior.exp()).sum(-1, keepdim=True).log()
            ),
            "exp of such log-likelihoods rounds to 0, and the log of that is −∞: use logsumexp, which stays in logs.",
            also=(
                lambda log_likelihood, log_prior: (
                    log_likelihood + log_prior - (log_likelihood + log_prior).exp().sum(-1, keepdim=True).log()
                ),
            ),
        ),
        Mistake(
            lambda log_likelihood, log_prior: (
                (log_likelihood.exp() * log_prior.exp())
                / (log_likelihood.exp() * log_prior.exp()).sum(-1, keepdim=True)
            ).log(),
            "exp of such log-likelihoods rounds to 0, and 0/0 is NaN: stay in logs, with logsumexp.",
            also=(
                lambda log_likelihood, log_prior: (
                    (log_likelihood.exp() * log_prior.exp())
                    / (log_likelihood.exp() * log_prior.exp()).sum(-1, keepdim=True)
                ),
            ),
        ),
        Mistake(
            lambda log_likelihood, log_prior: log_likelihood + log_prior - (log_likelihood + log_prior).logsumexp(-1),
            "logsumexp(-1) leaves one number an image, which does not fit beside the classes: pass keepdim=True.",
        ),
        Mistake(
            lambda log_likelihood, log_prior: (
                log_likelihood + log_prior - (log_likelihood + log_prior).sum(-1, keepdim=True)
            ),
            "You subtracted the sum of the logs; p(x) is a sum of probabilities, so subtract the log of the sum of "
            "exponentials: logsumexp.",
        ),
        Mistake(
            lambda log_likelihood, log_prior: (
                (log_likelihood + log_prior) / (log_likelihood + log_prior).sum(-1, keepdim=True)
            ),
            "Dividing logs does not divide probabilities: subtract the logsumexp.",
            also=(
                lambda log_likelihood, log_prior: (
                    (log_likelihood + log_prior) / (log_likelihood + log_prior).logsumexp(-1, keepdim=True)
                ),
            ),
        ),
        Mistake(
            lambda log_likelihood, log_prior: (log_likelihood + log_prior).logsumexp(-1),
            "This is log p(x), the denominator alone: subtract it from log_likelihood + log_prior.",
        ),
        Mistake(
            lambda log_likelihood, log_prior: (log_likelihood + log_prior).argmax(-1),
            "This is the most probable class; return the log-probabilities of all classes.",
        ),
    ),
    alternatives=(
        lambda log_likelihood, log_prior: torch.log_softmax(log_likelihood + log_prior, dim=-1),
        lambda log_likelihood, log_prior: (log_likelihood + log_prior[None]).softmax(-1).log(),
        lambda log_likelihood, log_prior: torch.stack(
            [row + log_prior - torch.logsumexp(row + log_prior, 0) for row in log_likelihood]
        ),
    ),
)
