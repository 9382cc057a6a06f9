"""The bijections that Glow is made of: invertible convolutions, squeezing, couplings of images, and parts of images."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .bijection import Bijection

__all__ = ["CouplingNetwork", "ImageCoupling", "InvertibleConvolution", "Part", "Squeeze"]


class InvertibleConvolution(Bijection):
    """Invertible 1×1 convolution: at every pixel z = W x, a learned mixing of the channels that starts as a rotation.

        W = P L (U + diag(± exp(log_s))),        log|det ∂z/∂x| = pixels · Σ log_s        (nats)

    P is a fixed permutation, L is lower triangular with ones on its diagonal, U strictly upper triangular: the
    determinant costs a sum, and W stays invertible whatever is learned.
    Kingma & Dhariwal, "Glow", 2018, https://arxiv.org/abs/1807.03039, section 3.2

    Args:
        channels: of images (batch, channels, height, width), or features of vectors (batch, features).
    """

    def __init__(self, channels: int):
        super().__init__()
        rotation, _ = torch.linalg.qr(torch.randn(channels, channels, dtype=torch.float64))
        permutation, lower, upper = torch.linalg.lu(rotation)
        self.register_buffer("permutation", permutation.float())
        self.register_buffer("sign", upper.diagonal().sign().float())
        self.lower = nn.Parameter(lower.tril(-1).float())
        self.upper = nn.Parameter(upper.triu(1).float())
        self.log_s = nn.Parameter(upper.diagonal().abs().log().float())

    def factors(self) -> tuple[Tensor, Tensor]:
        """L and U + diag(± exp(log_s)), (channels, channels) each."""
        unit = torch.eye(len(self.log_s), dtype=self.lower.dtype, device=self.lower.device)
        return self.lower.tril(-1) + unit, self.upper.triu(1) + (self.sign * self.log_s.exp()).diag_embed()

    def weight(self) -> Tensor:
        """W, (channels, channels)."""
        lower, upper = self.factors()
        return self.permutation @ lower @ upper

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with torch.autocast(x.device.type, enabled=False):
            return self._mixed(self.weight(), x), self._log_det(x, 1)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with torch.autocast(z.device.type, enabled=False):
            lower, upper = self.factors()
            back = torch.linalg.solve_triangular(lower, self.permutation.T, upper=False, unitriangular=True)
            return self._mixed(torch.linalg.solve_triangular(upper, back, upper=True), z), self._log_det(z, -1)

    @staticmethod
    def _mixed(weight: Tensor, x: Tensor) -> Tensor:
        pixels = x.flatten(2) if x.ndim > 2 else x.unsqueeze(2)  # (batch, channels, pixels)
        return (weight @ pixels).view_as(x)

    def _log_det(self, x: Tensor, sign: int) -> Tensor:
        return (sign * math.prod(x.shape[2:]) * self.log_s.sum()).expand(len(x))


class Squeeze(Bijection):
    """Pixels become channels: (batch, c, h, w) -> (batch, c · fh · fw, h / fh, w / fw), a permutation, log-determinant 0.

    Each channel becomes the fh · fw smaller images of every fh-th row and fw-th column.
    Dinh, Sohl-Dickstein & Bengio, "Density estimation using Real NVP", 2017, https://arxiv.org/abs/1605.08803, section 3.6

    Args:
        height, width: fh and fw, by how much the sides shrink.
    """

    def __init__(self, height: int = 2, width: int = 2):
        super().__init__()
        self.factors = (height, width)

    def shape(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """What (channels, height, width) becomes.

        Raises:
            ValueError: a side does not divide.
        """
        (c, h, w), (fh, fw) = shape, self.factors
        if h % fh or w % fw:
            raise ValueError(f"Squeeze by {fh} × {fw} needs sides that divide by it, got {h} × {w}; pad the images")
        return c * fh * fw, h // fh, w // fw

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        (batch, c, h, w), (fh, fw) = x.shape, self.factors
        self.shape((c, h, w))
        blocks = x.view(batch, c, h // fh, fh, w // fw, fw).permute(0, 1, 3, 5, 2, 4)  # (batch, c, fh, fw, h/fh, w/fw)
        return blocks.reshape(batch, c * fh * fw, h // fh, w // fw), x.new_zeros(batch)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        (batch, c, h, w), (fh, fw) = z.shape, self.factors
        pixels = z.view(batch, c // (fh * fw), fh, fw, h, w).permute(0, 1, 4, 2, 5, 3)  # (batch, c', h, fh, w, fw)
        return pixels.reshape(batch, c // (fh * fw), h * fh, w * fw), z.new_zeros(batch)


class CouplingNetwork(nn.Module):
    """Convolutions 3×3, 1×1, 3×3 with rectifiers between; the last starts at zero, so that its coupling starts as nothing.

    (batch, inputs, height, width), (batch, conditions) or None -> (batch, outputs, height, width)

    Two more input channels hold each pixel's row and column, from −1 to 1: where in the image it is.

    Args:
        inputs, outputs: channels of the two ends.
        channels: channels between.
        conditions: features of the condition vector, 0 for none.
    """

    def __init__(self, inputs: int, outputs: int, channels: int, conditions: int = 0):
        super().__init__()
        self.first = nn.Conv2d(inputs + 2, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 1)
        self.last = nn.Conv2d(channels, outputs, 3, padding=1)
        self.condition = nn.Linear(conditions, channels, bias=False) if conditions else None
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        rows, columns = (torch.linspace(-1, 1, side, device=x.device, dtype=x.dtype) for side in x.shape[2:])
        places = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(len(x), -1, -1, -1)
        hidden = self.first(torch.cat([x, places], dim=1))  # (batch, channels, height, width)
        if self.condition is not None:
            hidden = hidden + self.condition(y)[:, :, None, None]
        return self.last(F.relu(self.second(F.relu(hidden))))


class ImageCoupling(Bijection):
    """Affine coupling of images: the first half of the channels stays, and scales and shifts the second half.

        z₂ = (x₂ + t(x₁)) · exp(s(x₁)),        log|det ∂z/∂x| = Σ s(x₁)        (nats)

    s is kept within ±bound by bound · tanh(· / bound), so that neither direction can explode.
    Dinh, Sohl-Dickstein & Bengio, "Density estimation using Real NVP", 2017, https://arxiv.org/abs/1605.08803

    Args:
        channels: of the images, at least 2.
        hidden: channels of the `CouplingNetwork`.
        conditions: features of the condition vector y, 0 for none.
        bound: largest |s|.
    """

    def __init__(self, channels: int, hidden: int, conditions: int = 0, bound: float = 2.0):
        super().__init__()
        if channels < 2:
            raise ValueError(f"a coupling needs at least 2 channels, one to see and one to change, got {channels}")
        self.kept, self.bound = channels // 2, bound
        self.network = CouplingNetwork(self.kept, 2 * (channels - self.kept), hidden, conditions)

    def _shift_and_log_scale(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        shift, raw = self.network(x, y).to(x.dtype).chunk(2, dim=1)
        return shift, self.bound * (raw / self.bound).tanh()

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, changed = x[:, : self.kept], x[:, self.kept :]
        shift, log_scale = self._shift_and_log_scale(kept, y)
        return torch.cat([kept, (changed + shift) * log_scale.exp()], dim=1), log_scale.flatten(1).sum(1)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, changed = z[:, : self.kept], z[:, self.kept :]
        shift, log_scale = self._shift_and_log_scale(kept, y)
        return torch.cat([kept, changed * (-log_scale).exp() - shift], dim=1), -log_scale.flatten(1).sum(1)


class Part(Bijection):
    """Bijections of some entries of an image, seen as an image of another shape; the other entries stay as they are.

    So each step of a multi-scale flow is a bijection of whole images: `Part` gathers what its scale works on.

    Args:
        layers: bijections of (batch, *shape).
        places: which entries, as an image: (*shape), int64 places among the image's entries in row-major order.
    """

    def __init__(self, layers: Sequence[Bijection], places: Tensor):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.register_buffer("places", places, persistent=False)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        state, log_det = self._gathered(x), 0.0
        for layer in self.layers:
            state, gained = layer(state, y)
            log_det = log_det + gained
        return self._put_back(x, state), log_det

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        state, log_det = self._gathered(z), 0.0
        for layer in reversed(self.layers):
            state, gained = layer.inverse(state, y)
            log_det = log_det + gained
        return self._put_back(z, state), log_det

    def _gathered(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, self.places.flatten()].view(len(x), *self.places.shape)

    def _put_back(self, x: Tensor, state: Tensor) -> Tensor:
        return x.flatten(1).index_copy(1, self.places.flatten(), state.flatten(1).to(x.dtype)).view_as(x)
