"""Statistics of a batch that is shared out among processes."""

import torch
from torch import Tensor

__all__ = ["mean_over_processes"]


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of a tensor over all processes of a distributed run, the same in each; the tensor itself in a single one.

    Every process must call it, with a tensor of the same shape. No gradient passes.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value.detach()
    total = value.detach().clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()
