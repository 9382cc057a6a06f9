"""The normalizer of a Boltzmann machine: what it is worth, and how it is summed when one side is small."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ...core import Kind
from ...dynamics import AnnealingPath, annealed_importance_sampling, inverse_temperatures, log_mean_exp

__all__ = ["MOST_UNITS", "LogPartition", "all_states", "annealed_log_partition", "log_sum_over_states"]

MOST_UNITS = 20  # 2^20 states are enumerated within seconds


class LogPartition(NamedTuple):
    """log Z, and what it is worth.

    Attributes:
        value: scalar tensor, nats; exact values can be differentiated.
        standard_error: of an estimate, from the spread over chains; 0 when exact.
        kind: exact or estimate.
    """

    value: Tensor
    standard_error: float
    kind: Kind

    def __str__(self):
        error = "" if self.kind is Kind.EXACT else f" ± {self.standard_error:.4f}"
        return f"log Z {self.kind} {self.value.item():.4f}{error} nats"


def all_states(units: int, like: Tensor, rows: int = 1 << 14) -> Iterator[Tensor]:
    """Every state of so many binary units, in chunks (≤ rows, units) of `like`'s dtype and device; bit i is unit i.

    Raises:
        ValueError: more than 20 units, which are too many states to visit.
    """
    if units > MOST_UNITS:
        raise ValueError(f"2^{units} states are too many to enumerate (at most 2^{MOST_UNITS}); "
                         'estimate instead: log_partition(method="ais")')  # fmt: skip
    bits = torch.arange(units, device=like.device)
    for start in range(0, 1 << units, rows):
        codes = torch.arange(start, min(start + rows, 1 << units), device=like.device)
        yield (codes[:, None] >> bits & 1).to(like.dtype)


def log_sum_over_states(log_weight: Callable[[Tensor], Tensor], units: int, like: Tensor, width: int = 1) -> Tensor:
    """log Σ_s exp(log_weight(s)) over all states of `units` binary units, in nats, summed in chunks.

    Args:
        log_weight: (rows, units) -> (rows, columns).
        width: numbers that `log_weight` holds for each state; bounds the memory, changes nothing else.

    Returns:
        (columns,).
    """
    rows = max(1, (1 << 21) // max(width, units))
    parts = [log_weight(states).logsumexp(0) for states in all_states(units, like, rows)]
    return parts[0] if len(parts) == 1 else torch.stack(parts).logsumexp(0)


@torch.no_grad()
def annealed_log_partition(
    path: AnnealingPath, chains: int = 500, temperatures: int = 2000, reverse: bool = False, progress: bool = False
) -> LogPartition:
    """log Z of the path's end by annealed importance sampling, in nats.

    Forward, its expectation is below the truth; in reverse, from samples of the end, above it (as far as those
    samples are exact): the two are a bracket.

    Args:
        chains: independent runs, over which weights are averaged.
        temperatures: intermediate densities.
        reverse: anneal from the end to the start.
        progress: show a bar.
    """
    from tqdm.auto import tqdm

    betas = inverse_temperatures(temperatures)
    x = path.end(chains) if reverse else path.start(chains)
    log_weights = x.new_zeros(chains)
    steps = annealed_importance_sampling(path.step, x, betas.flip(0) if reverse else betas)
    hidden = {} if progress else {"disable": True}  # else TQDM_DISABLE=1 decides
    for _, log_weights in tqdm(steps, "annealing", temperatures - 1, leave=False, **hidden):  # noqa: B007
        pass
    ratio, error = log_mean_exp(log_weights)
    return LogPartition(path.log_partition + (-ratio if reverse else ratio), error, Kind.ESTIMATE)
