"""Log-likelihoods over whole splits: averages with their standard error, tighter bounds, and exact values where z is small."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..core import GenerativeModel, Kind, LogProb
from ..models.latent.ppca import linear_gaussian_log_density

__all__ = [
    "Estimate",
    "GridPosterior",
    "average_log_prob",
    "grid_posterior",
    "importance_weighted_log_prob",
    "integrated_log_prob",
    "linear_gaussian_log_prob",
]


class Estimate(NamedTuple):
    """An average over examples, and what it is worth.

    Attributes:
        value: mean over the examples.
        standard_error: of that mean, from the spread over examples.
        kind: of a log-probability, or of a KL divergence: exact, bound, estimate or unnormalized; None for any other quantity.
        count: number of examples.
        unit: "nats" for log-probabilities; else what the number counts, "" for a share.
    """

    value: float
    standard_error: float
    kind: Kind | None
    count: int
    unit: str = "nats"

    def __str__(self):
        return f"{self.kind or ''} {self.value:.2f} ± {self.standard_error:.2f} {self.unit}".strip()

    @staticmethod
    def of(log_prob: LogProb) -> "Estimate":
        """The average of per-example log-probabilities (batch,)."""
        return Estimate.mean(log_prob.value, "nats", log_prob.kind)

    @staticmethod
    def mean(values: Tensor, unit: str, kind: Kind | None = None) -> "Estimate":
        """The average of any quantity measured on each example, (batch,)."""
        values = values.cpu().double()  # MPS has no float64
        error = float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        return Estimate(float(values.mean()), error, kind, len(values), unit)


def _parts(model: GenerativeModel, x: Tensor, y: Tensor | None, batch_size: int):
    """Batches of (x, y) on the model's device."""
    for i in range(0, len(x), batch_size):
        yield x[i : i + batch_size].to(model.device), None if y is None else y[i : i + batch_size].to(model.device)


@torch.no_grad()
def average_log_prob(
    model: GenerativeModel, x: Tensor, y: Tensor | None = None, batch_size: int = 1000, repeats: int = 1
) -> Estimate:
    """The mean of `model.log_prob` over (n, *shape), in nats, with its kind.

    Args:
        repeats: how often a stochastic log_prob (an ELBO) is drawn and averaged for each example.

    Raises:
        ValueError: the model cannot score.
    """
    values, kind = [], None
    for part, labels in _parts(model, x, y, batch_size):
        found = [model.log_prob(part, labels) for _ in range(repeats)]
        if found[0] is None:
            raise ValueError(f"{type(model).__name__} has no log_prob: it samples, but cannot score")
        values.append(torch.stack([one.value for one in found]).mean(0))
        kind = found[0].kind
    return Estimate.of(LogProb(torch.cat(values), kind))


@torch.no_grad()
def importance_weighted_log_prob(
    model: GenerativeModel,
    x: Tensor,
    y: Tensor | None = None,
    samples: int = 500,
    batch_size: int = 100,
    progress: bool = False,
) -> Estimate:
    """The mean importance-weighted bound L_k over (n, *shape), in nats: a lower bound that tightens with `samples`.

    Burda, Grosse & Salakhutdinov, "Importance Weighted Autoencoders", 2016, https://arxiv.org/abs/1509.00519
    """
    from tqdm.auto import tqdm

    hidden = {} if progress else {"disable": True}  # else TQDM_DISABLE=1 decides
    bar = tqdm(total=len(x), leave=False, unit="image", desc=f"L_{samples}", **hidden)
    values = []
    for part, labels in _parts(model, x, y, batch_size):
        values.append(model.importance_weighted_bound(part, labels, samples=samples, rows=3000))
        bar.update(len(part))
    bar.close()
    return Estimate.of(LogProb(torch.cat(values), Kind.LOWER_BOUND))


@torch.no_grad()
def integrated_log_prob(
    model: GenerativeModel,
    x: Tensor,
    y: Tensor | None = None,
    extent: float = 6.0,
    nodes: int = 400,
    rows: int = 4000,
) -> LogProb:
    """log p(x) = log ∫ p(x|z) N(z; 0, I) dz by summing over a grid of z: (batch,), nats, for one or two latents.

    The trapezoidal rule converges exponentially fast for smooth integrands that vanish at both ends; a spacing
    2·extent/(nodes−1) of half the posterior's standard deviation leaves an error below 1e-6.

    Args:
        model: with `latents` ≤ 2 and `likelihood(z, y)`, e.g. a VAE.
        extent: z runs from −extent to extent in each direction.
        nodes: grid points in each direction.
        rows: grid points decoded at a time.

    Raises:
        ValueError: more than two latents, or mass at the border of the grid.
    """
    if model.latents > 2:
        raise ValueError(f"a grid over {model.latents} latents is too large; use importance_weighted_log_prob")
    x, y = x.to(model.device), None if y is None else y.to(model.device)
    if y is not None and len(torch.unique(y)) > 1:
        parts = {int(label): y == label for label in torch.unique(y)}
        value = torch.empty(len(x), dtype=x.dtype, device=x.device)
        for label, chosen in parts.items():
            same = torch.full((int(chosen.sum()),), label, device=y.device)
            value[chosen] = integrated_log_prob(model, x[chosen], same, extent, nodes, rows).value
        return LogProb(value, Kind.EXACT)
    like = next(model.parameters())
    axis = torch.linspace(-extent, extent, nodes, dtype=like.dtype, device=like.device)
    grid = torch.cartesian_prod(*[axis] * model.latents).view(-1, model.latents)  # (nodes ** latents, latents)
    log_cell = model.latents * math.log(2 * extent / (nodes - 1))
    total = torch.full((len(x),), -math.inf, dtype=like.dtype, device=like.device)
    border = total.clone()
    for z in grid.split(rows):
        log_prior = -0.5 * (z.square().sum(-1) + model.latents * math.log(2 * math.pi))
        labels = None if y is None else y[:1].expand(len(z))
        joint = _pairwise_log_likelihood(model, x, z, labels) + log_prior  # (batch, rows)
        total = torch.logaddexp(total, joint.logsumexp(-1))
        outermost = z.abs().amax(-1) > extent * (1 - 1e-6)
        border = torch.logaddexp(border, joint.masked_fill(~outermost, -math.inf).logsumexp(-1))
    if float((border - total).max()) > math.log(1e-3):
        raise ValueError(f"the posterior of some x reaches the grid's border at ±{extent:g}; give a larger extent")
    return LogProb(total + log_cell, Kind.EXACT)


class GridPosterior(NamedTuple):
    """Everything about one latent that a grid can tell.

    Attributes:
        z: (nodes,), evenly spaced.
        log_prob: log p(x), (batch,), nats, exact to the rule's tolerance.
        log_joint: log p(x, z), (batch, nodes).
        posterior: p(z|x), (batch, nodes), a density.
        guess: q(z|x), (batch, nodes), the encoder's density.
        spacing: between nodes: an integral is the sum over nodes times this.
    """

    z: Tensor
    log_prob: Tensor
    log_joint: Tensor
    posterior: Tensor
    guess: Tensor
    spacing: float


@torch.no_grad()
def grid_posterior(model: GenerativeModel, x: Tensor, extent: float = 6.0, nodes: int = 4001) -> GridPosterior:
    """The exact posterior of a model with one latent beside its encoder's, on a grid; see `integrated_log_prob`."""
    if model.latents != 1:
        raise ValueError(f"grid_posterior is for one latent, this model has {model.latents}")
    z = torch.linspace(-extent, extent, nodes, dtype=x.dtype, device=x.device)
    log_prior = -0.5 * (z.square() + math.log(2 * math.pi))
    log_joint = _pairwise_log_likelihood(model, x, z[:, None], None) + log_prior  # (batch, nodes)
    log_prob = log_joint.logsumexp(-1) + math.log(2 * extent / (nodes - 1))
    q = model.posterior(x).base_dist
    guess = torch.distributions.Normal(q.loc, q.scale).log_prob(z).exp()
    posterior = (log_joint - log_prob[:, None]).exp()
    return GridPosterior(z, log_prob, log_joint, posterior, guess, 2 * extent / (nodes - 1))


def _pairwise_log_likelihood(model: GenerativeModel, x: Tensor, z: Tensor, y: Tensor | None) -> Tensor:
    """log p(x|z) of every x against every z: (batch, grid)."""
    p = model.likelihood(z, y)
    if model.space.kind == "binary":
        logits = p.base_dist.logits.flatten(1)  # (grid, dim)
        return x.flatten(1) @ logits.T - torch.nn.functional.softplus(logits).sum(-1)
    return p.log_prob(x[:, None])


def linear_gaussian_log_prob(x: Tensor, weight: Tensor, bias: Tensor, scale: Tensor | float) -> LogProb:
    """log N(x; bias, W Wᵀ + scale² I): what x = W z + bias + scale·noise with z ~ N(0, I) gives exactly; nats.

    Tipping & Bishop, "Probabilistic Principal Component Analysis", 1999, https://doi.org/10.1111/1467-9868.00196

    Args:
        x: (batch, dim).
        weight: W, (dim, latents).
        bias: (dim,).
        scale: standard deviation of the noise.
    """
    points, weight, bias, scale = (torch.as_tensor(v).detach().cpu().double() for v in (x, weight, bias, scale))
    return LogProb(linear_gaussian_log_density(points, weight, bias, scale.square()).to(x), Kind.EXACT)
