"""A closed, smooth, random path through a latent space."""

import math

import torch
from torch import Tensor

from .model import slerp

__all__ = ["ClosedPath"]


class ClosedPath:
    """From one anchor to the next along great arcs, and back to the first: z(t), t in [0, 1], z(0) = z(1).

    A sample of N(0, I) in many dimensions lies near the sphere of radius √d, and so does all of an arc between two of
    them; a straight line would pass through the inside, where the generator has hardly ever been. On every leg the walk
    sets off and arrives gently, s(f) = ½ − ½ cos πf, so that z has a continuous velocity also at the anchors.

    White, "Sampling generative networks", 2016, https://arxiv.org/abs/1609.04468 (arcs instead of lines)

    Args:
        anchors: (anchors, latents), two or more.
    """

    def __init__(self, anchors: Tensor):
        anchors = torch.as_tensor(anchors, dtype=torch.float32).detach().cpu()
        if anchors.ndim != 2 or len(anchors) < 2 or not anchors.isfinite().all():
            raise ValueError(f"a path needs two or more anchors, finite and of shape (anchors, latents), "
                             f"got {tuple(anchors.shape)}")  # fmt: skip
        self.anchors = anchors

    @classmethod
    def random(cls, anchors: int, latents: int, seed: int = 0) -> "ClosedPath":
        """A path through draws of N(0, I)."""
        return cls(torch.randn(anchors, latents, generator=torch.Generator().manual_seed(seed)))

    def __len__(self) -> int:
        """How many legs: one from each anchor."""
        return len(self.anchors)

    def at(self, t: float) -> Tensor:
        """z(t), (latents,); t counts once round from 0 to 1, and beyond begins again."""
        place = (t % 1.0) * len(self)
        leg = min(int(place), len(self) - 1)
        eased = torch.tensor([0.5 - 0.5 * math.cos(math.pi * (place - leg))])
        return slerp(self.anchors[leg], self.anchors[(leg + 1) % len(self)], eased)[0]
