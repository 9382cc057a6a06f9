"""The memorization test: silent on fresh examples, loud on copies, and equal to its parts."""

import math

import pytest
import torch
from scipy.stats import kstest, mannwhitneyu

from dgmcourse.data import digits
from dgmcourse.evaluation import memorization_test
from dgmcourse.evaluation.memorization import _rank_z


def normal(n: int, d: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


def real_digits() -> torch.Tensor:
    """All 1,797 of them, grey, (1797, 64)."""
    data = digits(levels=17)
    return torch.cat([data.train, data.valid, data.test]).flatten(1)


@pytest.mark.parametrize("rounded", [False, True])
def test_ranks_with_ties_are_scipys(rounded):
    generator = torch.Generator().manual_seed(0)
    a, b = normal(60, 1, generator)[:, 0] - 0.3, normal(45, 1, generator)[:, 0]
    a, b = (a.round(), b.round()) if rounded else (a, b)
    right = mannwhitneyu(a.numpy(), b.numpy(), alternative="less", method="asymptotic", use_continuity=False)
    z = _rank_z(a, b)
    assert 0.5 * math.erfc(-z / math.sqrt(2)) == pytest.approx(right.pvalue, rel=1e-9)
    assert _rank_z(torch.ones(4), torch.ones(3)) == 0


@pytest.mark.parametrize("cells", [1, 4])
def test_fresh_points_raise_no_alarm_and_their_p_values_are_uniform(cells):
    generator = torch.Generator().manual_seed(cells)
    found = []
    for _ in range(200):
        train, test, fresh = normal(500, 4, generator).split([300, 100, 100])
        found.append(memorization_test(fresh, train, test, cells))
    assert kstest([one.p_value for one in found], "uniform").pvalue > 0.01
    assert sum(one.alarm() for one in found) / 200 <= 0.05
    assert sum(one.copied for one in found) / 200 < 0.05


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
def test_copies_are_found_slightly_noisy_ones_too(noise):
    """200 times; the noise moves copies in four dimensions by up to 0.6 on average; fresh points lie 0.55 from the nearest."""
    generator = torch.Generator().manual_seed(5)
    alarms, copied = 0, 0.0
    for _ in range(200):
        train, test = normal(400, 4, generator).split([300, 100])
        chosen = train[torch.randint(300, (100,), generator=generator)]
        found = memorization_test(chosen + noise * normal(100, 4, generator), train, test)
        alarms, copied = alarms + found.alarm(), copied + found.copied / 200
    assert alarms / 200 >= 0.95
    if noise == 0:
        assert copied == pytest.approx(1)


def test_of_real_digits_copies_are_found_and_fresh_ones_are_not():
    """200 ways to divide all real 8×8 digits; copies with noise of a twentieth of the grey scale."""
    x, generator = real_digits(), torch.Generator().manual_seed(6)
    false, missed, p = 0, 0, []
    for _ in range(200):
        train, test, fresh = x[torch.randperm(len(x), generator=generator)].split([1300, 250, 247])
        found = memorization_test(fresh, train, test)
        copies = train[:250] + 0.05 * torch.randn(250, 64, generator=generator)
        p.append(found.p_value)
        false, missed = false + found.alarm(), missed + (not memorization_test(copies, train, test).alarm())
    assert false / 200 <= 0.05
    assert missed / 200 <= 0.05
    assert kstest(p, "uniform").pvalue > 0.01


def test_of_the_courses_own_split_and_of_binary_digits_with_their_ties():
    data = digits(levels=2)
    train, valid, test = (x.flatten(1) for x in (data.train, data.valid, data.test))
    assert not memorization_test(valid, train, test).alarm()
    found = memorization_test(train[:200], train, test)
    assert found.alarm()
    assert found.copied > 0.9
    noise = memorization_test(
        (torch.rand(200, 64, generator=torch.Generator().manual_seed(0)) < 0.5).float(), train, test
    )
    assert noise.z > 10
    assert noise.copied == 0


def test_the_share_of_copies_is_estimated():
    generator = torch.Generator().manual_seed(7)
    train, test, fresh = normal(4000, 8, generator).split([2000, 1000, 1000])
    for share in (0.0, 0.3, 1.0):
        samples = torch.cat([train[: int(1000 * share)], fresh[: 1000 - int(1000 * share)]])
        found = memorization_test(samples, train, test)
        assert found.copied == pytest.approx(share, abs=0.03)
        assert found.alarm() == (share > 0)
    assert "about 100% copied" in str(found)


def test_cells_see_copies_here_that_are_made_up_for_by_blur_there():
    """Half of the samples are copies on the left; the other half, on the right, lie too far out."""
    generator = torch.Generator().manual_seed(8)

    def both_sides(n: int) -> torch.Tensor:
        side = (torch.arange(n) % 2 * 2 - 1).double()[:, None] * torch.tensor([[10.0, 0.0, 0.0]]).double()
        return normal(n, 3, generator) + side

    train, test = both_sides(600), both_sides(400)
    left = train[train[:, 0] < 0][:200]
    right = test[test[:, 0] > 0] * torch.tensor([1.0, 2.0, 2.0])
    apart = memorization_test(left, train, test[test[:, 0] < 0])
    assert apart.alarm()
    mixed = torch.cat([left[:100], right])
    whole, parts = (memorization_test(mixed, train, test, cells) for cells in (1, 2))
    assert whole.z > 0
    assert parts.z < whole.z
    per_cell = [memorization_test(x, train, test[test[:, 0] * s > 0]).z for x, s in ((left[:100], -1), (right, 1))]
    assert parts.z == pytest.approx(sum(per_cell) / math.sqrt(2), rel=1e-6)


def test_what_cannot_be_tested_is_said():
    x = torch.randn(10, 3)
    with pytest.raises(ValueError, match="cells must be 1 to 10, the number of training examples, got 11"):
        memorization_test(x, x, x, cells=11)
    with pytest.raises(ValueError, match="samples has 3 numbers a point, but test has 2"):
        memorization_test(x, x, x[:, :2])
    assert memorization_test(x, x, x).z == 0
