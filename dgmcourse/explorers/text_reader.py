"""What `NextToken` shows: a text as a model of tokens reads it, character by character."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .model import device_of, evaluating

__all__ = ["TextReader", "entropy_bits", "shown"]

MOST_CHARACTERS = 2000
ROWS = 64  # windows that are scored at once
NAMES = {" ": "␣", "\n": "↵", "\t": "⇥"}


def shown(character: str) -> str:
    """A character as something to be seen: ␣ for a space, ↵ for a new line."""
    return NAMES.get(character, character)


class TextReader:
    """A text, and the model's distribution of every character of it and of the next one.

    The surprise of a character is −log₂ p(character | the characters before it), in bits; the sum over a text of the
    model's length is −log p(x) / ln 2. Of longer prefixes the model sees the last dim − 1 characters.

    Args:
        model: `next_distribution(prefix, temperature, top_k, top_p)` gives the probabilities of the token that follows a
            prefix, (t,) int64 -> (vocabulary,). If it has `logits` too, (batch, dim, vocabulary), a text is read in one
            pass.
        alphabet: the characters; token i is the i-th.
        truth: the source of the text, with `next_distribution(prefix)`, if it is known.
        y: the condition, of conditional models.
        name: what messages call the alphabet's owner.

    Attributes:
        tokens: what has been read, a list of ints.
        before: float64 (vocabulary,), the model's distribution of the next character.
        surprises: float64 (characters,), bits.

    Raises:
        TypeError: the model gives no next distribution.
        ValueError: there is no alphabet, it has another size than the vocabulary, or what the model gives is no
            distribution over it.
    """

    def __init__(self, model, alphabet: str | None, truth=None, y: Tensor | None = None, name: str = "this text"):
        if not callable(getattr(model, "next_distribution", None)):
            raise TypeError("NextToken needs a model of tokens with next_distribution(prefix, temperature, top_k, top_p), "
                            f"such as a Transformer; {type(model).__name__} has none")  # fmt: skip
        if not alphabet:
            raise ValueError("NextToken needs to know which character each token is; give the dataset that the model "
                             "learned from, text('course'), say, or alphabet='…'")  # fmt: skip
        space = getattr(model, "space", None)
        if space is not None and (space.kind != "tokens" or space.levels != len(alphabet)):
            raise ValueError(f"an alphabet of {len(alphabet)} characters needs a model of as many tokens, "
                             f"this {type(model).__name__} is of {space} with {space.levels} values")  # fmt: skip
        self.model, self.alphabet, self.y, self.name = model, alphabet, y, name
        self.truth = truth if callable(getattr(truth, "next_distribution", None)) else None
        self.length = None if space is None else space.dim
        self._place = {character: i for i, character in enumerate(alphabet)}
        self.tokens: list[int] = []
        self._found: list[np.ndarray] = []  # the distribution of every token read, and of the next
        self.read("")

    # --- text ------------------------------------------------------------------------------------------------------

    def encode(self, text: str) -> list[int]:
        """Characters as tokens; says which of them the alphabet does not have."""
        unknown = list(dict.fromkeys(c for c in text if c not in self._place))
        if unknown:
            many = len(unknown) > 1
            words = ", ".join(f"‘{shown(c)}’" for c in unknown[:6]) + (" …" if len(unknown) > 6 else "")
            other = [c.swapcase() for c in unknown if len(c.swapcase()) == 1 and c.swapcase() in self._place]
            hint = f"; try ‘{other[0]}’" if other else ""
            raise ValueError(f"{words} {'are' if many else 'is'} not in the alphabet of {self.name}{hint}. "
                             f"Its {len(self.alphabet)} characters: {''.join(map(shown, self.alphabet))}")  # fmt: skip
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"the text may have at most {MOST_CHARACTERS} characters, got {len(text)}; reset it")
        return [self._place[c] for c in text]

    @property
    def text(self) -> str:
        """What has been read."""
        return "".join(self.alphabet[token] for token in self.tokens)

    @property
    def seen(self) -> int:
        """How many of the last characters the model conditions the next one on."""
        return len(self.tokens) if self.length is None else min(len(self.tokens), self.length - 1)

    def read(self, text: str) -> None:
        """Read a text; what it has in common with the last one, from the start, is not read again."""
        tokens = self.encode(text)
        same = next((i for i, (a, b) in enumerate(zip(tokens, self.tokens, strict=False)) if a != b),
                    min(len(tokens), len(self.tokens)))  # fmt: skip
        found = self._found[: same + 1]
        found += self._distributions(tokens, len(found))
        self.tokens, self._found = tokens, found

    def read_again(self) -> None:
        """Read the same text anew: the model may have changed."""
        text, self.tokens, self._found = self.text, [], []
        self.read(text)

    # --- the model -------------------------------------------------------------------------------------------------

    def _distributions(self, tokens: Sequence[int], first: int) -> list[np.ndarray]:
        """The distribution of the token after tokens[:t], for t = first … len(tokens)."""
        places = range(first, len(tokens) + 1)
        if len(places) <= 1 or self.length is None or not callable(getattr(self.model, "logits", None)):
            return [self._next(tokens[:t]) for t in places]
        windows = [tokens[max(0, t - self.length + 1) : t] for t in places if t >= self.length]
        found = []
        if first < self.length:  # one pass scores all that the first window holds
            start = self._padded([tokens[: self.length]])
            found = self._softmax(self._logits(start)[0, first : min(self.length, len(tokens) + 1)])
        for i in range(0, len(windows), ROWS):
            found += self._softmax(self._logits(self._padded(windows[i : i + ROWS]))[:, -1])
        return found

    def _padded(self, rows: Sequence[Sequence[int]]) -> Tensor:
        x = torch.zeros(len(rows), self.length, dtype=torch.int64)
        for row, tokens in zip(x, rows, strict=True):
            row[: len(tokens)] = torch.tensor(list(tokens), dtype=torch.int64)
        return x.to(device_of(self.model))

    def _logits(self, x: Tensor) -> Tensor:
        condition = () if self.y is None else (self.y.expand(len(x)) if self.y.ndim < 2 else self.y,)
        with evaluating(self.model):
            return self.model.logits(x, *condition)

    def _softmax(self, logits: Tensor) -> list[np.ndarray]:
        return [self._checked(row) for row in logits.detach().cpu().double().softmax(-1)]

    def _next(self, tokens: Sequence[int], **sampling) -> np.ndarray:
        prefix = torch.tensor(list(tokens), dtype=torch.int64, device=device_of(self.model))
        sampling = sampling if self.y is None else {**sampling, "y": self.y}
        with evaluating(self.model):
            return self._checked(self.model.next_distribution(prefix, **sampling).detach().cpu().double())

    def _checked(self, p: Tensor) -> np.ndarray:
        if p.shape != (len(self.alphabet),):
            raise ValueError(f"the next distribution must have shape ({len(self.alphabet)},), one probability a "
                             f"character, got {tuple(p.shape)}")  # fmt: skip
        if not torch.isfinite(p).all() or (p < 0).any() or abs(float(p.sum()) - 1) > 1e-3:
            raise ValueError(
                "the next distribution is none: its entries must be ≥ 0 and sum to 1; has training diverged?"
            )
        return p.numpy()

    # --- what is known ---------------------------------------------------------------------------------------------

    @property
    def before(self) -> np.ndarray:
        return self._found[-1]

    def after(self, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None) -> np.ndarray:
        """The distribution that is drawn from, float64 (vocabulary,): the model's, with these settings."""
        return self._next(self.tokens, temperature=temperature, top_k=top_k, top_p=top_p)

    @property
    def surprises(self) -> np.ndarray:
        return np.array([_bits(p[token]) for p, token in zip(self._found, self.tokens, strict=False)])

    def true_next(self) -> np.ndarray | None:
        """The source's distribution of the next character, float64 (vocabulary,), where the source is known."""
        return None if self.truth is None else self._true(len(self.tokens))

    def true_surprises(self) -> np.ndarray | None:
        """What every character would have surprised the source itself, float64 (characters,), bits."""
        if self.truth is None:
            return None
        return np.array([_bits(self._true(t)[token]) for t, token in enumerate(self.tokens)])

    def _true(self, t: int) -> np.ndarray:
        """The source's distribution of the character after the first t."""
        prefix = torch.tensor(self.tokens[:t], dtype=torch.int64)
        return self.truth.next_distribution(prefix).detach().cpu().double().numpy()

    def grow(self, count: int, generator: torch.Generator, **sampling) -> str:
        """The text and `count` more characters, drawn one after the other with these settings."""
        tokens = list(self.tokens)
        for _ in range(count):
            p = torch.as_tensor(self._next(tokens, **sampling))
            tokens.append(int(torch.multinomial(p, 1, generator=generator)))
        return "".join(self.alphabet[token] for token in tokens)


def _bits(p: float) -> float:
    return math.inf if p <= 0 else -math.log2(p)


def entropy_bits(p: np.ndarray) -> float:
    """−Σ p log₂ p, bits."""
    return abs(float((p[p > 0] * np.log2(p[p > 0])).sum()))
