"""MADE: an autoencoder whose masks make it autoregressive, so that one pass gives all conditionals."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise, zip_longest

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core import Kind, LogProb, Space, Step
from ...networks import ACTIVATIONS
from ...networks.masked import MaskedLinear, autoregressive_masks
from .base import Autoregressive, Scorer

__all__ = ["MADE"]


class MADE(Autoregressive):
    """Masked autoencoder: a dense network with weights masked so that output i depends on the inputs before i alone.

        h = relu((M₁ ⊙ W₁) x + b₁),   logits = (M₂ ⊙ W₂) h + (M ⊙ A) x + b₂,   (M₂ M₁)_ij = M_ij = 0 unless j comes before i

    The same weights serve K = orderings × masks *components*: orders of the entries (the first in reading order, the
    others random), each with several random assignments of the hidden units to places. A training step uses one
    component, the next step the next one. Each component is a distribution of its own, p_k, and `log_prob` is that of
    their mixture, exactly:

        log p(x) = log (1/K) Σ_k p_k(x) ≥ (1/K) Σ_k log p_k(x)

    The mean of the log p_k is the logarithm of no distribution: its exp sums to less than 1. A sample is one of a
    component drawn evenly, which is how a mixture is sampled. `logits`, `order` and `log_conditionals` are those of the
    first component.

    Germain, Gregor, Murray & Larochelle, "MADE: Masked Autoencoder for Distribution Estimation", 2015,
    https://arxiv.org/abs/1502.03509

    Args:
        space: binary or grey images, or tokens. Each entry is an input of one number, or, of tokens, one for each value.
        hidden: widths of the hidden layers; none makes every conditional a logistic regression.
        masks: assignments of the hidden units for each ordering; a single one spreads them evenly.
        orderings: orders of the entries.
        direct: whether inputs reach the outputs past the hidden layers too, by A. Few hidden units are near enough to
            an entry's place to pass its close neighbors on; with A they need not.
        classes: number of labels for p(x|y), None for no condition.
        dropout: share of hidden units that are zeroed in training.
        activation: name of the activation.
        seed: of the random orderings and masks.

    Raises:
        ValueError: a real space, or masks or orderings below 1.
    """

    def __init__(
        self,
        space: Space,
        hidden: Sequence[int] = (256,),
        masks: int = 1,
        orderings: int = 1,
        direct: bool = False,
        classes: int | None = None,
        dropout: float = 0.0,
        activation: str = "relu",
        seed: int = 0,
    ):
        super().__init__(space, classes)
        if space.kind == "real":
            raise ValueError(f"MADE needs a binary, grey or token space, got {space}; of reals use AutoregressiveFlow")
        if masks < 1 or orderings < 1:
            raise ValueError(f"MADE needs masks ≥ 1 and orderings ≥ 1, got {masks} and {orderings}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        self.components = orderings * masks
        self.inputs = space.levels if space.kind == "tokens" else 1  # numbers that tell one entry's value
        self.outputs = 1 if space.levels == 2 else space.levels  # numbers that tell one entry's distribution
        widths = (space.dim * self.inputs + (classes or 0), *hidden, space.dim * self.outputs)
        self.layers = nn.ModuleList(MaskedLinear(a, b) for a, b in pairwise(widths[:-1]))
        self.direct = direct and len(hidden) > 0
        self.layers.append(MaskedLinear(widths[-2] + self.direct * widths[0], widths[-1]))  # of (h, x), or of h
        self.activation, self.dropout = ACTIVATIONS[activation](), nn.Dropout(dropout)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        generator = torch.Generator().manual_seed(seed)
        for k in range(orderings):
            order = torch.randperm(space.dim, generator=generator, device="cpu") if k else self.order
            for m in range(masks):
                self._connect(k * masks + m, order, hidden, None if masks == 1 else generator)

    def _connect(self, k: int, order: Tensor, hidden: Sequence[int], generator: torch.Generator | None) -> None:
        """Keep component k's order and masks; the first one's masks are those that the layers hold."""
        context = self.classes or 0

        def masks(hidden: Sequence[int]) -> list[Tensor]:
            found = autoregressive_masks(order.argsort().tolist(), hidden, self.outputs, generator, context)
            entries, labels = found[0].split([self.space.dim, context], dim=1)
            # every number that tells an entry's value has the entry's place
            return [torch.cat([entries.repeat_interleave(self.inputs, dim=1), labels], dim=1), *found[1:]]

        found = masks(hidden)
        if self.direct:
            found[-1] = torch.cat([found[-1], *masks(())], dim=1)
        self.register_buffer(f"order_{k}", order.clone(), persistent=False)
        for i, mask in enumerate(found):
            if k:
                self.register_buffer(f"mask_{k}_{i}", mask.bool(), persistent=False)
            else:
                self.layers[i].mask.copy_(mask)

    @property
    def orders(self) -> list[Tensor]:
        """The order in which each component visits the entries, (dim,), int64."""
        return [getattr(self, f"order_{k}") for k in range(self.components)]

    def masked_weights(self, component: int = 0) -> list[Tensor]:
        """M ⊙ W of every layer, (units, units before)."""
        if component == 0:
            return [layer.masked_weight() for layer in self.layers]
        return [getattr(self, f"mask_{component}_{i}") * layer.weight for i, layer in enumerate(self.layers)]

    # --- scores ----------------------------------------------------------------------------------------------------

    def logits(self, x: Tensor, y: Tensor | None = None, component: int = 0) -> Tensor:
        """Scores of every value of every entry, given the entries before it: (batch, dim, levels).

        Args:
            x: (batch, *shape).
            y: labels (batch,), for a conditional model.
            component: whose order and masks.
        """
        self.check_input(x)
        inputs = self._encoded(x.flatten(1))  # (batch, dim · inputs)
        condition = self.condition(y, len(x), inputs.dtype)
        h = inputs = inputs if condition is None else torch.cat([inputs, condition], dim=-1)
        *inner, last = zip(self.masked_weights(component), self.layers, strict=True)
        for weight, layer in inner:
            h = self.dropout(self.activation(F.linear(h, weight, layer.bias)))
        h = torch.cat([h, inputs.to(h.dtype)], dim=-1) if self.direct else h
        return self._as_logits(F.linear(h, last[0], last[1].bias).unflatten(-1, (self.space.dim, self.outputs)))

    def _encoded(self, values: Tensor) -> Tensor:
        """Entries (batch, entries) as the network's inputs, (batch, entries · inputs)."""
        dtype = self.layers[0].weight.dtype
        if self.space.kind == "tokens":
            return F.one_hot(values, self.space.levels).to(dtype).flatten(1)
        return 2 * values.to(dtype) - 1

    def _as_logits(self, out: Tensor) -> Tensor:
        """Of two values, the network scores the upper one, and the lower one has 0: (…, outputs) -> (…, levels)."""
        return torch.cat([torch.zeros_like(out), out], dim=-1) if self.space.levels == 2 else out

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """log p(x), or log p(x | y), of the mixture of all components, exactly: (batch, *shape) -> (batch,), nats."""
        found = [self.log_conditionals(x, y, component=k).sum(-1) for k in range(self.components)]
        return LogProb(torch.stack(found).logsumexp(0) - math.log(self.components), Kind.EXACT)

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        component = int(self.updates) % self.components if self.components > 1 else 0
        yield Step(-self.log_conditionals(x, y, component=component).sum(-1).mean())
        self.updates += 1

    # --- sampling --------------------------------------------------------------------------------------------------

    def scorer(self, n: int, y: Tensor | None = None, component: int = 0) -> Scorer:
        """Scores of one entry after the other; the first layer's sums are kept, and grow with every new entry."""
        weights, biases = self.masked_weights(component), [layer.bias for layer in self.layers]
        order, condition = self.orders[component], self.condition(y, n, weights[0].dtype)
        by_entry, by_label = weights[0].split([self.space.dim * self.inputs, self.classes or 0], dim=1)
        by_entry = by_entry.unflatten(1, (self.space.dim, self.inputs))  # (width, dim, inputs)
        sums, done = biases[0].expand(n, -1), 0  # (n, width): what the first layer has summed so far
        sums = sums if condition is None else sums + condition @ by_label.T

        def score(state: Tensor, t: int) -> Tensor:
            nonlocal sums, done
            new, i = order[done:t], order[t]
            if len(new):
                sums = sums + self._encoded(state[:, new]) @ by_entry[:, new].flatten(1).T
                done = t
            rows, h = slice(int(i) * self.outputs, (int(i) + 1) * self.outputs), sums
            for weight, bias in zip(weights[1:-1], biases[1:-1], strict=True):
                h = F.linear(self.activation(h), weight, bias)
            if len(weights) == 1:
                return self._as_logits(h[:, rows])
            seen = [self.activation(h)]
            if self.direct:  # entries to come hold some value in `state` too, but their weights are masked
                seen += [self._encoded(state)] + ([] if condition is None else [condition])
            return self._as_logits(F.linear(torch.cat(seen, dim=-1), weights[-1][rows], biases[-1][rows]))

        return score

    def _walks(self, state: Tensor, known: Tensor, y: Tensor | None, sampling: tuple) -> Iterator[Tensor]:
        """Each sample belongs to a component, drawn evenly, and visits its entries in that component's order."""
        if self.components == 1:
            yield from super()._walks(state, known, y, sampling)
            return
        chosen = torch.randint(self.components, (len(state),), device=self.device)
        walks, members = [], []
        for k in chosen.unique().tolist():
            rows = (chosen == k).nonzero().squeeze(-1)
            score = self.scorer(len(rows), None if y is None else y[rows], k)
            walks.append(self._walk(state[rows], known[rows], self.orders[k], score, sampling))
            members.append(rows)
        state = state.view(-1, *self.space.shape)
        for parts in zip_longest(*walks):  # one that has less to draw stands still in the end
            state = state.clone()
            for rows, part in zip(members, parts, strict=True):
                if part is not None:
                    state[rows] = part
            yield state
