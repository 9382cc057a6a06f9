"""What the two players of a GAN minimize. `real` and `fake` are the critic's scores of a batch each, (batch,).

For the first two objectives a score is a logit, D = sigmoid(score) the discriminator; for the others it is just a score.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "OBJECTIVES",
    "Objective",
    "critic_loss",
    "discriminator_loss",
    "gradient_norm",
    "gradient_penalty",
    "hinge_loss",
    "non_saturating_loss",
    "optimal_discriminator",
    "saturating_loss",
    "score_loss",
    "value",
    "zero_centered_penalty",
]


def value(real: Tensor, fake: Tensor) -> Tensor:
    """The game's value V = E_data[ln D(x)] + E_model[ln(1 − D(x))] in nats, from logits.

    The discriminator climbs it, the generator descends it. At the best D it is −ln 4 + 2 JS(data, model), so it lies
    between −ln 4 (nothing can be told apart) and 0.
    Goodfellow et al., "Generative adversarial nets", 2014, https://arxiv.org/abs/1406.2661, equation 1
    """
    return F.logsigmoid(real).mean() + F.logsigmoid(-fake).mean()


def optimal_discriminator(log_data: Tensor, log_model: Tensor) -> Tensor:
    """D*(x) = p(x) / (p(x) + q(x)) from the log densities of data and model at x: two (batch,) -> (batch,).

    Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, proposition 1
    """
    return torch.sigmoid(log_data - log_model)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """−V: the cross-entropies of telling data (1) and samples (0) apart, added; nats. 2 ln 2 for a coin."""
    return -value(real, fake)


def saturating_loss(fake: Tensor) -> Tensor:
    """E_model[ln(1 − D)]: the generator's half of the minimax game.

    Its derivative by a logit is −D: nothing is left of it where the discriminator is sure, which is where learning starts.
    """
    return F.logsigmoid(-fake).mean()


def non_saturating_loss(fake: Tensor) -> Tensor:
    """−E_model[ln D]: same fixed point, but its derivative by a logit is −(1 − D), largest where D is sure.

    Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, section 3
    """
    return -F.logsigmoid(fake).mean()


def hinge_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E_data[max(0, 1 − score)] + E_model[max(0, 1 + score)]: scores beyond the margin ±1 cost nothing.

    Lim & Ye, "Geometric GAN", 2017, https://arxiv.org/abs/1705.02894
    """
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E_model[score] − E_data[score]: minus the Wasserstein-1 distance, if the critic is the best 1-Lipschitz one.

    Arjovsky, Chintala & Bottou, "Wasserstein GAN", 2017, https://arxiv.org/abs/1701.07875, equation 2
    """
    return fake.mean() - real.mean()


def score_loss(fake: Tensor) -> Tensor:
    """−E_model[score]: the generator's loss against a hinge or a Wasserstein critic."""
    return -fake.mean()


class Objective(NamedTuple):
    """The losses of both players.

    Attributes:
        critic: (real scores, fake scores) -> scalar.
        generator: fake scores -> scalar.
        probabilistic: whether sigmoid(score) is the probability that x is data.
    """

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    probabilistic: bool


OBJECTIVES = {
    "non-saturating": Objective(discriminator_loss, non_saturating_loss, True),
    "saturating": Objective(discriminator_loss, saturating_loss, True),
    "hinge": Objective(hinge_loss, score_loss, False),
    "wasserstein": Objective(critic_loss, score_loss, False),
}


def gradient_norm(critic: Callable[[Tensor], Tensor], x: Tensor, squared: bool = False) -> Tensor:
    """‖∇ₓ critic(x)‖ of each example, or its square: (batch, *shape) -> (batch,). Differentiable by the critic's weights."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    total = slope.flatten(1).square().sum(-1)
    return total if squared else total.clamp_min(torch.finfo(total.dtype).tiny).sqrt()  # √ has no slope at 0


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, one_sided: bool = False) -> Tensor:
    """E[(‖∇ critic(x̂)‖ − 1)²] at one random point x̂ on the line between each example and a sample.

    The best critic of W₁ has slope 1 almost everywhere on such lines.
    Gulrajani et al., "Improved training of Wasserstein GANs", 2017, https://arxiv.org/abs/1704.00028, equation 3

    In one dimension this has a trap: a slope that starts at −1 where +1 is wanted must pass through 0, where the
    penalty is largest, and stays. One-sided, E[max(0, ‖∇ critic(x̂)‖ − 1)²], there is nothing to climb.
    Petzka, Fischer & Lukovnikov, "On the regularization of Wasserstein GANs", 2018, https://arxiv.org/abs/1709.08894

    Args:
        critic: (batch, *shape) -> scores (batch,).
        real, fake: (batch, *shape), the same number of each.
        one_sided: whether slopes below 1 cost nothing.
    """
    share = torch.rand(len(real), *[1] * (real.ndim - 1), dtype=real.dtype, device=real.device)
    excess = gradient_norm(critic, torch.lerp(real, fake.to(real), share)) - 1
    return (F.relu(excess) if one_sided else excess).square().mean()


def zero_centered_penalty(critic: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """½ E_data[‖∇ critic(x)‖²], "R₁": a critic that is flat on the data, so that the game comes to rest at the truth.

    Mescheder, Geiger & Nowozin, "Which training methods for GANs do actually converge?", 2018,
    https://arxiv.org/abs/1801.04406, equation 9
    """
    return 0.5 * gradient_norm(critic, real, squared=True).mean()
