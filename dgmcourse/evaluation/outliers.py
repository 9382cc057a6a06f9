"""Noticing strange images: how well a score tells them from those that a model was trained for."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..data import Dataset, glyphs

__all__ = ["auroc", "outlier_aurocs", "strange_images"]

LETTERS = "ABCEFGHKMNPRTXY"  # none of which is a digit in another font
NOISE, FLIPPED = 0.25, 0.1  # standard deviation of noise on grey levels; share of binary pixels that change
THIN = 0.3  # ink from which a pixel of a letter is on, so that thin strokes are not torn


def auroc(normal: Tensor, strange: Tensor) -> float:
    """Area under the receiver operating characteristic of a score that should be larger for the strange ones:

        P(score of a strange one > score of a normal one) + ½ P(both are equal)

    1 tells all of them apart, ½ is guessing, below ½ the strange ones look more normal than the normal ones do.
    Hanley & McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC) curve", 1982,
    https://doi.org/10.1148/radiology.143.1.7063747

    Args:
        normal: scores of normal examples, (n,).
        strange: scores of strange ones, (m,).

    Returns:
        a share, between 0 and 1.

    Raises:
        ValueError: a group is empty or not flat, or a score is NaN.
    """
    for name, scores in (("normal", normal), ("strange", strange)):
        if scores.ndim != 1 or not len(scores):
            raise ValueError(f"{name} must hold one score for each example, (n,) with n ≥ 1, got {tuple(scores.shape)}")
        if scores.isnan().any():
            raise ValueError(f"{int(scores.isnan().sum())} of {len(scores)} scores of {name} examples are NaN")
    ranked, wanted = normal.detach().cpu().sort().values, strange.detach().cpu().to(normal.dtype)
    below, not_above = torch.searchsorted(ranked, wanted), torch.searchsorted(ranked, wanted, right=True)
    return float((below + not_above).double().mean()) / (2 * len(ranked))


def strange_images(data: Dataset, seed: int = 0) -> dict[str, Tensor]:
    """Images of a dataset's space that are not of its kind, by what is strange about them, each (n, *shape).

    Letters: printed ones of seven fonts. Upside down, mirrored: its test images, flipped. Noisy: its test images with
    Gaussian noise of standard deviation ¼, rounded to the levels; of binary ones, every tenth pixel changed. Averages:
    the mean training image of each class (rounded), where there are classes.

    Args:
        data: of square images of one channel, 8×8 or larger, binary or grey.
        seed: of fonts and noise.

    Raises:
        ValueError: the dataset holds something else.
    """
    space = data.space
    if space.kind not in ("binary", "grey") or len(space.shape) != 3 or space.shape[0] != 1 or (
            space.shape[1] != space.shape[2] or space.shape[1] < 8):  # fmt: skip
        raise ValueError(f"strange images are made for square images of one channel, at least 8×8, got {space}")
    generator = torch.Generator().manual_seed(seed)
    found = {
        "letters": _letters(data, seed),
        "upside down": data.test.flip(-2),
        "mirrored": data.test.flip(-1),
        "noisy": _noisy(data, generator),
    }
    if data.classes and data.train_labels is not None:
        means = [data.train[data.train_labels == label].mean(0) for label in range(data.classes)]
        found["averages"] = _rounded(torch.stack(means), data)
    return {name: images.to(data.test) for name, images in found.items()}


def outlier_aurocs(
    score: Callable[[Tensor], Tensor], normal: Tensor, strange: Mapping[str, Tensor]
) -> dict[str, float]:
    """`auroc` for each kind of strange images.

    Args:
        score: larger for what is stranger, (batch, *shape) -> (batch,), e.g. `model.energy`, or −log p(x) in nats.
        normal: examples of the kind that the model was trained for, and has not seen, (n, *shape).
        strange: by name, e.g. `strange_images(data)`, each (m, *shape).
    """
    with torch.no_grad():
        usual = score(normal)
        return {name: auroc(usual, score(images)) for name, images in strange.items()}


def _letters(data: Dataset, seed: int) -> Tensor:
    """Letters as large as the digits are: the middle of images that are half as large again, (300, 1, side, side)."""
    side = data.space.shape[1]
    drawn = glyphs(side=side + side // 2, characters=LETTERS, n=(300, 1, 1), vary=("font",), seed=seed).train
    margin = side // 4
    middle = drawn[..., margin : margin + side, margin : margin + side]
    return (middle > THIN).to(drawn) if data.space.kind == "binary" else _rounded(middle, data)


def _rounded(x: Tensor, data: Dataset) -> Tensor:
    """The nearest level of the dataset's space."""
    top = data.space.levels - 1
    return (x * top).round() / top


def _noisy(data: Dataset, generator: torch.Generator) -> Tensor:
    x = data.test.cpu()
    if data.space.kind == "binary":
        changed = torch.rand(x.shape, generator=generator) < FLIPPED
        return torch.where(changed, 1 - x, x)
    return _rounded((x + NOISE * torch.randn(x.shape, generator=generator)).clamp(0, 1), data)
