"""`predict`: a guess before the result, so that the result says something."""

import hashlib
import sys
from collections.abc import Sequence

from .progress import store
from .results import BOX, marked, strict

__all__ = ["Prediction", "predict"]


class Prediction:
    """A question with a few possible answers, one of them right; the reason is shown after a guess.

    In a running notebook it is a row of radio buttons; where nothing runs (GitHub, a PDF, a screen reader) it is the
    question, its choices, and a closed section with the answer. It never holds up the cells below.

    Attributes:
        question, choices, why: as shown.
        answer: index of the right choice.
        guess: index of the learner's choice, or None.
        identity: the same for the same question and choices, whenever and wherever it is asked.
    """

    def __init__(self, question: str, choices: Sequence[str], answer: int | str, why: str):
        self.question, self.choices, self.why = question, tuple(map(str, choices)), why
        if isinstance(choices, str) or len(self.choices) < 2 or len(set(self.choices)) < len(self.choices):
            raise ValueError(f"predict needs at least two different choices, got {choices!r}")
        self.answer = self._index(answer, "answer")
        self.guess: int | None = None
        asked = "\n".join((question, *self.choices)).encode()
        self.identity = "prediction-" + hashlib.sha256(asked).hexdigest()[:12]
        self._view = None

    def _index(self, choice: int | str, what: str) -> int:
        if isinstance(choice, str) and choice in self.choices:
            return self.choices.index(choice)
        if not isinstance(choice, bool) and isinstance(choice, int) and 0 <= choice < len(self.choices):
            return choice
        raise ValueError(f"{what} must be 0 … {len(self.choices) - 1} or one of {list(self.choices)}, got {choice!r}")

    def choose(self, choice: int | str) -> "Prediction":
        """Guess, by index or by text. The first guess counts; it is noted, and the reason becomes visible."""
        index = self._index(choice, "the guess")
        if self.guess is None:
            self.guess = index
            store().record_prediction(self.identity, index)
            if self._view is not None:
                self._reveal_in_view()
        return self

    @property
    def right(self) -> bool | None:
        """Whether the guess is right; None before there is one."""
        return None if self.guess is None else self.guess == self.answer

    @property
    def verdict(self) -> str:
        """What is said after the guess, "" before."""
        if self.guess is None:
            return ""
        if self.right:
            return f"Yes: {self.choices[self.answer]}. {self.why}"
        return f"You guessed: {self.choices[self.guess]}. In fact: {self.choices[self.answer]}. {self.why}"

    def __repr__(self):
        lines = [f"Predict: {self.question}"]
        lines += [f"  {'●' if index == self.guess else '○'} {choice}" for index, choice in enumerate(self.choices)]
        return "\n".join(lines + ([self.verdict] if self.guess is not None else []))

    def _repr_html_(self) -> str:
        choices = "".join(f"<li>{marked(choice)}</li>" for choice in self.choices)
        if self.guess is None:
            reveal = f"<details><summary>Answer</summary>{marked(f'{self.choices[self.answer]}. {self.why}')}</details>"
        else:
            reveal = f'<div role="status">{marked(self.verdict)}</div>'
        return (
            f'<div id="{self.identity}" style="{BOX}"><strong>Predict:</strong> {marked(self.question)}'
            f'<ul aria-label="Choices">{choices}</ul>{reveal}</div>'
        )

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, object]:
        bundle = {"text/plain": repr(self), "text/html": self._repr_html_()}
        view = "application/vnd.jupyter.widget-view+json"
        if not strict() and _in_kernel():
            bundle[view] = self.widget()._repr_mimebundle_()[view]
        return bundle

    def widget(self):
        """The radio buttons, their button and the place of the verdict: one `ipywidgets.VBox`, always the same."""
        if self._view is None:
            import ipywidgets

            question = ipywidgets.HTMLMath(f"<strong>Predict:</strong> {marked(self.question)}")
            wide = ipywidgets.Layout(width="auto")
            self._radio = ipywidgets.RadioButtons(
                options=[(choice, index) for index, choice in enumerate(self.choices)], index=None, layout=wide
            )
            self._button = ipywidgets.Button(description="This is my guess", disabled=True)
            self._said = ipywidgets.HTMLMath()
            self._radio.observe(self._ready, names="index")
            self._button.on_click(self._choose_selected)
            self._view = ipywidgets.VBox([question, self._radio, self._button, self._said])
            if self.guess is not None:
                self._reveal_in_view()
        return self._view

    def _ready(self, change) -> None:
        self._button.disabled = self._radio.index is None or self.guess is not None

    def _choose_selected(self, button) -> None:
        if self._radio.index is not None:
            self.choose(self._radio.index)

    def _reveal_in_view(self) -> None:
        self._radio.index = self.guess
        self._radio.disabled = self._button.disabled = True
        self._said.value = f'<div role="status">{marked(self.verdict)}</div>'


def _in_kernel() -> bool:
    """Whether a Jupyter kernel runs this, so that widgets can be shown."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def predict(question: str, choices: Sequence[str], answer: int | str, why: str) -> Prediction:
    """Ask for a guess before a result is seen; the cells below do not wait for it.

    Args:
        question: may hold `code` and $mathematics$.
        choices: two or more, as plain text.
        answer: the right one, by index (from 0) or by its text.
        why: the reason, shown after the guess.

    Raises:
        ValueError: too few or equal choices, or an answer that is none of them.
    """
    return Prediction(question, choices, answer, why)
