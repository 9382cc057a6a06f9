"""A Markov chain over characters: text whose every probability, and whose entropy, is known."""

import math

import torch
from torch import Tensor

from ..core import Space

__all__ = ["MarkovSource"]

MOST_CONTEXTS = 1024  # the stationary distribution is found by solving that many linear equations


class MarkovSource:
    """Sequences in which a character depends on the `order` characters before it alone, from their stationary start.

        P(x) = π(x_1 … x_k) Π_t T(x_t | x_{t−k} … x_{t−1}),        π the stationary distribution of the contexts

    The table T is drawn from the seed: every row is the softmax of `sharpness` times standard normal numbers. So every
    character can follow every context, and π is unique. No model can spend fewer bits a character, on average, than
    the entropy rate.

    Shannon, "A mathematical theory of communication", 1948, https://doi.org/10.1002/j.1538-7305.1948.tb01338.x

    Args:
        alphabet: the characters, each once; token i is the i-th.
        order: how many characters back the source looks, k.
        length: of a sequence.
        seed: of the table.
        sharpness: at 0 all characters are equally likely; the greater, the more is certain.

    Attributes:
        table: float64 (contexts, characters), T; context c holds the tokens that are its digits to the base of the
            alphabet's size, the oldest first.
        stationary: float64 (contexts,), π.

    Raises:
        ValueError: characters that repeat, too many contexts, a sequence shorter than the order.
    """

    def __init__(
        self, alphabet: str = " aeinrst", order: int = 1, length: int = 64, seed: int = 0, sharpness: float = 2.0
    ):
        if len(alphabet) < 2 or len(set(alphabet)) < len(alphabet):
            raise ValueError(f"the alphabet needs two characters or more, each once; got {alphabet!r}")
        if order < 1 or len(alphabet) ** order > MOST_CONTEXTS:
            raise ValueError(f"order must be ≥ 1, and {len(alphabet)}^order at most {MOST_CONTEXTS}; got order={order}")
        if length < order:
            raise ValueError(f"a sequence must be at least as long as the order, {order}; got length={length}")
        self.alphabet, self.order, self.length, self.characters = alphabet, order, length, len(alphabet)
        self.space = Space.tokens(length, len(alphabet))
        generator = torch.Generator().manual_seed(seed)
        scores = torch.randn(self.characters**order, self.characters, generator=generator, dtype=torch.float64)
        self.table = (sharpness * scores).softmax(-1)
        self.stationary = self._stationary()

    def __repr__(self):
        return (f"Markov source of order {self.order} over {self.characters} characters: "
                f"{self.entropy_rate:.4f} bits per character")  # fmt: skip

    def _stationary(self) -> Tensor:
        """π with π = π M, where M leads from context to context: one equation is replaced by Σ π = 1."""
        contexts = len(self.table)
        old = torch.arange(contexts)[:, None].expand_as(self.table)
        new = (old * self.characters + torch.arange(self.characters)) % contexts  # the oldest character drops out
        moves = torch.zeros(contexts, contexts, dtype=torch.float64).index_put_((old, new), self.table, accumulate=True)
        equations = moves.T - torch.eye(contexts, dtype=torch.float64)
        equations[-1] = 1
        right = torch.zeros(contexts, dtype=torch.float64)
        right[-1] = 1
        return torch.linalg.solve(equations, right)

    def marginal(self, characters: int) -> Tensor:
        """P of the first `characters` ≤ order characters of a sequence, numbered like contexts: float64 (alphabet^characters,)."""
        return self.stationary.view(self.characters**characters, -1).sum(-1)

    # --- entropy ---------------------------------------------------------------------------------------------------

    @property
    def entropy_rate(self) -> float:
        """−Σ_c π(c) Σ_v T(v|c) log₂ T(v|c): bits per character, once a whole context is known."""
        return float(self.stationary @ torch.special.entr(self.table).sum(-1)) / math.log(2)

    def conditional_entropies(self) -> Tensor:
        """H(x_t | all characters before) at every place of a sequence: float64 (length,), nats.

        From place order + 1 on it is the entropy rate; the first characters, whose context is short, cost more.
        """
        blocks = [torch.special.entr(self.marginal(j)).sum() for j in range(self.order + 1)]
        start = torch.stack([blocks[j + 1] - blocks[j] for j in range(self.order)])
        rest = start.new_full((self.length - self.order,), self.entropy_rate * math.log(2))
        return torch.cat([start, rest])

    @property
    def entropy(self) -> float:
        """Of one sequence, nats: the sum of `conditional_entropies()`."""
        return float(self.conditional_entropies().sum())

    # --- probabilities ---------------------------------------------------------------------------------------------

    def log_conditionals(self, x: Tensor) -> Tensor:
        """log P(x_t | x_1 … x_{t−1}): (batch, length) -> float64 (batch, length), nats."""
        self.space.check(x, values=True)
        log_table = self.table.log().to(x.device)
        found, context = [], torch.zeros_like(x[:, 0])
        for t in range(self.length):
            if t < self.order:
                rows = self._start_table(t).log().to(x.device)
                found.append(rows[context, x[:, t]])
            else:
                found.append(log_table[context, x[:, t]])
            context = (context * self.characters + x[:, t]) % len(self.table)
        return torch.stack(found, dim=1)

    def _start_table(self, t: int) -> Tensor:
        """P(x_{t+1} | the t < order characters of the start): (alphabet^t, alphabet)."""
        return self.marginal(t + 1).view(-1, self.characters) / self.marginal(t)[:, None]

    def log_prob(self, x: Tensor) -> Tensor:
        """log P(x), nats: int64 (batch, length) -> float64 (batch,)."""
        return self.log_conditionals(x).sum(-1)

    def next_distribution(self, prefix: Tensor) -> Tensor:
        """P of the character after a prefix of any length: int64 (t,) -> float64 (characters,)."""
        known = prefix[-self.order :].tolist()
        context = 0
        for token in known:
            context = context * self.characters + token
        return (self.table if len(known) == self.order else self._start_table(len(known)))[context]

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n sequences, int64 (n, length)."""
        if n < 1:
            raise ValueError(f"sample needs n ≥ 1, got {n}")
        device = None if generator is None else generator.device
        table = self.table.to(device)
        context = torch.multinomial(self.stationary.to(device), n, replacement=True, generator=generator)
        places = self.characters ** torch.arange(self.order - 1, -1, -1, device=device)
        tokens = list((context[:, None] // places % self.characters).T)
        for _ in range(self.length - self.order):
            tokens.append(torch.multinomial(table[context], 1, generator=generator)[:, 0])
            context = (context * self.characters + tokens[-1]) % len(table)
        return torch.stack(tokens, dim=1)
