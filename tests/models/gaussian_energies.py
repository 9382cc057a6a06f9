"""Energy models that are Gaussians: what a linear network makes of the bowl, with everything known in closed form."""

import math

import torch

from dgmcourse.core import Space
from dgmcourse.models.energy import EnergyModel


def gaussian_model(space=None, slope=0.5, offset=0.7, reference=1.5, **settings):
    """E = a·u + b + ½‖u‖²/r², with a = slope · (1, −1, 1, …): the points are N(−r² a, r² I)."""
    model = EnergyModel(space or Space.real(2), hidden=(), reference=reference, **settings)
    signs = 1.0 - 2.0 * (torch.arange(model.space.dim) % 2)
    with torch.no_grad():
        model.network[-1].weight.copy_(slope * signs[None])
        model.network[-1].bias.fill_(offset)
    return model


def mean_of_points(model):
    """−r² a, (dim,)."""
    return -(model.reference**2) * model.network[-1].weight[0].detach()


def log_partition_of_points(model):
    """½ d ln 2πr² − b + ½ r² ‖a‖², nats."""
    a, b = model.network[-1].weight.detach(), float(model.network[-1].bias.detach())
    variance = model.reference**2
    return 0.5 * model.space.dim * math.log(2 * math.pi * variance) - b + 0.5 * variance * float(a.square().sum())
