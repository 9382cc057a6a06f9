"""How far samples are from the training examples: copies lie too near, and so do blurred ones; noise lies too far."""

import torch
from torch import Tensor

__all__ = ["nearest_distance"]


@torch.no_grad()
def nearest_distance(x: Tensor, examples: Tensor, batch_size: int = 200) -> Tensor:
    """Euclidean distance of each x to the example that is nearest to it.

    Put it beside the distances of test examples, which are new and real.

    Args:
        x: (n, *shape).
        examples: (m, *shape).
        batch_size: how many x at a time, which holds the memory to batch_size·m numbers.

    Returns:
        (n,).

    Raises:
        ValueError: the shapes differ, or there are no examples.
    """
    if x.shape[1:] != examples.shape[1:] or not len(examples):
        raise ValueError(f"x {tuple(x.shape)} and examples {tuple(examples.shape)} must be alike but for their numbers, "
                         "and there must be an example")  # fmt: skip
    flat = examples.flatten(1)
    parts = [torch.cdist(part, flat).amin(1) for part in x.flatten(1).split(batch_size)]
    return torch.cat(parts) if parts else x.new_zeros(0)
