"""Probes of representations, held to scikit-learn and to what must come out."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dgmcourse.data import digits
from dgmcourse.evaluation import knn_probe, linear_probe


@pytest.fixture(scope="module")
def splits():
    data = digits(17)
    return data.train.flatten(1), data.train_labels, data.test.flatten(1), data.test_labels


@pytest.mark.parametrize("penalty", [0.1, 1.0, 30.0])
def test_the_linear_probe_equals_scikit_learns_logistic_regression(splits, penalty):
    train_z, train_y, test_z, test_y = splits
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=1 / penalty, max_iter=1000))
    expected = reference.fit(train_z.double(), train_y).score(test_z.double(), test_y)
    found = linear_probe(*splits, penalty=penalty)
    assert found.value == pytest.approx(expected, abs=1e-9)
    assert found.count == 297
    assert found.unit == ""
    assert found.standard_error == pytest.approx((expected * (1 - expected) / 296) ** 0.5)


@pytest.mark.parametrize("neighbors", [1, 4, 5])
def test_the_vote_of_neighbors_equals_scikit_learns(splits, neighbors):
    train_z, train_y, test_z, test_y = splits
    reference = KNeighborsClassifier(neighbors, algorithm="brute").fit(train_z.double(), train_y)
    train_z, test_z = train_z.double(), test_z.double()
    found = knn_probe(train_z, train_y, test_z, test_y, neighbors=neighbors, block=50)
    assert found.value == pytest.approx(reference.score(test_z, test_y), abs=1e-9)


def test_two_classes_and_any_labels_will_do(splits):
    train_z, train_y, test_z, test_y = splits
    some, same = train_y < 2, test_y < 2
    binary = (train_z[some], 7 - 4 * train_y[some], test_z[same], 7 - 4 * test_y[same])  # labels 7 and 3
    assert linear_probe(*binary).value == 1
    assert knn_probe(*binary).value == 1


def test_a_ring_around_a_ring_is_seen_by_neighbors_and_not_by_a_line():
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(2, (2000,), generator=generator)
    angle = 2 * torch.pi * torch.rand(2000, generator=generator)
    z = (1 + y)[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
    arguments = (z[:1000], y[:1000], z[1000:], y[1000:])
    assert linear_probe(*arguments).value == pytest.approx(0.5, abs=0.06)
    assert knn_probe(*arguments).value == 1


def test_units_and_constant_entries_change_nothing_for_the_linear_probe(splits):
    train_z, train_y, test_z, test_y = splits
    scale = torch.logspace(-3, 3, 64)

    def changed(z):
        return torch.cat([z * scale + 5, torch.full((len(z), 1), 0.1)], 1).double()

    assert linear_probe(changed(train_z), train_y, changed(test_z), test_y).value == pytest.approx(
        linear_probe(*splits).value, abs=0.004
    )


def test_labels_that_training_never_saw_count_as_wrong(splits):
    train_z, train_y, test_z, test_y = splits
    known = train_y != 9
    for probe in (linear_probe, knn_probe):
        found = probe(train_z[known], train_y[known], test_z[test_y == 9], test_y[test_y == 9])
        assert found.value == 0


def test_what_does_not_fit_is_refused_in_words(splits):
    train_z, train_y, test_z, test_y = splits
    with pytest.raises(ValueError, match=r"test_z must be \(n, d\).*flatten"):
        linear_probe(train_z, train_y, test_z.view(-1, 1, 8, 8), test_y)
    with pytest.raises(ValueError, match="equally many columns, got 64 and 63"):
        knn_probe(train_z, train_y, test_z[:, 1:], test_y)
    with pytest.raises(ValueError, match="single class"):
        linear_probe(train_z, 0 * train_y, test_z, test_y)
    with pytest.raises(ValueError, match="NaN"):
        linear_probe(train_z / 0, train_y, test_z, test_y)
    with pytest.raises(ValueError, match="integers"):
        knn_probe(train_z, train_y.float(), test_z, test_y)
    with pytest.raises(ValueError, match="from 1 to 1300"):
        knn_probe(*splits, neighbors=1301)
