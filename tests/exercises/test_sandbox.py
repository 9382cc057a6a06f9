# ruff: noqa: NPY002 (global random states are among the things under attack)
"""Whatever a learner's function leaves behind, the kernel and the exercise's inputs are as they were."""

import contextlib
import random
import signal
import threading
import time
import warnings

import demo
import numpy as np
import pytest
import torch
from demo import verdict

from dgmcourse.exercises import all_exercises
from dgmcourse.exercises.engine.judging import judge


def sleeps(mean, log_var):
    time.sleep(60)


def never_ends(mean, log_var):
    while True:
        with contextlib.suppress(Exception):
            time.sleep(0.001)


@pytest.mark.parametrize("answer", [sleeps, never_ends])
def test_time_runs_out(answer):
    began = time.monotonic()
    result = verdict(answer, time_limit=0.2)
    assert "It was stopped after 0.2 s on line" in result.message
    assert time.monotonic() - began < 30  # not the sixty seconds it asked for


def test_time_runs_out_in_another_thread_too():
    results = []
    thread = threading.Thread(target=lambda: results.append(verdict(never_ends, time_limit=0.2)))
    thread.start()
    thread.join(timeout=60)
    assert "It was stopped after 0.2 s" in results[0].message


def test_the_time_limit_leaves_other_alarms_alone():
    rang = []
    previous = signal.signal(signal.SIGALRM, lambda number, frame: rang.append(number))
    signal.setitimer(signal.ITIMER_REAL, 60)
    try:
        assert verdict(demo.kl)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60
        signal.raise_signal(signal.SIGALRM)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert rang == [signal.SIGALRM]


def test_stopping_the_kernel_still_stops_it():
    def interrupted(mean, log_var):
        signal.raise_signal(signal.SIGINT)
        return demo.kl(mean, log_var)

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
    try:
        with pytest.raises(KeyboardInterrupt):
            verdict(interrupted)
    finally:
        signal.signal(signal.SIGINT, previous)


def careless(mean, log_var):
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    warnings.warn("careless", stacklevel=1)
    return torch.zeros(3)


def test_nothing_is_left_behind(capsys):
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    expected = torch.rand(3), random.random(), np.random.rand()
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    assert not verdict(careless)
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32
    assert torch.zeros(1).device.type == "cpu"
    assert torch.equal(torch.rand(3), expected[0])
    assert (random.random(), np.random.rand()) == expected[1:]
    assert capsys.readouterr() == ("", "")  # nbgrader gives no points where anything reaches stderr


def test_a_right_answer_that_is_careless_still_passes():
    def right_but_careless(mean, log_var):
        value = demo.kl(mean, log_var)
        careless(mean, log_var)
        return value

    assert verdict(right_but_careless)


def test_numpy_where_gradients_are_asked_for_gets_advice_that_helps():
    """torch itself says "use tensor.detach().numpy()", after which the gradient would be missing."""
    (exercise,) = (one for one in all_exercises() if one.name == "latent/marginal")
    for answer in (
        lambda weights, log_likelihood: np.logaddexp.reduce(weights.log() + log_likelihood.numpy(), axis=-1),
        lambda weights, log_likelihood: np.log(weights) + log_likelihood,
    ):
        message = judge(exercise, answer).message
        assert "Stay in torch, and return a tensor" in message
        assert "detach" not in message


def test_checks_work_within_no_grad_and_inference_mode():
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            assert verdict(demo.kl)
            assert not torch.is_grad_enabled()


def test_checks_do_not_depend_on_mixed_precision():
    product = demo.Exercise(
        "demo/product",
        reference=lambda a: a @ a.T,
        inputs=lambda generator: torch.randn(20, 20, generator=generator),
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert judge(product, lambda a: (a[:, None] * a).sum(-1))
        assert torch.is_autocast_enabled("cpu")


def test_inputs_that_the_exercise_keeps_are_safe():
    kept = torch.ones(4)

    def spoils(x):
        x.zero_()
        return x + 1

    exercise = demo.Exercise("demo/kept", reference=lambda x: x + 1, inputs=lambda generator: kept)
    assert "in place" not in judge(exercise, lambda x: x.add(1)).message
    assert not judge(exercise, spoils)
    assert torch.equal(kept, torch.ones(4))


def test_modules_and_lists_among_the_inputs_are_guarded():
    layer = torch.nn.Linear(2, 2)
    before = layer.weight.detach().clone()

    def spoils_layer(layer, x):
        result = layer(x[0])
        with torch.no_grad():
            layer.weight.zero_()
        return result

    def spoils_list(layer, x):
        return layer(x.pop())

    exercise = demo.Exercise(
        "demo/modules",
        reference=lambda layer, x: layer(x[0]),
        inputs=lambda generator: (layer, [torch.randn(3, 2, generator=generator)]),
    )
    assert "changes its input `layer` in place" in judge(exercise, spoils_layer).message
    assert "changes its input `x` in place" in judge(exercise, spoils_list).message
    assert torch.equal(layer.weight, before)


def test_what_is_printed_is_kept_to_its_beginning_and_does_not_disturb(capsys):
    def chatty(mean, log_var):
        print("mean has shape", tuple(mean.shape))
        print("x" * 10_000_000)
        return demo.kl(mean, log_var) + 1

    result = verdict(chatty)
    assert result.printed.startswith("mean has shape (5, 3)\nxxx")
    assert len(result.printed) < 1_000
    assert "It printed: mean has shape (5, 3)" in repr(result)
    assert capsys.readouterr().out == ""
