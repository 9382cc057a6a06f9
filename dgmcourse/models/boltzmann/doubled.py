"""One layer of a deep Boltzmann machine taken alone: an RBM with copies of its units that make up for missing layers."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .levels import Levels
from .units import coins

__all__ = ["DoubledRBM"]


@dataclass(frozen=True)
class DoubledRBM:
    """An RBM with `below` copies of its visible and `above` copies of its hidden side, all with the same weights.

        p(v¹, …, h¹, …) ∝ exp(Σ_c b·vᶜ + Σ_d c·hᵈ + Σ_cd vᶜ·W hᵈ),

    and with labels, a copy yᵈ beside each hᵈ: + Σ_d (a·yᵈ + hᵈ·U yᵈ). Two copies on one side give every unit of the
    other side twice the input. Two such RBMs, one with two copies of x below h₁ and one with two copies of h₂ above
    it, make a DBM in which log p(h₁) is the average of theirs, up to a constant.

    Salakhutdinov & Hinton, "Deep Boltzmann Machines", 2009, section 3, and "A Better Way to Pretrain Deep Boltzmann
    Machines", 2012,
    https://proceedings.neurips.cc/paper_files/paper/2012/hash/7d771e0e8f3633ab54856925ecdefc5d-Abstract.html

    Attributes:
        weight: W, (visible, hidden).
        visible_bias, hidden_bias: b and c.
        below, above: numbers of copies.
        label_weight, label_bias: U, (hidden, classes), and a, (classes,), where there are labels.
    """

    weight: Tensor
    visible_bias: Tensor
    hidden_bias: Tensor
    below: int
    above: int
    label_weight: Tensor | None = None
    label_bias: Tensor | None = None

    @classmethod
    def of(cls, levels: Levels, layer: int) -> "DoubledRBM":
        """A layer of a deep machine alone, with a copy for the level that it lacks on either side.

        Visible biases above the lowest level are left as the layer below has learned them: no gradient reaches them.
        """
        highest = len(levels.sizes) - 2 - (levels.label is not None)
        below, above = (1 if layer == highest else 2), (1 if layer == 0 else 2)
        weight, visible, hidden = levels.weights[layer], levels.center(layer), levels.center(layer + 1)
        visible_bias = levels.biases[layer] if layer == 0 else levels.biases[layer].detach()
        visible_bias = visible_bias - above * (weight @ hidden)  # what counting from centers adds to biases
        hidden_bias = levels.biases[layer + 1] - below * (visible @ weight)
        if layer < highest or levels.label is None:
            return cls(weight, visible_bias, hidden_bias, below, above)
        label_weight = levels.weights[-1]
        hidden_bias = hidden_bias - label_weight @ levels.center(levels.label)
        return cls(
            weight, visible_bias, hidden_bias, below, above, label_weight, levels.biases[-1] - hidden @ label_weight
        )

    def _hidden_inputs(self, total: Tensor, y: Tensor | None) -> Tensor:
        """Log-odds of every copy of the hidden side: (batch, visible), (above, batch, classes) -> (above, batch, hidden)."""
        inputs = ((total @ self.weight).to(total.dtype) + self.hidden_bias).expand(self.above, -1, -1)
        return inputs if y is None else inputs + (y @ self.label_weight.T).to(total.dtype)

    def free_energy(self, total: Tensor, y: Tensor | None = None) -> Tensor:
        """−log Σ exp over all copies of the hidden side: (batch,), nats.

        Args:
            total: the sum of the visible copies, (batch, visible), on which alone it depends.
            y: the labels beside each hidden copy, (above, batch, classes).
        """
        found = -(total @ self.visible_bias) - F.softplus(self._hidden_inputs(total, y)).sum((0, 2))
        return found if y is None else found - (y @ self.label_bias).sum(0)

    @torch.no_grad()
    def draw_labels(self, total: Tensor) -> Tensor:
        """Labels given the visible side, for each hidden copy on its own: (above, batch, classes)."""
        inputs = (total @ self.weight).to(total.dtype) + self.hidden_bias  # (batch, hidden)
        scores = F.softplus(inputs.unsqueeze(1) + self.label_weight.T).sum(-1) + self.label_bias  # (batch, classes)
        drawn = torch.multinomial(scores.softmax(-1), self.above, replacement=True)  # (batch, above)
        return F.one_hot(drawn.T, len(self.label_bias)).to(total.dtype)

    @torch.no_grad()
    def sweep(self, total: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """One sweep of Gibbs sampling: all hidden copies, then all visible ones, whose sum is returned, and labels."""
        h = coins(self._hidden_inputs(total, y).sigmoid())  # (above, batch, hidden)
        p = ((h.sum(0) @ self.weight.T).to(total.dtype) + self.visible_bias).sigmoid()
        total = coins(p.expand(self.below, -1, -1)).sum(0)
        if y is None:
            return total, None
        logits = (h @ self.label_weight).to(total.dtype) + self.label_bias  # (above, batch, classes)
        drawn = torch.multinomial(logits.flatten(0, 1).softmax(-1), 1).view(logits.shape[:2])
        return total, F.one_hot(drawn, logits.shape[-1]).to(total.dtype)

    def contrastive_loss(self, v: Tensor, y: Tensor | None, k: int) -> Tensor:
        """F(data) − F(k sweeps on from the data), every visible copy a copy of v: a scalar, nats.

        Args:
            v: (batch, visible).
            y: labels, (batch, classes); where the model has labels but none are given, they are drawn from p(y|v).
            k: sweeps.
        """
        total = self.below * v
        labels = None
        if self.label_weight is not None:
            labels = self.draw_labels(total) if y is None else y.expand(self.above, -1, -1)
        negatives, negative_labels = total, labels
        for _ in range(k):
            negatives, negative_labels = self.sweep(negatives, negative_labels)
        return self.free_energy(total, labels).mean() - self.free_energy(negatives, negative_labels).mean()
