"""Generative adversarial networks: samples learned from a critic that learns to tell them from the data."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from ...core import GenerativeModel, Space, Step
from ...networks import MLP, ConvDecoder, ConvEncoder, he_initialized, one_hot, spectrally_normalized
from .objectives import OBJECTIVES, gradient_penalty, zero_centered_penalty

__all__ = ["GAN", "two_time_scales"]

PENALTIES = ("none", "gradient", "one-sided", "zero-centered", "clip")


class GAN(GenerativeModel):
    """Generative adversarial network: x = G(z), z ~ N(0, I), learned against a critic of data and samples.

        min_G max_D  E_data[ln D(x)] + E_z[ln(1 − D(G(z)))]        (nats; D = sigmoid(critic))

    or one of its relatives, see `objective`. There is no density: `log_prob` is None. Grey pixels are numbers in [0, 1]
    for both players, and `sample` rounds them to the levels; a binary space is refused.

    Goodfellow et al., "Generative adversarial nets", 2014, https://arxiv.org/abs/1406.2661
    Mirza & Osindero, "Conditional generative adversarial nets", 2014, https://arxiv.org/abs/1411.1784
    Radford, Metz & Chintala, "Unsupervised representation learning with deep convolutional generative adversarial
    networks", 2016, https://arxiv.org/abs/1511.06434

    Args:
        space: grey images or real vectors.
        latents: dimension of z.
        objective: "non-saturating", "saturating", "hinge" or "wasserstein": see `objectives.py`.
        penalty: what holds the critic back: "none"; "gradient", slope 1 between data and samples (Gulrajani et al.
            2017); "one-sided", slope at most 1 there (Petzka et al. 2018); "zero-centered", slope 0 at the data
            (Mescheder et al. 2018); "clip", weights within ±`clip` (Arjovsky et al. 2017). See `objectives.py`.
        penalty_weight: what a gradient penalty is multiplied by.
        clip: bound of the critic's weights, for penalty="clip".
        spectral_norm: whether every layer of the critic has spectral norm 1 (Miyato et al. 2018).
        critic_steps: updates of the critic before each one of the generator, all on the same examples, each with
            fresh samples.
        hidden: widths of the generator's dense layers; the critic has the same in reverse.
        channels: channels of the convolutional levels; given, both networks are convolutional (with `hidden[0]` as
            the width of their dense layer).
        classes: number of labels for p(x|y), None for no condition.
        activation: name of the activation.
    """

    def __init__(
        self,
        space: Space,
        latents: int = 16,
        objective: str = "non-saturating",
        penalty: str = "none",
        penalty_weight: float = 10.0,
        clip: float = 0.01,
        spectral_norm: bool = False,
        critic_steps: int = 1,
        hidden: Sequence[int] = (128, 128),
        channels: Sequence[int] | None = None,
        classes: int | None = None,
        activation: str = "leaky_relu",
    ):
        super().__init__(space)
        _check_arguments(space, latents, objective, penalty, penalty_weight, clip, critic_steps, channels, classes)
        self.latents, self.objective, self.penalty, self.classes = latents, objective, penalty, classes
        self.penalty_weight, self.clip, self.critic_steps = penalty_weight, clip, critic_steps
        conditions = classes or 0
        if channels is None:
            generator = MLP(latents + conditions, hidden, space.dim, activation)
            critic = MLP(space.dim, tuple(reversed(hidden)), 1 + conditions, activation)
        else:
            width = hidden[0] if hidden else 128
            inputs, image = latents + conditions, space.shape
            generator = ConvDecoder(inputs, image, channels, image[0], width, activation=activation)
            critic = ConvEncoder(image, channels, 1 + conditions, width, activation=activation)
        self.convolutional = channels is not None
        critic, generator = he_initialized(critic), he_initialized(generator)
        self.players = nn.ModuleDict(
            {"critic": spectrally_normalized(critic) if spectral_norm else critic, "generator": generator}
        )
        self._clip_critic()

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The two players' parameters: "critic" and "generator"."""
        return {name: list(player.parameters()) for name, player in self.players.items()}

    # --- the two players -------------------------------------------------------------------------------------------

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """G(z): (batch, latents), labels (batch,) -> (batch, *shape); grey pixels in [0, 1], not yet rounded to levels."""
        if z.ndim != 2 or z.shape[1] != self.latents:
            raise ValueError(f"z must have shape (batch, {self.latents}), got {tuple(z.shape)}")
        if self.classes is not None:
            z = torch.cat([z, one_hot(y, self.classes, len(z), z.dtype)], dim=-1)
        out = _widened(self.players["generator"](z)).view(len(z), *self.space.shape)
        return torch.sigmoid(out) if self.space.discrete else out

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """`generate`, under the name that latent models share."""
        return self.generate(z, y)

    def critic(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Scores, higher for what looks like data: (batch, *shape), labels (batch,) -> (batch,).

        With labels, score(x, y) = s(x) + s_y(x): is it data at all, and is it data of this label? All of them are
        linear in the same features of x (a "projection"; Miyato & Koyama, "cGANs with projection discriminator", 2018,
        https://arxiv.org/abs/1802.05637, equation 3).
        """
        self.check_input(x)
        x = 2 * x - 1 if self.space.discrete else x
        scores = _widened(self.players["critic"](x if self.convolutional else x.flatten(1)))  # (batch, 1 + classes)
        if self.classes is None:
            return scores[:, 0]
        return scores[:, 0] + (one_hot(y, self.classes, len(x), scores.dtype) * scores[:, 1:]).sum(-1)

    def discriminator(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """D(x), the probability that x is data rather than a sample, if there were as many of each: (batch,).

        Raises:
            ValueError: the objective's scores are no logits.
        """
        if not OBJECTIVES[self.objective].probabilistic:
            raise ValueError(f"the scores of a {self.objective} critic are no probabilities; use critic(x)")
        return torch.sigmoid(self.critic(x, y))

    # --- learning --------------------------------------------------------------------------------------------------

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        self.check_input(x)
        y = None if self.classes is None else y
        for _ in range(self.critic_steps):
            yield self._critic_step(x, y)
            self._clip_critic()
        with _frozen(self.players["critic"]):  # the generator's gradients pass through it, but it learns nothing
            scores = self.critic(self.generate(self.prior(len(x)), y), y)
        yield Step(OBJECTIVES[self.objective].generator(scores), "generator")

    def _critic_step(self, x: Tensor, y: Tensor | None) -> Step:
        with torch.no_grad():
            samples = self.generate(self.prior(len(x)), y).to(x)
        labels = None if y is None else y.repeat(2)
        real, fake = self.critic(torch.cat([x, samples]), labels).chunk(2)
        loss = OBJECTIVES[self.objective].critic(real, fake)
        logs = {"critic on data": real.detach().mean(), "critic on samples": fake.detach().mean()}
        if self.penalty in ("gradient", "one-sided", "zero-centered"):
            penalty = self._gradient_penalty(x, samples, y)
            logs["penalty"] = penalty.detach()
            loss = loss + self.penalty_weight * penalty
        return Step(loss, "critic", logs)

    def _gradient_penalty(self, x: Tensor, samples: Tensor, y: Tensor | None) -> Tensor:
        def critic(points: Tensor) -> Tensor:
            return self.critic(points, y)

        if self.penalty == "zero-centered":
            return zero_centered_penalty(critic, x)
        return gradient_penalty(critic, x, samples, one_sided=self.penalty == "one-sided")

    @torch.no_grad()
    def _clip_critic(self) -> None:
        if self.penalty == "clip":
            for weight in self.players["critic"].parameters():
                weight.clamp_(-self.clip, self.clip)

    # --- sampling --------------------------------------------------------------------------------------------------

    def prior(self, n: int) -> Tensor:
        """n draws of z ~ N(0, I): (n, latents)."""
        return torch.randn(n, self.latents, device=self.device, dtype=next(self.parameters()).dtype)

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None) -> Iterator[Tensor]:
        """G(z), and in a grey space then the same rounded to the levels."""
        if y is not None and self.classes is None:
            raise ValueError("this GAN is not conditional, but y was given; build it with classes=…")
        x = self.generate(self.prior(n), y)
        yield x
        if self.space.discrete:
            yield (x * (self.space.levels - 1)).round() / (self.space.levels - 1)


def _check_arguments(space, latents, objective, penalty, penalty_weight, clip, critic_steps, channels, classes) -> None:
    if space.kind == "binary":
        raise ValueError("GAN needs a grey or real space: its critic must have a slope in x, and a pixel that is 0 or 1 "
                         f"has none; got {space}. Use grey levels, e.g. digits(levels=17) or mnist()")  # fmt: skip
    if space.kind == "tokens":
        raise ValueError(f"GAN needs a grey or real space, got {space}; tokens have no slope to learn from")
    for name, value, allowed in (("objective", objective, OBJECTIVES), ("penalty", penalty, PENALTIES)):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    if latents < 1 or critic_steps < 1:
        raise ValueError(f"GAN needs latents ≥ 1 and critic_steps ≥ 1, got {latents} and {critic_steps}")
    if not (penalty_weight > 0 and clip > 0 and math.isfinite(penalty_weight * clip)):
        raise ValueError(f"penalty_weight and clip must be positive, got {penalty_weight} and {clip}")
    if classes is not None and classes < 2:
        raise ValueError(f"a conditional GAN needs classes ≥ 2, got {classes}; leave it out for no condition")
    if channels is not None and not channels:
        raise ValueError("channels=() names no level; leave it out for dense networks")
    if channels is not None and len(space.shape) != 3:
        raise ValueError(f"convolutions need images (channels, height, width), got {space}; leave channels=None")


def _widened(x: Tensor) -> Tensor:
    """Half-precision results of autocast as float32, in which losses are averaged."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


@contextlib.contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Within, what is computed with this network leaves no gradients in its parameters."""
    parameters = list(network.parameters())
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def two_time_scales(
    generator: float = 2e-4, critic: float | None = None, betas: tuple[float, float] = (0.5, 0.999)
) -> Callable[[str, list[nn.Parameter]], torch.optim.Optimizer]:
    """For `fit(optimizer=…)`: Adam for each player, with its own step size and less momentum than usual.

    Momentum carries a player past where the other one has moved to: Radford et al. 2016
    (https://arxiv.org/abs/1511.06434) took β₁ = 0.5, Gulrajani et al. 2017 (https://arxiv.org/abs/1704.00028) 0.
    Different step sizes are the two time scales of Heusel et al. 2017, https://arxiv.org/abs/1706.08500.

    Args:
        generator: its step size.
        critic: the critic's step size; None for the same.
        betas: Adam's two decays.
    """
    rates = {"generator": generator, "critic": generator if critic is None else critic}

    def optimizer(group: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=rates[group], betas=betas, fused=True)

    return optimizer
