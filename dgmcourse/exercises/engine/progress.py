"""The map of the course: what is done, kept in one small file that may be lost without harm."""

import contextlib
import html
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .registry import Exercise, all_exercises
from .results import strict

__all__ = ["Progress", "ProgressFile", "home", "progress", "store"]

SCHEMA = 1
RANK = {"tried": 1, "done": 2}
SYMBOLS = {"done": "✅", "tried": "◐", "": "○"}
WORDS = {"done": "done", "tried": "tried", "": "to do"}

LESSONS = {
    "01": "Introduction: what is a generative model?",
    "02": "Latent variables",
    "03": "Boltzmann machines",
    "04": "Variational autoencoders",
    "05": "Generative adversarial networks",
    "06": "Normalizing flows",
    "07": "Autoregressive models",
    "08": "Diffusion",
    "09": "Energy-based models",
    "10": "Evaluation: which model is better?",
}


def home() -> Path:
    """The folder of the learner's own data: `DGMCOURSE_HOME`, or the usual place of the operating system."""
    chosen = os.environ.get("DGMCOURSE_HOME")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("dgmcourse", appauthor=False))


class ProgressFile:
    """What is done, in memory and in `progress.json`.

    Each change is merged into what the file holds by then, under a lock, and the file is replaced whole; a copy of
    the last good state lies beside it. A file that cannot be read or written costs nothing but the memory of it.

    Args:
        folder: where the file is, or None to keep everything in memory.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder
        self.exercises: dict[str, dict] = {}
        self.predictions: dict[str, int] = {}
        self.note = ""

    @property
    def path(self) -> Path:
        return self.folder / "progress.json"

    def record(self, name: str, status: str) -> None:
        """Note a check: "right" (stays done for good), "wrong", or "blank" (which changes nothing)."""
        if status != "blank":
            self._merge({"exercises": {name: {"status": "done" if status == "right" else "tried"}}})

    def record_prediction(self, identity: str, choice: int) -> None:
        """Note a guess; the first one stays."""
        self._merge({"predictions": {identity: choice}})

    def status(self, name: str) -> str:
        """ "done", "tried" or ""."""
        return self.exercises.get(name, {}).get("status", "")

    def load(self) -> "ProgressFile":
        """Take in what the file holds."""
        if self.folder is not None:
            self._absorb(self._read())
        return self

    def _merge(self, news: dict) -> None:
        self._absorb(news)
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock():
                before = self._read()
                if before is None:  # written by a newer version of the course
                    return
                self._absorb(before)
                state = {"schema": SCHEMA, "exercises": self.exercises, "predictions": self.predictions}
                _write(self.path, state)
                _write(self.path.with_suffix(".backup.json"), state)
                self.note = ""
        except OSError as error:
            self.note = f"Not saved: {self.path} cannot be written ({error.strerror or type(error).__name__})."

    def _absorb(self, news: dict | None) -> None:
        """Keep the better of two states of each exercise, whatever nonsense a damaged file may hold."""
        exercises, predictions = (news or {}).get("exercises"), (news or {}).get("predictions")
        for name, entry in exercises.items() if isinstance(exercises, dict) else ():
            status = entry.get("status") if isinstance(entry, dict) else None
            if isinstance(status, str) and RANK.get(status, 0) > RANK.get(self.status(name), 0):
                self.exercises[name] = {"status": status}
        for identity, choice in predictions.items() if isinstance(predictions, dict) else ():
            if isinstance(choice, int):
                self.predictions.setdefault(identity, choice)

    def _read(self) -> dict | None:
        """What the file holds, else its backup, else nothing; None if a newer version of the course wrote it."""
        for path in (self.path, self.path.with_suffix(".backup.json")):
            try:
                state = json.loads(path.read_text(encoding="utf-8"))
                schema = state["schema"]
            except (OSError, ValueError, TypeError, KeyError, RecursionError):
                continue
            if isinstance(schema, int) and schema > SCHEMA:
                self.note = f"Not saved: {path} was written by a newer version of the course; update this one."
                return None
            return state
        return {}

    @contextlib.contextmanager
    def _lock(self, patience: float = 2.0, stale: float = 10.0) -> Iterator[None]:
        """Hold the file for this process, as well as that goes: a lock left behind by a killed kernel is broken."""
        lock, deadline, held = self.folder / "progress.lock", time.monotonic() + patience, False
        while not held and time.monotonic() < deadline:
            try:
                os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                held = True
            except FileExistsError:
                with contextlib.suppress(OSError):
                    if time.time() - lock.stat().st_mtime > stale:
                        lock.unlink()
                time.sleep(0.01)
        try:
            yield
        finally:
            if held:
                lock.unlink(missing_ok=True)


def _write(path: Path, state: dict) -> None:
    """Replace a file whole, so that a crash leaves the old one."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(json.dumps(state, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


_STORES: dict[Path | None, ProgressFile] = {}


def store() -> ProgressFile:
    """The learner's progress; in strict mode (grading, building the notebooks) one that is kept in memory alone."""
    folder = None if strict() else home()
    if folder not in _STORES:
        _STORES[folder] = ProgressFile(folder).load()
    return _STORES[folder]


@dataclass(frozen=True)
class Progress:
    """The map of the course at one moment.

    Attributes:
        rows: (lesson's number, title, [(exercise, status), …]).
        note: why nothing could be saved, or "".
    """

    rows: tuple[tuple[str, str, tuple[tuple[Exercise, str], ...]], ...]
    note: str = ""

    @property
    def done(self) -> int:
        """How many exercises are solved."""
        return sum(status == "done" for _, _, exercises in self.rows for _, status in exercises)

    @property
    def total(self) -> int:
        """How many exercises there are."""
        return sum(len(exercises) for _, _, exercises in self.rows)

    def _summary(self) -> str:
        return f"{self.done} of {self.total} exercises done"

    def __repr__(self):
        lines = [f"Your course: {self._summary()}   (✅ done, ◐ tried, ○ to do)"]
        for number, title, exercises in self.rows:
            done = sum(status == "done" for _, status in exercises)
            lines.append(
                f"{number:<3} {title}" + (f": {done} of {len(exercises)}" if exercises else " (no exercises yet)")
            )
            lines += [f"      {SYMBOLS[status]} {one.title} ({one.name})" for one, status in exercises]
        return "\n".join(lines + ([self.note] if self.note else []))

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th scope="row" style="text-align: left; vertical-align: top">{number} {html.escape(title)}</th>'
            f'<td style="text-align: left">{_cells(exercises)}</td></tr>'
            for number, title, exercises in self.rows
        )
        note = f'<p role="status">{html.escape(self.note)}</p>' if self.note else ""
        return (
            f"<table><caption>Your course: {self._summary()}</caption>"
            '<thead><tr><th scope="col" style="text-align: left">Lesson</th>'
            f'<th scope="col" style="text-align: left">Exercises</th></tr></thead><tbody>{rows}</tbody></table>{note}'
        )


def _cells(exercises: tuple[tuple[Exercise, str], ...]) -> str:
    if not exercises:
        return "no exercises yet"
    return "<br>".join(
        f'<span aria-hidden="true">{SYMBOLS[status]}</span> {html.escape(one.title)} ({WORDS[status]})'
        for one, status in exercises
    )


def progress() -> Progress:
    """A map of the course: each lesson's exercises, done, tried or to do."""
    kept = store().load()
    lessons: dict[str, list[Exercise]] = {number: [] for number in LESSONS}
    for one in all_exercises():
        lessons.setdefault(one.lesson.partition("_")[0] or "–", []).append(one)
    rows = []
    for number in sorted(lessons):
        stem = lessons[number][0].lesson.partition("_")[2] if lessons[number] else ""
        title = LESSONS.get(number) or stem.replace("_", " ").capitalize() or "Other exercises"
        rows.append((number, title, tuple((one, kept.status(one.name)) for one in lessons[number])))
    return Progress(tuple(rows), kept.note)
