"""Autoregressive models: the chain rule, one entry after the other."""

from .base import Autoregressive, raster_order
from .sampling import filtered

__all__ = ["Autoregressive", "filtered", "raster_order"]
