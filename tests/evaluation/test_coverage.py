"""Counting modes: the truth, a collapse, and points far from everything."""

import math

import pytest
import torch

from dgmcourse.data import toy
from dgmcourse.evaluation import mode_coverage

TRUTH = toy("eight_gaussians", n=(10, 10, 10)).truth


def test_the_truth_covers_itself_as_theory_says():
    found = mode_coverage(TRUTH.sample(100_000, torch.Generator().manual_seed(0)), TRUTH)
    assert found.inside == pytest.approx(1 - math.exp(-4.5), abs=0.002)
    torch.testing.assert_close(found.shares, torch.full((8,), found.inside / 8), rtol=0, atol=0.004)
    assert found.found() == 8
    # E[r² | r ≤ 3] / 2 of a Rayleigh r: 1 − 4.5 e^−4.5 / (1 − e^−4.5)
    spread = math.sqrt(1 - 4.5 * math.exp(-4.5) / (1 - math.exp(-4.5)))
    torch.testing.assert_close(found.spread, torch.full((8,), spread, dtype=torch.float64), rtol=0, atol=0.015)
    assert "8 of 8 modes" in str(found)


def test_a_collapse_is_seen():
    x = TRUTH.centers[[0, 0, 0, 3]].float().repeat(25, 1)
    found = mode_coverage(x, TRUTH)
    assert found.shares.tolist() == [0.75, 0, 0, 0.25, 0, 0, 0, 0]
    assert found.found() == 2
    assert found.found(least=0.3) == 1
    assert float(found.spread[0]) == pytest.approx(0, abs=1e-6)
    assert math.isnan(found.spread[1])
    assert "2 of 8 modes" in str(found)


def test_reach_is_a_closed_border_in_standard_deviations():
    center = TRUTH.centers[0]
    x = center + torch.tensor([[1.49, 0.0], [1.51, 0.0]])
    assert mode_coverage(x, TRUTH).inside == 0.5
    assert mode_coverage(x, TRUTH, reach=3.1).inside == 1.0
    assert mode_coverage(x, TRUTH, reach=3.1).spread[0] == pytest.approx(1.5 / 0.5 / math.sqrt(2), abs=0.01)
    assert mode_coverage(torch.zeros(5, 2), TRUTH).inside == 0.0


def test_wrong_input_is_refused_in_words():
    with pytest.raises(ValueError, match=r"shape \(n, 2\)"):
        mode_coverage(torch.zeros(3), TRUTH)
    with pytest.raises(ValueError, match="has no modes to count"):
        mode_coverage(torch.zeros(3, 2), toy("ring", n=(10, 10, 10)).truth)
