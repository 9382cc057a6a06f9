"""What `FlowMorph` draws: a regular grid and points carried through a flow, the area of every cell on the way."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .model import device_of, evaluating, like_weights

__all__ = ["CIRCLE", "DIRECTIONS", "FINE", "Account", "FlowGrid", "check_flow", "checked_points"]

DIRECTIONS = ("generate", "encode")
FINE = 4  # pieces that each side of a cell is made of
RADIUS = 0.05  # of the circle around a point, of the grid's side
CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 49)), np.sin(np.linspace(0, 2 * np.pi, 49))], 1)  # (49, 2)
STEP = 1e-2  # of the differences that give a Jacobian
MOST_POINTS = 1000
FAR = 1e9  # what is beyond has exploded, and counts as not finite


class Account(NamedTuple):
    """What change of variables says about one point on its way; nats.

    Attributes:
        at: where the point is now, (2,).
        jacobian: of this place with respect to the start, (2, 2); columns belong to the start's directions.
        log_det: log|det jacobian|: by how much a small area around the point has grown so far.
        log_start: log density at the start, before any layer.
        log_density: log density where it is now: log_start − log_det.
    """

    at: np.ndarray
    jacobian: np.ndarray
    log_det: float
    log_start: float
    log_density: float


class FlowGrid:
    """A grid of cells, and points, on their way through a flow of the plane.

    State k of K + 1 is what the flow's first k layers make of the grid; between two states everything moves on
    straight lines. Layers that move a coordinate monotonically (couplings, splines, masked ones) stay one-to-one on the
    way. A cell always holds the same probability; so if its area grows by a factor, its density falls by it:

        density now = probability of the cell / area now = density at the start · exp(−log|det Jacobian|)

    Args:
        flow: `states(z, y)` yields z, (n, 2), and the state after every layer, noise → data; `encode(x, y)`, needed for
            the other direction, gives the noise of x.
        direction: "generate": a regular grid of noise becomes data; "encode": a regular grid of data becomes noise.
        data: points of the data, (n, 2), or None.
        label: the condition, of conditional flows.
        cells: cells of the grid, so many each way.
        extent: of noise the grid spans −extent … extent, both ways.
        points: how many points are drawn.
        seed: of the points.

    Attributes:
        grid: (K + 1, side, side, 2), the lattice in every state; `grid[k, i, j]` began in row i (upwards), column j.
        points: (K + 1, n, 2), samples of noise (generate), or data (encode; without data, the flow's samples).
        mass: (cells, cells), each cell's probability under the model.
        layers: K; `names`: the class of the layer that made each state, where states are layers.

    Raises:
        TypeError: the flow has no states, or no encode where it is needed.
        ValueError: the flow is not of the plane; data are no points; or nothing finite comes out.
    """

    def __init__(self, flow, direction: str = "generate", data: Tensor | None = None, label: int | None = None, *,
                 cells: int = 20, extent: float = 3.0, points: int = 400, seed: int = 0):  # fmt: skip
        check_flow(flow, direction)
        if direction not in DIRECTIONS:
            raise ValueError(f"direction must be one of {', '.join(DIRECTIONS)}, got {direction!r}")
        if not 2 <= cells <= 60 or not 0 < extent <= 20 or not 0 <= points <= MOST_POINTS:
            raise ValueError(f"FlowMorph needs 2 … 60 cells, an extent above 0 and at most {MOST_POINTS} points; "
                             f"got {cells}, {extent} and {points}")  # fmt: skip
        self.flow, self.direction, self.label, self.cells = flow, direction, label, cells
        self.data = None if data is None else checked_points(data)
        noise = torch.randn(max(points, 200), 2, generator=torch.Generator().manual_seed(seed))
        start = noise if direction == "generate" else self._data_or_samples(noise)
        self.lines = self._lines(start, extent)
        x, y = np.meshgrid(*self.lines)
        self.grid = self.path(np.stack([x, y], -1).reshape(-1, 2)).reshape(-1, len(y), len(x), 2)
        self.points = self.path(start.numpy()[:points])
        self.layers = len(self.grid) - 1
        if not np.isfinite(self.grid).any(axis=(1, 2, 3)).all():
            raise ValueError("the grid holds nothing but NaN or infinity after some layer; has training diverged?")
        self.names = self._names()
        self._outline = _outline(cells)
        self.mass = self._mass()

    def _data_or_samples(self, noise: Tensor) -> Tensor:
        """Where paths from data to noise begin."""
        return self.data if self.data is not None else torch.as_tensor(self._forward(noise)[-1], dtype=torch.float32)

    def _lines(self, start: Tensor, extent: float) -> tuple[np.ndarray, np.ndarray]:
        """Where the lattice's columns and rows lie: x and y, each (cells · FINE + 1,)."""
        middle, reach = np.zeros(2), extent
        if self.direction == "encode":
            inside = start[torch.isfinite(start).all(1)].numpy()
            low, high = np.quantile(inside, [0.005, 0.995], axis=0)
            middle, reach = (low + high) / 2, 0.58 * float((high - low).max())
        side = np.linspace(-reach, reach, self.cells * FINE + 1)
        return middle[0] + side, middle[1] + side

    def _names(self) -> list[str]:
        """What made each state: "" for the start, then a layer's class; nothing but "" where a state is no layer."""
        layers = getattr(self.flow, "layers", None)
        if not isinstance(layers, (list, torch.nn.ModuleList)) or len(layers) != self.layers:
            return [""] * (self.layers + 1)
        names = [type(layer).__name__ for layer in layers]
        return ["", *(names if self.direction == "encode" else names[::-1])]

    # --- along the flow --------------------------------------------------------------------------------------------

    def _condition(self, n: int) -> tuple[Tensor, ...]:
        return () if self.label is None else (torch.full((n,), self.label, device=device_of(self.flow)),)

    def _forward(self, noise: Tensor) -> np.ndarray:
        """Every state of these points, noise → data: (n, 2) -> (K + 1, n, 2)."""
        with evaluating(self.flow):
            states = list(self.flow.states(like_weights(self.flow, noise), *self._condition(len(noise))))
        found = torch.stack([state.flatten(1).detach().cpu().double() for state in states])
        if len(found) < 2 or found.shape[2] != 2:
            raise ValueError("FlowMorph needs states(z) to yield z and the state after each layer, each (n, 2); "
                             f"got {len(found)} of shape {tuple(found.shape[1:])}")  # fmt: skip
        return found.where(found.abs() < FAR, math.nan).numpy()

    def path(self, start: np.ndarray) -> np.ndarray:
        """Every state of points that begin here, in this direction: (n, 2) -> (K + 1, n, 2)."""
        start = torch.as_tensor(start)
        if self.direction == "generate":
            return self._forward(start)
        with evaluating(self.flow):
            noise = self.flow.encode(like_weights(self.flow, start), *self._condition(len(start)))
        return self._forward(noise.reshape(len(start), -1))[::-1]

    @staticmethod
    def _between(states: np.ndarray, place: float) -> np.ndarray:
        """A state, or what lies between two: place 2.5 is half way from state 2 to state 3."""
        k = min(int(place), len(states) - 2)
        part = place - k
        return states[k] if part == 0 else (1 - part) * states[k] + part * states[k + 1]

    def lattice(self, place: float) -> np.ndarray:
        """The lattice at a place 0 … K on the way, (side, side, 2)."""
        return self._between(self.grid, place)

    def cloud(self, place: float) -> np.ndarray:
        """The points there, (n, 2)."""
        return self._between(self.points, place)

    def outlines(self, place: float) -> np.ndarray:
        """Each cell as a polygon, (cells, cells, 4 · FINE, 2)."""
        return self.lattice(place).reshape(-1, 2)[self._outline]

    # --- areas, probabilities, densities ---------------------------------------------------------------------------

    def areas(self, place: float) -> np.ndarray:
        """The area of every cell, (cells, cells)."""
        return np.abs(_area(self.outlines(place)))

    def log_det(self, place: float) -> np.ndarray:
        """By how much the area of every cell has grown since the start, log, (cells, cells); negative: squeezed."""
        with np.errstate(divide="ignore"):
            return np.log(self.areas(place)) - np.log(self.areas(0))

    def density(self, place: float) -> np.ndarray:
        """The model's mean density in every cell: its probability over its area, (cells, cells)."""
        with np.errstate(divide="ignore"):
            return self.mass / self.areas(place)

    def _mass(self) -> np.ndarray:
        """The probability of every cell, from where the grid is noise."""
        if self.direction == "generate":
            phi = [np.diff(_normal_cdf(line[::FINE])) for line in self.lines]
            return phi[1][:, None] * phi[0]
        noise = self.grid[-1]
        small = np.stack([noise[:-1, :-1], noise[:-1, 1:], noise[1:, 1:], noise[1:, :-1]], 2)
        sides, middle = (small + np.roll(small, -1, 2)) / 2, small.mean(2)
        mean = (_normal(small).sum(-1) + 4 * _normal(sides).sum(-1) + 16 * _normal(middle)) / 36  # Simpson's rule
        mass = np.abs(_area(small)) * mean
        return mass.reshape(self.cells, FINE, self.cells, FINE).sum((1, 3))

    # --- one point -------------------------------------------------------------------------------------------------

    def follow(self, start: tuple[float, float]) -> "Followed":
        """Follow one point, what is next to it, and a small circle around it, from where it begins."""
        near = STEP * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
        around = RADIUS * np.ptp(self.lines[0]) * CIRCLE
        return Followed(self.path(np.asarray(start, float) + np.concatenate([near, around])), self.direction)

    def start_of(self, place: float, at: tuple[float, float]) -> tuple[float, float]:
        """Where a point begins that is (nearly) here at this place: the nearest lattice point, and one Newton step."""
        lattice = self.lattice(place)
        distance = np.nan_to_num(((lattice - np.asarray(at)) ** 2).sum(-1), nan=np.inf)
        i, j = np.unravel_index(distance.argmin(), distance.shape)
        start = np.array([self.lines[0][j], self.lines[1][i]])
        last = len(lattice) - 1
        (left, right), (below, above) = ((max(k - 1, 0), min(k + 1, last)) for k in (j, i))
        spacing = self.lines[0][1] - self.lines[0][0]
        jacobian = np.stack([(lattice[i, right] - lattice[i, left]) / (right - left),
                             (lattice[above, j] - lattice[below, j]) / (above - below)], 1) / spacing  # fmt: skip
        if abs(np.linalg.det(jacobian)) > 1e-9:
            start = start + np.clip(np.linalg.solve(jacobian, np.asarray(at) - lattice[i, j]), -spacing, spacing)
        return tuple(float(np.clip(s, line[0], line[-1])) for s, line in zip(start, self.lines, strict=True))


class Followed:
    """One point on its way, with its Jacobian by central differences.

    Args:
        path: (K + 1, 5 + n, 2): the point, its neighbours to the right, left, above and below, then a circle around it.
        direction: as of the grid.
    """

    def __init__(self, path: np.ndarray, direction: str):
        self.path = path
        noise, at_noise = (path[0, 0], 0) if direction == "generate" else (path[-1, 0], len(path) - 1)
        log_normal = -0.5 * float((noise**2).sum()) - math.log(2 * math.pi)
        self.log_start = log_normal + self._log_det(self._jacobian(at_noise))

    def circle(self, place: float) -> np.ndarray:
        """What has become of the circle, (n, 2): nearly the ellipse that the Jacobian makes of it, while it is small."""
        return FlowGrid._between(self.path[:, 5:], place)

    def _jacobian(self, place: float) -> np.ndarray:
        _, right, left, above, below = FlowGrid._between(self.path[:, :5], place)
        return np.stack([right - left, above - below], 1) / (2 * STEP)

    @staticmethod
    def _log_det(jacobian: np.ndarray) -> float:
        (a, b), (c, d) = jacobian
        with np.errstate(divide="ignore"):
            return float(np.log(abs(a * d - b * c)))

    def at(self, place: float) -> Account:
        """What is known of it at a place 0 … K on the way."""
        at, jacobian = FlowGrid._between(self.path, place)[0], self._jacobian(place)
        log_det = self._log_det(jacobian)
        return Account(at, jacobian, log_det, self.log_start, self.log_start - log_det)


def check_flow(flow: object, direction: str = "generate") -> None:
    """Say what is wrong if this is no flow of the plane."""
    wanted = ["states", *(["encode"] if direction == "encode" else [])]
    missing = [name for name in wanted if not callable(getattr(flow, name, None))]
    if missing:
        raise TypeError(f"FlowMorph needs a flow with {' and '.join(f'{name}(…)' for name in wanted)}, such as a "
                        f"CouplingFlow; {type(flow).__name__} has no {' and no '.join(missing)}")  # fmt: skip
    space = getattr(flow, "space", None)
    if space is not None and (space.dim != 2 or space.kind != "real"):
        raise ValueError(f"FlowMorph shows flows of the plane, of Space.real(2); this {type(flow).__name__} is of {space}. "
                         "Watch images and series with TrajectoryPlayer(flow)")  # fmt: skip


def checked_points(data: Tensor) -> Tensor:
    """Points (n, 2) on the CPU in float32, or what is wrong with them."""
    data = torch.as_tensor(data)
    if data.ndim != 2 or data.shape[1] != 2 or len(data) < 2:
        raise ValueError(f"data must be two or more points, (n, 2), got shape {tuple(data.shape)}")
    if not torch.isfinite(data).all():
        raise ValueError("data hold NaN or infinity")
    return data.detach().cpu().float()


def _normal(z: np.ndarray) -> np.ndarray:
    """The density N(z; 0, I) of the plane: (…, 2) -> (…)."""
    return np.exp(-0.5 * (z**2).sum(-1)) / (2 * np.pi)


def _normal_cdf(x: np.ndarray) -> np.ndarray:
    return torch.special.ndtr(torch.as_tensor(x)).numpy()


def _area(outlines: np.ndarray) -> np.ndarray:
    """Signed areas of polygons by the shoelace formula: (…, corners, 2) -> (…)."""
    x, y = outlines[..., 0], outlines[..., 1]
    return 0.5 * (x * np.roll(y, -1, -1) - np.roll(x, -1, -1) * y).sum(-1)


def _outline(cells: int) -> np.ndarray:
    """Places in the flattened lattice of each cell's outline, (cells, cells, 4 · FINE), counterclockwise."""
    side, along = cells * FINE + 1, np.arange(FINE)
    row = np.concatenate([0 * along, along, FINE + 0 * along, FINE - along])
    column = np.concatenate([along, FINE + 0 * along, FINE - along, 0 * along])
    corner = FINE * (np.arange(cells)[:, None] * side + np.arange(cells))
    return corner[..., None] + row * side + column
