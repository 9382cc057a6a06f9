"""Exercises: blanks that are checked at once, and fall back to the course's own answer until they are right.

A lesson uses `exercise`, `check`, `hint`, `predict` and `progress`:

    @exercise("vae/kl")
    def kl_to_standard_normal(mean, log_var):
        raise NotImplementedError  # your turn

    check(kl_to_standard_normal)

A file of exercises (one per family, in this folder) makes `Exercise` objects and passes them to `register`;
`tests/exercises/test_every_exercise.py` then holds each to `verify`.
"""

from .engine.answers import NotAnExercise, check, exercise
from .engine.hints import hint
from .engine.predictions import Prediction, predict
from .engine.progress import progress
from .engine.properties import invertible, sums_to_one
from .engine.registry import Exercise, Mistake, UnknownExercise, all_exercises, find, register
from .engine.results import BlankAnswer, NotPassed, Result, WrongAnswer, strict
from .engine.verifying import verify

__all__ = [
    "BlankAnswer",
    "Exercise",
    "Mistake",
    "NotAnExercise",
    "NotPassed",
    "Prediction",
    "Result",
    "UnknownExercise",
    "WrongAnswer",
    "all_exercises",
    "check",
    "exercise",
    "find",
    "hint",
    "invertible",
    "predict",
    "progress",
    "register",
    "strict",
    "sums_to_one",
    "verify",
]
