"""One JupyterLab and one Chromium for all browser tests; without a browser they are skipped, but never in CI."""

import importlib.util
import os

import pytest
from harness import chromium, find_browser, jupyterlab


def _unable(reason: str):
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"{reason}; in CI the browser tests must run")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A running JupyterLab with folders of its own."""
    if find_browser() is None:
        _unable("no Chromium on this machine; install it (Debian: apt install chromium) to run the browser tests")
    if importlib.util.find_spec("playwright") is None:
        _unable("playwright is not installed; pip install playwright")
    with jupyterlab(tmp_path_factory.mktemp("jupyterlab") / "server") as server:
        yield server


@pytest.fixture(scope="session")
def browser(lab, tmp_path_factory):
    """A running Chromium in a fresh profile."""
    with chromium(find_browser(), tmp_path_factory.mktemp("chromium")) as context:
        yield context
