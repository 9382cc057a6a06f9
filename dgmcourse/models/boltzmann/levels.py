"""Units in levels, each level connected with its neighbors alone: what a deep Boltzmann machine is made of."""

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .units import coins

__all__ = ["Levels", "States"]

States = list[Tensor | None]  # of every level, from the lowest, each (batch, units); None for those that are open
Rule = Callable[[int, Tensor], Tensor]  # (level, inputs) -> new states of that level


class Levels(nn.Module):
    """A Boltzmann machine of levels s₀, s₁, …, each counted from its center oᵢ:

        E(s) = −Σᵢ (sᵢ − oᵢ)ᵀ Wᵢ (sᵢ₊₁ − oᵢ₊₁) − Σᵢ bᵢᵀ sᵢ

    Units are binary; in the one level that may hold a label, exactly one unit is on. All units of even levels are
    independent given the odd ones, and the other way round. Centers change the parameters, not the family: those of
    0 make the textbook's machine, the means of data one that is easier to learn (see `DBM.initialize`).

    Args:
        sizes: units of each level, from the lowest.
        label: the level that holds a label, the highest; None for none.
    """

    def __init__(self, sizes: Sequence[int], label: int | None = None):
        super().__init__()
        self.sizes, self.label = tuple(sizes), label
        self.weights = nn.ParameterList(0.01 * torch.randn(m, n) for m, n in itertools.pairwise(sizes))
        self.biases = nn.ParameterList(torch.zeros(units) for units in sizes)
        self.register_buffer("centers", torch.zeros(sum(sizes)))  # of all levels, side by side
        self.ends = list(itertools.accumulate(sizes))

    @property
    def dtype(self) -> torch.dtype:
        return self.biases[0].dtype

    def of(self, parity: int) -> range:
        """The even (0) or the odd (1) levels."""
        return range(parity, len(self.sizes), 2)

    def center(self, level: int) -> Tensor:
        """What a level's states are counted from: (units,)."""
        return self.centers[self.ends[level] - self.sizes[level] : self.ends[level]]

    # --- one level given its neighbors -----------------------------------------------------------------------------------

    def from_below(self, level: int, below: Tensor) -> Tensor:
        """What a level's units receive from the level below: (batch, units below) -> (batch, units)."""
        return ((below - self.center(level - 1)) @ self.weights[level - 1]).to(self.dtype)

    def from_above(self, level: int, above: Tensor) -> Tensor:
        """What a level's units receive from the level above: (batch, units above) -> (batch, units)."""
        return ((above - self.center(level + 1)) @ self.weights[level].T).to(self.dtype)

    def inputs(self, level: int, states: States, driven: Tensor | None = None) -> Tensor:
        """All that a level's units receive, with their bias: log-odds, or logits of the label; (batch, units).

        Where s₀ stays the same, `driven` saves the largest part: what level 1 receives from there.
        """
        total = self.biases[level]
        if level == 1 and driven is not None:
            total = total + driven
        elif level > 0:
            total = total + self.from_below(level, states[level - 1])
        if level < len(self.weights):
            total = total + self.from_above(level, states[level + 1])
        return total

    def mean(self, level: int, inputs: Tensor) -> Tensor:
        """Probabilities of a level's units, as a `Rule`."""
        return inputs.softmax(-1) if level == self.label else inputs.sigmoid()

    def draw(self, level: int, inputs: Tensor) -> Tensor:
        """States of a level's units, as a `Rule`."""
        if level != self.label:
            return coins(inputs.sigmoid())
        drawn = torch.multinomial(inputs.softmax(-1), 1).squeeze(1)
        return F.one_hot(drawn, self.sizes[level]).to(inputs.dtype)

    def updated(
        self, states: States, parity: int, rule: Rule, held: Sequence[int] = (), driven: Tensor | None = None
    ) -> States:
        """All levels of one parity, given those of the other, by a rule; levels `held` stay."""
        new = list(states)
        for level in self.of(parity):
            if level not in held:
                new[level] = rule(level, self.inputs(level, states, driven))
        return new

    # --- many levels -----------------------------------------------------------------------------------------------------

    def pass_up(self, x: Tensor, rule: Rule, levels: int) -> States:
        """x and so many levels above it, each from the one below, which counts double where one above is missing."""
        highest = len(self.sizes) - 1 - (self.label is not None)
        states: States = [x]
        for level in range(1, levels + 1):
            copies = 2 if level < highest else 1
            states.append(rule(level, copies * self.from_below(level, states[-1]) + self.biases[level]))
        return states

    def pass_down(self, z: Tensor, rule: Rule, top: int) -> States:
        """Level `top`, z, and all levels below it, each from the one above, which counts double where one below is missing."""
        states: States = [None] * len(self.sizes)
        states[top] = z
        for level in reversed(range(top)):
            copies = 2 if level else 1
            states[level] = rule(level, copies * self.from_above(level, states[level + 1]) + self.biases[level])
        return states

    def noise(self, parity: int, n: int) -> States:
        """Fair coins on the levels of one parity, labels all equally likely; None on the others."""
        states: States = [None] * len(self.sizes)
        for level in self.of(parity):
            states[level] = self.draw(level, torch.zeros_like(self.biases[level]).detach().expand(n, -1))
        return states

    def joined(self, states: States) -> Tensor:
        """The odd levels side by side, as chains are stored: (batch, units)."""
        return torch.cat([states[level] for level in self.of(1)], dim=1)

    def parted(self, joined: Tensor) -> States:
        """The inverse of `joined`; even levels are None."""
        states: States = [None] * len(self.sizes)
        parts = joined.split([self.sizes[level] for level in self.of(1)], dim=1)
        for level, part in zip(self.of(1), parts, strict=True):
            states[level] = part
        return states

    @torch.no_grad()
    def swept(self, joined: Tensor, sweeps: int) -> Tensor:
        """Chains of odd levels after some sweeps: the even levels given the odd ones, then the odd ones again."""
        states = self.parted(joined)
        for _ in range(sweeps):
            states = self.updated(self.updated(states, 0, self.draw), 1, self.draw)
        return self.joined(states)

    # --- energies --------------------------------------------------------------------------------------------------------

    def energy(self, states: States) -> Tensor:
        """E, (batch,), nats: of states, or its mean under independent units with these means."""
        with torch.autocast(states[0].device.type, enabled=False):  # a sum over pixels in half precision loses nats
            total = sum(state @ bias for state, bias in zip(states, self.biases, strict=True))
            for level in range(1, len(self.sizes)):
                received = self.from_below(level, states[level - 1])
                total = total + (received * (states[level] - self.center(level))).sum(-1)
        return -total

    def log_marginal(self, states: States, parity: int) -> Tensor:
        """log Σ exp(−E) over all levels of the other parity, but for a label that is given: (batch,), nats."""
        total = sum(states[level] @ self.biases[level] for level in self.of(parity))
        for level in self.of(1 - parity):
            inputs = self.inputs(level, states)
            total = (
                total - (inputs - self.biases[level]) @ self.center(level) + self.log_sum(level, inputs, states[level])
            )
        return total

    def log_sum(self, level: int, inputs: Tensor, state: Tensor | None = None) -> Tensor:
        """log Σ exp(inputs · s) over all states s of a level, (batch,); of a label that is given, inputs · s."""
        if level != self.label:
            return F.softplus(inputs).sum(-1)
        return inputs.logsumexp(-1) if state is None else (inputs * state).sum(-1)
