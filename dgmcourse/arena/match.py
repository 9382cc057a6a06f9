"""One match: an entrant learns for so many seconds from one seed, is judged, and its result is written down."""

import functools
import hashlib
import json
import logging
import os
import platform
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context, parent_process
from pathlib import Path

import torch
from torch import Tensor

from ..data import Dataset, digits
from ..evaluation.report import Report, evaluate
from ..files import replace_file
from .entrants import DIGITS, Entrant
from .toys import TOY_ENTRANTS, TOYS, judge_toy, toy_data

__all__ = ["Match", "Result", "matches", "play", "play_all"]

SHOWN = 48  # samples kept of each result


@dataclass(frozen=True)
class Match:
    """What is to be played.

    Attributes:
        ground: "digits", or the name of a toy density.
        entrant: its name.
        seed: of weights, batches, samples.
        seconds: the budget.
    """

    ground: str
    entrant: str
    seed: int
    seconds: float

    @property
    def path(self) -> str:
        """Where its result lies in the arena's folder, without ending."""
        return f"{self.ground}/{self.entrant.replace(' ', '-')}-{self.seed}"


@dataclass(frozen=True)
class Result:
    """What came of it.

    Attributes:
        match: what was played.
        report: the judgment; None if it failed.
        failed: why it failed; "" if it did not.
        steps, seconds: of training.
        parameters: of the model.
        settings: see `settings_of`: a result of other settings is played again.
        about: hardware, versions, date.
        samples: (≤ 48, *shape), to look at.
    """

    match: Match
    report: Report | None
    failed: str = ""
    steps: int = 0
    seconds: float = 0.0
    parameters: int = 0
    settings: str = ""
    about: dict[str, str] = field(default_factory=dict)
    samples: Tensor | None = None

    def write(self, folder: Path) -> None:
        """Two files, the text last and each replaced whole, so that what is there is complete."""
        from safetensors.torch import save

        target = folder / self.match.path
        if self.samples is not None:
            replace_file(Path(f"{target}.safetensors"), save({"samples": self.samples.contiguous()}))
        known = {
            "match": asdict(self.match),
            "report": None if self.report is None else json.loads(self.report.to_json()),
            "failed": self.failed,
            "steps": self.steps,
            "seconds": round(self.seconds, 2),
            "parameters": self.parameters,
            "settings": self.settings,
            "about": self.about,
        }
        replace_file(Path(f"{target}.json"), (json.dumps(known, indent=1, ensure_ascii=False) + "\n").encode())

    @staticmethod
    def read(folder: Path, match: Match) -> "Result | None":
        """The result that is there; None if there is none, or a damaged one."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        target = folder / match.path
        try:
            known = json.loads(Path(f"{target}.json").read_text(encoding="utf-8"))
            if known["match"] != asdict(match) or (known["report"] is None) == (not known["failed"]):
                return None
            samples = None
            if not known["failed"]:
                samples = load_file(f"{target}.safetensors")["samples"]
            report = None if known["report"] is None else Report.from_json(json.dumps(known["report"]))
            return Result(**{**known, "match": Match(**known["match"]), "report": report, "samples": samples})
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            return None


def _entrant(match: Match) -> Entrant:
    known = {e.name: e for e in (DIGITS if match.ground == "digits" else TOY_ENTRANTS)}
    if match.entrant not in known:
        raise ValueError(f"there is no entrant {match.entrant!r} on {match.ground}; there are: {', '.join(known)}")
    return known[match.entrant]


def _data(match: Match, entrant: Entrant) -> Dataset:
    data = digits(levels=2) if match.ground == "digits" else toy_data(match.ground)
    return data if entrant.prepare is None else entrant.prepare(data)


def settings_of(match: Match) -> str:
    """A fingerprint of the budget and of the entrant: its model's arguments, its training, and functions by their names
    and the values that they hold. It does not see the code itself: after a change there, remove the results.
    """
    entrant = _entrant(match)
    try:
        with torch.random.fork_rng():
            model = entrant.make(_data(match, entrant))
        made = type(model).__name__, {k: str(v) for k, v in (model._hub_mixin_config or {}).items()}
    except Exception as error:  # to play it tells what is wrong
        made = "none", {"error": f"{type(error).__name__}: {error}"}
    told = {
        "class": made[0],
        "arguments": made[1],
        "training": {k: _told(v) for k, v in entrant.training.items()},
        "most": entrant.most,
        "learn": None if entrant.learn is None else _told(entrant.learn),
        "seconds": match.seconds,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _told(value: object) -> str:
    """A setting in words that are the same in every process: a function by its name and what it holds."""
    if isinstance(value, functools.partial):
        return f"{_told(value.func)}{[*map(_told, value.args)]}{ {k: _told(v) for k, v in value.keywords.items()} }"
    name = getattr(value, "__qualname__", None)
    if name is None:
        return str(value)
    held = [_told(cell.cell_contents) for cell in getattr(value, "__closure__", None) or ()]
    return f"{name}{held}" if held else name


def play(match: Match) -> Result:
    """Train and judge, on one thread. Whatever goes wrong with the model is a result, too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _play(match)
    finally:
        torch.set_num_threads(threads)


def _play(match: Match) -> Result:
    entrant = _entrant(match)
    data, settings = _data(match, entrant), settings_of(match)
    about = {
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "hardware": f"{platform.machine()} CPU, 1 thread",
    }
    try:
        model, steps, seconds = entrant.trained(data, match.seconds, match.seed)
        judge = evaluate if match.ground == "digits" else judge_toy
        report = judge(model, data, name=entrant.name, seed=match.seed)
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(match.seed)
            samples = model.sample(SHOWN if match.ground == "digits" else 1000).float()
    except Exception as error:  # a row of the table says so
        logging.getLogger(__name__).info("%s failed", match.path, exc_info=True)
        return Result(match, None, f"{type(error).__name__}: {error}", settings=settings, about=about)
    count = sum(parameter.numel() for parameter in model.parameters())
    return Result(match, report, "", steps, seconds, count, settings, about, samples)


def matches(budget: float, seeds: int, entrants: Sequence[str] | None = None, toys: Sequence[str] = ()) -> list[Match]:
    """All matches: every entrant on the digits with every seed, and on each toy, once, with a sixth of the budget.

    Raises:
        ValueError: an unknown entrant or toy.
    """
    if strange := [name for name in toys if name not in TOYS]:
        raise ValueError(f"there is no toy {', '.join(strange)} in the arena; there are: {', '.join(TOYS)}")
    digits_of = [Match("digits", e.name, seed, budget) for seed in range(seeds) for e in DIGITS]
    toys_of = [Match(name, e.name, 0, budget / 6) for name in toys for e in TOY_ENTRANTS]
    found = [match for match in digits_of + toys_of if entrants is None or match.entrant in entrants]
    if entrants is not None and (unknown := set(entrants) - {match.entrant for match in found}):
        known = dict.fromkeys(e.name for e in (*DIGITS, *TOY_ENTRANTS))
        raise ValueError(f"there is no entrant {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    return found


def play_all(todo: Sequence[Match], folder: Path, jobs: int, progress: bool = True) -> list[Result]:
    """Play what has not been played yet, several at once, each in a process of its own; results in the order of `todo`.

    Each result is written as soon as it is there: after an interruption the same call goes on. A failure is a result:
    to play such a match again, remove its file.

    Raises:
        RuntimeError: a process was ended from outside; what is done is kept.
    """
    from tqdm.auto import tqdm

    done = {match: Result.read(folder, match) for match in todo}
    left = [match for match, result in done.items() if result is None or result.settings != settings_of(match)]
    bar = tqdm(total=len(todo), initial=len(todo) - len(left), unit="match", **({} if progress else {"disable": True}))
    try:
        for result in _played(left, jobs):
            result.write(folder)
            done[result.match] = result
            bar.set_postfix_str(result.match.path)
            bar.update()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"the arena was interrupted; the same command goes on from {folder}") from None
    except BrokenProcessPool:
        raise RuntimeError("a process of the arena was ended from outside, most often for want of memory; the same "
                           f"command goes on from {folder}, with --jobs 1 in the least memory") from None  # fmt: skip
    finally:
        bar.close()
    return [done[match] for match in todo]


def _played(todo: Sequence[Match], jobs: int) -> Iterator[Result]:
    """Results as they come: from this process if there is one job, else from as many others."""
    if jobs == 1 or len(todo) < 2:
        yield from map(play, todo)
        return
    pool = ProcessPoolExecutor(min(jobs, len(todo)), mp_context=get_context("spawn"), initializer=_end_with_parent)
    try:
        for future in as_completed([pool.submit(play, match) for match in todo]):
            yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _end_with_parent() -> None:
    """A worker whose parent was killed ends as well, instead of training for nobody."""

    def wait() -> None:
        parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
