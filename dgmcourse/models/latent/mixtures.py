"""Mixtures of Gaussians and of Bernoullis: the latent variable is a choice among K components, summed out exactly."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core import Kind, LogProb, Space
from ..numerics import cell_centers, cell_variance, from_lower, lower
from .expectation import EMState, Mixture
from .gaussians import diagonal_log_densities, floored_cholesky, full_log_densities, weighted_covariances

__all__ = ["BernoulliMixture", "EMState", "GaussianMixture"]


class GaussianMixture(Mixture):
    """Mixture of Gaussians: p(x) = Σ_k w_k N(x; μ_k, Σ_k), exact on real spaces.

        E-step  r_nk = p(h=k|x_n) ∝ w_k N(x_n; μ_k, Σ_k)
        M-step  N_k = Σ_n r_nk,  w_k = N_k / N,  μ_k = Σ_n r_nk x_n / N_k,  Σ_k = Σ_n r_nk (x_n−μ_k)(x_n−μ_k)ᵀ / N_k

    `em` makes these steps; `fit` follows the gradient of the same log-likelihood instead.

    Binary and grey values are dequantized, with u uniform in the value's cell, of variance v = 1 / (12 levels²). Since
    log Σ exp is convex,

        log P(x) ≥ E_u[log Σ_k w_k N(u; μ_k, Σ_k)] − dim ln levels ≥ log Σ_k w_k exp E_u[log N(u; μ_k, Σ_k)] − dim ln levels

    and the last one is `log_prob`: a bound without noise, by a trace. Its M-step adds v to the variances.

    Bishop, "Pattern Recognition and Machine Learning", 2006, section 9.2, ISBN 978-0-387-31073-2

    Args:
        space: real vectors, or binary or grey images.
        components: K.
        covariance: "full" or "diagonal".
        floor: smallest variance that an M-step leaves in any direction: of the covariances that respect it, the M-step
            takes the most likely. Without one (0), a component on a single point makes the likelihood infinite. The
            gradient steps of `fit` know no floor.
    """

    def __init__(self, space: Space, components: int = 8, covariance: str = "full", floor: float = 1e-6):
        super().__init__(space, components)
        if space.kind == "tokens":
            raise ValueError(f"GaussianMixture needs a real, binary or grey space, got {space}")
        if covariance not in ("full", "diagonal"):
            raise ValueError(f"covariance must be 'full' or 'diagonal', got {covariance!r}")
        if not floor >= 0:
            raise ValueError(f"floor is a variance, ≥ 0, got {floor}")
        self.covariance, self.floor = covariance, floor
        middle, spread = (0.5, 12**-0.5) if space.discrete else (0.0, 1.0)
        self.means = nn.Parameter(middle + spread * torch.randn(components, space.dim))
        log_scales = torch.full((components, space.dim), spread).log()
        if covariance == "full":  # Cholesky factors, whose diagonals are held as logarithms
            self.raw_factors = nn.Parameter(log_scales.diag_embed())
        else:
            self.log_vars = nn.Parameter(2 * log_scales)

    @property
    def covariances(self) -> Tensor:
        """Σ_k, (components, dim, dim); of a diagonal mixture the variances, (components, dim)."""
        if self.covariance == "diagonal":
            return self.log_vars.exp()
        factors = lower(self.raw_factors)
        return factors @ factors.mT

    def _points(self, x: Tensor) -> Tensor:
        return cell_centers(self.space, x).to(self.means.dtype)

    def _log_likelihoods(self, points: Tensor) -> Tensor:
        noise = cell_variance(self.space)
        if self.covariance == "full":
            found = full_log_densities(points, self.means, lower(self.raw_factors), noise)
        else:
            found = diagonal_log_densities(points, self.means, self.log_vars, noise)
        return found + self.space.log_cell_volume if self.space.discrete else found

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """log p(x) = log Σ_h p(x, h), (batch,), nats: exact on real spaces, a lower bound on binary and grey ones."""
        return LogProb(super().log_prob(x).value, Kind.LOWER_BOUND if self.space.discrete else Kind.EXACT)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """E[x] where p(h) = z: the means, weighted, (batch, components) -> (batch, *shape)."""
        return self._expected(z @ self.means)

    def _expected(self, points: Tensor) -> Tensor:
        """From the density's coordinates (batch, dim) to those of x, (batch, *shape): the inverse of `cell_centers`."""
        if self.space.discrete:
            points = ((points * self.space.levels - 0.5) / (self.space.levels - 1)).clamp(0, 1)
        return points.view(-1, *self.space.shape)

    # --- learning --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def initialize(self, x: Tensor, method: str = "points", seed: int = 0) -> "GaussianMixture":
        """Parameters to start from, made from the data; returns self.

        Args:
            x: (batch, *shape).
            method: "points": means on examples drawn by the seed, each with the covariance of all the data; "kmeans":
                the M-step of a k-means clustering (scikit-learn's).
            seed: of the draw, or of k-means.

        Raises:
            ValueError: fewer examples than components, another method, or a singular covariance.
        """
        if method not in ("points", "kmeans"):
            raise ValueError(f"method must be 'points' or 'kmeans', got {method!r}")
        chosen, points = self._points(self._examples(self.check_input(x), seed)), self._points(x)
        if method == "kmeans":
            return self._m_step(points, self._clusters(points, seed))
        everything = points.new_ones(len(points), 1)
        self._set_spread(points, points.mean(0, keepdim=True), everything, everything.sum(0), everything[0] == 0)
        self.means.copy_(chosen)
        self.logits.zero_()
        return self

    def _clusters(self, points: Tensor, seed: int) -> Tensor:
        """k-means as responsibilities, all or nothing: (batch, components)."""
        from sklearn.cluster import KMeans

        labels = KMeans(self.components, n_init=1, random_state=seed).fit(points.cpu().numpy()).labels_
        return F.one_hot(torch.as_tensor(labels, dtype=torch.int64, device="cpu"), self.components).to(points)

    def _maximize(self, points: Tensor, responsibilities: Tensor, counts: Tensor, empty: Tensor) -> None:
        means = responsibilities.T @ points / counts[:, None]
        self._set_spread(points, means, responsibilities, counts, empty)
        self.means.copy_(torch.where(empty[:, None], self.means, means))

    def _set_spread(self, points: Tensor, means: Tensor, weights: Tensor, counts: Tensor, empty: Tensor) -> None:
        """Covariances around these means, (components, dim), or one for all, (1, dim)."""
        full, noise = self.covariance == "full", cell_variance(self.space)
        found = weighted_covariances(points, means, weights, full) / counts.view(-1, *[1] * (1 + full))
        if full:
            found.diagonal(dim1=1, dim2=2).add_(noise)
            raw = from_lower(floored_cholesky(found, self.floor))
            scales, target = raw.diagonal(dim1=1, dim2=2), self.raw_factors
        else:
            raw = scales = (found + noise).clamp_min(self.floor).log()
            target = self.log_vars
        singular = ~(scales > -torch.inf).all(-1) & ~empty  # −∞, or NaN
        if singular.any():
            self._refuse(int(singular.nonzero()[0, 0]), counts)
        target.copy_(torch.where(empty.view(-1, *[1] * (1 + full)), target, raw))

    def _refuse(self, k: int, counts: Tensor) -> None:
        raise ValueError(
            f"the covariance of component {k} has become singular: its {float(counts[k]):.3g} examples have no spread in "
            f"some direction, so the likelihood has no maximum; build the GaussianMixture with a floor above {self.floor:g}, "
            "use fewer components, or start elsewhere"
        )

    # --- sampling --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None) -> Iterator[Tensor]:
        """Two states: the mean of the component that was drawn, then a draw from it (in discrete spaces, its level)."""
        chosen = self._draw_components(n, y)
        means = self.means[chosen]  # (n, dim)
        yield self._expected(means)
        noise = torch.randn_like(means)
        if self.covariance == "diagonal":
            spread = (0.5 * self.log_vars).exp()[chosen] * noise
        else:
            spread = torch.empty_like(noise)
            for k, factor in enumerate(lower(self.raw_factors)):
                spread[chosen == k] = noise[chosen == k] @ factor.T
        yield self.space.quantize((means + spread).view(n, *self.space.shape))


class BernoulliMixture(Mixture):
    """Mixture of Bernoullis: p(x) = Σ_k w_k Π_i p_ki^{x_i} (1 − p_ki)^{1 − x_i}; log p(x) is exact.

    Given h the pixels are independent; once h is summed out, they are not.

        M-step  p_ki = (a + Σ_n r_nk x_ni) / (2a + N_k)

    Bishop, "Pattern Recognition and Machine Learning", 2006, section 9.3.3, ISBN 978-0-387-31073-2

    Args:
        space: a binary space.
        components: K.
        pseudo_count: a, how many ones, and as many zeros, each pixel of each component is thought to have seen: EM then
            climbs log p(x) plus `log_prior`, and no pixel becomes impossible. 0 is maximum likelihood.
    """

    def __init__(self, space: Space, components: int = 8, pseudo_count: float = 0.5):
        super().__init__(space, components)
        if space.kind != "binary":
            raise ValueError(f"BernoulliMixture needs a binary space, got {space}; "
                             "binarize the data first, e.g. digits(levels=2)")  # fmt: skip
        if not pseudo_count >= 0:
            raise ValueError(f"pseudo_count must be ≥ 0, got {pseudo_count}")
        self.pseudo_count = pseudo_count
        self.pixel_logits = nn.Parameter(0.5 * torch.randn(components, space.dim))

    @property
    def probabilities(self) -> Tensor:
        """p(x_i = 1 | h): (components, *shape)."""
        return self.pixel_logits.sigmoid().view(-1, *self.space.shape)

    @property
    def log_prior(self) -> Tensor:
        """a Σ_ki ln p_ki (1 − p_ki), a scalar: what EM maximizes is Σ_n log p(x_n) + log_prior."""
        return self.pseudo_count * (F.logsigmoid(self.pixel_logits) + F.logsigmoid(-self.pixel_logits)).sum()

    def _points(self, x: Tensor) -> Tensor:
        return x.flatten(1).to(self.pixel_logits.dtype)

    def _log_likelihoods(self, points: Tensor) -> Tensor:
        """Σ_i x_i·logit − softplus(logit), as one matrix product."""
        return points @ self.pixel_logits.T - F.softplus(self.pixel_logits).sum(-1)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """E[x] where p(h) = z: (batch, components) -> (batch, *shape)."""
        return (z @ self.pixel_logits.sigmoid()).view(-1, *self.space.shape)

    # --- learning --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def initialize(self, x: Tensor, seed: int = 0) -> "BernoulliMixture":
        """Parameters to start from: each component halfway between the mean image and an example drawn by the seed.

        Args:
            x: (batch, *shape).

        Raises:
            ValueError: fewer examples than components.
        """
        chosen = self._points(self._examples(self.check_input(x), seed))
        halfway = 0.5 * (chosen + self._points(x).mean(0))
        self.pixel_logits.copy_((0.05 + 0.9 * halfway).logit())  # nothing is impossible yet
        self.logits.zero_()
        return self

    def _maximize(self, points: Tensor, responsibilities: Tensor, counts: Tensor, empty: Tensor) -> None:
        ones = responsibilities.T @ points  # (components, dim)
        share = (ones + self.pseudo_count) / (counts + 2 * self.pseudo_count)[:, None]
        logits = share.logit(eps=torch.finfo(share.dtype).eps)  # within rounding of 0 and 1, never there
        self.pixel_logits.copy_(torch.where(empty[:, None], self.pixel_logits, logits))

    # --- sampling --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None) -> Iterator[Tensor]:
        """Two states: the pixel probabilities of the component that was drawn, then a draw from them."""
        p = self.probabilities[self._draw_components(n, y)]
        yield p
        yield (torch.rand_like(p) < p).to(p.dtype)
