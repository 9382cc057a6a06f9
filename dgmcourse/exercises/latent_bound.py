"""The exercise of lesson 02 that later lessons rest on: the evidence lower bound of any guess q, and its gap."""

import torch

from . import Exercise, Mistake
from .latent_mixture import LESSON


def elbo_and_gap(log_joint, q):
    log_posterior = log_joint.log_softmax(-1)
    negative_entropy = torch.xlogy(q, q).sum(-1)
    return (q * log_joint).sum(-1) - negative_entropy, negative_entropy - (q * log_posterior).sum(-1)


def _draw_guess(generator, batch=6, components=4):
    """Guesses q for each x. The first is certain, the second excludes a component, the third is the exact posterior;
    the last x is far from every component."""
    log_joint = 2 * torch.randn(batch, components, generator=generator) - 6
    log_joint[-1] -= 150  # exp of it is 0 in float32
    q = torch.randn(batch, components, generator=generator).softmax(-1)
    q[0] = torch.eye(components)[int(torch.randint(components, (), generator=generator))]
    q[1, 0] = 0.0
    q[1] /= q[1].sum()
    q[2] = log_joint[2].softmax(-1)
    return log_joint, q


def _plain_entropy(log_joint, q):
    return (q * (log_joint - q.log())).sum(-1), (q * (q.log() - log_joint.log_softmax(-1))).sum(-1)


def _turned_round(log_joint, q):
    posterior = log_joint.softmax(-1)
    return elbo_and_gap(log_joint, q)[0], (posterior * (posterior.log() - q.log())).sum(-1)


def _posterior_without_logs(log_joint, q):
    joint = log_joint.exp()
    posterior = joint / joint.sum(-1, keepdim=True)
    return elbo_and_gap(log_joint, q)[0], torch.xlogy(q, q / posterior).sum(-1)


def _per_component(log_joint, q):
    log_q = q.clamp_min(1e-30).log()
    return q * (log_joint - log_q), q * (log_q - log_joint.log_softmax(-1))


def _mean_over_components(log_joint, q):
    elbo, kl = elbo_and_gap(log_joint, q)
    return elbo / q.shape[-1], kl / q.shape[-1]


def _over_the_batch(log_joint, q):
    elbo, kl = _per_component(log_joint, q)
    return elbo.sum(0), kl.sum(0)


def _by_difference(log_joint, q):
    """The gap as what the bound lacks of log p(x)."""
    log_q = q.clamp_min(torch.finfo(q.dtype).tiny).log()
    elbo = (q * (log_joint - log_q)).sum(-1)
    return elbo, torch.logsumexp(log_joint, -1) - elbo


def _by_distributions(log_joint, q):
    guess, posterior = torch.distributions.Categorical(probs=q), torch.distributions.Categorical(logits=log_joint)
    return (q * log_joint).sum(-1) + guess.entropy(), torch.distributions.kl_divergence(guess, posterior)


def _where_it_is_positive(log_joint, q):
    log_q = torch.where(q > 0, q, 1.0).log()
    return (q * (log_joint - log_q)).sum(-1), (q * (log_q - log_joint.log_softmax(-1))).sum(-1)


def _by_difference_from(bound):
    """A bound of one's own, and as its gap what it lacks of log p(x)."""

    def other(log_joint, q):
        elbo = bound(log_joint, q)
        return elbo, log_joint.logsumexp(-1) - elbo

    return other


def _wrong_entropy(log_joint, q):
    return (q * log_joint).sum(-1) + torch.xlogy(q, q).sum(-1)


def _log_of_sums(log_joint, q):
    return (q * log_joint - torch.xlogy(q, q)).logsumexp(-1)


def _out_of_logs(log_joint, q):
    return (q * log_joint.exp()).sum(-1) - torch.xlogy(q, q).sum(-1)


def _ratio_without_logs(log_joint, q):
    return torch.xlogy(q, log_joint.exp() / q).sum(-1)


def _with_right_gap(bound):
    return lambda log_joint, q: (bound(log_joint, q), elbo_and_gap(log_joint, q)[1])


def _averaged_over_the_posterior(log_joint, q):
    log_posterior = log_joint.log_softmax(-1)
    return elbo_and_gap(log_joint, q)[0], (log_posterior.exp() * (q.log() - log_posterior)).sum(-1)


def _times(a, b):
    """The two answers, each with a factor."""

    def scaled(log_joint, q):
        elbo, kl = elbo_and_gap(log_joint, q)
        return a * elbo, b * kl

    return scaled


ELBO = Exercise(
    "latent/elbo",
    elbo_and_gap,
    _draw_guess,
    lesson=LESSON,
    title="the evidence lower bound and its gap",
    minutes=12,
    difficulty=3,
    hints=(
        "Both are averages over h, weighted with q: Σ_h q(h) · (…). In the bound stands log p(x, h) − log q(h), in the gap "
        "log q(h) − log p(h|x).",
        "log p(h|x) is log_joint.log_softmax(-1). Where q(h) = 0, its log is −∞ and 0 · (−∞) is NaN, though the term should "
        "be 0: torch.xlogy(q, q) is q log q with 0 where q is 0.",
        "negative_entropy = torch.xlogy(q, q).sum(-1); the bound is (q * log_joint).sum(-1) - negative_entropy, the gap "
        "negative_entropy - (q * log_joint.log_softmax(-1)).sum(-1).",
    ),
    mistakes=(
        Mistake(
            _plain_entropy,
            "Right where q is positive; but some q(h) are exactly 0, and 0 · log 0 is NaN where 0 is meant: "
            "torch.xlogy(q, q) is q log q without that.",
            also=(
                lambda log_joint, q: (
                    (q * log_joint).sum(-1) - (q * q.log()).sum(-1),
                    (q * q.log()).sum(-1) - (q * log_joint.log_softmax(-1)).sum(-1),
                ),
                lambda log_joint, q: (
                    _plain_entropy(log_joint, q)[0],
                    log_joint.logsumexp(-1) - _plain_entropy(log_joint, q)[0],
                ),
            ),
        ),
        Mistake(
            lambda log_joint, q: ((q * log_joint).sum(-1), elbo_and_gap(log_joint, q)[1]),
            "Your bound lacks the entropy of q: subtract Σ q log q (torch.xlogy(q, q)).",
            also=(
                lambda log_joint, q: (
                    (q * log_joint).sum(-1),
                    log_joint.logsumexp(-1) - (q * log_joint).sum(-1),
                ),
            ),
        ),
        Mistake(
            _with_right_gap(_wrong_entropy),
            "The entropy has the wrong sign in your bound: it is Σ q (log p(x, h) − log q), and q log q is negative.",
            also=(
                _by_difference_from(_wrong_entropy),
                lambda log_joint, q: (
                    _wrong_entropy(log_joint, q),
                    -torch.xlogy(q, q).sum(-1) - (q * log_joint.log_softmax(-1)).sum(-1),
                ),
            ),
        ),
        Mistake(
            _with_right_gap(_log_of_sums),
            "Your bound takes logsumexp over h. It is a plain average of logs, Σ q (log p(x, h) − log q): .sum(-1). That the "
            "log stands inside the sum is what makes it a bound.",
            also=(
                _by_difference_from(_log_of_sums),
                _with_right_gap(lambda log_joint, q: (q * log_joint).logsumexp(-1) - torch.xlogy(q, q).sum(-1)),
                _with_right_gap(lambda log_joint, q: (q * log_joint).logsumexp(-1)),
                lambda log_joint, q: (
                    _log_of_sums(log_joint, q),
                    (torch.xlogy(q, q) - q * log_joint.log_softmax(-1)).logsumexp(-1),
                ),
            ),
        ),
        Mistake(
            _with_right_gap(_out_of_logs),
            "You took exp of log_joint; the bound averages log p(x, h) itself, as it is given: Σ q (log p(x, h) − log q).",
            also=(
                _by_difference_from(_out_of_logs),
                _with_right_gap(lambda log_joint, q: (q * log_joint.exp()).sum(-1)),
            ),
        ),
        Mistake(
            _with_right_gap(_ratio_without_logs),
            "This is the formula, but exp(log_joint) is zero far from every component, and its log −∞. Stay in logs: "
            "(q * log_joint).sum(-1) − Σ q log q.",
            also=(_by_difference_from(_ratio_without_logs),),
        ),
        Mistake(
            _averaged_over_the_posterior,
            "Your gap is averaged over p(h|x); the gap is an average over the guess: Σ q (log q − log p(h|x)).",
        ),
        Mistake(
            _turned_round,
            "Your gap is KL(p(h|x) ‖ q), the other way round, and infinite where q is 0. The gap averages over q: "
            "Σ q (log q − log p(h|x)).",
        ),
        Mistake(
            lambda log_joint, q: (elbo_and_gap(log_joint, q)[0], (torch.xlogy(q, q) - q * log_joint).sum(-1)),
            "Your gap compares q with p(x, h); it must compare with the posterior p(h|x), whose log is log_joint.log_softmax(-1).",
        ),
        Mistake(
            _posterior_without_logs,
            "The posterior comes out as 0/0, for exp(log_joint) is zero far from every component: "
            "log_joint.log_softmax(-1) gives its log at once.",
        ),
        Mistake(
            _times(1, -1),
            "The gap has the wrong sign: a KL is never negative. It is Σ q (log q − log p(h|x)).",
        ),
        Mistake(
            _times(-1, 1),
            "This is the loss, −ELBO; return the bound itself.",
            also=(_times(-1, -1),),
        ),
        Mistake(
            lambda log_joint, q: elbo_and_gap(log_joint, q)[::-1],
            "The order is turned round: first the bound, then the gap.",
        ),
        Mistake(
            lambda log_joint, q: (log_joint.logsumexp(-1), elbo_and_gap(log_joint, q)[1]),
            "Your bound is log p(x) itself, whatever q is: the bound is what q makes of it, Σ q (log p(x, h) − log q).",
            also=(lambda log_joint, q: elbo_and_gap(log_joint, log_joint.softmax(-1)),),
        ),
        Mistake(
            lambda log_joint, q: (elbo_and_gap(log_joint, q)[0], log_joint.logsumexp(-1)),
            "Your second answer is log p(x), the sum of the two; the gap is what the bound lacks of it.",
        ),
        Mistake(
            lambda log_joint, q: (
                (q * log_joint.log_softmax(-1) - torch.xlogy(q, q)).sum(-1),
                elbo_and_gap(log_joint, q)[1],
            ),
            "Your bound uses the posterior p(h|x), so it is −KL; it needs the joint, log_joint as it is given.",
        ),
        Mistake(
            _per_component,
            "These are the terms of the two sums; add them up over h, the last axis: .sum(-1).",
        ),
        Mistake(
            _mean_over_components,
            "You averaged over the components; q already weighs them, so add up: .sum(-1).",
        ),
        Mistake(
            _over_the_batch,
            "You added up over the batch, axis 0; the hidden choice is the last axis: .sum(-1).",
        ),
        Mistake(
            lambda log_joint, q: tuple(part.mean() for part in elbo_and_gap(log_joint, q)),
            "You averaged over the batch; keep one number an example.",
        ),
    ),
    alternatives=(_by_difference, _by_distributions, _where_it_is_positive),
)
