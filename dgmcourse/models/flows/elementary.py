"""Bijections without a network: permutations, scales, and the way from the unit interval to the real line."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...networks import mean_over_processes
from .bijection import Bijection

__all__ = ["ActNorm", "Logit", "Permutation", "Rescale", "Reverse", "Scale"]


class Permutation(Bijection):
    """Entries in another order: z_i = x_{order[i]}; |det| = 1. (batch, dim, …) -> (batch, dim, …)

    Args:
        order: a permutation of 0 … dim−1.
    """

    def __init__(self, order: Sequence[int]):
        super().__init__()
        if sorted(order) != list(range(len(order))):
            raise ValueError(f"order must be a permutation of 0 … {len(order) - 1}, got {list(order)}")
        order = torch.tensor([int(i) for i in order])
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("back", order.argsort(), persistent=False)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x[:, self.order], x.new_zeros(len(x))

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z[:, self.back], z.new_zeros(len(z))


class Reverse(Permutation):
    """Entries in reverse order: z_i = x_{dim−1−i}.

    Args:
        dim: number of entries.
    """

    def __init__(self, dim: int):
        super().__init__(range(dim - 1, -1, -1))


class Rescale(Bijection):
    """A fixed shift and scale of all entries: z = (x − center) · scale; log |det| = dim · ln |scale|.

    Args:
        center: what becomes 0.
        scale: any number but 0.
    """

    def __init__(self, center: float, scale: float):
        super().__init__()
        if scale == 0:
            raise ValueError("Rescale cannot undo a scale of 0")
        self.center, self.scale = center, scale

    def _log_det(self, x: Tensor) -> Tensor:
        return x.new_full((len(x),), x[0].numel() * math.log(abs(self.scale)) if len(x) else 0.0)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (x - self.center) * self.scale, self._log_det(x)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z / self.scale + self.center, -self._log_det(z)


class Scale(Bijection):
    """A learned scale of each entry: z = x ⊙ exp(s); log |det| = Σ s. The last layer of NICE, whose others keep volume.

    Dinh, Krueger & Bengio, "NICE: Non-linear Independent Components Estimation", 2015, https://arxiv.org/abs/1410.8516

    Args:
        dim: number of entries.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x * self.log_scale.exp(), self.log_scale.sum().expand(len(x))

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z * (-self.log_scale).exp(), -self.log_scale.sum().expand(len(z))


class ActNorm(Bijection):
    """Activation normalization: z = (x + shift) ⊙ exp(s), one shift and scale for each entry, or channel of an image.

        log |det| = pixels · Σ s        (nats)

    The first batch of training (in training mode, with gradients on) sets them in place so that z has mean 0 and
    variance 1; from then on they are learned like any other weights. Under several processes the whole batch counts.
    An entry that does not vary is only shifted.
    Kingma & Dhariwal, "Glow: Generative Flow with Invertible 1×1 Convolutions", 2018, https://arxiv.org/abs/1807.03039

    Args:
        channels: entries of a vector (batch, channels), or channels of an image (batch, channels, height, width).
    """

    def __init__(self, channels: int):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.register_buffer("initialized", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def _initialize(self, x: Tensor) -> None:
        """Mean 0 and variance 1 on this batch, over all processes."""
        seen = x.detach().transpose(0, 1).flatten(1).to(self.shift)  # (channels, batch · pixels)
        mean = mean_over_processes(seen.mean(1))
        std = mean_over_processes((seen - mean.unsqueeze(1)).square().mean(1)).sqrt()
        self.shift.copy_(-mean)
        self.log_scale.copy_(-torch.where(std > 1e-5 * (1 + mean.abs()), std, 1.0).log())
        self.initialized.fill_(True)

    def _factors(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """shift and log-scale, shaped to be added to x, and log |det| of one example, ()."""
        shape = (-1, *[1] * (x.ndim - 2))
        pixels = math.prod(x.shape[2:])
        return self.shift.view(shape), self.log_scale.view(shape), pixels * self.log_scale.sum()

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        # without gradients it is a look at the model, perhaps at a few examples: no batch to start from
        if self.training and torch.is_grad_enabled() and not self.initialized:
            self._initialize(x)
        shift, log_scale, log_det = self._factors(x)
        return (x + shift) * log_scale.exp(), log_det.expand(len(x))

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        shift, log_scale, log_det = self._factors(z)
        return z * (-log_scale).exp() - shift, -log_det.expand(len(z))


class Logit(Bijection):
    """The unit interval to the real line: z = ln(p / (1 − p)), p = margin + (1 − 2·margin) x, entry by entry.

        log |dz/dx| = ln(1 − 2·margin) − ln p − ln(1 − p)

    The margin keeps p away from 0 and 1, where the logit is infinite; x a little outside of [0, 1] is taken, too.
    Dinh, Sohl-Dickstein & Bengio, "Density estimation using Real NVP", 2017, https://arxiv.org/abs/1605.08803, section 4.1

    Args:
        margin: in (0, ½).
    """

    def __init__(self, margin: float = 0.05):
        super().__init__()
        if not 0 < margin < 0.5:
            raise ValueError(f"Logit needs a margin in (0, ½), got {margin}")
        self.margin = margin

    def _log_det(self, z: Tensor) -> Tensor:
        """ln(dz/dx) from z = logit p: −ln p − ln(1 − p) = softplus(z) + softplus(−z), which cannot overflow."""
        each = F.softplus(z) + F.softplus(-z) + math.log(1 - 2 * self.margin)
        return each.flatten(1).sum(-1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        p = self.margin + (1 - 2 * self.margin) * x
        z = torch.logit(p, eps=torch.finfo(x.dtype).eps)
        return z, self._log_det(z)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (torch.sigmoid(z) - self.margin) / (1 - 2 * self.margin), -self._log_det(z)
