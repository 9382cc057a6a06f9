"""From the source of a lesson to the cells of its notebooks: text only, nothing is executed here.

A lesson is written once, in `solutions/NN_topic.py` (jupytext's percent format). What the learner writes stands
between two markers, inside a function:

    @exercise("vae/kl")
    def kl_to_standard_normal(mean, log_var):
        ### BEGIN SOLUTION
        return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
        ### END SOLUTION

The solutions notebook shows these lines without the markers; the lesson shows `raise NotImplementedError  # your turn`.
A bug hunt also holds the code with the bug, commented out with `# ` so that the source stays valid. The lesson shows
that code, uncommented, instead of the blank:

        ### BEGIN SOLUTION
        return (log_weights.logsumexp(0) - math.log(len(log_weights))).mean()
        ### BEGIN BUG
        # return log_weights.logsumexp(0).mean() - math.log(len(log_weights))
        ### END SOLUTION

A check stands alone in the cell after, `check(kl_to_standard_normal)`. Both cells carry nbgrader metadata. A check is
worth `points=` of its cell's header (`# %% points=3`), else the number of ● in the heading above it, else 1.
"""

import ast
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["BLANK", "NotebookError", "code_hash", "make_notebook", "with_answers", "with_blanks"]

BEGIN, BUG, END = "### BEGIN SOLUTION", "### BEGIN BUG", "### END SOLUTION"
BLANK = "raise NotImplementedError  # your turn"
KEPT_METADATA = ("jupyter", "slideshow", "tags")  # of a cell's header; all else there is for this module
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python", "pygments_lexer": "ipython3"}


class NotebookError(ValueError):
    """A lesson's source cannot become a notebook; the message says where and what to do."""


def regions(source: str) -> Iterator[tuple[str, str]]:
    """Each line of a cell with where it stands: "plain", "begin", "answer", "bug" or "marker" (the other markers).

    Raises:
        NotebookError: markers that are not spelled, paired or ordered as the module's docstring shows.
    """
    where = "plain"
    for line in source.split("\n"):
        marker = line.strip()
        if marker == BEGIN and where == "plain":
            yield line, "begin"
            where = "answer"
        elif (marker == BUG and where == "answer") or (marker == END and where != "plain"):
            yield line, "marker"
            where = "bug" if marker == BUG else "plain"
        elif re.search(r"#\s*(BEGIN|END)\s+(SOLUTION|BUG)", line, re.IGNORECASE):
            raise NotebookError(
                f"the marker {marker!r} does not belong here; write {BEGIN!r}, then optionally {BUG!r}, then {END!r}, "
                "each alone on its line, exactly so, not nested"
            )
        else:
            yield line, where
    if where != "plain":
        raise NotebookError(f"a {BEGIN!r} has no {END!r} in the same cell")


def with_answers(source: str) -> str:
    """The cell as `solutions/` shows it: answers without markers, no bugs."""
    return "\n".join(line for line, where in regions(source) if where in ("plain", "answer"))


def with_blanks(source: str) -> str:
    """The cell as `lessons/` shows it: each region is a blank, or the buggy code of a bug hunt.

    Raises:
        NotebookError: a blank outside a function would stop the notebook; a bug that is not commented out.
    """
    lines, blanks = [], []  # `blanks` holds the positions of the blanks among `lines`
    for line, where in regions(source):
        if where == "begin":
            blanks.append(len(lines))
            lines.append(line[: len(line) - len(line.lstrip())] + BLANK)
        elif where == "bug":
            if blanks and blanks[-1] == len(lines) - 1:  # the first line of a bug takes the place of the blank
                lines.pop(blanks.pop())
            lines.append(_uncomment(line))
        elif where == "plain":
            lines.append(line)
    edited = "\n".join(lines)
    if edited != source:
        _require_functions(edited, blanks)
    return edited


def _uncomment(line: str) -> str:
    found = re.fullmatch(r"(\s*)#(?: (.*))?", line)
    if found is None and line.strip():
        raise NotebookError(f"a line of the bug is not commented out with '# ': {line.strip()!r}")
    return ((found[1] + (found[2] or "")) if found else "").rstrip()


def _require_functions(source: str, positions: list[int]) -> None:
    """A blank raises when its line runs, so it must wait inside a function."""
    functions = [node for node in ast.walk(parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for position in positions:
        if not any(node.body[0].lineno <= position + 1 <= node.end_lineno for node in functions):
            raise NotebookError("a solution region must stand inside a function: elsewhere its blank stops the lesson")


def parse(source: str) -> ast.Module:
    """The syntax tree of a cell without magics."""
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise NotebookError(f"line {error.lineno} of the cell is not Python: {error.msg}") from None


def exercises_in(tree: ast.Module) -> dict[str, str]:
    """The exercises that a cell defines: the name of the function (or class) -> the name of the exercise."""
    found = {}
    for node in tree.body:
        for decorator in getattr(node, "decorator_list", ()):
            match decorator:
                case ast.Call(func=ast.Name(id="exercise"), args=[ast.Constant(value=str(name)), *_]):
                    found[node.name] = name
    return found


def checked_function(tree: ast.Module) -> str | None:
    """The name of `f` where the cell is a lone `check(f)`; None where the cell checks nothing.

    Raises:
        NotebookError: the cell holds more than its check.
    """
    match tree.body:
        case [ast.Expr(value=ast.Call(func=ast.Name(id="check"), args=[ast.Name(id=function), *_]))]:
            return function
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    if any(isinstance(call.func, ast.Name) and call.func.id == "check" for call in calls):
        raise NotebookError("a check stands alone in its cell, as check(function): give it a cell of its own")
    return None


@dataclass
class _Reader:
    """Walks through the cells in order and gives each its id and its nbgrader metadata."""

    exercises: dict[str, str]  # by the name of the learner's function
    taken: set[str]
    points: int = 1

    def describe(self, cell: "NotebookNode") -> tuple[str, dict]:
        """The cell's id and its metadata, from its source with the markers."""
        metadata = {key: cell.metadata[key] for key in KEPT_METADATA if key in cell.metadata}
        if cell.cell_type == "markdown":
            difficulty = re.search(r"[●○]{2,}", cell.source)
            self.points = max(1, difficulty[0].count("●")) if difficulty else self.points
            return self._name(_fingerprint(cell)), metadata
        if re.search(r"^\s*[%!]", cell.source, re.MULTILINE) and BEGIN not in cell.source:
            return self._name(_fingerprint(cell)), metadata  # magics: no exercise, no check
        tree = parse(cell.source)
        if BEGIN in cell.source:
            return self._exercise(cell, tree, metadata)
        self.exercises |= exercises_in(tree)
        function = checked_function(tree)
        if function is None:
            return self._name(_fingerprint(cell)), metadata
        return self._check(cell, function, metadata)

    def _exercise(self, cell: "NotebookNode", tree: ast.Module, metadata: dict) -> tuple[str, dict]:
        found = exercises_in(tree)
        if len(found) > 1:
            raise NotebookError(f"one exercise a cell: this one holds {', '.join(found.values())}")
        self.exercises |= found
        name = self._name(_slug(next(iter(found.values()))) if found else _fingerprint(cell), alone=bool(found))
        return name, metadata | {"nbgrader": _nbgrader(name, solution=True)}

    def _check(self, cell: "NotebookNode", function: str, metadata: dict) -> tuple[str, dict]:
        if function not in self.exercises:
            raise NotebookError(f"no @exercise(…) before this cell defines {function}")
        name = self._name(_slug(self.exercises[function]) + "-check", alone=True)
        points = cell.metadata.get("points", self.points)
        if not isinstance(points, int | float) or isinstance(points, bool) or points < 0:
            raise NotebookError(f"points= must be a number that is not negative, got {points!r}")
        self.points = 1
        metadata["tags"] = [*metadata.get("tags", []), "nbval-check-output"]
        return name, metadata | {"nbgrader": _nbgrader(name, grade=True, locked=True, points=points)}

    def _name(self, name: str, alone: bool = False) -> str:
        """A name that no cell has yet; where it must be `alone`, a second one is an error."""
        if name in self.taken and alone:
            raise NotebookError(f"a second cell would be named {name}: an exercise is written once and checked once")
        copies = 1
        unique = name
        while unique in self.taken:
            copies += 1
            unique = f"{name}-{copies}"
        self.taken.add(unique)
        return unique


def _nbgrader(name: str, grade: bool = False, solution: bool = False, locked: bool = False, **points) -> dict:
    fixed = {"grade_id": name, "schema_version": 3, "task": False}
    return {"grade": grade, "locked": locked, "solution": solution, **fixed, **points}


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:48]


def _fingerprint(cell: "NotebookNode") -> str:
    return hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]


def make_notebook(text: str, name: str, edit: Callable[[str], str] = str) -> "NotebookNode":
    """The notebook of a lesson, without outputs.

    Ids and metadata come from the source with its markers, so they are the same whatever `edit` is: an exercise and
    its check are named after the exercise, any other cell after a hash of its content, so an edit changes one id.

    Args:
        text: the source in percent format.
        name: what errors call it, `04_vaes`.
        edit: applied to the source of each code cell: `with_answers`, `with_blanks`, or nothing (markers stay).

    Raises:
        NotebookError: with the line of the cell that is at fault.
    """
    import jupytext
    import nbformat

    source = jupytext.reads(text, fmt="py:percent")
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": dict(KERNELSPEC), "language_info": dict(LANGUAGE)})
    reader = _Reader({}, set())
    for cell in source.cells:
        if not cell.source.strip():
            continue
        try:
            name_of_cell, metadata = reader.describe(cell)
            edited = edit(cell.source) if cell.cell_type == "code" else cell.source
        except NotebookError as error:
            raise NotebookError(f"{name}.py, {place(text, cell.source)}: {error}") from None
        new = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        notebook.cells.append(new(edited, id=name_of_cell, metadata=metadata))
    if not notebook.cells:
        raise NotebookError(f"{name}.py holds no cell; a cell begins with '# %%' or '# %% [markdown]'")
    return notebook


def place(text: str, source: str) -> str:
    """Where a code cell stands in the file, for messages: its line, where it can be found, and how it begins."""
    begins = next((line.strip() for line in source.split("\n") if line.strip()), "")
    found = text.find(source)
    line = f"line {text.count(chr(10), 0, found) + 1}, " if found >= 0 else ""
    return f"{line}the cell that begins {begins!r}"


def code_hash(notebook: "NotebookNode") -> str:
    """SHA-256 of all code cells, in order: while it stays the same, so do the outputs."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()
