"""A classifier that is also a density."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ...core import Kind, LogProb, Space, Step
from ...networks import one_hot
from .persistent import Persistent

__all__ = ["JEM"]


class JEM(Persistent):
    """Joint energy model: a classifier's logits f(x) are also the energy of x and its label, p(x, y) = exp(−E(x, y)) / Z:

        E(x, y) = −f(x)[y] + bowl(x),        E(x) = −log Σ_y exp(f(x)[y]) + bowl(x),        p(y|x) = softmax f(x)

    A softmax does not feel what is added to all its logits; here that sum is put to use. It learns by

        −log p(y|x) + weight · (E(x) − E(samples))

    the second from kept chains of Langevin dynamics, as `EnergyModel` does. The bowl holds far points up and cancels in
    p(y|x).

    Grathwohl et al., "Your classifier is secretly an energy based model and you should treat it like one", 2020,
    https://arxiv.org/abs/1912.03263

    Args:
        space: binary or grey images, or real vectors; see `Landscape` for what the energy of an image is.
        classes: number of labels.
        weight: of the energy's part of the loss; 0 trains a plain classifier.
        hidden: widths of the dense layers.
        channels: channels of the convolutional levels; given, the network is convolutional (with `hidden[0]` as the
            width of its dense layer).
        activation: name of the activation, a smooth one.
        scale: about the standard deviation of real data.
        reference: standard deviation of the bowl's Gaussian, in units of points.
        k: Langevin steps in a training step.
        chains: kept chains, in each process; 0 starts as noise in every step.
        restart: share of chains that start anew in a step.
        regularization: weight of the potentials' squares.
        steps: of the walk to a sample.
        step_size: ε of all walks, in units of points.
        walk: "langevin", or "metropolis" where ε shall leave no trace in the samples.
    """

    def __init__(
        self,
        space: Space,
        classes: int,
        weight: float = 1.0,
        hidden: Sequence[int] = (64, 64),
        channels: Sequence[int] | None = None,
        activation: str = "silu",
        scale: float = 1.0,
        reference: float = 2.0,
        k: int = 20,
        chains: int = 256,
        restart: float = 0.05,
        regularization: float = 1e-3,
        steps: int = 200,
        step_size: float = 0.02,
        walk: str = "langevin",
    ):
        if classes < 2 or weight < 0:
            raise ValueError(f"JEM needs classes ≥ 2 and weight ≥ 0, got {classes} and {weight}")
        super().__init__(space, classes, hidden, channels, activation, scale, reference, steps, step_size, walk)
        self.classes, self.weight = classes, weight
        self.keep_chains(chains, restart, k, regularization)

    # --- energies --------------------------------------------------------------------------------------------------

    def logits(self, x: Tensor) -> Tensor:
        """f(x): (batch, *shape) -> (batch, classes), nats."""
        return self.outputs(self.points(self.check_input(x)))

    def classify(self, x: Tensor) -> Tensor:
        """log p(y|x), exactly, as Z cancels: (batch, *shape) -> (batch, classes), nats."""
        return self.logits(x).log_softmax(-1)

    def check_condition(self, y: Tensor | None, n: int) -> None:
        """Refuse labels that are none of the model's; without any, walks go through p(x)."""
        if y is not None:
            one_hot(y, self.classes, n)

    def potential(self, u: Tensor, y: Tensor | None = None) -> Tensor:
        """−f(x)[y], or −log Σ_y exp(f(x)[y]) without labels, at points: (batch, *shape) -> (batch,), nats."""
        logits = self.outputs(u)
        if y is None:
            return -logits.logsumexp(-1)
        return -(one_hot(y, self.classes, len(u), logits.dtype) * logits).sum(-1)

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """−E(x), nats: log p(x) up to −log Z; or −E(x, y): log p(x|y), or log p(x, y), up to a constant for each y."""
        return LogProb(-self.energy(x, y), Kind.UNNORMALIZED)

    # --- learning --------------------------------------------------------------------------------------------------

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        self.check_input(x)
        one_hot(y, self.classes, len(x))  # says what is wrong with the labels
        u = self.points(x, spread=True)
        cross_entropy = F.cross_entropy(self.outputs(u), y)
        logs = {"cross-entropy": cross_entropy.detach()}
        if not self.weight:
            yield Step(cross_entropy, logs=logs)
            return
        phases = self.phases(u)
        contrast, energies = self.contrast(phases)
        yield Step(cross_entropy + self.weight * contrast, logs={**logs, **energies})
        self.keep(phases)

    @torch.no_grad()
    def accuracy(self, x: Tensor, y: Tensor) -> float:
        """The share of labels that p(y|x) finds likeliest: (batch, *shape), (batch,) -> a number in [0, 1]."""
        return float((self.classify(x).argmax(-1) == y).float().mean())
