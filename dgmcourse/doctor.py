"""`python -m dgmcourse doctor`: what is wrong with this installation, if anything, and how to mend it.

Every check is a function without arguments that returns one `Check` or several. Imports that may fail happen inside;
a check that raises becomes a line that says so, and the others go on.
"""

from __future__ import annotations  # so that a Python which is too old gets as far as being told so

import importlib.metadata
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Check", "doctor", "python_command"]

MINIMUM_PYTHON = (3, 10)
FREE_SPACE = 1e9  # bytes
IMPORT_NAMES = {"scikit-learn": "sklearn"}  # where it is not the distribution's name
NVIDIA = "0x10de"  # its vendor number on the PCI bus
LAB_EXTENSIONS = {"@jupyter-widgets/jupyterlab-manager": "jupyterlab_widgets", "anywidget": "anywidget"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

TRY_IMPORTS = """
import importlib, json, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
        error = ""
    except BaseException as problem:
        error = f"{type(problem).__name__}: {problem}".splitlines()[0]
    print("\\ndgmcourse" + json.dumps([name, error]), flush=True)
"""


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report.

    Attributes:
        name: what was looked at.
        ok: whether it is as it should be.
        found: what was found.
        remedy: what to do, if it is not ok.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""

    def __str__(self):
        remedy = f". To mend it: {self.remedy}" if self.remedy else ""
        return f"{'✓' if self.ok else '✗'} {self.name}: {self.found}{remedy}"


def doctor() -> list[Check]:
    """Look at everything that the course needs: one `Check` a line. Never raises."""
    checks: list[Check] = []
    for look in CHECKS:
        if look in NEED_TORCH and any(check.name == "torch" and not check.ok for check in checks):
            checks.append(Check(_title(look), False, "not looked at, because it needs torch", "mend torch first"))
        else:
            checks += _safely(look)
    return checks


def _safely(look: Callable[[], Check | Iterable[Check]]) -> list[Check]:
    try:
        found = look()
        return [found] if isinstance(found, Check) else list(found)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        remedy = f"{_reinstall()}, then run the doctor again"
        return [Check(_title(look), False, f"could not be looked at ({reason})", remedy)]


def _title(look: Callable) -> str:
    return look.__name__.replace("_", " ")


def python_command() -> str:
    """How to start this interpreter from the working directory: `python` where that is the one, else its path."""
    found = shutil.which("python")
    if found and _same_environment(found, sys.executable):
        return "python"
    path = Path(sys.executable)
    path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return shlex.quote(str(path)) if os.name == "posix" else f'& "{path}"'


def _reinstall() -> str:
    return f"{python_command()} -m pip install -r requirements.txt"


def _same_environment(one: str | Path, other: str | Path) -> bool:
    """Whether two interpreters lie in the same folder. They may be links to one file, yet of different environments."""
    return Path(one).absolute().parent.resolve() == Path(other).absolute().parent.resolve()


def python() -> Check:
    """The version of the interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < MINIMUM_PYTHON:
        needed = ".".join(map(str, MINIMUM_PYTHON))
        return Check("Python", False, f"{version} is older than {needed}",
                     f"install Python {needed} or newer, then: make clean lab PYTHON=/path/to/python3")  # fmt: skip
    return Check("Python", True, f"{version}, {sys.executable}")


def packages() -> list[Check]:
    """Every package that the course needs: there, new enough, importable."""
    try:
        required = importlib.metadata.requires("dgmcourse") or []
    except importlib.metadata.PackageNotFoundError:
        return [Check("packages", False, f"the course is not installed in {sys.executable}", _reinstall())]
    from packaging.requirements import Requirement

    needed = [need for need in map(Requirement, required) if need.marker is None or need.marker.evaluate({"extra": ""})]
    wrong = {need.name: found for need in needed if (found := _version_fault(need))}
    errors = _import_errors([IMPORT_NAMES.get(need.name, need.name) for need in needed if need.name not in wrong])
    faults = []
    for need in needed:
        error = errors.get(IMPORT_NAMES.get(need.name, need.name))
        quoted = f"'{need.name}{need.specifier}'"
        if need.name in wrong:
            faults.append(Check(need.name, False, wrong[need.name], f"{python_command()} -m pip install {quoted}"))
        elif error:
            remedy = f"{python_command()} -m pip install --force-reinstall --no-deps {need.name}=={_version(need.name)}"
            faults.append(Check(need.name, False, f"{_version(need.name)} cannot be imported ({error})", remedy))
    return faults or [Check("packages", True, f"all {len(needed)} are new enough and can be imported")]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _version_fault(need) -> str:
    version = _version(need.name)
    if version is None:
        return "is not installed"
    return "" if need.specifier.contains(version, prereleases=True) else f"{version} is not {need.specifier}"


def _import_errors(names: list[str]) -> dict[str, str]:
    """What each import fails with ("" where it does not), tried in another process: a broken one may kill it."""
    errors: dict[str, str] = {}
    while remaining := [name for name in names if name not in errors]:
        command = [sys.executable, "-c", TRY_IMPORTS, *remaining]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace")
        for line in done.stdout.splitlines():
            if line.startswith("dgmcourse["):
                name, error = json.loads(line.removeprefix("dgmcourse"))
                errors[name] = error
        if killer := next((name for name in remaining if name not in errors), None):
            errors[killer] = f"the import ends Python, with exit code {done.returncode}"
    return errors


def kernel() -> Check:
    """Whether notebooks run in this interpreter."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        remedy = f"{python_command()} -m pip install --force-reinstall --no-deps ipykernel"
        return Check("Jupyter kernel", False, "there is none called python3", remedy)
    command = spec.argv[0]
    major, minor = sys.version_info[:2]
    if command in ("python", f"python{major}", f"python{major}.{minor}"):  # Jupyter puts its own interpreter there
        return Check("Jupyter kernel", True, "python3 runs this Python")
    interpreter = shutil.which(command)
    if interpreter and _same_environment(interpreter, sys.executable):
        return Check("Jupyter kernel", True, "python3 runs this Python")
    found = f"python3 ({spec.resource_dir}) runs {command}, " + (
        "another Python" if interpreter else "which is not there"
    )
    if Path(spec.resource_dir).is_relative_to(sys.prefix):
        return Check(
            "Jupyter kernel", False, found, f"{python_command()} -m ipykernel install --sys-prefix --name python3"
        )
    remedy = f"{python_command()} -m jupyter kernelspec remove python3 (this Python brings its own)"
    return Check("Jupyter kernel", False, found, remedy)


def widgets() -> Check:
    """Whether JupyterLab can draw the explorers: both extensions installed, the two halves of ipywidgets of one kind."""
    from jupyter_core.paths import jupyter_path
    from packaging.requirements import Requirement

    folders = [Path(folder) for folder in jupyter_path("labextensions")]
    for extension, package in LAB_EXTENSIONS.items():
        if not any((folder / extension / "package.json").is_file() for folder in folders):
            remedy = f"{python_command()} -m pip install --force-reinstall --no-deps {package}, then restart JupyterLab"
            return Check("widgets", False, f"JupyterLab's extension {extension} is not installed", remedy)
    wanted = [Requirement(line) for line in importlib.metadata.requires("ipywidgets") or []]
    for need in wanted:
        if need.name.replace("-", "_") == "jupyterlab_widgets" and (fault := _version_fault(need)):
            remedy = f"{python_command()} -m pip install -U ipywidgets jupyterlab_widgets, then restart JupyterLab"
            found = f"jupyterlab_widgets {fault}, which ipywidgets {_version('ipywidgets')} needs"
            return Check("widgets", False, found, remedy)
    return Check("widgets", True, "JupyterLab can draw them")


def device() -> Check:
    """What trains: a GPU that torch can use, or the CPU."""
    import torch

    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        return Check("device", True, f"{count} × {torch.cuda.get_device_name(0)}, torch {torch.__version__}")
    if torch.backends.mps.is_available():
        return Check("device", True, f"mps (Apple), torch {torch.__version__}")
    cpu = f"the CPU, torch {torch.__version__}"
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return Check("device", True, f"{cpu}; CUDA_VISIBLE_DEVICES hides all GPUs")
    if not _nvidia_gpu():
        return Check("device", True, f"{cpu}; that is enough for every lesson")
    if torch.version.cuda:
        remedy = f"install or update NVIDIA's driver (torch was built for CUDA {torch.version.cuda}), then restart"
        return Check("device", False, f"{cpu}; there is an NVIDIA GPU, but no driver that torch can use", remedy)
    remedy = "to use it, install the CUDA build that https://pytorch.org/get-started/locally/ shows"
    return Check("device", True, f"{cpu}; there is an NVIDIA GPU, but this torch is built for the CPU alone ({remedy})")


def _nvidia_gpu(bus: Path = Path("/sys/bus/pci/devices")) -> bool:
    """Whether this computer has a graphics card by NVIDIA, with or without a driver."""
    if shutil.which("nvidia-smi"):
        return True
    for card in bus.glob("*"):
        try:
            if (card / "vendor").read_text().strip() == NVIDIA and (card / "class").read_text().startswith("0x03"):
                return True
        except OSError:
            continue
    return False


def threads() -> Check:
    """How many CPU threads torch uses."""
    cores = os.cpu_count() or 1
    chosen = os.environ.get("OMP_NUM_THREADS")
    if chosen:
        return Check("threads", True, f"OMP_NUM_THREADS={chosen}, of {cores} cores")
    return Check("threads", True, f"torch chooses, of {cores} cores (on a shared machine, set OMP_NUM_THREADS=1)")


def data_folder() -> list[Check]:
    """Where downloads are kept, and whether MNIST is there."""
    from .data.downloads import DATA_VARIABLE, data_folder, search_folders
    from .data.handwriting import MNIST

    folder = data_folder()
    checks = [_writable("data folder", folder, DATA_VARIABLE)]
    places = [place for root in search_folders() for place in (root / MNIST.folder / "raw", root / MNIST.folder, root)]
    for place in places:
        if all((place / file.name).is_file() or (place / f"{file.name}.gz").is_file() for file in MNIST.files):
            return [*checks, Check("MNIST", True, f"in {place}")]
    return [*checks, Check("MNIST", True, "not here; no lesson needs it, and mnist() downloads it once (11 MB)")]


def progress_folder() -> Check:
    """Where it is kept which exercises are done."""
    from .exercises.engine.progress import home

    return _writable("progress", home(), "DGMCOURSE_HOME")


def _writable(name: str, folder: Path, variable: str) -> Check:
    """Whether a file can be made in a folder, or, where there is none yet, in the folder that it would be made in."""
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    try:
        if not existing.is_dir():
            raise NotADirectoryError(f"{existing} is a file")
        probe = existing / f".dgmcourse.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = f"make {existing} writable, or set {variable} to a folder that is"
        return Check(name, False, f"{folder} cannot be written to ({reason})", remedy)
    return Check(name, True, f"{folder} can be written to")


def disk_space() -> Check:
    """Room where you work: for notebooks, runs and checkpoints."""
    free = shutil.disk_usage(Path.cwd()).free
    if free < FREE_SPACE:
        remedy = f"free {FREE_SPACE / 1e9:.0f} GB, or work on another disk (old checkpoints are in runs/)"
        return Check("disk space", False, f"{free / 1e9:.1f} GB left on the disk of {Path.cwd()}", remedy)
    return Check("disk space", True, f"{free / 1e9:.0f} GB left")


def browser() -> Check:
    """Chromium, which the browser tests drive."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    return Check("Chromium", True, found or "not here; only `make test` uses it, and leaves the browser tests out")


CHECKS = [python, packages, kernel, widgets, device, threads, data_folder, progress_folder, disk_space, browser]
NEED_TORCH = (device, data_folder, progress_folder)
