"""Annealed importance sampling over whole models: log p where only −F(x) is known, and a bracket around log Z."""

import math
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..core import Kind, LogProb
from ..dynamics import AnnealingPath
from ..models.boltzmann.partition import LogPartition, annealed_log_partition
from .likelihood import Estimate

__all__ = ["Bracket", "annealed_average_log_prob", "annealed_log_prob", "bracket"]


@runtime_checkable
class Annealed(Protocol):
    """A model with an energy: p(x) = exp(−F(x)) / Z, and a path of densities that leads to it from a known one.

    Deep models, whose F(x) is out of reach, have a `variational_free_energy(x)` instead of `free_energy(x)`: an upper
    bound of F(x), so that log p(x) is underestimated, but for the error of log Z.
    """

    def annealing_path(self) -> AnnealingPath: ...


class Bracket(NamedTuple):
    """log Z from two sides.

    Attributes:
        lower: from forward annealing, whose expectation is below the truth.
        upper: from reverse annealing, whose expectation is above it, if its first samples were the model's own.
    """

    lower: LogPartition
    upper: LogPartition

    @property
    def gap(self) -> float:
        """upper − lower, nats."""
        return float(self.upper.value - self.lower.value)

    def __str__(self):
        low, high = self
        return (f"log Z from {low.value.item():.3f} ± {low.standard_error:.3f} (forward) "
                f"to {high.value.item():.3f} ± {high.standard_error:.3f} (reverse) nats")  # fmt: skip


def bracket(model: Annealed, chains: int = 500, temperatures: int = 2000) -> Bracket:
    """log Z by annealing to the model and back from it, in nats.

    The reverse chains start at exact samples where the model can be enumerated; else at states of long Gibbs chains,
    and then the upper end is as good as these.
    Grosse, Ghahramani & Adams, "Sandwiching the marginal likelihood using bidirectional Monte Carlo", 2015,
    https://arxiv.org/abs/1511.02543

    Args:
        model: with `free_energy` and `annealing_path`: RBM, BoltzmannMachine, DBN, ….
        chains: independent annealing runs each way.
        temperatures: intermediate densities.
    """
    path = _path(model)
    return Bracket(*(annealed_log_partition(path, chains, temperatures, reverse) for reverse in (False, True)))


@torch.no_grad()
def annealed_log_prob(model: Annealed, x: Tensor, chains: int = 500, temperatures: int = 2000) -> LogProb:
    """−F(x) − log Z, with log Z by annealed importance sampling: (batch, *shape) -> (batch,), nats, an estimate.

    Its error is one and the same for every x. As E[Z estimate] = Z, log Z is rather under- and log p overestimated:
    look at `bracket` before you believe a good value.
    Salakhutdinov & Murray, "On the quantitative analysis of deep belief networks", 2008,
    https://doi.org/10.1145/1390156.1390266
    """
    log_partition = annealed_log_partition(_path(model), chains, temperatures)
    return LogProb(-_free_energy(model, x) - log_partition.value, Kind.ESTIMATE)


@torch.no_grad()
def annealed_average_log_prob(
    model: Annealed,
    x: Tensor,
    chains: int = 500,
    temperatures: int = 2000,
    reverse: bool = False,
    batch_size: int = 1000,
    progress: bool = False,
) -> Estimate:
    """The mean of log p over (n, *shape) by annealing, in nats; its error has two parts, from examples and from chains.

    Args:
        reverse: anneal from the model back, so that log p is rather under- than overestimated.
        progress: show a bar.
    """
    log_partition = annealed_log_partition(_path(model), chains, temperatures, reverse, progress)
    values = torch.cat([-_free_energy(model, part.to(model.device)) for part in x.split(batch_size)])
    found = Estimate.of(LogProb(values - log_partition.value, Kind.ESTIMATE))
    return found._replace(standard_error=math.hypot(found.standard_error, log_partition.standard_error))


def _path(model: Annealed) -> AnnealingPath:
    if not isinstance(model, Annealed):
        raise ValueError(f"annealing needs a model with annealing_path and free_energy (or variational_free_energy), "
                         f"e.g. an RBM; {type(model).__name__} has not both")  # fmt: skip
    return model.annealing_path()


def _free_energy(model: Annealed, x: Tensor) -> Tensor:
    """F(x), or the upper bound that a deep model has in its place: (batch,), nats."""
    return (getattr(model, "free_energy", None) or model.variational_free_energy)(x)
