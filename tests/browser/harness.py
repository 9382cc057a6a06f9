"""JupyterLab in Chromium, both started here with folders of their own, and both ended here whatever happens."""

import contextlib
import inspect
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip


def find_browser() -> str | None:
    """Path of a Chromium on this machine, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@dataclass(frozen=True)
class Server:
    """A running JupyterLab."""

    url: str
    token: str
    folder: Path  # where its notebooks lie
    log: Path  # what it says

    def address(self, notebook: str, app: str = "lab") -> str:
        """Where the browser opens a notebook, in "lab" or in Notebook 7 ("notebooks")."""
        place = f"lab/workspaces/{Path(notebook).stem}/tree" if app == "lab" else app
        return f"{self.url}/{place}/{notebook}?token={self.token}"

    def write(self, name: str, cells: list[str]) -> str:
        """Write a notebook of code cells into the server's folder; returns its name."""
        code = [{"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "outputs": [], "execution_count": None,
                 "source": source} for i, source in enumerate(cells)]  # fmt: skip
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        notebook = {"cells": code, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
        (self.folder / name).write_text(json.dumps(notebook), encoding="utf-8")
        return name


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _environment(folder: Path) -> dict[str, str]:
    """Every folder that Jupyter writes to lies under `folder`; nothing of the user's is read or changed."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "IPYTHON"))}
    for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"):
        environment[f"JUPYTER_{name}"] = str(folder / name.lower())
    for name in ("SETTINGS_DIR", "WORKSPACES_DIR"):
        environment[f"JUPYTERLAB_{name}"] = str(folder / name.lower())
    python = os.pathsep.join([str(TESTS.parent), str(TESTS / "explorers")])
    return {**environment, "IPYTHONDIR": str(folder / "ipython"), "OMP_NUM_THREADS": "1", "PYTHONPATH": python}


@contextlib.contextmanager
def jupyterlab(folder: Path, *options: str, prompt: bool = True) -> Iterator[Server]:
    """A JupyterLab whose notebooks, settings and logs lie in `folder`; ended, with its kernels, on leaving.

    The extension `dgmcourse.server` is on, as it is by itself in any JupyterLab; without `prompt` it is turned off.
    """
    port, token, notebooks = _free_port(), secrets.token_hex(16), folder / "notebooks"
    notebooks.mkdir(parents=True)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
               "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={notebooks}",
               "--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True",
               "--LabApp.news_url=None", *options]  # fmt: skip
    if not prompt:
        command.append("--ServerApp.jpserver_extensions={'dgmcourse.server': False}")
    quiet = folder / "settings_dir" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)
    (quiet / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    log = (folder / "jupyterlab.log").open("wb")
    process = subprocess.Popen(command, env=_environment(folder), stdout=log, stderr=log, cwd=folder)
    try:
        server = Server(f"http://127.0.0.1:{port}", token, notebooks, folder / "jupyterlab.log")
        _wait_until_up(server, process, folder / "jupyterlab.log")
        yield server
    finally:
        _end(process)
        log.close()


def _wait_until_up(server: Server, process: subprocess.Popen, log: Path, patience: float = 90) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.url}/api/status?token={server.token}", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    state = "did not answer" if process.poll() is None else f"ended with {process.returncode}"
    raise RuntimeError(f"JupyterLab {state}; the end of its log:\n{log.read_text(errors='replace')[-3000:]}")


def _end(process: subprocess.Popen) -> None:
    """Ask the server to end (it then ends its kernels), and insist where it does not."""
    for how in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)


@contextlib.contextmanager
def chromium(executable: str, profile: Path) -> Iterator:
    """A Playwright browser context in a fresh profile; closed on leaving."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=executable, headless=True, args=list(FLAGS), chromium_sandbox=False,
            viewport={"width": 1280, "height": 900},
        )  # fmt: skip
        try:
            yield context
        finally:
            context.close()


def open_and_run(context, server: Server, notebook: str, ready: str, app: str = "lab", patience: float = 90) -> object:
    """Open a notebook in JupyterLab (or, with app="notebooks", in Notebook 7), run all its cells, and wait until
    `ready` (a CSS selector) is on the page."""
    page = context.new_page()
    page.set_default_timeout(patience * 1000)
    page.goto(server.address(notebook, app))
    page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.isReady")
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_selector(f"{ready}, .jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']")
    failure = page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']")
    if not page.locator(ready).count():
        raise AssertionError(f"the notebook failed:\n{failure.first.inner_text()}")
    page.set_default_timeout(40_000)
    return page


def run_cells(context, server: Server, name: str, cells: list[str], app: str = "lab") -> object:
    """Write a notebook of these cells, run it to its end, and in JupyterLab give it the whole width of the window."""
    last = "from IPython.display import HTML; HTML('<span id=\"finished\">finished</span>')"
    page = open_and_run(context, server, server.write(f"{name}.ipynb", [*cells, last]), "#finished", app)
    if app == "lab":
        page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    return page


def root_of(page, name: str) -> object:
    """The first explorer of this kind, scrolled into view once its picture is there."""
    root = page.locator(f".dgm-{name}").first
    root.locator("img.dgm-picture").first.wait_for()
    root.scroll_into_view_if_needed()
    return root


def wait_for_alt(root, words: str) -> None:
    """Until a picture of the explorer is described with these words."""
    root.locator(f"img.dgm-picture[alt*='{words}']").first.wait_for()


def soon(page, holds: Callable[[], object], patience: float = 40) -> None:
    """Until `holds()` is true: numbers, words and frames come in messages of their own, each when it can.

    An element that is not there yet (None, a read of a number that fails) counts as not yet true.
    """
    deadline, failure = time.monotonic() + patience, None
    while time.monotonic() < deadline:
        try:
            if holds():
                return
            failure = None
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            failure = error
        page.wait_for_timeout(50)
    raise AssertionError(f"not within {patience:g} s: {inspect.getsource(holds).strip()}") from failure
