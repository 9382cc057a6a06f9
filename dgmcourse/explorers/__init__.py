"""Widgets that let a hand move what a lesson speaks of. Each falls back on a still picture where no widget can run."""

from .interpolation import InterpolationStrip
from .latent_pad import LatentPad, LatentPlane
from .latent_sliders import LatentSliders
from .model_dial import ModelDial
from .trajectory_player import TrajectoryPlayer

__all__ = ["InterpolationStrip", "LatentPad", "LatentPlane", "LatentSliders", "ModelDial", "TrajectoryPlayer"]
