"""What a function does on one drawn input: its value, its gradients, and what it changes."""

import copy
import inspect
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .compare import Difference, close, difference, leaves
from .registry import Exercise
from .sandbox import Attempt, attempt

__all__ = [
    "Observation",
    "calling_problem",
    "changes_wrongly",
    "compare",
    "differentiate",
    "draw",
    "every_float_counts",
    "fresh",
    "numbers",
    "observe",
    "vector",
]

STATES_LIMIT = 10_000  # states taken from an answer that is a generator


@dataclass
class Observation:
    """One call of a function, and everything by which it is compared.

    Attributes:
        attempt: the value, or the problem.
        connected: whether each floating-point tensor of the value depends on the inputs differentiably, by path.
        gradients: by input path: of a fixed random combination of the value's entries.
        changed: the first input that the function changed in place, or "".
    """

    attempt: Attempt
    connected: dict[str, bool] = field(default_factory=dict)
    gradients: dict[str, Tensor] = field(default_factory=dict)
    changed: str = ""

    @property
    def value(self) -> object:
        return self.attempt.value


def draw(exercise: Exercise, seed: int) -> tuple[tuple, dict]:
    """Positional and keyword arguments, the same for the same seed."""
    torch.default_generator.manual_seed(seed)
    drawn = exercise.inputs(torch.Generator().manual_seed(seed))
    if isinstance(drawn, Mapping):
        return (), dict(drawn)
    return (tuple(drawn) if isinstance(drawn, (tuple, list)) else (drawn,)), {}


def fresh(value: object, differentiable: bool = False, path: str = "", sources: dict | None = None) -> object:
    """A copy of an input that a function may spoil.

    A tensor that requires gradients is handed over as the copy of a leaf, so that changing it in place is possible,
    and then noticed; the leaf is noted in `sources` by its path.
    """
    sources = {} if sources is None else sources
    if isinstance(value, Tensor):
        leaf = value.detach().clone()
        if not (value.requires_grad or (differentiable and value.is_floating_point())):
            return leaf
        sources[path] = leaf.requires_grad_()
        return leaf.clone()
    if isinstance(value, Mapping):
        return {key: fresh(item, differentiable, f"{path}[{key!r}]", sources) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        items = [fresh(item, differentiable, f"{path}[{index}]", sources) for index, item in enumerate(value)]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, torch.Generator):
        return torch.Generator(value.device).set_state(value.get_state())
    if inspect.isroutine(value) or inspect.isclass(value):
        return value
    try:
        return copy.deepcopy(value)
    except Exception:  # what cannot be copied is shared
        return value


def every_float_counts(exercise: Exercise, arguments: tuple, keywords: dict) -> bool:
    """Whether gradients are taken of every floating-point input: not where some of them ask for gradients alone."""
    drawn = leaves((arguments, keywords)).values()
    return exercise.differentiable and not any(isinstance(leaf, Tensor) and leaf.requires_grad for leaf in drawn)


def _tensors(value: object) -> dict[str, Tensor]:
    """Every tensor within an input, parameters of modules included, by path."""
    found = {}
    for path, leaf in leaves(value).items():
        if isinstance(leaf, Tensor):
            found[path] = leaf.detach()
        elif isinstance(leaf, nn.Module):
            found.update({f"{path}.{name}": parameter.detach() for name, parameter in leaf.named_parameters()})
    return found


def _changed(handed: dict, drawn: dict) -> str:
    """The first argument that is not what it was."""
    for name, original in drawn.items():
        now, before = _tensors(handed[name]), _tensors(original)
        if now.keys() != before.keys() or any(
            now[path].shape != before[path].shape or not close(now[path], before[path], 0.0).all() for path in before
        ):
            return name
    return ""


def calling_problem(exercise: Exercise, function: Callable) -> str:
    """Why the function cannot be called with the exercise's inputs, or ""."""
    arguments, keywords = draw(exercise, 0)
    if exercise.call is not None:
        return ""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a function written in C
        return ""
    try:
        signature.bind(*arguments, **keywords)
    except TypeError:
        wanted = ", ".join(inspect.signature(exercise.reference).parameters)
        count = len(arguments) + len(keywords)
        return f"It takes {signature}, but it is called with {count} argument{'s' * (count != 1)}: ({wanted})."
    return ""


def _named(exercise: Exercise, function: Callable, arguments: tuple, keywords: dict) -> dict[str, object]:
    """Arguments by the names that the function's author gave them."""
    for one in (function, exercise.reference):
        try:
            bound = inspect.signature(one).bind(*arguments, **keywords).arguments
        except (TypeError, ValueError):
            continue
        if len(bound) == len(arguments) + len(keywords):
            return dict(bound)
    return {f"argument {i}": value for i, value in enumerate(arguments)} | keywords


def observe(
    exercise: Exercise, function: Callable, seed: int, left: float | None = None, noise: int = 0
) -> Observation:
    """Call a function on the inputs of one seed, with the random state of `noise`."""
    arguments, keywords = draw(exercise, seed)
    sources: dict[str, Tensor] = {}
    handed = fresh((arguments, keywords), every_float_counts(exercise, arguments, keywords), sources=sources)
    torch.default_generator.manual_seed(1_000_003 * (noise + 1) + seed)
    seen = Observation(Attempt())

    def run():
        value = _materialized(exercise, exercise.apply(function, *handed))
        if exercise.differentiable:
            seen.connected, seen.gradients = differentiate(value, sources)
        return value

    seen.attempt = attempt(run, function, exercise.time_limit, left)
    before = _named(exercise, function, arguments, keywords)
    seen.changed = _changed(_named(exercise, function, *handed), before)
    return seen


def _materialized(exercise: Exercise, value: object) -> object:
    """The states of a generator, where the reference is one too."""
    if inspect.isgenerator(value) and inspect.isgeneratorfunction(inspect.unwrap(exercise.reference)):
        return list(itertools.islice(value, STATES_LIMIT))
    return value


def _floating(value: object) -> dict[str, Tensor]:
    return {path: leaf for path, leaf in leaves(value).items() if isinstance(leaf, Tensor) and leaf.is_floating_point()}


def differentiate(value: object, sources: dict[str, Tensor]) -> tuple[dict[str, bool], dict[str, Tensor]]:
    """Which outputs depend on the inputs, and the gradient of a random combination of all their finite entries."""
    outputs = {
        path: leaf for path, leaf in _floating(value).items() if not leaf.is_meta and leaf.layout == torch.strided
    }
    connected = {path: leaf.requires_grad for path, leaf in outputs.items()}
    if not any(connected.values()):
        return connected, {path: torch.zeros_like(source) for path, source in sources.items()}
    total, generator = 0.0, torch.Generator().manual_seed(0)
    with torch.enable_grad():  # whatever the function left behind
        for leaf in outputs.values():
            weights = torch.randn(leaf.shape, generator=generator, dtype=leaf.dtype, device="cpu").to(leaf.device)
            total = total + (torch.where(torch.isfinite(leaf), leaf, 0.0) * weights).sum()
    found = torch.autograd.grad(total, list(sources.values()), allow_unused=True)
    return connected, {
        path: torch.zeros_like(source) if gradient is None else gradient
        for (path, source), gradient in zip(sources.items(), found, strict=True)
    }


def compare(exercise: Exercise, given: Observation, expected: Observation, names: list[str]) -> Difference | None:
    """The first thing in which two calls on the same inputs differ, gradients and changed inputs included.

    Args:
        exercise: whose tolerance holds.
        given: the learner's call.
        expected: the reference's.
        names: what the learner calls the inputs, in order.
    """
    found = difference(given.value, expected.value, exercise.tolerance)
    if found is not None and found.kind != "value":
        return found
    loose = [path for path, tied in expected.connected.items() if tied and not given.connected.get(path, False)]
    if loose:
        part = f"Part {loose[0]} of your answer" if loose[0] else "Your answer"
        values = " The values are right." if found is None else ""
        text = (f"{part} is not differentiable with respect to the inputs.{values} Does something cut the graph: "
                ".detach(), .item(), NumPy, torch.tensor(…), no_grad?")  # fmt: skip
        return Difference("differentiable", text, loose[0])
    if found is not None:
        return found
    if changes_wrongly(given, expected):
        return Difference("changed", changes_wrongly(given, expected))
    for path, gradient in expected.gradients.items():
        wrong = difference(given.gradients[path], gradient, 10 * exercise.tolerance)
        if wrong is not None:
            return Difference("gradient", _about_gradient(wrong.text, path, names), path)
    return None


def changes_wrongly(given: Observation, expected: Observation) -> str:
    """A sentence about an input that a right answer changes in place, though the reference does not, or ""."""
    if not given.changed or given.changed == expected.changed:
        return ""
    return (f"The answer is right, but your function changes its input `{given.changed}` in place: "
            "avoid +=, *= and methods that end in _ on inputs.")  # fmt: skip


def _about_gradient(text: str, path: str, names: list[str]) -> str:
    position = path.split("]")[1].lstrip("[").strip("'")  # paths of inputs begin with [0][i] or [1]['name']
    name = names[int(position)] if position.isdigit() and int(position) < len(names) else position
    said = text.replace("Your answer", "it").rstrip(".")
    return (f"The values are right, but the gradient with respect to `{name}` is not: {said}. "
            "Is part of it detached, or computed under no_grad?")  # fmt: skip


def numbers(leaf: object) -> Tensor:
    """A leaf's numbers in one row, float64; what is no number counts as infinite."""
    if isinstance(leaf, Tensor):
        flat = leaf.detach().flatten()
        return (torch.view_as_real(flat).flatten() if flat.is_complex() else flat).double()
    try:
        return torch.tensor([float(leaf)], dtype=torch.float64)
    except (TypeError, ValueError, OverflowError):
        return torch.tensor([torch.inf], dtype=torch.float64)


def vector(value: object) -> Tensor:
    """Every number of a nested value, float64: what the statistics of random answers look at."""
    return torch.cat([numbers(leaf) for leaf in leaves(value).values()])
