"""Which modes of a known mixture a model has found."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..data.toys import Mixture

__all__ = ["ModeCoverage", "mode_coverage"]


class ModeCoverage(NamedTuple):
    """How samples are shared out among the modes of a mixture of Gaussians.

    Attributes:
        shares: (modes,), which part of all samples lies within reach of each mode.
        spread: (modes,), their root mean square distance from its center along one axis, in standard deviations of the
            mode: 1 for the truth (0.97 within reach 3), 0 for a mode that has shrunk to a point; NaN where there are none.
    """

    shares: Tensor
    spread: Tensor

    @property
    def inside(self) -> float:
        """The part of all samples within reach of some mode."""
        return float(self.shares.sum())

    def found(self, least: float = 0.02) -> int:
        """How many modes have at least this part of all samples."""
        return int((self.shares >= least).sum())

    def __str__(self):
        n, least, most = len(self.shares), float(self.shares.min()), float(self.shares.max())
        return (
            f"{self.found()} of {n} modes, {least:.1%} to {most:.1%} of the samples in each, "
            f"{self.inside:.1%} inside, spread {float(self.spread.nanmean()):.2f}"
        )


@torch.no_grad()
def mode_coverage(x: Tensor, truth: Mixture, reach: float = 3.0) -> ModeCoverage:
    """Give each sample to the nearest mode, if that is at most `reach` standard deviations away.

    Args:
        x: samples, (n, 2).
        truth: a mixture of equally wide Gaussians, such as `toy("eight_gaussians").truth`.
        reach: in standard deviations; of the truth's own samples in the plane, 1 − exp(−reach²/2) lie inside.

    Raises:
        ValueError: x is not (n, 2), or the truth is no mixture.
    """
    if not isinstance(truth, Mixture):
        raise ValueError(f"{truth} has no modes to count; take toy('eight_gaussians') or toy('grid')")
    if x.ndim != 2 or x.shape[1] != truth.centers.shape[1] or not len(x):
        raise ValueError(f"x must have shape (n, {truth.centers.shape[1]}), n ≥ 1, got {tuple(x.shape)}")
    distance, mode = torch.cdist(x.double(), truth.centers.to(x.device)).min(-1)
    near, modes = distance <= reach * truth.std, len(truth.centers)
    count = torch.bincount(mode[near], minlength=modes)
    squared = torch.bincount(mode[near], weights=distance[near].square(), minlength=modes)
    return ModeCoverage(count / len(x), (squared / count / 2).sqrt() / truth.std)
