"""Weights to start from."""

import math

from torch import nn

__all__ = ["he_initialized"]


def he_initialized(network: nn.Module, slope: float = 0.2) -> nn.Module:
    """The same network with weights ~ N(0, 2 / ((1 + slope²) · n)), n the inputs that one output sums, and no biases.

    Signals keep their size from layer to layer under a rectifier whose slope below zero is `slope`. Torch's own start
    shrinks them by about √6 a layer, which a game of few updates has no time to make good.
    He, Zhang, Ren & Sun, "Delving deep into rectifiers", 2015, https://arxiv.org/abs/1502.01852, equation 15

    Args:
        network: its linear, convolutional and transposed convolutional layers are drawn anew.
        slope: of the activation, below zero.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            summed = layer.weight[0].numel()
            if isinstance(layer, nn.ConvTranspose2d):  # (inputs, outputs, height, width), spread over stride² outputs
                summed = layer.weight[:, 0].numel() / math.prod(layer.stride)
            nn.init.normal_(layer.weight, std=math.sqrt(2 / ((1 + slope**2) * summed)))
            nn.init.zeros_(layer.bias)
    return network
