"""The energy-based model: any network with one output is a density, but for its normalizer."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ...core import Kind, LogProb, Space, Step
from ...networks import mean_over_processes
from .landscape import walk
from .objectives import denoising_score_matching, noise_contrastive, score_matching, sliced_score_matching
from .persistent import Persistent

__all__ = ["OBJECTIVES", "EnergyModel"]

OBJECTIVES = ("contrastive", "denoising", "sliced", "score matching", "noise-contrastive")
MOST_ENTRIES = 64  # of x, for exact score matching: each costs a backward pass


class EnergyModel(Persistent):
    """Energy-based model: p(x) = exp(−E(x)) / Z, with any network as the energy, and five ways around Z.

        contrastive         E(data) − E(samples), the samples from kept chains of Langevin dynamics
        denoising           the score of noised data, by regression on the noise
        sliced              score matching along random directions
        score matching      ½ ‖∇E‖² − ΔE, exactly (few dimensions)
        noise-contrastive   telling data from a Gaussian's noise; learns Z too

    See `objectives.py` for each. Score matching sees slopes alone: it hardly knows how much mass two valleys hold that no
    data connect. The contrastive gradient is as good as its samples are.

    LeCun et al., "A tutorial on energy-based learning", 2006, http://yann.lecun.com/exdb/publis/pdf/lecun-06.pdf
    Du & Mordatch, "Implicit generation and modeling with energy-based models", 2019, https://arxiv.org/abs/1903.08689
    Song & Ermon, "Generative modeling by estimating gradients of the data distribution", 2019,
    https://arxiv.org/abs/1907.05600 (several noise levels, annealed Langevin dynamics)

    Args:
        space: binary or grey images, or real vectors; see `Landscape` for what the energy of an image is.
        objective: one of the five.
        hidden: widths of the dense layers; none makes the model a Gaussian.
        channels: channels of the convolutional levels; given, the network is convolutional (with `hidden[0]` as the
            width of its dense layer).
        activation: name of the activation, a smooth one.
        scale: about the standard deviation of real data.
        reference: standard deviation of the Gaussian that the network tilts, in units of points.
        k: Langevin steps in a training step (contrastive).
        chains: kept chains, in each process; 0 starts as noise in every step (contrastive).
        restart: share of chains that start anew in a step (contrastive).
        regularization: weight of the potentials' squares (contrastive).
        noise_levels: standard deviations of the noise, in units of points (denoising). One: the model is the density of
            data with that noise. Several: the network sees the level; `energy` is that of the smallest, and walks go
            from the largest to the smallest.
        directions: random directions for each example (sliced).
        noise_ratio: noise points for each data point (noise-contrastive).
        steps: of the walk to a sample.
        step_size: ε of all walks, in units of points: x ← x − ½ε ∇E + √ε·noise.
        walk: "langevin", or "metropolis" where ε shall leave no trace in the samples.
    """

    def __init__(
        self,
        space: Space,
        objective: str = "contrastive",
        hidden: Sequence[int] = (64, 64),
        channels: Sequence[int] | None = None,
        activation: str = "silu",
        scale: float = 1.0,
        reference: float = 2.0,
        k: int = 20,
        chains: int = 256,
        restart: float = 0.05,
        regularization: float = 1e-3,
        noise_levels: Sequence[float] = (0.2,),
        directions: int = 1,
        noise_ratio: int = 1,
        steps: int = 200,
        step_size: float = 0.02,
        walk: str = "langevin",
    ):
        if objective not in OBJECTIVES:
            raise ValueError(f"objective must be one of {', '.join(map(repr, OBJECTIVES))}, got {objective!r}")
        levels = sorted(map(float, noise_levels)) if objective == "denoising" else []
        several = len(levels) > 1
        super().__init__(
            space, 1, hidden, channels, activation, scale, reference, steps, step_size, walk, conditions=int(several)
        )
        if objective == "denoising" and not (levels and levels[0] > 0):
            raise ValueError(f"denoising needs noise_levels above 0, got {tuple(noise_levels)}")
        if objective == "score matching" and space.dim > MOST_ENTRIES:
            raise ValueError(f"exact score matching takes a backward pass for each of {space.dim} entries; take "
                             "'sliced' or 'denoising'")  # fmt: skip
        if directions < 1 or noise_ratio < 1:
            raise ValueError(f"EnergyModel needs directions, noise_ratio ≥ 1, got {directions} and {noise_ratio}")
        self.objective, self.directions, self.noise_ratio = objective, directions, noise_ratio
        self.noise_levels = levels
        self.keep_chains(chains if objective == "contrastive" else 0, restart, k, regularization)
        if objective == "noise-contrastive":
            self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
            self.register_buffer("noise_mean", torch.zeros(space.dim))
            self.register_buffer("noise_variance", torch.ones(space.dim))

    # --- the energy ------------------------------------------------------------------------------------------------

    def potential(self, u: Tensor, y: Tensor | None = None, level: Tensor | float | None = None) -> Tensor:
        """The network's part of the energy at points: (batch, *shape) -> (batch,), nats.

        Args:
            u: points.
            y: none, ever.
            level: of noise, a number or (batch,), for a model of several; the smallest if not given.
        """
        self.check_condition(y, len(u))
        if len(self.noise_levels) < 2:
            return self.outputs(u)[:, 0]
        level = torch.as_tensor(self.noise_levels[0] if level is None else level, dtype=u.dtype, device=u.device)
        return self.outputs(u, level.log().expand(len(u))[:, None])[:, 0]

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """−E(x), nats: up to −log Z; learned by noise contrast, Z is about 1, and it is an estimate of log p(x)."""
        energy = self.energy(x, y)
        if self.objective == "noise-contrastive":
            return LogProb(-energy - self.log_unit, Kind.ESTIMATE)
        return LogProb(-energy, Kind.UNNORMALIZED)

    # --- learning --------------------------------------------------------------------------------------------------

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        u = self.points(self.check_input(x), spread=True)
        if self.objective == "contrastive":
            phases = self.phases(u)
            loss, logs = self.contrast(phases)
            yield Step(loss, logs=logs)
            self.keep(phases)
        elif self.objective == "noise-contrastive":
            self._fit_noise(u)
            yield Step(self._noise_contrast(u))
        else:
            yield Step(self._score_loss(u).mean())

    def _score_loss(self, u: Tensor) -> Tensor:
        """Of the three objectives that look at slopes: (batch,)."""
        if self.objective == "score matching":
            return score_matching(self.energy_of_points, u)
        if self.objective == "sliced":
            return sliced_score_matching(self.energy_of_points, u, self.directions)
        levels = torch.tensor(self.noise_levels, dtype=u.dtype, device=u.device)
        level = levels[torch.randint(len(levels), (len(u),), device=u.device)]  # (batch,)
        return denoising_score_matching(lambda u: self.potential(u, None, level) + self.bowl(u), u, level)

    def _noise_contrast(self, u: Tensor) -> Tensor:
        n, std = len(u) * self.noise_ratio, self.noise_variance.sqrt()
        noise = (self.noise_mean + std * torch.randn(n, self.space.dim, device=u.device)).to(u.dtype)
        both = torch.cat([u, noise.view(n, *self.space.shape)])
        standard = (both.flatten(1) - self.noise_mean) / std
        log_noise = -0.5 * standard.square().sum(1) - std.log().sum() - 0.5 * self.space.dim * math.log(2 * math.pi)
        log_ratio = -self.energy_of_points(both) - log_noise
        return noise_contrastive(log_ratio[: len(u)], log_ratio[len(u) :])

    @torch.no_grad()
    def _fit_noise(self, u: Tensor) -> None:
        """The noise's mean and variances follow the data's, over about a thousand steps."""
        flat = u.flatten(1).to(self.noise_mean)
        self.updates += 1
        share = (1 / self.updates).clamp_min(0.001).to(flat)
        self.noise_mean.lerp_(mean_over_processes(flat.mean(0)), share)
        spread = (flat - self.noise_mean).square().mean(0)
        self.noise_variance.lerp_(mean_over_processes(spread).clamp_min(1e-3), share)

    # --- walks -----------------------------------------------------------------------------------------------------

    def descents(
        self, u: Tensor, y: Tensor | None, steps: int, step_size: float, temperature: float = 1.0
    ) -> Iterator[Tensor]:
        """As of `Landscape`; with several noise levels from the largest to the smallest, ε in proportion to their squares."""
        if len(self.noise_levels) < 2:
            yield from super().descents(u, y, steps, step_size, temperature)
            return
        smallest, each = self.noise_levels[0], steps // len(self.noise_levels)
        for level in reversed(self.noise_levels):
            rest = steps - each * (len(self.noise_levels) - 1)
            states = walk(
                lambda u, level=level: self.potential(u, None, level) + self.bowl(u),
                u,
                step_size * (level / smallest) ** 2,
                rest if level == smallest else each,
                temperature,
                self.walk == "metropolis",
            )
            for u in states:
                yield u
