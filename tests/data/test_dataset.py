"""The container that every dataset is."""

import pytest
import torch

from dgmcourse.core import Space
from dgmcourse.data import Dataset


def small(**fields):
    x = torch.arange(20.0).view(10, 2)
    return Dataset("small", Space.real(2), x, x[:4], x[:3], **fields)


def test_batches_visit_every_example_once_in_an_order_of_the_seed():
    data = small(train_labels=torch.arange(10))
    batches = list(data.batches(4, seed=3))
    assert [len(x) for x, _ in batches] == [4, 4, 2]
    labels = torch.cat([y for _, y in batches])
    assert labels.sort().values.tolist() == list(range(10))
    for x, y in batches:
        torch.testing.assert_close(x, data.train[y])
    assert torch.equal(labels, torch.cat([y for _, y in data.batches(4, seed=3)]))
    assert not torch.equal(labels, torch.cat([y for _, y in data.batches(4, seed=4)]))


def test_transform_applies_to_batches_alone():
    data = small(transform=lambda x: x + 100)
    assert all((x >= 100).all() for x, _ in data.batches(4))
    assert data.train.max() < 100


def test_wrong_shapes_are_refused_by_name():
    with pytest.raises(ValueError, match=r"small\.train_labels"):
        small(train_labels=torch.zeros(9, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"small\.test_factors\['slant'\]"):
        small(test_factors={"slant": torch.zeros(4)})
    with pytest.raises(ValueError, match=r"wrong\.train must have shape"):
        Dataset("wrong", Space.real(3), *3 * [torch.zeros(5, 2)])


def test_to_moves_tensors_and_factors():
    data = small(factors={"slant": torch.zeros(10)}, test_factors={"slant": torch.zeros(3)}).to("meta")
    assert data.train.is_meta
    assert data.factors["slant"].is_meta
    assert data.test_factors["slant"].is_meta
    assert repr(data) == "small: 10 / 4 / 3 examples in real(2)"
