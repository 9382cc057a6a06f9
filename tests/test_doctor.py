"""`doctor`: each thing that can be wrong is made wrong here, and must be named together with its remedy."""

import importlib.metadata
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from dgmcourse import doctor
from dgmcourse.doctor import Check

Versions = dict[str, str | None]


def versions(monkeypatch, wrong: Versions) -> None:
    """Let some packages have another version, or none (None)."""
    true = importlib.metadata.version

    def pretend(name):
        if name in wrong and wrong[name] is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return wrong.get(name) or true(name)

    monkeypatch.setattr(importlib.metadata, "version", pretend)


def put_first(monkeypatch, folder: Path, module: str, code: str) -> None:
    """Let another process import this module instead of the true one."""
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder))


def kernelspec(monkeypatch, folder: Path, command: str) -> Path:
    """Let Jupyter find a kernel called python3 that runs this command."""
    spec = folder / "kernels" / "python3"
    spec.mkdir(parents=True)
    argv = [command, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "x", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(folder))
    return spec


def run_remedy(remedy: str) -> subprocess.CompletedProcess:
    """Whether a remedy is a command that exists: with --help, it must end well."""
    command = shlex.split(remedy.split(" (")[0].split(", then")[0])
    return subprocess.run([*command, "--help"], capture_output=True, text=True)


@pytest.mark.slow
def test_a_sound_installation_is_found_sound(monkeypatch, tmp_path):
    monkeypatch.setenv("DGMCOURSE_DATA", str(tmp_path))
    monkeypatch.setenv("DGMCOURSE_HOME", str(tmp_path / "home"))
    checks = doctor.doctor()
    assert [str(check) for check in checks if not check.ok] == []
    names = {"Python", "packages", "Jupyter kernel", "widgets", "device", "threads", "data folder", "MNIST", "progress"}
    assert {check.name for check in checks} == names | {"disk space", "Chromium"}
    assert all(len(str(check).splitlines()) == 1 and str(check).startswith("✓ ") for check in checks)
    assert list(tmp_path.iterdir()) == [], "looking leaves nothing behind"


def test_an_old_python_is_to_be_replaced(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 18, "final", 0))
    check = doctor.python()
    assert str(check).startswith("✗ Python: 3.9.18 is older than 3.10")
    assert "PYTHON=" in check.remedy


def test_an_old_and_a_missing_package_come_with_their_commands(monkeypatch):
    versions(monkeypatch, {"ipywidgets": "7.8.1", "pooch": None})
    monkeypatch.setattr(doctor, "_import_errors", lambda names: {})
    old, missing = doctor.packages()
    assert str(old).startswith("✗ ipywidgets: 7.8.1 is not >=8.1")
    assert old.remedy.endswith("-m pip install 'ipywidgets>=8.1'")
    assert (missing.name, missing.found) == ("pooch", "is not installed")
    assert missing.remedy.endswith("-m pip install 'pooch>=1.8'")
    assert run_remedy(old.remedy).returncode == 0


def test_a_development_version_that_is_new_enough_is_accepted(monkeypatch):
    versions(monkeypatch, {"torch": "3.0.0.dev20300101+cu200"})
    monkeypatch.setattr(doctor, "_import_errors", lambda names: {})
    assert all(check.ok for check in doctor.packages())


def test_a_course_that_is_not_installed_is_to_be_installed(monkeypatch):
    def requires(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    (check,) = doctor.packages()
    assert not check.ok
    assert "not installed in" in check.found
    assert check.remedy.endswith("-m pip install -r requirements.txt")


def test_a_broken_import_is_told_from_a_sound_one(monkeypatch, tmp_path):
    put_first(monkeypatch, tmp_path, "pooch", "raise OSError('libgone.so: cannot open shared object file\\nmore')")
    assert doctor._import_errors(["tqdm", "pooch", "typer"]) == {
        "tqdm": "", "pooch": "OSError: libgone.so: cannot open shared object file", "typer": ""
    }  # fmt: skip


def test_an_import_that_kills_python_does_not_kill_the_doctor(monkeypatch, tmp_path):
    put_first(monkeypatch, tmp_path, "pooch", "import os; print('noise', flush=True); os._exit(132)")
    errors = doctor._import_errors(["tqdm", "pooch", "typer"])
    assert errors == {"tqdm": "", "pooch": "the import ends Python, with exit code 132", "typer": ""}


def test_a_broken_torch_is_named_with_its_remedy_and_what_needs_it_is_not_tried(monkeypatch):
    monkeypatch.setattr(doctor, "_import_errors", lambda names: {"torch": "OSError: libtorch_cpu.so"})
    for look in doctor.NEED_TORCH:
        monkeypatch.setattr(doctor, look.__name__, None)  # would raise
    checks = {check.name: check for check in doctor.doctor()}
    version = importlib.metadata.version("torch")
    assert checks["torch"].found == f"{version} cannot be imported (OSError: libtorch_cpu.so)"
    assert checks["torch"].remedy.endswith(f"-m pip install --force-reinstall --no-deps torch=={version}")
    assert "packages" not in checks
    for name in ("device", "data folder", "progress folder"):
        assert (checks[name].ok, checks[name].remedy) == (False, "mend torch first")
    assert checks["widgets"].ok


@pytest.mark.slow
def test_the_command_line_survives_a_broken_torch(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch_cpu.so is damaged')")
    run = subprocess.run(
        [sys.executable, "-m", "dgmcourse", "doctor"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert run.returncode == 1
    assert "cannot be imported (ImportError: libtorch_cpu.so is damaged). To mend it: " in run.stdout
    assert all(line[0] in "✓✗" for line in run.stdout.splitlines())
    assert run.stderr == ""


def test_a_kernel_of_another_python_is_found(monkeypatch, tmp_path):
    other = tmp_path / "other" / "bin" / "python"
    other.parent.mkdir(parents=True)
    other.symlink_to(Path(sys.executable).resolve())  # the same program, another environment
    spec = kernelspec(monkeypatch, tmp_path / "user", str(other))
    check = doctor.kernel()
    assert not check.ok
    assert f"python3 ({spec}) runs {other}, another Python" in check.found
    assert "-m jupyter kernelspec remove python3" in check.remedy
    assert run_remedy(check.remedy).returncode == 0


def test_a_kernel_of_this_environment_that_went_astray_is_installed_again(monkeypatch, tmp_path):
    kernelspec(monkeypatch, tmp_path, str(tmp_path / "moved" / "bin" / "python"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    check = doctor.kernel()
    assert not check.ok
    assert "which is not there" in check.found
    assert check.remedy.endswith("-m ipykernel install --sys-prefix --name python3")
    assert run_remedy(check.remedy).returncode == 0


@pytest.mark.parametrize("command", ["python", "python3", f"python3.{sys.version_info[1]}", sys.executable])
def test_a_kernel_of_this_python_is_recognised(monkeypatch, tmp_path, command):
    kernelspec(monkeypatch, tmp_path, command)
    assert doctor.kernel().ok


def test_a_missing_kernel_is_to_be_installed(monkeypatch):
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    def missing(self, name):
        raise NoSuchKernel(name)

    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", missing)
    check = doctor.kernel()
    assert (check.ok, check.found) == (False, "there is none called python3")
    assert check.remedy.endswith("ipykernel")


def test_a_missing_extension_of_jupyterlab_is_named(monkeypatch, tmp_path):
    import jupyter_core.paths

    monkeypatch.setattr(jupyter_core.paths, "jupyter_path", lambda *parts: [str(tmp_path)])
    for extension, package in doctor.LAB_EXTENSIONS.items():
        check = doctor.widgets()
        assert not check.ok
        assert check.found == f"JupyterLab's extension {extension} is not installed"
        assert check.remedy.endswith(f"{package}, then restart JupyterLab")
        (tmp_path / extension).mkdir(parents=True)
        (tmp_path / extension / "package.json").write_text("{}")
    assert doctor.widgets().ok


@pytest.mark.parametrize(("version", "fault"), [("1.1.11", "1.1.11 is not"), (None, "is not installed")])
def test_two_halves_of_ipywidgets_that_do_not_fit_are_found(monkeypatch, version, fault):
    versions(monkeypatch, {"jupyterlab_widgets": version, "jupyterlab-widgets": version})
    check = doctor.widgets()
    assert not check.ok
    assert check.found.startswith(f"jupyterlab_widgets {fault}")
    assert "pip install -U ipywidgets jupyterlab_widgets" in check.remedy


Torch = namedtuple("Torch", "built_for gpu card hidden")
CARD = {"vendor": "0x10de\n", "class": "0x030000\n"}


@pytest.mark.parametrize(
    ("found", "ok", "words"),
    [
        (Torch(None, False, {}, None), True, "enough for every lesson"),
        (Torch("13.0", False, {}, None), True, "enough for every lesson"),  # Linux's usual torch on a plain laptop
        (Torch("13.0", False, CARD, None), False, "install or update NVIDIA's driver (torch was built for CUDA 13.0)"),
        (Torch("13.0", False, CARD, ""), True, "CUDA_VISIBLE_DEVICES hides all GPUs"),
        (Torch(None, False, CARD, None), True, "https://pytorch.org/get-started/locally/"),
        (Torch("13.0", True, CARD, None), True, "2 × Some GPU"),
    ],
)
def test_the_device_and_what_keeps_torch_from_a_gpu(monkeypatch, tmp_path, found, ok, words):
    import torch

    monkeypatch.setattr(torch.version, "cuda", found.built_for)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: found.gpu)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if found.hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", found.hidden)
    (tmp_path / "0000:01:00.0").mkdir()
    for name, text in found.card.items():
        (tmp_path / "0000:01:00.0" / name).write_text(text)
    look = doctor._nvidia_gpu
    monkeypatch.setattr(doctor, "_nvidia_gpu", lambda: look(tmp_path))
    check = doctor.device()
    assert check.ok == ok
    assert words in str(check)


def test_other_cards_and_unreadable_entries_are_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    for number, (vendor, kind) in enumerate([("0x8086", "0x030000"), ("0x10de", "0x020000")]):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "vendor").write_text(vendor)
        (tmp_path / str(number) / "class").write_text(kind)
    (tmp_path / "unreadable").mkdir()
    assert not doctor._nvidia_gpu(tmp_path)


@pytest.mark.parametrize("variable", ["DGMCOURSE_DATA", "DGMCOURSE_HOME"])
def test_a_folder_that_cannot_be_written_to_is_named_with_its_variable(monkeypatch, tmp_path, variable):
    (tmp_path / "file").write_text("not a folder")  # root may write into any folder, but not into a file
    monkeypatch.setenv("DGMCOURSE_DATA", str(tmp_path))
    monkeypatch.setenv("DGMCOURSE_HOME", str(tmp_path))
    monkeypatch.setenv(variable, str(tmp_path / "file" / "folder"))
    monkeypatch.setattr("dgmcourse.data.downloads.search_folders", lambda: [Path(os.environ["DGMCOURSE_DATA"])])
    wrong = [
        check for look in (doctor.data_folder, doctor.progress_folder) for check in doctor._safely(look) if not check.ok
    ]
    assert len(wrong) == 1
    assert f"{tmp_path / 'file' / 'folder'} cannot be written to" in wrong[0].found
    assert wrong[0].remedy == f"make {tmp_path / 'file'} writable, or set {variable} to a folder that is"


@pytest.mark.parametrize(("place", "suffix"), [("MNIST/raw", ".gz"), ("MNIST/raw", ""), (".", ".gz")])
def test_mnist_is_seen_where_the_course_would_find_it(monkeypatch, tmp_path, place, suffix):
    from dgmcourse.data.handwriting import MNIST

    monkeypatch.setenv("DGMCOURSE_DATA", str(tmp_path))
    assert "downloads it once" in doctor.data_folder()[1].found
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for file in MNIST.files:
        assert "downloads it once" in doctor.data_folder()[1].found, "all four files are needed"
        (tmp_path / place / f"{file.name}{suffix}").touch()
    mnist = doctor.data_folder()[1]
    assert (mnist.ok, mnist.found) == (True, f"in {tmp_path / place}")


def test_a_full_disk_is_found(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12, 2 * 10**8))
    check = doctor.disk_space()
    assert not check.ok
    assert "0.2 GB left" in check.found
    assert check.remedy.startswith("free 1 GB")


def test_threads_and_a_missing_browser_are_information(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for check, words in ((doctor.browser(), "make test"), (doctor.threads(), "set OMP_NUM_THREADS=1")):
        assert check.ok
        assert words in check.found
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert "OMP_NUM_THREADS=3" in doctor.threads().found


def test_a_check_that_raises_becomes_a_line_and_the_others_go_on(monkeypatch):
    def bad_luck():
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(doctor, "CHECKS", [bad_luck, doctor.threads])
    first, second = doctor.doctor()
    assert first == Check(
        "bad luck", False, "could not be looked at (ZeroDivisionError: division by zero)",
        f"{doctor.python_command()} -m pip install -r requirements.txt, then run the doctor again",
    )  # fmt: skip
    assert second.ok


def test_commands_name_the_right_python(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/python")
    assert doctor.python_command() == ".venv/bin/python", "another environment's python is first on the path"
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / ".venv" / "bin" / "python"))
    assert doctor.python_command() == "python"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "executable", "/some where/bin/python")
    assert doctor.python_command() == "'/some where/bin/python'"
