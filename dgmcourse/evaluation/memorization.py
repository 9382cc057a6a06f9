"""Does a model return its training examples? A test of three sets: samples, training examples, and fresh ones."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .points import checked_points

__all__ = ["MemorizationTest", "memorization_test"]

_NEAR = 0.05  # share of fresh examples that lie as near to a training example as what is called a copy


class MemorizationTest(NamedTuple):
    """How near a model's samples lie to the training examples, beside fresh examples.

    Attributes:
        z: below 0, samples lie nearer than fresh examples do (copies); above 0, farther (blur, noise, other faults);
            standard normal for a model that samples the true distribution.
        p_value: how often z is as low or lower for such a model, one-sided.
        copied: the estimated share of samples that are copies, or nearly so.
    """

    z: float
    p_value: float
    copied: float

    def alarm(self, level: float = 0.01) -> bool:
        """Whether samples lie nearer than chance allows but for this share of cases."""
        return self.p_value < level

    def __str__(self):
        return f"z = {self.z:.1f}, p = {self.p_value:.2g}, about {self.copied:.0%} copied"


def memorization_test(
    samples: Tensor, train: Tensor, test: Tensor, cells: int = 1, seed: int = 0, block: int = 500
) -> MemorizationTest:
    """Compare how far samples and fresh examples lie from their nearest training example, by ranks (Mann–Whitney):

        U = Σ_ij 1[d(sample_i) > d(test_j)] + ½ 1[equal],   z = (U − n m / 2) / σ,   P(z) → N(0, 1) if both are alike

    with σ² = n m (n + m + 1) / 12, less what ties take away. Where a model copies in one region and blurs in another,
    both cancel out: with cells, k-means on the training examples divides space, and the z of the cells are added,
    weighted by the share of fresh examples in each, and scaled to unit variance.

    Copies are estimated by the distance d* within which 5 % of the fresh examples lie (F(d*), with ties): if a share c
    of the samples are copies and the others are fresh, F_samples(d*) = c + (1 − c) F(d*), which is solved for c.

    Meehan, Chaudhuri & Dasgupta, "A Non-Parametric Test to Detect Data-Copying in Generative Models", 2020,
    https://arxiv.org/abs/2004.05675; there, distances within a cell are to its own training examples, here to all.

    Args:
        samples: the model's, (n, d).
        train: what it was trained on, (l, d).
        test: fresh examples, drawn *as train was*, (m, d). Digits by other writers lie farther from train than those by
            the same writers would, and make an honest model of the latter look like a copyist: hold out a part of train.
        cells: how many regions; 1 for the whole space.
        seed: of k-means.
        block: how many points are compared with all of train at a time.

    Raises:
        ValueError: the sets are not so, or more cells than training examples.
    """
    samples, train, test = checked_points(samples=samples, train=train, test=test)
    if not 1 <= cells <= len(train):
        raise ValueError(f"cells must be 1 to {len(train)}, the number of training examples, got {cells}")
    near, fresh = (_nearest(x, train, block) for x in (samples, test))
    limit = fresh.quantile(_NEAR, interpolation="higher")
    below, expected = ((float((d <= limit).double().mean())) for d in (near, fresh))
    copied = max(0.0, (below - expected) / (1 - expected)) if expected < 1 else 0.0
    regions = _regions(train, (samples, test), cells, seed)
    total, squares = 0.0, 0.0
    for cell in range(cells):
        inside = [d[region == cell] for d, region in zip((near, fresh), regions, strict=True)]
        weight = len(inside[1]) / len(fresh) if len(inside[0]) else 0.0
        if weight:
            total, squares = total + weight * _rank_z(*inside), squares + weight**2
    z = total / math.sqrt(squares) if squares else 0.0
    return MemorizationTest(z, 0.5 * math.erfc(-z / math.sqrt(2)), copied)


def _nearest(x: Tensor, train: Tensor, block: int) -> Tensor:
    """The distance of each x to the nearest training example, from differences: that of a copy is 0."""
    parts = [(part, torch.cdist(part, train).argmin(1)) for part in x.split(block)]
    return torch.cat([torch.linalg.vector_norm(part - train[index], dim=1) for part, index in parts])


def _regions(train: Tensor, sets: tuple[Tensor, ...], cells: int, seed: int) -> list[Tensor]:
    """The cell of each point of each set."""
    if cells == 1:
        return [torch.zeros(len(x), dtype=torch.int64, device=x.device) for x in sets]
    from sklearn.cluster import KMeans

    found = KMeans(cells, n_init=3, random_state=seed).fit(train.cpu().numpy())
    centers = torch.from_numpy(found.cluster_centers_).to(train)
    return [torch.cdist(x, centers).argmin(1) for x in sets]


def _rank_z(a: Tensor, b: Tensor) -> float:
    """Mann and Whitney's U of a over b, standardized with ties: below 0 if a is smaller; 0 if all are equal."""
    n, m = len(a), len(b)
    _, place, ties = torch.cat([a, b]).unique(return_inverse=True, return_counts=True)
    ties = ties.double()
    ranks = ties.cumsum(0) - (ties - 1) / 2  # the mean rank of equals
    u = float(ranks[place[:n]].sum()) - n * (n + 1) / 2
    tied = float((ties**3 - ties).sum()) / ((n + m) * (n + m - 1))
    variance = n * m / 12 * (n + m + 1 - tied)
    return (u - n * m / 2) / math.sqrt(variance) if variance > 1e-9 * n * m else 0.0
