"""Generative adversarial networks, and the objectives that their players minimize."""

from .gan import GAN, two_time_scales
from .objectives import OBJECTIVES

__all__ = ["GAN", "OBJECTIVES", "two_time_scales"]
