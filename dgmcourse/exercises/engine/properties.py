"""Properties that right answers share: any function `(answer, inputs) -> message or None`; these are ready made."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

__all__ = ["invertible", "sums_to_one"]


def _apply(answer: Callable, inputs: tuple | dict) -> object:
    return answer(**inputs) if isinstance(inputs, Mapping) else answer(*inputs)


def invertible(inverse: Callable, tolerance: float = 1e-3) -> Callable:
    """The property that `inverse(y, *other inputs)` leads from the answer's y back to its first input.

    Args:
        inverse: takes the answer (its first part, where it is a tuple such as y and a log-determinant), then the
            inputs after the first, in the order of the exercise.
        tolerance: largest error relative to the input's largest entry.
    """

    def leads_back(answer: Callable, inputs: tuple | dict) -> str | None:
        first, *others = inputs.values() if isinstance(inputs, Mapping) else inputs
        value = _apply(answer, inputs)
        returned = inverse(value[0] if isinstance(value, (tuple, list)) else value, *others)
        if returned.shape != first.shape:
            return (
                f"It is not invertible: the inverse has shape {tuple(returned.shape)}, the input {tuple(first.shape)}."
            )
        error = float((returned - first).abs().max())
        if not error <= tolerance * max(1.0, float(first.abs().max())):
            return f"It is not invertible: going forward and back again misses the input by {error:.3g}."
        return None

    return leads_back


def sums_to_one(dim: int | tuple[int, ...] = -1, log: bool = False, tolerance: float = 1e-4) -> Callable:
    """The property that the answer's entries are probabilities which sum to 1 over `dim`.

    Args:
        dim: dimension or dimensions of the possible outcomes.
        log: whether the answer gives log-probabilities (nats).
        tolerance: largest distance of a sum from 1.
    """

    def is_a_distribution(answer: Callable, inputs: tuple | dict) -> str | None:
        value = _apply(answer, inputs)
        if not isinstance(value, Tensor):
            return f"Probabilities should be a tensor, not a {type(value).__name__}."
        probabilities = value.detach().exp() if log else value.detach()
        if (probabilities < 0).any():
            return f"Probabilities are never negative; the smallest here is {float(probabilities.min()):.3g}."
        totals = probabilities.sum(dim)
        worst = totals.flatten()[(totals - 1).abs().argmax()]
        if not torch.isclose(worst, torch.ones_like(worst), rtol=0, atol=tolerance):
            return f"Probabilities must sum to 1; yours sum to {float(worst):.4g}."
        return None

    return is_a_distribution
