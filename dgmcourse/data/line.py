"""Mixtures of Gaussians on the line: simple enough that entropy and divergences are known to many digits."""

import functools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["LineMixture"]

REACH = 10.0  # quadrature goes so many standard deviations to either side: beyond lies less than 1e-22 of the mass
FINENESS = 40  # and takes so many steps in the narrowest one


class LineMixture:
    """p(x) = Σ_k w_k N(x; μ_k, σ_k²), a density on the line that is known exactly.

    Everything is computed in float64. Parameters given as tensors keep their graph, so that `expectation` and what
    is made of it can be differentiated.

    Args:
        means: (components,), the μ_k.
        stds: (components,), the σ_k, positive.
        weights: (components,), the w_k, summing to 1; equal ones by default.

    Raises:
        ValueError: lengths that differ, standard deviations that are not positive, weights that are not a distribution.
    """

    def __init__(self, means: Tensor | Sequence[float], stds: Tensor | Sequence[float],
                 weights: Tensor | Sequence[float] | None = None):  # fmt: skip
        self.means, self.stds = (torch.as_tensor(given, dtype=torch.float64) for given in (means, stds))
        if weights is None:
            weights = torch.full((self.means.numel(),), 1 / max(1, self.means.numel()))
        self.weights = torch.as_tensor(weights, dtype=torch.float64)
        shapes = [tuple(given.shape) for given in (self.means, self.stds, self.weights)]
        if self.means.ndim != 1 or not len(self.means) or len(set(shapes)) > 1:
            raise ValueError(f"means, stds and weights must be as long as each other, with one number a component; "
                             f"got shapes {', '.join(map(str, shapes))}")  # fmt: skip
        if not self.means.isfinite().all() or not self.stds.isfinite().all() or not (self.stds > 0).all():
            raise ValueError(
                f"means must be finite and stds positive, got {self.means.tolist()} and {self.stds.tolist()}"
            )
        if not (self.weights >= 0).all() or abs(float(self.weights.detach().sum()) - 1) > 1e-5:
            raise ValueError(f"weights must not be negative, and must sum to 1; got {self.weights.tolist()}")

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats: (batch,) or (batch, 1) -> (batch,)."""
        if not x.is_floating_point():
            raise TypeError(f"x must be floating point, got {x.dtype}; use x.float()")
        if x.ndim == 2 and x.shape[1] == 1:
            x = x[:, 0]
        if x.ndim != 1:
            raise ValueError(f"x must have shape (batch,) or (batch, 1), got {tuple(x.shape)}")
        return self.log_joint(x.double()).logsumexp(-1).to(x.dtype)

    def log_joint(self, x: Tensor) -> Tensor:
        """log w_k + log N(x; μ_k, σ_k²), the density of x and its component: float64 (batch,) -> (batch, components)."""
        z = (x[:, None] - self.means) / self.stds
        return self.weights.log() - self.stds.log() - z.square() / 2 - math.log(2 * math.pi) / 2

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n exact, independent samples, float32 (n,); as data of `Space.real(1)`: `sample(n)[:, None]`."""
        if n < 1:
            raise ValueError(f"sample needs n ≥ 1, got {n}")
        component = torch.multinomial(self.weights.detach(), n, replacement=True, generator=generator)
        noise = torch.randn(n, generator=generator)
        return self.means.detach().float()[component] + self.stds.detach().float()[component] * noise

    def expectation(self, f: Callable[[Tensor], Tensor], finest: float = math.inf) -> Tensor:
        """E_p[f(x)] by the trapezoid rule, around each component apart: a float64 scalar.

        On smooth functions that vanish at both ends the rule converges faster than any power of its step.

        Args:
            f: float64 (n,) -> (n,).
            finest: the smallest length on which f bends, if that is less than the narrowest component's σ.
        """
        total = torch.zeros((), dtype=torch.float64)
        step = min(float(self.stds.detach().min()), finest) / FINENESS
        for weight, mean, std in zip(self.weights, self.means, self.stds, strict=True):
            half = math.ceil(REACH * float(std.detach()) / step)
            z = torch.linspace(-REACH, REACH, 2 * half + 1, dtype=torch.float64)
            mass = torch.exp(-z.square() / 2) * (REACH / half / math.sqrt(2 * math.pi))
            total = total + weight * mass @ f(mean + std * z)
        return total

    def divergence(self, other: "LineMixture") -> Tensor:
        """KL(self ‖ other) in nats, by quadrature; a scalar that can be differentiated."""
        narrowest = float(torch.cat([self.stds, other.stds]).detach().min())
        return self.expectation(lambda x: self._log_prob(x) - other._log_prob(x), narrowest)

    def _log_prob(self, x: Tensor) -> Tensor:
        return self.log_joint(x).logsumexp(-1)

    def kl(self, other: "LineMixture") -> float:
        """KL(self ‖ other) = E_self[log self(x) − log other(x)] in nats, by quadrature, to a relative error of 1e-6."""
        return float(self.divergence(other).detach())

    @functools.cached_property
    def entropy(self) -> float:
        """−E_p[log p(x)] in nats, by quadrature. No model of p averages more than −entropy on new data."""
        return -float(self.expectation(self._log_prob).detach())

    @property
    def mean(self) -> float:
        """E[x] = Σ_k w_k μ_k."""
        return float((self.weights @ self.means).detach())

    @property
    def std(self) -> float:
        """√Var[x], Var[x] = Σ_k w_k (σ_k² + μ_k²) − E[x]²."""
        centered = self.means - self.mean
        return math.sqrt(float((self.weights @ (self.stds.square() + centered.square())).detach()))

    def __repr__(self) -> str:
        parts = zip(self.weights.tolist(), self.means.tolist(), self.stds.tolist(), strict=True)
        return " + ".join(f"{w:.3g}·N({m:.3g}, {s:.3g}²)" for w, m, s in parts).replace("-", "−")
