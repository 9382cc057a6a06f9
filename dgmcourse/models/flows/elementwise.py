"""Increasing functions of one number, whose parameters a network gives: what coupling and masked layers are filled with.

Each class says how many raw numbers describe one function (`parameters`), and maps (batch, entries) with raw numbers
(batch, entries, parameters) to the values and the logarithms of the slopes, both (batch, entries). Raw zeros mean the
identity, so that a flow whose networks end in zeros begins as one.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Additive", "Affine", "RationalQuadraticSpline", "rational_quadratic_spline", "softclip"]

SMALLEST = 1e-3  # share of the interval that a bin has at least, and slope that a knot has; those of the paper
SLOPE_OFFSET = math.log(math.expm1(1 - SMALLEST))  # so that raw zeros mean a slope of 1


def softclip(x: Tensor, bound: float) -> Tensor:
    """x / (1 + |x| / bound): slope 1 at 0, never beyond ±bound; any shape."""
    return x / (1 + x.abs() / bound)


class Additive:
    """z = x + t, with slope 1: NICE's layers, which keep volume."""

    parameters = 1

    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        return x + raw[..., 0], torch.zeros_like(x)

    def inverse(self, z: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        return z - raw[..., 0], torch.zeros_like(z)


class Affine:
    """z = x exp(s) + t, with log-slope s = softclip(raw, bound): however far x lies, no layer stretches it by more than eᵇ.

    RealNVP's and the masked autoregressive flow's function (there written (x − μ) exp(−α): s = −α, t = −μ exp(−α)).

    Args:
        bound: of |s|.
    """

    parameters = 2

    def __init__(self, bound: float = 3.0):
        if not bound > 0:
            raise ValueError(f"the bound of the log-scale must be positive, got {bound}")
        self.bound = bound

    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        shift, free = raw.unbind(-1)
        log_slope = softclip(free, self.bound)
        return torch.addcmul(shift, x, log_slope.exp()), log_slope

    def inverse(self, z: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        shift, free = raw.unbind(-1)
        log_slope = -softclip(free, self.bound)
        return (z - shift) * log_slope.exp(), log_slope


class RationalQuadraticSpline:
    """A spline of `bins` pieces on [−bound, bound], the identity outside: see `rational_quadratic_spline`.

    Args:
        bins: number of pieces.
        bound: half the width of the interval.
    """

    def __init__(self, bins: int = 8, bound: float = 3.0):
        if bins < 2 or bins * SMALLEST >= 1:
            raise ValueError(f"a spline needs 2 to {int(1 / SMALLEST) - 1} bins, got {bins}")
        if not bound > 0:
            raise ValueError(f"the spline's bound must be positive, got {bound}")
        self.bins, self.bound, self.parameters = bins, bound, 3 * bins - 1

    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        return rational_quadratic_spline(x, raw, self.bound)

    def inverse(self, z: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        return rational_quadratic_spline(z, raw, self.bound, inverse=True)


def spline_knots(raw: Tensor, bound: float) -> Tensor:
    """Where the pieces meet: (…, 3·bins − 1) -> (3, …, bins + 1), places, values and slopes of the knots.

    The raw numbers are the logits of the bins' widths, those of their heights, and, through a softplus, the slopes at the
    inner knots. The first and last knot are (∓bound, ∓bound), of slope 1.
    """
    bins = (raw.shape[-1] + 1) // 3
    shares = raw[..., : 2 * bins].unflatten(-1, (2, bins)).movedim(-2, 0).softmax(-1)  # (2, …, bins)
    shares = SMALLEST + (1 - SMALLEST * bins) * shares
    inner = 2 * bound * shares[..., :-1].cumsum(-1) - bound
    corners = F.pad(F.pad(inner, (1, 0), value=-bound), (0, 1), value=bound)  # the ends are free of the sum's rounding
    slopes = F.pad(SMALLEST + F.softplus(raw[..., 2 * bins :] + SLOPE_OFFSET), (1, 1), value=1.0)
    return torch.cat([corners, slopes.unsqueeze(0)])


def rational_quadratic_spline(x: Tensor, raw: Tensor, bound: float, inverse: bool = False) -> tuple[Tensor, Tensor]:
    """An increasing function with a continuous slope: quotients of parabolas between knots, the identity beyond ±bound.

    Between the knots (x_k, y_k) and (x_{k+1}, y_{k+1}) with slopes d_k and d_{k+1}, where ξ runs from 0 to 1 and
    s = (y_{k+1} − y_k) / (x_{k+1} − x_k):

        y = y_k + (y_{k+1} − y_k) (s ξ² + d_k ξ (1−ξ)) / (s + (d_k + d_{k+1} − 2s) ξ (1−ξ))
        dy/dx = s² (d_{k+1} ξ² + 2 s ξ (1−ξ) + d_k (1−ξ)²) / (s + (d_k + d_{k+1} − 2s) ξ (1−ξ))²

    The inverse solves the first equation, a quadratic one, for ξ.
    Durkan, Bekasov, Murray & Papamakarios, "Neural Spline Flows", 2019, https://arxiv.org/abs/1906.04032, section 3.1

    Args:
        x: any shape (…); with `inverse`, the values y.
        raw: (…, 3·bins − 1), see `spline_knots`; zeros make the identity.
        bound: the spline maps [−bound, bound] onto itself.
        inverse: from y to x.

    Returns:
        y (or x, with `inverse`), and ln dy/dx (or ln dx/dy), both of shape (…).
    """
    knots = spline_knots(raw, bound)  # (3, …, bins + 1)
    inside = x.clamp(-bound, bound)
    given = knots[1 if inverse else 0, ..., 1:-1].detach()
    piece = (inside.detach().unsqueeze(-1) >= given).sum(-1, keepdim=True)  # (…, 1), 0 … bins − 1
    ends = torch.cat([piece, piece + 1], -1).expand(3, *piece.shape[:-1], 2)
    (x0, x1), (y0, y1), (d0, d1) = (pair.unbind(-1) for pair in knots.gather(-1, ends))
    width, height = x1 - x0, y1 - y0
    s = height / width
    bend = d0 + d1 - 2 * s
    xi = _solve(inside - y0, height, s, d0, bend) if inverse else (inside - x0) / width
    between = xi * (1 - xi)
    below = torch.addcmul(s, bend, between)
    slope = d1 * xi.square() + 2 * s * between + d0 * (1 - xi).square()
    log_slope = (slope * (s / below).square()).log()
    if inverse:
        return torch.addcmul(x0, width, xi) + (x - inside), -log_slope
    y = y0 + height * torch.addcmul(d0 * between, s, xi.square()) / below
    return y + (x - inside), log_slope


def _solve(rise: Tensor, height: Tensor, s: Tensor, d0: Tensor, bend: Tensor) -> Tensor:
    """ξ in [0, 1] at which the piece has risen by `rise`, by the root formula that does not cancel."""
    lean = rise * bend
    a, b, c = height * (s - d0) + lean, height * d0 - lean, -s * rise
    root = (b.square() - 4 * a * c).clamp_min(0).sqrt()
    return (2 * c / (-b - root)).clamp(0, 1)
