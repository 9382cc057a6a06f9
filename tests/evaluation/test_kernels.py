"""Maximum mean discrepancies against the double sum, closed forms, and what "unbiased" promises."""

import math

import pytest
import torch

from dgmcourse.evaluation import kernel_distance, median_bandwidth, mmd


def normal(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def double_sum(a: torch.Tensor, b: torch.Tensor, kernel, unbiased: bool) -> float:
    """The definition, pair by pair."""

    def mean(x, y, same):
        pairs = [(i, j) for i in range(len(x)) for j in range(len(y)) if not (same and unbiased and i == j)]
        return sum(kernel(x[i], y[j]) for i, j in pairs) / len(pairs)

    return float(mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False))


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("block", [2000, 3])
def test_it_is_the_double_sum(unbiased, block):
    a, b = normal(9, 3, 0), normal(7, 3, 1) + 0.5
    right = double_sum(a, b, lambda x, y: torch.exp(-(x - y).square().sum() / (2 * 1.3**2)), unbiased)
    assert mmd(a, b, 1.3, unbiased=unbiased, block=block) == pytest.approx(right, rel=1e-10)


def test_between_two_points_it_is_known():
    """All of a at 0 and all of b at r: 2 − 2 exp(−r² / 2σ²), biased or not."""
    a, b = torch.zeros(5, 1), torch.full((4, 1), 3.0)
    right = 2 - 2 * math.exp(-9 / 8)
    assert mmd(a, b, 2.0) == pytest.approx(right, rel=1e-12)
    assert mmd(a, b, 2.0, unbiased=False) == pytest.approx(right, rel=1e-12)


def test_between_gaussians_its_mean_is_the_closed_form():
    """E k = σ^d (σ² + 2)^(−d/2) exp(−‖δ‖² / (2 (σ² + 2))) for x − y ~ N(δ, 2 I)."""
    sigma, shift, d, repeats = 1.5, 0.8, 2, 300
    scale = (sigma**2 / (sigma**2 + 2)) ** (d / 2)
    truth = 2 * scale - 2 * scale * math.exp(-d * shift**2 / (2 * (sigma**2 + 2)))
    pairs = [(normal(40, d, 2 * i), normal(30, d, 2 * i + 1) + shift) for i in range(repeats)]
    found = torch.tensor([mmd(a, b, sigma) for a, b in pairs])
    assert abs(float(found.mean()) - truth) < 2.5 * float(found.std()) / math.sqrt(repeats)
    same = torch.tensor([mmd(a, b - shift, sigma) for a, b in pairs])
    assert abs(float(same.mean())) < 2.5 * float(same.std()) / math.sqrt(repeats)
    assert float((same < 0).double().mean()) > 0.4, "an unbiased estimate of 0 is often below it"
    biased = torch.tensor([mmd(a, b - shift, sigma, unbiased=False) for a, b in pairs])
    assert float(biased.min()) > 0
    assert float(biased.mean()) == pytest.approx((1 - scale) * (1 / 40 + 1 / 30), rel=0.05)


def test_the_median_heuristic_is_the_median_over_all_pairs():
    a, b = normal(20, 4, 0), normal(15, 4, 1)
    pooled = torch.cat([a, b])
    distances = [float((pooled[i] - pooled[j]).norm()) for i in range(35) for j in range(i)]
    assert median_bandwidth(a, b) == pytest.approx(float(torch.tensor(distances).double().quantile(0.5)), rel=1e-6)
    assert mmd(a, b) == pytest.approx(mmd(a, b, median_bandwidth(a, b)), rel=1e-12)
    many = median_bandwidth(normal(4000, 4, 2), normal(9000, 4, 3))
    assert many == pytest.approx(math.sqrt(2 * 3.3567), rel=0.03)  # the median of χ² with 4 degrees of freedom
    copies = torch.zeros(10, 2).index_fill(0, torch.tensor([0]), 1.0)
    assert median_bandwidth(copies, torch.zeros(3, 2)) == pytest.approx(math.sqrt(2))
    assert mmd(torch.zeros(3, 2), torch.zeros(4, 2)) == 0


def test_the_kernel_distance_of_all_points_is_the_double_sum_of_the_cubic_kernel():
    a, b = normal(12, 5, 0), normal(12, 5, 1) * 1.5
    right = double_sum(a, b, lambda x, y: (x @ y / 5 + 1) ** 3, unbiased=True)
    found = kernel_distance(a, b, subsets=2, subset_size=12)
    assert found.value == pytest.approx(right, rel=1e-10)
    assert math.isnan(found.standard_error)
    assert (found.count, found.kind, found.unit) == (12, None, "")


def test_the_mean_over_subsets_is_that_of_the_same_subsets_one_by_one():
    a, b = normal(30, 3, 0), normal(25, 3, 1) + 0.3
    generator = torch.Generator().manual_seed(7)
    one_by_one = []
    for _ in range(3):
        x, y = (points[torch.randperm(len(points), generator=generator)[:6]] for points in (a, b))
        one_by_one.append(double_sum(x, y, lambda u, v: (u @ v / 3 + 1) ** 3, unbiased=True))
    found = kernel_distance(a, b, subsets=3, subset_size=6, seed=7)
    assert found.value == pytest.approx(sum(one_by_one) / 3, rel=1e-10)
    assert found == kernel_distance(a, b, subsets=3, subset_size=6, seed=7)


def test_split_in_two_one_distribution_is_at_distance_zero_on_average():
    """Many splits of fresh points: the mean is within two standard errors of 0, and values below 0 are common."""
    found = []
    for i in range(200):
        a, b = normal(240, 8, i).split(120)
        found.append(kernel_distance(a, b, subsets=4, subset_size=60).value)
    values = torch.tensor(found)
    assert abs(float(values.mean())) < 2 * float(values.std()) / math.sqrt(200)
    assert 0.3 < float((values < 0).double().mean()) < 0.7


def test_the_standard_error_tells_what_other_points_would_change():
    """The spread of the value over fresh data sets is the mean standard error, where the distributions differ."""
    found = [kernel_distance(normal(200, 4, 2 * i), normal(200, 4, 2 * i + 1) + 1, subsets=30) for i in range(80)]
    spread = float(torch.tensor([one.value for one in found]).std())
    assert sum(one.standard_error for one in found) / 80 == pytest.approx(spread, rel=0.3)


def test_what_cannot_be_measured_is_said():
    a = normal(10, 2, 0)
    with pytest.raises(ValueError, match="bandwidth must be above 0, got 0"):
        mmd(a, a, 0.0)
    with pytest.raises(ValueError, match="of 2 to 10 points, as many as the smaller set has; got 100 of 11"):
        kernel_distance(a, torch.cat([a, a]), subset_size=11)
    with pytest.raises(ValueError, match="a has 2 numbers a point, but b has 3"):
        mmd(a, normal(10, 3, 0))
