"""The map of families: what each model can do, found out by asking it."""

import contextlib
import inspect
import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from ..core import GenerativeModel, Kind, Latent, Space
from ..tables import Table

__all__ = ["Abilities", "abilities", "family_map"]

_SCORES = {
    None: "no",
    Kind.EXACT: "= exactly",
    Kind.LOWER_BOUND: "≥ a lower bound",
    Kind.ESTIMATE: "≈ an estimate",
    Kind.UNNORMALIZED: "+C up to a constant",
}
_SPACES = (Space.binary(1, 8, 8), Space.grey(1, 8, 8, levels=4), Space.real(2), Space.tokens(8, vocabulary=4))
_MANY = 100  # states on the way to a sample that are waited for


class Abilities(dict):
    """Question -> answer, in the order of the table's columns."""


@torch.no_grad()
def abilities(model: GenerativeModel | type[GenerativeModel]) -> Abilities:
    """Ask a model, or a class of models, what it can do.

    A class is asked through small examples: it is built with its default arguments for a binary, a grey, a real and
    a token space, wherever it agrees to be, and where the answers differ, each is given with its spaces.

    Returns:
        where x may live, whether the model can score x, how many states lead to a sample (in one step or many),
        what its latent space is, whose parameters are trained in turn, whether it takes a condition.

    Raises:
        ValueError: a class that no space suits with its default arguments.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if not isinstance(model, type):
            return _ask(model)
        found = {example.space.kind: _ask(example) for example in _examples(model)}
    if not found:
        raise ValueError(f"{model.__name__} cannot be built from a space alone; ask an instance of it")
    answers = Abilities({question: _together(found, question) for question in next(iter(found.values()))})
    answers["where x may live"] = ", ".join(found)
    if "classes" in inspect.signature(model).parameters:
        answers["takes a condition"] = "yes"
    return answers


def _examples(model: type[GenerativeModel]) -> Iterator[GenerativeModel]:
    """The class's default model for every space that it agrees to."""
    required = [
        parameter
        for parameter in list(inspect.signature(model).parameters.values())[1:]
        if parameter.default is parameter.empty and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]  # fmt: skip
    small = {parameter.name: 4 for parameter in required}  # classes, points, …: any small number
    for space in _SPACES:
        with contextlib.suppress(ValueError):
            example = model(space, **small)
            if hasattr(example, "remember"):  # it knows only what it was shown
                example.remember(_members(space, example.points, example.device))
            yield example


def _together(found: dict[str, Abilities], question: str) -> str:
    """One answer where all spaces agree; else each with the spaces that gave it."""
    spaces: dict[str, list[str]] = {}
    for space, answers in found.items():
        spaces.setdefault(answers[question], []).append(space)
    if len(spaces) == 1:
        return next(iter(spaces))
    return "; ".join(f"{answer} ({', '.join(where)})" for answer, where in spaces.items())


def _ask(model: GenerativeModel) -> Abilities:
    was_training, classes = model.training, getattr(model, "classes", None)
    model.eval()
    x = _members(model.space, 2, model.device)
    y = None if classes is None else torch.zeros(2, dtype=torch.int64, device=model.device)
    states = sum(1 for _ in itertools.islice(model.trajectory(2, y), _MANY + 1))
    found = model.log_prob(x, y)
    model.train(was_training)
    return Abilities(
        {
            "family": type(model).__name__,
            "where x may live": model.space.kind,
            "can it score x?": _SCORES[found.kind if found is not None else None],
            "states on the way to a sample": str(states) if states <= _MANY else f"over {_MANY}",
            "latent space": _latent_space(model),
            "trained in turn": ", ".join(model.parameter_groups()),
            "takes a condition": "yes" if classes is not None else "no",
        }
    )


def _latent_space(model: GenerativeModel) -> str:
    """What one point of it is, and whether there is an encoder.

    A model says by `latent_kind` what its latents are, if not numbers: "units", each on or off, or "choice", one of
    so many. One that has latents and can decode them, but not encode, has a latent space without a way into it.
    """
    if not (hasattr(model, "latents") and hasattr(model, "decode")):
        return "none"
    n, kind = model.latents, getattr(model, "latent_kind", "numbers")
    names = {"choice": f"one of {n}", "units": f"{n} on/off units" if n > 1 else "1 on/off unit"}
    name = names.get(kind, f"{n} numbers" if n > 1 else "1 number")
    return name if isinstance(model, Latent) else f"{name}, no encoder"


def _members(space: Space, n: int, device: torch.device) -> Tensor:
    """n random members of a space, (n, *shape)."""
    if space.kind == "real":
        return torch.randn(n, *space.shape, device=device)
    levels = torch.randint(space.levels, (n, *space.shape), device=device)
    return levels if space.kind == "tokens" else levels / (space.levels - 1)


def family_map(
    *models: GenerativeModel | type[GenerativeModel], caption: str = "What each model can do, as it answers itself"
) -> Table:
    """One row a model: the same questions asked of each. Without arguments, every family of the course."""
    if not models:
        from ..models import MODELS

        models = tuple(MODELS.values())
    answers = [abilities(model) for model in models]
    return Table(tuple(answers[0]), [tuple(one.values()) for one in answers], caption)
