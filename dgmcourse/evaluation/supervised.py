"""Classifiers on trial: how their errors fall with more examples, and what a straight border errs, exactly."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.distributions import MixtureSameFamily

__all__ = ["error_of_border", "learning_curves", "logistic_regression"]

Classifier = Callable[[Tensor], Tensor]  # log p(y|x): (batch, dim) -> (batch, classes), nats
Curve = tuple[Sequence[int], Tensor, tuple[Tensor, Tensor]]


def logistic_regression(x: Tensor, y: Tensor, penalty: float = 1e-4) -> Classifier:
    """Logistic regression, fitted by scikit-learn.

    Args:
        x: (batch, dim); y: labels (batch,), of every class 0, 1, … at least one.
        penalty: half of it times the squared weights is added to −Σ log p(y|x); above 0.

    Returns:
        log p(y|x), a function (batch, dim) -> (batch, classes), nats.
    """
    from sklearn.linear_model import LogisticRegression

    if penalty <= 0:
        raise ValueError(f"penalty must be above 0, got {penalty}; 1e-4 is next to none")
    model = LogisticRegression(C=1 / penalty, max_iter=500).fit(x.cpu().numpy(), y.cpu().numpy())

    def log_posterior(new: Tensor) -> Tensor:
        logits = torch.from_numpy(model.decision_function(new.cpu().numpy())).to(new)
        return (logits if logits.ndim == 2 else torch.stack([0 * logits, logits], dim=1)).log_softmax(-1)

    return log_posterior


def learning_curves(
    learners: Mapping[str, Callable[[Tensor, Tensor], Classifier]],
    draw: Callable[[int, int], tuple[Tensor, Tensor]],
    error: Callable[[Classifier], float],
    sizes: Sequence[int],
    repeats: int,
) -> dict[str, Curve]:
    """The errors of classifiers that learn from more and more examples, for `plots.plot_error_curves`.

    Args:
        learners: by name, each takes examples (x, y) and returns a classifier.
        draw: draw(n, repeat) gives n examples (x, y), in each repeat others; all learners get the same ones.
        error: what a classifier errs.
        sizes: numbers of examples.
        repeats: how often each size is drawn; at least 2.

    Returns:
        by name: the sizes, the mean error at each, (sizes,), and that minus and plus two standard errors.
    """
    if repeats < 2:
        raise ValueError(f"a standard error needs at least 2 repeats, got {repeats}")
    errors = {name: torch.zeros(repeats, len(sizes)) for name in learners}
    for repeat in range(repeats):
        for column, n in enumerate(sizes):
            x, y = draw(n, repeat)
            for name, learn in learners.items():
                errors[name][repeat, column] = error(learn(x, y))
    return {name: _curve(sizes, values) for name, values in errors.items()}


def _curve(sizes: Sequence[int], errors: Tensor) -> Curve:
    """(repeats, sizes) -> mean, and the mean minus and plus two standard errors."""
    mean, standard_error = errors.mean(0), errors.std(0) / math.sqrt(len(errors))
    return sizes, mean, (mean - 2 * standard_error, mean + 2 * standard_error)


@torch.no_grad()
def error_of_border(classifier: Classifier, classes: tuple[MixtureSameFamily, MixtureSameFamily]) -> float:
    """The error of a classifier whose border is straight, in closed form: w·x + b of a Gaussian x is Gaussian too.

    Args:
        classifier: log p(y|x), (batch, dim) -> (batch, 2), whose log-odds log p(1|x) − log p(0|x) are w·x + b.
        classes: p(x|y = 0) and p(x|y = 1), both equally frequent: mixtures of `MultivariateNormal`s, on dim numbers.

    Raises:
        ValueError: the log-odds are no straight line.
    """
    dim = classes[0].event_shape[0]
    probes = torch.cat([torch.zeros(1, dim), torch.eye(dim), torch.full((1, dim), 2.0)])
    log_odds = classifier(probes).diff(dim=1)[:, 0]
    b, w = log_odds[0], log_odds[1:-1] - log_odds[0]
    if not torch.allclose(log_odds[-1], b + 2 * w.sum(), rtol=1e-2, atol=1e-2):
        raise ValueError(
            f"error_of_border needs log-odds w·x + b, but at {probes[-1].tolist()} they are {float(log_odds[-1]):.3g}, "
            f"not {float(b + 2 * w.sum()):.3g}; count errors on many examples instead"
        )
    called_one = []  # P(w·x + b > 0 | y), for both y
    for density in classes:
        groups = density.component_distribution
        variance = torch.einsum("i,kij,j->k", w, groups.covariance_matrix, w)  # (groups,)
        above = torch.special.ndtr((groups.loc @ w + b) / variance.sqrt())
        called_one.append(float(density.mixture_distribution.probs @ above))
    return (called_one[0] + 1 - called_one[1]) / 2
