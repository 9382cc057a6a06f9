"""How fast data turn into noise: x_t = alpha(t)·data + sigma(t)·noise, for t from 0 (data) to 1 (noise).

Diffusion and flow matching share one picture: a path from data to noise, known exactly. A `NoiseSchedule` is that
path. Whatever a network predicts (noise, data, v, velocity, score) is a combination of data and noise, so each can be
turned into any other without error: `convert`.
"""

import abc
import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = [
    "SCHEDULES",
    "ContinuousVP",
    "Cosine",
    "Linear",
    "NoiseSchedule",
    "StraightLine",
    "VarianceExploding",
    "noise_schedule",
]

REPRESENTATIONS = ("noise", "data", "v", "velocity", "score")


class NoiseSchedule(abc.ABC):
    """A path x_t = alpha(t)·data + sigma(t)·noise, noise ~ N(0, I), t in [0, 1].

    Each method takes a tensor of times of any shape and returns one like it, computed in float64 inside.
    """

    @abc.abstractmethod
    def log_alpha(self, t: Tensor) -> Tensor:
        """ln alpha(t), float64."""

    @abc.abstractmethod
    def log_sigma(self, t: Tensor) -> Tensor:
        """ln sigma(t), float64; −inf where nothing is noise."""

    @abc.abstractmethod
    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """d alpha/dt and d sigma/dt, float64."""

    def alpha(self, t: Tensor) -> Tensor:
        """What is left of the data."""
        return self.log_alpha(t).exp().to(_kind(t))

    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise."""
        return self.log_sigma(t).exp().to(_kind(t))

    def alpha_dot(self, t: Tensor) -> Tensor:
        """d alpha/dt."""
        return self.rates(t)[0].to(_kind(t))

    def sigma_dot(self, t: Tensor) -> Tensor:
        """d sigma/dt."""
        return self.rates(t)[1].to(_kind(t))

    def log_snr(self, t: Tensor) -> Tensor:
        """ln(alpha²/sigma²), the log of the signal-to-noise ratio: it falls from +∞ or a large number."""
        return (2 * (self.log_alpha(t) - self.log_sigma(t))).to(_kind(t))

    def time_of_log_snr(self, log_snr: Tensor) -> Tensor:
        """The t at which ln(alpha²/sigma²) takes a value, by bisection; 0 or 1 where the path does not reach it."""
        wanted = log_snr.to(_wide(log_snr))
        low, high = torch.zeros_like(wanted), torch.ones_like(wanted)
        for _ in range(60):
            middle = (low + high) / 2
            later = self.log_snr(middle) > wanted  # the ratio falls with t
            low, high = torch.where(later, middle, low), torch.where(later, high, middle)
        return ((low + high) / 2).to(_kind(log_snr))

    def noised(self, data: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t: (batch, *shape), (batch, *shape), t a scalar or (batch,) -> (batch, *shape)."""
        return _beside(self.alpha(t), data) * data + _beside(self.sigma(t), data) * noise

    def convert(self, value: Tensor, x: Tensor, t: Tensor, given: str, wanted: str) -> Tensor:
        """What a network says, in other words: noise, data, v, velocity and score determine each other, given x_t.

        Each is a combination a·data + b·noise, and so is x_t = alpha·data + sigma·noise: two equations, two unknowns.

            noise     0, 1              data   1, 0
            v        −sigma, alpha      score  0, −1/sigma        (of the noised density, if `value` is an expectation)
            velocity  d alpha/dt, d sigma/dt: dx_t/dt, what a sampler follows

        Salimans & Ho, "Progressive distillation for fast sampling of diffusion models", 2022 (v),
        https://arxiv.org/abs/2202.00512

        Args:
            value: the prediction, (batch, *shape), in the words named by `given`.
            x: x_t, (batch, *shape).
            t: a scalar, or (batch,).
            given, wanted: "noise", "data", "v", "velocity" or "score".

        Raises:
            ValueError: an unknown name.
        """
        for name in (given, wanted):
            if name not in REPRESENTATIONS:
                raise ValueError(f"a prediction is one of {', '.join(REPRESENTATIONS)}, got {name!r}")
        if given == wanted:
            return value
        alpha, sigma = self.log_alpha(t).exp(), self.log_sigma(t).exp()
        a, b = self._combination(given, t, alpha, sigma)
        c, d = self._combination(wanted, t, alpha, sigma)
        determinant = alpha * b - sigma * a
        of_x, of_value = (c * b - d * a) / determinant, (d * alpha - c * sigma) / determinant
        return _beside(of_x, x) * x + _beside(of_value, x) * value

    def _combination(self, name: str, t: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        zero, one = torch.zeros_like(alpha), torch.ones_like(alpha)
        if name == "velocity":
            return self.rates(t)
        return {
            "noise": (zero, one),
            "data": (one, zero),
            "v": (-sigma, alpha),
            "score": (zero, -1 / sigma),
        }[name]

    def between(self, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """From x_s to x_t, s < t: x_t = a·x_s + √b·noise. Returns a = alpha_t/alpha_s and b = sigma_t² − a²·sigma_s².

        Kingma et al., "Variational diffusion models", 2021, https://arxiv.org/abs/2107.00630
        """
        a = (self.log_alpha(t) - self.log_alpha(s)).exp()
        gained = -torch.expm1(2 * (self.log_sigma(s) - self.log_sigma(t) + self.log_alpha(t) - self.log_alpha(s)))
        return a.to(_kind(t)), ((2 * self.log_sigma(t)).exp() * gained).to(_kind(t))

    def posterior(self, x: Tensor, data: Tensor, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """q(x_s | x_t, data), s < t, a Gaussian: its mean (batch, *shape) and its variance (like t).

            mean = a·sigma_s²/sigma_t² · x_t + alpha_s·b/sigma_t² · data,   variance = b·sigma_s²/sigma_t²

        Ho, Jain & Abbeel, "Denoising diffusion probabilistic models", 2020, eq. 6–7, https://arxiv.org/abs/2006.11239
        """
        a, b = self.between(s.to(_wide(s)), t.to(_wide(t)))
        kept = (2 * (self.log_sigma(s) - self.log_sigma(t))).exp()  # sigma_s²/sigma_t²
        of_data = self.log_alpha(s).exp() * b / (2 * self.log_sigma(t)).exp()
        mean = _beside(a * kept, x) * x + _beside(of_data, x) * data
        return mean, (b * kept).to(_kind(t))

    def __repr__(self):
        return f"{type(self).__name__}()"


class _VariancePreserving(NoiseSchedule):
    """alpha² + sigma² = 1: data of unit variance stay so."""

    @abc.abstractmethod
    def log_alpha_dot(self, t: Tensor) -> Tensor:
        """d ln alpha/dt, float64."""

    def log_sigma(self, t: Tensor) -> Tensor:
        return 0.5 * (-torch.expm1(2 * self.log_alpha(t))).log()

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha, slope = self.log_alpha(t).exp(), self.log_alpha_dot(t)
        return alpha * slope, -alpha.square() * slope / self.log_sigma(t).exp()


class Linear(_VariancePreserving):
    """DDPM's: in each of `steps` steps variance β_k is added, β rising linearly; t = k/steps after k steps.

    alpha(k/steps)² = Π_{i ≤ k} (1 − β_i), β from first·1000/steps to last·1000/steps; ln alpha is linear in between.
    Ho, Jain & Abbeel 2020, https://arxiv.org/abs/2006.11239

    Args:
        steps: how many.
        first, last: β at both ends, for 1000 steps.
    """

    def __init__(self, steps: int = 1000, first: float = 1e-4, last: float = 0.02):
        scale = 1000 / steps
        if steps < 1 or not 0 < first * scale < 1 or not 0 < last * scale < 1:
            raise ValueError(
                f"each β must lie between 0 and 1; got {steps} steps, β from {first * scale} to {last * scale}"
            )
        self.steps = steps
        self.betas = torch.linspace(first * scale, last * scale, steps, dtype=torch.float64)
        self._table = torch.cat([torch.zeros(1, dtype=torch.float64), 0.5 * torch.log1p(-self.betas).cumsum(0)])

    def log_alpha(self, t: Tensor) -> Tensor:
        whole, rest, table = self._place(t)
        return table[whole] + rest * (table[whole + 1] - table[whole])

    def log_alpha_dot(self, t: Tensor) -> Tensor:
        whole, _, table = self._place(t)
        return (table[whole + 1] - table[whole]) * self.steps

    def _place(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The step that t lies in, how far, and the table, on t's device. A grid point belongs to the step that ends there."""
        place = t.to(_wide(t)) * self.steps
        nearest = place.round()
        place = torch.where((place - nearest).abs() < 1e-3, nearest, place)  # float32's k/steps is k/steps
        whole = (place.ceil().long() - 1).clamp(0, self.steps - 1)
        return whole, place - whole, self._table.to(place)

    def __repr__(self):
        return f"Linear(steps={self.steps})"


class ContinuousVP(_VariancePreserving):
    """The limit of `Linear` for ever smaller steps: ln alpha(t) = −½ ∫₀ᵗ β, β(t) = first + t·(last − first).

    Song et al., "Score-based generative modeling through stochastic differential equations", 2021,
    https://arxiv.org/abs/2011.13456
    """

    def __init__(self, first: float = 0.1, last: float = 20.0):
        if not 0 < first <= last:
            raise ValueError(f"ContinuousVP needs 0 < first ≤ last, got {first} and {last}")
        self.first, self.last = first, last

    def log_alpha(self, t: Tensor) -> Tensor:
        t = t.to(_wide(t))
        return -0.25 * t.square() * (self.last - self.first) - 0.5 * t * self.first

    def log_alpha_dot(self, t: Tensor) -> Tensor:
        return -0.5 * (self.first + t.to(_wide(t)) * (self.last - self.first))


class Cosine(_VariancePreserving):
    """alpha(t) = cos(½π(t + s)/(1 + s)) / cos(½πs/(1 + s)), s = 0.008: noise comes slowly at both ends.

    The curve is left at `end`, a little before alpha = 0, as the β ≤ 0.999 of the paper leaves it.
    Nichol & Dhariwal, "Improved denoising diffusion probabilistic models", 2021, https://arxiv.org/abs/2102.09672
    """

    def __init__(self, offset: float = 0.008, end: float = 0.9995):
        if offset < 0 or not 0 < end < 1:
            raise ValueError(f"Cosine needs offset ≥ 0 and 0 < end < 1, got {offset} and {end}")
        self.offset, self.end = offset, end

    def _angle(self, t: Tensor) -> Tensor:
        return 0.5 * math.pi * (t.to(_wide(t)) * self.end + self.offset) / (1 + self.offset)

    def log_alpha(self, t: Tensor) -> Tensor:
        whole = math.log(math.cos(0.5 * math.pi * self.offset / (1 + self.offset)))
        return self._angle(t).cos().log() - whole

    def log_alpha_dot(self, t: Tensor) -> Tensor:
        return -0.5 * math.pi * self.end / (1 + self.offset) * self._angle(t).tan()


class VarianceExploding(NoiseSchedule):
    """alpha = 1, sigma from `smallest` to `largest` in even ratios: noise is piled on the data until they drown.

    Song & Ermon, "Generative modeling by estimating gradients of the data distribution", 2019,
    https://arxiv.org/abs/1907.05600
    """

    def __init__(self, smallest: float = 0.01, largest: float = 50.0):
        if not 0 < smallest < largest:
            raise ValueError(f"VarianceExploding needs 0 < smallest < largest, got {smallest} and {largest}")
        self.smallest, self.largest = smallest, largest

    def log_alpha(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t, dtype=_wide(t))

    def log_sigma(self, t: Tensor) -> Tensor:
        return math.log(self.smallest) + t.to(_wide(t)) * math.log(self.largest / self.smallest)

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return self.log_alpha(t), self.log_sigma(t).exp() * math.log(self.largest / self.smallest)


class StraightLine(NoiseSchedule):
    """alpha = 1 − t, sigma = t: flow matching's straight path, whose velocity is noise − data.

    Lipman et al., "Flow matching for generative modeling", 2023, https://arxiv.org/abs/2210.02747
    Liu, Gong & Liu, "Flow straight and fast", 2023, https://arxiv.org/abs/2209.03003
    """

    def log_alpha(self, t: Tensor) -> Tensor:
        return torch.log1p(-t.to(_wide(t)))

    def log_sigma(self, t: Tensor) -> Tensor:
        return t.to(_wide(t)).log()

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        one = torch.ones_like(t, dtype=_wide(t))
        return -one, one


SCHEDULES: dict[str, Callable[[], NoiseSchedule]] = {
    "linear": Linear,
    "cosine": Cosine,
    "vp": ContinuousVP,
    "ve": VarianceExploding,
    "straight": StraightLine,
}


def noise_schedule(name: str, **options: float) -> NoiseSchedule:
    """The schedule of that name: linear, cosine, vp, ve or straight.

    Raises:
        ValueError: an unknown name.
    """
    if name not in SCHEDULES:
        raise ValueError(f"there is no schedule {name!r}; choose one of {', '.join(SCHEDULES)}")
    return SCHEDULES[name](**options)


def _wide(t: Tensor) -> torch.dtype:
    """float64 where the device has it."""
    return torch.float32 if t.device.type == "mps" else torch.float64


def _kind(t: Tensor) -> torch.dtype:
    return t.dtype if t.is_floating_point() else torch.get_default_dtype()


def _beside(factor: Tensor, x: Tensor) -> Tensor:
    """A scalar, or one number an example, in x's type and ready to be multiplied with (batch, *shape)."""
    factor = factor.to(x)
    return factor.view(-1, *[1] * (x.ndim - 1)) if factor.ndim else factor
