"""Precision, recall, density and coverage against their definition and against the package of those who proposed two of them."""

import contextlib
import io

import numpy as np
import pytest
import torch
from prdc import compute_prdc

from dgmcourse.evaluation import ManifoldScores, manifold_scores, neighbor_radii
from dgmcourse.evaluation.neighbors import _Bounds


def normal(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_definition(real: torch.Tensor, fake: torch.Tensor, neighbors: int) -> tuple[float, ...]:
    """Every pair, from differences, in float64; squared, so that whole numbers are compared exactly."""

    def squared(x, y):
        return (x.double()[:, None] - y.double()).square().sum(-1)

    def radii(x):
        return squared(x, x).fill_diagonal_(torch.inf).sort(1).values[:, neighbors - 1]

    between = squared(real, fake)
    in_real, in_fake = between < radii(real)[:, None], between < radii(fake)
    shares = (in_real.any(0), in_fake.any(1), in_real.sum(0).double() / neighbors, in_real.any(1))
    return tuple(float(share.double().mean()) for share in shares)


def by_prdc(real: torch.Tensor, fake: torch.Tensor, neighbors: int) -> tuple[float, ...]:
    with contextlib.redirect_stdout(io.StringIO()):
        found = compute_prdc(real.double().numpy(), fake.double().numpy(), neighbors)
    return tuple(float(found[name]) for name in ManifoldScores._fields)


@pytest.mark.parametrize(
    ("n", "m", "d", "neighbors"), [(300, 200, 8, 5), (40, 400, 2, 3), (7, 9, 3, 1), (500, 500, 50, 5)]
)
def test_they_are_their_definition_and_what_prdc_finds(n, m, d, neighbors):
    real, fake = normal(n, d, 0), normal(m, d, 1) * 0.8 + 0.1
    found = manifold_scores(real, fake, neighbors)
    assert found == pytest.approx(by_definition(real, fake, neighbors), abs=1e-12)
    assert found == pytest.approx(by_prdc(real, fake, neighbors), abs=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ties_and_duplicates_count_as_prdc_counts_them(seed):
    """Points on a small grid of whole numbers: many coincide, and many lie exactly on the border of a ball."""
    generator = torch.Generator().manual_seed(seed)
    real, fake = (torch.randint(0, 3, (n, 4), generator=generator).float() for n in (250, 180))
    found = manifold_scores(real, fake, 5)
    assert found == pytest.approx(by_definition(real, fake, 5), abs=1e-12)
    assert found == pytest.approx(by_prdc(real, fake, 5), abs=1e-12)


def test_binary_images_lie_on_borders_too():
    generator = torch.Generator().manual_seed(3)
    real, fake = ((torch.rand(n, 64, generator=generator) < 0.2).float() for n in (400, 300))
    assert manifold_scores(real, fake, 3) == pytest.approx(by_prdc(real, fake, 3), abs=1e-12)


@pytest.mark.parametrize("block", [1, 64, 10_000])
def test_blocks_change_nothing(block):
    real, fake = normal(230, 6, 4), normal(170, 6, 5)
    assert manifold_scores(real, fake, 4, block=block) == manifold_scores(real, fake, 4)


@pytest.mark.parametrize(("scale", "shift"), [(1e-12, 0.0), (1e12, 0.0), (1.0, 1e6)])
def test_units_and_the_origin_change_nothing(scale, shift):
    real, fake = normal(300, 10, 6), normal(300, 10, 7) * 1.1
    assert manifold_scores(real * scale + shift, fake * scale + shift) == manifold_scores(real, fake)


@pytest.mark.parametrize("width", [1e-1, 1e-5, 1e-9])
def test_clusters_too_far_apart_for_float32_are_told_from_inside(width):
    """Two clouds, one of them narrow, at a distance of 1e3: the narrowest is a point to a product of float64 too."""
    real = torch.cat([normal(200, 5, 8), 1e3 + width * normal(200, 5, 9)])
    fake = torch.cat([1.2 * normal(150, 5, 10), 1e3 + 1.2 * width * normal(150, 5, 11)])
    assert manifold_scores(real, fake) == pytest.approx(by_definition(real, fake, 5), abs=1e-12)


def test_a_model_that_makes_one_point_is_precise_and_recalls_nothing():
    real = normal(400, 4, 12)
    fake = real.mean(0).expand(300, 4).clone()
    found = manifold_scores(real, fake)
    assert found == pytest.approx(by_definition(real, fake, 5), abs=1e-12)
    assert (found.precision, found.recall) == (1, 0)
    assert found.density > 1


def test_the_training_set_itself_has_density_one_of_its_neighbors():
    """Each ball holds its center and neighbors − 1 others: the border is outside."""
    real = torch.randint(-1000, 1000, (300, 6), generator=torch.Generator().manual_seed(13)).double()
    assert manifold_scores(real, real.flip(0)) == (1, 1, 1, 1)


def test_one_distribution_has_density_one_and_the_known_coverage():
    """Coverage of n points by m of the same distribution: 1 − P(none of the k nearest of both is fake), ½ each, k = 5."""
    found = [manifold_scores(normal(500, 3, 2 * i), normal(500, 3, 2 * i + 1)) for i in range(20)]
    density, coverage = (np.array([getattr(one, name) for one in found]) for name in ("density", "coverage"))
    assert abs(density.mean() - 1) < 3 * density.std(ddof=1) / np.sqrt(20)
    exact = 1 - np.prod([(499 - i) / (999 - i) for i in range(5)])
    assert abs(coverage.mean() - exact) < 3 * coverage.std(ddof=1) / np.sqrt(20)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("d", "shift", "width"), [(1, 0.0, 1.0), (200, 30.0, 1.0), (7, 0.0, 1e-4)])
def test_bounds_of_distances_hold(dtype, d, shift, width):
    """Below the exact squared distance, and not farther below than the error that is told; for points of all sizes."""
    x = normal(150, d, 17) * torch.logspace(-3, 3, 150)[:, None].double() + shift
    y = torch.cat([x[:70] + width * normal(70, d, 18), normal(40, d, 19)])
    bounds = _Bounds(x, y, dtype, pad=16)
    low = torch.cat([bounds.block(start, 64).clone() for start in range(0, 150, 64)]).double()
    exact = (x[:, None] - y).square().sum(-1) / bounds.scale**2
    assert low.shape == (150, 112)
    assert float(low[:, 110:].min()) > 1e29
    low = low[:, :110]
    rounding = 1 + 1e-12  # of what is called exact
    assert bool((low <= exact * rounding).all())
    assert bool((exact <= (low + bounds.row_errors[:, None] + bounds.column_errors) * (1 + 2.0**-19)).all())


def test_radii_are_sorted_distances():
    x = torch.cat([normal(200, 3, 14), normal(200, 3, 14)[:50]])
    right = torch.linalg.vector_norm(x[:, None] - x, dim=-1).fill_diagonal_(torch.inf).sort(1).values[:, 1]
    assert torch.allclose(neighbor_radii(x, 2), right, rtol=1e-12)
    assert float(neighbor_radii(torch.zeros(20, 2), 3).max()) == 0


def test_reduced_precision_of_products_changes_nothing():
    real, fake = normal(300, 20, 15), normal(200, 20, 16)
    right = manifold_scores(real, fake)
    torch.set_float32_matmul_precision("medium")
    try:
        assert manifold_scores(real, fake) == right
    finally:
        torch.set_float32_matmul_precision("highest")


def test_what_cannot_be_measured_is_said():
    x = normal(10, 2, 0)
    with pytest.raises(ValueError, match=r"fake must be points \(n, d\) with n ≥ 6, got \(5, 2\)"):
        manifold_scores(x, x[:5])
    with pytest.raises(ValueError, match="neighbors must be at least 1, got 0"):
        manifold_scores(x, x, 0)
    assert "coverage 1.000" in str(manifold_scores(x, x + 1e-9, 3))
