"""Exercises of lesson 05, in the order of the lesson. Each `gan_….py` beside this file holds two or three of them."""

from . import register
from .gan_critics import CRITIC_LOSS, PENALTY
from .gan_modes import LABELS, MODES
from .gan_objectives import DISCRIMINATOR_LOSS, GENERATOR_LOSSES, OPTIMAL
from .gan_turns import BUG

register(OPTIMAL, DISCRIMINATOR_LOSS, GENERATOR_LOSSES, MODES, CRITIC_LOSS, PENALTY, LABELS, BUG)
