"""`@exercise` and `check` as a lesson uses them: blanks, wrong and right answers, cells run twice, strict mode."""

import inspect
import json
import logging

import demo
import pytest
import torch

from dgmcourse.exercises import (
    BlankAnswer,
    NotAnExercise,
    UnknownExercise,
    WrongAnswer,
    check,
    exercise,
    find,
    hint,
    register,
)


@pytest.fixture(autouse=True)
def registered():
    register(*demo.ALL)


@pytest.fixture
def notes():
    """The lines that the learner is told, outside a notebook through the log."""
    lines, handler, logger = [], logging.Handler(), logging.getLogger("dgmcourse.exercises")
    handler.emit = lambda record: lines.append(record.getMessage())
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(level)


def define(body, name="demo/kl"):
    """What running the learner's cell does."""
    return exercise(name)(body)


def blank(mean, log_var):
    """The docstring of the lesson."""
    raise NotImplementedError  # your turn


def right(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)


INPUTS = demo.mean_and_log_var(torch.Generator().manual_seed(7))


def test_a_blank_falls_back_with_one_line(notes):
    answer = define(blank)
    for _ in range(3):
        assert torch.equal(answer(*INPUTS), demo.kl(*INPUTS))
    assert notes == ["○ `blank` is still blank: from here on the course's own version is used instead."]
    assert check(answer).status == "blank"


def test_a_wrong_answer_falls_back_and_says_so_even_when_it_was_never_checked(notes):
    answer = define(demo.kl_averaged)
    assert torch.equal(answer(*INPUTS), demo.kl(*INPUTS))
    assert notes == [
        "✗ `kl_averaged` does not pass its check yet: from here on the course's own version is used instead."
    ]
    assert "Sum over the latents" in check(answer).message
    answer(*INPUTS)
    assert len(notes) == 1


def test_a_right_answer_is_used_itself(notes):
    calls = []

    def counted(mean, log_var):
        calls.append(mean)
        return right(mean, log_var)

    answer = define(counted)
    assert check(answer)
    before = len(calls)
    answer(*INPUTS)
    answer(mean=INPUTS[0], log_var=INPUTS[1])
    assert len(calls) == before + 2
    assert notes == []
    with pytest.raises(TypeError):
        answer(INPUTS[0])


def test_it_looks_like_the_learners_function():
    answer = define(blank)
    assert answer.__name__ == "blank"
    assert answer.__doc__ == "The docstring of the lesson."
    assert list(inspect.signature(answer).parameters) == ["mean", "log_var"]


def test_an_error_in_an_unchecked_answer_does_not_stop_the_cells_below(notes):
    answer = define(lambda mean, log_var: mean @ log_var)
    assert torch.equal(answer(*INPUTS), demo.kl(*INPUTS))
    assert len(notes) == 1


def test_cells_may_run_twice_and_out_of_order(notes):
    old = define(demo.kl_averaged)
    assert not check(old)
    new = define(right)
    assert check(new)
    assert check("demo/kl")
    assert torch.equal(new(*INPUTS), right(*INPUTS))
    assert not check(old)
    again = define(demo.kl_averaged)
    assert check("demo/kl").status == "wrong"
    again(*INPUTS)
    assert len(notes) == 1


def test_an_answer_may_call_itself_by_name():
    def summed_recursively(mean, log_var):
        if mean.shape[1] == 1:
            return right(mean, log_var)
        first = right(mean[:, :1], log_var[:, :1])
        return first + holder[0](mean[:, 1:], log_var[:, 1:])

    holder = [define(summed_recursively)]
    assert check(holder[0])
    assert torch.allclose(holder[0](*INPUTS), demo.kl(*INPUTS))


def test_an_answer_may_use_another_blank_answer(notes):
    inner = define(blank)
    outer = define(lambda energies: demo.softmax(energies) + 0 * inner(*INPUTS).sum(), "demo/boltzmann")
    assert check(outer)
    assert len(notes) == 1


def test_results_do_not_depend_on_checks():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    answer = define(demo.reparameterize_by_columns, "demo/reparameterize")
    assert check(answer)
    assert torch.equal(torch.rand(4), expected)


def test_an_untouched_bug_hunt_is_seen_as_such(notes):
    hunted = define(demo.free_energy_with_bug, "demo/free_energy")
    result = check(hunted)
    assert result.status == "blank"
    assert repr(result).startswith("○ demo/free_energy: The bug is still there: which states")
    inputs = demo.BUG_HUNT.inputs(torch.Generator().manual_seed(0))
    assert torch.equal(hunted(*inputs), demo.free_energy(*inputs))
    assert notes == [
        "○ The bug is still in `free_energy_with_bug`: from here on the course's mended version is used instead."
    ]
    assert check(define(demo.free_energy, "demo/free_energy"))


def test_a_class_can_be_an_exercise(notes):
    @exercise("demo/shift")
    class Mine(torch.nn.Module):
        def __init__(self, size):
            super().__init__()
            self.by = torch.nn.Parameter(torch.ones(size))

        def forward(self, x):
            raise NotImplementedError  # your turn

    assert check(Mine).status == "blank"
    assert torch.equal(Mine(2)(torch.zeros(2)), torch.ones(2))
    assert len(notes) == 1
    assert check(define(demo.ShiftWritten, "demo/shift"))


def test_strict_mode_has_no_fallback(monkeypatch, learner):
    for name, value in (("DGMCOURSE_STRICT", "1"), ("NBGRADER_EXECUTION", "autograde")):
        with monkeypatch.context() as patched:
            patched.setenv(name, value)
            with pytest.raises(BlankAnswer, match="demo/kl: still blank"):
                check(define(blank))
            with pytest.raises(BlankAnswer):
                define(blank)(*INPUTS)
            wrong = define(demo.kl_averaged)
            with pytest.raises(WrongAnswer, match="Sum over the latents") as caught:
                check(wrong)
            assert caught.value._render_traceback_() == [repr(caught.value.result)]
            assert isinstance(caught.value, AssertionError)
            assert torch.equal(wrong(*INPUTS), demo.kl_averaged(*INPUTS))
            assert repr(check(define(right))) == "✅ demo/kl: correct."
            with pytest.raises(KeyError, match="own"):
                define(lambda mean, log_var: {}["own"])(*INPUTS)
    assert not learner.exists()  # grading and building leave the learner's file alone


def test_strict_mode_is_off_when_it_is_switched_off(monkeypatch):
    monkeypatch.setenv("DGMCOURSE_STRICT", "0")
    assert check(define(blank)).status == "blank"


def test_what_is_no_exercise_is_told_so():
    with pytest.raises(NotAnExercise, match='put @exercise\\("demo/kl"\\) on the line above its def'):
        check(demo.kl)
    with pytest.raises(NotAnExercise, match=r"check\(f\), not check\(f\(x\)\)"):
        check(demo.kl(*INPUTS))
    with pytest.raises(NotAnExercise, match="above a function"):
        exercise("demo/kl")(3)
    with pytest.raises(NotAnExercise, match="has no answer yet"):
        check("demo/kl")


@pytest.mark.parametrize("wrong", ["demo/k", "kl", "vea/kl", "demo/KL"])
def test_an_unknown_name_lists_close_ones(wrong):
    for look in (exercise, hint, find):
        with pytest.raises(UnknownExercise, match=r"Did you mean .*'demo/kl'"):
            look(wrong)


def test_hints_come_one_by_one_then_the_solution():
    shown = [repr(hint("demo/kl")) for _ in range(5)]
    assert shown[:3] == [f"Hint {number} of 3: {text}" for number, text in enumerate(demo.HINTS, 1)]
    assert "solutions/04_demo.ipynb" in shown[3]
    assert shown[4] == shown[3]
    assert repr(hint("demo/kl", 2)) == "Hint 2 of 3: Which term is a variance?"
    with pytest.raises(ValueError, match="hints 1 to 3, got 4"):
        hint("demo/kl", 4)
    assert repr(hint(define(blank, "demo/boltzmann"))).startswith("Hint 1 of 3")


def test_what_is_shown_is_plain_text_or_accessible_html():
    wrong, correct = check(define(demo.kl_averaged)), check(define(right))
    assert repr(correct) == "✅ demo/kl: correct."
    assert repr(wrong) == ('✗ demo/kl: Sum over the latents: a KL of independent parts is a sum, not a mean. '
                           'Stuck? hint("demo/kl")')  # fmt: skip
    for result in (wrong, correct):
        page = result._repr_html_()
        assert 'role="status"' in page
        assert "color" not in page.replace("border-left", "")
        assert repr(check("demo/kl")) == repr(check("demo/kl"))
    escaped = check(define(lambda mean, log_var: {}["<script>"]))._repr_html_()
    assert "<script>" not in escaped


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda m, v: m + (0.5 * v).exp() * torch.randn(m.shape[-1]), "does one noise number serve several entries?"),
        (lambda m, v: m + (0.2 * v).exp() * torch.randn(3, 5).T, "the standard deviation at ["),
        (lambda m, v: 1.5 * m + (0.5 * v).exp() * torch.randn(3, 5).T, "the mean at [0, 0] is"),
        (lambda m, v: m + (0.5 * v).exp() * torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), "fresh noise"),
        (lambda m, v: (m + (0.5 * v).exp() * torch.randn(3, 5).T).detach(), "not differentiable"),
        (lambda m, v: m + (0.5 * v).exp().detach() * torch.randn(3, 5).T, "but the gradient is not: "),
        (lambda m, v: torch.normal(m, (0.5 * v).exp().detach()), "its mean is 0, expected"),
        (lambda m, v: m + (0.5 * v).exp() * torch.randn(3, 5).T, ""),
        (lambda m, v: m.add_((0.5 * v).exp() * torch.randn(3, 5).T), "changes its input `m` in place"),
        (lambda m, v: m + torch.randn(3, 5).T * v.exp(), "The noise is scaled by the variance; scale it by σ."),
        (lambda m, v: torch.distributions.Normal(m, v.exp().sqrt()).rsample(), ""),
    ],
)  # fmt: skip
def test_random_answers_are_judged_by_their_distribution(answer, words):
    result = check(define(answer, "demo/reparameterize"))
    assert bool(result) is (words == "")
    assert words in result.message


def test_a_broken_property_explains_itself():
    halves = check(define(lambda energies: 0.5 * demo.softmax(energies), "demo/boltzmann"))
    assert "Probabilities must sum to 1; yours sum to 0.5." in halves.message
    negative = check(define(lambda energies: -energies, "demo/boltzmann"))
    assert "Probabilities are never negative" in negative.message
    folded = check(define(lambda x, scale: (x * scale).square(), "demo/squash"))
    assert "going forward and back again misses the input" in folded.message
    assert check(define(lambda x, scale: (x * scale).tanh(), "demo/squash"))


def test_registering():
    register(demo.KL)  # again, as a reloaded module does
    other = demo.Exercise("demo/kl", reference=torch.zeros_like, inputs=lambda generator: torch.zeros(1))
    with pytest.raises(ValueError, match="registered by both"):
        register(other)
    with pytest.raises(TypeError, match="takes Exercise objects"):
        register("demo/kl")
    for wrong, words in (
        ({"name": "kl"}, "'family/task'"),
        ({"difficulty": 4}, "difficulty must be"),
        ({"hints": "one"}, "several strings"),
        ({"inputs": (1, 2)}, "inputs must be a function"),
        ({"compare": False}, "needs at least one property"),
        ({"bug_hunt": True}, "shipped bug"),
    ):
        options = {"name": "demo/new", "reference": demo.kl, "inputs": demo.mean_and_log_var} | wrong
        with pytest.raises((TypeError, ValueError), match=words):
            demo.Exercise(**options)


def test_progress_is_noted_by_checks_alone(learner):
    define(right)(*INPUTS)  # a silent check
    check(define(blank))
    assert not learner.exists()
    check(define(right))
    check(define(torch.softmax, "demo/boltzmann"))
    kept = json.loads((learner / "progress.json").read_text())
    assert kept["exercises"] == {"demo/kl": {"status": "done"}, "demo/boltzmann": {"status": "tried"}}
