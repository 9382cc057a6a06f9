"""Normalizing flows: noise bent into data by maps that can be undone, so that every density is exact."""

from .bijection import Bijection, Inverse
from .elementary import ActNorm, Logit, Permutation, Rescale, Reverse, Scale
from .flow import Flow, log_standard_normal
from .glow import Glow
from .image_layers import CouplingNetwork, ImageCoupling, InvertibleConvolution, Part, Squeeze

__all__ = [
    "ActNorm",
    "Bijection",
    "CouplingNetwork",
    "Flow",
    "Glow",
    "ImageCoupling",
    "Inverse",
    "InvertibleConvolution",
    "Logit",
    "Part",
    "Permutation",
    "Rescale",
    "Reverse",
    "Scale",
    "Squeeze",
    "log_standard_normal",
]
