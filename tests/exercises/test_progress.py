"""The map of the course: saved whole, merged with other kernels, and never in the way."""

import json
import os
import subprocess
import sys
import time

import demo
import pytest

from dgmcourse.exercises import progress, register
from dgmcourse.exercises.engine.progress import ProgressFile, home, store

HAMMER = """
import sys
from pathlib import Path
from dgmcourse.exercises.engine.progress import ProgressFile
for number in range(25):
    ProgressFile(Path(sys.argv[1])).record(f"{sys.argv[2]}/{number}", "right")
"""


@pytest.fixture
def file(learner):
    return ProgressFile(learner)


def test_the_map_shows_ten_lessons_and_what_is_done():
    register(*demo.ALL)
    store().record("demo/kl", "right")
    store().record("demo/reparameterize", "wrong")
    shown = progress()
    text = repr(shown)
    assert shown.done == 1
    assert [number for number, _, _ in shown.rows][:10] == [f"{n:02}" for n in range(1, 11)]
    assert "✅ KL to N(0, I) (demo/kl)" in text
    assert "◐ reparameterize" in text
    assert "○ boltzmann" in text
    assert "04  Variational autoencoders: 1 of " in text
    page = shown._repr_html_()
    assert page.count('scope="row"') == len(shown.rows)
    assert "(done)" in page
    assert "(to do)" in page


def test_what_is_done_stays_done_across_kernels(file, learner):
    file.record("vae/kl", "right")
    file.record("vae/kl", "wrong")
    file.record("vae/elbo", "wrong")
    file.record("vae/other", "blank")
    again = ProgressFile(learner).load()
    assert (again.status("vae/kl"), again.status("vae/elbo"), again.status("vae/other")) == ("done", "tried", "")
    assert sorted(os.listdir(learner)) == ["progress.backup.json", "progress.json"]


def test_two_kernels_writing_at_once_lose_nothing(learner):
    kernels = [subprocess.Popen([sys.executable, "-c", HAMMER, str(learner), name]) for name in ("a", "b")]
    assert [kernel.wait(timeout=120) for kernel in kernels] == [0, 0]
    kept = ProgressFile(learner).load()
    assert all(kept.status(f"{name}/{number}") == "done" for name in ("a", "b") for number in range(25))


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", "null", '"text"', '{"schema": 1}', '{"schema": 1, "exercises": [1], "predictions": 7}', "\x00\xff",
     '{"schema": 1, "exercises": {"a/b": 3, "c/d": {"status": ["done"]}, "e/f": {"status": "done"}}}', "[" * 100_000],
)  # fmt: skip
def test_a_damaged_file_breaks_nothing(learner, damage):
    learner.mkdir()
    (learner / "progress.json").write_text(damage)
    file = ProgressFile(learner).load()
    assert set(file.exercises) <= {"e/f"}
    file.record("vae/kl", "right")
    assert ProgressFile(learner).load().status("vae/kl") == "done"


def test_the_backup_saves_what_a_damaged_or_lost_file_held(file, learner):
    file.record("vae/kl", "right")
    for harm in (lambda path: path.write_text('{"schema'), lambda path: path.unlink()):
        harm(learner / "progress.json")
        after = ProgressFile(learner).load()
        assert after.status("vae/kl") == "done"
        after.record("vae/elbo", "right")
        assert json.loads((learner / "progress.json").read_text())["exercises"]["vae/kl"] == {"status": "done"}


def test_a_newer_courses_file_is_left_as_it_is(learner):
    learner.mkdir()
    newer = '{"schema": 99, "exercises": "in another form"}'
    (learner / "progress.json").write_text(newer)
    file = ProgressFile(learner).load()
    file.record("vae/kl", "right")
    assert (learner / "progress.json").read_text() == newer
    assert file.status("vae/kl") == "done"
    assert "newer version" in file.note


def test_a_folder_that_cannot_be_written_costs_only_the_memory(learner, monkeypatch):
    learner.write_text("a file where the folder should be")
    store().record("demo/kl", "right")
    assert store().status("demo/kl") == "done"
    assert "Not saved" in repr(progress())
    assert "Not saved" in progress()._repr_html_()
    monkeypatch.setattr(os, "open", lambda *arguments: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    refused = ProgressFile(learner.parent / "read-only")
    refused.record("demo/kl", "right")
    assert refused.note.endswith("cannot be written (Permission denied).")


def test_a_lock_left_by_a_killed_kernel_is_broken(file, learner):
    learner.mkdir()
    lock = learner / "progress.lock"
    lock.touch()
    os.utime(lock, (time.time() - 60, time.time() - 60))
    file.record("vae/kl", "right")
    assert not lock.exists()
    assert ProgressFile(learner).load().status("vae/kl") == "done"


def test_strict_mode_keeps_progress_in_memory(learner, monkeypatch):
    monkeypatch.setenv("DGMCOURSE_STRICT", "1")
    store().record("demo/kl", "right")
    assert store().status("demo/kl") == "done"
    assert not learner.exists()


def test_home_is_the_users_data_folder_or_the_chosen_one(learner, monkeypatch):
    assert home() == learner
    monkeypatch.delenv("DGMCOURSE_HOME")
    assert home().name == "dgmcourse"
    assert "cache" not in str(home()).lower()
