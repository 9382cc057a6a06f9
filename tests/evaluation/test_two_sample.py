"""Two-sample tests: exact p-values, uniform if nothing differs, and small if something does."""

import math

import pytest
import torch
from scipy.stats import fisher_exact, kstest

from dgmcourse.evaluation import classifier_two_sample_test, frechet_distance, mmd, permutation_test


def normal(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("classifier", ["logistic", "neighbors"])
def test_p_values_are_uniform_if_both_are_one_distribution(classifier):
    found = [
        classifier_two_sample_test(normal(500, 2, 2 * i), normal(500, 2, 2 * i + 1), classifier) for i in range(200)
    ]
    p = torch.tensor([one.p_value for one in found]).double()
    assert kstest(p.numpy(), "uniform").pvalue > 0.01
    for level in (0.01, 0.05, 0.2):
        assert float((p <= level).double().mean()) <= level + 3 * math.sqrt(level * (1 - level) / 200)
    assert sum(one.statistic for one in found) / 200 == pytest.approx(0.5, abs=0.005)


def test_p_values_are_uniform_for_sets_of_different_sizes_with_many_ties():
    """Points on two numbers alone: half of all distances are 0."""
    generator = torch.Generator().manual_seed(0)
    p = []
    for i in range(150):
        a, b = (torch.rand(n, 6, generator=generator).round() for n in (300, 900))
        p.append(classifier_two_sample_test(a, b, "neighbors", seed=i).p_value)
    assert kstest(p, "uniform").pvalue > 0.01


@pytest.mark.parametrize(("n", "m"), [(80, 80), (81, 200), (5, 4)])
def test_the_p_value_is_that_of_fishers_exact_test(n, m, monkeypatch):
    """Against scipy's, with a classifier that is known: the sign of the first number."""
    from dgmcourse.evaluation import two_sample

    seen = []

    def sign(x, y, penalty):
        def log_posterior(unseen):
            seen.append((unseen[:, 0] > 0.1).long())
            return torch.nn.functional.one_hot(seen[-1], 2).double()

        return log_posterior

    monkeypatch.setattr(two_sample, "logistic_regression", sign)
    found = classifier_two_sample_test(normal(n, 3, 0), normal(m, 3, 1) + 0.3)
    called = seen[0].view(2, -1)  # of a, of b
    t = called.shape[1]
    table = [[int(row.sum()), t - int(row.sum())] for row in called.flip(0)]
    assert found.p_value == pytest.approx(fisher_exact(table, alternative="greater").pvalue, rel=1e-9)
    assert found.statistic == pytest.approx((table[0][0] + table[1][1]) / (2 * t))


def test_a_line_sees_means_and_neighbors_see_shapes():
    a, wide = normal(1000, 2, 0), 2.5 * normal(1000, 2, 1)
    assert classifier_two_sample_test(a, a.flip(0) + 0.5).p_value < 1e-4
    assert classifier_two_sample_test(a, wide).p_value > 0.01
    assert classifier_two_sample_test(a, wide, "neighbors").p_value < 1e-4
    apart = classifier_two_sample_test(a, a + 20, "neighbors")
    assert apart.statistic == 1
    assert apart.p_value < 1e-100
    assert "1.000, p = " in str(apart)


def test_units_do_not_matter_and_constant_numbers_are_borne():
    a, b = normal(200, 3, 2), normal(200, 3, 3) + 0.2
    units = torch.tensor([1e6, 1e-6, 1.0])
    assert classifier_two_sample_test(a * units, b * units) == pytest.approx(classifier_two_sample_test(a, b), rel=1e-3)
    extra = torch.ones(200, 1)
    assert classifier_two_sample_test(torch.cat([a, extra], 1), torch.cat([b, extra], 1)).statistic > 0.5


def test_permutations_make_uniform_p_values_of_any_statistic():
    p = [permutation_test(lambda a, b: mmd(a, b, 1.0), normal(20, 2, 2 * i), normal(12, 2, 2 * i + 1), 49, i).p_value
         for i in range(100)]  # fmt: skip
    assert kstest(p, "uniform").pvalue > 0.01
    assert min(p) >= 0.02
    assert all(abs(50 * one - round(50 * one)) < 1e-9 for one in p)


def test_permutations_find_what_the_statistic_sees():
    a, b = normal(60, 3, 0), normal(60, 3, 1) + 1
    found = permutation_test(frechet_distance, a, b)
    assert found.statistic == frechet_distance(a, b)
    assert found.p_value == 1 / 200
    assert permutation_test(lambda x, y: 0.0, a, b, 9).p_value == 1, "what ties with the value found is as large"
    assert found == permutation_test(frechet_distance, a, b)


def test_what_cannot_be_tested_is_said():
    a = normal(10, 2, 0)
    with pytest.raises(ValueError, match="classifier must be one of 'logistic', 'neighbors', got 'forest'"):
        classifier_two_sample_test(a, a, "forest")
    with pytest.raises(
        ValueError, match="neighbors must be 1 to 10, the number of points that are learned from, got 11"
    ):
        classifier_two_sample_test(a, a, "neighbors", neighbors=11)
    with pytest.raises(ValueError, match="neighbors must be 1 to 10"):
        classifier_two_sample_test(a, a, "neighbors", neighbors=0)
    with pytest.raises(ValueError, match="n ≥ 4"):
        classifier_two_sample_test(a[:3], a)
    with pytest.raises(ValueError, match="permutations must be at least 1"):
        permutation_test(frechet_distance, a, a, 0)
    with pytest.raises(ValueError, match="NaN"):
        permutation_test(lambda x, y: math.nan, a, a, 1)
