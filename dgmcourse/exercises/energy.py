"""Exercises of lesson 09, in the order of the lesson. Each `energy_….py` beside this file holds two or three of them."""

from . import register
from .energy_composed import COMPOSE, STRANGE
from .energy_contrast import CONTRASTIVE, REPLAY, TETHER
from .energy_scores import DENOISING, NOISE_CONTRAST
from .energy_walks import BUG, LANGEVIN

register(LANGEVIN, BUG, CONTRASTIVE, TETHER, REPLAY, DENOISING, NOISE_CONTRAST, COMPOSE, STRANGE)
