"""What a recipe is."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..core import GenerativeModel, Saved
from ..data import Dataset
from ..evaluation.likelihood import Estimate

__all__ = ["Published", "Recipe"]


@dataclass(frozen=True)
class Published:
    """A figure from the literature that a recipe is put beside: which model's, of which quantity."""

    model: str
    quantity: str
    value: float
    source: str


@dataclass(frozen=True)
class Recipe:
    """A named run.

    Attributes:
        name: how the command line calls it.
        about: one sentence.
        data: makes the dataset.
        model: makes the model for the dataset; None where `trainer` makes it.
        training: arguments for `fit` beside model, data, device, checkpoint and seed, or for `trainer`.
        judge: (model, x, y) of the test split -> numbers by name.
        finish: (model, data) -> None, after training: whatever the model still measures on the data.
        published: figures to put beside the result.
        minutes: about how long it takes on two CPU cores.
        seed: of weights, batches and noise.
        trainer: for what `fit` does not train: (data, seed=, device=, **training) -> what it made, in one process and
            without checkpoints.
    """

    name: str
    about: str
    data: Callable[[], Dataset]
    model: Callable[[Dataset], GenerativeModel] | None
    training: dict
    judge: Callable[[Saved, Tensor, Tensor | None], dict[str, Estimate]]
    finish: Callable[[GenerativeModel, Dataset], None] | None = None
    published: tuple[Published, ...] = ()
    minutes: int = 30
    seed: int = 0
    trainer: Callable[..., Saved] | None = None
