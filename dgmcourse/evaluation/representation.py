"""Probes: how much of a label simple classifiers find in a representation that was learned without labels."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .likelihood import Estimate
from .supervised import logistic_regression

__all__ = ["knn_probe", "linear_probe"]


def linear_probe(train_z: Tensor, train_y: Tensor, test_z: Tensor, test_y: Tensor, penalty: float = 1.0) -> Estimate:
    """The accuracy of logistic regression on a fixed representation, a share of test examples.

        p(y|z) = softmax(W (z − mean)/std + b),  which minimizes  −Σ log p(y|z) + penalty/2 ‖W‖²

    It tells what lies in z in a linear way: what other borders would find, `knn_probe` may see. z is standardized by
    the training examples, so that the penalty does not depend on the units of z.
    Alain & Bengio, "Understanding intermediate layers using linear classifier probes", 2016,
    https://arxiv.org/abs/1610.01644

    Args:
        train_z, test_z: representations, (n, d) and (m, d), e.g. `model.encode(x)`.
        train_y, test_y: labels, (n,) and (m,), integers; the training labels are of two classes at least.
        penalty: above 0; 1 is scikit-learn's default (its C is 1/penalty).

    Returns:
        the share of test examples that are classified right, with its standard error.

    Raises:
        ValueError: shapes that do not fit, values that are not finite, fewer than two classes.
    """
    _check(train_z, train_y, test_z, test_y)
    train_z, test_z = train_z.detach().double().cpu(), test_z.detach().double().cpu()
    mean, std = train_z.mean(0), train_z.std(0, correction=0)
    std = torch.where(std > 1e-12 * train_z.abs().amax(0), std, 1.0)  # a constant entry stays constant
    classes, targets = train_y.cpu().unique(return_inverse=True)
    log_posterior = logistic_regression((train_z - mean) / std, targets, penalty)
    guess = classes[log_posterior((test_z - mean) / std).argmax(-1)]
    return _accuracy(guess, test_y)


def knn_probe(
    train_z: Tensor, train_y: Tensor, test_z: Tensor, test_y: Tensor, neighbors: int = 5, block: int = 500
) -> Estimate:
    """The accuracy of a vote among the nearest training examples (Euclidean distance), a share of test examples.

    It tells whether examples of a kind lie close in z. Of classes with equally many votes, the smallest label wins.
    Cover & Hart, "Nearest neighbor pattern classification", 1967, https://doi.org/10.1109/TIT.1967.1053964

    Args:
        train_z, test_z: representations, (n, d) and (m, d), on one device.
        train_y, test_y: labels, (n,) and (m,), integers.
        neighbors: how many vote, at most n.
        block: test examples at a time, which holds the memory to block·n numbers.

    Returns:
        the share of test examples that are classified right, with its standard error.

    Raises:
        ValueError: shapes that do not fit, values that are not finite, fewer than two classes, too many neighbors.
    """
    _check(train_z, train_y, test_z, test_y)
    if not 1 <= neighbors <= len(train_z):
        raise ValueError(
            f"neighbors must be from 1 to {len(train_z)}, the number of training examples, got {neighbors}"
        )
    classes, targets = train_y.to(train_z.device).unique(return_inverse=True)
    guesses = []
    for part in test_z.detach().split(block):
        nearest = torch.cdist(part, train_z.detach()).topk(neighbors, largest=False).indices  # (block, neighbors)
        votes = F.one_hot(targets[nearest], len(classes)).sum(1)  # (block, classes)
        guesses.append(classes[votes.argmax(-1)])
    return _accuracy(torch.cat(guesses).cpu(), test_y)


def _accuracy(guess: Tensor, y: Tensor) -> Estimate:
    return Estimate.mean((guess == y.cpu()).double(), "")


def _check(train_z: Tensor, train_y: Tensor, test_z: Tensor, test_y: Tensor) -> None:
    for split, z, y in (("train", train_z, train_y), ("test", test_z, test_y)):
        if z.ndim != 2 or not len(z) or y.shape != z.shape[:1]:
            raise ValueError(f"{split}_z must be (n, d) and {split}_y (n,), n ≥ 1; got {tuple(z.shape)} and "
                             f"{tuple(y.shape)}; flatten what has more dimensions: z.flatten(1)")  # fmt: skip
        if y.is_floating_point():
            raise ValueError(f"{split}_y must hold labels, integers, got {y.dtype}")
        if not torch.isfinite(z).all():
            raise ValueError(f"{split}_z holds NaN or infinity")
    if train_z.shape[1] != test_z.shape[1]:
        raise ValueError(
            f"train_z and test_z must have equally many columns, got {train_z.shape[1]} and {test_z.shape[1]}"
        )
    if len(train_y.unique()) < 2:
        raise ValueError("train_y holds a single class: there is nothing to tell apart")
