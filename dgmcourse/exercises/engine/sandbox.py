"""Running somebody else's code: whatever it does, the kernel is afterwards as it was before."""

import contextlib
import ctypes
import dis
import inspect
import io
import linecache
import random
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, TracebackType

import numpy as np
import torch

__all__ = ["Attempt", "TimeUp", "attempt", "is_blank", "own_code", "undisturbed"]

PRINTED_LIMIT = 600  # characters of what a learner's function prints that are kept


class TimeUp(BaseException):
    """The time limit; not an `Exception`, so that the learner's own `except Exception` does not swallow it."""


@dataclass
class Attempt:
    """What became of one call.

    Attributes:
        value: what it returned, where `problem` is empty and it is not `blank`.
        problem: one sentence that says why there is no value.
        raised: type and text of the error behind the problem, by which a known mistake is recognised; None where there
            is none, or where it ran out of time.
        blank: it raised `NotImplementedError` in the learner's own code.
        printed: the beginning of what it printed.
        warned: the first warning that it caused.
        seconds: how long it took.
    """

    value: object = None
    problem: str = ""
    raised: tuple[type, str] | None = None
    blank: bool = False
    printed: str = ""
    warned: str = ""
    seconds: float = 0.0


class _Beginning(io.StringIO):
    """A text stream that keeps its beginning, however much is written."""

    def write(self, text: str) -> int:
        super().write(text[: max(0, PRINTED_LIMIT - self.tell())])
        return len(text)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Restore what code may leave behind: random states, gradient mode, default dtype and device.

    Within, gradients are on and automatic mixed precision is off, wherever the check was called from.
    """
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 (the global state is the point)
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    full = torch.autocast("cpu", enabled=False)
    with torch.random.fork_rng(devices=gpus), torch.inference_mode(False), torch.enable_grad(), full:
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            if torch.get_default_device() != device:
                torch.set_default_device(None if device.type == "cpu" else device)
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002


def attempt(thunk: Callable[[], object], owner: Callable, limit: float, left: float | None = None) -> Attempt:
    """Call `thunk` and survive: errors, exits, endless loops, printing, changed global state.

    Args:
        thunk: what to run.
        owner: the learner's function, whose lines an error message may quote.
        limit: the time limit in seconds, as the message names it.
        left: what is left of it, if other calls have used some.

    Raises:
        KeyboardInterrupt: the user stopped the kernel.
    """
    result, printed, began = Attempt(), _Beginning(), time.monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with undisturbed(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                result.value = _within(limit if left is None else left, thunk)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            result.blank = is_blank(error, owner)
            result.problem = "" if result.blank else _in_words(error, owner, limit)
            result.raised = None if result.blank else _identity(error)
    result.seconds = time.monotonic() - began
    result.printed = printed.getvalue()
    result.warned = next((_first_line(str(warning.message)) for warning in caught), "")
    return result


def own_code(function: Callable) -> set[CodeType]:
    """The code objects that a learner wrote for this function, class, partial or callable object."""
    function = inspect.unwrap(getattr(function, "func", function))
    function = getattr(function, "__func__", function)
    if hasattr(function, "__code__"):
        return {function.__code__}
    kind = function if inspect.isclass(function) else type(function)
    members = [getattr(member, "__func__", member) for member in vars(kind).values()]
    return {member.__code__ for member in members if hasattr(member, "__code__")}


def _frames(traceback: TracebackType | None) -> list[tuple[CodeType, int]]:
    frames = []
    while traceback is not None:
        frames.append((traceback.tb_frame.f_code, traceback.tb_lineno))
        traceback = traceback.tb_next
    return frames


def is_blank(error: BaseException, owner: Callable) -> bool:
    """Whether a `raise NotImplementedError` of the learner's own code was met.

    PyTorch raises the same error for operations that a dtype or device lacks, from C++, so that the last frame is the
    learner's too; what tells the two apart is that frame's last instruction.
    """
    if type(error) is not NotImplementedError or error.__traceback__ is None:
        return False
    last = error.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    code = last.tb_frame.f_code
    return code in own_code(owner) and code.co_code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _line_of(error: BaseException, owner: Callable) -> str:
    """' on line 3, `z = mean @ std`,', for the deepest frame in the learner's file; empty where there is none."""
    files = {code.co_filename for code in own_code(owner)}
    for code, number in reversed(_frames(error.__traceback__)):
        if code.co_filename in files:
            text = linecache.getline(code.co_filename, number).strip()
            return f" on line {number}" + (f", `{text[:120]}`," if text else "")
    return ""


def _first_line(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= 240 else line[:239] + "…"


def _identity(error: BaseException) -> tuple[type, str] | None:
    """An error's type and own text, without file and line."""
    try:
        return None if isinstance(error, TimeUp) else (type(error), str(error))
    except Exception:  # an exception whose own __str__ fails
        return None


def _in_words(error: BaseException, owner: Callable, limit: float) -> str:
    """One calm sentence about an error in the learner's code."""
    try:
        place, said = _line_of(error, owner), _first_line(str(error))
    except Exception:  # an exception whose own __str__ fails
        place, said = "", ""
    if isinstance(error, TimeUp):
        return f"It was stopped after {limit:g} s{place.rstrip(',')}. Is there an endless loop, or far too much work?"
    if isinstance(error, RecursionError):
        return (
            f"It calls itself without end{place.rstrip(',')}. Does it use its own name where another function belongs?"
        )
    if isinstance(error, SystemExit):
        return f"It calls exit(){place}, which would end the notebook. Use `return` to hand back your answer."
    if isinstance(error, MemoryError) or ("alloc" in said.lower() and "memory" in said.lower()):
        return f"It asks for more memory than there is{place.rstrip(',')}. Which tensor is so large, and why?"
    if "numpy()" in said and "requires grad" in said:  # torch's own advice, detach(), would lose what is asked for
        return f"It goes over to NumPy{place} where gradients are lost. Stay in torch, and return a tensor."
    said = said.rstrip(".")
    return f"It stops{place} with {type(error).__name__}{': ' + said if said else ''}."


def _within(limit: float, thunk: Callable[[], object]) -> object:
    """The thunk's value, or TimeUp after `limit` seconds (a single call into C is not broken off half-way)."""
    if limit <= 0:
        raise TimeUp
    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        return _within_alarm(limit, thunk)
    return _within_thread(limit, thunk)


def _within_alarm(limit: float, thunk: Callable[[], object]) -> object:
    def ring(number, frame):
        raise TimeUp

    began = time.monotonic()
    previous = signal.signal(signal.SIGALRM, ring)
    outer, _ = signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        return thunk()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous or signal.SIG_DFL)
        if outer:  # someone else's alarm (a check around this one, a test runner) goes on
            signal.setitimer(signal.ITIMER_REAL, max(0.001, outer - (time.monotonic() - began)))


def _within_thread(limit: float, thunk: Callable[[], object]) -> object:
    """Where there are no alarms (Windows, other threads): a timer raises TimeUp in this thread."""
    thread, lock, running = ctypes.c_ulong(threading.get_ident()), threading.Lock(), True

    def ring():
        with lock:
            if running:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(TimeUp))

    timer = threading.Timer(limit, ring)
    timer.daemon = True
    timer.start()
    try:
        return thunk()
    finally:
        with lock:
            running = False
        timer.cancel()
        ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, None)
