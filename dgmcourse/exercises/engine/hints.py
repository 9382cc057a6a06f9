"""`hint`: one more step at each call, then where the solution is."""

from .registry import Exercise, find
from .results import Note

__all__ = ["hint"]

_GIVEN: dict[str, int] = {}  # hints shown so far in this kernel, by exercise


def hint(name: str, number: int | None = None) -> Note:
    """The next hint of an exercise, each more explicit than the one before; after the last, where the solution is.

    Args:
        name: of the exercise, e.g. "vae/kl", or the function below `@exercise("vae/kl")`.
        number: show this hint (1, 2, 3) again.

    Raises:
        UnknownExercise: no exercise has this name; close ones are listed.
        ValueError: there is no hint of this number.
    """
    answer = getattr(name, "__answer__", None)
    exercise = find(name) if answer is None else answer.exercise
    count = len(exercise.hints)
    if number is None:
        number = _GIVEN.get(exercise.name, 0) + 1
        _GIVEN[exercise.name] = min(number, count)
        if number > count:
            return Note(_solution(exercise))
    elif number not in range(1, count + 1):
        raise ValueError(f"{exercise.name} has hints 1 to {count}, got {number}")
    return Note(f"Hint {number} of {count}: {exercise.hints[number - 1]}")


def _solution(exercise: Exercise) -> str:
    place = f"solutions/{exercise.lesson}.ipynb" if exercise.lesson else "the folder solutions/"
    again = f' hint("{exercise.name}", 1) shows the first hint again.' if exercise.hints else ""
    return f"That was the last hint. The solution, with its reasons, is in {place}: search for {exercise.name}.{again}"
