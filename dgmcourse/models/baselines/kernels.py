"""Kernel density estimation: remember every example, and put a little probability around each."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core import GenerativeModel, Kind, LogProb, Space, Step
from ..numerics import by_rows

__all__ = ["KernelDensity"]


class KernelDensity(GenerativeModel):
    """A mixture of one kernel around each remembered point: p(x) = (1/n) Σ_j K(x | x_j); exact.

    Reals: K is N(x_j, bandwidth² I) (Parzen, "On estimation of a probability density function and mode", 1962,
    https://doi.org/10.1214/aoms/1177704472). Binary, grey, tokens: an entry keeps its value with probability
    1 − bandwidth, else it takes one of the other levels, each equally likely (Aitchison & Aitken, "Multivariate binary
    discrimination by the kernel method", 1976, https://doi.org/10.1093/biomet/63.3.413).

    Args:
        space: any.
        points: how many examples it remembers.
        bandwidth: width of the kernel; by default 0.5 for reals and 0.1 for levels, in (0, 1) there. With
            bandwidth = (levels−1)/levels every image is equally likely: 0.5 for binary ones.

    Raises:
        ValueError: no points, or a bandwidth out of range.
    """

    def __init__(self, space: Space, points: int, bandwidth: float | None = None):
        super().__init__(space)
        if points < 1:
            raise ValueError(f"KernelDensity needs points ≥ 1, got {points}")
        dtype = torch.int64 if space.kind == "tokens" else torch.get_default_dtype()
        self.points = points
        self.raw_bandwidth = nn.Parameter(torch.zeros(()))  # ln bandwidth of reals, its logit of levels
        self.register_buffer("remembered", torch.zeros(points, *space.shape, dtype=dtype))
        self.register_buffer("filled", torch.zeros((), dtype=torch.bool))
        self.bandwidth = (0.1 if space.discrete else 0.5) if bandwidth is None else bandwidth

    @property
    def bandwidth(self) -> float:
        """The kernel's standard deviation (reals), or the probability that an entry changes (levels). May be set."""
        raw = self.raw_bandwidth.detach()
        return float(raw.sigmoid() if self.space.discrete else raw.exp())

    @bandwidth.setter
    def bandwidth(self, value: float) -> None:
        if not 0 < value < (1 if self.space.discrete else math.inf):
            allowed = "between 0 and 1" if self.space.discrete else "positive and finite"
            raise ValueError(f"bandwidth must be {allowed} for {self.space}, got {value}")
        raw = math.log(value) - math.log1p(-value) if self.space.discrete else math.log(value)
        with torch.no_grad():
            self.raw_bandwidth.fill_(raw)

    @torch.no_grad()
    def remember(self, x: Tensor) -> "KernelDensity":
        """Store these examples, (points, *shape), instead of those it has.

        Raises:
            ValueError: another number of examples, or values outside the space.
        """
        self.check_input(x)
        self.space.check(x, values=True)
        if len(x) != self.points:
            raise ValueError(f"this KernelDensity remembers {self.points} points, got {len(x)}; "
                             f"build it with points={len(x)}")  # fmt: skip
        self.remembered.copy_(x)
        self.filled.fill_(True)
        return self

    def _memory(self) -> Tensor:
        if not self.filled:
            raise RuntimeError("this KernelDensity remembers nothing yet; call model.remember(x) first")
        return self.remembered

    # --- the exact log density -------------------------------------------------------------------------------------

    def _distance_to(self, points: Tensor) -> Callable[[Tensor], Tensor]:
        """A function of (batch, dim): its squared distances (reals) or the number of entries that differ (levels).

        Args:
            points: (m, dim); the function's result is (batch, m).
        """
        if self.space.kind in ("grey", "tokens"):
            return lambda x: torch.cdist(x, points, p=0)
        squares = torch.einsum("md,md->m", points, points)
        # x² + x_j² − 2 x·x_j is many times faster than differences, but rounds away what a small bandwidth asks about
        limit = 1e-7 * self.bandwidth**2 / torch.finfo(points.dtype).eps if self.space.kind == "real" else math.inf
        limit -= float(squares.amax())

        def distances(x: Tensor) -> Tensor:
            own = x.square().sum(-1, keepdim=True)
            if limit < math.inf and (own > limit).any():
                return torch.cdist(x, points, compute_mode="donot_use_mm_for_euclid_dist").square()
            return (own + squares - 2 * x @ points.T).clamp_min(0)

        return distances

    def _log_kernel(self) -> tuple[Tensor, Tensor]:
        """(slope, offset) of log K(x | x_j) = slope · distance + offset."""
        raw = self.raw_bandwidth.to(self._dtype)
        if self.space.discrete:
            log_change, log_keep = F.logsigmoid(raw), F.logsigmoid(-raw)
            return log_change - math.log(self.space.levels - 1) - log_keep, self.space.dim * log_keep
        return -0.5 * (-2 * raw).exp(), -self.space.dim * (raw + 0.5 * math.log(2 * math.pi))

    @property
    def _dtype(self) -> torch.dtype:
        """What distances are computed in: small counts are exact anyway; reals want float64, which MPS has not."""
        own = self.raw_bandwidth
        return torch.float64 if self.space.kind == "real" and own.device.type != "mps" else own.dtype

    def _flat(self, x: Tensor) -> Tensor:
        """(batch, dim): level numbers for grey values and tokens, float64 for reals."""
        flat = x.flatten(1)
        if self.space.kind == "grey":
            return (flat * (self.space.levels - 1)).round()
        return flat.to(self._dtype)

    def _log_density(self, x: Tensor, points: Tensor, leave_out: bool = False) -> Tensor:
        """log of the mean kernel, (batch,), nats; with `leave_out`, point i is not counted for x_i."""
        count = len(points) - leave_out
        if count < 1:
            raise ValueError("leave-one-out needs at least two points: one to leave out and one to stay")
        slope, offset = self._log_kernel()
        distances = self._distance_to(self._flat(points.detach()))

        def piece(rows: Tensor, first: int) -> Tensor:
            with torch.autocast(rows.device.type, enabled=False):
                exponents = slope * distances(rows)  # (rows, points)
                if leave_out:
                    itself = torch.arange(first, first + len(rows), device=rows.device)[:, None]
                    exponents = exponents.scatter(1, itself, -math.inf)
                return exponents.logsumexp(-1)

        found = by_rows(piece, self._flat(x), len(points))
        return (found + offset - math.log(count)).to(self.raw_bandwidth.dtype)

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """log p(x), (batch,), nats; exact. A remembered point is scored with itself among the points: see `leave_one_out`.

        Raises:
            RuntimeError: nothing is remembered yet.
        """
        return LogProb(self._log_density(self.check_input(x), self._memory()), Kind.EXACT)

    def leave_one_out(self) -> LogProb:
        """log p of each remembered point under all the others, (points,), nats: it tells memory from knowledge.

        A point that was remembered twice still finds its copy.

        Raises:
            RuntimeError: nothing is remembered yet.
            ValueError: fewer than two points.
        """
        return LogProb(self._log_density(self._memory(), self._memory(), leave_out=True), Kind.EXACT)

    # --- learning and sampling -------------------------------------------------------------------------------------

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        """−log p of each example of the batch under the others of the batch; only the bandwidth learns.

        The best bandwidth shrinks as points are added: train with batches about as large as what is remembered.
        """
        self.check_input(x)
        yield Step(-self._log_density(x.detach(), x, leave_out=True).mean())

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None) -> Iterator[Tensor]:
        """A remembered point, then a draw from its kernel."""
        if y is not None:
            raise ValueError("KernelDensity is not conditional, but y was given; remember one class's examples instead")
        memory = self._memory()
        chosen = memory[torch.randint(self.points, (n,), device=memory.device)]
        yield chosen
        if not self.space.discrete:
            yield chosen + self.raw_bandwidth.exp() * torch.randn_like(chosen)
            return
        top = 1 if self.space.kind == "tokens" else self.space.levels - 1
        levels = chosen if self.space.kind == "tokens" else (chosen * top).round().long()
        others = (levels + torch.randint(1, self.space.levels, levels.shape, device=memory.device)) % self.space.levels
        changes = torch.rand(levels.shape, device=memory.device) < self.raw_bandwidth.sigmoid()
        drawn = torch.where(changes, others, levels)
        yield drawn if self.space.kind == "tokens" else drawn.to(memory.dtype) / top
