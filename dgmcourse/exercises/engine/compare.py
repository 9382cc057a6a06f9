"""The first thing in which two values differ, in words."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Number

import numpy as np
import torch
from torch import Tensor

__all__ = ["Difference", "close", "difference", "leaves", "what_is"]


@dataclass(frozen=True)
class Difference:
    """What differs.

    Attributes:
        kind: "type", "structure", "shape", "dtype", "device", "finite" or "value", in the order of looking.
        text: a sentence for the learner.
        path: where in a nested value, as `leaves` names it; "" for the whole.
    """

    kind: str
    text: str
    path: str = ""


def difference(given: object, expected: object, tolerance: float, path: str = "") -> Difference | None:
    """The first difference between an answer and the reference's, or None.

    Args:
        given: what the learner's function returned.
        expected: what the reference returned; tensors, numbers, and tuples, lists and dicts of these.
        tolerance: largest relative difference of two numbers that count as equal.
        path: where the two values stand within the whole answer.
    """
    if isinstance(expected, Tensor):
        return _compare_tensors(given, expected, tolerance, path)
    if isinstance(expected, Mapping):
        return _compare_mappings(given, expected, tolerance, path)
    if isinstance(expected, (tuple, list)):
        return _compare_sequences(given, expected, tolerance, path)
    if isinstance(expected, (Number, np.generic)):
        return _compare_numbers(given, expected, tolerance, path)
    if isinstance(expected, np.ndarray):
        if not isinstance(given, np.ndarray):
            return _wrong_type(given, expected, path)
        return _compare_tensors(torch.as_tensor(given), torch.as_tensor(expected), tolerance, path)
    if type(given) is not type(expected):
        return _wrong_type(given, expected, path)
    return None if given == expected else Difference("value", f"{_subject(path)} is {given!r}, expected {expected!r}.")


def leaves(value: object, path: str = "") -> dict[str, object]:
    """The tensors and numbers within a nested value, by path: "", "[0]", "['loss']", "[1][0]"."""
    if isinstance(value, Mapping):
        items = [(f"{path}[{key!r}]", item) for key, item in value.items()]
    elif isinstance(value, (tuple, list)):
        items = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        return {path: value}
    return {name: leaf for where, item in items for name, leaf in leaves(item, where).items()}


def what_is(value: object) -> str:
    """A value's type as a learner would say it: "a tensor of shape (5,)", "a NumPy array", "nothing (None)"."""
    if value is None:
        return "nothing (None)"
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, (np.ndarray, np.generic)):
        return "a NumPy array" if isinstance(value, np.ndarray) else "a NumPy number"
    if isinstance(value, Mapping):
        return "a dict"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return f"a {type(value).__name__} ({', '.join(value._fields)})"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    names = {bool: "True or False", int: "an int", float: "a float", str: "a string"}
    if inspect.isgenerator(value):
        return "a generator"
    if inspect.iscoroutine(value):
        return "a coroutine"
    if inspect.isroutine(value):
        return "a function"
    kind = type(value).__name__
    return names.get(type(value), f"{'an' if kind[0] in 'AEIOUaeiou' else 'a'} {kind}")


def _subject(path: str) -> str:
    return f"Part {path} of your answer" if path else "Your answer"


def _wrong_type(given: object, expected: object, path: str) -> Difference:
    text = f"{_subject(path)} is {what_is(given)}, expected {what_is(expected)}."
    if given is None:
        text = f"{_subject(path)} is nothing (None), expected {what_is(expected)}. Is a `return` missing?"
    elif inspect.isgenerator(given):
        text = f"{_subject(path)} is a generator, because the function uses `yield`; use `return` instead."
    elif inspect.iscoroutine(given):
        given.close()
        text = f"{_subject(path)} is a coroutine, because the function begins with `async def`; write `def`."
    elif isinstance(expected, Tensor):
        if isinstance(given, (np.ndarray, np.generic)):
            text += " Stay in PyTorch, so that gradients can flow."
        elif isinstance(given, Number):
            text += " Keep it a tensor: no .item(), no float(…), nothing from math."
        elif isinstance(given, (list, tuple)) and given and isinstance(given[0], Tensor):
            text += " Return one tensor alone, or join them with torch.stack or torch.cat."
    return Difference("type", text, path)


def _compare_mappings(given, expected: Mapping, tolerance: float, path: str) -> Difference | None:
    if not isinstance(given, Mapping):
        return _wrong_type(given, expected, path)
    missing, extra = [k for k in expected if k not in given], [k for k in given if k not in expected]
    if missing or extra:
        said = " and ".join([f"lacks {key!r}" for key in missing] + [f"has an unexpected {key!r}" for key in extra])
        return Difference("structure", f"{_subject(path)} is a dict that {said}.", path)
    found = (difference(given[key], expected[key], tolerance, f"{path}[{key!r}]") for key in expected)
    return next((one for one in found if one is not None), None)


def _compare_sequences(given, expected: tuple | list, tolerance: float, path: str) -> Difference | None:
    if not isinstance(given, (tuple, list)):
        return _wrong_type(given, expected, path)
    if len(given) != len(expected):
        return Difference("structure", f"{_subject(path)} has {len(given)} parts, expected {len(expected)}.", path)
    fields = getattr(expected, "_fields", None)
    if fields is not None and getattr(given, "_fields", None) != fields:
        return _wrong_type(given, expected, path)
    found = (difference(a, b, tolerance, f"{path}[{i}]") for i, (a, b) in enumerate(zip(given, expected, strict=True)))
    return next((one for one in found if one is not None), None)


def _compare_numbers(given, expected: Number, tolerance: float, path: str) -> Difference | None:
    if isinstance(given, Tensor):
        if given.ndim or given.is_meta:
            return _wrong_type(given, expected, path)
        given = given.item()
    if not isinstance(given, (Number, np.generic)) or isinstance(expected, bool) != isinstance(given, (bool, np.bool_)):
        return _wrong_type(given, expected, path)
    if given == expected:
        return None
    try:
        numbers = [torch.tensor(complex(number), dtype=torch.complex128) for number in (given, expected)]
    except (OverflowError, TypeError, ValueError):  # an int of hundreds of digits, a Decimal that is no number
        return Difference("value", f"{_subject(path)} is not the expected {expected!r}.", path)
    return _compare_values(*numbers, 0.0 if isinstance(expected, int) else tolerance, path)


def _compare_tensors(given, expected: Tensor, tolerance: float, path: str) -> Difference | None:
    if not isinstance(given, Tensor):
        return _wrong_type(given, expected, path)
    if given.shape != expected.shape:
        return Difference("shape", _about_shape(given, expected, path), path)
    if given.device != expected.device:
        text = f"{_subject(path)} is on device {given.device}, expected {expected.device}: the device of the inputs."
        return Difference("device", text, path)
    if given.layout != expected.layout:
        return Difference("type", f"{_subject(path)} has layout {given.layout}, expected {expected.layout}.", path)
    given_values, expected_values = given.detach(), expected.detach()
    if given.dtype != expected.dtype:
        widest = torch.promote_types(given.dtype, expected.dtype)
        same = close(given_values.to(widest), expected_values.to(widest), tolerance).all()
        said = " The values are right." if same else ""
        text = f"{_subject(path)} has dtype {given.dtype}, expected {expected.dtype}.{said}"
        return Difference("dtype", text, path)
    return _compare_values(given_values, expected_values, tolerance, path)


def close(given: Tensor, expected: Tensor, tolerance: float) -> Tensor:
    """Where two tensors of one dtype agree: relative to each number, or to the largest where that is below 1."""
    if not (expected.is_floating_point() or expected.is_complex()):
        return given == expected
    finite = expected[torch.isfinite(expected)].abs()
    largest = float(finite.max()) if finite.numel() and finite.max() > 0 else 1.0
    return torch.isclose(given, expected, rtol=tolerance, atol=tolerance * min(1.0, largest), equal_nan=True)


def _compare_values(given: Tensor, expected: Tensor, tolerance: float, path: str) -> Difference | None:
    """Two tensors of one shape, dtype and device."""
    differs = ~close(given, expected, tolerance)
    if not differs.any():
        return None
    surprise = differs & ~torch.isfinite(given) & torch.isfinite(expected)
    place = (surprise if surprise.any() else differs).nonzero()[0]
    given_number, expected_number = given[tuple(place)].item(), expected[tuple(place)].item()
    where = f" at {place.tolist()}" if given.ndim else ""
    told, wanted = _numbers(given_number, expected_number)
    if surprise.any():
        share = f", {int(surprise.sum())} of {surprise.numel()} entries in all" if surprise.numel() > 1 else ""
        text = f"{_subject(path)} is not finite: {told}{where} where {wanted} is expected{share}."
        return Difference("finite", text, path)
    share = f" ({int(differs.sum())} of {differs.numel()} entries differ)" if differs.numel() > 1 else ""
    return Difference("value", f"{_subject(path)} is {told}{where}, expected {wanted}{share}.", path)


def _numbers(given, expected) -> tuple[str, str]:
    """Two numbers with as few digits as show that they differ."""
    if all(isinstance(number, complex) and number.imag == 0 for number in (given, expected)):
        given, expected = given.real, expected.real
    for digits in (4, 6, 9, 17):
        told, wanted = f"{given:.{digits}g}", f"{expected:.{digits}g}"
        if told != wanted:
            break
    return told, wanted


def _about_shape(given: Tensor, expected: Tensor, path: str) -> str:
    """Both shapes, and what probably made them differ."""
    have, want = list(given.shape), list(expected.shape)
    text = f"{_subject(path)} has shape {tuple(have)}, expected {tuple(want)}."
    if given.numel() == expected.numel():
        if [side for side in have if side != 1] == [side for side in want if side != 1]:
            return text + " A dimension of size 1 is too many or missing: squeeze, unsqueeze, keepdim."
        return text + " The number of entries is right: are two dimensions swapped, or is a reshape missing?"
    extra = [i for i in range(len(have)) if have[:i] + have[i + 1 :] == want]
    if extra:
        return (
            text
            + f" Your dimension {extra[-1]}, of size {have[extra[-1]]}, should be gone: is a sum or a mean missing?"
        )
    lost = [i for i in range(len(want)) if want[:i] + want[i + 1 :] == have]
    if lost:
        return text + f" A dimension of size {want[lost[0]]} is gone: which dimension does your sum or mean run over?"
    if len(want) == 1 and have == want * 2:
        return text + " Did a (batch, 1) meet a (batch,)? Broadcasting makes that (batch, batch)."
    return text
