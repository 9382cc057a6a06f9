"""Exercises of lesson 08, in the order of the lesson. Each `diffusion_….py` beside this file holds one to three of them."""

from . import register
from .diffusion_noising import LOSS, NOISING
from .diffusion_sampling import BUG, GUIDANCE, SPACING
from .diffusion_score import SCORE
from .diffusion_steps import DDIM, DDPM

register(NOISING, LOSS, SCORE, DDPM, DDIM, GUIDANCE, SPACING, BUG)
