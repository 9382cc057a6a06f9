"""Metrics on trial: real images in which one thing is wrong, on purpose, and how strongly each metric says so."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..data import Dataset
from ..tables import Table
from .classifier import DigitClassifier
from .features import course_classifier, course_features
from .frechet import frechet_distance
from .kernels import kernel_distance, mmd
from .memorization import memorization_test
from .neighbors import manifold_scores
from .recognition import inception_style_score
from .representation import linear_probe
from .two_sample import classifier_two_sample_test

__all__ = [
    "FAULTS",
    "METRICS",
    "FaultTable",
    "Metric",
    "Sources",
    "fault_table",
    "inject",
    "parzen_log_prob",
    "readings",
]

Labeled = tuple[Tensor, Tensor]  # images (n, *shape) and labels (n,)
CONTROL = "nothing (control)"
_PARZEN_WIDTH = 0.2


class Sources(NamedTuple):
    """What a faulty set is made of.

    Attributes:
        pool, pool_labels: fresh examples, from which an honest model would draw.
        train, train_labels: what the model would have been trained on.
    """

    pool: Tensor
    pool_labels: Tensor
    train: Tensor
    train_labels: Tensor


# --- the faults -------------------------------------------------------------------------------------------------------


def inject(fault: str, sources: Sources, count: int, generator: torch.Generator) -> Labeled:
    """The samples of a model that is perfect but for one fault: images (count, *shape), labels (count,).

    Args:
        fault: a key of `FAULTS`.
        sources: real examples.
        count: how many samples; "too few samples" returns a fifth of them.
        generator: of all draws.

    Raises:
        ValueError: there is no such fault, or the pool has too few examples for it.
    """
    if fault not in FAULTS:
        raise ValueError(f"there is no fault {fault!r}; there are: {', '.join(FAULTS)}")
    return FAULTS[fault](sources, count, generator)


def _drawn(x: Tensor, labels: Tensor, chosen: Tensor, count: int, generator: torch.Generator) -> Labeled:
    """`count` of the chosen examples, without replacement."""
    places = chosen.nonzero()[:, 0]
    if len(places) < count:
        raise ValueError(f"the pool has {len(places)} examples of the classes wanted, fewer than {count}; draw fewer")
    places = places[torch.randperm(len(places), generator=generator)[:count]]
    return x[places], labels[places]


def _nothing(sources: Sources, count: int, generator: torch.Generator) -> Labeled:
    return _drawn(*sources[:2], torch.ones(len(sources.pool), dtype=torch.bool), count, generator)


def _class_missing(sources: Sources, count: int, generator: torch.Generator) -> Labeled:
    classes = sources.pool_labels.unique()
    missing = classes[torch.randint(len(classes), (), generator=generator)]
    return _drawn(*sources[:2], sources.pool_labels != missing, count, generator)


def _imbalance(sources: Sources, count: int, generator: torch.Generator) -> Labeled:
    """Half of the classes make up four fifths of the samples."""
    classes = sources.pool_labels.unique()
    often = classes[torch.randperm(len(classes), generator=generator)[: len(classes) // 2]]
    frequent = torch.isin(sources.pool_labels, often)
    many = _drawn(*sources[:2], frequent, 4 * count // 5, generator)
    few = _drawn(*sources[:2], ~frequent, count - 4 * count // 5, generator)
    return torch.cat([many[0], few[0]]), torch.cat([many[1], few[1]])


def _memorized(sources: Sources, count: int, generator: torch.Generator) -> Labeled:
    return _drawn(*sources[2:], torch.ones(len(sources.train), dtype=torch.bool), count, generator)


def _blur(sources: Sources, count: int, generator: torch.Generator) -> Labeled:
    """Half of each image is itself, half what the kernel (1 2 1)ᵀ(1 2 1)/16 makes of it."""
    x, y = _nothing(sources, count, generator)
    line = x.new_tensor((0.25, 0.5, 0.25))
    kernel = torch.outer(line, line).expand(x.shape[1], 1, 3, 3)
    return 0.5 * x + 0.5 * F.conv2d(x, kernel, padding=1, groups=x.shape[1]), y


def _noise(sources: Sources, count: int, generator: torch.Generator) -> Labeled:
    """Gaussian noise with a standard deviation of 0.15, clipped to the range of pixels."""
    x, y = _nothing(sources, count, generator)
    return (x + 0.15 * torch.randn(x.shape, generator=generator)).clamp(0, 1), y


def _averages(sources: Sources, count: int, generator: torch.Generator) -> Labeled:
    """Each image is the mean of itself and of one of its class, drawn from all of them: seldom, of itself."""
    x, y = _nothing(sources, count, generator)
    partners = torch.empty_like(x)
    for label in y.unique():
        mine, all_of = (y == label).nonzero()[:, 0], sources.pool[sources.pool_labels == label]
        partners[mine] = all_of[torch.randint(len(all_of), (len(mine),), generator=generator)]
    return 0.5 * (x + partners), y


def _too_few(sources: Sources, count: int, generator: torch.Generator) -> Labeled:
    return _nothing(sources, max(8, count // 5), generator)


FAULTS: dict[str, Callable[[Sources, int, torch.Generator], Labeled]] = {
    "a class is missing": _class_missing,
    "classes out of balance": _imbalance,
    "training set memorized": _memorized,
    "blur": _blur,
    "averages of two": _averages,
    "noise": _noise,
    "too few samples": _too_few,
    CONTROL: _nothing,
}


# --- the metrics ------------------------------------------------------------------------------------------------------


class Metric(NamedTuple):
    """A number that judges a set of samples.

    Attributes:
        better: "higher" or "lower".
        about: what it looks at, in a few words.
    """

    better: str
    about: str


METRICS = {
    "Fréchet": Metric("lower", "means and covariances of course features"),
    "kernel": Metric("lower", "cubic kernel on course features, unbiased"),
    "MMD² of pixels": Metric("lower", "Gaussian kernel on pixels, unbiased, median heuristic"),
    "precision": Metric("higher", "samples within balls around real images"),
    "recall": Metric("higher", "real images within balls around samples"),
    "density": Metric("higher", "how many balls of real images around a sample"),
    "coverage": Metric("higher", "balls of real images that hold a sample"),
    "inception-style": Metric("higher", "how sure the classifier is, how even its labels"),
    "two-sample, linear": Metric("lower", "accuracy of logistic regression, real against sample"),
    "two-sample, neighbors": Metric("lower", "accuracy of nearest neighbors, real against sample"),
    "copying z": Metric("higher", "distance to the training set, against fresh images"),
    "Parzen likelihood": Metric("higher", "log-density of real images, by kernels around samples"),
    "probe": Metric("higher", "accuracy on real images of a classifier that learned from samples"),
}


def parzen_log_prob(samples: Tensor, x: Tensor, width: float = _PARZEN_WIDTH) -> float:
    """The mean log-density of x under Gaussian kernels around samples, in nats: the "Parzen window" likelihood.

        log p(x) ≈ log (1/n) Σ_i N(x; sample_i, width² I)

    It says little of the model that drew the samples: Theis, van den Oord & Bethge, "A note on the evaluation of
    generative models", 2016, https://arxiv.org/abs/1511.01844

    Args:
        samples: (n, d).
        x: (m, d).
        width: standard deviation of the kernels.
    """
    squares = torch.cdist(x.double(), samples.double()).square()  # (m, n)
    log_kernel = -0.5 * squares / width**2 - x.shape[1] * (math.log(width) + 0.5 * math.log(2 * math.pi))
    return float((log_kernel.logsumexp(1) - math.log(len(samples))).mean())


@torch.no_grad()
def readings(
    samples: Labeled,
    real: Labeled,
    train: Tensor,
    classifier: DigitClassifier | None = None,
    seed: int = 0,
    neighbors: int = 5,
) -> dict[str, float]:
    """What every metric of `METRICS` says of a set of samples.

    Args:
        samples: images (n, *shape) and the labels that they were drawn for, (n,).
        real: fresh images and their labels, which the samples are compared with.
        train: what the model was trained on, (l, *shape).
        classifier: whose features are used; None for the course's.
        seed: of random subsets and halves.
        neighbors: of precision, recall, density, coverage.
    """
    (x, labels), (fresh, fresh_labels) = samples, real
    judge = classifier or course_classifier(x.shape[1:])
    fake, true = course_features(x, judge), course_features(fresh, judge)
    pixels, fresh_pixels = x.flatten(1), fresh.flatten(1)
    manifold = manifold_scores(true, fake, neighbors)
    return {
        "Fréchet": frechet_distance(true, fake),
        "kernel": kernel_distance(true, fake, subsets=20, seed=seed).value,
        "MMD² of pixels": mmd(fresh_pixels, pixels),
        "precision": manifold.precision,
        "recall": manifold.recall,
        "density": manifold.density,
        "coverage": manifold.coverage,
        "inception-style": inception_style_score(judge.head(fake.to(judge.device)).softmax(-1)),
        "two-sample, linear": classifier_two_sample_test(true, fake, seed=seed).statistic,
        "two-sample, neighbors": classifier_two_sample_test(true, fake, "neighbors", seed=seed).statistic,
        "copying z": memorization_test(pixels, train.flatten(1), fresh_pixels).z,
        "Parzen likelihood": parzen_log_prob(pixels, fresh_pixels),
        "probe": linear_probe(pixels, labels, fresh_pixels, fresh_labels).value,
    }


# --- the table --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FaultTable:
    """How strongly each metric sees each fault.

    Attributes:
        faults: names of the rows.
        metrics: names of the columns.
        values: what the metrics said, (faults, metrics, seeds).
        honest: what they said of sets without a fault, (metrics, seeds).
    """

    faults: Sequence[str]
    metrics: Sequence[str]
    values: Tensor
    honest: Tensor

    @property
    def effects(self) -> Tensor:
        """(mean with the fault − mean without) / standard deviation without, (faults, metrics), above 0 if called worse.

        Below 0, the metric is fooled: it finds the faulty set better than an honest one. Within ±1, one reading of the
        metric tells next to nothing. A metric that says the same of every honest set and something else of the faulty ones
        has the effect ±∞.
        """
        signs = torch.tensor([1.0 if METRICS[name].better == "lower" else -1.0 for name in self.metrics]).double()
        gap = signs * (self.values.mean(-1) - self.honest.mean(-1))
        return torch.where(gap == 0, 0.0, gap / self.honest.std(-1))

    @property
    def chance(self) -> float:
        """The standard error of an effect of 0: √(2 / seeds)."""
        return math.sqrt(2 / self.values.shape[-1])

    def table(self) -> Table:
        """Faults × metrics."""
        rows = [
            (fault, *(f"{value:+.1f}" for value in line))
            for fault, line in zip(self.faults, self.effects.tolist(), strict=True)
        ]
        return Table(("fault", *self.metrics), rows, f"effect sizes; chance alone: ± {self.chance:.1f}")

    def __repr__(self):
        return repr(self.table())

    def _repr_html_(self):
        return self.table()._repr_html_()


def fault_table(
    data: Dataset,
    faults: Iterable[str] | None = None,
    seeds: int = 20,
    count: int = 160,
    classifier: DigitClassifier | None = None,
) -> FaultTable:
    """Inject each fault into real images that no model has seen, and ask every metric, once for each seed.

    For each seed the images held out (validation and test) are dealt anew: three fifths are the pool, from which the sets
    of `count` "samples" are drawn, honest ones and faulty ones; what is left is the real set that they are compared with.

    Args:
        data: labeled images, grey.
        faults: keys of `FAULTS`; None for all, the control included: an honest set drawn once more, whose effects are chance.
        seeds: how often, at least 2.
        count: samples in a set, fewer than half of the pool's images.
        classifier: whose features are used; None for the course's.

    Raises:
        ValueError: no labels, fewer than two seeds, or too few images.
    """
    labeled = ", ".join(s for s in ("train", "valid", "test") if getattr(data, f"{s}_labels") is not None) or "nothing"
    if labeled != "train, valid, test" or seeds < 2:
        raise ValueError(f"fault_table needs labels of all splits and seeds ≥ 2, got {data.name} with labels of {labeled} "
                         f"and seeds={seeds}; use digits() or mnist()")  # fmt: skip
    names = list(FAULTS if faults is None else faults)
    held, labels = torch.cat([data.valid, data.test]), torch.cat([data.valid_labels, data.test_labels])
    rows: list[list[dict[str, float]]] = []
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(held), generator=generator)
        pool, rest = order[: 3 * len(held) // 5], order[3 * len(held) // 5 :]
        sources = Sources(held[pool], labels[pool], data.train, data.train_labels)
        sets = [_nothing(sources, count, generator), *(inject(name, sources, count, generator) for name in names)]
        real = held[rest], labels[rest]
        rows.append([readings(one, real, data.train, classifier, seed) for one in sets])
    found = torch.tensor([[[one[name] for name in METRICS] for one in row] for row in rows]).double()
    found = found.permute(1, 2, 0)  # (sets, metrics, seeds)
    return FaultTable(names, list(METRICS), found[1:], found[0])
