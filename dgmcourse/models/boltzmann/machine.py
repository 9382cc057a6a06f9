"""The general Boltzmann machine: every unit may be connected with every other. Small ones are known exactly."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ...core import GenerativeModel, Kind, LogProb, Space, Step
from ...dynamics import AnnealingPath
from .partition import MOST_UNITS, LogPartition, all_states, annealed_log_partition, log_sum_over_states

__all__ = ["BoltzmannMachine"]

MOST_HIDDEN = 10  # the free energy sums over all their states for every example


class BoltzmannMachine(GenerativeModel):
    """Boltzmann machine: p(s) = exp(−E(s)) / Z over binary units s, the visible ones x first, then the hidden ones h.

        E(s) = −½ sᵀJ s − bᵀs − offset,        J symmetric, without diagonal

    Up to 20 units, Z is a sum over all states, and learning follows the exact gradient of log p(x),

        ∂ log p / ∂Jᵢⱼ = E[sᵢ sⱼ | data] − E[sᵢ sⱼ | model].

    With more, samples of persistent Gibbs chains stand in for the model. Gibbs sampling visits one unit at a time, or
    at once those that are not connected with each other: the squares of a checkerboard, for an Ising model.

    Ackley, Hinton & Sejnowski, "A learning algorithm for Boltzmann machines", 1985,
    https://doi.org/10.1207/s15516709cog0901_7

    Args:
        space: binary images or vectors.
        hidden: number of hidden units, at most 10.
        chains: persistent chains of a machine with more than 20 units.
        sweeps: Gibbs sweeps from noise to a sample.
    """

    def __init__(self, space: Space, hidden: int = 0, chains: int = 100, sweeps: int = 100):
        super().__init__(space)
        if space.kind != "binary":
            raise ValueError(f"BoltzmannMachine needs a binary space, got {space}; binarize the data first, "
                             "e.g. digits(levels=2)")  # fmt: skip
        if not 0 <= hidden <= MOST_HIDDEN or min(chains, sweeps) < 1:
            raise ValueError(f"BoltzmannMachine needs hidden from 0 to {MOST_HIDDEN} and chains, sweeps ≥ 1, "
                             f"got hidden={hidden}, chains={chains}, sweeps={sweeps}")  # fmt: skip
        self.hidden, self.sweeps, self.units = hidden, sweeps, space.dim + hidden
        self.weight = nn.Parameter(0.01 * torch.randn(self.units, self.units))  # J is what lies above the diagonal
        self.bias = nn.Parameter(torch.zeros(self.units))
        self.register_buffer("offset", torch.zeros(()))
        self.register_buffer("chains", None if self.enumerable else torch.rand(chains, self.units).round())

    @classmethod
    def ising(cls, side: int, coupling: float, sweeps: int = 100) -> "BoltzmannMachine":
        """The Ising model of spins s = 2x − 1 = ±1 on a periodic square lattice: −E = coupling · Σ_bonds s s′.

        Its log Z is that of the spins (the offset sees to it), with each of the 2·side² bonds counted once.
        Onsager, "Crystal statistics I", 1944, https://doi.org/10.1103/PhysRev.65.117: it orders beyond a coupling of
        ½ ln(1 + √2) = 0.4407.

        Args:
            side: of the lattice, at least 3.
            coupling: β J.
            sweeps: Gibbs sweeps from noise to a sample.
        """
        if side < 3:
            raise ValueError(f"a periodic lattice needs side ≥ 3, got {side}, where some neighbors would be the same")
        model = cls(Space.binary(1, side, side), sweeps=sweeps)
        unit = torch.arange(side * side).view(side, side)
        with torch.no_grad():
            model.weight.zero_()
            for neighbor in (unit.roll(-1, 0), unit.roll(-1, 1)):
                pair = torch.stack([unit.flatten(), neighbor.flatten()]).sort(0).values
                model.weight[pair[0], pair[1]] = 4 * coupling  # s s′ = 4 x x′ − 2 x − 2 x′ + 1
            model.bias.fill_(-8 * coupling)
            model.offset.fill_(2 * side * side * coupling)
        return model

    @property
    def enumerable(self) -> bool:
        """Whether the units are so few (20) that sums run over all their states."""
        return self.units <= MOST_UNITS

    @property
    def couplings(self) -> Tensor:
        """J: (units, units), symmetric, zero on the diagonal."""
        upper = self.weight.triu(1)
        return upper + upper.T

    # --- energies --------------------------------------------------------------------------------------------------

    def energy(self, s: Tensor) -> Tensor:
        """E of whole states, visible and then hidden units: (batch, units) -> (batch,), nats."""
        if s.ndim != 2 or s.shape[1] != self.units:
            raise ValueError(f"s must have shape (batch, {self.units}), got {tuple(s.shape)}; flatten images first")
        with torch.autocast(s.device.type, enabled=False):
            s = s.to(self.weight.dtype)
            return -0.5 * ((s @ self.couplings) * s).sum(-1) - s @ self.bias - self.offset

    def free_energy(self, x: Tensor) -> Tensor:
        """−log Σ_h exp(−E(x, h)), by enumeration: (batch, *shape) -> (batch,), nats. Without hidden units, E(x)."""
        x = self.check_input(x).flatten(1).to(self.weight.dtype)
        if not self.hidden:
            return self.energy(x)
        h = torch.cat(list(all_states(self.hidden, self.weight)))  # (2^hidden, hidden)
        s = torch.cat([x.repeat_interleave(len(h), 0), h.repeat(len(x), 1)], dim=1)
        return -(-self.energy(s)).view(len(x), len(h)).logsumexp(-1)

    def log_partition(self, method: str = "exact", chains: int = 500, temperatures: int = 2000) -> LogPartition:
        """log Z, in nats.

        Args:
            method: "exact" sums over all states, up to 20 units; it can be differentiated. "ais" estimates by annealed
                importance sampling.
            chains, temperatures: of annealing.

        Raises:
            ValueError: more units than can be enumerated.
        """
        if method == "exact":
            log_weight = lambda s: -self.energy(s).unsqueeze(-1)  # noqa: E731
            return LogPartition(log_sum_over_states(log_weight, self.units, self.weight)[0], 0.0, Kind.EXACT)
        if method != "ais":
            raise ValueError(f"method must be 'exact' or 'ais', got {method!r}")
        return annealed_log_partition(self.annealing_path(), chains, temperatures)

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """log p(x), (batch,), nats: exact up to 20 units; else unnormalized, −F(x), which misses log Z."""
        if not self.enumerable:
            return LogProb(-self.free_energy(x), Kind.UNNORMALIZED)
        return LogProb(-self.free_energy(x) - self.log_partition().value, Kind.EXACT)

    @torch.no_grad()
    def distribution(self) -> tuple[Tensor, Tensor]:
        """Every x and its probability: (2^dim, *shape) and (2^dim,).

        Raises:
            ValueError: more units than can be enumerated.
        """
        x = torch.cat(list(all_states(self.space.dim, self.weight))).view(-1, *self.space.shape)
        free_energy = torch.cat([self.free_energy(part) for part in x.split(max(1, 1 << (14 - self.hidden)))])
        return x, (-free_energy).softmax(0)

    # --- Gibbs sampling --------------------------------------------------------------------------------------------

    @torch.no_grad()
    def gibbs(self, x: Tensor, sweeps: int | None = None) -> Iterator[Tensor]:
        """Gibbs sampling from x on, hidden units from coins; yields x after each sweep over all units: (batch, *shape)."""
        x = self.check_input(x).flatten(1).to(self.weight.dtype)
        s = torch.cat([x, torch.rand_like(x[:, :1].expand(-1, self.hidden)).round()], dim=1)
        couplings, blocks = self.couplings, self._blocks()
        for _ in range(self.sweeps if sweeps is None else sweeps):
            s = self._sweep(s, couplings, blocks)
            yield s[:, : self.space.dim].reshape(-1, *self.space.shape)

    def _sweep(self, s: Tensor, couplings: Tensor, blocks: list[Tensor], beta: float = 1.0) -> Tensor:
        """Each block of unconnected units given all others: P(sᵢ = 1 | rest) = sigmoid(β (bᵢ + Σⱼ Jᵢⱼ sⱼ))."""
        s = s.clone()
        for block in blocks:
            inputs = s @ couplings[:, block] + self.bias[block]  # (chains, block)
            s[:, block] = (torch.rand_like(inputs) < (beta * inputs).sigmoid()).to(s.dtype)
        return s

    @torch.no_grad()
    def _blocks(self) -> list[Tensor]:
        """Units by color, no two neighbors of one color: each takes the first that its neighbors have left free."""
        connected = (self.couplings != 0).tolist()
        colors: list[int] = []
        for i in range(self.units):
            taken = {colors[j] for j in range(i) if connected[i][j]}
            colors.append(next(color for color in range(i + 1) if color not in taken))
        color_of = torch.tensor(colors, device=self.device)
        return [(color_of == color).nonzero()[:, 0] for color in range(max(colors) + 1)]

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None) -> Iterator[Tensor]:
        """`sweeps` states of n Gibbs chains that start as fair coins."""
        if y is not None:
            raise ValueError("this BoltzmannMachine is not conditional, but y was given; sample without it")
        yield from self.gibbs(
            torch.rand_like(self.bias[: self.space.dim].expand(n, -1)).round().view(n, *self.space.shape)
        )

    # --- learning --------------------------------------------------------------------------------------------------

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        """−log p(data), exactly; of a machine too large for that, F(data) − F(persistent chains, one sweep on)."""
        free_energy = self.free_energy(x).mean()
        if self.enumerable:
            yield Step(free_energy + self.log_partition().value)
            return
        with torch.no_grad():
            negatives = self._sweep(self.chains, self.couplings, self._blocks())
        visible = negatives[:, : self.space.dim].view(-1, *self.space.shape)
        yield Step(free_energy - self.free_energy(visible).mean())
        self.chains.copy_(negatives)

    # --- annealing -------------------------------------------------------------------------------------------------

    def annealing_path(self) -> AnnealingPath:
        """From fair coins to this machine: f_β(s) = exp(−β E(s)); states are whole, (chains, units)."""
        couplings, blocks = self.couplings.detach(), self._blocks()

        def step(s: Tensor, before: float, now: float) -> tuple[Tensor, Tensor]:
            return self._sweep(s, couplings, blocks, now), (before - now) * self.energy(s)

        return AnnealingPath(self.bias.new_tensor(self.units * math.log(2)), self._coins, step, self._end)

    def _coins(self, n: int) -> Tensor:
        return torch.rand_like(self.bias.detach().expand(n, -1)).round()

    def _end(self, n: int) -> Tensor:
        """Exact samples where states can be enumerated, else chains after a thousand sweeps."""
        if self.enumerable:
            states = torch.cat(list(all_states(self.units, self.weight)))
            return states[torch.multinomial((-self.energy(states)).softmax(0), n, replacement=True)]
        s, couplings, blocks = self._coins(n), self.couplings, self._blocks()
        for _ in range(1000):
            s = self._sweep(s, couplings, blocks)
        return s
