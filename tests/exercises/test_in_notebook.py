"""The exercises in a real kernel: what a learner sees in a notebook's outputs."""

from pathlib import Path

import nbclient
import nbformat
import pytest

SETUP = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import demo, torch
from dgmcourse.exercises import *
register(*demo.ALL)
"""
BLANK = """\
@exercise("demo/kl")
def kl(mean, log_var):
    raise NotImplementedError  # your turn
"""
USE = "for _ in range(3):\n    kl(torch.zeros(2, 3), torch.zeros(2, 3))"
FAILS = """\
@exercise("demo/kl")
def kl(mean, log_var):
    return mean @ log_var
check(kl)
"""
PREDICT = 'predict("Which?", ["this", "that"], 0, "because")'


def run(*sources):
    """Outputs of the cells after the set-up, one list per cell."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (SETUP, *sources)])
    nbclient.NotebookClient(notebook, kernel_name="python3", allow_errors=True, timeout=120).execute()
    assert notebook.cells[0].outputs == []
    return [cell.outputs for cell in notebook.cells[1:]]


@pytest.fixture(scope="module")
def learner_outputs(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DGMCOURSE_HOME", str(tmp_path_factory.mktemp("home")))
        patched.delenv("DGMCOURSE_STRICT", raising=False)
        yield run(BLANK, "check(kl)", USE, FAILS, PREDICT, "check(demo.kl)", 'hint("demo/kl")')


def test_a_check_shows_one_line(learner_outputs):
    (shown,) = learner_outputs[1]
    assert shown.data["text/plain"].startswith("○ demo/kl: still blank.")
    assert 'role="status"' in shown.data["text/html"]


def test_the_fallback_is_told_once_though_it_is_used_three_times(learner_outputs):
    (shown,) = learner_outputs[2]
    assert shown.data["text/plain"] == "○ `kl` is still blank: from here on the course's own version is used instead."


def test_the_learners_line_is_quoted(learner_outputs):
    (shown,) = learner_outputs[3]
    assert "It stops on line 3, `return mean @ log_var`, with RuntimeError" in shown.data["text/plain"]


def test_a_prediction_is_a_widget_with_a_static_page_beside_it(learner_outputs):
    (shown,) = learner_outputs[4]
    assert "application/vnd.jupyter.widget-view+json" in shown.data
    assert "<details>" in shown.data["text/html"]


def test_a_slip_is_answered_in_one_line_without_a_traceback(learner_outputs):
    (shown,) = learner_outputs[5]
    assert shown.output_type == "error"
    assert shown.traceback == [
        'kl is not an exercise: put @exercise("demo/kl") on the line above its def, and run that cell again.'
    ]
    assert learner_outputs[6][0].data["text/plain"].startswith("Hint 1 of 3:")


def test_under_nbgrader_a_failed_check_is_an_error_of_one_line_and_predictions_are_static(monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    _, (checked,), (used,), (failed,), (predicted,) = run(BLANK, "check(kl)", USE, FAILS, PREDICT)
    for error in (checked, used, failed):
        assert error.output_type == "error"
        assert len(error.traceback) == 1
    assert set(predicted.data) == {"text/plain", "text/html"}
