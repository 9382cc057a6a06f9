"""Denoising diffusion: learn to take noise away little by little, then start from noise."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ...core import Kind, LogProb, Space, Step
from ...samplers import conditioned, ddim, ddpm, dpm_solver_pp_2m, guided, heun_probability_flow, start, time_grid
from ...schedules import noise_schedule
from .denoiser import Denoiser

__all__ = ["SAMPLERS", "Diffusion"]

SAMPLERS = {
    "ddpm": ddpm,
    "ddim": ddim,
    "heun": heun_probability_flow,
    "dpm-solver++": dpm_solver_pp_2m,
}


class Diffusion(Denoiser):
    """Diffusion model: data are made noisy along a known path, x_t = alpha(t)·data + sigma(t)·noise; a network learns back.

        loss = E ‖noise − ε(x_t, t)‖² / dim        (or of data, or of v = alpha·noise − sigma·data)

    Predicting the noise is knowing the score of the noised data, ∇ log p_t(x_t) = −E[noise | x_t] / sigma(t), and with
    it any of the samplers of `dgmcourse.samplers`.

    Ho, Jain & Abbeel, "Denoising diffusion probabilistic models", 2020, https://arxiv.org/abs/2006.11239
    Song et al., "Score-based generative modeling through stochastic differential equations", 2021,
    https://arxiv.org/abs/2011.13456
    Ho & Salimans, "Classifier-free diffusion guidance", 2022, https://arxiv.org/abs/2207.12598

    Args:
        space: binary or grey images, or real vectors.
        schedule: "linear" (DDPM's), "cosine", "vp" or "ve".
        prediction: "noise", "data" or "v".
        hidden: widths of the residual dense network, all alike.
        channels: channels of the U-Net's levels; given, the network is a U-Net.
        classes: number of labels for p(x|y), None for no condition.
        drop_label: share of training examples whose label is hidden, so that p(x) is learned too (for guidance).
        scale: about the standard deviation of real data.
        sampler: "ddpm", "ddim", "heun" or "dpm-solver++": how `sample` goes, unless told otherwise.
        steps: in how many steps.
        guidance: weight w of (1 + w)·ε(x, t, y) − w·ε(x, t); 0 for none.
        patch: squares of so many pixels a side are one place for the U-Net, which makes large images quicker.
    """

    def __init__(
        self,
        space: Space,
        schedule: str = "linear",
        prediction: str = "noise",
        hidden: Sequence[int] = (128, 128, 128),
        channels: Sequence[int] | None = None,
        classes: int | None = None,
        drop_label: float = 0.1,
        scale: float = 1.0,
        sampler: str = "ddim",
        steps: int = 50,
        guidance: float = 0.0,
        patch: int = 1,
    ):
        if schedule == "straight":
            raise ValueError("the straight path has no finite start in these samplers' terms; use FlowMatching")
        if prediction == "velocity":
            raise ValueError("Diffusion predicts 'noise', 'data' or 'v'; for 'velocity' use FlowMatching")
        super().__init__(
            space, noise_schedule(schedule), prediction, hidden, channels, classes, drop_label, scale, patch
        )
        self.sampler, self.steps, self.guidance = _known(sampler), steps, guidance

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        yield Step(self.squared_error(x, y).mean())

    # --- sampling --------------------------------------------------------------------------------------------------

    def noise(self, y: Tensor | None = None, guidance: float = 0.0):
        """The predictor (x_t, t) -> noise that the samplers take, guided towards y if asked.

        Raises:
            ValueError: guidance of a model that never learned without labels, or without a label to go to.
        """
        if not guidance:
            return lambda x, t: self.predict(x, t, y, "noise")
        if self.classes is None or not self.drop_label or y is None:
            raise ValueError("guidance goes from p(x) towards p(x|y): it needs classes=…, drop_label above 0, and y")
        return guided(self.noise(y), self.noise(None), guidance)

    @torch.no_grad()
    def trajectory(
        self,
        n: int,
        y: Tensor | None = None,
        *,
        sampler: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        spacing: str = "even",
        given: tuple[Tensor, Tensor] | None = None,
        **options: object,
    ) -> Iterator[Tensor]:
        """Yield x_t after every step, mapped back from the path; the last one is a member of the space.

        Args:
            n: how many.
            y: labels (n,); None draws from p(x), if labels were hidden in training.
            sampler, steps, guidance: instead of the model's own.
            spacing: of the times, see `samplers.time_grid`.
            given: (x (n or 1, *shape), mask): entries of x where the mask is True are kept, the others drawn to fit
                (inpainting; an approximation of the conditional distribution).
            **options: of the sampler: `variance` of ddpm, `eta` of ddim.
        """
        walk = SAMPLERS[_known(sampler or self.sampler)]
        weight = self.guidance if guidance is None else guidance
        self.condition(y, n)  # wrong labels are refused before the first step
        times = time_grid(self.schedule, steps or self.steps, spacing)
        noise = self.noise(y, weight if y is not None else 0.0)
        if given is not None:
            known, mask = (part.to(self.device) for part in given)
            self.check_input(known, "the given x")
            noise = conditioned(noise, self.schedule, self.to_path(known), mask)
        if self.space.discrete and walk is not heun_probability_flow:
            options.setdefault("clip", (-1.0, 1.0))
        state = start(self.schedule, n, self.space.shape, self.device)
        for place, state in enumerate(walk(noise, self.schedule, state, times, **options), start=2):  # noqa: B020
            yield self.member(state) if place == len(times) else self.from_path(state)

    # --- likelihood ------------------------------------------------------------------------------------------------

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """A lower bound of log p(x) in nats: `bound`, from 20 random terms of its sum."""
        return LogProb(self.bound(x, y), Kind.LOWER_BOUND)

    def probability_flow_log_prob(
        self, x: Tensor, y: Tensor | None = None, steps: int = 100, probes: int | None = None
    ) -> LogProb:
        """log p(x) of the model whose samples follow the probability flow, in nats: an estimate, by following it to noise.

        Args:
            x: (batch, *shape) of a real space.
            y: labels, if p(x|y) is asked for.
            steps: of the solver.
            probes: random vectors that estimate the divergence; None computes it.

        Raises:
            ValueError: x is discrete: its probability flow ends in points.
        """
        if self.space.discrete:
            raise ValueError(f"the probability flow has a density in real spaces alone, got {self.space}; use bound(x)")
        return self._by_flow(x, y, steps, probes)


def _known(sampler: str) -> str:
    if sampler not in SAMPLERS:
        raise ValueError(f"there is no sampler {sampler!r}; choose one of {', '.join(SAMPLERS)}")
    return sampler
