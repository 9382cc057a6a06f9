"""Gaussians: one with a full covariance, and one for each class, which Bayes' rule turns into a classifier."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ...core import GenerativeModel, Kind, LogProb, Space, Step
from ...networks import one_hot
from ..numerics import by_rows, cell_centers, cell_variance, cholesky, from_lower, log_normal, lower, moments, precise

__all__ = ["ClassConditionalGaussian", "Gaussian"]

COVARIANCES = ("full", "shared", "diagonal")


class Gaussian(GenerativeModel):
    """One Gaussian with a full covariance: log N(x; mean, L Lᵀ), exact on real spaces.

    Binary and grey values are dequantized: the level with number l becomes (l + u) / levels with u uniform in [0, 1),
    and

        log P(x) ≥ E_u[log N((l + u) / levels; mean, Σ)] − dim · ln levels                                  (nats)

    (Theis, van den Oord & Bethge 2016, https://arxiv.org/abs/1511.01844). For a Gaussian the average over u is known:
    log N at the cells' centers, less ½ tr(Σ⁻¹) / (12 levels²). So the bound has no noise.

    Args:
        space: real, binary or grey.

    Raises:
        ValueError: a space of tokens.
    """

    def __init__(self, space: Space):
        super().__init__(space)
        _refuse_tokens(self)
        self.location = nn.Parameter(torch.full((space.dim,), _start(space)[0]))
        self.raw_factor = nn.Parameter(torch.eye(space.dim) * _start(space)[1])

    @property
    def mean(self) -> Tensor:
        """(dim,), without gradient; of binary and grey spaces in the coordinates of `space.dequantize`."""
        return self.location.detach()

    @property
    def covariance(self) -> Tensor:
        """(dim, dim), without gradient."""
        factor = lower(self.raw_factor.detach())
        return factor @ factor.T

    def estimate(self, x: Tensor, ridge: float = 0.0) -> "Gaussian":
        """Maximum likelihood in closed form: the mean and covariance (divided by n) of the data, plus ridge · I.

        Dequantization adds 1 / (12 levels²) to the variances: the maximum of the bound, averaged over its noise.

        Args:
            x: (n, *shape).
            ridge: added to every variance, so that constant entries keep a density.

        Raises:
            ValueError: values outside the space, a negative ridge, or a singular covariance.
        """
        mean, covariance = moments(cell_centers(self.space, _checked(self, x, ridge)))
        covariance.diagonal().add_(cell_variance(self.space) + ridge)
        return self.assign(mean, covariance)

    @torch.no_grad()
    def assign(self, mean: Tensor, covariance: Tensor) -> "Gaussian":
        """Use this mean (dim,) and this positive definite covariance (dim, dim).

        Raises:
            ValueError: another shape, or a singular covariance.
        """
        _match("mean", mean, self.location.shape)
        _match("covariance", covariance, self.raw_factor.shape)
        factor = cholesky(covariance, "the data", "give ridge=1e-3, say, or more examples")
        self.location.copy_(mean)
        self.raw_factor.copy_(from_lower(factor))
        return self

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """log p(x), (batch,), nats: exact on real spaces, a lower bound on binary and grey ones."""
        flat = cell_centers(self.space, self.check_input(x))
        found = log_normal(flat, self.location[None], lower(self.raw_factor)[None], cell_variance(self.space))
        return LogProb(found[:, 0] + self.space.log_cell_volume, _kind(self.space))

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        yield Step(-self.log_prob(x).value.mean())

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None) -> Iterator[Tensor]:
        """mean + L z with z ~ N(0, I); in binary and grey spaces then the nearest level."""
        if y is not None:
            raise ValueError("Gaussian is not conditional, but y was given; use ClassConditionalGaussian for labels")
        noise = torch.randn(n, self.space.dim, device=self.device, dtype=self.location.dtype)
        yield from _states(self.space, self.location + noise @ lower(self.raw_factor).T)


class ClassConditionalGaussian(GenerativeModel):
    """p(x, y) = p(y) N(x; mean_y, Σ_y): a generative classifier, which Bayes' rule inverts.

        p(y|x) = p(x, y) / Σ_c p(x, c)        p(x) = Σ_c p(x, c)

    Quadratic discriminant analysis with "full" covariances, linear with a "shared" one, Gaussian naive Bayes with
    "diagonal" ones. Fisher, "The use of multiple measurements in taxonomic problems", 1936,
    https://doi.org/10.1111/j.1469-1809.1936.tb02137.x
    Ng & Jordan, "On discriminative vs. generative classifiers", 2001,
    https://papers.nips.cc/paper_files/paper/2001/hash/7b7a53e239400a13bd6be6c91c4f6c4e-Abstract.html

    Binary and grey values are dequantized as in `Gaussian`; Bayes' rule is then applied to the bounds.

    Args:
        space: real, binary or grey.
        classes: number of labels.
        covariance: "full" (one for each class), "shared" (one for all) or "diagonal" (variances for each class).

    Raises:
        ValueError: a space of tokens, fewer than two classes, or another covariance.
    """

    def __init__(self, space: Space, classes: int, covariance: str = "full"):
        super().__init__(space)
        _refuse_tokens(self)
        if classes < 2:
            raise ValueError(f"ClassConditionalGaussian needs classes ≥ 2, got {classes}; for one class use Gaussian")
        if covariance not in COVARIANCES:
            raise ValueError(f"covariance must be one of {', '.join(map(repr, COVARIANCES))}, got {covariance!r}")
        self.classes, self.kind_of_covariance = classes, covariance
        middle, log_scale = _start(space)
        self.locations = nn.Parameter(torch.full((classes, space.dim), middle))
        self.prior_logits = nn.Parameter(torch.zeros(classes))
        if covariance == "diagonal":
            self.log_scales = nn.Parameter(torch.full((classes, space.dim), log_scale))
        else:
            shape = (classes if covariance == "full" else 1, space.dim, space.dim)
            self.raw_factors = nn.Parameter((torch.eye(space.dim) * log_scale).expand(shape).clone())

    @property
    def priors(self) -> Tensor:
        """p(y), (classes,), without gradient."""
        return self.prior_logits.detach().softmax(-1)

    @property
    def means(self) -> Tensor:
        """(classes, dim), without gradient."""
        return self.locations.detach()

    @property
    def covariances(self) -> Tensor:
        """(classes, dim, dim), without gradient, whatever the kind."""
        if self.kind_of_covariance == "diagonal":
            return (2 * self.log_scales.detach()).exp().diag_embed()
        factors = lower(self.raw_factors.detach())
        return (factors @ factors.mT).expand(self.classes, -1, -1)

    # --- Bayes' rule -----------------------------------------------------------------------------------------------

    def log_conditional(self, x: Tensor) -> Tensor:
        """log p(x|y) of every label y: (batch, *shape) -> (batch, classes), nats."""
        flat, variance = cell_centers(self.space, self.check_input(x)), cell_variance(self.space)
        if self.kind_of_covariance == "diagonal":
            found = _log_diagonal(flat, self.locations, self.log_scales, variance)
        else:
            factors = lower(self.raw_factors)
            found = by_rows(
                lambda rows, _: log_normal(rows, self.locations, factors, variance), flat, self.locations.numel()
            )
        return found + self.space.log_cell_volume

    def log_joint(self, x: Tensor) -> Tensor:
        """log p(x, y) = log p(y) + log p(x|y) of every label y: (batch, classes), nats."""
        return self.prior_logits.log_softmax(-1) + self.log_conditional(x)

    def log_posterior(self, x: Tensor) -> Tensor:
        """log p(y|x) = log p(x, y) − log Σ_c p(x, c) of every label y: (batch, classes), nats."""
        return self.log_joint(x).log_softmax(-1)

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """log p(x|y) of the labels y, (batch,); without y, log p(x) = log Σ_c p(x, c). Nats."""
        if y is None:
            return LogProb(self.log_joint(x).logsumexp(-1), _kind(self.space))
        return LogProb(self._of_label(self.log_conditional(x), y), _kind(self.space))

    def _of_label(self, table: Tensor, y: Tensor) -> Tensor:
        """The entry of each row's label: (batch, classes), (batch,) -> (batch,)."""
        one_hot(y, self.classes, len(table))  # says what is wrong with y
        return table.gather(1, y[:, None])[:, 0]

    # --- learning and sampling -------------------------------------------------------------------------------------

    @torch.no_grad()
    def estimate(self, x: Tensor, y: Tensor, ridge: float = 0.0) -> "ClassConditionalGaussian":
        """Maximum likelihood in closed form: shares of the labels, means, and covariances divided by n, plus ridge · I.

        Args:
            x: (n, *shape).
            y: (n,) labels, int64.
            ridge: added to every variance.

        Raises:
            ValueError: values outside the space, labels out of range, a label without examples, a negative ridge, or a
                singular covariance.
            TypeError: labels that are not int64.
        """
        flat = cell_centers(self.space, _checked(self, x, ridge))
        counts = one_hot(y, self.classes, len(x)).sum(0)
        if (counts == 0).any():
            missing = ", ".join(map(str, (counts == 0).nonzero()[:, 0].tolist()))
            raise ValueError(f"no example of label {missing}, so its mean is unknown; "
                             "give examples of every label, or build the model with fewer classes")  # fmt: skip
        found = [moments(flat[y == label]) for label in range(self.classes)]
        means, covariances = (torch.stack(parts) for parts in zip(*found, strict=True))
        priors = counts.to(means) / len(x)
        if self.kind_of_covariance == "shared":
            covariances = torch.einsum("c,cij->ij", priors, covariances).expand_as(covariances)
        noise = (cell_variance(self.space) + ridge) * torch.eye(self.space.dim).to(means)
        return self.assign(priors, means, covariances + noise)

    @torch.no_grad()
    def assign(self, priors: Tensor, means: Tensor, covariances: Tensor) -> "ClassConditionalGaussian":
        """Use these p(y) (classes,), means (classes, dim) and covariances (classes, dim, dim).

        A "diagonal" model takes the variances alone, a "shared" one the first covariance.

        Raises:
            ValueError: another shape, priors that are no distribution, or a singular covariance.
        """
        _match("priors", priors, (self.classes,))
        _match("means", means, self.locations.shape)
        _match("covariances", covariances, (self.classes, self.space.dim, self.space.dim))
        if not ((priors > 0).all() and abs(float(priors.sum()) - 1) < 1e-4):
            raise ValueError(f"priors must be positive and sum to 1, got {priors.tolist()}")
        remedy = "give ridge=1e-3, say, more examples, or a simpler covariance"
        covariances = precise(covariances)
        if self.kind_of_covariance == "diagonal":
            variances = covariances.diagonal(dim1=1, dim2=2)
            if not (variances > 0).all():
                raise ValueError(f"a variance is 0 (a constant entry), so there is no density; {remedy}")
            self.log_scales.copy_(0.5 * variances.log())
        else:
            shared = self.kind_of_covariance == "shared"
            factors = [
                cholesky(one, "the data" if shared else f"label {label}", remedy)
                for label, one in enumerate(covariances[: len(self.raw_factors)])
            ]
            self.raw_factors.copy_(from_lower(torch.stack(factors)))
        self.prior_logits.copy_(priors.log())
        self.locations.copy_(means)
        return self

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        """−log p(x, y): the generative loss. (A classifier would be trained with −log p(y|x).)"""
        self.check_input(x)
        one_hot(y, self.classes, len(x))
        yield Step(-self._of_label(self.log_joint(x), y).mean())

    def sample_labels(self, n: int) -> Tensor:
        """n draws of y ~ p(y): (n,), int64."""
        return torch.multinomial(self.priors, n, replacement=True)

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None) -> Iterator[Tensor]:
        """A draw of N(mean_y, Σ_y), with y ~ p(y) where it is not given; then the nearest level, if there are levels."""
        y = self.sample_labels(n) if y is None else y
        one_hot(y, self.classes, n)
        noise = torch.randn(n, self.space.dim, device=self.device, dtype=self.locations.dtype)
        if self.kind_of_covariance == "diagonal":
            spread = noise * self.log_scales.exp()[y]
        else:
            factors, spread = lower(self.raw_factors), torch.empty_like(noise)
            for label in range(self.classes):
                mine = y == label
                spread[mine] = noise[mine] @ factors[label % len(factors)].T
        yield from _states(self.space, self.locations[y] + spread)


def _start(space: Space) -> tuple[float, float]:
    """Mean and ln standard deviation to begin with: N(0, 1), or the moments of the uniform density on [0, 1)."""
    return (0.5, -0.5 * math.log(12)) if space.discrete else (0.0, 0.0)


def _kind(space: Space) -> Kind:
    return Kind.LOWER_BOUND if space.discrete else Kind.EXACT


def _refuse_tokens(model: GenerativeModel) -> None:
    if model.space.kind == "tokens":
        raise ValueError(f"{type(model).__name__} needs a real, binary or grey space, got {model.space}; "
                         "for tokens use IndependentPixels")  # fmt: skip


def _checked(model: GenerativeModel, x: Tensor, ridge: float) -> Tensor:
    model.check_input(x)
    model.space.check(x, values=True)
    if len(x) == 0:
        raise ValueError("estimate needs at least one example, got none")
    if ridge < 0:
        raise ValueError(f"ridge must not be negative, got {ridge}")
    return x


def _match(name: str, given: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(given.shape) != tuple(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {tuple(given.shape)}")


def _log_diagonal(x: Tensor, means: Tensor, log_scales: Tensor, variance: float) -> Tensor:
    """log N(x; mean, diag(exp(2 log_scale))) of every x under every Gaussian: (batch, dim), (k, dim)² -> (batch, k)."""

    def piece(rows: Tensor, _: int) -> Tensor:
        squares = (rows.to(means)[:, None] - means).square() + variance  # (rows, k, dim)
        return (-0.5 * squares * (-2 * log_scales).exp() - log_scales - 0.5 * math.log(2 * math.pi)).sum(-1)

    return by_rows(piece, x, means.numel())


def _states(space: Space, flat: Tensor) -> Iterator[Tensor]:
    """What a trajectory shows of a draw (n, dim): the draw itself, then, if there are levels, the nearest ones."""
    draw = flat.view(-1, *space.shape)
    yield draw
    if space.discrete:
        yield space.quantize(draw)
