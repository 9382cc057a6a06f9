"""What `check` shows, and the errors of strict mode."""

import html
import logging
import os
import sys
from dataclasses import dataclass

from .registry import CalmError

__all__ = ["BlankAnswer", "NotPassed", "Note", "Result", "WrongAnswer", "marked", "show_note", "strict"]

SYMBOLS = {"right": "✅", "wrong": "✗", "blank": "○"}
BOX = "border-left: 0.25em solid; padding: 0.3em 0.8em; margin: 0.3em 0; max-width: 50em"


def strict() -> bool:
    """Whether nothing falls back and a failed check raises: `DGMCOURSE_STRICT=1`, or nbgrader is executing."""
    asked = os.environ.get("DGMCOURSE_STRICT", "").strip().lower() not in ("", "0", "false", "no", "off")
    return asked or bool(os.environ.get("NBGRADER_EXECUTION"))


@dataclass(frozen=True)
class Result:
    """The verdict of a check. True if the answer is right.

    Attributes:
        name: of the exercise.
        status: "right", "wrong" or "blank".
        message: one or two sentences; empty for a right answer.
        printed: the beginning of what the function printed on the first input.
    """

    name: str
    status: str
    message: str = ""
    printed: str = ""

    def __bool__(self):
        return self.status == "right"

    def _line(self) -> str:
        return self.message or "correct."

    def _help(self) -> str:
        return "" if self else f'Stuck? hint("{self.name}")'

    def __repr__(self):
        text = f"{SYMBOLS[self.status]} {self.name}: {self._line()} {self._help()}".rstrip()
        return text + (f"\nIt printed: {self.printed.rstrip()}" if self.printed.strip() else "")

    def _repr_html_(self) -> str:
        help_ = self._help().replace("Stuck? ", "")
        printed = f"<br>It printed:<pre>{html.escape(self.printed.rstrip())}</pre>" if self.printed.strip() else ""
        return (
            f'<div role="status" style="{BOX}"><span aria-hidden="true">{SYMBOLS[self.status]}</span> '
            f"<strong>{html.escape(self.name)}</strong>: {marked(self._line())}"
            + (f" <span>Stuck? <code>{html.escape(help_)}</code></span>" if help_ else "")
            + f"{printed}</div>"
        )


def marked(text: str) -> str:
    """HTML of a message, what stands between backticks as code."""
    pieces = html.escape(text, quote=False).split("`")
    if len(pieces) % 2 == 0:  # a lone backtick is only a backtick
        return "`".join(pieces)
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))


class NotPassed(CalmError, AssertionError):
    """In strict mode: an exercise that is not solved. `result` holds the verdict."""

    def __init__(self, result: Result):
        super().__init__(result)
        self.result = result

    def __str__(self):
        return repr(self.result)


class BlankAnswer(NotPassed):
    """In strict mode: nothing was filled in."""


class WrongAnswer(NotPassed):
    """In strict mode: the answer is not right."""


@dataclass(frozen=True)
class Note:
    """One calm line in the output of a cell."""

    text: str

    def __repr__(self):
        return self.text

    def _repr_html_(self) -> str:
        return f'<div role="status" style="{BOX}">{marked(self.text)}</div>'


def show_note(text: str) -> None:
    """Display one line in a notebook; elsewhere it goes to the log."""
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        ipython.display.display(Note(text))
    else:
        logging.getLogger("dgmcourse.exercises").info(text)
