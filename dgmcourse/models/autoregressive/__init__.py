"""Autoregressive models: the chain rule, one entry after the other."""

from .ar import AR
from .base import Autoregressive, raster_order
from .convolutions import CausalConvolutions
from .made import MADE
from .pixelcnn import PixelCNN
from .sampling import filtered
from .transformer import Transformer

__all__ = ["AR", "MADE", "Autoregressive", "CausalConvolutions", "PixelCNN", "Transformer", "filtered", "raster_order"]
