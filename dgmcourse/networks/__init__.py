"""Networks that the models are made of: no model knows another's."""

from .conditions import one_hot
from .convolutional import ConvDecoder, ConvEncoder
from .dense import ACTIVATIONS, MLP

__all__ = ["ACTIVATIONS", "MLP", "ConvDecoder", "ConvEncoder", "one_hot"]
