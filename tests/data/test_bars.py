"""Bars and stripes: every probability is known, so every claim can be enumerated."""

import itertools
import math

import pytest
import torch

from dgmcourse.data import BarsAndStripes, bars_and_stripes

processes = pytest.mark.parametrize("process", ["uniform", "coin"])


def by_hand(side, process):
    """Probabilities of all images by playing the process out: {tuple of pixels: probability}."""
    table = {}
    for lines in itertools.product((0, 1), repeat=side):
        for stripes in (False, True):
            rows = [[line] * side for line in lines] if stripes else [list(lines)] * side
            image = tuple(itertools.chain(*rows))
            table[image] = table.get(image, 0) + 0.5 ** (side + 1)
    return table if process == "coin" else dict.fromkeys(table, 1 / len(table))


@processes
@pytest.mark.parametrize("side", [2, 3, 4])
def test_probabilities_of_all_images_are_those_played_out_by_hand(side, process):
    truth, table = BarsAndStripes(side, process), by_hand(side, process)
    images = torch.tensor(list(itertools.product((0.0, 1.0), repeat=side * side))).view(-1, 1, side, side)
    probabilities = truth.log_prob(images).exp()
    expected = [table.get(tuple(image.flatten().int().tolist()), 0.0) for image in images]
    torch.testing.assert_close(probabilities, torch.tensor(expected))
    assert truth.entropy == pytest.approx(-sum(p * math.log(p) for p in table.values()))
    assert len(truth.patterns().unique(dim=0)) == len(truth.patterns()) == 2 ** (side + 1) - 2


def test_entropies_of_three_by_three():
    assert BarsAndStripes(3, "uniform").entropy == pytest.approx(math.log(14))
    assert BarsAndStripes(3, "coin").entropy == pytest.approx(2.5993, abs=5e-5)


@processes
def test_samples_have_the_probabilities(process):
    truth = BarsAndStripes(3, process)
    n = 30_000
    images, counts = truth.sample(n, torch.Generator().manual_seed(0)).unique(dim=0, return_counts=True)
    expected = n * truth.log_prob(images).exp()
    assert len(images) == 14
    assert float(((counts - expected).square() / expected).sum()) < 13 + 4 * math.sqrt(26)


@processes
def test_default_splits_are_the_distribution_itself(process):
    data = bars_and_stripes(3, process=process)
    assert str(data.space) == "binary(1, 3, 3)"
    for x in (data.train, data.valid, data.test):
        data.space.check(x, values=True)
        assert float(-data.truth.log_prob(x).mean()) == pytest.approx(data.truth.entropy, abs=1e-5)
        images, counts = x.unique(dim=0, return_counts=True)
        torch.testing.assert_close(counts / len(x), data.truth.log_prob(images).exp())
    assert len(data.train) >= 1000


def test_sizes_can_be_chosen_and_repeat_by_seed():
    data, again = bars_and_stripes(5, n=(70, 20, 30)), bars_and_stripes(5, n=(80, 20, 30))
    assert data.train.shape == (70, 1, 5, 5)
    assert torch.equal(data.test, again.test)
    assert data.truth.log_prob(data.train).isfinite().all()


def test_values_that_are_not_binary_have_probability_zero():
    assert BarsAndStripes(3).log_prob(torch.full((2, 1, 3, 3), 0.5)).tolist() == [-math.inf, -math.inf]
    assert BarsAndStripes(3, "coin").log_prob(torch.full((1, 1, 3, 3), math.nan)).tolist() == [-math.inf]


def test_bad_arguments_are_refused_in_words():
    with pytest.raises(ValueError, match="side from 2 to 16, got 1"):
        bars_and_stripes(1)
    with pytest.raises(ValueError, match="'uniform' or 'coin', got 'dice'"):
        bars_and_stripes(3, process="dice")
    with pytest.raises(ValueError, match="three positive sizes"):
        bars_and_stripes(3, n=(1, 2))
    with pytest.raises(ValueError, match="shape"):
        BarsAndStripes(3).log_prob(torch.zeros(2, 3, 3))
