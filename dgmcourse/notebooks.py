"""`python -m dgmcourse notebooks`: every `solutions/NN_topic.py` becomes the two notebooks that people open.

    solutions/NN_topic.ipynb   filled in and executed, with its pictures
    lessons/NN_topic.ipynb     blanks instead of answers, no outputs

How a source is written is told in `notebook_cells.py`. A notebook is executed again only when one of its code cells
has changed (their hash is kept in the notebook's metadata) or with `force`: after an edit of the prose its outputs
stay. A change of the package alone does not execute anything; then use `force`.

Notebooks are executed by the interpreter that builds them, on one CPU thread, without a GPU, strictly (a failed check
stops the build), in an empty home of the course, inside the folder `solutions/`. What a reader should not see stops
the build too (`faults`), and then the files of the last build remain.
"""

import importlib.util
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .files import replace_file
from .notebook_cells import NotebookError, code_hash, make_notebook, place, with_answers, with_blanks
from .notebook_faults import WIDGET, faults

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["Built", "NotebookError", "Report", "build", "faults", "find_root", "sources", "stale"]

SIZE_LIMIT = 500_000  # bytes of one notebook
SECONDS_BUDGET = 60  # of one notebook, on one CPU thread
CELL_TIMEOUT = 600  # seconds
HOW_TO_INSTALL = "install what authors need: pip install -e '.[author]'"


@dataclass(frozen=True)
class Built:
    """What became of one lesson: seconds and peak memory (bytes of the kernel) are None where nothing was executed."""

    name: str
    seconds: float | None
    peak_memory: int | None
    sizes: dict[str, int]  # bytes, by folder
    written: tuple[str, ...]  # the files that changed, relative to the root

    def row(self) -> tuple[str, ...]:
        """The cells of this lesson's line in the report."""
        run = "kept" if self.seconds is None else f"{self.seconds:.1f} s"
        memory = "–" if self.peak_memory is None else f"{self.peak_memory / 1e6:.0f} MB"
        slow = self.seconds is not None and self.seconds > SECONDS_BUDGET
        note = f"  over the budget of {SECONDS_BUDGET} s" if slow else ""
        sizes = (f"{self.sizes[folder] / 1e3:.0f} KB" for folder in ("solutions", "lessons"))
        return (self.name, run, memory, *sizes, (", ".join(self.written) or "unchanged") + note)


@dataclass(frozen=True)
class Report:
    """What a build did, one line a lesson; its repr is a table."""

    rows: tuple[Built, ...] = field(default=())

    def __repr__(self):
        head = ("lesson", "executed", "peak memory", "solutions", "lessons", "written")
        table = [head, *(built.row() for built in self.rows)]
        widths = [max(len(row[column]) for row in table) for column in range(len(head))]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
        return "\n".join(line.rstrip() for line in lines)


def build(names: str | list[str] | None = None, root: str | Path | None = None, force: bool = False) -> Report:
    """Make the notebooks of some lessons, or of all; execute those whose code has changed.

    Args:
        names: lessons, as `"04_vaes"`, `"04"` or a path of the source; None means all.
        root: the folder that holds `solutions/`; None looks in the working directory, then beside the package.
        force: execute even where no code cell has changed.

    Returns:
        a `Report`: seconds, peak memory and sizes of each notebook, and the files written.

    Raises:
        NotebookError: a source that cannot be read, a cell that fails, or something a reader should not see. Nothing
            of that lesson is written; lessons before it are.
        FileNotFoundError: no such lesson, or no folder `solutions/`.
    """
    require_author_tools()
    root = find_root(root)
    return Report(tuple(_build_one(path, root, force) for path in select(names, sources(root))))


def stale(root: str | Path | None = None) -> list[str]:
    """The lessons that `build` would write anew: their source has changed, or a notebook is missing or was edited."""
    require_author_tools()
    root = find_root(root)
    return [path.stem for path in sources(root).values() if _differs(path, root)]


def find_root(root: str | Path | None = None) -> Path:
    """The folder that holds `solutions/`: the one given, the working directory, or the one beside the package."""
    candidates = [Path(root)] if root is not None else [Path.cwd(), Path(__file__).resolve().parents[1]]
    for candidate in candidates:
        if (candidate / "solutions").is_dir():
            return candidate.resolve()
    raise FileNotFoundError(
        f"no folder solutions/ in {' or '.join(map(str, candidates))}; run this in a checkout of the course"
    )


def sources(root: Path) -> dict[str, Path]:
    """Every lesson's source by its name, `NN_topic` or `NNb_topic`, in the order of the course."""
    return {path.stem: path for path in sorted((root / "solutions").glob("[0-9][0-9]*_*.py"))}


def select(names: str | list[str] | None, available: dict[str, Path]) -> list[Path]:
    if names is None or names == []:
        return list(available.values())
    chosen = []
    for name in [names] if isinstance(names, str) else names:
        wanted = Path(name).name.removesuffix(".py").removesuffix(".ipynb")
        found = [stem for stem in available if wanted in (stem, stem.split("_")[0])]
        if not found:
            raise FileNotFoundError(f"no lesson is called {name!r}; there are: {', '.join(available) or 'none'}")
        chosen.append(available[found[0]])
    return chosen


def require_author_tools() -> None:
    missing = [name for name in ("jupytext", "nbclient") if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f"building notebooks needs {' and '.join(missing)}; {HOW_TO_INSTALL}")


def _pair(path: Path) -> tuple["NotebookNode", "NotebookNode"]:
    """The solutions notebook (not executed) and the lesson, from a source."""
    text = path.read_text(encoding="utf-8")
    solution, lesson = (make_notebook(text, path.stem, edit) for edit in (with_answers, with_blanks))
    solution.metadata["dgmcourse"] = {"code": code_hash(solution)}
    return solution, lesson


def _read(path: Path) -> "NotebookNode | None":
    """A notebook that an earlier build wrote, or None where it is missing or damaged."""
    import nbformat

    try:
        return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, nbformat.ValidationError):
        return None


def same_cells(one: "NotebookNode", other: "NotebookNode | None") -> bool:
    """Whether two notebooks are equal but for outputs and execution counts."""
    if other is None or one.metadata != other.metadata or len(one.cells) != len(other.cells):
        return False
    keys = ("id", "cell_type", "source", "metadata")
    return all(a.get(key) == b.get(key) for a, b in zip(one.cells, other.cells, strict=True) for key in keys)


def _differs(path: Path, root: Path) -> bool:
    solution, lesson = _pair(path)
    lesson_path = root / "lessons" / f"{path.stem}.ipynb"
    fresh = lesson_path.is_file() and lesson_path.read_bytes() == dump(lesson)
    return not fresh or not same_cells(solution, _read(path.with_suffix(".ipynb")))


def dump(notebook: "NotebookNode") -> bytes:
    import nbformat

    nbformat.validate(notebook)
    return (nbformat.writes(notebook).rstrip("\n") + "\n").encode()


def _build_one(path: Path, root: Path, force: bool) -> Built:
    solution, lesson = _pair(path)
    measured = (None, None)
    if force or not _keep_outputs(solution, _read(path.with_suffix(".ipynb"))):
        measured = _execute(solution, path)
    for cell in solution.cells:
        drop_live_widgets(cell)
    files = {"solutions": dump(solution), "lessons": dump(lesson)}
    found = faults(solution) + _oversized(files)
    if found:
        listed = "\n  ".join(found)
        raise NotebookError(f"{path.name} must not be shown as it is; the last build's notebooks remain:\n  {listed}")
    targets = {root / folder / f"{path.stem}.ipynb": content for folder, content in files.items()}
    written = [
        target.relative_to(root).as_posix() for target, content in targets.items() if replace_file(target, content)
    ]
    return Built(path.stem, *measured, {folder: len(content) for folder, content in files.items()}, tuple(written))


def _oversized(files: dict[str, bytes]) -> list[str]:
    return [f"{folder}: {len(content) / 1e3:.0f} KB, the limit is {SIZE_LIMIT / 1e3:.0f} KB; draw smaller pictures "
            "(fewer dots per inch, fewer panels)" for folder, content in files.items()
            if len(content) > SIZE_LIMIT]  # fmt: skip


def _keep_outputs(solution: "NotebookNode", old: "NotebookNode | None") -> bool:
    """Take the outputs of the last build over, if every code cell is still the same; whether they were."""
    code = [cell for cell in solution.cells if cell.cell_type == "code"]
    before = [] if old is None else [cell for cell in old.cells if cell.cell_type == "code"]
    recorded = None if old is None else old.metadata.get("dgmcourse", {}).get("code")
    if recorded != solution.metadata["dgmcourse"]["code"] or [c.source for c in code] != [c.source for c in before]:
        return False
    if any(cell.execution_count is None for cell in before):
        return False
    for cell, done in zip(code, before, strict=True):
        cell.outputs, cell.execution_count = done.outputs, done.execution_count
    return True


def environment(home: Path, strict: bool) -> dict[str, str]:
    """What a notebook is run with by the build and the tests: one thread, no GPU, no bars, nothing of this user's.

    Args:
        home: an empty folder that outlives the kernel.
        strict: whether a failed check raises (solutions) or the reference stands in (lessons).
    """
    settings = {
        "DGMCOURSE_STRICT": "1" if strict else "0", "DGMCOURSE_HOME": str(home / "course"), "IPYTHONDIR": str(home / "ipython"),
        "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONHASHSEED": "0",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }  # fmt: skip
    return {key: value for key, value in os.environ.items() if key != "NBGRADER_EXECUTION"} | settings


def this_interpreter():
    """A manager for a kernel that runs the interpreter of this process, whatever kernels are installed."""
    from ipykernel.kernelspec import RESOURCES, get_kernel_dict
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

    class ThisInterpreter(KernelSpecManager):
        def get_kernel_spec(self, kernel_name):
            return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())

    return AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisInterpreter())


def _execute(notebook: "NotebookNode", path: Path) -> tuple[float, int]:
    """Run every cell in place; the seconds it took (kernel start included) and the kernel's peak memory in bytes."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from tqdm.auto import tqdm

    measure = nbformat.v4.new_code_cell("import dgmcourse.notebooks as _n; print(_n.peak_memory())")
    notebook.cells.append(measure)
    client = NotebookClient(
        notebook, km=this_interpreter(), timeout=CELL_TIMEOUT, record_timing=False, store_widget_state=False,
        coalesce_streams=True, shutdown_kernel="immediate", extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )  # fmt: skip
    code = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    start = time.perf_counter()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home,
        client.setup_kernel(cleanup_kc=True, cwd=str(path.parent), env=environment(Path(home), strict=True)),
    ):
        for number, index in enumerate(tqdm(code, desc=path.stem, unit="cell", leave=False), 1):
            try:
                client.execute_cell(notebook.cells[index], index)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                where = f"{path.name}, code cell {number} of {len(code) - 1}, {_place(path, number)}"
                raise NotebookError(f"{where}: {_reason(error)}\nThe last build's notebooks remain.") from None
        seconds = time.perf_counter() - start
    notebook.cells.pop()
    return seconds, int(measure.outputs[0].text)


def _place(path: Path, number: int) -> str:
    """Where the `number`-th code cell stands in the source."""
    text = path.read_text(encoding="utf-8")
    marked = [cell.source for cell in make_notebook(text, path.stem).cells if cell.cell_type == "code"]
    return place(text, marked[number - 1]) if number <= len(marked) else "after the last cell"


def _reason(error: Exception) -> str:
    """One line that says what happened, then the traceback where there is one."""
    name = type(error).__name__
    if name == "CellExecutionError":
        traceback = re.split(r"-{50,}\n", _plain(error.traceback))[-1].strip()  # without a copy of the cell
        return f"{error.ename}: {_plain(error.evalue)}\n{traceback}"
    if name == "CellTimeoutError":
        return f"it ran for more than {CELL_TIMEOUT} s"
    return "the kernel died (out of memory?)"


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def peak_memory() -> int:
    """The most memory this process ever held, in bytes."""
    status = Path("/proc/self/status")  # getrusage would count the parent's memory at the fork
    if status.is_file():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return psutil.Process().memory_info().peak_wset
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def drop_live_widgets(cell: "NotebookNode") -> None:
    """Keep what a widget shows without its kernel: its static picture, and of a progress bar nothing."""
    kept = []
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        if WIDGET in data and re.search(r"\d+%\|", data.get("text/plain", "")):
            continue
        if WIDGET in data and any(kind == "text/html" or kind.startswith("image/") for kind in data):
            del data[WIDGET]  # alone it would read "model not found"
        kept.append(output)
    if len(kept) < len(cell.get("outputs", ())):
        cell.outputs = kept
