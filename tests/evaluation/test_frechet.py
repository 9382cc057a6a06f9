"""Fréchet distances against closed forms and scipy's matrix square root; their bias against its known expectation."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from dgmcourse.evaluation import (
    expected_frechet_bias,
    frechet_distance,
    gaussian_frechet_distance,
    unbiased_frechet_distance,
)


def by_square_root(a: torch.Tensor, b: torch.Tensor) -> float:
    """The definition, with scipy's matrix square root of the product of the covariances."""
    a, b = a.double().numpy(), b.double().numpy()
    cov_a, cov_b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    means = np.square(a.mean(0) - b.mean(0)).sum()
    return float(means + np.trace(cov_a) + np.trace(cov_b) - 2 * np.trace(sqrtm(cov_a @ cov_b)).real)


def correlated(n: int, d: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=generator, dtype=torch.float64)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) @ mixing + seed


def test_gaussians_on_a_line_are_as_far_as_their_means_and_deviations():
    found = gaussian_frechet_distance(*map(torch.tensor, ([1.0], [[4.0]], [-2.0], [[0.25]])))
    assert found == pytest.approx(9 + 1.5**2, rel=1e-12)


def test_in_the_plane_the_trace_of_the_root_is_known():
    """tr M^½ = (tr M + 2 (det M)^½)^½ for a 2×2 matrix."""
    a, b = torch.tensor([[2.0, 0.7], [0.7, 1.0]]).double(), torch.tensor([[1.0, -0.4], [-0.4, 3.0]]).double()
    product = a @ b
    root = (product.trace() + 2 * torch.linalg.det(product).sqrt()).sqrt()
    right = float(a.trace() + b.trace() - 2 * root)
    assert gaussian_frechet_distance(torch.zeros(2), a, torch.zeros(2), b) == pytest.approx(right, rel=1e-12)


@pytest.mark.parametrize(("n", "d"), [(50, 1), (200, 5), (500, 64), (30, 64)])
def test_points_are_as_far_as_scipys_square_root_says(n, d):
    """With 30 points in 64 dimensions, both covariances are singular."""
    a, b = correlated(n, d, 0), correlated(n + 7, d, 1)
    assert frechet_distance(a, b) == pytest.approx(by_square_root(a, b), rel=1e-6)


def test_few_points_in_many_dimensions_against_singular_values_of_the_points():
    """tr (Σ_a Σ_b)^½ is the sum of the singular values of A Bᵀ / (n − 1), for centered points: nothing is singular there."""
    a, b = correlated(20, 100, 2), correlated(20, 100, 3)
    left, right = a - a.mean(0), b - b.mean(0)
    overlap = torch.linalg.svdvals(left @ right.mT).sum() / 19
    means = (a.mean(0) - b.mean(0)).square().sum()
    exact = float(means + (left.square().sum() + right.square().sum()) / 19 - 2 * overlap)
    assert frechet_distance(a, b) == pytest.approx(exact, rel=1e-10)


def test_a_covariance_without_some_directions_counts_those_of_the_other_alone():
    """The missing directions of Σ_a, with Σ_b = I: each adds 1."""
    values = torch.cat([torch.full((30,), 4.0), torch.zeros(70)]).double()
    turned = torch.linalg.qr(correlated(100, 100, 4)).Q
    cov = (turned * values) @ turned.mT
    found = gaussian_frechet_distance(torch.zeros(100), cov, torch.zeros(100), torch.eye(100))
    assert found == pytest.approx(30 * (2 - 1) ** 2 + 70, rel=1e-9)


def test_it_is_zero_for_the_same_points_symmetric_and_moves_with_the_mean():
    a, b = correlated(100, 10, 5), correlated(80, 10, 6)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)
    assert frechet_distance(a, a + 3) == pytest.approx(90, rel=1e-9)


def test_blocks_and_a_far_origin_change_nothing():
    a, b = correlated(1000, 6, 7), correlated(900, 6, 8)
    assert frechet_distance(a, b, block=77) == pytest.approx(frechet_distance(a, b), rel=1e-12)
    assert frechet_distance(a + 1e5, b + 1e5) == pytest.approx(frechet_distance(a, b), rel=1e-9)
    assert frechet_distance(a.float(), b.float()) == pytest.approx(frechet_distance(a, b), rel=1e-5)


def test_on_a_line_the_bias_is_known_exactly():
    """Of n points of N(0, 1) against N(0, 1): E mean² + E (1 − s)² = 1/n + 2 (1 − c₄), c₄ = E s, by gamma functions."""
    n, repeats = 8, 4000
    x = torch.randn(repeats, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one, zero = torch.ones(1, 1), torch.zeros(1)
    found = torch.tensor(
        [gaussian_frechet_distance(row.mean()[None], row.var()[None, None], zero, one) for row in x[:1000]]
    )
    shortcut = x.mean(1) ** 2 + (1 - x.std(1)) ** 2
    assert torch.allclose(found.double(), shortcut[:1000], atol=1e-6)
    c4 = math.sqrt(2 / (n - 1)) * math.exp(math.lgamma(n / 2) - math.lgamma((n - 1) / 2))
    exact = 1 / n + 2 * (1 - c4)
    assert abs(float(shortcut.mean()) - exact) < 3 * float(shortcut.std()) / math.sqrt(repeats)
    assert expected_frechet_bias(one, n) == pytest.approx(exact, rel=0.02)  # which leaves terms of order 1/n² out
    assert expected_frechet_bias(one, 1000) == pytest.approx(1.5 / 1000, rel=1e-3)


def test_the_same_gaussian_is_as_far_from_itself_as_the_expected_bias():
    """In 16 dimensions with eigenvalues from 0.1 to 4, for both sets drawn, and it halves with twice the points."""
    scale = torch.linspace(0.1, 4, 16).double().sqrt()
    generator = torch.Generator().manual_seed(1)

    def distances(n: int, m: int) -> torch.Tensor:
        draws = ([torch.randn(k, 16, generator=generator).double() * scale for k in (n, m)] for _ in range(150))
        return torch.tensor([frechet_distance(a, b) for a, b in draws])

    cov = torch.diag(scale**2)
    right = expected_frechet_bias(cov, 400, 800)
    for found, expected in ((distances(400, 800), right), (distances(800, 1600), right / 2)):
        assert abs(float(found.mean()) - expected) < 2.5 * float(found.std()) / math.sqrt(150)
        assert float(found.mean()) == pytest.approx(expected, rel=0.03)
    identity = expected_frechet_bias(torch.eye(16), 100)
    assert identity == pytest.approx(16 / 100 + 16 * 17 / (4 * 99), rel=1e-12)
    assert expected_frechet_bias(torch.diag(torch.tensor([1.0, 0.0])), 11) == pytest.approx(1 / 11 + 0.05)


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_extrapolation_removes_the_bias(shift):
    """Means over 40 data sets of 300 points in 8 dimensions: the plain distance is far above the truth, this is not."""
    generator = torch.Generator().manual_seed(2)
    scale = torch.linspace(0.5, 1.5, 8)
    truth = 8 * shift**2 + float((scale - 1).square().sum())
    plain, found = [], []
    for _ in range(40):
        a = torch.randn(300, 8, generator=generator)
        b = torch.randn(300, 8, generator=generator) * scale + shift
        plain.append(frechet_distance(a, b))
        found.append(unbiased_frechet_distance(a, b, repeats=3, generator=generator).value)
    error = torch.tensor(found).std() / math.sqrt(40)
    assert np.mean(plain) - truth > 0.1
    assert abs(np.mean(found) - truth) < 2.5 * error
    assert abs(np.mean(found) - truth) < 0.15 * (np.mean(plain) - truth)


def test_the_curve_is_a_line_in_one_over_n():
    a, b = torch.randn(20_000, 12, generator=torch.Generator().manual_seed(9)).split(10_000)
    curve = unbiased_frechet_distance(a, b, sizes=[100, 200, 400, 800], repeats=60)
    assert curve.sizes.tolist() == [100, 200, 400, 800]
    line = curve.value + curve.slope / curve.sizes.double()
    assert torch.allclose(line, curve.values, rtol=0.1)
    assert curve.slope / 100 == pytest.approx(expected_frechet_bias(torch.eye(12), 100, 100), rel=0.1)
    assert "extrapolated from" in str(curve)


def test_all_of_the_first_set_may_be_kept():
    a, b = correlated(600, 3, 10), correlated(200, 3, 11)
    curve = unbiased_frechet_distance(a, b, sizes=[100, 200], repeats=2, both=False)
    assert float(curve.values[-1]) == pytest.approx(frechet_distance(a, b), rel=1e-9)
    again = unbiased_frechet_distance(a, b, sizes=[100, 200], repeats=2, both=False)
    assert again.value == curve.value


def test_what_cannot_be_measured_is_said():
    a = correlated(50, 4, 0)
    with pytest.raises(ValueError, match="a has 4 numbers a point, but b has 3"):
        frechet_distance(a, a[:, :3])
    with pytest.raises(ValueError, match=r"n ≥ 2, got \(1, 4\)"):
        frechet_distance(a, a[:1])
    with pytest.raises(ValueError, match=r"flatten images"):
        frechet_distance(a.view(50, 1, 2, 2), a)
    with pytest.raises(ValueError, match="1 of 50 points of b are not finite"):
        frechet_distance(a, a.index_fill(0, torch.tensor([3]), math.nan))
    with pytest.raises(ValueError, match="cov_b is not symmetric"):
        gaussian_frechet_distance(a[0], torch.eye(4), a[0], torch.eye(4) + torch.ones(4, 4).triu(1))
    with pytest.raises(ValueError, match="eigenvalue -1"):
        gaussian_frechet_distance(a[0], -torch.eye(4), a[0], torch.eye(4))
    with pytest.raises(ValueError, match=r"\(4, 4\)"):
        gaussian_frechet_distance(a[0], torch.eye(3), a[0], torch.eye(4))
    for sizes in ([4, 50], [20], [20, 51]):
        with pytest.raises(ValueError, match="above the dimension 4 and up to 50"):
            unbiased_frechet_distance(a, a, sizes=sizes)
