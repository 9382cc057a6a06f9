"""Widgets that let a hand move what a lesson speaks of. Each falls back on a still picture where no widget can run."""

from .denoising_player import DenoisingPlayer
from .em_stepper import EMStepper
from .energy_landscape import EnergyLandscape
from .filter_wall import FilterWall
from .fit_by_hand import FitByHand
from .flow_morph import FlowMorph
from .gan_game import GanGame
from .interpolation import InterpolationStrip
from .latent_pad import LatentPad, LatentPlane
from .latent_sliders import LatentSliders
from .latent_walk import LatentWalk
from .model_dial import ModelDial
from .next_token import NextToken
from .noising import Noising
from .scoreboard_explorer import ScoreboardExplorer
from .trajectory_player import TrajectoryPlayer

__all__ = [
    "DenoisingPlayer",
    "EMStepper",
    "EnergyLandscape",
    "FilterWall",
    "FitByHand",
    "FlowMorph",
    "GanGame",
    "InterpolationStrip",
    "LatentPad",
    "LatentPlane",
    "LatentSliders",
    "LatentWalk",
    "ModelDial",
    "NextToken",
    "Noising",
    "ScoreboardExplorer",
    "TrajectoryPlayer",
]
