"""What every autoregressive model shares: the chain rule, and drawing one entry after the other."""

import abc
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from ...core import GenerativeModel, Kind, LogProb, Space, Step
from ...networks import one_hot
from .sampling import filtered

__all__ = ["Autoregressive", "raster_order", "widened"]

Scorer = Callable[[Tensor, int], Tensor]


def raster_order(space: Space) -> Tensor:
    """The entries of a flattened x in reading order, (dim,), int64.

    Images are read row by row, and every pixel's channels before the next pixel, although they lie far apart in
    (channels, height, width).
    """
    entries = torch.arange(space.dim, device="cpu").view(space.shape)
    return (entries.movedim(0, -1) if len(space.shape) == 3 else entries).flatten()


def widened(x: Tensor) -> Tensor:
    """Half-precision results of autocast as float32, in which likelihoods are summed."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


class Autoregressive(GenerativeModel):
    """A model by the chain rule: every entry's distribution given the entries before it, exact and without a latent.

        log p(x) = Σ_t log p(x_{o(t)} | x_{o(1)}, …, x_{o(t−1)})        (nats)

    where o is the `order` in which entries are visited. A family writes `logits`; all terms of the sum come from one
    pass, but a sample takes one pass an entry, unless `scorer` keeps what the earlier ones have computed.

    Args:
        space: binary or grey images, or tokens (families that score reals override `log_conditionals` and `draw`).
        classes: number of labels for p(x|y), None for no condition.

    Attributes:
        order: (dim,), int64: entries of the flattened x in the order in which they are visited; reading order unless a
            family says otherwise.
    """

    order: Tensor

    def __init__(self, space: Space, classes: int | None = None):
        super().__init__(space)
        if classes is not None and classes < 2:
            raise ValueError(f"a conditional {type(self).__name__} needs classes ≥ 2, got {classes}; "
                             "leave it out for no condition")  # fmt: skip
        self.classes = classes
        self.register_buffer("order", raster_order(space), persistent=False)

    # --- what a family writes --------------------------------------------------------------------------------------

    @abc.abstractmethod
    def logits(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Scores of every value of every entry, given the entries before it in `order`: (batch, dim, levels).

        Entry i of the flattened x has log p(x_i = v | earlier entries) = log_softmax(logits[:, i])[v].
        """

    def scorer(self, n: int, y: Tensor | None = None) -> Scorer:
        """What scores the next entry while n samples grow: a function (state, t) -> (n, levels), the logits of entry order[t].

        `state` is (n, dim), the flattened x, of which the entries order[:t] are final. It is called with growing t, so
        a family may keep what earlier calls have computed; this one computes everything anew.
        """

        def score(state: Tensor, t: int) -> Tensor:
            return self.logits(state.view(n, *self.space.shape), y)[:, self.order[t]]

        return score

    # --- the chain rule --------------------------------------------------------------------------------------------

    def log_conditionals(self, x: Tensor, y: Tensor | None = None, **choice) -> Tensor:
        """log p(x_i | the entries before it), the terms of the chain rule: (batch, *shape) -> (batch, dim), nats.

        `choice` is handed on to `logits`, of families that have more than one answer.
        """
        logits = widened(self.logits(x, y, **choice))
        values = self.levels_of(x)
        if self.space.levels == 2:  # one logistic instead of a softmax over two
            return F.logsigmoid((logits[..., 1] - logits[..., 0]) * (2 * values - 1))
        return -F.cross_entropy(logits.movedim(-1, 1), values, reduction="none")

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """log p(x), or log p(x | y), exactly: (batch, *shape) -> (batch,), nats."""
        return LogProb(self.log_conditionals(x, y).sum(-1), Kind.EXACT)

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        yield Step(-self.log_prob(x, y).value.mean())

    def levels_of(self, x: Tensor) -> Tensor:
        """Which of its levels each entry has: (batch, *shape) -> (batch, dim), int64."""
        flat = x.flatten(1)
        return flat if self.space.kind == "tokens" else (flat * (self.space.levels - 1)).round().long()

    def condition(self, y: Tensor | None, batch: int, dtype: torch.dtype = torch.float32) -> Tensor | None:
        """The labels as (batch, classes) of zeros with a single one; None for a model without a condition."""
        return None if self.classes is None else one_hot(y, self.classes, batch, dtype)

    # --- sampling --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def trajectory(
        self,
        n: int,
        y: Tensor | None = None,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        given: tuple[Tensor, Tensor] | None = None,
    ) -> Iterator[Tensor]:
        """Yield n growing samples after every entry that is drawn, (n, *shape); entries to come hold the lowest value.

        Args:
            n: number of samples.
            y: labels (n,), for a conditional model.
            temperature, top_k, top_p: see `filtered`.
            given: (x, mask), x of shape (n, *shape), mask of bools (n, *shape) or (*shape): where it is True, the
                entry of x stays. An entry that is given in all samples takes no state of its own. Each entry is
                drawn given those *before* it in `order`: what is given behind it stays, but has no influence on it.

        Raises:
            ValueError: y for a model without a condition, or x or mask of another shape.
        """
        if y is not None and self.classes is None:
            raise ValueError(f"this {type(self).__name__} is not conditional, but y was given; build it with classes=…")
        filtered(torch.zeros(1, 2, device="cpu"), temperature, top_k, top_p)  # bad settings are refused at once
        yield from self._walks(*self._start(n, given), y, (temperature, top_k, top_p))

    def _walks(self, state: Tensor, known: Tensor, y: Tensor | None, sampling: tuple) -> Iterator[Tensor]:
        """All samples visit their entries in the same order, unless a family knows several."""
        yield from self._walk(state, known, self.order, self.scorer(len(state), y), sampling)

    def _walk(self, state: Tensor, known: Tensor, order: Tensor, score: Scorer, sampling: tuple) -> Iterator[Tensor]:
        """Visit the entries in order, drawing those that are not known: yields (n, *shape) after each."""
        n, finished = len(state), known.all(0)[order].tolist()
        for t, i in enumerate(order.tolist()):
            if finished[t]:
                continue
            drawn = self.draw(score(state, t), *sampling).to(state)
            state = state.clone()  # what was yielded stays as it was
            state[:, i] = torch.where(known[:, i], state[:, i], drawn)
            yield state.view(n, *self.space.shape)
        if all(finished):
            yield state.view(n, *self.space.shape)

    def draw(
        self, logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
    ) -> Tensor:
        """One value of one entry for each row of its scores: (n, levels) -> (n,), in the space's own values."""
        log_p = filtered(widened(logits), temperature, top_k, top_p)
        drawn = torch.multinomial(log_p.exp(), 1).squeeze(-1)
        return drawn if self.space.kind == "tokens" else drawn / (self.space.levels - 1)

    def _start(self, n: int, given: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """The state before anything is drawn, and which of its entries are final: (n, dim) each."""
        dtype = torch.int64 if self.space.kind == "tokens" else next(self.parameters()).dtype
        state = torch.zeros(n, self.space.dim, dtype=dtype, device=self.device)
        if given is None:
            return state, torch.zeros_like(state, dtype=torch.bool)
        x, mask = given
        self.check_input(x)
        if len(x) != n:
            raise ValueError(
                f"given holds {len(x)} examples, but {n} samples are asked for; repeat x, or ask for {len(x)}"
            )
        if mask.dtype != torch.bool or tuple(mask.shape) not in (self.space.shape, tuple(x.shape)):
            raise ValueError(f"the mask of what is given must hold bools of shape {self.space.shape} or {tuple(x.shape)}, "
                             f"got {mask.dtype} of shape {tuple(mask.shape)}")  # fmt: skip
        known = mask.to(self.device).expand_as(x).flatten(1)
        return torch.where(known, x.flatten(1).to(dtype), state), known

    def complete(self, x: Tensor, mask: Tensor, y: Tensor | None = None, **sampling) -> Tensor:
        """x with the entries drawn anew where mask is False: (batch, *shape), bools (batch, *shape) or (*shape).

        The last state of `trajectory(len(x), y, given=(x, mask))`, which says what each entry is drawn from;
        `sampling` is its temperature, top_k, top_p.
        """
        state = x
        for state in self.trajectory(len(x), y, given=(x, mask), **sampling):  # noqa: B007 (only the last is wanted)
            pass
        return state

    @torch.no_grad()
    def next_distribution(
        self,
        prefix: Tensor,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        y: Tensor | None = None,
    ) -> Tensor:
        """Probabilities of the token after a prefix: (t,), int64 -> (vocabulary,), which sum to 1.

        Of a prefix of dim tokens or more, only the last dim − 1 are seen.

        Raises:
            ValueError: the space is not one of tokens, they are not visited from left to right, or the prefix is not (t,).
        """
        if self.space.kind != "tokens":
            raise ValueError(f"next_distribution needs a model of tokens, this one is of {self.space}")
        if prefix.ndim != 1 or prefix.dtype != torch.int64:
            raise ValueError(
                f"prefix must hold int64 tokens of shape (t,), got {prefix.dtype} of {tuple(prefix.shape)}"
            )
        if not torch.equal(self.order, torch.arange(self.space.dim, device=self.device)):
            raise ValueError(
                "this model does not visit tokens from left to right, so no prefix is what it conditions on"
            )
        prefix = prefix[max(0, len(prefix) - self.space.dim + 1) :]
        state = torch.zeros(1, self.space.dim, dtype=torch.int64, device=self.device)
        state[0, : len(prefix)] = prefix
        return filtered(widened(self.scorer(1, y)(state, len(prefix))), temperature, top_k, top_p)[0].exp()
