"""What an exercise is, and where all of them are found."""

import difflib
import importlib
import pkgutil
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

__all__ = ["Exercise", "Mistake", "UnknownExercise", "all_exercises", "find", "register"]


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that people really give, and what to tell them.

    Attributes:
        function: the wrong answer, with the parameters of the reference. It may raise: the same error, in type and
            text, is then this mistake.
        message: one or two sentences that say what to look at.
        also: other ways to make the same mistake, whose numbers (or errors) are not those of `function`.
    """

    function: Callable
    message: str
    also: Sequence[Callable] = ()

    @property
    def functions(self) -> tuple[Callable, ...]:
        """Every known way to make it."""
        return (self.function, *self.also)


@dataclass(frozen=True, eq=False)
class Exercise:
    """A reference, a way to draw inputs, and the known mistakes.

    Attributes:
        name: "family/task", e.g. "vae/kl"; the family is the file of `dgmcourse/exercises/` that holds it.
        reference: the course's answer. A generator function is compared state by state.
        inputs: draws the arguments from a `torch.Generator`: a tuple (positional), a dict (by name), or one value.
            Tensors that require gradients are handed over so.
        hints: three or more, each more explicit than the one before.
        mistakes: at least three; each is recognised by what it returns or raises. In a bug hunt the first is the shipped bug.
        alternatives: right answers written differently; the tests demand that they pass.
        properties: what a right answer satisfies, each `(function, inputs) -> message or None`, `inputs` being what
            `inputs` returned. See `invertible` and `sums_to_one`.
        lesson: stem of the lesson's file, e.g. "04_vaes".
        title: what the map of the course calls it; the name's last part by default.
        minutes: how long it takes a learner.
        difficulty: 1, 2 or 3.
        tolerance: largest relative difference that passes.
        differentiable: gradients are compared too: with respect to the inputs that require gradients or, where none
            does, to every floating-point tensor among them. So data beside parameters are left out.
        random: an answer that draws its noise in another order passes if its distribution is the reference's.
        bug_hunt: the learner starts from working-looking code with one bug, rather than from a blank.
        compare: False where many answers are right and the properties alone decide.
        call: how the engine uses an answer, `call(answer, *inputs) -> value`, e.g. to build and run a class.
        draws: how many inputs are tried.
        time_limit: seconds that the learner's code may take in one check.
    """

    name: str
    reference: Callable
    inputs: Callable[[torch.Generator], object]
    hints: Sequence[str] = ()
    mistakes: Sequence[Mistake] = ()
    alternatives: Sequence[Callable] = ()
    properties: Sequence[Callable] = ()
    lesson: str = ""
    title: str = ""
    minutes: int = 5
    difficulty: int = 1
    tolerance: float = 1e-4
    differentiable: bool = False
    random: bool = False
    bug_hunt: bool = False
    compare: bool = True
    call: Callable | None = None
    draws: int = 3
    time_limit: float = 10.0
    module: str = field(init=False, default="")

    def __post_init__(self):
        if not re.fullmatch(r"\w+/[\w-]+", self.name):
            raise ValueError(f"an exercise is named 'family/task', e.g. 'vae/kl', got {self.name!r}")
        for what in ("reference", "inputs"):
            if not callable(getattr(self, what)):
                raise TypeError(f"{self.name}: {what} must be a function, got {type(getattr(self, what)).__name__}")
        if isinstance(self.hints, str):
            raise TypeError(f"{self.name}: hints must be several strings, got one; write hints=(first, second, third)")
        if self.difficulty not in (1, 2, 3):
            raise ValueError(f"{self.name}: difficulty must be 1, 2 or 3, got {self.difficulty}")
        if not self.compare and not self.properties:
            raise ValueError(f"{self.name}: compare=False needs at least one property to judge an answer by")
        if self.bug_hunt and not self.mistakes:
            raise ValueError(f"{self.name}: a bug hunt's first mistake must be the shipped bug, got no mistakes")
        object.__setattr__(self, "title", self.title or self.name.split("/")[1].replace("_", " "))
        object.__setattr__(self, "module", getattr(self.reference, "__module__", None) or "")

    def __repr__(self):
        return (
            f"{self.name}: {self.title} · {'●' * self.difficulty}{'○' * (3 - self.difficulty)} · {self.minutes} minutes"
        )

    def apply(self, answer: Callable, arguments: tuple, keywords: dict) -> object:
        """What the answer gives for these inputs."""
        if self.call is not None:
            return self.call(answer, *arguments, **keywords)
        return answer(*arguments, **keywords)


class CalmError(Exception):
    """An error that IPython shows as one line, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class UnknownExercise(CalmError, LookupError):
    """There is no exercise of this name; the message lists the closest ones."""

    def __str__(self):
        return str(self.args[0]) if self.args else ""


_EXERCISES: dict[str, Exercise] = {}


def register(*exercises: Exercise) -> None:
    """Make exercises known by their names. Registering again (a reloaded module) replaces.

    Raises:
        ValueError: two files use the same name.
    """
    for new in exercises:
        if not isinstance(new, Exercise):
            raise TypeError(f"register takes Exercise objects, got {type(new).__name__}")
        old = _EXERCISES.get(new.name)
        if old is not None and old.module != new.module:
            raise ValueError(f"{new.name!r} is registered by both {old.module} and {new.module}; rename one of them")
        _EXERCISES[new.name] = new


def _import_exercises(family: str) -> None:
    """Import the files of exercises: the family's own, or every one where the family is empty."""
    package = importlib.import_module("dgmcourse.exercises")
    for module in pkgutil.iter_modules(package.__path__):
        if not module.ispkg and family in ("", module.name):
            importlib.import_module(f"{package.__name__}.{module.name}")


def all_exercises() -> list[Exercise]:
    """Every exercise of the course, lesson by lesson, in the order of its lesson."""
    _import_exercises("")
    return sorted(_EXERCISES.values(), key=lambda exercise: exercise.lesson)


def find(name: str) -> Exercise:
    """The exercise of this name.

    Raises:
        UnknownExercise: there is none; close matches are listed.
    """
    if isinstance(name, str) and name not in _EXERCISES:
        _import_exercises(name.partition("/")[0])
    if isinstance(name, str) and name in _EXERCISES:
        return _EXERCISES[name]
    names = [exercise.name for exercise in all_exercises()]
    if name in names:
        return _EXERCISES[name]
    raise UnknownExercise(f"There is no exercise {name!r}. {_suggestion(str(name), names)}")


def _suggestion(name: str, names: list[str]) -> str:
    """Names that resemble the given one, as a whole or by task alone; else the list's beginning."""
    tasks = list(dict.fromkeys(known.split("/")[1] for known in names))
    close = difflib.get_close_matches(name.lower(), names, n=2, cutoff=0.75)
    for task in difflib.get_close_matches(name.split("/")[-1].lower(), tasks, n=2, cutoff=0.75):
        close += [known for known in names if known.split("/")[1] == task]
    if close:
        return f"Did you mean {' or '.join(repr(known) for known in list(dict.fromkeys(close))[:4])}?"
    family = [known for known in names if known.split("/")[0] == name.split("/")[0]] or names
    shown = ", ".join(family[:8]) + (", …" if len(family) > 8 else "")
    return f"Known exercises: {shown}." if names else "No exercise is registered yet."
