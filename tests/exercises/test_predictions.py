"""`predict`: a guess comes before the reason, in the widget and without it."""

import json
import re

import pytest

from dgmcourse.exercises import predict

QUESTION = ("What does β = 10 do to the `KL` term?", ["it grows", "it shrinks", "nothing"])


def ask():
    return predict(*QUESTION, answer=1, why="A heavier price is paid for each nat.")


def test_nothing_is_given_away_before_the_guess():
    asked = ask()
    assert asked.right is None
    assert asked.verdict == ""
    assert "nat" not in repr(asked)
    page = asked._repr_html_()
    visible = re.sub(r"<details>.*?</details>", "", page)
    assert "nat" not in visible
    assert "nat" in page  # for readers of a static page, behind a closed section
    assert visible.count("<li>") == 3
    assert "<code>KL</code>" in visible


def test_a_guess_reveals_whether_it_was_right_and_why():
    asked = ask().choose(1)
    assert asked.right
    assert asked.verdict == "Yes: it shrinks. A heavier price is paid for each nat."
    asked = ask().choose("nothing")
    assert asked.right is False
    assert asked.verdict.startswith("You guessed: nothing. In fact: it shrinks.")
    assert "● nothing" in repr(asked)
    assert asked.choose(1).guess == 2  # the first guess counts


def test_the_guess_is_recorded_once(learner):
    ask().choose(2)
    ask().choose(1)
    kept = json.loads((learner / "progress.json").read_text())
    assert kept["predictions"] == {ask().identity: 2}


def test_ids_and_pages_are_the_same_every_time():
    assert ask()._repr_html_() == ask()._repr_html_()
    assert ask().identity != predict("Another?", ["a", "b"], 0, "why").identity


def test_the_widget_enables_choosing_then_reveals():
    asked = ask()
    view = asked.widget()
    assert view is asked.widget()
    _, radio, button, said = view.children
    assert radio.index is None
    assert button.disabled
    button.click()
    assert asked.guess is None
    radio.index = 0
    assert not button.disabled
    assert said.value == ""
    button.click()
    assert asked.guess == 0
    assert radio.disabled
    assert button.disabled
    assert "In fact: it shrinks" in said.value
    assert 'role="status"' in said.value


def test_a_guess_made_before_the_widget_is_shown_in_it():
    _, radio, _, said = ask().choose(1).widget().children
    assert radio.index == 1
    assert said.value


def test_without_a_kernel_there_is_text_and_html_alone():
    assert set(ask()._repr_mimebundle_()) == {"text/plain", "text/html"}


@pytest.mark.parametrize(
    ("choices", "answer"),
    [(["one"], 0), (["a", "a"], 0), ("ab", 0), (["a", "b"], 2), (["a", "b"], "c"), (["a", "b"], True)],
)
def test_a_question_needs_choices_and_one_right_answer(choices, answer):
    with pytest.raises(ValueError, match=r"needs at least two different choices|must be 0 … 1"):
        predict("Which?", choices, answer, "because")
