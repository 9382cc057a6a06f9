"""Every exercise keeps its promises: the reference passes, each known mistake is met with its own message."""

import dataclasses

import demo
import pytest
import torch

from dgmcourse.exercises import Mistake, all_exercises, verify
from dgmcourse.exercises.engine.progress import LESSONS

COURSE = all_exercises()


@pytest.mark.parametrize("exercise", COURSE + demo.ALL, ids=lambda exercise: exercise.name)
def test_keeps_its_promises(exercise):
    verify(exercise)


def test_each_belongs_to_a_lesson_of_the_course():
    for exercise in COURSE:
        number, _, topic = exercise.lesson.partition("_")
        assert number.rstrip("b") in LESSONS, exercise
        assert topic, exercise


@pytest.mark.parametrize(
    ("spoilt", "complaint"),
    [
        ({"hints": ("one", "two")}, "three different hints"),
        ({"mistakes": demo.KL.mistakes[:2]}, "three known mistakes"),
        ({"alternatives": ()}, "needs an alternative"),
        ({"alternatives": (demo.kl_averaged,)}, "the right answer kl_averaged fails"),
        ({"reference": lambda mean, log_var: demo.kl(mean, log_var) + torch.rand(())}, "fails"),
        ({"mistakes": [*demo.KL.mistakes, Mistake(demo.kl, "Wrong.")]}, "the mistake kl is met with ✅"),
        ({"lesson": ""}, "stem of its lesson"),
    ],
)
def test_verify_finds_what_is_amiss(spoilt, complaint):
    with pytest.raises(AssertionError, match=complaint):
        verify(dataclasses.replace(demo.KL, **spoilt))
