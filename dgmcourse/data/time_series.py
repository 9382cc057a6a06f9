"""Time series whose likelihood is known: a linear process, and one that switches between two regimes."""

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..core import Space
from .dataset import Dataset, split_generators, split_sizes
from .linear_prediction import autoregression_log_conditionals, levinson, partial_autocorrelations

__all__ = ["ARProcess", "RegimeProcess", "series"]

ENTROPY_SAMPLES, AT_ONCE = 50_000, 5_000  # of the estimate of an entropy that has no closed form


class ARProcess:
    """A stationary linear process, x_t = m + Σ_j φ_j (x_{t−j} − m) + σ ε_t with ε_t ~ N(0, 1), from its stationary start.

    Any stretch of it is a Gaussian vector, so likelihood and entropy are exact.
    Box & Jenkins, "Time Series Analysis: Forecasting and Control", 1970, chapter 3

    Args:
        coefficients: φ_1, …, φ_p, the latest value's first.
        scale: σ.
        length: of a series.
        mean: m.

    Raises:
        ValueError: coefficients of a process that is not stationary, a scale that is not positive, no length.
    """

    def __init__(self, coefficients: Sequence[float], scale: float = 1.0, length: int = 64, mean: float = 0.0):
        if not scale > 0 or length < 1:
            raise ValueError(f"an AR process needs scale > 0 and length ≥ 1, got {scale} and {length}")
        self.coefficients = torch.as_tensor(coefficients, dtype=torch.float64)
        if self.coefficients.ndim != 1:
            raise ValueError(f"coefficients must be a list of numbers, got shape {tuple(self.coefficients.shape)}")
        self.partials = partial_autocorrelations(self.coefficients)
        self.scale, self.length, self.mean, self.order = float(scale), length, float(mean), len(self.coefficients)
        self.space = Space.real(length)

    def __repr__(self):
        phi = ", ".join(f"{value:g}" for value in self.coefficients.tolist())
        return f"AR({self.order}) process, φ = ({phi}), σ = {self.scale:g}: entropy {self.entropy:.4f} nats"

    def autocovariances(self, lags: int) -> Tensor:
        """Cov(x_t, x_{t+k}) for k = 0, …, lags − 1: float64 (lags,), by the Levinson–Durbin recursion run backward."""
        variance = self.scale**2 / torch.prod(1 - self.partials.square())
        found = [variance]
        predictors, left = levinson(self.partials), variance
        for k in range(1, lags):
            phi = predictors[min(k, self.order) - 1] if self.order else self.partials
            if k <= self.order:  # r_k = (γ_k − Σ_{j<k} φ_j^(k−1) γ_{k−j}) / what k − 1 values leave unexplained
                shorter = predictors[k - 2] if k > 1 else phi[:0]
                known = sum((c * found[k - j] for j, c in enumerate(shorter, 1)), torch.zeros_like(variance))
                found.append(self.partials[k - 1] * left + known)
                left = left * (1 - self.partials[k - 1].square())
            else:
                found.append(sum((c * found[k - j] for j, c in enumerate(phi, 1)), torch.zeros_like(variance)))
        return torch.stack(found)

    def covariance(self) -> Tensor:
        """Of one series: float64 (length, length), the same along every diagonal."""
        times = torch.arange(self.length)
        return self.autocovariances(self.length)[(times[:, None] - times).abs()]

    def log_conditionals(self, x: Tensor) -> Tensor:
        """log p(x_t | x_1 … x_{t−1}): (batch, length) -> float64 (batch, length), nats."""
        self.space.check(x)
        log_scale = torch.tensor(math.log(self.scale), dtype=torch.float64, device=x.device)
        return autoregression_log_conditionals(x.double() - self.mean, self.partials.to(x.device), log_scale)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), nats: (batch, length) -> float64 (batch,)."""
        return self.log_conditionals(x).sum(-1)

    @property
    def entropy(self) -> float:
        """Of one series, nats: ½ Σ_t ln(2πe v_t), v_t the variance that the values before leave to x_t."""
        log_var = torch.full((self.length,), 2 * math.log(self.scale), dtype=torch.float64)
        unexplained = torch.log1p(-self.partials.square())
        for t in range(min(self.order, self.length)):
            log_var[t] -= unexplained[t:].sum()
        return float(0.5 * (log_var + math.log(2 * math.pi) + 1).sum())

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n series: float32 (n, length)."""
        if n < 1:
            raise ValueError(f"sample needs n ≥ 1, got {n}")
        device = None if generator is None else generator.device
        noise = torch.randn(n, self.length, generator=generator, device=device, dtype=torch.float64)
        partials, predictors = self.partials.to(device), [phi.to(device) for phi in levinson(self.partials)]
        spread = self.scale / (1 - partials.square()).flip(0).cumprod(0).flip(0).sqrt()
        x = torch.zeros_like(noise)
        for t in range(self.length):
            k = min(t, self.order)
            past = x[:, t - k : t].flip(1) @ predictors[k - 1] if k else 0.0
            x[:, t] = past + noise[:, t] * (spread[k] if k < self.order else self.scale)
        return (x + self.mean).float()


class RegimeProcess:
    """A series that switches between linear regimes, as a hidden Markov chain s_t decides.

        x_t = φ_s x_{t−1} + σ_s ε_t,  s = s_t;        x_1 ~ N(0, σ_s² / (1 − φ_s²)),  s_1 ~ the chain's stationary distribution

    The sum over all paths of the chain is taken by the forward algorithm, so the likelihood is exact.
    Hamilton, "A new approach to the economic analysis of nonstationary time series and the business cycle", 1989,
    https://doi.org/10.2307/1912559

    Args:
        coefficients: φ of each regime, in (−1, 1).
        scales: σ of each regime.
        stay: probability that a regime goes on, of each; else one of the others follows, all alike.
        length: of a series.

    Raises:
        ValueError: lists of different lengths, or numbers out of range.
    """

    def __init__(
        self,
        coefficients: Sequence[float] = (0.9, -0.6),
        scales: Sequence[float] = (0.3, 1.0),
        stay: Sequence[float] = (0.95, 0.9),
        length: int = 64,
    ):
        tensors = [torch.as_tensor(given, dtype=torch.float64) for given in (coefficients, scales, stay)]
        self.coefficients, self.scales, self.stay = tensors
        if len({len(given) for given in tensors}) != 1 or len(self.stay) < 2 or length < 1:
            raise ValueError("coefficients, scales and stay must hold one number for each of two or more regimes, and "
                             f"length be ≥ 1; got {coefficients}, {scales}, {stay}, {length}")  # fmt: skip
        if not ((self.coefficients.abs() < 1) & (self.scales > 0) & (self.stay > 0) & (self.stay < 1)).all():
            raise ValueError("coefficients must lie in (-1, 1), scales be positive, stay lie in (0, 1); "
                             f"got {coefficients}, {scales}, {stay}")  # fmt: skip
        self.regimes, self.length, self.space = len(self.stay), length, Space.real(length)
        leave = (1 - self.stay) / (self.regimes - 1)
        self.moves = leave[:, None].expand(-1, self.regimes).clone()
        self.moves.diagonal().copy_(self.stay)
        self.start = 1 / (1 - self.stay)  # regimes are left as often as they are entered
        self.start = self.start / self.start.sum()

    def __repr__(self):
        return (f"process of {self.regimes} regimes: entropy {self.entropy:.3f} ± {self.entropy_error:.3f} nats, "
                f"from {ENTROPY_SAMPLES:,} samples")  # fmt: skip

    def _log_emissions(self, x: Tensor) -> Tensor:
        """log p(x_t | x_{t−1}, s_t) for every regime: float64 (batch, length) -> (batch, length, regimes)."""
        phi, sigma = self.coefficients.to(x.device), self.scales.to(x.device)
        mean = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], dim=1)[..., None] * phi
        spread = torch.cat([(sigma / (1 - phi.square()).sqrt())[None], sigma.expand(self.length - 1, -1)])
        return -0.5 * ((x[..., None] - mean) / spread).square() - spread.log() - 0.5 * math.log(2 * math.pi)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The forward algorithm: what each value costs, and which regime is at work.

        Args:
            x: (batch, length).

        Returns:
            log p(x_t | x_1 … x_{t−1}), nats, float64 (batch, length), and P(s_t | x_1 … x_t), float64
            (batch, length, regimes).
        """
        self.space.check(x)
        emissions, log_moves = self._log_emissions(x.double()), self.moves.log().to(x.device)
        prior = self.start.log().to(x.device).expand(len(x), -1)  # log P(s_t | x_1 … x_{t−1})
        conditionals, filtered = [], []
        for t in range(self.length):
            joint = prior + emissions[:, t]
            conditionals.append(joint.logsumexp(-1))
            filtered.append(joint - conditionals[-1][:, None])
            prior = (filtered[-1][:, :, None] + log_moves).logsumexp(1)
        return torch.stack(conditionals, dim=1), torch.stack(filtered, dim=1).exp()

    def log_conditionals(self, x: Tensor) -> Tensor:
        """log p(x_t | x_1 … x_{t−1}): (batch, length) -> float64 (batch, length), nats."""
        return self.forward(x)[0]

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) = log Σ_s p(s) p(x | s), nats: (batch, length) -> float64 (batch,)."""
        return self.log_conditionals(x).sum(-1)

    @property
    def entropy(self) -> float:
        """Of one series, nats: an average over 50,000 samples, seeded; `entropy_error` is its standard error."""
        return self._estimate[0]

    @property
    def entropy_error(self) -> float:
        """The standard error of `entropy`, nats."""
        return self._estimate[1]

    @functools.cached_property
    def _estimate(self) -> tuple[float, float]:
        generator = torch.Generator().manual_seed(0)
        parts = [self.log_prob(self.sample(AT_ONCE, generator)) for _ in range(ENTROPY_SAMPLES // AT_ONCE)]
        found = -torch.cat(parts)
        return float(found.mean()), float(found.std()) / math.sqrt(len(found))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n series: float32 (n, length)."""
        return self.sample_with_regimes(n, generator)[0]

    def sample_with_regimes(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """n series and the regimes that made them: float32 and int64, (n, length) each."""
        if n < 1:
            raise ValueError(f"sample needs n ≥ 1, got {n}")
        device = None if generator is None else generator.device
        phi, sigma, moves = (given.to(device) for given in (self.coefficients, self.scales, self.moves))
        regimes = [torch.multinomial(self.start.to(device), n, replacement=True, generator=generator)]
        for _ in range(self.length - 1):
            regimes.append(torch.multinomial(moves[regimes[-1]], 1, generator=generator)[:, 0])
        noise = torch.randn(n, self.length, generator=generator, device=device, dtype=torch.float64)
        x = [noise[:, 0] * (sigma / (1 - phi.square()).sqrt())[regimes[0]]]
        for t in range(1, self.length):
            x.append(phi[regimes[t]] * x[-1] + sigma[regimes[t]] * noise[:, t])
        return torch.stack(x, dim=1).float(), torch.stack(regimes, dim=1)


def series(name: str = "ar2", length: int = 64, n: Sequence[int] = (4000, 1000, 2000), seed: int = 0) -> Dataset:
    """Independent time series of one number a moment, whose likelihood is known.

    Args:
        name: "ar2", a linear process that swings with a period of about nine, φ = (1.4, −0.85), σ = 1; "regimes", one
            that switches between a calm, slow regime (φ = 0.9, σ = 0.3) and a wild one (φ = −0.6, σ = 1).
        length: of a series.
        n: sizes of train, valid and test.
        seed: of the draw.

    Returns:
        a dataset of real(length), float32, whose `truth` (an `ARProcess` or a `RegimeProcess`) has `log_prob(x)` and
        `entropy`.

    Raises:
        ValueError: another name, or sizes out of range.
    """
    if name not in ("ar2", "regimes"):
        raise ValueError(f"series must be 'ar2' or 'regimes', got {name!r}")
    truth = ARProcess((1.4, -0.85), 1.0, length) if name == "ar2" else RegimeProcess(length=length)
    splits = map(truth.sample, split_sizes(n), split_generators(seed))
    return Dataset(name, truth.space, *splits, truth=truth)
