"""Training within a budget of seconds: how many steps fit is measured first, so that schedules end when the time does."""

import copy
import time
from collections.abc import Callable, Iterable

from ..core import GenerativeModel
from ..data import Dataset
from ..evaluation.quality import clock
from ..training import fit

__all__ = ["em_within", "fit_within", "steps_within"]

_LOOKS = 40  # that `fit` takes at the validation split, with keep_best


def steps_within(model: GenerativeModel, data: Dataset, seconds: float, **training) -> int:
    """How many steps of `fit` take so long, measured on a copy of the model, in about a fiftieth of the time.

    Args:
        model: stays as it is.
        data: to train on.
        seconds: the budget.
        **training: arguments for `fit`, without steps.
    """
    now = clock(model.device)

    def took(steps: int, keep_best: bool) -> float:
        pupil = copy.deepcopy(model)
        started = now()
        fit(pupil, data, steps=steps, progress=False, **{**training, "keep_best": keep_best})
        return now() - started

    took(2, False)  # first calls of anything are slow
    start, steps = took(2, False), 4
    while (spent := took(steps, False) - start) < seconds / 50 and steps < 10_000:
        steps *= 2
    each = max(spent, 1e-9) / (steps - 2)
    looks = max(0.0, took(2, True) - start) / 2 * _LOOKS if training.get("keep_best") else 0.0
    return max(1, int((seconds - looks - start) / each))


def fit_within(
    model: GenerativeModel, data: Dataset, seconds: float, most: int | None = None, **training
) -> tuple[int, float]:
    """`fit` for so many seconds of computing, or `most` steps if they take less.

    Returns:
        the steps, and the seconds that they took.
    """
    steps = steps_within(model, data, seconds, **training)
    steps = steps if most is None else min(steps, most)
    now = clock(model.device)
    started = now()
    fit(model, data, steps=steps, progress=False, **training)
    return steps, now() - started


def em_within(states: Iterable[object], seconds: float, score: Callable[[], float], patience: int) -> tuple[int, float]:
    """Follow iterations for so many seconds of the processor, or until `score` has not risen for `patience` of them.

    Returns:
        the iterations, and the seconds that they took.
    """
    started, best, since, done = time.process_time(), -float("inf"), 0, 0
    for done, _ in enumerate(states):  # noqa: B007
        found = score()
        best, since = (found, 0) if found > best else (best, since + 1)
        if since >= patience or time.process_time() - started > seconds:
            break
    return done, time.process_time() - started
