"""What the tests demand of every exercise before a learner sees it."""

import inspect

from .judging import judge
from .registry import Exercise

__all__ = ["verify"]


def verify(exercise: Exercise) -> None:
    """Hold an exercise to its promises.

    The reference and every alternative pass; each mistake is met with its own message; a blank is seen as blank;
    there are three hints or more, three mistakes, one alternative, and a lesson.

    Raises:
        AssertionError: the list of all that is amiss.
    """
    amiss = _incomplete(exercise)
    for right in (exercise.reference, *exercise.alternatives):
        result = judge(exercise, right)
        if not result:
            amiss.append(f"the right answer {_name(right)} fails: {result.message}")
    for index, mistake in enumerate(exercise.mistakes):
        status = "blank" if exercise.bug_hunt and index == 0 else "wrong"
        for number, function in enumerate(mistake.functions):
            result = judge(exercise, function)
            if result.status != status or not result.message.startswith(mistake.message):
                which = _name(function) + (f" (way {number + 1} of it)" if mistake.also else "")
                amiss.append(f"the mistake {which} is met with {result!r}, not with {mistake.message!r}")
    if not exercise.bug_hunt and judge(exercise, _blank_like(exercise)).status != "blank":
        amiss.append("an answer that raises NotImplementedError is not seen as blank")
    assert not amiss, f"{exercise.name}:\n  " + "\n  ".join(amiss)


def _incomplete(exercise: Exercise) -> list[str]:
    messages = [mistake.message for mistake in exercise.mistakes]
    return [
        complaint
        for wrong, complaint in (
            (len(set(filter(None, exercise.hints))) < 3, "it needs three different hints or more"),
            (len(messages) < 3, "it needs three known mistakes or more"),
            (len(set(messages)) < len(messages), "two mistakes have the same message"),
            (not all(messages), "a mistake has no message"),
            (not exercise.alternatives, "it needs an alternative: a right answer written differently"),
            (not exercise.lesson, 'it needs the stem of its lesson, e.g. lesson="04_vaes"'),
        )
        if wrong
    ]


def _name(function: object) -> str:
    return getattr(function, "__name__", repr(function))


def _blank_like(exercise: Exercise):
    """What the learner finds: the reference's name and parameters, and nothing below."""
    if inspect.isclass(exercise.reference):

        class Blank:
            def __init__(self, *arguments, **keywords):
                raise NotImplementedError

        return Blank

    def blank(*arguments, **keywords):
        raise NotImplementedError

    return blank
