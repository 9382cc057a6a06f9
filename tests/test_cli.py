"""`python -m dgmcourse`: each command passes on what it was given, and errors are sentences."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import dgmcourse.__main__ as cli
from dgmcourse.doctor import Check

COMMANDS = ("start", "doctor", "notebooks", "assignment", "recipes", "train", "evaluate", "results")


def call(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    """Run `main` as the command line does: exit code, stdout, stderr."""
    monkeypatch.setattr(sys, "argv", ["dgmcourse", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    return ended.value.code or 0, captured.out, captured.err


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments], env=os.environ | environment, capture_output=True, encoding="utf-8"
    )


def test_every_command_is_listed_and_has_its_own_help():
    listed = CliRunner().invoke(cli.app, ["--help"]).output
    for command in COMMANDS:
        assert f"\n  {command} " in listed
        assert CliRunner().invoke(cli.app, [command, "--help"]).exit_code == 0


@pytest.mark.parametrize(("given", "meant"), [("strat", "start"), ("docter", "doctor"), ("recipe", "recipes")])
def test_an_unknown_command_suggests_the_close_ones(monkeypatch, capsys, given, meant):
    code, _, error = call(monkeypatch, capsys, given)
    assert code == 2
    assert f"No such command '{given}'. Did you mean '{meant}'" in error


def test_help_and_doctor_import_nothing_heavy():
    code = "import sys, dgmcourse.__main__, dgmcourse.doctor, dgmcourse.start\nprint(*sys.modules)"
    loaded = set(process("-c", code).stdout.split())
    assert "typer" in loaded
    assert not loaded & {"torch", "numpy", "matplotlib", "jupyter_client", "pooch", "dgmcourse.core"}


def test_the_module_and_the_script_name_themselves():
    assert process("-m", "dgmcourse", "--help").stdout.startswith("Usage: python -m dgmcourse ")
    script = Path(sys.executable).with_name("dgmcourse")
    assert process(str(script), "--help").stdout.startswith("Usage: dgmcourse ")


def test_start_copies_once_and_fresh_puts_the_newest_beside(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("lessons").mkdir()
    Path("lessons/04_vaes.ipynb").write_text("{}")
    assert call(monkeypatch, capsys, "start")[:2] == (0, "Lessons in work: 1 new\n  new      04_vaes.ipynb\n")
    Path("lessons/04_vaes.ipynb").write_text("{ }")
    assert "a newer version is lessons/04_vaes.ipynb" in call(monkeypatch, capsys, "start")[1]
    assert "1 fresh" in call(monkeypatch, capsys, "start", "--fresh", "04_vaes")[1]
    assert (Path("work/04_vaes.ipynb").read_text(), Path("work/04_vaes.new.ipynb").read_text()) == ("{}", "{ }")
    code, out, error = call(monkeypatch, capsys, "start", "--fresh", "04_vae")
    assert (code, out) == (1, "")
    assert error == "Error: no lesson is called '04_vae'; did you mean 04_vaes?\n"


def test_doctor_prints_each_check_and_says_by_its_exit_code_whether_something_is_wrong(monkeypatch, capsys):
    well, ill = Check("one", True, "fine"), Check("two", False, "broken", "mend it")
    monkeypatch.setattr("dgmcourse.doctor.doctor", lambda: [well, well])
    assert call(monkeypatch, capsys, "doctor") == (0, "✓ one: fine\n" * 2, "")
    monkeypatch.setattr("dgmcourse.doctor.doctor", lambda: [ill, well])
    assert call(monkeypatch, capsys, "doctor") == (1, "✗ two: broken. To mend it: mend it\n✓ one: fine\n", "")


def test_a_console_that_has_no_tick_gets_question_marks(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "from dgmcourse import doctor\ndoctor.CHECKS = [lambda: doctor.Check('one', True, 'fine')]\n"
    )
    run = process("-m", "dgmcourse", "doctor", PYTHONPATH=str(tmp_path), PYTHONIOENCODING="cp1252")
    assert (run.returncode, run.stdout, run.stderr) == (0, "? one: fine\n", "")


@pytest.mark.parametrize(
    ("arguments", "target", "expected"),
    [
        (["notebooks"], "dgmcourse.notebooks.build", ((None,), {"force": False})),
        (["notebooks", "04", "05", "--force"], "dgmcourse.notebooks.build", ((["04", "05"],), {"force": True})),
        (["assignment", "04", "cs"], "dgmcourse.classroom.assignment", (("04", Path("cs")), {"force": False})),
        (
            ["assignment", "04", "cs", "--force"],
            "dgmcourse.classroom.assignment",
            (("04", Path("cs")), {"force": True}),
        ),
        (["recipes"], "dgmcourse.recipes.table", ((), {})),
        (["results", "--out", "x.md"], "dgmcourse.results.write", ((Path("x.md"),), {})),
        (
            ["evaluate", "runs/x", "--device", "cpu"],
            "dgmcourse.recipes.evaluate",
            ((Path("runs/x"),), {"device": "cpu"}),
        ),
        (
            ["train", "vae-mnist"],
            "dgmcourse.recipes.train",
            (("vae-mnist",), {"device": "auto", "precision": None, "steps": None, "out": None, "threads": None}),
        ),
        (
            ["train", "x", "--device", "cuda", "--precision", "bf16", "--steps", "9", "--out", "o", "--threads", "2"],
            "dgmcourse.recipes.train",
            (("x",), {"device": "cuda", "precision": "bf16", "steps": 9, "out": Path("o"), "threads": 2}),
        ),
    ],
)
def test_commands_pass_on_what_they_were_given_and_show_what_comes_back(
    monkeypatch, capsys, arguments, target, expected
):
    calls = []
    monkeypatch.setattr(target, lambda *args, **options: calls.append((args, options)) or "what came back")
    assert call(monkeypatch, capsys, *arguments) == (0, "what came back\n", "")
    assert calls == [expected]


def test_a_process_without_a_card_prints_nothing(monkeypatch, capsys):
    monkeypatch.setattr("dgmcourse.recipes.train", lambda *_, **__: None)
    assert call(monkeypatch, capsys, "train", "vae-mnist") == (0, "", "")


def test_recipes_are_listed_and_an_unknown_one_suggests_the_close_one(monkeypatch, capsys):
    assert "vae-mnist" in call(monkeypatch, capsys, "recipes")[1]
    code, _, error = call(monkeypatch, capsys, "train", "vae-mnits")
    assert (code, error) == (1, "Error: there is no recipe 'vae-mnits'; did you mean 'vae-mnist'?\n")


@pytest.mark.parametrize("command", [["notebooks", "no_such"], ["assignment", "no_such", "folder"]])
def test_an_unknown_lesson_is_named_beside_those_there_are(monkeypatch, capsys, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    Path("solutions").mkdir()
    Path("solutions/04_vaes.py").touch()
    code, out, error = call(monkeypatch, capsys, *command)
    assert (code, out) == (1, "")
    assert error.startswith("Error: no lesson is called 'no_such'")
    assert "04_vaes" in error
    assert not Path("folder").exists()


def test_a_folder_without_a_run_is_refused(monkeypatch, capsys, tmp_path):
    code, _, error = call(monkeypatch, capsys, "evaluate", str(tmp_path))
    assert code == 1
    assert error.startswith(f"Error: {tmp_path} holds no ")


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (ValueError("give one"), "give one"),
        (FileExistsError("there is one"), "there is one"),
        (PermissionError(13, "Permission denied", "runs"), "Permission denied: runs"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (ImportError("install what authors need"), "install what authors need"),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            "No module named 'torch'. To see how to mend the",
        ),
        (KeyError("loss"), "KeyError: 'loss' (not foreseen; DGMCOURSE_DEBUG=1 shows where)"),
        (ValueError(), "ValueError"),
    ],
)
def test_errors_are_sentences_without_a_traceback(monkeypatch, capsys, raised, told):
    def fail():
        raise raised

    monkeypatch.delenv("DGMCOURSE_DEBUG", raising=False)
    monkeypatch.setattr("dgmcourse.recipes.table", fail)
    code, out, error = call(monkeypatch, capsys, "recipes")
    assert (code, out) == (1, "")
    assert error.startswith(f"Error: {told}")
    assert len(error.splitlines()) == 1
    monkeypatch.setenv("DGMCOURSE_DEBUG", "1")
    with pytest.raises(type(raised)):
        cli.main()


def test_diverged_training_is_a_sentence(monkeypatch, capsys):
    from dgmcourse.training import TrainingDiverged

    def diverge(*_, **__):
        raise TrainingDiverged("the loss of group 'model' is nan at step 12")

    monkeypatch.setattr("dgmcourse.recipes.train", diverge)
    code, _, error = call(monkeypatch, capsys, "train", "vae-mnist")
    assert (code, error) == (1, "Error: the loss of group 'model' is nan at step 12\n")


def test_a_python_without_the_course_is_told_what_to_do(tmp_path):
    (tmp_path / "typer.py").write_text("raise ImportError(\"No module named 'typer'\")")
    run = process("-m", "dgmcourse", "doctor", PYTHONPATH=str(tmp_path))
    assert run.returncode == 1
    assert run.stderr.startswith(f"Error: the course is not installed in {sys.executable}")
    assert "pip install -r requirements.txt" in run.stderr


def test_a_python_that_is_too_old_is_told_so(tmp_path):
    old = "import sys; sys.version_info = (3, 9, 1); sys.version = '3.9.1 (old)'\n"
    code = f"{old}import runpy; runpy.run_module('dgmcourse', run_name='__main__')"
    run = process("-c", code)
    assert run.returncode == 1
    assert "the course needs Python 3.10 or newer" in run.stderr
    assert "is 3.9.1" in run.stderr


def test_one_lesson_becomes_an_assignment_from_the_command_line(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(Path(__file__).parent / "notebooks")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    code, out, error = call(monkeypatch, capsys, "assignment", "01", str(tmp_path / "course"))
    assert (code, error) == (0, "")
    notebook = json.loads((tmp_path / "course" / "source" / "01_averages" / "01_averages.ipynb").read_text("utf-8"))
    assert any("BEGIN SOLUTION" in "".join(cell["source"]) for cell in notebook["cells"])
    assert "next: cd" in out
