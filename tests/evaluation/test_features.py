"""The course's features: of the shipped classifiers, the same on every call, and describing digits of both kinds."""

import pytest
import torch

from dgmcourse.core import Space
from dgmcourse.data import digits
from dgmcourse.evaluation import course_classifier, course_features, train_classifier


@pytest.mark.parametrize("levels", [2, 17])
def test_digits_of_a_kind_lie_close_in_the_courses_features(levels):
    data = digits(levels)
    features = course_features(data.test)
    assert features.shape == (297, 64)
    distance = torch.cdist(features, features).fill_diagonal_(torch.inf)
    same = data.test_labels[distance.argmin(-1)] == data.test_labels
    assert float(same.double().mean()) > 0.9


def test_the_logits_are_linear_in_the_features_whatever_the_batches():
    x = digits(17).test
    classifier = course_classifier(digits(17).space)
    assert classifier is course_classifier((1, 8, 8))
    features = course_features(x, batch_size=100)
    torch.testing.assert_close(features, course_features(x))
    torch.testing.assert_close(classifier.head(features), classifier(x))
    assert not features.requires_grad


def test_larger_digits_have_features_too():
    assert course_features(torch.zeros(3, 1, 28, 28)).shape == (3, 192)


def test_another_classifier_can_be_given_and_keeps_its_mode():
    data = digits(17)
    own = train_classifier(data, steps=3, features=7).train()
    assert course_features(data.test, own).shape == (297, 7)
    torch.testing.assert_close(course_features(data.test, own), course_features(data.test, own))  # without dropout
    assert own.training


def test_a_shape_without_a_classifier_is_refused_in_words():
    with pytest.raises(ValueError, match=r"not of grey\(1, 16, 16, levels=8\).*train_classifier"):
        course_classifier(Space.grey(1, 16, 16, levels=8))
    with pytest.raises(ValueError, match="train_classifier"):
        course_features(torch.zeros(3, 2))
