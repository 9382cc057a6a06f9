"""Every model of the course in a small size: what the contract and the two-process test run over.

A new model adds one `Case`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from dgmcourse.core import GenerativeModel, Space
from dgmcourse.models import VAE


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[], GenerativeModel]
    classes: int | None = None  # labels, where the model is conditional
    distributed: bool = True

    def model(self, seed: int = 0) -> GenerativeModel:
        torch.manual_seed(seed)
        return self.make()

    def batch(self, n: int = 16, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Random members of the model's space, and labels where it is conditional."""
        generator = torch.Generator().manual_seed(seed)
        space = self.model().space
        y = torch.randint(self.classes, (n,), generator=generator) if self.classes else None
        if space.kind == "real":
            return torch.randn(n, *space.shape, generator=generator), y
        levels = torch.randint(space.levels, (n, *space.shape), generator=generator)
        return (levels if space.kind == "tokens" else levels / (space.levels - 1)), y


BINARY, GREY, REAL = Space.binary(1, 8, 8), Space.grey(1, 8, 8, levels=17), Space.real(2)

CASES = [
    Case("VAE binary", lambda: VAE(BINARY, 3, hidden=(16,))),
    Case("VAE grey", lambda: VAE(GREY, 3, hidden=(16,))),
    Case("VAE real", lambda: VAE(REAL, 1, hidden=(16,))),
    Case("VAE linear", lambda: VAE(REAL, 1, hidden=())),
    Case("VAE convolutional", lambda: VAE(BINARY, 3, hidden=(16,), channels=(4, 8))),
    Case("VAE convolutional, odd sides", lambda: VAE(Space.grey(3, 7, 9, levels=4), 2, hidden=(16,), channels=(4, 8))),
    Case("VAE conditional", lambda: VAE(BINARY, 3, hidden=(16,), classes=4), classes=4),
    Case("VAE conditional, convolutional", lambda: VAE(GREY, 2, hidden=(16,), channels=(4,), classes=4), classes=4),
    Case("VAE importance-weighted", lambda: VAE(BINARY, 3, hidden=(16,), samples=5)),
    Case("VAE warm-up and free bits", lambda: VAE(BINARY, 3, hidden=(16,), warmup=10, free_bits=0.1)),
]
