"""Normalizing flows: noise bent into data by maps that can be undone, so that every density is exact."""

from .bijection import Bijection, Inverse
from .elementary import ActNorm, Logit, Permutation, Rescale, Reverse, Scale
from .flow import Flow, log_standard_normal

__all__ = [
    "ActNorm",
    "Bijection",
    "Flow",
    "Inverse",
    "Logit",
    "Permutation",
    "Rescale",
    "Reverse",
    "Scale",
    "log_standard_normal",
]
