"""How a wrong number relates to the right one: the other sign, half of it, its logarithm …"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["pattern"]


def pattern(given: Tensor, expected: Tensor, sizes: Iterable[int] = (), tolerance: float = 1e-4) -> str:
    """A sentence on how `given` follows from `expected` everywhere, or "".

    Args:
        given: (n,), the learner's numbers.
        expected: (n,), the right ones. Two or more different numbers are needed to see a pattern.
        sizes: sides of the inputs: a factor of that size is a mean where a sum belongs, or the reverse.
        tolerance: how well the pattern must hold, relative to the numbers' size.
    """
    given, expected = given.double().flatten(), expected.double().flatten()
    finite = torch.isfinite(given) & torch.isfinite(expected)
    if not finite.all() or given.numel() < 2 or torch.allclose(expected, expected[:1].expand_as(expected)):
        return ""

    def holds(candidate: Tensor) -> bool:
        scale = max(float(candidate.abs().max()), 1e-12)
        return bool(torch.isfinite(candidate).all()) and bool(
            ((given - candidate).abs() <= 10 * tolerance * scale).all()
        )

    if given.abs().max() == 0:
        return "Every entry is 0."
    if holds(-expected):
        return "The sign is wrong everywhere."
    factor = float((given * expected).sum() / expected.square().sum())
    if holds(factor * expected):
        return _about_factor(factor, sizes)
    offset = float((given - expected).mean())
    if holds(expected + offset):
        return f"It is off by the same {offset:+.4g} everywhere{_known_constant(offset)}."
    for candidate, sentence in (
        (expected.exp(), "It is the exponential of the expected value everywhere: a log is missing."),
        (expected.log(), "It is the logarithm of the expected value everywhere."),
        (expected.square(), "It is the square of the expected value everywhere."),
        (expected.sqrt(), "It is the square root of the expected value everywhere."),
        (1 / expected, "It is one over the expected value everywhere."),
        (1 - expected, "It is one minus the expected value everywhere."),
    ):
        if holds(candidate):
            return sentence
    if given.numel() < 100_000 and holds(_arranged_like(expected, given)):
        return "The right values are there, but in another order."
    return ""


def _arranged_like(values: Tensor, model: Tensor) -> Tensor:
    """`values` in the order that `model` has."""
    arranged = torch.empty_like(values)
    arranged[model.argsort()] = values.sort().values
    return arranged


def _about_factor(factor: float, sizes: Iterable[int]) -> str:
    said = f"It is {factor:.4g} times the expected value everywhere"
    for size in sorted({size for size in sizes if size > 1}, reverse=True):
        if math.isclose(factor * size, 1, rel_tol=1e-3):
            return f"{said}: 1/{size}, as if a mean stood over a dimension of {size} where a sum belongs."
        if math.isclose(factor, size, rel_tol=1e-3) and size != 2:
            return f"{said}, as if a sum stood over a dimension of {size} where a mean belongs."
    for value, why in (
        (2, ": a factor 1/2 is missing, or one 2 is too many"),
        (0.5, ": a factor 2 is missing, or one 1/2 is too many"),
        (1 / math.log(2), ": these are bits where nats are expected"),
        (math.log(2), ": these are nats where bits are expected"),
    ):
        if math.isclose(factor, value, rel_tol=1e-3):
            return said + why + "."
    return said + "."


def _known_constant(offset: float) -> str:
    for value, name in ((math.log(2 * math.pi) / 2, "½ log 2π"), (math.log(2), "log 2"), (1.0, "1"), (0.5, "1/2")):
        times = offset / value
        if name not in ("1", "1/2") and abs(times) <= 100 and math.isclose(times, round(times), rel_tol=1e-4):
            count = "" if abs(round(times)) == 1 else f"{abs(round(times))} times "
            return f", which is {'−' if times < 0 else ''}{count}{name}"
    return ""
