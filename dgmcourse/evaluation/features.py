"""The course's features: what a small classifier, trained on real digits and shipped, sees in an image."""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from ..core import Space
from .classifier import DigitClassifier

__all__ = ["course_classifier", "course_features"]

_SHIPPED = {(1, 8, 8): "classifier-digits", (1, 28, 28): "classifier-mnist"}


def course_classifier(space: Space | Sequence[int]) -> DigitClassifier:
    """The classifier that judges images of this shape, grey or binary: 64 features of 8×8, 192 of 28×28.

    It was trained by the recipe `classifier-digits` or `classifier-mnist`, ships with the course, and is loaded once.

    Args:
        space: where the images live, or its shape.

    Raises:
        ValueError: there is none for this shape.
    """
    shape = tuple(space.shape if isinstance(space, Space) else space)
    if shape not in _SHIPPED or (isinstance(space, Space) and space.kind not in ("binary", "grey")):
        raise ValueError(f"the course ships classifiers of binary and grey digits (1, 8, 8) and (1, 28, 28), not of {space}; "
                         "train one with train_classifier(data) and pass it")  # fmt: skip
    return _loaded(_SHIPPED[shape])


@functools.cache
def _loaded(name: str) -> DigitClassifier:
    from ..zoo import load

    return load(name).requires_grad_(False)


@torch.no_grad()
def course_features(x: Tensor, classifier: DigitClassifier | None = None, batch_size: int = 1000) -> Tensor:
    """The inputs of a classifier's last layer: (n, *shape) -> (n, features), on x's device.

    Distances between sets of images are measured there, as by the Fréchet distance "in course features". They depend
    on the classifier: only numbers of one and the same classifier compare, and none of them with a published FID.

    Args:
        x: images, (n, channels, height, width).
        classifier: None for the course's own of this shape, see `course_classifier`.
        batch_size: images at a time.

    Raises:
        ValueError: no classifier is given, and the course has none for this shape.
    """
    classifier = course_classifier(x.shape[1:]) if classifier is None else classifier
    was_training = classifier.training
    classifier.eval()
    parts = [classifier.features(part.to(classifier.device)).to(x.device) for part in x.split(batch_size)]
    classifier.train(was_training)
    return torch.cat(parts)
