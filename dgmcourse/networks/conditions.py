"""Turning a condition y into numbers that a network can be given."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["one_hot"]


def one_hot(y: Tensor | None, classes: int, batch: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Labels (batch,) in 0 … classes−1 -> (batch, classes) of zeros with a single one.

    Raises:
        ValueError: no labels, another number of them than `batch`, or labels out of range.
        TypeError: labels that are not int64.
    """
    if y is None:
        raise ValueError(f"this model is conditional: pass y, {batch} labels in 0 … {classes - 1}")
    if y.dtype != torch.int64:
        raise TypeError(f"labels must be int64, got {y.dtype}; use y.long()")
    if y.shape != (batch,):
        raise ValueError(f"y must have shape ({batch},), one label for each example, got {tuple(y.shape)}")
    # on a GPU the look would wait for the device at every call; there F.one_hot itself refuses
    if batch and y.device.type == "cpu" and not 0 <= int(y.min()) <= int(y.max()) < classes:
        raise ValueError(f"labels must lie in 0 … {classes - 1}, got {int(y.min())} … {int(y.max())}")
    return F.one_hot(y, classes).to(dtype)
