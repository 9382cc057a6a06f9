"""What diffusion and flow matching share: a network that sees x_t and t, and what its predictions are worth in nats."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ...core import GenerativeModel, Kind, LogProb, Space
from ...networks import one_hot
from ...networks.timed import TimedMLP, TimedUNet
from ...schedules import NoiseSchedule
from .likelihood import flow_log_prob, likelihood_times

__all__ = ["Denoiser"]


class Denoiser(GenerativeModel):
    """A network on the path x_t = alpha(t)·data + sigma(t)·noise, and the bound on log p(x) that its predictions prove.

    On the path, x of a discrete space is 2x − 1, in [−1, 1]; x of a real space is x / scale.

    Args:
        space: binary or grey images, or real vectors.
        schedule: the path.
        prediction: what the network predicts: "noise", "data", "v" or "velocity".
        hidden: widths of the residual dense network, all alike.
        channels: channels of the U-Net's levels; given, the network is a U-Net.
        classes: number of labels for p(x|y), None for no condition.
        drop_label: share of training examples whose label is hidden, so that p(x) is learned too (for guidance).
        scale: about the standard deviation of real data.
        patch: squares of so many pixels a side are one place for the U-Net, which makes large images quicker.
    """

    def __init__(
        self,
        space: Space,
        schedule: NoiseSchedule,
        prediction: str,
        hidden: Sequence[int],
        channels: Sequence[int] | None,
        classes: int | None,
        drop_label: float,
        scale: float,
        patch: int,
    ):
        super().__init__(space)
        name = type(self).__name__
        if space.kind == "tokens":
            raise ValueError(f"{name} needs a binary, grey or real space, got {space}; tokens cannot be made noisy little by "
                             "little")  # fmt: skip
        if prediction not in ("noise", "data", "v", "velocity"):
            raise ValueError(f"prediction must be 'noise', 'data', 'v' or 'velocity', got {prediction!r}")
        if classes is not None and classes < 2:
            raise ValueError(f"a conditional {name} needs classes ≥ 2, got {classes}; leave it out for no condition")
        if not 0 <= drop_label < 1 or not scale > 0:
            raise ValueError(f"{name} needs 0 ≤ drop_label < 1 and scale > 0, got {drop_label} and {scale}")
        self.schedule, self.prediction, self.classes = schedule, prediction, classes
        self.drop_label, self.scale = drop_label, scale
        if channels is None:
            self.network = TimedMLP(space.dim, hidden, classes or 0)
        else:
            self.network = TimedUNet(space.shape, channels, classes or 0, patch=patch)
        self.convolutional = channels is not None

    # --- data and path ---------------------------------------------------------------------------------------------

    def to_path(self, x: Tensor) -> Tensor:
        """x as the data end of the path has it: (batch, *shape)."""
        return 2 * x - 1 if self.space.discrete else x / self.scale

    def from_path(self, data: Tensor) -> Tensor:
        """The inverse of `to_path`."""
        return (data + 1) / 2 if self.space.discrete else data * self.scale

    def member(self, data: Tensor) -> Tensor:
        """The member of the space that is nearest to the data end of the path."""
        x = self.from_path(data)
        if not self.space.discrete:
            return x
        top = self.space.levels - 1
        return (x * top).round().clamp(0, top) / top

    # --- predictions -----------------------------------------------------------------------------------------------

    def condition(self, y: Tensor | None, batch: int) -> Tensor | None:
        """Labels as one-hot vectors; a row of zeros hides the label. None for an unconditional model.

        Raises:
            ValueError, TypeError: labels where there are none to be, or wrong ones; none where the model needs them.
        """
        if self.classes is None:
            if y is not None:
                name = type(self).__name__
                raise ValueError(f"this {name} is not conditional, but y was given; build it with classes=…")
            return None
        if y is None and self.drop_label:
            return torch.zeros(batch, self.classes, device=self.device)
        return one_hot(y, self.classes, batch)

    def predict(self, x: Tensor, t: Tensor, y: Tensor | None = None, wanted: str = "noise") -> Tensor:
        """The expectation of noise, data, v, velocity or score, given x_t (and y): (batch, *shape).

        Args:
            x: x_t on the path, (batch, *shape).
            t: a scalar, or (batch,).
            y: labels (batch,); None hides them.
            wanted: in which words, see `NoiseSchedule.convert`.
        """
        return self._predict(x, t, self.condition(y, len(x)), wanted)

    def _predict(self, x: Tensor, t: Tensor, condition: Tensor | None, wanted: str) -> Tensor:
        said = self._network(x, t, condition)
        return self.schedule.convert(said, x, t.to(x.device), self.prediction, wanted)

    def _network(self, x: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        """The network's own words about x_t, in float32: (batch, *shape)."""
        t = t.to(x).expand(len(x))  # (batch,)
        size = (self.schedule.alpha(t).square() + self.schedule.sigma(t).square()).rsqrt()
        x = x * size.view(-1, *[1] * len(self.space.shape))  # of unit variance at all times
        said = self.network(x if self.convolutional else x.flatten(1), t, condition)
        return said.to(x.dtype).view_as(x)

    def score(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """∇ log p_t(x_t), the gradient of the noised data's log density on the path: (batch, *shape)."""
        return self.predict(x, t, y, "score")

    def squared_error(self, x: Tensor, y: Tensor | None) -> Tensor:
        """The mean squared error of the network's prediction at a random time for each example: (batch,).

        Times are evenly spread over the batch from a random start, which leaves less noise than independent ones
        (Kingma et al. 2021, https://arxiv.org/abs/2107.00630).
        """
        data = self.to_path(self.check_input(x))
        condition = None if self.classes is None else one_hot(y, self.classes, len(x))
        if condition is not None and self.drop_label:
            condition = condition * (torch.rand(len(x), 1, device=x.device) >= self.drop_label)
        places = torch.arange(len(x), device=x.device, dtype=x.dtype) / len(x)
        t = 1e-4 + (1 - 1e-4) * (places + torch.rand((), device=x.device)).remainder(1.0)
        data, noise = self.pair(data, torch.randn_like(data))
        x_t = self.schedule.noised(data, noise, t)
        wanted = self.schedule.convert(noise, x_t, t, "noise", self.prediction) if self.prediction != "data" else data
        return (self._network(x_t, t, condition) - wanted).square().flatten(1).mean(1)

    def pair(self, data: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Which noise goes with which data: here, as it comes."""
        return data, noise

    # --- likelihood ------------------------------------------------------------------------------------------------

    def _by_flow(self, x: Tensor, y: Tensor | None, steps: int, probes: int | None) -> LogProb:
        """log p(x), or log p(x|y), in nats by following the velocity from real data to noise: an estimate, (batch,)."""
        data, condition = self.to_path(self.check_input(x)), self.condition(y, len(x))

        def velocity(state: Tensor, t: Tensor) -> Tensor:
            return self._predict(state, t, condition, "velocity")

        value = flow_log_prob(velocity, data, likelihood_times(self.schedule, steps), self.schedule, probes)
        return LogProb(value - self.space.dim * math.log(self.scale), Kind.ESTIMATE)

    def bound(self, x: Tensor, y: Tensor | None = None, evaluations: int = 20, first: float | None = None) -> Tensor:
        """A lower bound of log p(x) in nats, (batch,): an unbiased estimate, noise and times being random.

            log p(x) ≥ E[log p(x|x_first)] − ½ ∫ E‖noise − predicted noise‖² dλ − KL(q(x_last|x) ‖ N(0, sigma_last² I))

        λ = ln(alpha²/sigma²), from t = last (1, or 0.999 where alpha would be 0) to t = first; p(x|x_first) is a normal
        distribution around the predicted data with the deviation sigma/alpha: its density for reals, what it puts on a
        level's cell for images. It is DDPM's bound in the limit of infinitely many steps.
        Kingma et al., "Variational diffusion models", 2021, eq. 17, https://arxiv.org/abs/2107.00630

        Args:
            x: (batch, *shape).
            y: labels, if p(x|y) is asked for.
            evaluations: values of λ for each x, evenly spread at random.
            first: the time at which x itself is predicted; None takes 0.02 for reals, where networks seldom know the last
                bit of noise, and for images when the noise is a fifth of half a level's cell, seldom enough to hide it.
        """
        if evaluations < 1:
            raise ValueError(f"the bound needs evaluations ≥ 1, got {evaluations}")
        data, condition = self.to_path(self.check_input(x)), self.condition(y, len(x))
        first = first or self._first_time()
        ends = self.schedule.log_snr(torch.tensor([first, 1.0, 0.999], device=x.device))
        high, low = ends[0], ends[1] if torch.isfinite(ends[1]) else ends[2]
        total = x.new_zeros(len(x))
        for i in range(evaluations):
            place = (i + torch.rand(len(x), device=x.device)) / evaluations
            t = self.schedule.time_of_log_snr(low + (high - low) * place)
            noise = torch.randn_like(data)
            x_t = self.schedule.noised(data, noise, t)
            error = (self._predict(x_t, t, condition, "noise") - noise).square().flatten(1).sum(1)
            total = total + 0.5 * (high - low) / evaluations * error
        at_last = 0.5 * low.exp() * data.square().flatten(1).sum(1)  # the KL term
        return self._first_log_prob(data, first, condition) - total - at_last

    def _first_time(self) -> float:
        if not self.space.discrete:
            return 0.02
        clear = torch.tensor(2 * math.log(5 * (self.space.levels - 1)), device="cpu")
        return max(0.001, float(self.schedule.time_of_log_snr(clear)))

    def _first_log_prob(self, data: Tensor, first: float, condition: Tensor | None) -> Tensor:
        """log p(x | x_first) at one draw of x_first: (batch,)."""
        t = torch.full((), first, device=data.device)
        x_t = self.schedule.noised(data, torch.randn_like(data), t)
        mean = self._predict(x_t, t, condition, "data")
        scale = (-0.5 * self.schedule.log_snr(t)).exp()
        if not self.space.discrete:
            density = -0.5 * ((data - mean) / scale).square() - scale.log() - 0.5 * math.log(2 * math.pi)
            return density.flatten(1).sum(1) - self.space.dim * math.log(self.scale)
        half = 1 / (self.space.levels - 1)  # half a cell; the outermost cells reach to infinity
        above = torch.where(data < 1 - half, (data + half - mean) / scale, torch.inf)
        below = torch.where(data > -1 + half, (data - half - mean) / scale, -torch.inf)
        return _log_normal_between(below, above).flatten(1).sum(1)


def _log_normal_between(below: Tensor, above: Tensor) -> Tensor:
    """log(Φ(above) − Φ(below)), in the tail where the difference is not lost; −100 or more."""
    flip = below > 0  # by symmetry, look at the lower tail
    low, high = torch.where(flip, -above, below), torch.where(flip, -below, above)
    upper, lower = torch.special.log_ndtr(high.double()), torch.special.log_ndtr(low.double())
    return (upper + torch.log1p(-(lower - upper).clamp(max=-1e-12).exp())).clamp(min=-100).to(below.dtype)
