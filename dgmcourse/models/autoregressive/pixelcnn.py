"""PixelCNN: an image's pixels one after the other, all conditionals by convolutions that look back."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core import Space
from ...networks.masked_convolution import GatedLayer, MaskedConvolution, RowsAbove
from .base import Autoregressive, Scorer

__all__ = ["PixelCNN"]


class PixelCNN(Autoregressive):
    """Pixels in reading order, p(x) = Π_t p(x_t | x_<t), by a convolutional network whose every layer looks back.

    Every pixel's conditional is computed by the same weights from what lies above and on its left, within reach of the
    layers: far fewer weights than a dense network's, and nothing to learn twice. What is particular to a place (digits
    are centered) is a bias there, before the first layer. Of several channels, a pixel's first comes before its second.
    A conditional is a softmax over all the levels, whatever its shape.

    With `gated`, a vertical stack carries the rows above and a horizontal one the pixels on the left
    (see `GatedLayer`); without, masked convolutions lie on top of each other, which leaves a *blind spot*: pixels
    above, to the right of the line that rises by one row for half a kernel of columns, have no influence.

    van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel recurrent neural networks", 2016, https://arxiv.org/abs/1601.06759
    van den Oord et al., "Conditional image generation with PixelCNN decoders", 2016, https://arxiv.org/abs/1606.05328

    Args:
        space: binary or grey images, (channels, height, width).
        channels: features of a pixel; divided among the image's channels.
        layers: number of layers after the first.
        kernel: side of their convolutions; odd.
        first: side of the first convolution, on the image itself; odd.
        gated: two stacks with gates, or plain convolutions with a blind spot.
        classes: number of labels for p(x|y), None for no condition.
        dropout: share of features that are zeroed in training.

    Raises:
        ValueError: a space that is not one of binary or grey images, or sides that are even.
    """

    def __init__(
        self,
        space: Space,
        channels: int = 32,
        layers: int = 5,
        kernel: int = 3,
        first: int = 7,
        gated: bool = True,
        classes: int | None = None,
        dropout: float = 0.0,
    ):
        super().__init__(space, classes)
        if space.kind not in ("binary", "grey") or len(space.shape) != 3:
            raise ValueError(f"PixelCNN needs binary or grey images (channels, height, width), got {space}")
        if min(channels, layers) < 1 or min(kernel, first) < 3 or kernel % 2 == 0 or first % 2 == 0:
            raise ValueError("PixelCNN needs channels ≥ 1, layers ≥ 1 and odd kernels ≥ 3, got "
                             f"channels={channels}, layers={layers}, kernel={kernel}, first={first}")  # fmt: skip
        self.gated, colors, context = gated, space.shape[0], classes or 0
        if channels % colors:
            raise ValueError(f"channels={channels} must divide among the {colors} channels of {space}")
        self.rows_within_reach = first // 2 + layers * (kernel // 2)
        self.outputs = 1 if space.levels == 2 else space.levels  # numbers that tell one entry's distribution
        self.place = nn.Parameter(torch.zeros(channels, *space.shape[1:]))
        if gated:
            self.above = RowsAbove(colors, channels, first, strict=True)
            self.left = MaskedConvolution(colors, channels, (1, first), "A", colors)
            self.layers = nn.ModuleList(GatedLayer(channels, kernel, colors, context, dropout) for _ in range(layers))
        else:
            self.left = MaskedConvolution(colors, channels, first, "A", colors)
            self.layers = nn.ModuleList(_PlainLayer(channels, kernel, colors, context, dropout) for _ in range(layers))
        self.head = nn.Sequential(
            nn.ReLU(),
            MaskedConvolution(channels, 2 * channels, 1, "B", colors),
            nn.ReLU(),
            MaskedConvolution(2 * channels, colors * self.outputs, 1, "B", colors),
        )

    # --- scores ----------------------------------------------------------------------------------------------------

    def logits(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Scores of every value of every entry, given the entries before it: (batch, dim, levels)."""
        self.check_input(x)
        condition = self.condition(y, len(x), x.dtype)
        if self.gated:
            out = self._across(2 * x - 1, self._down(2 * x - 1, self.place, condition), condition)
        else:
            h = self.left(2 * x - 1) + self.place
            for layer in self.layers:
                h = layer(h, condition)
            out = self.head(h)
        return self._as_logits(out).flatten(1, 3)  # (batch, dim, levels)

    def _down(self, image: Tensor, place: Tensor, condition: Tensor | None) -> list[Tensor]:
        """The vertical stack of some rows: its features after every layer, each (batch, channels, rows, width)."""
        found = [self.above(image) + place]
        for layer in self.layers:
            found.append(layer.vertical(found[-1], condition))
        return found

    def _across(self, image: Tensor, down: list[Tensor], condition: Tensor | None) -> Tensor:
        """The horizontal stack, which rows share nothing of: (batch, colors · outputs, rows, width)."""
        h = self.left(image) + down[0]
        for layer, v in zip(self.layers, down[1:], strict=True):
            h = layer.horizontal(h, v, condition)
        return self.head(h)

    def _as_logits(self, out: Tensor) -> Tensor:
        """(batch, colors · outputs, rows, width) -> (batch, colors, rows, width, levels); the lower of two has 0."""
        out = out.unflatten(1, (self.space.shape[0], self.outputs)).movedim(2, -1)
        return torch.cat([torch.zeros_like(out), out], dim=-1) if self.space.levels == 2 else out

    # --- sampling --------------------------------------------------------------------------------------------------

    def scorer(self, n: int, y: Tensor | None = None) -> Scorer:
        """Scores of one entry after the other: the vertical stack once a row, the horizontal one on that row alone."""
        if not self.gated:
            return super().scorer(n, y)
        colors, _, width = self.space.shape
        condition, current, down = self.condition(y, n, self.left.weight.dtype), None, []

        def score(state: Tensor, t: int) -> Tensor:
            nonlocal current, down
            (row, column), color = divmod(t // colors, width), t % colors
            image = 2 * state.view(n, *self.space.shape) - 1
            if row != current:
                near = slice(max(0, row - self.rows_within_reach), row + 1)
                found = self._down(image[:, :, near], self.place[:, near], condition)
                current, down = row, [v[:, :, -1:] for v in found]
            past = [v[..., : column + 1] for v in down]
            out = self._across(image[:, :, row : row + 1, : column + 1], past, condition)
            return self._as_logits(out[..., -1:])[:, color, 0, 0]

        return score


class _PlainLayer(nn.Module):
    """h + B ∗ relu(h) + U y: one masked convolution, with its blind spot."""

    def __init__(self, channels: int, kernel: int, groups: int, context: int, dropout: float):
        super().__init__()
        self.convolution = MaskedConvolution(channels, channels, kernel, "B", groups)
        self.context = nn.Linear(context, channels, bias=False) if context else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, y: Tensor | None) -> Tensor:
        moved = self.convolution(self.dropout(F.relu(h)))
        return h + (moved if self.context is None else moved + self.context(y)[:, :, None, None])
