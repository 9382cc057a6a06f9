"""The strongest thing that can be said about a model's log-likelihood, found by asking it what it can do."""

import functools
import math

import torch
from torch import Tensor

from ..core import GenerativeModel, Kind
from ..models.boltzmann.partition import annealed_log_partition
from .annealing import Annealed, annealed_average_log_prob
from .likelihood import Estimate, average_log_prob, importance_weighted_log_prob

__all__ = ["strongest_log_prob"]


@torch.no_grad()
def strongest_log_prob(
    model: GenerativeModel,
    x: Tensor,
    y: Tensor | None = None,
    *,
    samples: int = 500,
    repeats: int = 10,
    chains: int = 200,
    temperatures: int = 1000,
) -> Estimate | None:
    """The mean of log p(x) over (n, *shape), in nats, as well as this family lets it be known.

    Exact where the model is; the importance-weighted bound where there is an encoder; by annealed importance sampling
    where only an energy is known; else the mean of `repeats` draws of the model's own bound or estimate.

    Args:
        model: of any family.
        x, y: the examples, and what they are conditioned on.
        samples: importance samples for each x.
        repeats: draws of a stochastic bound for each x.
        chains, temperatures: of annealing.

    Returns:
        the estimate with its kind; None where the family cannot score.
    """
    found = model.log_prob(x[:1].to(model.device), None if y is None else y[:1].to(model.device))
    if found is None:
        return None
    if found.kind is Kind.EXACT:
        return average_log_prob(model, x, y)
    if found.kind is Kind.UNNORMALIZED:
        if y is not None or not isinstance(model, Annealed):
            return average_log_prob(model, x, y)
        return _annealed(model, x, samples, chains, temperatures)
    if hasattr(model, "importance_weighted_bound"):
        return importance_weighted_log_prob(model, x, y, samples=samples)
    return average_log_prob(model, x, y, repeats=repeats)


def _annealed(model: GenerativeModel, x: Tensor, samples: int, chains: int, temperatures: int) -> Estimate:
    """With log Z by annealing: an exact free energy, or the best bound that there is in its place."""
    if hasattr(model, "importance_weighted_bound"):  # a DBN's, whose layers have a posterior to be found
        bound = functools.partial(model.importance_weighted_bound, samples=samples, log_partition=0.0)
    elif hasattr(model, "spread_energy"):
        bound = lambda part: -model.spread_energy(part)  # noqa: E731
    else:
        return annealed_average_log_prob(model, x, chains, temperatures)
    log_partition = annealed_log_partition(model.annealing_path(), chains, temperatures)
    values = torch.cat([bound(part.to(model.device)) for part in x.split(100)])
    found = Estimate.mean(values - log_partition.value, "nats", Kind.ESTIMATE)
    return found._replace(standard_error=math.hypot(found.standard_error, log_partition.standard_error))
