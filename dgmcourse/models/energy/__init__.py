"""Energy-based models: landscapes whose valleys are likely, learned and walked in without their normalizer."""

from .composition import ComposedEnergy, Mixture, Negation, Product
from .energy_model import OBJECTIVES, EnergyModel
from .jem import JEM
from .landscape import Landscape, walk
from .normalizer import GridDensity, grid_density
from .objectives import (
    contrastive,
    denoising_score_matching,
    noise_contrastive,
    score_matching,
    sliced_score_matching,
)
from .replay import Replay

__all__ = ["JEM", "OBJECTIVES", "ComposedEnergy", "EnergyModel", "GridDensity", "Landscape", "Mixture", "Negation",
           "Product", "Replay", "contrastive", "denoising_score_matching", "grid_density", "noise_contrastive",
           "score_matching", "sliced_score_matching", "walk"]  # fmt: skip
