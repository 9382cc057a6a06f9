"""Classifiers on trial: exact errors against closed forms and counting, learning curves against their definition."""

import math

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from dgmcourse.evaluation import error_of_border, learning_curves, logistic_regression


def groups(weights, means, covariances):
    gaussians = MultivariateNormal(torch.tensor(means), torch.tensor(covariances))
    return MixtureSameFamily(Categorical(torch.tensor(weights)), gaussians)


def straight(w, b):
    """A classifier whose log-odds are w·x + b."""
    return lambda x: torch.stack([torch.zeros(len(x)), x @ torch.tensor(w) + b], dim=1).log_softmax(-1)


ROUND = [[1.0, 0.0], [0.0, 1.0]]


def test_halfway_between_two_gaussians_the_error_is_that_of_the_textbook():
    classes = groups([1.0], [[-1.0, 0.0]], ROUND), groups([1.0], [[1.0, 0.0]], ROUND)
    expected = 0.5 * math.erfc(1 / math.sqrt(2))  # Φ(−1)
    assert error_of_border(straight([3.0, 0.0], 0.0), classes) == pytest.approx(expected, abs=1e-6)
    assert error_of_border(straight([-3.0, 0.0], 0.0), classes) == pytest.approx(1 - expected, abs=1e-6)
    assert error_of_border(straight([0.0, 1.0], 0.0), classes) == pytest.approx(0.5, abs=1e-6)


def test_the_error_agrees_with_counting_where_groups_differ_in_covariance():
    tilted = [[1.0, 0.6], [0.6, 1.0]]
    classes = groups([1.0], [[-1.0, 0.3]], [tilted]), groups([0.7, 0.3], [[0.0, -0.5], [4.0, 1.5]], [ROUND, tilted])
    classifier = straight([1.2, -0.7], -0.4)
    torch.manual_seed(0)
    x = [density.sample((200_000,)) for density in classes]
    counted = (classifier(x[0]).argmax(1).float().mean() + 1 - classifier(x[1]).argmax(1).float().mean()) / 2
    assert error_of_border(classifier, classes) == pytest.approx(float(counted), abs=0.003)


def test_a_border_that_is_not_straight_is_refused():
    def curved(x):
        return torch.stack([torch.zeros(len(x)), x.square().sum(-1)], dim=1)

    with pytest.raises(ValueError, match="count errors on many examples"):
        error_of_border(curved, (groups([1.0], [[0.0, 0.0]], ROUND),) * 2)


@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regression_is_where_the_penalized_loss_has_no_slope(classes):
    torch.manual_seed(0)
    x, y = torch.randn(60, 2), torch.randint(classes, (60,))
    log_posterior = logistic_regression(x, y, penalty=1.0)
    at = log_posterior(x)
    assert at.shape == (60, classes)
    assert at.dtype == x.dtype
    assert torch.allclose(at.exp().sum(-1), torch.ones(60), atol=1e-5)
    probes = torch.cat([torch.zeros(1, 2), torch.eye(2)])
    logits = log_posterior(probes)
    logits = logits - logits[:, :1]  # of class 0: 0
    w = logits[1:] - logits[0]  # (2, classes), up to a shift that all classes share
    if classes > 2:
        w = w - w.mean(1, keepdim=True)  # scikit-learn penalizes every class's weights, so their mean is 0
    slope = x.T @ (at.exp() - torch.nn.functional.one_hot(y, classes))  # of −Σ log p(y|x)
    expected = -w if classes > 2 else torch.stack([w[:, 1], -w[:, 1]], dim=1)
    assert torch.allclose(slope, expected, atol=2e-2)
    with pytest.raises(ValueError, match="penalty"):
        logistic_regression(x, y, penalty=0)


def test_learning_curves_are_means_and_two_standard_errors_of_the_same_draws():
    asked = []

    def draw(n, repeat):
        asked.append((n, repeat))
        return torch.full((n, 1), float(repeat)), torch.zeros(n)

    learners = {"sum": lambda x, y: float(x.sum()), "mean": lambda x, y: float(x.mean())}
    curves = learning_curves(learners, draw, lambda classifier: classifier, sizes=(2, 4), repeats=3)
    assert asked == [(2, 0), (4, 0), (2, 1), (4, 1), (2, 2), (4, 2)]  # drawn once for all learners
    sizes, mean, (low, high) = curves["sum"]
    assert sizes == (2, 4)
    assert mean.tolist() == [2.0, 4.0]  # of 0, 2, 4 and of 0, 4, 8
    assert torch.allclose(high - mean, 2 * torch.tensor([2.0, 4.0]) / math.sqrt(3))
    assert torch.allclose(mean - low, high - mean)
    assert curves["mean"][1].tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="at least 2 repeats"):
        learning_curves(learners, draw, float, sizes=(2,), repeats=1)
