"""How `pytest --nbval-lax solutions lessons` runs the notebooks: as the build does, and only solutions/ strictly."""

import shutil
import tempfile
from pathlib import Path

import pytest

HOMES = pytest.StashKey[dict]()  # one empty home of the course for each notebook


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """nbval starts a notebook's kernel in the set-up of its first cell; the kernel inherits the environment."""
    if item.path.suffix != ".ipynb":
        return (yield)
    from dgmcourse.notebooks import environment

    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(_home(item), strict=item.path.parent.name == "solutions").items():
            patch.setenv(name, value)
        return (yield)


def _home(item) -> Path:
    homes = item.config.stash.setdefault(HOMES, {})
    if item.path not in homes:
        homes[item.path] = Path(tempfile.mkdtemp(prefix="dgmcourse-"))
        item.config.add_cleanup(lambda: shutil.rmtree(homes[item.path], ignore_errors=True))
    return homes[item.path]
