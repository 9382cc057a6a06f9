"""What `EnergyLandscape` knows of an energy: its values on a grid, its valleys, and what share of exp(−E/T) each holds."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .model import device_of, evaluating, like_weights

__all__ = ["EnergySurface", "Truth"]

NODES = 120  # of the grid, a side
SHALLOW = 0.5  # nats below the pass to a deeper valley: less is a dent
HIGH = 10.0  # nats above the deepest bottom: a valley there counts no more
MOST_VALLEYS = 26  # that have a letter
BORDER = 0.005  # share of the mass that may lie at the border of the grid


class Truth(NamedTuple):
    """exp(−E/T) summed over the grid.

    Attributes:
        mean: the mean energy, nats.
        shares: of the mass in each valley, (valleys,).
        inside: whether hardly any mass lies at the border, so that hardly any is beyond it.
    """

    mean: float
    shares: np.ndarray
    inside: bool


class EnergySurface:
    """An energy over the plane, looked up on a square [−extent, extent]².

    Valleys are what water would fill: every grid point belongs to the lowest point that it drains to, and a valley less
    than half a nat deep belongs to its neighbor.

    Args:
        source: a model with `energy(x)` on `Space.real(2)`; or a density with `log_prob(x)`, whose energy is −log p; or
            a function (batch, 2) -> (batch,), the energy in nats.
        extent: half the side of the square; by default the source's own, or 5.5.

    Attributes:
        axis: grid values each way, (nodes,).
        grid: energies, (nodes, nodes), row k at x₂ = axis[k]; infinite where not finite.
        valley: number of the valley that each grid point belongs to, (nodes, nodes); −1 of none that counts: its bottom is
            more than ten nats above the deepest.
        bottoms: where each valley is lowest, (valleys, 2), the deepest first.

    Raises:
        TypeError: no energy in it.
        ValueError: not of the plane, or nowhere finite.
    """

    def __init__(self, source, extent: float | None = None):
        self.source, self._energy = source, _energy_of(source)
        self.extent = float(extent if extent is not None else getattr(source, "extent", 5.5))
        if not (self.extent > 0 and math.isfinite(self.extent)):
            raise ValueError(f"extent must be positive, got {extent}")
        self.axis = np.linspace(-self.extent, self.extent, NODES)
        side = torch.linspace(-self.extent, self.extent, NODES)
        points = torch.cartesian_prod(side, side).flip(1)  # x₁ varies fastest
        with evaluating(source):
            values = torch.cat([self.energy(part) for part in points.split(20_000)])
        if values.shape != (NODES**2,):
            raise ValueError(
                f"the energy of (batch, 2) must be (batch,), got {tuple(values.shape)} for {NODES**2} points"
            )
        self.grid = np.nan_to_num(values.double().cpu().numpy().reshape(NODES, NODES), nan=np.inf, neginf=np.inf)
        if not np.isfinite(self.grid).any():
            raise ValueError(
                "the energy is finite nowhere in the square; has training diverged, or is extent too small?"
            )
        self.valley, self.bottoms = self._drain()

    def energy(self, x: Tensor) -> Tensor:
        """E(x): (batch, 2) -> (batch,), nats; on the model's device, differentiable."""
        return self._energy(like_weights(self.source, x))

    def slope(self, x: Tensor) -> Tensor:
        """∇E(x), (batch, 2) both ways; 0 where the energy has no gradient."""
        with torch.enable_grad():
            x = like_weights(self.source, x).detach().requires_grad_()
            value = self.energy(x).sum()
            if not value.requires_grad:
                return torch.zeros_like(x)
            return torch.autograd.grad(value, x)[0]

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return device_of(self.source)

    @functools.cached_property
    def rises(self) -> bool:
        """Whether the energy far out, ten squares away, is finite and higher than anywhere low in the square."""
        angle = torch.arange(16) * (2 * math.pi / 16)
        around = 10 * self.extent * torch.stack([angle.cos(), angle.sin()], 1)
        with evaluating(self.source):
            far = self.energy(around).double().cpu()
        return bool((far.isfinite() & (far > float(self.grid.min()))).all())

    def place(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Column and row of the grid point nearest to each of (n, 2); outside points count with the border."""
        step = 2 * self.extent / (NODES - 1)
        at = np.clip(np.round((np.nan_to_num(x) + self.extent) / step), 0, NODES - 1).astype(int)
        return at[:, 0], at[:, 1]

    def inside(self, x: np.ndarray) -> np.ndarray:
        """Which of (n, 2) lie in the square."""
        return (np.abs(x) <= self.extent).all(1)

    def shares(self, x: np.ndarray) -> np.ndarray:
        """Share of the points (n, 2) in each valley, (valleys,); those outside count in none."""
        x = x[self.inside(x)] if len(x) else x
        if not len(x):
            return np.zeros(len(self.bottoms))
        columns, rows = self.place(x)
        return self._counted(self.valley[rows, columns], np.full(len(x), 1 / len(x)))

    def _counted(self, valley: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The weight in each valley, (valleys,)."""
        known = valley >= 0
        return np.bincount(valley[known], weights[known], minlength=len(self.bottoms))

    def weights(self, temperature: float) -> np.ndarray:
        """exp(−E/T), normalized over the grid, (nodes, nodes); at T = 0 all of it at the lowest point."""
        finite = np.where(np.isfinite(self.grid), self.grid, np.inf)
        if temperature <= 0:
            weights = (finite == finite.min()).astype(float)
            return weights / weights.sum()
        weights = np.exp(-(finite - finite.min()) / temperature)
        return weights / weights.sum()

    def truth(self, temperature: float) -> Truth:
        """The mean energy and the valleys' shares of exp(−E/T) on the square; at T = 0 the lowest energy, and no shares."""
        if temperature <= 0:
            return Truth(float(self.grid.min()), np.full(len(self.bottoms), math.nan), True)
        p = self.weights(temperature)
        mean = float((p * np.where(p > 0, self.grid, 0.0)).sum())
        border = 1 - p[2:-2, 2:-2].sum()
        return Truth(mean, self._counted(self.valley.ravel(), p.ravel()), bool(border < BORDER))

    def draw(self, n: int, temperature: float, generator: torch.Generator) -> Tensor:
        """n points of exp(−E/T) on the square: a grid point each, then anywhere in its cell, (n, 2)."""
        cells = torch.multinomial(torch.from_numpy(self.weights(temperature).ravel()), n, True, generator=generator)
        step = 2 * self.extent / (NODES - 1)
        place = torch.stack([cells % NODES, cells // NODES], 1) * step - self.extent
        return (place + step * (torch.rand(n, 2, generator=generator) - 0.5)).float()

    def stable_step(self) -> float:
        """4 / (the largest curvature at the bottom of a valley): with a larger step size ε the walk x − ½ε∇E overshoots
        ever farther there; infinite where there is no curvature."""
        x, h = torch.as_tensor(self.bottoms, dtype=torch.float32), 1e-2
        columns = []
        for k in range(2):
            shift = torch.zeros(1, 2)
            shift[0, k] = h
            columns.append(((self.slope(x + shift) - self.slope(x - shift)) / (2 * h)).double().cpu())
        hessian = torch.stack(columns, 2)
        hessian = torch.nan_to_num(0.5 * (hessian + hessian.mT), 0.0, 0.0, 0.0)
        largest = float(torch.linalg.eigvalsh(hessian).max())
        return 4 / largest if largest > 1e-9 else math.inf

    # --- valleys ---------------------------------------------------------------------------------------------------

    def _drain(self) -> tuple[np.ndarray, np.ndarray]:
        """Flood the grid from below: (valley of each grid point, (valleys, 2) bottoms, the deepest first)."""
        energy = np.where(np.isfinite(self.grid), self.grid, np.inf).ravel()
        order = np.argsort(energy, kind="stable").tolist()
        owner, bottom, merged = [-1] * len(order), [], []

        def root(k: int) -> int:
            while merged[k] != k:
                k = merged[k]
            return k

        for cell in order:
            column = cell % NODES
            near = [cell - NODES, cell + NODES] + [cell - 1] * (column > 0) + [cell + 1] * (column < NODES - 1)
            found = {root(owner[i]) for i in near if 0 <= i < len(owner) and owner[i] >= 0}
            if not found:
                owner[cell] = len(bottom)
                bottom.append(cell)
                merged.append(owner[cell])
                continue
            deepest = min(found, key=lambda k: (energy[bottom[k]], k))
            owner[cell] = owner[
                min((i for i in near if 0 <= i < len(owner) and owner[i] >= 0), key=lambda i: energy[i])
            ]
            for other in found - {deepest}:
                if not energy[cell] - energy[bottom[other]] >= SHALLOW:  # also where both are infinite
                    merged[other] = deepest
        return self._numbered(np.array([root(k) for k in owner]), bottom, energy)

    def _numbered(self, owner: np.ndarray, bottom: list[int], energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Valleys numbered by the depth of their bottoms, the deepest first, and of those alike the uppermost; −1 for
        those that do not count."""
        kept = sorted(
            set(owner.tolist()), key=lambda k: (round(energy[bottom[k]], 1), -(bottom[k] // NODES // 4), bottom[k])
        )
        kept = [k for k in kept if energy[bottom[k]] < energy.min() + HIGH][:MOST_VALLEYS]
        number = {k: i for i, k in enumerate(kept)}
        valley = np.array([number.get(k, -1) for k in owner.tolist()]).reshape(NODES, NODES)
        cells = np.array([bottom[k] for k in kept])
        return valley, np.stack([self.axis[cells % NODES], self.axis[cells // NODES]], 1)


def _energy_of(source) -> Callable[[Tensor], Tensor]:
    """The energy of a model, of a density, or of a function, as a function of points."""
    space = getattr(source, "space", None)
    if space is not None and (space.kind, space.shape) != ("real", (2,)):
        raise ValueError(
            f"EnergyLandscape shows energies of the plane, real(2); this {type(source).__name__} is of {space}"
        )
    if hasattr(source, "energy") and callable(source.energy):
        return source.energy
    if hasattr(source, "log_prob"):
        return lambda x: -_value(source.log_prob(x))
    if callable(source):
        return source
    raise TypeError("EnergyLandscape needs a model with energy(x), a density with log_prob(x), or a function of points; "
                    f"got {type(source).__name__}")  # fmt: skip


def _value(log_prob) -> Tensor:
    """The tensor in a `LogProb`, or the tensor itself."""
    return getattr(log_prob, "value", log_prob)
