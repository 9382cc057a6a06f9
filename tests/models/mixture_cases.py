"""Mixtures, and points for them, that the tests of densities and of EM share."""

import itertools

import pytest
import torch
from members import seeded

from dgmcourse.core import Space
from dgmcourse.models import GaussianMixture

both_covariances = pytest.mark.parametrize("covariance", ["full", "diagonal"])


def clusters(n=600, dim=3, centers=4, dtype=torch.float64, seed=0):
    """Points around a few centers, which overlap a little."""
    generator = seeded(seed)
    middles = 2.5 * torch.randn(centers, dim, generator=generator, dtype=torch.float64)
    stretch = torch.randn(dim, dim, generator=generator, dtype=torch.float64)
    chosen = torch.randint(centers, (n,), generator=generator)
    return (middles[chosen] + torch.randn(n, dim, generator=generator, dtype=torch.float64) @ stretch).to(dtype)


def random_mixture(covariance, dim=3, components=4, seed=0, **settings):
    """A mixture whose every parameter is off its default, in float64."""
    torch.manual_seed(seed)
    model = GaussianMixture(Space.real(dim), components, covariance, **settings).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=seeded(seed), dtype=parameter.dtype))
    return model


def never_falls(values, slack):
    assert min(later - earlier for earlier, later in itertools.pairwise(values)) >= -slack
