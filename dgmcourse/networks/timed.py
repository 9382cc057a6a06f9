"""Networks that also see a time: what diffusion, flow matching and score models predict with."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["TimeEmbedding", "TimedMLP", "TimedUNet"]


class TimeEmbedding(nn.Module):
    """A time in [0, 1] as sines and cosines of many frequencies, then a small network: (batch,) -> (batch, width).

    Vaswani et al., "Attention is all you need", 2017, https://arxiv.org/abs/1706.03762 (the features)

    Args:
        width: size of the result.
        conditions: size of a condition vector that is added, 0 for none.
        fastest: angular frequency of the fastest sine.
    """

    def __init__(self, width: int, conditions: int = 0, fastest: float = 60.0):
        super().__init__()
        half = 32
        self.register_buffer("frequencies", torch.exp(torch.linspace(0, math.log(fastest), half)), persistent=False)
        self.time = nn.Sequential(nn.Linear(2 * half, width), nn.SiLU(), nn.Linear(width, width))
        self.condition = nn.Linear(conditions, width, bias=False) if conditions else None

    def forward(self, t: Tensor, condition: Tensor | None = None) -> Tensor:
        angles = t[:, None] * self.frequencies  # (batch, half)
        embedded = self.time(torch.cat([angles.sin(), angles.cos()], dim=-1))
        return embedded if condition is None else embedded + self.condition(condition)


class TimedMLP(nn.Module):
    """A dense residual network of vectors: (batch, dim), (batch,), (batch, conditions) or None -> (batch, dim).

    Each layer adds to what came before: h ← h + W₂ silu(W₁ silu(h) + U·embedding). It starts as zero.

    Args:
        dim: size of the vectors, at both ends.
        hidden: widths of the layers; all alike.
        conditions: size of the condition vector, 0 for none.
    """

    def __init__(self, dim: int, hidden: Sequence[int], conditions: int = 0):
        super().__init__()
        if not hidden or len(set(hidden)) != 1:
            raise ValueError(f"a residual network needs one or more layers of one width, got hidden={tuple(hidden)}")
        width = hidden[0]
        self.embedding = TimeEmbedding(width, conditions)
        self.first = nn.Linear(dim, width)
        self.layers = nn.ModuleList(
            nn.ModuleList([nn.Linear(width, width), nn.Linear(width, width, bias=False), nn.Linear(width, width)])
            for _ in hidden
        )
        self.last = nn.Linear(width, dim)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        embedding, h = self.embedding(t, condition), self.first(x)  # (batch, width)
        for inner, of_time, outer in self.layers:
            h = h + outer(F.silu(inner(F.silu(h)) + of_time(embedding)))
        return self.last(F.silu(h))


class _Block(nn.Module):
    """Two convolutions around which the image is passed on unchanged; time and condition scale and shift in between."""

    def __init__(self, inputs: int, outputs: int, width: int):
        super().__init__()
        self.norm1, self.conv1 = _norm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = _norm(outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.modulation = nn.Linear(width, 2 * outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)  # (batch, outputs, 1, 1) each
        h = self.norm2(h) * (1 + scale) + shift
        return self.skip(x) + self.conv2(F.silu(h))


class _Attention(nn.Module):
    """Every place of a small image looks at every other: (batch, channels, height, width), unchanged in shape."""

    def __init__(self, channels: int, heads: int = 4):
        super().__init__()
        self.heads = heads if channels % heads == 0 else 1
        self.norm, self.ask = _norm(channels), nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, across = x.shape
        asked = self.ask(self.norm(x)).view(batch, 3, self.heads, channels // self.heads, height * across)
        query, key, value = asked.transpose(-1, -2).unbind(1)  # (batch, heads, places, channels / heads) each
        # written out: on CPUs torch's own function takes a third of a whole training step in bf16, for so few places
        weights = (query @ key.transpose(-1, -2) / math.sqrt(channels // self.heads)).softmax(-1)
        found = weights @ value
        return x + self.out(found.transpose(-1, -2).reshape(batch, channels, height, across))


class TimedUNet(nn.Module):
    """A U-Net: (batch, channels, height, width), (batch,), (batch, conditions) or None -> the images' shape.

    The image is halved level by level and built up again; on the way up each level also sees what it was on the way
    down. It starts as zero. Sides of any length: what a doubling overshoots is cut off.
    Ronneberger, Fischer & Brox, "U-Net", 2015, https://arxiv.org/abs/1505.04597
    Ho, Jain & Abbeel 2020 (for noise, with time), https://arxiv.org/abs/2006.11239

    Args:
        shape: (channels, height, width) of the images.
        channels: channels of each level; every level but the first halves the sides.
        conditions: size of the condition vector, 0 for none.
        blocks: residual blocks a level and direction.
        attention: whether places of the lowest level look at each other.
        patch: squares of so many pixels a side are channels of one place inside, which makes large images quicker
            (Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional
            neural network", 2016, https://arxiv.org/abs/1609.05158); it must divide the sides.
    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: Sequence[int],
        conditions: int = 0,
        blocks: int = 1,
        attention: bool = True,
        patch: int = 1,
    ):
        super().__init__()
        if len(shape) != 3 or not channels or min(channels) < 1 or blocks < 1:
            raise ValueError(f"a U-Net needs images (channels, height, width), one or more levels and blocks ≥ 1; "
                             f"got shape {tuple(shape)}, channels={tuple(channels)}, blocks={blocks}")  # fmt: skip
        if patch < 1 or shape[1] % patch or shape[2] % patch:
            raise ValueError(
                f"patch must be at least 1 and divide the images' sides {shape[1]} and {shape[2]}, got {patch}"
            )
        self.fold = nn.PixelUnshuffle(patch) if patch > 1 else nn.Identity()
        self.unfold = nn.PixelShuffle(patch) if patch > 1 else nn.Identity()
        pixels = shape[0] * patch**2
        width = 2 * channels[-1]
        self.embedding = TimeEmbedding(width, conditions)
        self.first = nn.Conv2d(pixels, channels[0], 3, padding=1)
        self.down, self.halve, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level, wide in enumerate(channels):
            self.down.append(nn.ModuleList(_Block(wide, wide, width) for _ in range(blocks)))
            if level + 1 < len(channels):
                self.halve.append(nn.Conv2d(wide, channels[level + 1], 3, stride=2, padding=1))
        self.middle = _Attention(channels[-1]) if attention else nn.Identity()
        for level in reversed(range(len(channels))):
            wide = channels[level]
            below = wide if level + 1 == len(channels) else channels[level + 1]
            self.up.append(nn.ModuleList(_Block(below + wide if i == 0 else wide, wide, width) for i in range(blocks)))
        self.out = nn.Sequential(_norm(channels[0]), nn.SiLU(), nn.Conv2d(channels[0], pixels, 3, padding=1))
        nn.init.zeros_(self.out[-1].weight)
        nn.init.zeros_(self.out[-1].bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        embedding = F.silu(self.embedding(t, condition))
        h, seen = self.first(self.fold(x)), []  # (batch, channels[0], height / patch, width / patch)
        for level, blocks in enumerate(self.down):
            for block in blocks:
                h = block(h, embedding)
            seen.append(h)
            if level < len(self.halve):
                h = self.halve[level](h)
        h = self.middle(h)
        for level, blocks in enumerate(self.up):
            before = seen[-1 - level]
            if level:
                h = F.interpolate(h, scale_factor=2)[..., : before.shape[-2], : before.shape[-1]]
            h = torch.cat([h, before], dim=1)
            for block in blocks:
                h = block(h, embedding)
        return self.unfold(self.out(h))


class _GroupNorm(nn.GroupNorm):
    """In float32 or better, as autocast does on GPUs: on CPUs bf16 makes it several times slower."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(torch.promote_types(x.dtype, torch.float32)))


def _norm(channels: int) -> nn.GroupNorm:
    """Group normalization with the most groups, up to 8, that divide the channels."""
    return _GroupNorm(next(groups for groups in (8, 4, 2, 1) if channels % groups == 0), channels)
