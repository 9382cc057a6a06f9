"""Building notebooks: executed once, kept while the code stays, refused where a reader would see what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import dgmcourse.notebooks
from dgmcourse.notebook_faults import faults, headings
from dgmcourse.notebooks import NotebookError, Report, build, drop_live_widgets, stale

ROOT = Path(__file__).resolve().parents[1]
COURSE = Path(__file__).parent / "notebooks"  # a course of one small lesson
TINY = "# %% [markdown]\n# # Tiny\n\n# %%\nnumber = 1 + 1\nnumber\n"


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> tuple[Path, Report]:
    """The small course, built, and the report of the build."""
    root = tmp_path_factory.mktemp("course")
    (root / "solutions").mkdir()
    source = (COURSE / "solutions" / "01_averages.py").read_text(encoding="utf-8")
    (root / "solutions" / "01_averages.py").write_text(source, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(COURSE))
        return root, build(root=root)


@pytest.fixture
def tiny(tmp_path):
    """Writes and builds a lesson without torch, which takes a second."""

    def make(text: str = TINY, **options) -> Report:
        (tmp_path / "solutions").mkdir(exist_ok=True)
        (tmp_path / "solutions" / "00_tiny.py").write_text(text, encoding="utf-8")
        return build(root=tmp_path, **options)

    make.root = tmp_path
    return make


def read(path: Path):
    return nbformat.read(path, as_version=4)


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.ipynb")}


def test_a_build_executes_solutions_and_leaves_lessons_blank(course):
    root, report = course
    solution, lesson = (read(root / folder / "01_averages.ipynb") for folder in ("solutions", "lessons"))
    shown = {cell.id: cell for cell in solution.cells}
    for name in ("mean", "variance", "largest"):
        assert "✅" in shown[f"averages-{name}-check"].outputs[0].data["text/plain"]
    assert "[3.0, 7.0, 11.0]" in solution.cells[-1].outputs[0].data["text/plain"]
    assert [c.execution_count for c in solution.cells if c.cell_type == "code"] == list(range(1, 9))
    assert all(cell.execution_count is None and not cell.outputs for cell in lesson.cells if cell.cell_type == "code")
    assert lesson.metadata.kernelspec.name == solution.metadata.kernelspec.name == "python3"
    assert not any("execution" in cell.metadata for cell in solution.cells)
    assert "widgets" not in solution.metadata
    (row,) = report.rows
    assert row.written == ("solutions/01_averages.ipynb", "lessons/01_averages.ipynb")
    assert row.seconds > 0
    assert row.sizes["solutions"] == (root / "solutions" / "01_averages.ipynb").stat().st_size


def test_both_notebooks_have_the_same_cells(course):
    solution, lesson = (read(course[0] / folder / "01_averages.ipynb") for folder in ("solutions", "lessons"))
    assert [(c.id, c.cell_type, c.metadata) for c in solution.cells] == [
        (c.id, c.cell_type, c.metadata) for c in lesson.cells
    ]


def test_a_second_build_changes_nothing_and_executes_nothing(course):
    root, _ = course
    before = files(root)
    assert stale(root) == []
    (row,) = build(root=root).rows
    assert (row.seconds, row.peak_memory, row.written) == (None, None, ())
    assert files(root) == before


def test_an_edit_of_the_prose_keeps_the_outputs(tiny):
    tiny(TINY + "\n# %%\nimport time\n\ntime.time_ns()\n")
    before = read(tiny.root / "solutions" / "00_tiny.ipynb")
    (row,) = tiny(TINY.replace("# # Tiny", "# # Small") + "\n# %%\nimport time\n\ntime.time_ns()\n").rows
    after = read(tiny.root / "solutions" / "00_tiny.ipynb")
    assert row.seconds is None
    assert after.cells[0].source == "# Small"
    assert after.cells[1:] == before.cells[1:]


def test_an_edit_of_the_code_or_force_executes_again(tiny):
    source = TINY + "\n# %%\nimport time\n\ntime.time_ns()\n"
    solution = tiny.root / "solutions" / "00_tiny.ipynb"
    tiny(source)
    first = read(solution)
    tiny(source, force=True)
    second = read(solution)
    tiny(source.replace("1 + 1", "3"))
    third = read(solution)
    assert first.cells[-1].outputs != second.cells[-1].outputs != third.cells[-1].outputs
    assert third.cells[1].outputs[0].data["text/plain"] == "3"


def test_what_was_edited_or_damaged_by_hand_is_stale_and_built_anew(tiny):
    tiny()
    good = files(tiny.root)
    solution, lesson = tiny.root / "solutions" / "00_tiny.ipynb", tiny.root / "lessons" / "00_tiny.ipynb"
    for target, content in (
        (solution, solution.read_text().replace("1 + 1", "1 + 2")),
        (solution, "not a notebook"),
        (solution, "{}"),
        (solution, "[]"),
        (solution, None),
        (lesson, lesson.read_text().replace("1 + 1", "1 + 2")),
        (lesson, None),
    ):
        target.unlink() if content is None else target.write_text(content)
        assert stale(tiny.root) == ["00_tiny"]
        tiny()
        assert files(tiny.root) == good
        assert stale(tiny.root) == []


def test_a_failing_cell_is_named_and_the_last_build_remains(tiny):
    tiny()
    before = files(tiny.root)
    with pytest.raises(NotebookError) as caught:
        tiny(TINY + "\n# %%\n# why\nnumber / 0\n")
    first = str(caught.value).split("\n")[0]
    assert first == (
        "00_tiny.py, code cell 2 of 2, line 9, the cell that begins '# why': ZeroDivisionError: division by zero"
    )
    assert "number / 0" in str(caught.value)
    assert files(tiny.root) == before
    assert sorted(path.name for path in (tiny.root / "solutions").iterdir()) == ["00_tiny.ipynb", "00_tiny.py"]


def test_a_kernel_that_dies_is_an_error_at_once(tiny):
    with pytest.raises(NotebookError, match=r"code cell 2 of 2.*the kernel died"):
        tiny(TINY + "\n# %%\nimport os\n\nos._exit(1)\n")
    assert not (tiny.root / "lessons").exists()


def test_what_a_reader_should_not_see_stops_the_build(tiny):
    tiny()
    before = files(tiny.root)
    with pytest.raises(NotebookError, match="stderr"):
        tiny(TINY + "\n# %%\nimport warnings\n\nwarnings.warn('careful', stacklevel=1)\n")
    assert files(tiny.root) == before


def test_a_notebook_that_is_too_large_is_refused(tiny):
    with pytest.raises(NotebookError, match=r"solutions: \d{3,4} KB, the limit is 500 KB"):
        tiny(TINY + "\n# %%\nprint('lines\\n' * 110_000)\n")
    assert files(tiny.root) == {}


def test_notebooks_run_strictly_with_this_interpreter_on_one_thread(tiny, monkeypatch):
    monkeypatch.setenv("EXPECTED", f"{sys.executable}|{tiny.root / 'solutions'}")
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    monkeypatch.setenv("DGMCOURSE_HOME", "somebody's progress")
    tiny(
        TINY + "\n# %%\nimport os\nimport sys\n\nassert f'{sys.executable}|{os.getcwd()}' == os.environ['EXPECTED']\n"
        "assert os.listdir(os.path.dirname(os.environ['DGMCOURSE_HOME']))  # IPython's, and nothing of the course\n"
        "assert not os.path.exists(os.environ['DGMCOURSE_HOME'])\nassert 'NBGRADER_EXECUTION' not in os.environ\n"
        "names = ['DGMCOURSE_STRICT', 'OMP_NUM_THREADS', 'TQDM_DISABLE', 'CUDA_VISIBLE_DEVICES']\n"
        "[os.environ[name] for name in names]\n"
    )
    shown = read(tiny.root / "solutions" / "00_tiny.ipynb").cells[-1].outputs[0].data["text/plain"]
    assert shown == "['1', '1', '1', '']"


def test_peak_memory_counts_what_was_freed_again(tiny):
    (row,) = tiny(TINY + "\n# %%\nlarge = b'x' * 300_000_000\ndel large\n").rows
    assert 300e6 < row.peak_memory < 600e6


def test_lessons_are_chosen_by_number_name_or_path(tiny):
    tiny()
    (tiny.root / "solutions" / "01_other.py").write_text(TINY.replace("Tiny", "Other"))
    (tiny.root / "solutions" / "helper.py").write_text("not a lesson")
    for names in ("01", ["01_other"], ["solutions/01_other.py"], [str(tiny.root / "lessons" / "01_other.ipynb")]):
        assert [row.name for row in build(names, root=tiny.root).rows] == ["01_other"]
    assert [row.name for row in build(root=tiny.root).rows] == ["00_tiny", "01_other"]
    with pytest.raises(FileNotFoundError, match="'02'; there are: 00_tiny, 01_other"):
        build(["02"], root=tiny.root)
    with pytest.raises(FileNotFoundError, match="no folder solutions/"):
        build(root=tiny.root / "solutions")


def test_the_report_is_a_table(course):
    lines = repr(course[1]).split("\n")
    assert lines[0].split() == ["lesson", "executed", "peak", "memory", "solutions", "lessons", "written"]
    assert lines[1].startswith("01_averages  ")
    assert lines[1].endswith("solutions/01_averages.ipynb, lessons/01_averages.ipynb")
    slow = dgmcourse.notebooks.Built("02_slow", 61.0, 10**9, {"solutions": 5000, "lessons": 4000}, ())
    assert repr(Report((slow,))).split("\n")[1].endswith("unchanged  over the budget of 60 s")


def output(**data):
    return nbformat.v4.new_output("display_data", {kind.replace("_", "/"): text for kind, text in data.items()})


WIDGET = nbformat.v4.new_output("display_data", {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "Box()"})
GOOD_OUTPUTS = [
    output(text_html='<img alt="a picture" src="data:image/png;base64,/home/abc/tmp/at0x123">', text_plain="picture"),
    output(text_html='<img alt="a picture" src="x">', image_png="iVBO"),
    output(text_html='<svg role="img" aria-label="a tree"><svg></svg></svg><svg aria-hidden="true"></svg>'),
    output(text_html='<a href="https://example.org/home/me">the page</a> train/tmp/x, 1/2, and/or'),
    nbformat.v4.new_output("stream", name="stdout", text="loss 0.5"),
]
BAD_OUTPUTS = {
    "no alternative text": output(image_png="iVBO", text_plain="<Figure size 640x480 with 1 Axes>"),
    "without alternative text: <img": output(text_html='<p><img src="x"></p>'),
    "alternative text: <img …>": output(text_html='<img alt=" " src="x">'),
    "<svg …>": output(text_html="<svg><path/></svg>"),
    "a widget without a static picture": WIDGET,
    "shows an error: ValueError": nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[]),
    "stderr": nbformat.v4.new_output("stream", name="stderr", text="UserWarning: careful"),
    "path of this machine: '/home/me": output(text_plain="saved to '/home/me/figure.png'"),
    "path of this machine: '/tmp/": nbformat.v4.new_output("stream", name="stdout", text="in /tmp/tmp123 now"),
    "path of this machine: 'C:": output(text_plain=r"C:\Users\me\course"),
    "path of this machine: 'file:": output(text_html='<a href="file:///srv/x">x</a>'),
    "an object's address": output(text_plain="<VAE object at 0x7f0a1b2c3d4e>"),
}


def notebook(markdown="# Title", outputs=(), source="1"):
    cells = [nbformat.v4.new_markdown_cell(markdown), nbformat.v4.new_code_cell(source, outputs=list(outputs))]
    return nbformat.v4.new_notebook(cells=cells)


def test_good_outputs_have_no_faults():
    assert faults(notebook(outputs=GOOD_OUTPUTS)) == []


@pytest.mark.parametrize("said", BAD_OUTPUTS)
def test_bad_outputs_are_named(said):
    (message,) = faults(notebook(outputs=[BAD_OUTPUTS[said]]))
    assert said in message
    assert message.startswith("cell 2, which begins '1': ")


@pytest.mark.parametrize(
    ("markdown", "said"),
    [
        ("## Title", "one '#' heading"),
        ("# One\n# Two", "this one has 2: One, Two"),
        ("# Title\n### Deep", "'Deep' is of level 3 below one of level 1"),
        ("## Before\n# Title", "the first heading is of level 2"),
        ("# Title\n![](map.png)", "![](…)"),
        ('# Title\n<img src="map.png">', "<img …>"),
        ("# Title\nsee /home/me/notes.txt", "its source names a path"),
    ],
)
def test_bad_prose_is_named(markdown, said):
    assert any(said in message for message in faults(notebook(markdown)))


def test_headings_ignore_code_and_may_rise_by_any_number():
    markdown = "# Title\n## A\n### B\n```python\n# a comment\n#### another\n```\n## C\n#hashtag\n"
    assert headings(notebook(markdown)) == [(1, "Title"), (2, "A"), (3, "B"), (2, "C")]
    assert faults(notebook(markdown)) == []


def test_of_a_widget_with_a_static_picture_only_the_picture_is_stored():
    data = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/html": '<img alt="two" src="x">'}
    cell = nbformat.v4.new_code_cell("pad", outputs=[nbformat.v4.new_output("display_data", data), WIDGET])
    drop_live_widgets(cell)
    assert [list(out.data) for out in cell.outputs] == [["text/html"], list(WIDGET.data)]


def test_progress_bars_leave_nothing_behind(tiny):
    tiny(
        TINY
        + "\n# %%\nfrom tqdm.auto import tqdm\n\nfor _ in tqdm(range(3), disable=False):\n    pass\nprint('done')\n"
    )
    shown = read(tiny.root / "solutions" / "00_tiny.ipynb").cells[-1].outputs
    assert [(out.output_type, out.text) for out in shown] == [("stream", "done\n")]


def test_nbval_compares_checks_and_runs_solutions_strictly(course, tmp_path):
    """The command of `make test`, on a course where one stored ✅ was changed and one answer is blank."""
    good = files(course[0])
    solutions, lessons = tmp_path / "solutions", tmp_path / "lessons"
    for folder in (solutions, lessons):
        folder.mkdir()
    (tmp_path / "conftest.py").write_bytes((ROOT / "conftest.py").read_bytes())
    (lessons / "good.ipynb").write_bytes(good["lessons/01_averages.ipynb"])
    tampered = good["solutions/01_averages.ipynb"].decode().replace("✅ averages/mean", "✅ averages/means")
    (solutions / "tampered.ipynb").write_text(tampered, encoding="utf-8")
    (solutions / "blank.ipynb").write_bytes(good["lessons/01_averages.ipynb"])
    command = [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval-lax", "-n", "2", "--dist", "loadscope",
        "--nbval-cell-timeout", "300", "--nbval-current-env", "-q", "-rf", "--color", "no", "solutions", "lessons",
    ]  # fmt: skip
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "DGMCOURSE"))}
    done = subprocess.run(
        command, cwd=tmp_path, env=inherited | {"PYTHONPATH": str(COURSE)}, capture_output=True, text=True, timeout=300
    )
    failed = sorted(line.split(" - ")[0] for line in done.stdout.split("\n") if line.startswith("FAILED"))
    checks_and_the_summary = [f"FAILED solutions/blank.ipynb::Cell {number}" for number in (2, 4, 6, 7)]
    assert failed == [*checks_and_the_summary, "FAILED solutions/tampered.ipynb::Cell 2"], done.stdout + done.stderr
    assert "Cell outputs differ" in done.stdout
