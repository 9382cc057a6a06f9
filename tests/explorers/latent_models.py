"""A real, deterministic latent model whose mathematics fits in a sentence: z says where on the image a blob lies."""

import time

import torch
from torch import Tensor, nn

from dgmcourse.core import Space


class Blobs(nn.Module):
    """A Gaussian blob: z₁ and z₂ are its place, z₃ its width, z₄ its strength; further latents do nothing.

    `encode` returns the center of mass (and zeros), which is z₁ and z₂ again for blobs well inside the image.
    With classes, label k weakens the blob to 1 / (k + 1).
    """

    reach = 3.0  # the image spans −3 … 3

    def __init__(
        self, latents: int = 2, side: int = 16, classes: int | None = None, pause: float = 0.0, colors: int = 1
    ):
        super().__init__()
        self.space = Space.grey(colors, side, side, levels=256)
        self.latents, self.classes, self.pause = latents, classes, pause
        places = torch.linspace(-self.reach, self.reach, side)
        self.register_buffer("across", places[None, :].expand(side, side).clone())
        self.register_buffer("up", places.flip(0)[:, None].expand(side, side).clone())
        self.calls = []

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        self.calls.append((self.training, torch.is_grad_enabled(), len(z)))
        time.sleep(self.pause)
        extra = torch.cat([z, z.new_zeros(len(z), 4)], 1)[:, :, None, None]
        width = 0.7 * torch.exp(0.3 * extra[:, 2] * (self.latents > 2))
        strength = torch.sigmoid(2 + extra[:, 3] * (self.latents > 3))
        square = (self.across - extra[:, 0]).square() + (self.up - extra[:, 1]).square()
        image = strength * torch.exp(-square / (2 * width.square()))
        if self.classes is not None:
            image = image / (y[:, None, None] + 1)
        return image[:, None].expand(-1, self.space.shape[0], -1, -1)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        weight = x.mean(1) / x.mean(1).sum((1, 2), keepdim=True)
        center = torch.stack([(weight * self.across).sum((1, 2)), (weight * self.up).sum((1, 2))], 1)
        return torch.cat([center, center.new_zeros(len(x), self.latents - 2)], 1)

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None):
        z = torch.randn(n, self.latents)
        for step in range(13):
            yield self.decode(z * (step / 12), y)


def four_groups(n: int = 40, side: int = 16) -> tuple[Tensor, Tensor]:
    """n blobs in the four quarters of the plane, and which quarter: (n, 1, side, side), (n,)."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 4
    corners = torch.tensor([[1.4, 1.4], [-1.4, 1.4], [-1.4, -1.4], [1.4, -1.4]])
    return Blobs(2, side).decode(corners[y] + 0.25 * torch.randn(n, 2, generator=generator)), y
