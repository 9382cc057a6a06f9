"""Small spaces whose members can all be listed, random members of any space, and points that depend on each other."""

import torch

from dgmcourse.core import Space

BINARY, GREY, TOKENS = Space.binary(1, 3, 3), Space.grey(1, 2, 2, levels=4), Space.tokens(4, 3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def every(space: Space) -> torch.Tensor:
    """All members of a small discrete space."""
    if space.kind == "tokens":
        values = torch.arange(space.levels)
    else:
        values = torch.arange(space.levels) / (space.levels - 1)
    return torch.cartesian_prod(*[values] * space.dim).view(-1, *space.shape)


def some(space: Space, n: int, seed: int = 0) -> torch.Tensor:
    """n random members of a space."""
    if not space.discrete:
        return torch.randn(n, *space.shape, generator=seeded(seed))
    members = every(space)
    return members[torch.randint(len(members), (n,), generator=seeded(seed))]


def correlated(n: int, dim: int, seed: int = 0) -> torch.Tensor:
    """Real vectors that depend on each other, off the origin."""
    generator = seeded(seed)
    mixing = torch.randn(dim, dim, generator=generator, dtype=torch.float64)
    return torch.randn(n, dim, generator=generator, dtype=torch.float64) @ mixing + 3
