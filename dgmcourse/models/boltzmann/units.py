"""What layers of binary units have in common, in deep belief networks and deep Boltzmann machines."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["coins", "log_bernoulli", "sigmoid_network"]


def coins(p: Tensor) -> Tensor:
    """Zeros and ones with P(1) = p."""
    return (torch.rand_like(p) < p).to(p.dtype)


def log_bernoulli(h: Tensor, log_odds: Tensor) -> Tensor:
    """log of the probability of binary units: two (batch, units) -> (batch,), nats."""
    return (h * log_odds - F.softplus(log_odds)).sum(-1)


def sigmoid_network(sizes: Sequence[int], classes: int) -> nn.Sequential:
    """Sigmoid layers and a linear one, with weights from ±√(6 / (inputs + outputs)), four times that below a sigmoid.

    Bengio, "Practical recommendations for gradient-based training of deep architectures", 2012,
    https://arxiv.org/abs/1206.5533
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.Sigmoid()]
        nn.init.xavier_uniform_(layers[-2].weight, gain=4.0)
        nn.init.zeros_(layers[-2].bias)
    layers.append(nn.Linear(sizes[-1], classes))
    nn.init.xavier_uniform_(layers[-1].weight)
    nn.init.zeros_(layers[-1].bias)
    return nn.Sequential(*layers)
