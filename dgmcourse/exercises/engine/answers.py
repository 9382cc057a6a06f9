"""`@exercise` and `check`: a learner's answer, and what stands in for it until it is right."""

import functools
import inspect
from collections.abc import Callable

from torch import Tensor

from .judging import judge
from .progress import store
from .registry import CalmError, Exercise, all_exercises, find
from .results import BlankAnswer, Result, WrongAnswer, show_note, strict
from .sandbox import is_blank

__all__ = ["Answer", "NotAnExercise", "check", "exercise"]

_NEWEST: dict[str, "Answer"] = {}  # the latest definition by exercise name, so that check("vae/kl") works


class NotAnExercise(CalmError, TypeError):
    """`check` was given something that no `@exercise` stands above."""


class Answer:
    """A learner's function for one exercise, and what is known of it.

    Called before its check, it is judged silently. A right answer is used from then on; in place of a blank or wrong
    one the course's reference is, and one line says so. In strict mode nothing stands in.
    """

    def __init__(self, exercise: Exercise, function: Callable):
        self.exercise, self.function = exercise, function
        self.status: str | None = None  # until it is judged
        self.told = self.judging = False

    def judge(self) -> Result:
        """The verdict; while it is being found, calls (recursive ones) reach the learner's function itself."""
        self.judging = True
        try:
            result = judge(self.exercise, self.function)
        finally:
            self.judging = False
        self.status = result.status
        return result

    def __call__(self, *arguments, **keywords):
        if self.status == "right" or self.judging:
            return self.function(*arguments, **keywords)
        if strict():
            return self._call_strictly(arguments, keywords)
        if self.status is None and self.judge():
            return self.function(*arguments, **keywords)
        if not self.told:
            self.told = True
            show_note(self._excuse())
        return self.exercise.reference(*arguments, **keywords)

    def _call_strictly(self, arguments: tuple, keywords: dict):
        try:
            return self.function(*arguments, **keywords)
        except NotImplementedError as error:
            if not is_blank(error, self.function):
                raise
        raise BlankAnswer(Result(self.exercise.name, "blank", "still blank, and there is no stand-in in strict mode."))

    def _excuse(self) -> str:
        name = getattr(self.function, "__name__", self.exercise.name)
        if self.status == "wrong":
            return f"✗ `{name}` does not pass its check yet: from here on the course's own version is used instead."
        if self.exercise.bug_hunt:
            return f"○ The bug is still in `{name}`: from here on the course's mended version is used instead."
        return f"○ `{name}` is still blank: from here on the course's own version is used instead."


def exercise(name: str) -> Callable[[Callable], Callable]:
    """Decorator: the function below is the learner's answer to this exercise.

    The decorated function is called like the learner's own. Until it is right, calls use the course's reference.

    Raises:
        UnknownExercise: no exercise has this name; close ones are listed.
    """
    known = find(name)

    def decorate(function: Callable) -> Callable:
        if not callable(function):
            raise NotAnExercise(f'@exercise("{name}") belongs above a function, not above a {type(function).__name__}.')
        answer = _NEWEST[name] = Answer(known, function)
        copied = () if inspect.isclass(function) else functools.WRAPPER_UPDATES

        @functools.wraps(function, updated=copied)
        def answered(*arguments, **keywords):
            return answer(*arguments, **keywords)

        answered.__answer__ = answer
        return answered

    return decorate


def check(function: Callable | str) -> Result:
    """Check a learner's answer on drawn inputs, and note the outcome in the map of the course.

    Args:
        function: the function below `@exercise(…)`, or the exercise's name.

    Returns:
        The verdict, which a notebook shows; true if the answer is right.

    Raises:
        NotAnExercise: no `@exercise(…)` stands above the function.
        WrongAnswer, BlankAnswer: in strict mode alone.
    """
    answer = _answer_of(function)
    result = answer.judge()
    store().record(answer.exercise.name, result.status)
    if strict() and not result:
        raise (BlankAnswer if result.status == "blank" else WrongAnswer)(result)
    return result


def _answer_of(function: Callable | str) -> Answer:
    if isinstance(function, str):
        known = find(function)
        if known.name not in _NEWEST:
            raise NotAnExercise(f'{known.name!r} has no answer yet: run the cell with @exercise("{known.name}") first.')
        return _NEWEST[known.name]
    answer = getattr(function, "__answer__", None)
    if isinstance(answer, Answer):
        return answer
    if function is None or isinstance(function, (Tensor, int, float, tuple, dict)):
        raise NotAnExercise("check needs the function itself, not what it returns: check(f), not check(f(x)).")
    name = getattr(function, "__name__", type(function).__name__)
    likely = [known for known in all_exercises() if getattr(known.reference, "__name__", "") == name]
    advice = f'@exercise("{likely[0].name}")' if likely else '@exercise("…")'
    raise NotAnExercise(f"{name} is not an exercise: put {advice} on the line above its def, and run that cell again.")
