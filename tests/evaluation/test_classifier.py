"""The classifier that judges samples: good on digits, the same for a seed, and of use to metrics."""

from dataclasses import replace

import pytest
import torch

from dgmcourse.core import Space
from dgmcourse.data import digits, toy
from dgmcourse.evaluation import DigitClassifier, train_classifier
from dgmcourse.evaluation.classifier import _moved


@pytest.fixture(scope="module")
def trained():
    data = digits(17)
    return train_classifier(data, steps=300), data


def test_it_recognizes_real_digits(trained):
    classifier, data = trained
    right = classifier.predict(data.test) == data.test_labels
    assert float(right.double().mean()) > 0.95
    assert not classifier.training


def test_features_describe_images_so_that_those_of_a_kind_lie_close(trained):
    classifier, data = trained
    with torch.no_grad():
        features = classifier.features(data.test)
    assert features.shape == (297, 192)
    distance = torch.cdist(features, features).fill_diagonal_(torch.inf)
    same = data.test_labels[distance.argmin(-1)] == data.test_labels
    assert float(same.double().mean()) > 0.95
    torch.testing.assert_close(classifier.head(features), classifier(data.test))  # logits are linear in them


def test_training_depends_on_the_seed_alone_and_leaves_the_random_state():
    data = digits(17)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = (train_classifier(data, steps=5, seed=2) for _ in range(2))
    assert torch.equal(torch.rand(3), expected)
    other = train_classifier(data, steps=5, seed=3)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert any((a != b).any() for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_predict_works_in_parts_without_gradients_and_keeps_the_mode(trained):
    classifier, data = trained
    classifier.train()
    torch.testing.assert_close(classifier.predict(data.test, batch_size=7), classifier.predict(data.test))
    assert classifier.training
    classifier.eval()


def test_transforms_of_the_data_are_applied():
    """Dynamically binarized data keep grey training images; the classifier must see binary ones."""
    seen = []
    data = digits(17)
    spied = replace(data, transform=lambda x: seen.append(len(x)) or 1 - x)
    train_classifier(spied, steps=2, batch_size=32)
    assert seen == [32, 32]


def test_shifts_move_the_whole_image_and_fill_with_zero():
    torch.manual_seed(0)
    image = torch.zeros(1, 1, 5, 5)
    image[..., 2, 2] = 1
    places = {tuple(_moved(image, 1)[0, 0].nonzero()[0].tolist()) for _ in range(200)}
    assert places == {(row, column) for row in (1, 2, 3) for column in (1, 2, 3)}
    assert _moved(image, 0) is image


def test_what_cannot_be_classified_is_refused_in_words():
    with pytest.raises(ValueError, match=r"needs labels.*digits\(\) or mnist\(\)"):
        train_classifier(toy("moons", n=(10, 10, 10)))
    with pytest.raises(ValueError, match="needs images"):
        DigitClassifier(Space.real(2))
