"""Convolutions over images that see only the pixels before, in reading order."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["GatedLayer", "MaskedConvolution", "causal_mask"]


def causal_mask(kind: str, outputs: int, inputs: int, kernel: tuple[int, int], groups: int = 1) -> Tensor:
    """Which weights of a convolution look back in reading order: (outputs, inputs, rows, columns) of ones and zeros.

    Ones on the rows above the middle one, and in the middle row on the left of the middle. In the middle itself,
    inputs and outputs are dealt into `groups`, one for each channel of the image, and an output of group g sees

        kind "A", on the image itself: the groups before g;     kind "B", on features: g and the groups before it

    so that features of group g know of their own pixel the channels before g.
    van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel recurrent neural networks", 2016, https://arxiv.org/abs/1601.06759

    Args:
        kind: "A" or "B".
        outputs, inputs: numbers of channels; the first outputs / groups are group 0, and so on.
        kernel: odd numbers of rows and columns.
        groups: channels of the image.

    Raises:
        ValueError: another kind, an even side, or channels that do not divide into groups.
    """
    rows, columns = kernel
    if kind not in ("A", "B"):
        raise ValueError(f"a causal mask is of kind 'A' or 'B', got {kind!r}")
    if rows % 2 == 0 or columns % 2 == 0:
        raise ValueError(f"a causal mask needs a middle: odd sides, got {rows} × {columns}")
    if outputs % groups or inputs % groups:
        raise ValueError(
            f"{inputs} and {outputs} channels do not divide into {groups} groups; use multiples of {groups}"
        )
    mask = torch.zeros(outputs, inputs, rows, columns, device="cpu")
    mask[:, :, : rows // 2] = 1
    mask[:, :, rows // 2, : columns // 2] = 1
    after = torch.arange(outputs, device="cpu") * groups // outputs  # the group of each output
    before = torch.arange(inputs, device="cpu") * groups // inputs
    sees = before < after[:, None] if kind == "A" else before <= after[:, None]
    mask[:, :, rows // 2, columns // 2] = sees.float()
    return mask


class MaskedConvolution(nn.Conv2d):
    """A convolution under a causal mask, of the image's own size: (batch, inputs, height, width) -> (batch, outputs, height, width).

    Several on top of each other, of more than one row, leave a *blind spot*: features of the row above know nothing on
    their right, so that what is above and far to the right never arrives. `GatedLayer` has none.

    Args:
        inputs, outputs: numbers of channels.
        kernel: side of the kernel, or (rows, columns); odd.
        kind: "A" for the first layer, "B" for the others; see `causal_mask`.
        groups: channels of the image.
        parts: outputs are so many runs, each dealt into groups by itself (2 where a gate will halve them).
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int], kind: str, groups: int = 1, parts: int = 1
    ):
        kernel = (kernel, kernel) if isinstance(kernel, int) else tuple(kernel)
        mask = causal_mask(kind, outputs // parts, inputs, kernel, groups).repeat(parts, 1, 1, 1)
        # what lies below, and in a single row on the right, is masked for all: it need not be computed
        super().__init__(inputs, outputs, (kernel[0] // 2 + 1, kernel[1] if kernel[0] > 1 else kernel[1] // 2 + 1))
        self.register_buffer("mask", mask[:, :, : self.kernel_size[0], : self.kernel_size[1]].clone(), persistent=False)
        right = kernel[1] // 2 if kernel[0] > 1 else 0
        self.margins = (kernel[1] // 2, right, kernel[0] // 2, 0)  # left, right, top, bottom
        self.whole = bool(self.mask.all())

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight if self.whole else self.mask * self.weight
        return F.conv2d(F.pad(x, self.margins) if any(self.margins) else x, weight, self.bias)


class RowsAbove(nn.Conv2d):
    """A convolution that sees the rows above and, unless `strict`, its own row, on both sides.

    On features that know nothing of their own row, as the strict one makes them, that leaks nothing.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, strict: bool = False):
        super().__init__(inputs, outputs, (kernel // 2 + (not strict), kernel))
        self.strict, self.margins = strict, (kernel // 2, kernel // 2, kernel // 2, 0)  # left, right, top, bottom

    def forward(self, x: Tensor) -> Tensor:
        found = F.conv2d(F.pad(x, self.margins), self.weight, self.bias)
        return found[:, :, :-1] if self.strict else found  # the last row would belong to the row below the image


def gate(x: Tensor) -> Tensor:
    """tanh(a) · σ(b) of the two halves of the channels: (batch, 2 · channels, …) -> (batch, channels, …)."""
    a, b = x.chunk(2, dim=1)
    return a.tanh() * b.sigmoid()


class GatedLayer(nn.Module):
    """One layer of two stacks: the vertical one knows all rows above, the horizontal one the pixels on the left too.

        v ← v + gate(W_v ∗ v + U_v y)                  rows above, all columns within reach: no blind spot
        h ← h + W_1 gate(W_h ∗ h + W_vh v + U_h y)     gate(a, b) = tanh(a) σ(b)

    van den Oord et al., "Conditional image generation with PixelCNN decoders", 2016, https://arxiv.org/abs/1606.05328
    (the residual around the vertical stack is added here).

    Args:
        channels: of v and of h.
        kernel: side of the convolutions; odd.
        groups: channels of the image.
        context: features of the condition y; 0 for none.
        dropout: share of channels' values that are zeroed after each gate in training.
    """

    def __init__(self, channels: int, kernel: int, groups: int = 1, context: int = 0, dropout: float = 0.0):
        super().__init__()
        self.above = RowsAbove(channels, 2 * channels, kernel)
        self.left = MaskedConvolution(channels, 2 * channels, (1, kernel), "B", groups, parts=2)
        self.across = nn.Conv2d(channels, 2 * channels, 1)
        self.out = MaskedConvolution(channels, channels, 1, "B", groups)
        self.context = nn.Linear(context, 4 * channels, bias=False) if context else None
        self.dropout = nn.Dropout(dropout)

    def vertical(self, v: Tensor, y: Tensor | None = None) -> Tensor:
        """(batch, channels, rows, width) and y (batch, context) -> (batch, channels, rows, width)."""
        return v + self.dropout(gate(self._given(self.above(v), y, 0)))

    def horizontal(self, h: Tensor, v: Tensor, y: Tensor | None = None) -> Tensor:
        """h and v, (batch, channels, rows, width) each, and y -> (batch, channels, rows, width)."""
        return h + self.out(self.dropout(gate(self._given(self.left(h) + self.across(v), y, 1))))

    def _given(self, x: Tensor, y: Tensor | None, stack: int) -> Tensor:
        return x if self.context is None else x + self.context(y).chunk(2, dim=-1)[stack][:, :, None, None]
