"""Every lesson of the course, and the small one of the tests, as learners and instructors get it."""

import ast
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbgrader.nbgraderformat import MetadataValidator

from dgmcourse.exercises import all_exercises
from dgmcourse.notebook_cells import exercises_in, make_notebook, regions, with_answers, with_blanks
from dgmcourse.notebook_faults import faults
from dgmcourse.notebooks import SIZE_LIMIT, environment, sources, stale, this_interpreter

ROOT = Path(__file__).resolve().parents[1]
COURSE = Path(__file__).parent / "notebooks"
LESSONS = {path.stem: path for path in sources(ROOT).values()}
EVERY = pytest.mark.parametrize("path", [*sources(COURSE).values(), *LESSONS.values()], ids=lambda path: path.stem)


def made(path: Path, edit=str):
    return make_notebook(path.read_text(encoding="utf-8"), path.stem, edit)


def committed(folder: str):
    return {name: nbformat.read(ROOT / folder / f"{name}.ipynb", as_version=4) for name in LESSONS}


def text_of(outputs) -> str:
    pieces = [out.get("text", "") + "".join(map(str, out.get("data", {}).values())) for out in outputs]
    return "\n".join(pieces)


def test_the_committed_notebooks_are_what_their_sources_say():
    assert stale(ROOT) == [], "run `make notebooks` and commit what it writes"


def test_no_notebook_is_left_without_its_source():
    for folder in ("lessons", "solutions"):
        assert sorted(path.stem for path in (ROOT / folder).glob("*.ipynb")) == sorted(LESSONS)


def test_committed_notebooks_can_be_shown():
    for folder in ("lessons", "solutions"):
        for name, notebook in committed(folder).items():
            assert faults(notebook) == [], f"{folder}/{name}.ipynb"
            assert (ROOT / folder / f"{name}.ipynb").stat().st_size <= SIZE_LIMIT


def test_committed_solutions_are_executed_and_every_check_shows_its_mark():
    for name, notebook in committed("solutions").items():
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), name
        for cell in code:
            if cell.metadata.get("nbgrader", {}).get("grade"):
                assert "✅" in text_of(cell.outputs), f"{name}: {cell.source}"


def test_the_notebooks_hold_exactly_the_registered_exercises_of_their_lesson():
    for name, path in LESSONS.items():
        code = [cell.source for cell in made(path, with_answers).cells if cell.cell_type == "code"]
        parsed = [ast.parse(source) for source in code if not source.lstrip().startswith(("%", "!"))]
        written = {exercise for tree in parsed for exercise in exercises_in(tree).values()}
        assert written == {exercise.name for exercise in all_exercises() if exercise.lesson == name}


@EVERY
def test_a_lesson_has_good_headings_and_words_for_its_pictures(path):
    assert faults(made(path, with_blanks)) == []


@EVERY
def test_every_exercise_is_checked_in_the_next_code_cell(path):
    code = [cell for cell in made(path, with_answers).cells if cell.cell_type == "code"]
    for cell, after in zip(code, code[1:] + [None], strict=True):
        if exercises_in(ast.parse(cell.source)) if "@exercise" in cell.source else {}:
            assert after is not None
            assert after.id == f"{cell.id}-check"
            assert after.metadata.nbgrader.points > 0
            assert "nbval-check-output" in after.metadata.tags


@EVERY
def test_a_lesson_holds_no_answer_and_no_output(path):
    answers, elsewhere = set(), set()
    for cell in made(path).cells:
        for line, where in regions(cell.source) if cell.cell_type == "code" else ():
            shown = line.strip().removeprefix("#").strip() if where == "bug" else line.strip()
            (answers if where == "answer" else elsewhere).add(shown)
        if cell.cell_type == "markdown":
            elsewhere |= {line.strip() for line in cell.source.split("\n")}
    lesson = made(path, with_blanks)
    shown = {line.strip() for cell in lesson.cells for line in cell.source.split("\n")}
    secret = answers - elsewhere - {""}
    assert secret
    assert not secret & shown
    assert not any("### " in cell.source for cell in lesson.cells if cell.cell_type == "code")
    assert not any(cell.get("outputs") for cell in lesson.cells)


@EVERY
def test_nbgrader_accepts_both_notebooks(path):
    for edit in (with_answers, with_blanks):
        MetadataValidator().validate_nb(made(path, edit))


@EVERY
def test_an_untouched_lesson_shows_blanks_and_no_mark(path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(COURSE))
    checks = [text_of(cell.outputs) for cell in untouched(path) if cell.metadata.nbgrader.grade]
    assert checks
    for shown in checks:
        assert "✅" not in shown
        assert "○" in shown


def untouched(path: Path) -> list:
    """The exercises and checks of a lesson, executed as the learner gets them, after the cells that import alone.

    It ends where an exercise needs more of the lesson than that.
    """
    lesson = made(path, with_blanks)
    code = [cell for cell in lesson.cells if cell.cell_type == "code"]
    first = next(i for i, cell in enumerate(code) if "nbgrader" in cell.metadata)
    imports = [cell for cell in code[:first] if cell.source.startswith(("import ", "from "))]
    lesson.cells = imports + [cell for cell in code if "nbgrader" in cell.metadata]
    done = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        client = NotebookClient(
            lesson, km=this_interpreter(), timeout=120, extra_arguments=["--IPKernelApp.log_level=40"]
        )
        with client.setup_kernel(cleanup_kc=True, cwd=str(path.parent), env=environment(Path(home), strict=False)):
            for index, cell in enumerate(lesson.cells):
                try:
                    client.execute_cell(cell, index)
                except CellExecutionError as error:
                    if error.ename != "NameError" or not done:
                        raise
                    break
                if index >= len(imports):
                    done.append(cell)
    return done


@EVERY
def test_sources_are_clean(path):
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
