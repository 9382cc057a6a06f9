"""Autoregressive models: the chain rule, one entry after the other."""

from .base import Autoregressive, raster_order
from .made import MADE
from .pixelcnn import PixelCNN
from .sampling import filtered

__all__ = ["MADE", "Autoregressive", "PixelCNN", "filtered", "raster_order"]
