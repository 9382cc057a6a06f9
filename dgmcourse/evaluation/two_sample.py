"""Two-sample tests: could both sets of points come from one distribution? With p-values that are uniform if they do."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .points import checked_points
from .supervised import logistic_regression

__all__ = ["TwoSampleTest", "classifier_two_sample_test", "permutation_test"]

CLASSIFIERS = ("logistic", "neighbors")


class TwoSampleTest(NamedTuple):
    """What a two-sample test found.

    Attributes:
        statistic: larger the more the two sets differ; of a classifier, its accuracy on points that it has not seen.
        p_value: how often a statistic as large or larger is met if both sets come from one distribution. It says how
            sure the difference is, not how large: with enough points, every model fails.
    """

    statistic: float
    p_value: float

    def __str__(self):
        return f"{self.statistic:.3f}, p = {self.p_value:.2g}"


def classifier_two_sample_test(
    a: Tensor, b: Tensor, classifier: str = "logistic", neighbors: int | None = None, seed: int = 0
) -> TwoSampleTest:
    """Train a classifier to tell the sets apart on half of the points; its accuracy on the other half is the statistic.

    If both come from one distribution, the labels of the unseen half are dealt out at random, whatever the classifier has
    learned: of the t points of `b` there, the number that it calls `b` follows the hypergeometric distribution. Its tail
    is the p-value, exact for any number of points (Fisher's exact test).

    A linear classifier sees differing means alone; neighbors see any difference, given enough points. Accuracy ½: none
    was found; 1: each point gives itself away. Features are standardized on the half that is learned from.

    Lopez-Paz & Oquab, "Revisiting Classifier Two-Sample Tests", 2017, https://arxiv.org/abs/1610.06545

    Args:
        a: (n, d), n ≥ 4.
        b: (m, d), m ≥ 4; of the larger set, as many points as the smaller has are drawn.
        classifier: "logistic" for logistic regression, "neighbors" for the majority of nearest neighbors.
        neighbors: how many of them; None for the odd number next to the root of the number learned from.
        seed: of which points are learned from.

    Returns:
        accuracy and p-value.

    Raises:
        ValueError: the sets are not so, or there is no such classifier.
    """
    if classifier not in CLASSIFIERS:
        raise ValueError(f"classifier must be one of {', '.join(map(repr, CLASSIFIERS))}, got {classifier!r}")
    from scipy.stats import hypergeom

    a, b = checked_points(4, a=a, b=b)
    generator, count = torch.Generator().manual_seed(seed), min(len(a), len(b))
    half = count // 2
    a, b = (x[torch.randperm(len(x), generator=generator)[:count].to(x.device)] for x in (a, b))
    order = torch.randperm(2 * half, generator=generator).to(a.device)  # else ties between neighbors would favor a
    x = torch.cat([a[:half], b[:half]])[order]
    y = (torch.arange(2 * half, device=a.device) >= half).long()[order]
    unseen = torch.cat([a[half:], b[half:]])  # (2 t, d), those of a first
    mean, scale = x.mean(0), x.std(0)
    x, unseen = ((part - mean) / scale.where(scale > 0, 1) for part in (x, unseen))
    if classifier == "logistic":
        called_b = logistic_regression(x, y, penalty=1.0)(unseen).argmax(-1) == 1
    else:
        k = 2 * int(len(x) ** 0.5 // 2) + 1 if neighbors is None else neighbors
        called_b = _majority(x, y, unseen, k)
    t, hits = count - half, int(called_b[count - half :].sum())
    accuracy = (hits + int((~called_b[:t]).sum())) / (2 * t)
    return TwoSampleTest(accuracy, float(hypergeom.sf(hits - 1, 2 * t, int(called_b.sum()), t)))


def _majority(x: Tensor, y: Tensor, unseen: Tensor, neighbors: int, block: int = 1000) -> Tensor:
    """Whether more of the nearest neighbors in x are labeled 1 than 0, for each unseen point: (2 t,)."""
    if not 1 <= neighbors <= len(x):
        raise ValueError(
            f"neighbors must be 1 to {len(x)}, the number of points that are learned from, got {neighbors}"
        )
    votes = [y[torch.cdist(part, x).topk(neighbors, largest=False).indices] for part in unseen.split(block)]
    return 2 * torch.cat(votes).sum(1) > neighbors


def permutation_test(
    statistic: Callable[[Tensor, Tensor], float], a: Tensor, b: Tensor, permutations: int = 199, seed: int = 0
) -> TwoSampleTest:
    """The p-value of any statistic: how often it is as large when the points are dealt to the two sets at random.

        p = (1 + number of permutations with statistic ≥ the one that was found) / (1 + permutations)

    The one that was found counts as a permutation too, which makes the p-value exact: P(p ≤ α) ≤ α for any α.
    Phipson & Smyth, "Permutation P-values Should Never Be Zero", 2010, https://arxiv.org/abs/1603.05766

    Args:
        statistic: larger the more two sets differ, (n, d), (m, d) -> number; e.g. `frechet_distance`, or
            `lambda a, b: mmd(a, b, bandwidth)` with a bandwidth from `median_bandwidth`, which is not computed anew then.
        a: (n, d).
        b: (m, d).
        permutations: how many; no p-value is below 1 / (1 + permutations).
        seed: of the permutations.

    Raises:
        ValueError: the sets are not so, no permutations, or a statistic that is NaN.
    """
    if permutations < 1:
        raise ValueError(f"permutations must be at least 1, got {permutations}")
    a, b = checked_points(a=a, b=b)
    pooled, generator = torch.cat([a, b]), torch.Generator().manual_seed(seed)
    found, as_large = float(statistic(a, b)), 1
    for _ in range(permutations):
        order = torch.randperm(len(pooled), generator=generator).to(pooled.device)
        value = float(statistic(pooled[order[: len(a)]], pooled[order[len(a) :]]))
        if value != value or found != found:
            raise ValueError("the statistic is NaN for some permutation, and NaN cannot be ranked")
        as_large += value >= found
    return TwoSampleTest(found, as_large / (1 + permutations))
