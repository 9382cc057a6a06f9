"""Fréchet and kernel distance are torchmetrics' own on the same features."""

import pytest
import torch

from dgmcourse.evaluation import frechet_distance, kernel_distance

FEATURES, POINTS = 12, 400


class Given(torch.nn.Module):
    """A feature extractor whose images are the features."""

    num_features = FEATURES

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.fixture
def sets():
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randn(FEATURES, FEATURES, generator=generator, dtype=torch.float64) / 4
    a, b = (torch.randn(POINTS, FEATURES, generator=generator, dtype=torch.float64) for _ in range(2))
    return a, 0.3 + b + b @ mixed


def told(metric, sets) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """What a metric of torchmetrics says of two sets."""
    metric.set_dtype(torch.float64)
    metric.update(sets[0], real=True)
    metric.update(sets[1], real=False)
    return metric.compute()


def test_frechet_distance(sets):
    from torchmetrics.image.fid import FrechetInceptionDistance

    theirs = float(told(FrechetInceptionDistance(feature=Given()), sets))
    assert frechet_distance(*sets) == pytest.approx(theirs, rel=1e-6)


@pytest.mark.filterwarnings("ignore:Metric .Kernel Inception Distance. will save")
def test_kernel_distance_over_the_same_subsets(sets):
    from torchmetrics.image.kid import KernelInceptionDistance

    metric = KernelInceptionDistance(feature=Given(), subsets=20, subset_size=100)
    with torch.random.fork_rng():
        torch.manual_seed(0)  # the subsets of kernel_distance(seed=0)
        theirs, _ = told(metric, sets)
    assert kernel_distance(*sets, subsets=20, subset_size=100, seed=0).value == pytest.approx(float(theirs), rel=1e-6)
