"""Whether two random functions draw from the same distribution, judged by means, deviations and dependence."""

from collections.abc import Callable

import torch
from torch import Tensor

from .compare import leaves
from .observing import differentiate, draw, every_float_counts, fresh, numbers, vector
from .registry import Exercise
from .sandbox import Attempt, attempt

__all__ = ["DRAWS", "FEWER", "gradients_differ", "many_draws", "values_differ"]

DRAWS = 4_000  # of values: a deviation that is 8 % wrong, or a mean that is off by 0.11 σ, is seen
FEWER = 1_000  # of gradients, and against known mistakes
LIMIT = 5.0  # standard errors; with some hundred comparisons, chance exceeds it about once in 10⁴ exercises
PROJECTIONS = 16


def many_draws(exercise: Exercise, function: Callable, count: int, left: float, gradients: bool = False) -> Attempt:
    """Call a function many times on the first inputs: an attempt whose value is (count, numbers), float64.

    The numbers of a row are the entries of one answer or, with `gradients`, its gradients with respect to the inputs.
    """
    arguments, keywords = draw(exercise, 0)
    torch.default_generator.manual_seed(1)

    def one_row() -> Tensor:
        sources: dict[str, Tensor] = {}
        every = gradients and every_float_counts(exercise, arguments, keywords)
        handed = fresh((arguments, keywords), every, sources=sources)
        value = exercise.apply(function, *handed)
        return vector(list(differentiate(value, sources)[1].values()) if gradients else value)

    return attempt(lambda: torch.stack([one_row() for _ in range(count)]), function, exercise.time_limit, left)


def values_differ(given: Tensor, expected: Tensor, value: object) -> str:
    """How a learner's draws differ from the right ones, or "" where no difference is seen.

    Args:
        given, expected: (draws, numbers) of the learner's function and of the reference.
        value: one answer, which says where in it a number stands.
    """
    if given.shape[1] != expected.shape[1]:
        return "The size of the answer changes from call to call."
    if (given == given[0]).all() and not (expected == expected[0]).all():
        return "Every call gives the same numbers: fresh noise is needed at each call, and no seed within."
    if not torch.isfinite(given).all():
        return "Some draws are not finite."
    wrong = _first_moment_apart(given, expected)
    if wrong is not None:
        name, index, told, wanted = wrong
        return f"Over {len(given):,} draws, the {name}{_position(index, value)} is {told:.3g}, expected {wanted:.3g}."
    signs = torch.randint(2, (given.shape[1], PROJECTIONS), generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0
    signs = torch.cat([torch.ones(given.shape[1], 1), signs], dim=1).double()
    if _first_apart(_deviations(given @ signs), _deviations(expected @ signs)) is not None:
        return ("Each number by itself is distributed rightly, but they are not independent in the right way: "
                "does one noise number serve several entries?")  # fmt: skip
    return ""


def gradients_differ(given: Tensor, expected: Tensor) -> str:
    """How the gradients of a learner's draws differ from the right ones, or "": each (draws, numbers)."""
    wrong = _first_moment_apart(given, expected)
    if wrong is None:
        return ""
    name, _, told, wanted = wrong
    return (f"The values are distributed rightly, but the gradient is not: over {len(given):,} draws, its {name} "
            f"is {told:.3g}, expected {wanted:.3g}. Is part of it detached, or computed under no_grad?")  # fmt: skip


def _first_moment_apart(given: Tensor, expected: Tensor) -> tuple[str, int, float, float] | None:
    """Which moment of which number differs: its name, the number's index, what it is, what it should be."""
    for name, moment in (("mean", _means), ("standard deviation", _deviations)):
        wrong = _first_apart(moment(given), moment(expected))
        if wrong is not None:
            return name, *wrong
    return None


def _means(draws: Tensor) -> tuple[Tensor, Tensor]:
    """Means and their squared standard errors: each (numbers,)."""
    return draws.mean(0), draws.var(0) / len(draws)


def _deviations(draws: Tensor) -> tuple[Tensor, Tensor]:
    """Standard deviations and their squared standard errors, from the fourth moment: each (numbers,)."""
    centered = draws - draws.mean(0)
    variance = centered.square().mean(0)
    of_variance = (centered.pow(4).mean(0) - variance.square()).clamp_min(0) / len(draws)
    return variance.sqrt(), of_variance / (4 * variance).clamp_min(1e-24)


def _first_apart(given: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> tuple[int, float, float] | None:
    """The first number whose estimates are more than `LIMIT` standard errors apart."""
    apart = (given[0] - expected[0]).abs()
    allowed = LIMIT * (given[1] + expected[1]).sqrt() + 1e-4 * expected[0].abs() + 1e-6
    wrong = (apart > allowed).nonzero()
    if not len(wrong):
        return None
    index = int(wrong[0])
    return index, float(given[0][index]), float(expected[0][index])


def _position(index: int, value: object) -> str:
    """Where the number of this index stands in an answer: " at [2, 0]", " of part [1]"."""
    for path, leaf in leaves(value).items():
        size = numbers(leaf).numel()
        if index < size:
            shape = leaf.shape if isinstance(leaf, Tensor) else ()
            place = [int(side) for side in torch.unravel_index(torch.tensor(index), shape)] if shape else []
            return (f" at {place}" if place else "") + (f" of part {path}" if path else "")
        index -= size
    return ""
