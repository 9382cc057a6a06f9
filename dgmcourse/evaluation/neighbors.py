"""Precision, recall, density and coverage: which points lie among the others, told by balls around neighbors."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .points import checked_points

__all__ = ["ManifoldScores", "manifold_scores", "neighbor_radii"]

_GROUP = 16  # points of which only the nearest is looked at first
_SPARE = 4  # candidates beyond the neighbors that are wanted
_FAR = 1e30  # a squared distance that no two points have, in units of the farthest point


class ManifoldScores(NamedTuple):
    """How two sets of points lie among each other.

    Attributes:
        precision: share of the model's points within the ball of some real point: do samples look real?
        recall: share of the real points within the ball of some of the model's: is everything real made?
        density: how many real balls a point of the model lies in, over `neighbors`: about 1 if both are alike, any size.
        coverage: share of the real balls that hold a point of the model.
    """

    precision: float
    recall: float
    density: float
    coverage: float

    def __str__(self):
        return ", ".join(f"{name} {value:.3f}" for name, value in self._asdict().items())


def manifold_scores(real: Tensor, fake: Tensor, neighbors: int = 5, block: int = 512) -> ManifoldScores:
    """Precision, recall, density and coverage of a model's points among real ones.

    The ball of a point reaches to its `neighbors`-th neighbor in its own set; what lies on its border is outside.

        precision = mean_j 1[some i: ‖x_i − y_j‖ < r(x_i)]        recall = mean_i 1[some j: ‖x_i − y_j‖ < r(y_j)]
        density = mean_j Σ_i 1[‖x_i − y_j‖ < r(x_i)] / neighbors  coverage = mean_i 1[some j: ‖x_i − y_j‖ < r(x_i)]

    None of them is 1 for two samples of one distribution except density, on average: coverage is about 1 − 2^−neighbors
    there. Outliers have large balls, which flatter precision and recall; density and coverage bear them better.

    Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models", 2019,
    https://arxiv.org/abs/1904.06991; Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models",
    2020, https://arxiv.org/abs/2002.09797

    Squared distances are first bounded from below in float32, block by block, which holds memory to a few times block·n
    numbers; those that decide (neighbors, and pairs near the border of a ball) are measured in float64. Thus the result is
    that of float64 throughout, in half the time.

    Args:
        real: (n, d), n > neighbors.
        fake: the model's, (m, d), m > neighbors.
        neighbors: of points that coincide, each counts.
        block: how many points are compared with all others at a time.

    Raises:
        ValueError: the sets are not so.
    """
    if neighbors < 1:
        raise ValueError(f"neighbors must be at least 1, got {neighbors}")
    real, fake = checked_points(neighbors + 1, real=real, fake=fake)
    real_squared, fake_squared = (_squared_radii(x, neighbors, block) for x in (real, fake))
    balls = torch.zeros(len(fake), dtype=torch.int64, device=fake.device)  # real ones around each fake point
    recalled, covered = (torch.zeros(len(real), dtype=torch.bool, device=real.device) for _ in range(2))
    for i, j, squared in _near_pairs(real, fake, real_squared, fake_squared, block):
        inside = squared < real_squared[i]
        balls += torch.bincount(j[inside], minlength=len(fake))
        covered[i[inside]] = True
        recalled[i[squared < fake_squared[j]]] = True
    return ManifoldScores(
        *(float(part.double().mean()) for part in (balls > 0, recalled, balls.double() / neighbors, covered))
    )


def neighbor_radii(x: Tensor, neighbors: int = 5, block: int = 512) -> Tensor:
    """The Euclidean distance of each point to its `neighbors`-th neighbor, itself not counted: (n, d) -> (n,), float64.

    Raises:
        ValueError: x is not (n, d) with n > neighbors, or not finite.
    """
    (x,) = checked_points(neighbors + 1, x=x)
    return _squared_radii(x, neighbors, block).sqrt()


class _Bounds:
    """Lower bounds of squared distances by one matrix product: −2 x·y + ‖x‖² + ‖y‖², less its rounding errors.

    With u = 2⁻²⁴ in float32, a sum of d + 2 products is off by at most (d + 2) u of the sum of their sizes, which is at most
    2‖x‖² + 2‖y‖²; rounding x and y adds 2 u of it. Points are centered and scaled first, so that sizes are about distances.
    """

    def __init__(self, x: Tensor, y: Tensor, dtype: torch.dtype, pad: int = 1):
        center = y.mean(0)
        self.scale = float(torch.maximum((x - center).abs().max(), (y - center).abs().max())) or 1.0
        rows, columns = ((part - center) / self.scale for part in (x, y))
        sizes = [part.square().sum(1, keepdim=True) for part in (rows, columns)]
        error = (x.shape[1] + 8) * torch.finfo(dtype).eps
        self.row_errors, self.column_errors = (2 * error * size[:, 0] for size in sizes)
        one = [torch.ones_like(size) for size in sizes]
        self.rows = torch.cat([-2 * rows, (1 - error) * sizes[0], one[0]], 1).to(dtype)  # (n, d + 2)
        columns = torch.cat([columns, one[1], (1 - error) * sizes[1]], 1)
        missing = columns.new_zeros(-len(y) % pad, columns.shape[1])
        missing[:, -1] = _FAR
        self.columns = torch.cat([columns, missing]).to(dtype).mT  # (d + 2, m), m a multiple of pad
        self.whole = None

    def block(self, start: int, count: int) -> Tensor:
        """The bounds for some points x against all y, (count, m), in memory that the next block takes over."""
        rows = self.rows[start : start + count]
        if self.whole is None:
            self.whole = rows.new_empty(len(rows), self.columns.shape[1])
        return torch.mm(rows, self.columns, out=self.whole[: len(rows)])


def _quick() -> torch.dtype:
    """float32, unless its products are allowed fewer digits than it holds."""
    return torch.float32 if torch.get_float32_matmul_precision() == "highest" else torch.float64


def _squared_radii(x: Tensor, neighbors: int, block: int) -> Tensor:
    """The squared distance of each point to its k-th neighbor, (n,), float64.

    Where float32 cannot tell candidates from the others (points that nearly coincide, seen from afar), float64 chooses
    them; where even that cannot, to a part in 10⁹, all differences are looked at.
    """
    radii, todo = torch.empty(len(x), dtype=torch.float64, device=x.device), torch.arange(len(x), device=x.device)
    for dtype, tolerance in ((_quick(), 2.0**-20), (torch.float64, -1e-9)):
        bounds, unsure = _Bounds(x[todo], x, dtype, _GROUP), []
        for start in range(0, len(todo), block):
            rows = todo[start : start + block]
            low = bounds.block(start, block)  # (block, n)
            low.scatter_(1, rows[:, None], 2 * _FAR)  # itself
            nearest, index = _smallest(low, neighbors + _SPARE)  # (block, neighbors + spare)
            index = index.clamp_max(len(x) - 1)
            squared = _squared_distances(x, x, rows.repeat_interleave(index.shape[1]), index.flatten()).view(
                index.shape
            )
            found = squared.masked_fill(nearest >= _FAR / 2, torch.inf).kthvalue(neighbors, 1).values
            radii[rows] = found
            least = found / bounds.scale**2 * (1 + tolerance)
            unsure.append(rows[(nearest[:, -1] < least) & (found > 0)])  # another point may be nearer
        todo = torch.cat(unsure)
        if not len(todo):
            return radii
    for rows in todo.split(max(1, 2**24 // x.numel())):
        squared = (x[rows, None] - x).square().sum(-1).scatter_(1, rows[:, None], torch.inf)
        radii[rows] = squared.kthvalue(neighbors, 1).values
    return radii


def _smallest(low: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The smallest numbers of each row and their columns: they lie in the groups with the smallest minima."""
    groups = low.shape[1] // _GROUP
    if groups <= count:
        return low.topk(min(count, low.shape[1]), largest=False)
    grouped = low.view(len(low), _GROUP, groups)  # column c lies in group c mod groups
    chosen = grouped.amin(1).topk(count, largest=False).indices  # (block, count)
    columns = (chosen[:, None] + groups * torch.arange(_GROUP, device=low.device)[:, None]).flatten(1)
    values, places = low.gather(1, columns).topk(count, largest=False)
    return values, columns.gather(1, places)


def _near_pairs(
    x: Tensor, y: Tensor, x_squared: Tensor, y_squared: Tensor, block: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """All pairs (i, j) that may lie in the ball of either point, with squared distances: in float64 where it matters."""
    bounds = _Bounds(x, y, _quick())
    reach = [squared / bounds.scale**2 * (1 + 2.0**-20) for squared in (x_squared, y_squared)]
    wide = [part.to(_quick()) * (1 + 2.0**-20) for part in reach]
    limit, near = None, None
    for start in range(0, len(x), block):
        low = bounds.block(start, block)  # (block, m)
        if near is None:
            limit, near = torch.empty_like(low), torch.empty_like(low, dtype=torch.bool)
        torch.maximum(wide[0][start : start + block, None], wide[1], out=limit[: len(low)])
        torch.gt(limit[: len(low)], low, out=near[: len(low)])
        i, j = near[: len(low)].nonzero().unbind(1)
        least, i = low[i, j].double(), i + start
        most = (least + bounds.row_errors[i] + bounds.column_errors[j]) * (1 + 2.0**-19)
        doubtful = ((least <= reach[0][i]) & (most >= reach[0][i])) | ((least <= reach[1][j]) & (most >= reach[1][j]))
        squared = least * bounds.scale**2
        squared[doubtful] = _squared_distances(x, y, i[doubtful], j[doubtful])
        yield i, j, squared


def _squared_distances(x: Tensor, y: Tensor, i: Tensor, j: Tensor, pairs: int = 4096) -> Tensor:
    """‖x_i − y_j‖² for lists of i and j, from differences: exact for whole numbers."""
    parts = zip(i.split(pairs), j.split(pairs), strict=True)
    return torch.cat([(x.index_select(0, left) - y.index_select(0, right)).square_().sum(-1) for left, right in parts])
