"""The verdict on an answer: right, blank, a known mistake, or the first thing that differs."""

import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .compare import Difference, difference, leaves
from .observing import Observation, calling_problem, changes_wrongly, compare, draw, fresh, numbers, observe
from .patterns import pattern
from .registry import Exercise
from .results import Result
from .sandbox import Attempt, attempt, undisturbed
from .statistics import DRAWS, FEWER, gradients_differ, many_draws, values_differ

__all__ = ["judge"]


def judge(exercise: Exercise, function: Callable) -> Result:
    """Run a function on the exercise's inputs and say what is right or wrong; nothing of the kernel is disturbed."""
    with undisturbed():
        problem = calling_problem(exercise, function)
        if problem:
            return Result(exercise.name, "wrong", problem)
        return _Judge(exercise, function).verdict()


def _first(*verdicts: Result | None) -> Result:
    """The first verdict there is (a Result that is not right counts as false, so `or` would pass it over)."""
    return next(verdict for verdict in verdicts if verdict is not None)


@dataclass
class _Judge:
    exercise: Exercise
    function: Callable
    spent: float = 0.0
    draws: Attempt | None = None  # of a random answer, once they are wanted

    def verdict(self) -> Result:
        given = []
        for seed in range(self.exercise.draws):
            given.append(self._timed(observe, self.exercise, self.function, seed, left=self._left()))
            if given[-1].attempt.blank:
                return Result(self.exercise.name, "blank", self._blank())
            if given[-1].attempt.problem:
                return _first(self._known_error(given), self._wrong(given[-1].attempt.problem, given))
        names = self._parameter_names()
        if not self.exercise.compare:
            broken = self._by_properties(given)
            if broken is None:
                return self._right()
            return _first(self._known_mistake(given, [], names), broken)
        expected = self._expected(self.exercise.reference)
        found = [compare(self.exercise, one, other, names) for one, other in zip(given, expected, strict=True)]
        if all(one is None for one in found):
            return _first(self._by_properties(given), self._right())
        first = next(one for one in found if one is not None)
        astray = ""
        if self.exercise.random and all(one is None or one.kind in ("value", "gradient") for one in found):
            astray = self._astray(given[0].value) or changes_wrongly(given[0], expected[0])
            if not astray:
                return _first(self._by_properties(given), self._right())
        mistaken = self._known_mistake(given, expected, names)
        return self._diagnosis(given, expected, first, astray) if mistaken is None else mistaken

    def _right(self) -> Result:
        return Result(self.exercise.name, "right")

    def _left(self) -> float:
        return self.exercise.time_limit - self.spent

    def _timed(self, run: Callable, *arguments, **keywords):
        began = time.monotonic()
        try:
            return run(*arguments, **keywords)
        finally:
            self.spent += time.monotonic() - began

    def _expected(self, function: Callable) -> list[Observation]:
        """What one of the course's own functions does on every draw."""
        return [observe(self.exercise, function, seed) for seed in range(self.exercise.draws)]

    def _parameter_names(self) -> list[str]:
        for function in (self.function, self.exercise.reference):
            try:
                return list(inspect.signature(function).parameters)
            except (TypeError, ValueError):
                continue
        return []

    def _blank(self) -> str:
        return "still blank. Put your answer in place of `raise NotImplementedError`."

    def _wrong(self, message: str, given: list[Observation]) -> Result:
        """A verdict with what the function printed and what it was warned of on the first draw."""
        first = given[0].attempt
        warned = f" It also warns: {first.warned}" if first.warned else ""
        return Result(self.exercise.name, "wrong", message + warned, first.printed)

    def _by_properties(self, given: list[Observation]) -> Result | None:
        """The first property that the answer violates."""
        for seed in range(self.exercise.draws):
            for has in self.exercise.properties:
                inputs = self._fresh_inputs(seed)
                seen = self._timed(attempt, lambda has=has, inputs=inputs: has(self._applied, inputs), self.function,
                                   self.exercise.time_limit, self._left())  # fmt: skip
                if seen.problem or seen.blank or seen.value:
                    return self._wrong(seen.problem or str(seen.value or self._blank()), given)
        return None

    def _applied(self, *arguments, **keywords) -> object:
        """The learner's function as properties see it: through the exercise's `call`."""
        return self.exercise.apply(self.function, arguments, keywords)

    def _fresh_inputs(self, seed: int) -> tuple | dict:
        arguments, keywords = fresh(draw(self.exercise, seed))
        return keywords or arguments

    def _astray(self, value: object) -> str:
        """How the distribution of a random answer differs from the reference's on the first draw's inputs, or ""."""
        exercise, reference, limit = self.exercise, self.exercise.reference, self.exercise.time_limit
        self.draws = self._timed(many_draws, exercise, self.function, DRAWS, self._left())
        if self.draws.problem:
            return self.draws.problem
        wrong = values_differ(self.draws.value, many_draws(exercise, reference, DRAWS, limit).value, value)
        if wrong or not exercise.differentiable:
            return wrong
        mine = self._timed(many_draws, exercise, self.function, FEWER, self._left(), gradients=True)
        theirs = many_draws(exercise, reference, FEWER, limit, gradients=True)
        return mine.problem or gradients_differ(mine.value, theirs.value)

    def _distributed_like(self, mistake: Callable, value: object) -> bool:
        if self.draws is None or self.draws.problem:
            return False
        theirs = many_draws(self.exercise, mistake, FEWER, self.exercise.time_limit)
        return not theirs.problem and not values_differ(self.draws.value[:FEWER], theirs.value, value)

    def _known_mistake(self, given: list[Observation], expected: list[Observation], names: list[str]) -> Result | None:
        """The first mistake that does just what the learner's function does."""
        tolerance = self.exercise.tolerance
        right_values = self.exercise.compare and all(
            difference(one.value, other.value, tolerance) is None for one, other in zip(given, expected, strict=True)
        )
        return self._first_mistake(lambda made: self._is(made, given, names, right_values), given)

    def _known_error(self, given: list[Observation]) -> Result | None:
        """The first mistake that raises the error of the learner's function, on the draw that raised it."""
        raised, seed = given[-1].attempt.raised, len(given) - 1
        if raised is None:
            return None
        return self._first_mistake(lambda made: observe(self.exercise, made, seed).attempt.raised == raised, given)

    def _first_mistake(self, is_it: Callable[[Callable], bool], given: list[Observation]) -> Result | None:
        """The verdict of the first mistake that is made by a function of which `is_it` holds."""
        for index, mistake in enumerate(self.exercise.mistakes):
            if any(is_it(made) for made in mistake.functions):
                untouched = self.exercise.bug_hunt and index == 0
                status = "blank" if untouched else "wrong"
                return Result(self.exercise.name, status, mistake.message, given[0].attempt.printed)
        return None

    def _is(self, mistake: Callable, given: list[Observation], names: list[str], right_values: bool) -> bool:
        """Whether the learner made this mistake. Gradients and changed inputs matter where the values are right."""
        made = self._expected(mistake)
        if any(one.attempt.problem for one in made):
            return False
        pairs = list(zip(given, made, strict=True))
        if right_values:
            return all(
                compare(self.exercise, one, other, names) is None
                and compare(self.exercise, other, one, names) is None
                and one.changed == other.changed
                for one, other in pairs
            )
        found = [difference(one.value, other.value, self.exercise.tolerance) for one, other in pairs]
        if all(one is None for one in found):
            return True
        alike = self.exercise.random and all(one is None or one.kind == "value" for one in found)
        return alike and self._distributed_like(mistake, given[0].value)

    def _diagnosis(
        self, given: list[Observation], expected: list[Observation], first: Difference, astray: str
    ) -> Result:
        """An unknown mistake, in words."""
        broken = self._by_properties(given) if first.kind in ("value", "finite") else None
        if broken is not None:
            return Result(self.exercise.name, "wrong", f"{broken.message} {first.text}", broken.printed)
        text = astray or first.text
        if first.kind == "type" and given[0].value is None and given[0].attempt.printed:
            text = "It prints its answer but does not return it: put `return` in place of print."
        if first.kind == "value" and not self.exercise.random:
            text += self._hint_at_cause(given, expected, first)
        return self._wrong(text, given)

    def _hint_at_cause(self, given: list[Observation], expected: list[Observation], first: Difference) -> str:
        again = self._timed(observe, self.exercise, self.function, 0, left=self._left(), noise=1)
        if again.attempt.problem:
            return ""
        if difference(again.value, given[0].value, self.exercise.tolerance) is not None:
            return " Two calls with the same inputs give different answers: something in it is random or remembered."
        theirs = [numbers(leaves(one.value).get(first.path)) for one in given]
        right = [numbers(leaves(one.value)[first.path]) for one in expected]
        if any(a.shape != b.shape for a, b in zip(theirs, right, strict=True)):
            return ""
        inputs = leaves(draw(self.exercise, 0)).values()
        sizes = {side for leaf in inputs if isinstance(leaf, torch.Tensor) for side in leaf.shape}
        said = pattern(torch.cat(theirs), torch.cat(right), sizes)
        return f" {said}" if said else ""
