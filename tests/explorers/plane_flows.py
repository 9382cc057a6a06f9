"""Flows of the plane by hand: every state, inverse and log-determinant fits in a line."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from dgmcourse.core import Space


class Turn:
    """z is scaled by (sx, sy), then turned by an angle; with classes, label k shifts the result to the right by k."""

    space = Space.real(2)

    def __init__(self, scales=(2.0, 0.25), angle=math.pi / 6, classes=None):
        self.scales = torch.tensor(scales)
        c, s = math.cos(angle), math.sin(angle)
        self.rotation = torch.tensor([[c, -s], [s, c]])
        self.classes = classes

    def _shift(self, y):
        return torch.zeros(1, 2) if y is None else torch.stack([y.float(), 0 * y.float()], 1)

    def states(self, z: Tensor, y: Tensor | None = None) -> Iterator[Tensor]:
        yield z
        yield z * self.scales
        yield (z * self.scales) @ self.rotation.T + self._shift(y)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return (x - self._shift(y)) @ self.rotation / self.scales


class Waves:
    """Four affine couplings: one coordinate is stretched by exp(0.4 cos u) and moved by 0.5 cos 2u, u the other one."""

    space, layers = Space.real(2), 4

    def _parts(self, state: Tensor, k: int) -> tuple[Tensor, Tensor]:
        return state[:, k % 2], state[:, 1 - k % 2]

    @staticmethod
    def _whole(kept: Tensor, moved: Tensor, k: int) -> Tensor:
        return torch.stack([kept, moved] if k % 2 == 0 else [moved, kept], 1)

    def states(self, z: Tensor, y: Tensor | None = None) -> Iterator[Tensor]:
        yield z
        for k in range(self.layers):
            kept, moved = self._parts(z, k)
            z = self._whole(kept, moved * torch.exp(0.4 * torch.cos(kept)) + 0.5 * torch.cos(2 * kept), k)
            yield z

    def log_dets(self, z: Tensor) -> list[Tensor]:
        """log|det ∂state/∂z| of every state, each (batch,)."""
        found, total = [], torch.zeros(len(z), dtype=z.dtype)
        for k, state in enumerate(self.states(z)):
            found.append(total)
            total = total + 0.4 * torch.cos(self._parts(state, k)[0])
        return found

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        for k in reversed(range(self.layers)):
            kept, moved = self._parts(x, k)
            x = self._whole(kept, (moved - 0.5 * torch.cos(2 * kept)) * torch.exp(-0.4 * torch.cos(kept)), k)
        return x

    def log_density(self, x: Tensor) -> Tensor:
        z = self.encode(x)
        return -0.5 * z.square().sum(1) - math.log(2 * math.pi) - self.log_dets(z)[-1]
