"""A decoder-only Transformer over characters or pixels, with a cache that makes sampling fast."""

import math

import torch
from torch import Tensor, nn

from ...core import Space
from ...networks.attention import KeyValueCache, TransformerBlock
from .base import Autoregressive, Scorer

__all__ = ["Transformer"]


class Transformer(Autoregressive):
    """Transformer: every entry's distribution from an attention over all entries before it.

        h_t = embedding(x_{t−1}) + position_t,   h ← blocks(h),   log p(x_t | x_{<t}) = log_softmax(W norm(h_t))

    The first input is a start token, of which a conditional model has one for each label: so attention can look at the
    condition from everywhere. Training takes one pass for all entries. A sample takes one pass an entry; the `cache`
    keeps keys and values of the entries seen, so that each pass computes one token instead of all.

    Vaswani et al., "Attention is all you need", 2017, https://arxiv.org/abs/1706.03762
    Radford et al., "Language models are unsupervised multitask learners", 2019 (blocks that normalize first)
    Chen et al., "Generative pretraining from pixels", 2020, https://proceedings.mlr.press/v119/chen20s.html (images)

    Args:
        space: tokens, or binary or grey images, whose pixels are read as tokens.
        width: of a token's vector.
        heads: of each attention; they divide the width.
        layers: blocks.
        dropout: share of activations that are zeroed in training.
        classes: number of labels for p(x|y), None for no condition.

    Raises:
        ValueError: a real space, a width that the heads do not divide, no layers.
    """

    def __init__(
        self,
        space: Space,
        width: int = 64,
        heads: int = 4,
        layers: int = 3,
        dropout: float = 0.0,
        classes: int | None = None,
    ):
        super().__init__(space, classes)
        if not space.discrete:
            raise ValueError(f"Transformer needs tokens or a binary or grey space, got {space}; for series of reals "
                             "use CausalConvolutions or AR")  # fmt: skip
        if layers < 1 or heads < 1 or width < heads or width % heads:
            raise ValueError(f"Transformer needs layers ≥ 1, and heads that divide the width; got layers={layers}, "
                             f"heads={heads}, width={width}")  # fmt: skip
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
        self.width, self.heads = width, heads
        self.start = nn.Parameter(torch.randn(classes or 1, width) / math.sqrt(width))
        self.embedding = nn.Embedding(space.levels, width)
        self.positions = nn.Parameter(torch.randn(space.dim, width) / math.sqrt(width))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, dropout, layers) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, space.levels)
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(width))
        nn.init.normal_(self.head.weight, std=0.02)  # training begins with all values about equally likely
        nn.init.zeros_(self.head.bias)
        self.register_buffer("place", self.order.argsort(), persistent=False)  # of each entry in the order

    def logits(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Scores of every value of every entry, given the entries before it: (batch, *shape) -> (batch, dim, levels)."""
        tokens = self.levels_of(self.check_input(x))[:, self.order]
        inputs = torch.cat([self._start_token(y, len(x)), self.embedding(tokens[:, :-1])], dim=1)
        return self._scores(inputs, 0)[:, self.place]

    def _start_token(self, y: Tensor | None, n: int) -> Tensor:
        """The first input: (n, 1, width)."""
        condition = self.condition(y, n, self.start.dtype)
        start = self.start.expand(n, -1) if condition is None else condition @ self.start
        return start[:, None]

    def _scores(self, inputs: Tensor, first: int, cache: KeyValueCache | None = None) -> Tensor:
        """Inputs at the places from `first` on, (batch, time, width) -> scores of the entries there, (batch, time, levels)."""
        x = self.dropout(inputs + self.positions[first : first + inputs.shape[1]])
        for layer, block in enumerate(self.blocks):
            x = block(x, cache, layer)
        return self.head(self.norm(x))

    # --- one entry after the other ---------------------------------------------------------------------------------

    @torch.no_grad()
    def cache(self, n: int, y: Tensor | None = None) -> KeyValueCache:
        """A cache for n samples that holds nothing but the start token, with the labels y of a conditional model."""
        size = self.width // self.heads
        cache = KeyValueCache(len(self.blocks), n, self.heads, self.space.dim, size, self.start)
        return self._advance(self._start_token(y, n), cache)

    @torch.no_grad()
    def next_logits(self, tokens: Tensor, cache: KeyValueCache) -> Tensor:
        """Scores of the entry after those so far; only what the cache does not hold yet is computed.

        Args:
            tokens: all values so far in the order of visit, int64 (n, t), t < dim. Those of earlier calls are not
                looked at again.
            cache: from `cache(n, y)`; it then holds these tokens, too.

        Returns:
            (n, levels), the same as `logits` would give for the entry order[t].

        Raises:
            ValueError: fewer tokens than the cache holds, or as many as there are entries.
        """
        held, t = cache.seen - 1, tokens.shape[1]
        if not held <= t < self.space.dim:
            raise ValueError(f"next_logits needs {held} tokens (held by the cache) to {self.space.dim - 1}, got {t}")
        if t > held:
            self._advance(self.embedding(tokens[:, held:]), cache)
        return cache.newest

    def _advance(self, inputs: Tensor, cache: KeyValueCache) -> KeyValueCache:
        """Take inputs (n, time, width) into the cache, and the scores that the last of them gives."""
        cache.newest = self._scores(inputs, cache.seen, cache)[:, -1]
        cache.seen += inputs.shape[1]
        return cache

    def scorer(self, n: int, y: Tensor | None = None) -> Scorer:
        """As for every autoregressive model, by the cache: each entry is computed once."""
        cache, highest = self.cache(n, y), self.space.levels - 1

        @torch.no_grad()
        def score(state: Tensor, t: int) -> Tensor:
            new = state[:, self.order[cache.seen - 1 : t]]  # the start token has no entry
            if new.shape[1]:
                tokens = new if self.space.kind == "tokens" else (new * highest).round().long()
                self._advance(self.embedding(tokens), cache)
            return cache.newest

        return score
