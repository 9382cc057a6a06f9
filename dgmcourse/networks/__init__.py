"""Networks that the models are made of: no model knows another's."""

from .attention import CausalSelfAttention, KeyValueCache, TransformerBlock
from .conditions import one_hot
from .convolutional import ConvDecoder, ConvEncoder
from .dense import ACTIVATIONS, MLP
from .initial import he_initialized
from .masked import MaskedLinear, MaskedMLP, autoregressive_masks
from .masked_convolution import MaskedConvolution, causal_mask
from .processes import mean_over_processes
from .spectral import SpectralNorm, spectrally_normalized

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "CausalSelfAttention",
    "ConvDecoder",
    "ConvEncoder",
    "KeyValueCache",
    "MaskedConvolution",
    "MaskedLinear",
    "MaskedMLP",
    "SpectralNorm",
    "TransformerBlock",
    "autoregressive_masks",
    "causal_mask",
    "he_initialized",
    "mean_over_processes",
    "one_hot",
    "spectrally_normalized",
]
