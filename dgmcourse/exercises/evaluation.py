"""Exercises of lesson 10, in the order of the lesson. Each `evaluation_….py` beside this file holds two of them."""

from . import register
from .evaluation_counts import COPYING, MANIFOLD
from .evaluation_distances import FRECHET, MMD
from .evaluation_fairness import BUG, EXTRAPOLATE
from .evaluation_tests import IMPORTANCE, TWO_SAMPLE

register(IMPORTANCE, FRECHET, BUG, EXTRAPOLATE, MMD, MANIFOLD, TWO_SAMPLE, COPYING)
