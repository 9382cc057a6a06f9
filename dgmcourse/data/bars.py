"""Bars and stripes: binary images small enough to know every probability exactly."""

import math

import torch
from torch import Tensor

from ..core import Space
from .dataset import Dataset, split_generators, split_sizes

__all__ = ["BarsAndStripes", "bars_and_stripes"]


class BarsAndStripes:
    """The distribution of square binary images whose columns (bars) or rows (stripes) are constant.

    There are 2^(side+1) − 2 of them: 2^side of each orientation, of which all-black and all-white are in both.
    "uniform" gives each the same probability. "coin" flips a coin for the orientation and one for each line, so that
    all-black and all-white, which arise in two ways, are twice as likely as the others.

    MacKay, "Information Theory, Inference, and Learning Algorithms", 2003, chapter 43, https://www.inference.org.uk/itila/

    Args:
        side: of the image, 2 … 16.
        process: "uniform" or "coin".
    """

    def __init__(self, side: int = 3, process: str = "uniform"):
        if not isinstance(side, int) or not 2 <= side <= 16:
            raise ValueError(f"bars and stripes need a side from 2 to 16, got {side!r}")
        if process not in ("uniform", "coin"):
            raise ValueError(f"process must be 'uniform' or 'coin', got {process!r}")
        self.side, self.process = side, process
        self.space = Space.binary(1, side, side)

    def __repr__(self):
        return f"bars and stripes {self.side}×{self.side}, {self.process}: entropy {self.entropy:.4f} nats"

    def _image(self, lines: Tensor, stripes: Tensor) -> Tensor:
        """Lines coded as integers (n,), and whether they are rows (n,): float32 (n, 1, side, side)."""
        bits = (lines[:, None] >> torch.arange(self.side, device=lines.device) & 1).float()
        bars = bits[:, None, None, :].expand(-1, 1, self.side, -1)
        return torch.where(stripes[:, None, None, None], bars.transpose(-1, -2), bars).contiguous()

    def patterns(self) -> Tensor:
        """Every image once: (2^(side+1) − 2, 1, side, side)."""
        lines = torch.arange(2**self.side)
        code = torch.cat((lines, lines[1:-1]))  # the two plain images once
        return self._image(code, torch.arange(len(code)) >= len(lines))

    def log_prob(self, x: Tensor) -> Tensor:
        """log P(x) in nats: (batch, 1, side, side) -> (batch,); −inf for all that is no bars and no stripes."""
        self.space.check(x)
        binary = ((x == 0) | (x == 1)).flatten(1).all(-1)
        bars = (x == x[:, :, :1]).flatten(1).all(-1)
        stripes = (x == x[..., :1]).flatten(1).all(-1)
        if self.process == "uniform":
            log_p = torch.full_like(x[:, 0, 0, 0], -math.log(2 ** (self.side + 1) - 2))
        else:
            log_p = (bars & stripes).to(x.dtype) * math.log(2) - (self.side + 1) * math.log(2)
        return log_p.where(binary & (bars | stripes), -math.inf)

    @property
    def entropy(self) -> float:
        """−Σ P log P in nats: ln 14 = 2.6391 for 3×3 uniform, 2.5993 from coins."""
        if self.process == "uniform":
            return math.log(2 ** (self.side + 1) - 2)
        return (self.side + 1 - 2**-self.side * 2) * math.log(2)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n independent samples: float32 (n, 1, side, side)."""
        if n < 1:
            raise ValueError(f"sample needs n ≥ 1, got {n}")
        device, lines = None if generator is None else generator.device, 2**self.side
        ways = 2 * lines - (2 if self.process == "uniform" else 0)  # uniform: the two plain images as bars alone
        way = torch.randint(ways, (n,), generator=generator, device=device)
        stripes = way >= lines
        code = way % lines + (stripes & (self.process == "uniform"))
        return self._image(code, stripes)

    def table(self) -> Tensor:
        """Every image as often as its probability says, the least likely once: the empirical mean *is* the truth's."""
        patterns = self.patterns()
        if self.process == "uniform":
            return patterns
        plain = torch.stack((torch.zeros_like(patterns[0]), torch.ones_like(patterns[0])))
        return torch.cat((patterns, plain))


def bars_and_stripes(
    side: int = 3, n: tuple[int, int, int] | None = None, process: str = "uniform", seed: int = 0
) -> Dataset:
    """Bars and stripes, with a truth that can be enumerated.

    Without `n` nothing is left to chance: valid and test are the whole distribution as a table (each image as often
    as its probability says), and train is that table repeated to at least 1,000 images. So a mean over test is an
    exact expectation, and the best possible loss on every split is exactly `truth.entropy`.

    Args:
        side: of the image, 2 … 16.
        n: sizes of train, valid and test, to draw them at random instead.
        process: "uniform" (every image alike) or "coin" (coin flips; all-black and all-white count twice).
        seed: of the random draw.

    Returns:
        a dataset of binary(1, side, side), float32, whose `truth` has `log_prob(x)`, `entropy`, `sample(n)` and
        `patterns()`.

    Raises:
        ValueError: a side, process or size out of range.
    """
    truth = BarsAndStripes(side, process)
    if n is None:
        table = truth.table()
        splits = (table.repeat(-(-1000 // len(table)), 1, 1, 1), table, table.clone())
    else:
        splits = tuple(map(truth.sample, split_sizes(n), split_generators(seed)))
    return Dataset(f"bars_and_stripes_{side}", truth.space, *splits, truth=truth)
