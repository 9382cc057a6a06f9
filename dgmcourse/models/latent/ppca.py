"""Probabilistic PCA: a continuous latent variable, integrated out exactly because everything is Gaussian."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...core import GenerativeModel, Kind, LogProb, Space, Step
from ..numerics import cell_centers, cell_variance, moments

__all__ = ["PPCA", "PPCAState", "linear_gaussian_log_density"]


def linear_gaussian_log_density(x: Tensor, weight: Tensor, bias: Tensor, variance: Tensor) -> Tensor:
    """log N(x; b, C) with C = W Wᵀ + σ² I, (batch,), nats, by way of matrices no larger than (latents, latents).

        (x−b)ᵀ C⁻¹ (x−b) = ‖x − b − W z‖² / σ² + ‖z‖²  at z = E[z|x] = M⁻¹ Wᵀ (x − b),  M = Wᵀ W + σ² I
        ln det C = (dim − latents) ln σ² + ln det M

    What z leaves unexplained, and what z itself costs. Tipping & Bishop, "Probabilistic Principal Component Analysis",
    1999, https://doi.org/10.1111/1467-9868.00196

    Args:
        x: (batch, dim).
        weight: W, (dim, latents).
        bias: b, (dim,).
        variance: σ², a scalar.
    """
    dim, latents = weight.shape
    factor = torch.linalg.cholesky(_inner(weight, variance))
    centered = x - bias
    z = torch.cholesky_solve((centered @ weight).T, factor).T  # (batch, latents)
    squared = (centered - z @ weight.T).square().sum(-1) / variance + z.square().sum(-1)
    log_det = (dim - latents) * variance.log() + 2 * factor.diagonal().log().sum()
    return -0.5 * (squared + log_det + dim * math.log(2 * math.pi))


def _inner(weight: Tensor, variance: Tensor) -> Tensor:
    """M = Wᵀ W + σ² I: (latents, latents)."""
    return weight.T @ weight + variance * torch.eye(weight.shape[1], dtype=weight.dtype, device=weight.device)


class PPCAState(NamedTuple):
    """Where EM stands.

    Attributes:
        iteration: how many M-steps have been made.
        log_prob: log p(x), (batch,), nats.
    """

    iteration: int
    log_prob: Tensor


class PPCA(GenerativeModel):
    """Probabilistic principal component analysis: x = W z + b + noise, z ~ N(0, I), noise ~ N(0, σ² I).

        p(x) = N(x; b, W Wᵀ + σ² I)        p(z|x) = N(z; M⁻¹ Wᵀ (x − b), σ² M⁻¹),  M = Wᵀ W + σ² I

    Its maximum likelihood is PCA: W spans the first eigenvectors of the data's covariance, σ² is the mean of the
    eigenvalues that are left. `estimate` writes that down; `em` and `fit` get there in steps.

    Binary and grey values are dequantized, and log p is averaged over the noise in closed form: a lower bound of the
    discrete one, without noise, as in `Gaussian`.

    Tipping & Bishop, "Probabilistic Principal Component Analysis", 1999, https://doi.org/10.1111/1467-9868.00196

    Args:
        space: real vectors, or binary or grey images, of at least two entries.
        latents: dimension of z, less than that of x; by default 2, or 1 where x has only two entries.
    """

    def __init__(self, space: Space, latents: int | None = None):
        super().__init__(space)
        if space.kind == "tokens":
            raise ValueError(f"PPCA needs a real, binary or grey space, got {space}")
        latents = min(2, space.dim - 1) if latents is None else latents
        if not 1 <= latents < space.dim:
            raise ValueError(f"PPCA needs 1 ≤ latents < {space.dim}, the dimension of {space}, got {latents}; "
                             "for a covariance without structure use Gaussian")  # fmt: skip
        self.latents = latents
        self.weight = nn.Parameter(torch.randn(space.dim, latents) / space.dim**0.5)
        self.bias = nn.Parameter(torch.full((space.dim,), 0.5 if space.discrete else 0.0))
        self.log_variance = nn.Parameter(torch.zeros(()))

    @property
    def variance(self) -> Tensor:
        """σ², a scalar."""
        return self.log_variance.exp()

    def _points(self, x: Tensor) -> Tensor:
        """(batch, dim), the middles of the cells of discrete x."""
        return cell_centers(self.space, self.check_input(x)).to(self.weight.dtype)

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """log N(x; b, W Wᵀ + σ² I), (batch,), nats: exact on real spaces, a lower bound on binary and grey ones."""
        return LogProb(self._log_density(self._points(x)), Kind.LOWER_BOUND if self.space.discrete else Kind.EXACT)

    def _log_density(self, points: Tensor) -> Tensor:
        with torch.autocast(points.device.type, enabled=False):  # half precision loses nats
            value = linear_gaussian_log_density(points, self.weight, self.bias, self.variance)
            if self.space.discrete:  # the mean over the cell: −½ v tr C⁻¹
                trace = (self.space.dim - self.latents) / self.variance + self._inverse().trace()
                value = value - 0.5 * cell_variance(self.space) * trace + self.space.log_cell_volume
        return value

    # --- the latent variable ---------------------------------------------------------------------------------------

    def _inverse(self) -> Tensor:
        """M⁻¹: (latents, latents)."""
        return torch.cholesky_inverse(torch.linalg.cholesky(_inner(self.weight, self.variance)))

    def posterior(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """p(z|x): its mean, (batch, latents), and its covariance, which is the same for every x, (latents, latents)."""
        points = self._points(x)
        with torch.autocast(points.device.type, enabled=False):
            inverse = self._inverse()
            return (points - self.bias) @ self.weight @ inverse, self.variance * inverse

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """E[z|x]: (batch, latents)."""
        return self.posterior(x)[0]

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """E[x|z] = W z + b: (batch, latents) -> (batch, *shape)."""
        if z.ndim != 2 or z.shape[1] != self.latents:
            raise ValueError(f"z must have shape (batch, {self.latents}), got {tuple(z.shape)}")
        points = z @ self.weight.T + self.bias
        if self.space.discrete:  # from a cell's middle to its level
            points = ((points * self.space.levels - 0.5) / (self.space.levels - 1)).clamp(0, 1)
        return points.view(-1, *self.space.shape)

    # --- learning --------------------------------------------------------------------------------------------------

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        yield Step(-self.log_prob(x).value.mean())

    @torch.no_grad()
    def estimate(self, x: Tensor) -> "PPCA":
        """Maximum likelihood in closed form; returns self.

        W = U (Λ − σ² I)^½ with the first `latents` eigenvectors U and eigenvalues Λ of the data's covariance, each
        column's largest entry positive; σ² is the mean of the other eigenvalues.

        Args:
            x: (batch, *shape).

        Raises:
            ValueError: too few examples, or data that vary in no more than `latents` directions.
        """
        mean, covariance = self._moments(x)
        values, vectors = torch.linalg.eigh(covariance)  # ascending
        values, vectors = values.flip(0), vectors.flip(1)
        variance = values[self.latents :].mean()
        self._check_noise(variance, values[0])
        first = vectors[:, : self.latents]
        signs = first.gather(0, first.abs().argmax(0, keepdim=True)).sign()
        self._assign(first * signs * (values[: self.latents] - variance).clamp_min(0).sqrt(), variance, mean)
        return self

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (dim,) and covariance (dim, dim) of the data, dequantized where discrete; in float64."""
        points = self._points(x)
        if len(points) <= self.latents:
            raise ValueError(f"{self.latents} latents need at least {self.latents + 1} examples, got {len(points)}")
        mean, covariance = moments(points)
        covariance.diagonal().add_(cell_variance(self.space))
        return mean, covariance

    def _check_noise(self, variance: Tensor, largest: Tensor) -> None:
        if not variance > 1e-12 * largest:  # what float32 data leave by their own rounding
            raise ValueError(f"the examples vary in no more than {self.latents} directions: without noise the likelihood "
                             "has no maximum; give more examples, or fewer latents")  # fmt: skip

    def _assign(self, weight: Tensor, variance: Tensor, bias: Tensor) -> None:
        self.weight.copy_(weight)
        self.log_variance.copy_(variance.log())
        self.bias.copy_(bias)

    @torch.no_grad()
    def em(self, x: Tensor, iterations: int = 100) -> Iterator[PPCAState]:
        """EM from the present W and σ²: yields the state before each M-step, and the one after the last.

        The bias is the data's mean from the start; then both steps need the data's covariance S alone:

            W' = S W (σ² I + M⁻¹ Wᵀ S W)⁻¹        σ²' = tr(S − S W M⁻¹ W'ᵀ) / dim

        (Tipping & Bishop 1999). No eigenvectors: of use where they cost too much.

        Args:
            x: (batch, *shape).
            iterations: M-steps, so that there is one state more.

        Raises:
            ValueError: too few examples, or data that vary in no more than `latents` directions.
        """
        points, (mean, covariance) = self._points(x), self._moments(x)
        self.bias.copy_(mean)
        for iteration in range(iterations + 1):
            yield PPCAState(iteration, self._log_density(points))
            if iteration < iterations:
                self._m_step(covariance)

    def _m_step(self, covariance: Tensor) -> None:
        weight, variance = self.weight.to(covariance), self.variance.to(covariance)
        seen = covariance @ weight  # S W, (dim, latents)
        inverse = torch.linalg.inv(_inner(weight, variance))  # M⁻¹
        identity = torch.eye(self.latents, dtype=seen.dtype, device=seen.device)
        new_weight = seen @ torch.linalg.inv(variance * identity + inverse @ weight.T @ seen)
        new_variance = (covariance.trace() - (seen @ inverse * new_weight).sum()) / self.space.dim
        self._check_noise(new_variance, covariance.trace())
        self._assign(new_weight, new_variance, self.bias)

    # --- sampling --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None) -> Iterator[Tensor]:
        """Two states: E[x|z] at a draw of z ~ N(0, I), then a draw from p(x|z) (in discrete spaces, its level)."""
        if y is not None:
            raise ValueError("this PPCA is not conditional, but y was given; fit one to the examples of each class")
        z = torch.randn(n, self.latents, dtype=self.weight.dtype, device=self.device)
        yield self.decode(z)
        points = z @ self.weight.T + self.bias
        points = points + self.variance.sqrt() * torch.randn_like(points)
        yield self.space.quantize(points.view(n, *self.space.shape))
