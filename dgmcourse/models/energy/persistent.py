"""Learning against the model's own samples: what the energy model and the classifier share."""

from typing import NamedTuple

import torch
from torch import Tensor

from .landscape import Landscape
from .objectives import contrastive
from .replay import Replay

__all__ = ["Persistent", "Phases"]


class Phases(NamedTuple):
    """The two phases of one training step.

    Attributes:
        data, samples: points, (batch, *shape) and (chains, *shape); the samples carry no gradient.
        places: where the samples' chains are kept, (chains,), or None.
    """

    data: Tensor
    samples: Tensor
    places: Tensor | None


class Persistent(Landscape):
    """A landscape that learns from samples of its own, whose chains go on from step to step."""

    def keep_chains(self, chains: int, restart: float, k: int, regularization: float) -> None:
        """Set the negative phase up.

        Args:
            chains: kept chains; 0 starts as noise in every step (short runs).
            restart: share of chains that start anew in a step.
            k: steps of each walk.
            regularization: weight of the potentials' squares in `contrast`.
        """
        if min(chains, regularization) < 0 or k < 1 or not 0 <= restart <= 1:
            raise ValueError(f"{type(self).__name__} needs chains, regularization ≥ 0, k ≥ 1 and 0 ≤ restart ≤ 1, got "
                             f"chains={chains}, regularization={regularization}, k={k}, restart={restart}")  # fmt: skip
        self.k, self.regularization = k, regularization
        self.replay = Replay(self.start(chains), restart) if chains else None

    def phases(self, u: Tensor) -> Phases:
        """As many samples as there are data (as chains are kept, if these are fewer), each k steps on."""
        samples, places = self.start(len(u)).to(u.dtype), None
        if self.replay is not None:
            places, samples = self.replay.draw(samples)
        for samples in self.descents(samples, None, self.k, self.step_size):  # noqa: B007, B020 (the last is wanted)
            pass
        return Phases(u, samples.detach(), places)

    def contrast(self, phases: Phases) -> tuple[Tensor, dict[str, Tensor]]:
        """E(data) − E(samples) + regularization · mean of their potentials' squares, a scalar, and what is worth a curve.

        The difference alone lets all energies drift together, and run away; the squares hold them near 0.
        Du & Mordatch, "Implicit generation and modeling with energy-based models", 2019, section 3.3,
        https://arxiv.org/abs/1903.08689
        """
        both, n = torch.cat([phases.data, phases.samples]), len(phases.data)
        potentials = self.potential(both)
        energies = potentials + self.bowl(both)
        positive, negative = energies[:n], energies[n:]
        loss = contrastive(positive, negative)
        logs = {"energy of data": positive.detach().mean(), "energy of samples": negative.detach().mean()}
        if self.regularization:
            loss = loss + self.regularization * (potentials[:n].square().mean() + potentials[n:].square().mean())
        return loss, logs

    def keep(self, phases: Phases) -> None:
        """The chains go on from here in later steps."""
        if self.replay is not None and phases.places is not None:
            self.replay.store(phases.places, phases.samples)
