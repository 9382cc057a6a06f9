"""Exercises of lesson 05 on the game: the best discriminator, and what each of the two players minimizes."""

import numpy as np
import torch
from torch.nn import functional as F

from . import Exercise, Mistake

LESSON = "05_gans"

# --- the best discriminator -------------------------------------------------------------------------------------------


def optimal_discriminator(log_p, log_q):
    return torch.sigmoid(log_p - log_q)


def _draw_log_densities(generator):
    """Log densities of which most round to zero when they are exponentiated, and two far apart."""
    log_p = -300 + 5 * torch.randn(9, generator=generator)
    log_p[:4] += 298
    log_q = log_p + 2 * torch.randn(9, generator=generator)
    log_q[-1], log_q[-2] = log_p[-1] - 120, log_p[-2] + 120
    return log_p, log_q


OPTIMAL = Exercise(
    "gan/optimal",
    optimal_discriminator,
    _draw_log_densities,
    lesson=LESSON,
    title="the best discriminator",
    minutes=6,
    difficulty=1,
    hints=(
        "Divide p/(p + q) by p, above and below: 1/(1 + q/p). And q/p = exp(log q − log p).",
        "1/(1 + exp(−a)) has a name: sigmoid(a). Which a is it here?",
        "torch.sigmoid(log_p - log_q)",
    ),
    mistakes=(
        Mistake(
            lambda log_p, log_q: log_p.exp() / (log_p.exp() + log_q.exp()),
            "This is the formula as it stands, but exp(−300) rounds to 0 and 0/0 is NaN: never leave the logs. Divide "
            "above and below by p first.",
        ),
        Mistake(
            lambda log_p, log_q: (log_p - (log_p.exp() + log_q.exp()).log()).exp(),
            "You left the logs for the sum, where exp(−300) rounds to 0, and ln 0 is −∞: torch.logaddexp(log_p, log_q) is "
            "ln(p + q) without leaving them.",
            also=(lambda log_p, log_q: log_p - (log_p.exp() + log_q.exp()).log(),),
        ),
        Mistake(
            lambda log_p, log_q: (log_p - (log_p + log_q)).exp(),
            "log_p + log_q is the log of the product p · q. Of the sum p + q it is torch.logaddexp(log_p, log_q); and shorter: "
            "divide above and below by p first.",
            also=(lambda log_p, log_q: log_p.exp() / (log_p + log_q).exp(),),
        ),
        Mistake(
            lambda log_p, log_q: (log_p - log_q).exp() / (1 + (log_p - log_q).exp()),
            "The ratio p/q itself can be too large for a float, and ∞/∞ is NaN: use torch.sigmoid, which knows how.",
        ),
        Mistake(
            lambda log_p, log_q: torch.sigmoid(log_q - log_p),
            "This is q/(p + q), the probability of being a sample: exchange p and q.",
        ),
        Mistake(
            lambda log_p, log_q: log_p / (log_p + log_q),
            "You put the logs where the densities belong: p/(p + q), with p = exp(log_p). (And without leaving the logs.)",
        ),
        Mistake(
            lambda log_p, log_q: log_p - log_q,
            "This is the logit of D*, ln p − ln q. A probability is asked for: put it through a sigmoid.",
        ),
        Mistake(
            lambda log_p, log_q: (log_p - log_q).exp(),
            "This is the ratio p/q. D* is r/(1 + r) of it, or at once: sigmoid(log p − log q).",
        ),
        Mistake(
            lambda log_p, log_q: F.logsigmoid(log_p - log_q),
            "This is the log of D*; the probability itself is asked for: sigmoid in place of logsigmoid.",
        ),
        Mistake(
            lambda log_p, log_q: torch.sigmoid(log_p + log_q),
            "A quotient of densities is a difference of logs: log_p - log_q.",
        ),
        Mistake(
            lambda log_p, log_q: torch.sigmoid(log_p),
            "q is missing: how far D should trust an x depends on both densities.",
        ),
        Mistake(
            lambda log_p, log_q: torch.sigmoid(log_p / log_q),
            "A quotient of densities is a difference of logs, log_p - log_q, not a quotient of logs.",
        ),
        Mistake(
            lambda log_p, log_q: (log_p > log_q).float(),
            "This decides for the larger one; D* says how sure one can be, a number between 0 and 1.",
        ),
        Mistake(
            lambda log_p, log_q: torch.stack([log_p, log_q], dim=-1).softmax(-1),
            "Right, but these are both probabilities, D* and 1 − D*: return the first alone.",
        ),
        Mistake(
            lambda log_p, log_q: torch.sigmoid(log_p.exp() - log_q.exp()),
            "The sigmoid wants the difference of the logs; leave out the exp.",
        ),
    ),
    alternatives=(
        lambda log_p, log_q: 1 / (1 + (log_q - log_p).exp()),
        lambda log_p, log_q: (log_p - torch.logaddexp(log_p, log_q)).exp(),
        lambda log_p, log_q: torch.stack([log_p, log_q]).softmax(0)[0],
        lambda log_p, log_q: 1 - torch.sigmoid(log_q - log_p),
    ),
)


# --- what the discriminator minimizes ---------------------------------------------------------------------------------


def discriminator_loss(real, fake):
    return -F.logsigmoid(real).mean() - F.logsigmoid(-fake).mean()


def _draw_scores(generator):
    """Logits of data and of samples; of one sample the discriminator is so sure that float32 knows no 1 − D for it."""
    real = 2 * torch.randn(6, generator=generator) + 0.5
    fake = 2 * torch.randn(6, generator=generator) - 0.5
    fake[0] = 40.0
    return real.requires_grad_(), fake.requires_grad_()


def _sum_of_means(of_real, of_fake):
    return lambda real, fake: of_real(real).mean() + of_fake(fake).mean()


def _nothing(scores):
    return torch.zeros_like(scores)


_ROUNDED = (
    "The sigmoid of 40 rounds to 1, and ln(1 − 1) = −∞: stay with logits. ln D = F.logsigmoid(score), and since "
    "1 − sigmoid(a) = sigmoid(−a), ln(1 − D) = F.logsigmoid(-score)."
)
_NOT_ONE_LESS = "Not 1 − score: it is 1 − D = sigmoid(−score), so ln(1 − D) = F.logsigmoid(-score)."

DISCRIMINATOR_LOSS = Exercise(
    "gan/discriminator_loss",
    discriminator_loss,
    _draw_scores,
    lesson=LESSON,
    title="the discriminator's loss",
    minutes=8,
    difficulty=1,
    differentiable=True,
    hints=(
        "D climbs V, so its loss is −V: the mean of −ln D over the data plus the mean of −ln(1 − D) over the samples.",
        "With D = sigmoid(score): ln D = F.logsigmoid(score), and ln(1 − D) = F.logsigmoid(-score).",
        "-F.logsigmoid(real).mean() - F.logsigmoid(-fake).mean()",
    ),
    mistakes=(
        Mistake(
            lambda real, fake: F.logsigmoid(real).mean() + F.logsigmoid(-fake).mean(),
            "This is V itself, which D climbs. A loss is to be lowered: −V.",
        ),
        Mistake(
            _sum_of_means(lambda real: F.softplus(real), lambda fake: F.softplus(-fake)),
            "The labels are swapped: you reward D for calling data samples, and samples data.",
        ),
        Mistake(
            _sum_of_means(lambda real: F.softplus(-real), lambda fake: F.softplus(-fake)),
            "Samples have the wrong label here: you reward D for calling them data. That is what the generator wants; for D "
            "it is ln(1 − D), logsigmoid(−score).",
        ),
        Mistake(
            lambda real, fake: discriminator_loss(real, fake) / 2,
            "This is half of it: one mean over data and samples together, where V adds two means.",
            also=(
                lambda real, fake: F.binary_cross_entropy_with_logits(
                    torch.cat([real, fake]), torch.cat([torch.ones_like(real), torch.zeros_like(fake)])
                ),
            ),
        ),
        Mistake(
            lambda real, fake: -real.sigmoid().log().mean() - (1 - fake.sigmoid()).log().mean(),
            _ROUNDED,
            also=(
                lambda real, fake: -(real.sigmoid().log() + (1 - fake.sigmoid()).log()).mean(),
                lambda real, fake: -F.logsigmoid(real).mean() - (1 - fake.sigmoid()).log().mean(),
            ),
        ),
        Mistake(
            lambda real, fake: (
                F.binary_cross_entropy(real.sigmoid(), torch.ones_like(real))
                + F.binary_cross_entropy(fake.sigmoid(), torch.zeros_like(fake))
            ),
            "Almost: the sigmoid of 40 rounds to 1, and binary_cross_entropy cuts ln(1 − 1) off at −100. Give it the scores "
            "themselves: F.binary_cross_entropy_with_logits.",
        ),
        Mistake(
            lambda real, fake: -real.log().mean() - (1 - fake).log().mean(),
            "The scores are logits, not probabilities, and the log of a negative number is NaN: ln D = F.logsigmoid(score).",
        ),
        Mistake(
            lambda real, fake: (
                F.binary_cross_entropy(real, torch.ones_like(real))
                + F.binary_cross_entropy(fake, torch.zeros_like(fake))
            ),
            "binary_cross_entropy wants probabilities, and these are logits: F.binary_cross_entropy_with_logits.",
        ),
        Mistake(
            _sum_of_means(lambda real: F.softplus(-real), _nothing),
            "The samples are missing: D, so trained, calls everything data. Add the mean of −ln(1 − D) over them.",
        ),
        Mistake(
            _sum_of_means(_nothing, lambda fake: F.softplus(fake)),
            "The data are missing: D, so trained, calls everything a sample. Add the mean of −ln D over them.",
        ),
        Mistake(
            lambda real, fake: -F.logsigmoid(real).mean() - (1 - F.logsigmoid(fake)).mean(),
            "1 − ln D is not ln(1 − D): 1 − sigmoid(a) = sigmoid(−a), so it is F.logsigmoid(-fake).",
        ),
        Mistake(
            lambda real, fake: -F.logsigmoid(real).mean() - F.logsigmoid(1 - fake).mean(),
            _NOT_ONE_LESS,
        ),
        Mistake(
            lambda real, fake: -real.sigmoid().mean() - (-fake).sigmoid().mean(),
            "These are the probabilities themselves; V has their logs: F.logsigmoid in place of the sigmoid.",
            also=(lambda real, fake: fake.sigmoid().mean() - real.sigmoid().mean(),),
        ),
        Mistake(
            lambda real, fake: -F.logsigmoid(real - fake).mean(),
            "This compares an example with a sample, pair by pair. V judges each on its own: ln D of data, ln(1 − D) of samples.",
        ),
        Mistake(
            lambda real, fake: -F.logsigmoid(real).mean() + F.logsigmoid(-fake).mean(),
            "The second term has the wrong sign: both are logs of probabilities that D wants large, so both get a minus.",
        ),
        Mistake(
            lambda real, fake: -F.logsigmoid(real).sum() - F.logsigmoid(-fake).sum(),
            "These are sums, which grow with the batch; V has means: .mean().",
        ),
        Mistake(
            lambda real, fake: -F.logsigmoid(real) - F.logsigmoid(-fake),
            "This is one number an example; average over the batch: .mean().",
        ),
        Mistake(
            lambda real, fake: -F.logsigmoid(real.sigmoid()).mean() - F.logsigmoid(-fake.sigmoid()).mean(),
            "The sigmoid is applied twice: logsigmoid takes the score itself.",
            also=(
                lambda real, fake: (
                    F.binary_cross_entropy_with_logits(real.sigmoid(), torch.ones_like(real))
                    + F.binary_cross_entropy_with_logits(fake.sigmoid(), torch.zeros_like(fake))
                ),
            ),
        ),
        Mistake(
            lambda real, fake: fake.mean() - real.mean(),
            "These are the plain scores, without the logs; you will meet this loss in section 5. Here: −ln D and −ln(1 − D).",
        ),
        Mistake(
            lambda real, fake: -np.log(1 / (1 + np.exp(-real))).mean() - np.log(1 / (1 + np.exp(fake))).mean(),
            "NumPy cannot follow gradients: use PyTorch's own functions, such as F.logsigmoid.",
        ),
    ),
    alternatives=(
        lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
        lambda real, fake: (
            F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
            + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
        ),
        lambda real, fake: -(F.logsigmoid(real) + F.logsigmoid(fake) - fake).mean(),
    ),
)


# --- what the generator minimizes -------------------------------------------------------------------------------------


def generator_losses(fake):
    return F.logsigmoid(-fake).mean(), -F.logsigmoid(fake).mean()


GENERATOR_LOSSES = Exercise(
    "gan/generator_losses",
    generator_losses,
    lambda generator: (_draw_scores(generator)[1],),
    lesson=LESSON,
    title="two losses for the generator",
    minutes=8,
    difficulty=1,
    differentiable=True,
    hints=(
        "Two numbers. The first is the mean of ln(1 − D), as it stands in V, sign included. The second is the mean of −ln D.",
        "As before, ln D = F.logsigmoid(score) and ln(1 − D) = F.logsigmoid(-score).",
        "return F.logsigmoid(-fake).mean(), -F.logsigmoid(fake).mean()",
    ),
    mistakes=(
        Mistake(
            lambda fake: generator_losses(fake)[::-1],
            "These are the right two losses in the wrong order: saturating first, non-saturating second.",
        ),
        Mistake(
            lambda fake: (-F.logsigmoid(-fake).mean(), -F.logsigmoid(fake).mean()),
            "The first has the wrong sign. The generator *descends* V, so its part of V is its loss as it stands: +ln(1 − D).",
        ),
        Mistake(
            lambda fake: (F.logsigmoid(-fake).mean(), F.logsigmoid(fake).mean()),
            "The second has the wrong sign: the generator wants D large, so it lowers −ln D.",
        ),
        Mistake(
            lambda fake: (-F.logsigmoid(-fake).mean(), F.logsigmoid(fake).mean()),
            "Both signs are turned round: this generator would help the discriminator.",
        ),
        Mistake(
            lambda fake: ((1 - fake.sigmoid()).log().mean(), -fake.sigmoid().log().mean()),
            _ROUNDED,
            also=(
                lambda fake: ((1 - fake.sigmoid()).log().mean(), -F.logsigmoid(fake).mean()),
                lambda fake: (torch.log(1 - torch.sigmoid(fake)).mean(), F.softplus(-fake).mean()),
            ),
        ),
        Mistake(
            lambda fake: ((1 - F.logsigmoid(fake)).mean(), -F.logsigmoid(fake).mean()),
            "1 − ln D is not ln(1 − D): 1 − sigmoid(a) = sigmoid(−a), so it is F.logsigmoid(-fake).",
        ),
        Mistake(
            lambda fake: (F.logsigmoid(1 - fake).mean(), -F.logsigmoid(fake).mean()),
            _NOT_ONE_LESS,
        ),
        Mistake(
            lambda fake: -F.logsigmoid(fake).mean(),
            "This is one loss, and two are asked for: return saturating, non_saturating.",
            also=(lambda fake: F.logsigmoid(-fake).mean(),),
        ),
        Mistake(
            lambda fake: (-F.logsigmoid(fake).mean(), -F.logsigmoid(fake).mean()),
            "Both are the non-saturating loss; the first should be the generator's part of V, the mean of ln(1 − D).",
        ),
        Mistake(
            lambda fake: (F.logsigmoid(-fake).mean(), F.logsigmoid(-fake).mean()),
            "Both are the saturating loss; the second should be the mean of −ln D.",
        ),
        Mistake(
            lambda fake: (F.logsigmoid(-fake), -F.logsigmoid(fake)),
            "These are numbers for each sample; average over the batch: .mean().",
        ),
        Mistake(
            lambda fake: (F.logsigmoid(-fake).sum(), -F.logsigmoid(fake).sum()),
            "These are sums, which grow with the batch; take means.",
        ),
        Mistake(
            lambda fake: ((1 - fake).log().mean(), -fake.log().mean()),
            "The scores are logits, not probabilities: ln D = F.logsigmoid(score).",
        ),
        Mistake(
            lambda fake: F.logsigmoid(-fake).mean() - F.logsigmoid(fake).mean(),
            "Two losses are asked for, side by side, not their sum: return first, second.",
        ),
        Mistake(
            lambda fake: ((1 - fake.sigmoid()).mean(), (-fake.sigmoid()).mean()),
            "The logs are missing: ln(1 − D) and −ln D.",
        ),
        Mistake(
            lambda fake: (F.logsigmoid(-fake.detach()).mean(), -F.logsigmoid(fake.detach()).mean()),
            "No gradient gets through .detach(), and the generator learns from nothing else: leave it out here.",
        ),
    ),
    alternatives=(
        lambda fake: (-F.softplus(fake).mean(), F.softplus(-fake).mean()),
        lambda fake: [
            -F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake)),
            F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake)),
        ],
        lambda fake: ((F.logsigmoid(fake) - fake).mean(), -F.logsigmoid(fake).mean()),
    ),
)
