"""Every test of the exercises has its own learner: an empty home, no strict mode, a fresh kernel's memory."""

import pytest

from dgmcourse.exercises.engine import answers, hints, progress, registry


@pytest.fixture(autouse=True)
def learner(tmp_path, monkeypatch):
    """The learner's folder."""
    monkeypatch.setenv("DGMCOURSE_HOME", str(tmp_path / "home"))
    for name in ("DGMCOURSE_STRICT", "NBGRADER_EXECUTION"):
        monkeypatch.delenv(name, raising=False)
    for memory in (answers._NEWEST, hints._GIVEN, progress._STORES):
        memory.clear()
    registry.all_exercises()  # a module is imported, and so registers, only once: before the registry is put by
    known = dict(registry._EXERCISES)
    yield tmp_path / "home"
    registry._EXERCISES.clear()
    registry._EXERCISES.update(known)
