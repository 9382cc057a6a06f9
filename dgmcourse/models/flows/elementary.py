"""Bijections without a network: permutations, scales, and the way from the unit interval to the real line."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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

    The first batch in training mode sets them so that z has mean 0 and variance 1; from then on they are learned like
    any other weights. Under several processes the whole batch counts.
    Kingma & Dhariwal, "Glow: Generative Flow with Invertible 1×1 Convolutions", 2018, https://arxiv.org/abs/1807.03039

    Args:
        channels: entries of a vector (batch, channels), or channels of an image (batch, channels, height, width).
    """

    def __init__(self, channels: int):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.register_buffer("initialized", torch.zeros((), dtype=torch.bool))
        self._known = False  # spares a look at the buffer, for which a GPU would have to be waited for

    @torch.no_grad()
    def _initialize(self, x: Tensor) -> None:
        """Mean 0 and variance 1 on this batch, over all processes; once."""
        if not self.initialized:
            seen = x.detach().transpose(0, 1).flatten(1).to(self.shift.dtype)  # (channels, batch · pixels)
            moments = torch.stack([seen.mean(1), seen.square().mean(1)])
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                torch.distributed.all_reduce(moments)
                moments /= torch.distributed.get_world_size()
            variance = moments[1] - moments[0].square()
            self.shift.copy_(-moments[0])
            self.log_scale.copy_(-0.5 * variance.clamp_min(1e-6).log())
            self.initialized.fill_(True)
        self._known = True

    def _factors(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """shift and log-scale, shaped to be added to x, and log |det| of one example, ()."""
        shape = (-1, *[1] * (x.ndim - 2))
        pixels = math.prod(x.shape[2:])
        return self.shift.view(shape), self.log_scale.view(shape), pixels * self.log_scale.sum()

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self.training and not self._known:
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
