"""`python -m dgmcourse assignment LESSON FOLDER`: a lesson as an assignment of an nbgrader course.

nbgrader (https://nbgrader.readthedocs.io) makes the students' version, collects their notebooks, restores the check
cells, runs every notebook strictly, and writes grades and feedback.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .files import replace_file
from .notebook_cells import BLANK, checked_function, exercises_in, make_notebook, parse
from .notebooks import dump, find_root, require_author_tools, select, sources

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["Assignment", "assignment", "grade"]

CONFIG = '''\
"""nbgrader's settings for this course; the comments say what differs from its defaults. Yours to edit."""

from dgmcourse.nbgrader_steps import release_steps, restore_steps

c = get_config()  # noqa: F821 (nbgrader provides it)
c.CourseDirectory.course_id = "{course}"

# Students see the lesson's own blank, and in a bug hunt the code with the bug.
c.GenerateAssignment.preprocessors = release_steps()
c.ClearSolutions.code_stub = {{"python": "{blank}"}}

# Lessons train models: a cell may take a while.
c.Execute.timeout = 300

# A check that a student deleted comes back before grading, as edited ones do.
c.Autograde.sanitize_preprocessors = restore_steps()
c.OverwriteCells.add_missing_cells = True
'''

README = """\
# {course}: an nbgrader course

Made by `python -m dgmcourse assignment`. Install what it needs with `pip install 'dgmcourse[classroom]'`, and run the
commands below in this folder. Run `python -m dgmcourse assignment LESSON .` here to add another lesson.

1. Look at `source/LESSON/LESSON.ipynb`: it holds the answers, between `### BEGIN SOLUTION` and `### END SOLUTION`, and the
   points of each check (View > Cell Toolbar, or the Create Assignment panel). Change what you like.
2. `nbgrader generate_assignment LESSON` writes the students' version to `release/LESSON/`. Hand it out: with
   `nbgrader release_assignment LESSON` where students share a JupyterHub, or as a file.
3. Collect: `nbgrader collect LESSON`, or put each file at `submitted/STUDENT/LESSON/LESSON.ipynb`. The name of the file
   must stay.
4. `nbgrader autograde LESSON` restores every check cell, runs the notebooks, and gives the points of a check that
   passes. Nothing falls back to a reference here: a blank or a wrong answer gets 0 for its check.
5. `nbgrader generate_feedback LESSON` writes what each student sees; `nbgrader export` writes `grades.csv`.

Autograding runs the students' code with your rights: use an account or a container that can lose nothing. The answers
come with the package, for learners on their own; an assignment shows who has worked, it is no examination.
"""


@dataclass(frozen=True)
class Assignment:
    """What `assignment` wrote and what it left alone; its repr says what to do next."""

    lesson: str
    folder: Path
    points: float
    written: tuple[str, ...]
    kept: tuple[str, ...]

    def __repr__(self):
        lines = [f"{self.lesson}: {self.points:g} points, in {self.folder}"]
        lines += [f"  written  {name}" for name in self.written] + [f"  kept     {name}" for name in self.kept]
        return "\n".join([*lines, f"next: cd {self.folder} && nbgrader generate_assignment {self.lesson}"])


def assignment(lesson: str, folder: str | Path, root: str | Path | None = None, force: bool = False) -> Assignment:
    """Make a lesson an assignment: `folder/source/LESSON/LESSON.ipynb`, and the course's settings and README if new.

    Args:
        lesson: as `build` takes it: `"04_vaes"`, `"04"`, or a path of the source.
        folder: the nbgrader course, new or existing.
        root: where the course's `solutions/` are; None looks in the working directory, then beside the package.
        force: replace a source notebook that differs (an instructor's edits are lost).

    Returns:
        what was written, and the points of the assignment.

    Raises:
        FileNotFoundError: no such lesson.
        FileExistsError: the folder holds another version of this assignment, and not `force`; nothing is written.
        NotADirectoryError: `folder` is a file.
    """
    require_author_tools()
    path = select(lesson, sources(find_root(root)))[0]
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; give a folder for the nbgrader course")
    notebook = _source_notebook(path)
    source = f"source/{path.stem}/{path.stem}.ipynb"
    files = {source: dump(notebook)}
    _refuse_to_overwrite(folder / source, files[source], force)
    names = {"course": _course_id(folder), "blank": BLANK}
    for name, text in (("nbgrader_config.py", CONFIG), ("README.md", README)):
        if not (folder / name).exists():
            files[name] = text.format(**names).encode()
    written = tuple(name for name, content in files.items() if replace_file(folder / name, content))
    everything = ("nbgrader_config.py", "README.md", *files)
    kept = tuple(name for name in dict.fromkeys(everything) if name not in written)
    points = sum(cell.metadata.get("nbgrader", {}).get("points", 0) for cell in notebook.cells)
    return Assignment(path.stem, folder, points, written, kept)


def grade(name: str) -> None:
    """The check of an assignment: show the verdict on the answer to this exercise if it is right, raise if it is not.

    It stands in the locked cells of an assignment instead of `check(function)`, because it judges the answer to the
    exercise that the cell's points are for, whatever the notebook has made of the names `check` and `function`, and
    because it raises wherever it runs.

    Raises:
        BlankAnswer, WrongAnswer: the exercise is not solved; nbgrader then gives no points.
        NotAnExercise: nothing in the notebook answers this exercise.
    """
    from IPython.display import display

    from .exercises import BlankAnswer, WrongAnswer, check

    result = check(name)
    if not result:
        raise (BlankAnswer if result.status == "blank" else WrongAnswer)(result)
    display(result)  # not returned: nbgrader reads a returned value as a number of points


def _source_notebook(path: Path) -> "NotebookNode":
    """The instructor's notebook: answers between their markers, no outputs, each check a locked `grade(…)`."""
    notebook = make_notebook(path.read_text(encoding="utf-8"), path.stem)
    exercises = {}
    for cell in notebook.cells:
        described = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and described.get("solution"):
            exercises |= exercises_in(parse(cell.source))
        elif described.get("grade"):
            name = exercises[checked_function(parse(cell.source))]
            cell.source = f'from dgmcourse.classroom import grade\n\ngrade("{name}")'
    return notebook


def _refuse_to_overwrite(target: Path, content: bytes, force: bool) -> None:
    if target.exists() and not force and target.read_bytes() != content:
        raise FileExistsError(
            f"{target} differs from the course's version (edited by you, or from another version of the course); "
            "nothing was written. Move it away, or pass force=True (--force) to replace it"
        )


def _course_id(folder: Path) -> str:
    """A name for the course that nbgrader's exchange accepts, from the folder's."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", folder.resolve().name).strip("-") or "course"
