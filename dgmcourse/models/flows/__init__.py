"""Normalizing flows: noise bent into data by maps that can be undone, so that every density is exact."""

from .bijection import Bijection, Inverse
from .continuous import ContinuousFlow, NeuralODE, VelocityField, divergence
from .coupling import AffineCoupling, Coupling, CouplingFlow, SplineCoupling
from .elementary import ActNorm, Logit, Permutation, Rescale, Reverse, Scale
from .elementwise import Additive, Affine, RationalQuadraticSpline, rational_quadratic_spline
from .flow import Flow, log_standard_normal
from .glow import Glow
from .image_layers import CouplingNetwork, ImageCoupling, InvertibleConvolution, Part, Squeeze
from .masked import AutoregressiveFlow, Masked, MaskedAffine, MaskedSpline
from .spline import SplineFlow

__all__ = [
    "ActNorm",
    "Additive",
    "Affine",
    "AffineCoupling",
    "AutoregressiveFlow",
    "Bijection",
    "ContinuousFlow",
    "Coupling",
    "CouplingFlow",
    "CouplingNetwork",
    "Flow",
    "Glow",
    "ImageCoupling",
    "Inverse",
    "InvertibleConvolution",
    "Logit",
    "Masked",
    "MaskedAffine",
    "MaskedSpline",
    "NeuralODE",
    "Part",
    "Permutation",
    "RationalQuadraticSpline",
    "Rescale",
    "Reverse",
    "Scale",
    "SplineCoupling",
    "SplineFlow",
    "Squeeze",
    "VelocityField",
    "divergence",
    "log_standard_normal",
    "rational_quadratic_spline",
]
