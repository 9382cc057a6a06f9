"""Whether two random functions draw from the same distribution, judged by means, deviations and dependence."""

from collections.abc import Callable

import torch
from torch import Tensor

from .compare import leaves
from .observing import differentiate, draw, fresh, numbers, vector
from .registry import Exercise
from .sandbox import Attempt, attempt

__all__ = ["DRAWS", "differs_in_distribution", "many_draws"]

DRAWS = 1_000
LIMIT = 6.0  # standard errors; with some hundred comparisons, chance exceeds it about once in 10⁷ checks
PROJECTIONS = 16


def many_draws(exercise: Exercise, function: Callable, left: float) -> Attempt:
    """Call a function `DRAWS` times on the first inputs: an attempt whose value is (DRAWS, numbers), float64."""
    arguments, keywords = draw(exercise, 0)
    torch.default_generator.manual_seed(1)

    def run():
        rows = []
        for _ in range(DRAWS):
            sources: dict[str, Tensor] = {}
            handed = fresh((arguments, keywords), exercise.differentiable, sources=sources)
            value = exercise.apply(function, *handed)
            rows.append(vector(value, differentiate(value, sources)[1] if exercise.differentiable else {}))
        return torch.stack(rows)

    return attempt(run, function, exercise.time_limit, left)


def differs_in_distribution(given: Tensor, expected: Tensor, value: object) -> str:
    """What a learner's draws lack, or "" where no difference is seen.

    Args:
        given, expected: (draws, numbers) of the learner's function and of the reference.
        value: one answer, which says how many of the numbers are its entries; gradients follow.
    """
    if given.shape != expected.shape:
        return "The size of the answer changes from call to call."
    if (given == given[0]).all() and not (expected == expected[0]).all():
        return "Every call gives the same numbers: fresh noise is needed at each call, and no seed within."
    if not torch.isfinite(given).all():
        return "Some draws are not finite."
    entries = vector(value, {}).numel()
    for name, moment in (("mean", _means), ("standard deviation", _deviations)):
        wrong = _first_apart(moment(given), moment(expected))
        if wrong is not None:
            index, told, wanted = wrong
            where = _position(index, value) if index < entries else " of the gradient"
            return f"Over {DRAWS:,} draws, the {name}{where} is {told:.3g}, expected {wanted:.3g}."
    signs = torch.randint(2, (given.shape[1], PROJECTIONS), generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0
    signs = torch.cat([torch.ones(given.shape[1], 1), signs], dim=1).double()
    if _first_apart(_deviations(given @ signs), _deviations(expected @ signs)) is not None:
        return ("Each number by itself is distributed rightly, but they are not independent in the right way: "
                "does one noise number serve several entries?")  # fmt: skip
    return ""


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
