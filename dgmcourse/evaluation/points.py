"""What the metrics of samples ask of the points that they are given."""

from torch import Tensor

__all__ = ["checked_points"]


def checked_points(least: int = 1, **named: Tensor) -> list[Tensor]:
    """Sets of points, (n, d) each, as float64 on their device (on the CPU where the device has no float64).

    Args:
        least: how many points each set must have.
        named: the sets, by the name that an error gives them.

    Raises:
        ValueError: a set is not (n, d) with n ≥ `least`, holds numbers that are not finite, or the sets differ in d.
    """
    (first, reference), *_ = named.items()
    for name, x in named.items():
        if x.ndim != 2 or not x.shape[1] or len(x) < least:
            raise ValueError(f"{name} must be points (n, d) with n ≥ {least}, got {tuple(x.shape)}; "
                             "flatten images by x.flatten(1), or describe them by a classifier's features")  # fmt: skip
        if x.shape[1] != reference.shape[1]:
            raise ValueError(f"{first} has {reference.shape[1]} numbers a point, but {name} has {x.shape[1]}; "
                             "describe both in the same way")  # fmt: skip
        if not x.isfinite().all():
            bad = int((~x.isfinite().all(1)).sum())
            raise ValueError(f"{bad} of {len(x)} points of {name} are not finite; leave them out, and say so")
    device = "cpu" if reference.device.type == "mps" else reference.device
    return [x.detach().to(device).double() for x in named.values()]
