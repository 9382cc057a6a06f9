"""The Markov source against sums over every sequence."""

import itertools
import math

import pytest
import torch

from dgmcourse.data import MarkovSource


def every_sequence(characters: int, length: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product(range(characters), repeat=length)))


SOURCES = [("ab", 1, 6), ("abc", 1, 5), ("abc", 2, 6), ("ab", 3, 7), ("abcd", 2, 2)]
every_source = pytest.mark.parametrize(("alphabet", "order", "length"), SOURCES)


def block_entropy(source: MarkovSource, length: int) -> float:
    """−Σ P log P over every sequence of a length, nats."""
    longer = MarkovSource(source.alphabet, source.order, length, seed=3)
    log_p = longer.log_prob(every_sequence(source.characters, length))
    return float(-(log_p.exp() * log_p).sum())


@every_source
def test_probabilities_of_all_sequences_sum_to_one(alphabet, order, length):
    source = MarkovSource(alphabet, order, length, seed=3)
    log_p = source.log_prob(every_sequence(len(alphabet), length))
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-12)


@every_source
def test_entropies_are_those_of_the_enumerated_distribution(alphabet, order, length):
    source = MarkovSource(alphabet, order, length, seed=3)
    assert source.entropy == pytest.approx(block_entropy(source, length), abs=1e-10)
    rate = block_entropy(source, order + 2) - block_entropy(source, order + 1)  # H(n + 1) − H(n)
    assert source.entropy_rate * math.log(2) == pytest.approx(rate, abs=1e-10)
    places = source.conditional_entropies()
    assert len(places) == length
    assert float(places[0]) == pytest.approx(block_entropy(source, order + 1) - rate if order == 1 else float(
        torch.special.entr(source.marginal(1)).sum()), abs=1e-10)  # fmt: skip
    assert (places.diff() <= 1e-12).all()  # knowing more never costs


@every_source
def test_the_start_is_stationary(alphabet, order, length):
    """The first `order` characters are distributed as those after them."""
    source = MarkovSource(alphabet, order, order + 1, seed=3)
    x = every_sequence(len(alphabet), order + 1)
    p = source.log_prob(x).exp().view([len(alphabet)] * (order + 1))
    torch.testing.assert_close(p.sum(0).flatten(), p.sum(-1).flatten(), rtol=0, atol=1e-12)
    torch.testing.assert_close(p.sum(-1).flatten(), source.stationary, rtol=0, atol=1e-12)


@every_source
def test_next_distribution_is_the_conditional_of_the_enumerated_distribution(alphabet, order, length):
    source = MarkovSource(alphabet, order, length, seed=3)
    p = source.log_prob(every_sequence(len(alphabet), length)).exp()
    x = every_sequence(len(alphabet), length)
    for prefix in ([], [1], [1, 0], [0, 1, 1]):
        if len(prefix) < length:
            agrees = (x[:, : len(prefix)] == torch.tensor(prefix, dtype=torch.int64)).all(-1)
            joint = torch.stack([p[agrees & (x[:, len(prefix)] == v)].sum() for v in range(len(alphabet))])
            found = source.next_distribution(torch.tensor(prefix, dtype=torch.int64))
            torch.testing.assert_close(found, joint / joint.sum(), rtol=0, atol=1e-12)


def test_samples_cost_their_entropy_and_repeat_for_a_seed():
    source = MarkovSource(order=2, length=40, seed=1)
    x = source.sample(4000, torch.Generator().manual_seed(0))
    source.space.check(x, values=True)
    cost = -source.log_prob(x)
    assert float(cost.mean()) == pytest.approx(source.entropy, abs=4 * float(cost.std()) / math.sqrt(4000))
    per_place = -source.log_conditionals(x).mean(0)
    torch.testing.assert_close(per_place, source.conditional_entropies(), rtol=0, atol=0.1)
    assert torch.equal(x, source.sample(4000, torch.Generator().manual_seed(0)))


def test_sharpness_zero_is_uniform():
    source = MarkovSource("abcd", sharpness=0.0)
    assert source.entropy_rate == pytest.approx(2)
    assert source.entropy == pytest.approx(64 * math.log(4))


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="each once"):
        MarkovSource("aba")
    with pytest.raises(ValueError, match="order must be ≥ 1"):
        MarkovSource(order=0)
    with pytest.raises(ValueError, match="at most 1024"):
        MarkovSource(order=4)
    with pytest.raises(ValueError, match="at least as long"):
        MarkovSource(order=2, length=1)
    with pytest.raises(ValueError, match="tokens 0 … 7"):
        MarkovSource(length=2).log_prob(torch.tensor([[0, 8]]))
