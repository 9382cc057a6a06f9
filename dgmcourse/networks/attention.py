"""Causal self-attention and the block made of it, with a cache of keys and values for one token after the other."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["CausalSelfAttention", "KeyValueCache", "TransformerBlock"]


class KeyValueCache:
    """The keys and values of the tokens seen so far, of every layer; memory for all of them is taken at once.

    Args:
        layers, batch, heads, length, size: of the tensors: keys and values are (layers, batch, heads, length, size).
        like: a tensor whose dtype and device they have.

    Attributes:
        seen: tokens held, the same in every layer.
        newest: what the network made of the newest token, for the network's own use.
    """

    def __init__(self, layers: int, batch: int, heads: int, length: int, size: int, like: Tensor):
        self.keys, self.values = like.new_zeros(2, layers, batch, heads, length, size)
        self.seen, self.newest = 0, None

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write the keys and values of new tokens, (batch, heads, time, size) each; return those of all tokens."""
        end = self.seen + keys.shape[2]
        self.keys[layer, :, :, self.seen : end] = keys
        self.values[layer, :, :, self.seen : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


class CausalSelfAttention(nn.Module):
    """Every token asks all tokens up to itself: softmax(Q Kᵀ / √size) V, with later tokens' scores at −∞.

    Vaswani et al., "Attention is all you need", 2017, https://arxiv.org/abs/1706.03762

    Args:
        width: of a token's vector; `heads` divides it.
        heads: attentions side by side, each on width/heads numbers.
        dropout: share of attention weights that are zeroed in training.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, cache: KeyValueCache | None = None, layer: int = 0) -> Tensor:
        """(batch, time, width) -> the same shape; with a cache, x are the tokens that come after those in it."""
        batch, time, width = x.shape
        mixed = self.queries_keys_values(x).view(batch, time, 3, self.heads, width // self.heads)
        queries, keys, values = mixed.permute(2, 0, 3, 1, 4).unbind(0)  # (batch, heads, time, size)
        mask = None
        if cache is not None:
            keys, values = cache.extend(layer, keys, values)
            if 1 < time < keys.shape[2]:
                mask = torch.ones(time, keys.shape[2], dtype=torch.bool, device=x.device).tril(keys.shape[2] - time)
        first = time > 1 and mask is None  # a single new token may look at everything that there is
        dropout = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(queries, keys, values, mask, dropout, is_causal=first)
        return self.out(out.transpose(1, 2).reshape(batch, time, width))


class TransformerBlock(nn.Module):
    """x ← x + attention(norm(x)),  x ← x + dense(norm(x)): normalization before each part, so that x itself is never squeezed.

    Xiong et al., "On layer normalization in the Transformer architecture", 2020, https://arxiv.org/abs/2002.04745

    Args:
        width: of a token's vector.
        heads: of the attention.
        dropout: share of what each part adds that is zeroed in training, and of attention weights.
        depth: blocks in all; what a block adds starts smaller the more of them there are
            (Radford et al., "Language models are unsupervised multitask learners", 2019).
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0, depth: int = 1):
        super().__init__()
        self.attention_norm, self.dense_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CausalSelfAttention(width, heads, dropout)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features) / 2)
                nn.init.zeros_(layer.bias)
        for last in (self.attention.out, self.dense[-1]):
            last.weight.data /= math.sqrt(2 * depth)

    def forward(self, x: Tensor, cache: KeyValueCache | None = None, layer: int = 0) -> Tensor:
        """(batch, time, width) -> the same shape."""
        x = x + self.dropout(self.attention(self.attention_norm(x), cache, layer))
        return x + self.dropout(self.dense(self.dense_norm(x)))
