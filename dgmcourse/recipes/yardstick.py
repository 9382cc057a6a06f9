"""One yardstick for every model of MNIST in the zoo: as many samples of each, compared with the same real images."""

import functools
import math
import time
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .. import zoo
from ..core import GenerativeModel
from ..data import mnist
from ..evaluation.features import course_classifier, course_features
from ..evaluation.likelihood import Estimate
from ..evaluation.quality import draw, plain, recognition, sample_quality
from .run import Card, hardware

__all__ = ["JUDGE", "SAMPLES", "RealImages", "compare", "measure", "real_images", "yardstick"]

SAMPLES = 5_000  # half of the test images: the other half shows what the numbers are where nothing is wrong
JUDGE = "classifier-mnist"  # its card holds what real images get
_AT_ONCE = 500


class RealImages(NamedTuple):
    """What samples are compared with, all of one kind, as `mnist` makes them; binary ones are drawn once.

    Attributes:
        test: every second test image, (5000, 1, 28, 28): what all are compared with.
        rest, rest_labels: the other test images.
        train, train_labels: the training images of every recipe.
        fresh: the images that recipes hold out of the training images: by the same writers, whom the test images are
            not by, so that a test of copying must look here.
    """

    test: Tensor
    rest: Tensor
    rest_labels: Tensor
    train: Tensor
    train_labels: Tensor
    fresh: Tensor


@functools.cache
def real_images(kind: str) -> RealImages:
    """The real images of a kind, "grey" or "binary".

    Raises:
        ValueError: another kind.
    """
    if kind not in ("grey", "binary"):
        raise ValueError(
            f"the yardstick has real images of grey and binary MNIST, not of {kind!r}; use evaluate(model, data)"
        )
    data = mnist(binarize={"grey": None, "binary": "fixed"}[kind], valid=1000)
    halves = data.test[::2], data.test[1::2], data.test_labels[1::2]
    return RealImages(*halves, data.train, data.train_labels, data.valid)


@functools.cache
def _features(kind: str) -> tuple[Tensor, Tensor, Tensor]:
    """The course features of the real images of a kind: test, train, fresh."""
    real = real_images(kind)
    return course_features(real.test), course_features(real.train), course_features(real.fresh)


def yardstick(model: GenerativeModel, samples: int = SAMPLES, seed: int = 0) -> dict[str, Estimate]:
    """Draw samples of a model of MNIST and compare them with real images of its kind: numbers by name.

    A conditional model is asked for all labels in turn.
    """
    x, asked, milliseconds = draw(model, samples, seed, _AT_ONCE)
    return compare(x, model.space.kind, asked) | {"ms/sample": plain(milliseconds, samples, "ms")}


@torch.no_grad()
def compare(x: Tensor, kind: str, asked: Tensor | None = None) -> dict[str, Estimate]:
    """Images (n, 1, 28, 28), of which certain labels were asked, beside real ones of their kind: numbers by name.

    The names are those of `evaluation.report.QUANTITIES`, and so are the metrics.
    """
    fake, (test, train, fresh) = course_features(x), _features(kind)
    chances = course_classifier(x.shape[1:]).head(fake).softmax(-1)  # (n, classes)
    return recognition(chances, asked) | sample_quality(fake, test, train, fresh)


def _of_real_images() -> dict[str, dict[str, Estimate]]:
    """What real images get in the place of samples: the other test images, and as many training images."""
    rows = {}
    for kind in ("grey", "binary"):
        real, some = real_images(kind), slice(0, None, len(real_images(kind).train) // SAMPLES)
        rows[f"{kind}: other test images"] = compare(real.rest, kind, real.rest_labels)
        rows[f"{kind}: training images"] = compare(real.train[some][:SAMPLES], kind, real.train_labels[some][:SAMPLES])
    return rows


def measure(again: bool = False) -> Iterator[str]:
    """Hold the yardstick to all that ships of MNIST, and write what it says into the cards, one after another.

    Args:
        again: measure even what was measured before; else what is on the cards stays, so that an interruption costs
            one model at most.

    Yields:
        the name of each card, once it is written.
    """
    for name in [JUDGE, *zoo.models()]:
        card = Card.read(zoo.HOME / name)
        if card.yardstick and not again:
            continue
        started = time.process_time()
        if name == JUDGE:
            rows, device = _of_real_images(), torch.device("cpu")
        else:
            model = zoo.load(name)
            if model.space.shape != (1, 28, 28):
                continue
            rows, device = {f"{model.space.kind}: samples": yardstick(model)}, model.device
        card.yardstick = {
            "samples": SAMPLES,
            "rows": {row: {key: _entry(n) for key, n in numbers.items()} for row, numbers in rows.items()},
            "seconds": round(time.process_time() - started, 1),
            "hardware": hardware(device),
            "date": time.strftime("%Y-%m-%d"),
        }
        card.write(zoo.HOME / name)
        yield name


def _entry(number: Estimate) -> dict:
    """A number as cards hold it, six digits of it; null for an error that nobody knows."""
    error = float(f"{number.standard_error:.6g}") if math.isfinite(number.standard_error) else None
    return {"value": float(f"{number.value:.6g}"), "standard_error": error, "count": number.count, "unit": number.unit}
