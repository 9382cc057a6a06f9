"""Particles that walk in an energy: where they are, how they fare, which of them were lost."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..dynamics import langevin, metropolis_langevin
from .energy_surface import EnergySurface

__all__ = ["WALKS", "Particles", "Standing"]

WALKS = ("langevin", "mala")
MOST = 2000
FAR = 1e3  # times the extent: whoever is beyond has run away


class Standing(NamedTuple):
    """How the particles stand.

    Attributes:
        steps: made so far.
        count: particles that still walk; `outside`: how many of these are out of the square; `lost`: how many ran away.
        energy: their mean energy, nats; NaN without particles.
        accepted: share of the proposals accepted in the last steps; NaN where none are refused.
        shares: of the particles in each valley, (valleys,).
    """

    steps: int
    count: int
    outside: int
    lost: int
    energy: float
    accepted: float
    shares: np.ndarray


class Particles:
    """Langevin walks in an energy at a temperature, x ← x − ½ε ∇E(x) + √(εT)·noise, all with one step size.

    With "mala" each step is a proposal that Metropolis' rule may refuse, so that exp(−E/T) is exactly invariant. A
    particle that is farther than a thousand times the square, or no number any more, is taken out and counted.
    Every step's noise is drawn from (seed, step), so that ten steps at once are the same as one ten times.

    Args:
        surface: the energy.
        seed: of the noise and of where particles are scattered.

    Attributes:
        x: places of those that still walk, (n, 2).
        steps, lost: steps made so far, and how many particles ran away.
        lost_by: walk and step size of the last loss; ("", NaN) before any.
        accepted: share of the proposals accepted in the last steps; NaN where none are refused.
    """

    def __init__(self, surface: EnergySurface, seed: int = 0):
        self.surface, self.seed = surface, seed
        self.clear()

    def clear(self) -> None:
        """No particles, and the count of steps from 0."""
        self.x, self.steps, self.lost, self.dropped, self.accepted = torch.zeros(0, 2), 0, 0, 0, float("nan")
        self.lost_by = ("", float("nan"))

    def add(self, x: Tensor) -> None:
        """Put particles here, (n, 2).

        Raises:
            ValueError: too many, or not finite.
        """
        if not x.isfinite().all():
            raise ValueError("particles can be dropped at finite places alone")
        if len(self.x) + len(x) > MOST:
            raise ValueError(f"{len(self.x)} particles walk already, and {MOST} is the most; clear them first")
        self.x, self.dropped = torch.cat([self.x, x.float()]), self.dropped + 1

    def drop(self, at: tuple[float, float], n: int) -> None:
        """n particles around a place, within a hundredth of the extent."""
        jitter = 0.01 * self.surface.extent * torch.randn(n, 2, generator=self._generator())
        self.add(torch.tensor([at], dtype=torch.float32) + jitter)

    def scatter(self, n: int) -> None:
        """n particles anywhere in the square."""
        self.add(self.surface.extent * (2 * torch.rand(n, 2, generator=self._generator()) - 1))

    def draw(self, n: int, temperature: float) -> None:
        """n particles from exp(−E/T) itself."""
        self.add(self.surface.draw(n, temperature, self._generator()))

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed * 1_000_003 + 7919 * self.dropped + 1)

    def walk(self, steps: int, step_size: float, temperature: float, how: str = "langevin") -> None:
        """So many steps of every particle.

        Raises:
            ValueError: an unknown walk, a step size or temperature that is no such thing, Metropolis' rule at T = 0.
        """
        if how not in WALKS:
            raise ValueError(f"the walk must be one of {', '.join(WALKS)}, got {how!r}")
        if not (step_size > 0 and np.isfinite([step_size, temperature]).all() and temperature >= 0):
            raise ValueError(f"a walk needs step_size > 0 and temperature ≥ 0, got {step_size} and {temperature}")
        if how == "mala" and temperature == 0:
            raise ValueError("at temperature 0 there is nothing for Metropolis' rule to decide: take the plain walk, which is "
                             "gradient descent then, or a temperature above 0")  # fmt: skip
        accepted = []
        device = self.surface.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            for _ in range(steps):
                self.steps += 1
                if len(self.x):
                    self._seed_noise(device)
                    accepted.append(self._step(step_size, temperature, how))
                    self._let_go(how, step_size)
        self.accepted = float(np.mean(accepted)) if accepted else float("nan")

    def _seed_noise(self, device: torch.device) -> None:
        seed = self.seed * 1_000_003 + self.steps
        torch.default_generator.manual_seed(
            seed
        )  # torch.manual_seed would look for every kind of device, which takes longer
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _step(self, step_size: float, temperature: float, how: str) -> float:
        """One step; returns the share accepted, or NaN."""
        x, energy = self.x.to(self.surface.device), self.surface.energy
        if how == "mala":
            with torch.enable_grad():
                state, accepted = next(metropolis_langevin(
                    lambda x: -_with_gradient(energy(x), x) / temperature, x, step_size * temperature, 1))  # fmt: skip
            self.x = state.detach().float().cpu()
            return float(accepted)
        if temperature == 0:
            state = x - 0.5 * step_size * self.surface.slope(x)
        else:
            state = next(langevin(lambda x: -self.surface.slope(x) / temperature, x, step_size * temperature, 1))
        self.x = state.detach().float().cpu()
        return float("nan")

    def _let_go(self, how: str, step_size: float) -> None:
        """Take out whoever ran away, and note by which walk."""
        here = self.x.isfinite().all(1) & (self.x.abs() < FAR * self.surface.extent).all(1)
        if not here.all():
            self.lost, self.lost_by = self.lost + int((~here).sum()), (how, step_size)
            self.x = self.x[here]

    def standing(self) -> Standing:
        """The numbers."""
        x = self.x.numpy()
        energy = float("nan")
        if len(x):
            with torch.no_grad():
                values = self.surface.energy(self.x).double().cpu()
            values = values[values.isfinite()]
            energy = float(values.mean()) if len(values) else float("inf")
        outside = int((~self.surface.inside(x)).sum()) if len(x) else 0
        return Standing(self.steps, len(x), outside, self.lost, energy, self.accepted, self.surface.shares(x))


def _with_gradient(value: Tensor, x: Tensor) -> Tensor:
    """An energy that does not depend on x has a gradient too: zero."""
    return value if value.requires_grad else value + 0 * x.sum(1)
