"""Independent entries: the simplest distribution over images or tokens, which knows nothing of structure."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core import GenerativeModel, Kind, LogProb, Space, Step

__all__ = ["IndependentPixels"]


class IndependentPixels(GenerativeModel):
    """Every entry on its own: p(x) = Π_i p_i(x_i), one table of level probabilities for each entry; exact.

    The floor that every model of images has to beat: whatever it gains over this one, it owes to dependence between
    entries. Maximum likelihood has a closed form, see `estimate`.

    Args:
        space: binary, grey or tokens.

    Raises:
        ValueError: a real space, whose entries have no finite table.
    """

    def __init__(self, space: Space):
        super().__init__(space)
        if not space.discrete:
            raise ValueError(f"IndependentPixels needs a binary, grey or token space, got {space}; "
                             "for real numbers use Gaussian")  # fmt: skip
        self.logits = nn.Parameter(torch.zeros(*space.shape, space.levels))

    @property
    def probabilities(self) -> Tensor:
        """p_i(level) of every entry, (*shape, levels), without gradient."""
        return self.logits.detach().softmax(-1)

    @torch.no_grad()
    def estimate(self, x: Tensor, pseudo_count: float = 1.0) -> "IndependentPixels":
        """Maximum likelihood is counting: p_i(level) = (count + pseudo_count) / (n + pseudo_count · levels).

        Args:
            x: (n, *shape).
            pseudo_count: imagined examples of every level at every entry. With 0 (maximum likelihood itself), a level
                that was never seen has probability 0, and an image that holds it has log p(x) = −∞.

        Raises:
            ValueError: no examples, values outside the space, or a negative pseudo-count.
        """
        self.check_input(x)
        self.space.check(x, values=True)
        if len(x) == 0:
            raise ValueError("estimate needs at least one example, got none")
        if pseudo_count < 0:
            raise ValueError(f"pseudo_count must not be negative, got {pseudo_count}")
        cells = self.logits.numel()
        counts = sum(torch.bincount(self._cells(part).flatten(), minlength=cells) for part in x.split(4096))
        counts = counts.view(self.logits.shape)
        total = len(x) + pseudo_count * self.space.levels
        self.logits.copy_(((counts + pseudo_count) / total).log())
        return self

    def _cells(self, x: Tensor) -> Tensor:
        """Where in the flattened table each entry's probability stands: (batch, *shape) -> (batch, dim), int64."""
        levels = x if self.space.kind == "tokens" else (x * (self.space.levels - 1)).round().long()
        return levels.flatten(1) + self.space.levels * torch.arange(self.space.dim, device=x.device)

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """Σ_i log p_i(x_i), (batch,), nats; exact."""
        table = F.log_softmax(self.logits, -1).flatten()
        return LogProb(table[self._cells(self.check_input(x))].sum(-1), Kind.EXACT)

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        yield Step(-self.log_prob(x).value.mean())

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None) -> Iterator[Tensor]:
        """One state: every entry drawn from its own table."""
        if y is not None:
            raise ValueError("IndependentPixels is not conditional, but y was given; leave it out")
        tables = self.logits.softmax(-1).flatten(0, -2)  # (dim, levels)
        levels = torch.multinomial(tables, n, replacement=True).T.reshape(n, *self.space.shape)
        yield levels if self.space.kind == "tokens" else levels.to(self.logits) / (self.space.levels - 1)
