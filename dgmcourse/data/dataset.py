"""What every dataset of the course is: tensors in three splits, and the space they live in."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..core import Space

__all__ = ["Dataset"]

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples in three splits, held as tensors.

    Attributes:
        name: how tables and files call it.
        space: where one example lives; `train`, `valid` and `test` are (n, *space.shape).
        train_labels, valid_labels, test_labels: the condition y where there is one, else None: labels (n,), int64, or
            vectors (n, features).
        classes: number of labels, or None.
        factors: known generative factors of `train` by name, each (n,), where the true process is known.
        transform: applied to every training batch (dynamic binarization, say); `valid` and `test` are fixed.
        truth: the true density, where it is known: an object with `log_prob(x)` and `entropy`.
        valid_factors, test_factors: like `factors`, of the other two splits.
        alphabet: of text, the characters that tokens stand for: token i is the i-th.
    """

    name: str
    space: Space
    train: Tensor
    valid: Tensor
    test: Tensor
    train_labels: Tensor | None = None
    valid_labels: Tensor | None = None
    test_labels: Tensor | None = None
    classes: int | None = None
    factors: dict[str, Tensor] | None = None
    transform: Callable[[Tensor], Tensor] | None = None
    truth: object | None = None
    valid_factors: dict[str, Tensor] | None = None
    test_factors: dict[str, Tensor] | None = None
    alphabet: str | None = None

    def __post_init__(self):
        for split in SPLITS:
            x, labels = getattr(self, split), getattr(self, f"{split}_labels")
            if self.transform is None or split != "train":  # before the transform, train may be of another space
                self.space.check(x, f"{self.name}.{split}")
            if labels is not None and labels.shape[:1] != (len(x),):
                raise ValueError(f"{self.name}.{split}_labels must have shape ({len(x)},), one for each example, "
                                 f"got {tuple(labels.shape)}")  # fmt: skip
            field = "factors" if split == "train" else f"{split}_factors"
            for factor, values in (getattr(self, field) or {}).items():
                if values.shape != (len(x),):
                    raise ValueError(f"{self.name}.{field}[{factor!r}] must have shape ({len(x)},), "
                                     f"got {tuple(values.shape)}")  # fmt: skip

        if self.alphabet is not None and (self.space.kind, self.space.levels) != ("tokens", len(self.alphabet)):
            raise ValueError(f"an alphabet of {len(self.alphabet)} characters needs as many tokens, got {self.space}")

    def __repr__(self):
        return f"{self.name}: {len(self.train)} / {len(self.valid)} / {len(self.test)} examples in {self.space}"

    def encode_text(self, characters: str) -> Tensor:
        """Text as tokens: int64 (characters,).

        Raises:
            ValueError: the dataset is no text, or its alphabet lacks a character; the message names it.
        """
        place = {character: i for i, character in enumerate(self._alphabet())}
        unknown = "".join(sorted(set(characters) - set(place)))
        if unknown:
            raise ValueError(f"{self.name} has no {unknown!r}; its characters are {self.alphabet!r}")
        return torch.tensor([place[character] for character in characters], dtype=torch.int64)

    def decode_text(self, tokens: Tensor) -> str:
        """Tokens (characters,) as text; the inverse of `encode_text`.

        Raises:
            ValueError: the dataset is no text, or tokens are of another shape or out of range.
        """
        alphabet = self._alphabet()
        if tokens.ndim != 1 or (len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < len(alphabet)):
            raise ValueError(f"tokens must be (characters,) in 0 … {len(alphabet) - 1}, got {tuple(tokens.shape)}; "
                             "for a batch decode each row")  # fmt: skip
        return "".join(alphabet[token] for token in tokens.tolist())

    def _alphabet(self) -> str:
        if self.alphabet is None:
            raise ValueError(f"{self.name} is no text; take text('course'), say")
        return self.alphabet

    def to(self, device: torch.device | str) -> "Dataset":
        """The same dataset with its tensors on another device."""
        moved = {}
        for field, value in vars(self).items():
            if isinstance(value, Tensor):
                moved[field] = value.to(device)
            elif field.endswith("factors") and value is not None:
                moved[field] = {name: values.to(device) for name, values in value.items()}
        return replace(self, **moved)

    def batches(self, batch_size: int, seed: int = 0) -> Iterator[tuple[Tensor, Tensor | None]]:
        """One pass over `train` in an order that depends on the seed alone: (x, labels or None), the last one smaller.

        The transform draws from torch's global generator.
        """
        order = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(seed))
        for index in order.to(self.train.device).split(batch_size):
            x = self.train[index]
            x = x if self.transform is None else self.transform(x)
            yield x, None if self.train_labels is None else self.train_labels[index]


def split_sizes(n: Sequence[int]) -> tuple[int, int, int]:
    """Return n as three positive sizes, or say what is wrong with it."""
    sizes = tuple(n) if isinstance(n, Sequence) and not isinstance(n, str) else ()
    if len(sizes) != 3 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError(f"n must be three positive sizes (train, valid, test), e.g. n=(8000, 2000, 8000); got {n!r}")
    return sizes


def split_generators(seed: int) -> list[torch.Generator]:
    """One generator for each split, so that the size of one split does not change the examples of another."""
    seeds = torch.randint(2**62, (len(SPLITS),), generator=torch.Generator().manual_seed(seed))
    return [torch.Generator().manual_seed(int(s)) for s in seeds]
