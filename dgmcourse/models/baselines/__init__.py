"""Densities without a network: what every later family has to beat, and the truths it can be held to."""

from .gaussians import ClassConditionalGaussian, Gaussian
from .kernels import KernelDensity
from .pixels import IndependentPixels

__all__ = ["ClassConditionalGaussian", "Gaussian", "IndependentPixels", "KernelDensity"]
