"""Causal convolutions with growing gaps: WaveNet in small, for tokens and for series of reals."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core import Space
from .base import Autoregressive, Scorer, widened
from .sampling import filtered

__all__ = ["CausalConvolutions"]

RANGE = 7.0  # log standard deviations lie within ± this, so that no repeated value has an infinite density


class CausalConvolutions(Autoregressive):
    """Dilated causal convolutions: every entry from the `receptive_field` entries before it.

        a, b = convolution of h at t, t − d, …, t − (kernel − 1) d,   u = tanh(a) ⊙ sigmoid(b)
        h ← h + U u,   skip ← skip + V u,   d = 1, 2, 4, …, 2^(layers − 1)

    Doubling the gaps d makes the receptive field grow exponentially with the depth:
    `receptive_field` = 1 + (kernel − 1)(2^layers − 1) entries; 2^layers for kernel = 2.

    Tokens have a softmax over the vocabulary. Reals have a mixture of Gaussians, whose weights, means and standard
    deviations the network gives: an exact density. A sample keeps what each layer has computed, so that an entry costs
    the same however many came before.

    van den Oord et al., "WaveNet: a generative model for raw audio", 2016, https://arxiv.org/abs/1609.03499

    Args:
        space: tokens, or series real(length); values of a series should be about as large as 1.
        channels: numbers at each place of h.
        layers: convolutions.
        kernel: entries that each convolution looks at.
        components: Gaussians of each conditional of a series; tokens have none.
        classes: number of labels for p(x|y), None for no condition.

    Raises:
        ValueError: images, or sizes out of range.
    """

    def __init__(
        self,
        space: Space,
        channels: int = 32,
        layers: int = 4,
        kernel: int = 2,
        components: int = 1,
        classes: int | None = None,
    ):
        super().__init__(space, classes)
        if space.kind in ("binary", "grey") or len(space.shape) != 1:
            raise ValueError(f"CausalConvolutions needs tokens or a series real(length), got {space}; for images use "
                             "PixelCNN")  # fmt: skip
        if channels < 1 or layers < 1 or kernel < 2 or components < 1:
            raise ValueError("CausalConvolutions needs channels ≥ 1, layers ≥ 1, kernel ≥ 2 and components ≥ 1; got "
                             f"{channels}, {layers}, {kernel} and {components}")  # fmt: skip
        self.channels, self.kernel, self.components = channels, kernel, components
        # beside a value there is one more input: nothing comes before the first entry
        self.embedding = nn.Embedding(space.levels + 1, channels) if space.kind == "tokens" else nn.Linear(2, channels)
        self.layers = nn.ModuleList(
            _GatedConvolution(channels, kernel, 2**i, classes or 0, last=i == layers - 1) for i in range(layers)
        )
        outputs = space.levels if space.kind == "tokens" else 3 * components
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, outputs))

    @property
    def receptive_field(self) -> int:
        """How many entries back each conditional looks."""
        return 1 + sum((self.kernel - 1) * layer.dilation for layer in self.layers)

    def logits(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """What each conditional is made of, (batch, dim, numbers).

        Of tokens the scores of every value; of reals the scores of the Gaussians, their means, and their log standard
        deviations, `components` of each, which `mixture` sorts out.
        """
        self.check_input(x)
        condition = self.condition(y, len(x), self.embedding.weight.dtype)
        h = self._embedded(x[:, :-1], first=True)
        total = 0.0
        for layer in self.layers:
            past = F.pad(h, (0, 0, layer.reach, 0))  # (batch, reach + length, channels): zeros before the start
            taps = [past[:, i * layer.dilation : i * layer.dilation + h.shape[1]] for i in range(self.kernel)]
            h, skip = layer(torch.cat(taps, dim=-1), h, condition if condition is None else condition[:, None])
            total = total + skip
        return self.head(total)

    def _embedded(self, x: Tensor, first: bool) -> Tensor:
        """Entries (batch, time) as inputs, (batch, time, channels); with `first`, the start goes before them."""
        if self.space.kind == "tokens":
            return self.embedding(F.pad(x, (1, 0), value=self.space.levels) if first else x)
        known = torch.ones_like(x)
        inputs = torch.stack([x, known], dim=-1)
        return self.embedding(F.pad(inputs, (0, 0, 1, 0)) if first else inputs)

    # --- reals -----------------------------------------------------------------------------------------------------

    def mixture(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log weights, means and log standard deviations from `logits` of a series: (…, components) each."""
        weights, means, spreads = widened(logits).chunk(3, dim=-1)
        return weights.log_softmax(-1), means, RANGE * torch.tanh(spreads / RANGE)

    def log_conditionals(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x_t | x_1 … x_{t−1}): (batch, *shape) -> (batch, dim), nats."""
        if self.space.kind == "tokens":
            return super().log_conditionals(x, y)
        log_weights, means, log_scales = self.mixture(self.logits(x, y))
        standard = (x.unsqueeze(-1) - means) * (-log_scales).exp()
        log_normal = -0.5 * standard.square() - log_scales - 0.5 * math.log(2 * math.pi)
        return (log_weights + log_normal).logsumexp(-1)

    def draw(
        self, logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
    ) -> Tensor:
        """One value of one entry for each row: (n, numbers) -> (n,).

        Of reals, at temperature T, a component drawn at T, then N(mean, T · variance): of one Gaussian, p^(1/T).

        Raises:
            ValueError: top_k or top_p for reals, of which there are more than can be counted.
        """
        if self.space.kind == "tokens":
            return super().draw(logits, temperature, top_k, top_p)
        if top_k is not None or top_p is not None:
            raise ValueError(f"top_k and top_p choose among tokens, but this model is of {self.space}; use temperature")
        log_weights, means, log_scales = self.mixture(logits)
        component = torch.multinomial(filtered(log_weights, temperature).exp(), 1)
        noise = math.sqrt(temperature) * torch.randn_like(means[:, 0])
        return means.gather(1, component)[:, 0] + log_scales.gather(1, component)[:, 0].exp() * noise

    # --- one entry after the other ---------------------------------------------------------------------------------

    def scorer(self, n: int, y: Tensor | None = None) -> Scorer:
        """As for every autoregressive model, but every layer remembers what it has computed."""
        condition = self.condition(y, n, self.embedding.weight.dtype)
        memories = [
            self.embedding.weight.new_zeros(n, layer.reach + self.space.dim, self.channels) for layer in self.layers
        ]
        seen, newest = 0, None

        @torch.no_grad()
        def score(state: Tensor, t: int) -> Tensor:
            nonlocal seen, newest
            while seen <= t:
                h = self._embedded(state[:, max(0, seen - 1) : seen], first=seen == 0)[:, 0]
                total = 0.0
                for layer, memory in zip(self.layers, memories, strict=True):
                    memory[:, layer.reach + seen] = h
                    taps = memory[:, seen : seen + layer.reach + 1 : layer.dilation].flatten(1)
                    h, skip = layer(taps, h, condition)
                    total = total + skip
                newest, seen = self.head(total), seen + 1
            return newest

        return score


class _GatedConvolution(nn.Module):
    """One layer, as a linear map of the places that the convolution looks at, the oldest first: (…, kernel · channels)."""

    def __init__(self, channels: int, kernel: int, dilation: int, classes: int, last: bool):
        super().__init__()
        self.dilation, self.reach = dilation, (kernel - 1) * dilation
        self.gates = nn.Linear(kernel * channels, 2 * channels)
        self.condition = nn.Linear(classes, 2 * channels, bias=False) if classes else None
        self.skip = nn.Linear(channels, channels)
        self.residual = None if last else nn.Linear(channels, channels)  # after the last layer, nothing reads h

    def forward(self, taps: Tensor, h: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        gates = self.gates(taps) if condition is None else self.gates(taps) + self.condition(condition)
        a, b = gates.chunk(2, dim=-1)
        update = torch.tanh(a) * torch.sigmoid(b)  # (…, channels)
        return h if self.residual is None else h + self.residual(update), self.skip(update)
