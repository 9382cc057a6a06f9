"""Exercises of lesson 01, in the order of the lesson. Each `intro_….py` beside this file holds two of them."""

from . import register
from .intro_divergence import BAYES, GAUSSIAN_KL
from .intro_judging import BUG, LEAVE_ONE_OUT
from .intro_likelihood import BITS_PER_DIM, GAUSSIAN_MLE
from .intro_tables import BERNOULLI, INVERSE_CDF

register(INVERSE_CDF, BERNOULLI, BITS_PER_DIM, GAUSSIAN_MLE, GAUSSIAN_KL, BAYES, LEAVE_ONE_OUT, BUG)
