"""`python -m dgmcourse start`: the learner's own copy of the lessons.

Lessons that are not there yet are copied into `work/`; nothing there is ever overwritten, so an update of the course
never fights with answers. What was copied is remembered by its SHA-256 in `work/.dgmcourse.json`, and so a lesson
that has changed since is announced. Losing that file costs the announcement, nothing else.
"""

import contextlib
import difflib
import hashlib
import json
import os
import shlex
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .doctor import python_command

__all__ = ["Lesson", "Started", "start"]

FOLDER = "work"
RECORD = ".dgmcourse.json"
SCHEMA = 1


@dataclass(frozen=True)
class Lesson:
    """What became of one lesson.

    Attributes:
        name: `NN_topic`.
        status: "new" (copied now), "kept" (was there), "changed" (was there; the course has a newer version) or
            "fresh" (the newer version was put beside it).
        path: the learner's file; for "fresh", the one put beside it.
        source: the course's file.
    """

    name: str
    status: str
    path: Path
    source: Path

    def __str__(self):
        if self.status == "changed":
            return (f"changed  {self.path.name}: a newer version is {self.source}; yours is untouched. "
                    f"Get it beside yours: {python_command()} -m dgmcourse start {_folder_argument(self.path.parent)}"
                    f"--fresh {self.name}")  # fmt: skip
        note = "   the newest version, beside your own" if self.status == "fresh" else ""
        return f"{self.status:<7}  {self.path.name}{note}"


@dataclass(frozen=True)
class Started:
    """What `start` did, one line a lesson; its repr is that list."""

    folder: Path
    lessons: tuple[Lesson, ...]

    def __repr__(self):
        counts = {status: sum(lesson.status == status for lesson in self.lessons) for status in
                  ("new", "fresh", "kept", "changed")}  # fmt: skip
        summary = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        return "\n".join([f"Lessons in {self.folder}: {summary}", *(f"  {lesson}" for lesson in self.lessons)])


def start(folder: str | Path = FOLDER, source: str | Path | None = None, fresh: str | Iterable[str] = ()) -> Started:
    """Copy the lessons that are not there yet; say which are new, kept, or changed in the course since.

    Args:
        folder: the learner's own, made if need be.
        source: the folder with the lessons; None looks for `lessons/` in the working directory, then beside the package.
        fresh: lessons (`"04_vaes"`, `"04"` or a file's name) whose newest version is put beside the learner's own,
            as `NN_topic.new.ipynb`.

    Returns:
        a `Started`, one `Lesson` for each.

    Raises:
        FileNotFoundError: no lessons, or none of the name given in `fresh`.
        NotADirectoryError: `folder` is a file.
        PermissionError: `folder` cannot be written to.
        ValueError: `folder` is the course's own `lessons/`.
    """
    folder, source = Path(folder).expanduser(), _find_lessons(source)
    sources = {path.stem: path for path in sorted(source.glob("[0-9]*.ipynb"))}
    if not sources:
        raise FileNotFoundError(f"{source} holds no lessons (NN_topic.ipynb); make them with: make notebooks")
    wanted = {_name(name, sources) for name in ([fresh] if isinstance(fresh, str) else fresh)}
    if folder.resolve() == source.resolve():
        raise ValueError(f"{folder} holds the course's own lessons; give a folder of yours, e.g. work")
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; give a folder for your lessons")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        record = _read_record(folder)
        lessons = tuple(_provide(path, folder, record, name in wanted) for name, path in sources.items())
        _write_record(folder, record)
    except PermissionError:
        raise PermissionError(
            f"cannot write to {folder}; give a folder that you can write to: python -m dgmcourse start FOLDER"
        ) from None
    return Started(folder, lessons)


def _folder_argument(folder: Path) -> str:
    """What the command line needs to hear about a folder: nothing, if it is the one that it takes by itself."""
    return "" if folder == Path(FOLDER) else f"{shlex.quote(str(folder))} "


def _find_lessons(source: str | Path | None) -> Path:
    beside = Path(__file__).resolve().parents[1] / "lessons"
    candidates = [Path("lessons"), beside] if source is None else [Path(source).expanduser()]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(
        f"no folder with lessons: looked for {' and '.join(map(str, candidates))}; run this in a checkout of the course"
    )


def _name(wanted: str, sources: dict[str, Path]) -> str:
    """The lesson that is meant by its name, number or file."""
    stem = Path(wanted).name.removesuffix(".ipynb")
    for name in sources:
        if stem in (name, name.split("_")[0]):
            return name
    close = difflib.get_close_matches(stem, sources, n=3)
    raise FileNotFoundError(f"no lesson is called {wanted!r}; "
                            + (f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(sources)}"))  # fmt: skip


def _provide(source: Path, folder: Path, record: dict[str, str], fresh: bool) -> Lesson:
    """Copy one lesson if it is not there; else find out whether the course's version is a newer one."""
    content, target = source.read_bytes(), folder / source.name
    digest = hashlib.sha256(content).hexdigest()
    if _create(target, content):
        record[source.name] = digest
        return Lesson(source.stem, "new", target, source)
    if _digest(target) == digest:
        record[source.name] = digest
    elif fresh:
        record[source.name] = digest
        return Lesson(source.stem, "fresh", _create_beside(target, content), source)
    status = "kept" if record.get(source.name, digest) == digest else "changed"
    return Lesson(source.stem, status, target, source)


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:  # a folder of that name, a link to nowhere: the learner's business
        return ""


def _create_beside(target: Path, content: bytes) -> Path:
    """Put content beside a file, as NAME.new.ipynb; an earlier one that differs stays, and a number is added."""
    number = 1
    while True:
        beside = target.with_name(f"{target.stem}.new{'' if number == 1 else f'-{number}'}.ipynb")
        if _create(beside, content) or _digest(beside) == hashlib.sha256(content).hexdigest():
            return beside
        number += 1


def _create(target: Path, content: bytes) -> bool:
    """Write a file whole if nothing of its name is there, whoever else is writing; whether it was written."""
    if os.path.lexists(target):
        return False
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.write_bytes(content)
        try:
            os.link(partial, target)  # unlike a rename, it refuses to replace a file
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            if os.path.lexists(target):
                return False
            os.replace(partial, target)
        return True
    finally:
        partial.unlink(missing_ok=True)


def _read_record(folder: Path) -> dict[str, str]:
    """The SHA-256 of each lesson as it was copied, by file name; {} where the record is lost or damaged."""
    try:
        copied = json.loads((folder / RECORD).read_text(encoding="utf-8"))["copied"]
        return {str(name): digest for name, digest in copied.items() if isinstance(digest, str)}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _write_record(folder: Path, record: dict[str, str]) -> None:
    text = json.dumps({"schema": SCHEMA, "copied": record}, indent=1, sort_keys=True) + "\n"
    partial = folder / f"{RECORD}.{uuid.uuid4().hex}.partial"
    with contextlib.suppress(IsADirectoryError):
        try:
            partial.write_text(text, encoding="utf-8")
            os.replace(partial, folder / RECORD)
        finally:
            partial.unlink(missing_ok=True)
