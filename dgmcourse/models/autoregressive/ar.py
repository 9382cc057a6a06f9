"""The linear autoregression AR(p) of a stationary time series."""

import math

import torch
from torch import Tensor, nn

from ...core import Space
from ...data.linear_prediction import (
    autoregression_log_conditionals,
    autoregression_moments,
    levinson,
    partial_autocorrelations,
)
from ...data.time_series import ARProcess
from .base import Autoregressive, Scorer

__all__ = ["AR"]


class AR(Autoregressive):
    """Autoregression of order p: every value is a linear function of the p values before it, plus Gaussian noise.

        x_t = m + Σ_j φ_j (x_{t−j} − m) + σ ε_t,   ε_t ~ N(0, 1)

    The likelihood is exact, with the stationary distribution of the first p values. What is learned are the partial
    autocorrelations r = tanh(raw), so that the process is stationary whatever the parameters are.

    Barndorff-Nielsen & Schou, "On the parametrization of autoregressive models by partial autocorrelations", 1973,
    https://doi.org/10.1016/0047-259X(73)90030-4

    Args:
        space: a series, real(length).
        order: p.

    Raises:
        ValueError: another space, or an order below 1.
    """

    def __init__(self, space: Space, order: int = 2):
        super().__init__(space)
        if space.kind != "real" or len(space.shape) != 1:
            raise ValueError(f"AR needs a series real(length), got {space}")
        if order < 1:
            raise ValueError(f"AR needs order ≥ 1, got {order}")
        self.raw_partials = nn.Parameter(torch.zeros(order))
        self.log_scale, self.mean = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

    @property
    def coefficients(self) -> Tensor:
        """φ, the latest value's first: (order,), without gradient."""
        return levinson(self.raw_partials.detach().tanh())[-1]

    @property
    def scale(self) -> Tensor:
        """σ, a scalar without gradient."""
        return self.log_scale.detach().exp()

    def process(self) -> ARProcess:
        """What the model has learned, as the data have their truth: with covariances and entropy."""
        phi, scale, mean = self.coefficients.tolist(), float(self.scale), float(self.mean.detach())
        return ARProcess(phi, scale, self.space.dim, mean)

    # --- what every autoregressive model has -----------------------------------------------------------------------

    def logits(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Mean and log standard deviation of every value given those before it: (batch, length) -> (batch, length, 2)."""
        centered = self.check_input(x) - self.mean
        means, spreads = autoregression_moments(centered, self.raw_partials.tanh(), self.log_scale)
        return torch.stack([means + self.mean, spreads.expand_as(means)], dim=-1)

    def log_conditionals(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x_t | x_1 … x_{t−1}): (batch, length) -> (batch, length), nats."""
        self.check_input(x)
        with torch.autocast(x.device.type, enabled=False):
            centered = x.to(self.mean) - self.mean
            return autoregression_log_conditionals(centered, self.raw_partials.tanh(), self.log_scale)

    def draw(
        self, logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
    ) -> Tensor:
        """N(mean, temperature · variance), of p^(1/temperature): (n, 2) -> (n,).

        Raises:
            ValueError: top_k or top_p, which choose among tokens.
        """
        if top_k is not None or top_p is not None:
            raise ValueError("top_k and top_p choose among tokens, but AR is of reals; use temperature")
        mean, spread = logits.unbind(-1)
        return mean + math.sqrt(temperature) * spread.exp() * torch.randn_like(mean)

    def scorer(self, n: int, y: Tensor | None = None) -> Scorer:
        """As for every autoregressive model, from the last values alone."""
        partials = self.raw_partials.detach().tanh()
        predictors, order = levinson(partials), len(partials)
        left = torch.log1p(-partials.square()).flip(0).cumsum(0).flip(0)

        def score(state: Tensor, t: int) -> Tensor:
            k = min(t, order)
            mean, spread = self.mean.expand(n), self.log_scale - (0.5 * left[k] if k < order else 0.0)
            if k:
                mean = mean + (state[:, t - k : t] - self.mean) @ predictors[k - 1].flip(0)
            return torch.stack([mean, spread.expand(n)], dim=-1)

        return score

    # --- estimation ------------------------------------------------------------------------------------------------

    def estimate(self, x: Tensor, method: str = "likelihood") -> "AR":
        """Fit to series at once, instead of by gradient steps.

        Args:
            x: (n, length).
            method: "least_squares", which predicts every value that has `order` values before it, and ignores how
                likely the first ones are; "likelihood", the maximum of the exact likelihood, found from there by L-BFGS.

        Raises:
            ValueError: another method; least squares found a process that is not stationary, or there are fewer values
                than unknowns.
        """
        if method not in ("least_squares", "likelihood"):
            raise ValueError(f"method must be 'least_squares' or 'likelihood', got {method!r}")
        x = self.check_input(x).double()
        mean, phi, variance = self._least_squares(x)
        if method == "least_squares":
            return self._assign(mean, partial_autocorrelations(phi).atanh(), 0.5 * variance.log())
        try:
            raw = partial_autocorrelations(phi).clamp(-0.999, 0.999).atanh()
        except ValueError:  # not stationary: begin with white noise
            mean, raw, variance = x.mean(), torch.zeros_like(phi), x.var(correction=0)
        return self._assign(*_maximum_likelihood(x, mean, raw, 0.5 * variance.log()))

    def _least_squares(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, coefficients and variance of the noise."""
        order = len(self.raw_partials)
        windows = x.unfold(1, order + 1, 1).flatten(0, 1) if x.shape[1] > order else x.new_zeros(0, order + 1)
        if len(windows) <= order + 1:
            raise ValueError(f"least squares needs more than {order + 1} stretches of {order + 1} values, "
                             f"got {len(windows)}; give longer or more series")  # fmt: skip
        design = torch.cat([windows[:, :-1].flip(1), torch.ones_like(windows[:, :1])], dim=1)  # the latest first
        solution = torch.linalg.lstsq(design, windows[:, -1]).solution
        phi, intercept = solution[:-1], solution[-1]
        variance = (windows[:, -1] - design @ solution).square().mean()
        return intercept / (1 - phi.sum()), phi, variance

    @torch.no_grad()
    def _assign(self, mean: Tensor, raw: Tensor, log_scale: Tensor) -> "AR":
        for parameter, value in ((self.mean, mean), (self.raw_partials, raw), (self.log_scale, log_scale)):
            parameter.copy_(value)
        return self

    def standard_errors(self, values: int) -> Tensor:
        """How far `coefficients` are, typically, from the truth after so many predicted values: float64 (order,).

            √ diag(σ² Γ⁻¹ / values),   Γ_ij = Cov(x_i, x_j)

        Mann & Wald, "On the statistical treatment of linear stochastic difference equations", 1943,
        https://doi.org/10.2307/1905674
        """
        order = len(self.raw_partials)
        gamma = self.process().autocovariances(order)
        lags = torch.arange(order)
        covariance = torch.linalg.inv(gamma[(lags[:, None] - lags).abs()]) * float(self.scale) ** 2
        return (covariance.diagonal() / values).sqrt()


def _maximum_likelihood(x: Tensor, *start: Tensor) -> tuple[Tensor, ...]:
    """Mean, raw partial autocorrelations and log scale at the maximum of the exact likelihood, in float64."""
    found = [value.clone().requires_grad_() for value in start]
    mean, raw, log_scale = found
    optimizer = torch.optim.LBFGS(found, max_iter=100, tolerance_change=1e-12, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = -autoregression_log_conditionals(x - mean, raw.tanh(), log_scale).mean()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    return tuple(value.detach() for value in found)
