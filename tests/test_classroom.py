"""An assignment goes through real nbgrader: generated, released, fetched, submitted, collected, graded, fed back."""

import os
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderApp
from nbgrader.utils import get_username

from dgmcourse.classroom import assignment
from dgmcourse.notebook_cells import BLANK, make_notebook, with_answers

COURSE = Path(__file__).parent / "notebooks"
SOURCE = COURSE / "solutions" / "01_averages.py"
NAME = "01_averages"
POINTS = {"averages-mean-check": 1, "averages-variance-check": 3, "averages-largest-check": 4}
IN_CLASS = get_username()  # the one student who uses nbgrader's exchange

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's own


def nbgrader(*arguments: str) -> None:
    """One nbgrader command in the working directory, as typed in a shell."""
    NbGraderApp.clear_instance()
    NbGraderApp.launch_instance(argv=[*arguments, "--log-level=WARN"])  # SystemExit where the command fails


def solved():
    """The whole lesson with right answers, as learners have it: from lessons/, not from the assignment."""
    return make_notebook(SOURCE.read_text(encoding="utf-8"), NAME, with_answers)


def half_solved(release):
    """Two of three exercises: 1 + 3 of 8 points; the bug is still in."""
    answers = {cell.id: cell.source for cell in solved().cells}
    for cell in release.cells:
        if cell.id in ("averages-mean", "averages-variance"):
            cell.source = answers[cell.id]
    return release


def tampered(release):
    """Nothing is solved, much is tried: checks edited, unlocked, revalued, deleted, copied, redefined, not strict."""
    cells = {cell.id: cell for cell in release.cells}
    cells["averages-mean-check"].source = "print('✅ averages/mean: correct.')"
    cells["averages-mean-check"].metadata.nbgrader.update(points=100, locked=False)
    release.cells.remove(cells["averages-variance-check"])
    cells["averages-variance"].source = (
        '@exercise("averages/mean")\ndef variance(values):\n    return values.mean(-1)\n\n\n'
        "import os\nos.environ.pop('NBGRADER_EXECUTION', None)\nos.environ['DGMCOURSE_STRICT'] = '0'"
    )
    cells["averages-largest"].source += '\n\n\ngrade = check = lambda anything: print("✅")'
    copy = nbformat.from_dict(dict(cells["averages-largest-check"]) | {"id": "copy", "source": "print('✅')"})
    release.cells.append(copy)
    return release


def submit(folder: Path, student: str, notebook) -> None:
    target = folder / "submitted" / student / NAME / f"{NAME}.ipynb"
    target.parent.mkdir(parents=True)
    nbformat.write(notebook, target)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A graded course: its folder, and each student's points by exercise."""
    folder, desk = tmp_path_factory.mktemp("course"), tmp_path_factory.mktemp("desk")
    exchange = tmp_path_factory.mktemp("exchange")
    exchange.chmod(0o777)
    release = folder / "release" / NAME / f"{NAME}.ipynb"
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
            patch.setenv(variable, str(tmp_path_factory.mktemp("jupyter")))
        patch.setenv("PYTHONPATH", str(COURSE))
        patch.delenv("DGMCOURSE_STRICT", raising=False)
        assignment(NAME, folder, root=COURSE)
        shared = (f"--Exchange.root={exchange}", f"--course={folder.name}")
        patch.chdir(folder)
        nbgrader("generate_assignment", NAME)
        nbgrader("release_assignment", NAME, *shared)
        patch.chdir(desk)
        nbgrader("fetch_assignment", NAME, *shared)
        nbformat.write(solved(), desk / NAME / f"{NAME}.ipynb")
        nbgrader("submit", NAME, *shared)
        patch.chdir(folder)
        nbgrader("collect", NAME, *shared)
        submit(folder, "blank", nbformat.read(release, as_version=4))
        submit(folder, "half", half_solved(nbformat.read(release, as_version=4)))
        submit(folder, "tampered", tampered(nbformat.read(release, as_version=4)))
        nbgrader("autograde", NAME)
        nbgrader("generate_feedback", NAME)
    return folder, grades(folder)


def grades(folder: Path) -> dict[str, dict[str, float | None]]:
    with Gradebook(f"sqlite:///{folder}/gradebook.db") as book:
        return {
            student.id: {
                grade.name: grade.auto_score
                for grade in book.find_submission_notebook(NAME, NAME, student.id).grades
            }
            for student in book.students
        }  # fmt: skip


def test_a_blank_submission_earns_nothing(course):
    assert course[1]["blank"] == dict.fromkeys(POINTS, 0)


def test_half_of_the_answers_earn_their_own_points(course):
    assert course[1]["half"] == POINTS | {"averages-largest-check": 0}


def test_all_answers_earn_full_marks_through_the_exchange(course):
    assert course[1][IN_CLASS] == POINTS


def test_tampered_checks_earn_nothing(course):
    assert course[1]["tampered"] == dict.fromkeys(POINTS, 0)


def test_grades_need_no_hand(course):
    with Gradebook(f"sqlite:///{course[0]}/gradebook.db") as book:
        assert book.find_assignment(NAME).max_score == sum(POINTS.values())
        for student in course[1]:
            assert not book.find_submission(NAME, student).needs_manual_grade


def test_students_get_blanks_the_bug_and_no_answer(course):
    notebook = nbformat.read(course[0] / "release" / NAME / f"{NAME}.ipynb", as_version=4)
    cells = {cell.id: cell.source for cell in notebook.cells}
    assert cells["averages-mean"].endswith(f"\n    {BLANK}")
    assert "values[:, 1]\n" in cells["averages-largest"]
    assert not any("SOLUTION" in source or "total" in source for source in cells.values())


def test_feedback_says_why(course):
    def feedback(student):
        return (course[0] / "feedback" / student / NAME / f"{NAME}.html").read_text(encoding="utf-8")

    assert feedback("blank").count("still blank") >= 3
    assert "Score: 8.0 / 8.0" in " ".join(feedback(IN_CLASS).split())


def test_a_new_assignment_says_what_it_wrote_and_what_comes_next(tmp_path):
    made = assignment("01", tmp_path / "my course", root=COURSE)
    assert made.points == 8
    assert set(made.written) == {f"source/{NAME}/{NAME}.ipynb", "nbgrader_config.py", "README.md"}
    assert "next: cd" in repr(made)
    assert f"nbgrader generate_assignment {NAME}" in repr(made)
    assert 'course_id = "my-course"' in (tmp_path / "my course" / "nbgrader_config.py").read_text()
    source = nbformat.read(tmp_path / "my course" / "source" / NAME / f"{NAME}.ipynb", as_version=4)
    assert sum("### BEGIN SOLUTION" in cell.source for cell in source.cells) == 3
    assert not any(cell.get("outputs") for cell in source.cells)


def test_what_an_instructor_edited_is_never_overwritten_silently(tmp_path):
    assignment(NAME, tmp_path, root=COURSE)
    source, config = tmp_path / "source" / NAME / f"{NAME}.ipynb", tmp_path / "nbgrader_config.py"
    original = source.read_text(encoding="utf-8")
    again = assignment(NAME, tmp_path, root=COURSE)
    assert again.written == ()
    assert len(again.kept) == 3
    source.write_text(original.replace("three small exercises", "two small exercises"), encoding="utf-8")
    config.write_text("c = get_config()\n")
    os.remove(tmp_path / "README.md")
    with pytest.raises(FileExistsError, match="differs from the course's version"):
        assignment(NAME, tmp_path, root=COURSE)
    assert "two small" in source.read_text(encoding="utf-8")
    assert not (tmp_path / "README.md").exists()
    forced = assignment(NAME, tmp_path, root=COURSE, force=True)
    assert set(forced.written) == {f"source/{NAME}/{NAME}.ipynb", "README.md"}
    assert source.read_text(encoding="utf-8") == original
    assert config.read_text() == "c = get_config()\n"


def test_a_wrong_lesson_or_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"there are: {NAME}"):
        assignment("99", tmp_path, root=COURSE)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        assignment(NAME, tmp_path / "file", root=COURSE)
