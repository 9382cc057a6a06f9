"""`start`: new lessons arrive, and nothing of the learner's is ever overwritten, whatever happened in between."""

import os
import threading

import pytest

import dgmcourse.start
from dgmcourse.start import RECORD, start

FIRST, SECOND = b'{"cells": ["first"]}', b'{"cells": ["second"]}'


@pytest.fixture
def course(tmp_path):
    """A course of two lessons, and beside it the place for the learner's folder."""
    (tmp_path / "lessons").mkdir()
    (tmp_path / "lessons" / "01_averages.ipynb").write_bytes(FIRST)
    (tmp_path / "lessons" / "04_vaes.ipynb").write_bytes(SECOND)
    return tmp_path


def begin(course, **options):
    return start(course / "work", source=course / "lessons", **options)


def statuses(report) -> dict[str, str]:
    return {lesson.name: lesson.status for lesson in report.lessons}


def files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != RECORD}


def test_lessons_are_copied_byte_by_byte_and_nothing_else_is_left(course):
    report = begin(course)
    assert statuses(report) == {"01_averages": "new", "04_vaes": "new"}
    assert files(course / "work") == {"01_averages.ipynb": FIRST, "04_vaes.ipynb": SECOND}
    assert "2 new" in repr(report)


def test_answers_survive_an_update_which_is_announced_with_the_command_that_fetches_it(course):
    begin(course)
    (course / "work" / "04_vaes.ipynb").write_bytes(b"my answers")
    assert statuses(begin(course)) == {"01_averages": "kept", "04_vaes": "kept"}, "her own edits are no news"
    (course / "lessons" / "04_vaes.ipynb").write_bytes(b"better prose")
    report = begin(course)
    assert statuses(report) == {"01_averages": "kept", "04_vaes": "changed"}
    assert files(course / "work")["04_vaes.ipynb"] == b"my answers"
    (line,) = [line for line in repr(report).splitlines() if "changed  " in line]
    assert "yours is untouched" in line
    assert line.endswith(f"-m dgmcourse start {course / 'work'} --fresh 04_vaes")
    assert str(course / "lessons" / "04_vaes.ipynb") in line


def test_a_lesson_that_was_not_touched_is_not_replaced_either(course):
    begin(course)
    (course / "lessons" / "01_averages.ipynb").write_bytes(b"better prose")
    assert statuses(begin(course))["01_averages"] == "changed"
    assert files(course / "work")["01_averages.ipynb"] == FIRST


@pytest.mark.parametrize("name", ["04_vaes", "04", "04_vaes.ipynb", "lessons/04_vaes.ipynb"])
def test_fresh_puts_the_newest_version_beside_the_old_one_and_is_then_no_news(course, name):
    begin(course)
    (course / "work" / "04_vaes.ipynb").write_bytes(b"my answers")
    (course / "lessons" / "04_vaes.ipynb").write_bytes(b"better prose")
    report = begin(course, fresh=[name])
    assert statuses(report) == {"01_averages": "kept", "04_vaes": "fresh"}
    assert files(course / "work")["04_vaes.ipynb"] == b"my answers"
    assert files(course / "work")["04_vaes.new.ipynb"] == b"better prose"
    assert statuses(begin(course))["04_vaes"] == "kept"


def test_fresh_twice_keeps_what_was_written_into_the_first_one(course):
    begin(course)
    for number in (1, 2):
        (course / "work" / "04_vaes.ipynb").write_bytes(b"my answers")
        (course / "lessons" / "04_vaes.ipynb").write_bytes(b"version %d" % number)
        begin(course, fresh="04")
        begin(course, fresh="04")  # asking again makes no second copy
    names = {"04_vaes.ipynb": b"my answers", "04_vaes.new.ipynb": b"version 1", "04_vaes.new-2.ipynb": b"version 2"}
    assert files(course / "work") == {"01_averages.ipynb": FIRST} | names


def test_a_deleted_lesson_comes_back_and_a_new_one_arrives(course):
    begin(course)
    (course / "work" / "01_averages.ipynb").unlink()
    (course / "lessons" / "05_gans.ipynb").write_bytes(b"gans")
    assert statuses(begin(course)) == {"01_averages": "new", "04_vaes": "kept", "05_gans": "new"}


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"null", b'{"copied": 3}', b'{"copied": {"04_vaes.ipynb": 7}}', b"\xff"]
)
def test_a_damaged_record_costs_the_announcement_and_nothing_else(course, damage):
    begin(course)
    (course / "work" / RECORD).write_bytes(damage)
    (course / "work" / "04_vaes.ipynb").write_bytes(b"my answers")
    (course / "lessons" / "04_vaes.ipynb").write_bytes(b"better prose")
    assert statuses(begin(course)) == {"01_averages": "kept", "04_vaes": "kept"}
    assert files(course / "work")["04_vaes.ipynb"] == b"my answers"
    (course / "lessons" / "01_averages.ipynb").write_bytes(b"better prose")  # its hash was found again
    assert statuses(begin(course))["01_averages"] == "changed"


def test_a_record_that_cannot_be_a_file_is_lived_with(course):
    (course / "work" / RECORD).mkdir(parents=True)
    assert statuses(begin(course)) == {"01_averages": "new", "04_vaes": "new"}
    assert not list((course / "work").glob("*.partial"))


def test_two_starts_at_once_and_an_answer_in_between_lose_nothing(course):
    reports = []
    workers = [threading.Thread(target=lambda: reports.append(begin(course))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(reports) == 4
    assert sum(statuses(report)["04_vaes"] == "new" for report in reports) >= 1
    assert files(course / "work") == {"01_averages.ipynb": FIRST, "04_vaes.ipynb": SECOND}


def test_a_file_that_appears_while_its_lesson_is_written_stays(course, monkeypatch):
    """Someone else writes the same file after `start` has looked: both ways of putting a file in place give way."""
    target = course / "mine.ipynb"
    for has_links in (True, False):
        link = os.link

        def appear(source, destination, has_links=has_links, link=link):
            target.write_bytes(b"my answers")
            if not has_links:
                raise OSError("this file system has no links")
            link(source, destination)

        monkeypatch.setattr(dgmcourse.start.os, "link", appear)
        assert not dgmcourse.start._create(target, FIRST)
        assert target.read_bytes() == b"my answers"
        target.unlink()
        monkeypatch.setattr(dgmcourse.start.os, "link", link)
    assert not list(course.glob(".*.partial"))


def test_a_file_system_without_links_is_written_to_all_the_same(course, monkeypatch):
    def refuse(*_):
        raise OSError("not supported")

    monkeypatch.setattr(dgmcourse.start.os, "link", refuse)
    begin(course)
    assert files(course / "work") == {"01_averages.ipynb": FIRST, "04_vaes.ipynb": SECOND}


def test_a_copy_that_breaks_off_leaves_no_half_file(course, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(dgmcourse.start.os, "link", full)
        patch.setattr(dgmcourse.start.os, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            begin(course)
    assert files(course / "work") == {}
    assert statuses(begin(course)) == {"01_averages": "new", "04_vaes": "new"}


def test_a_link_to_nowhere_is_the_learners_business(course):
    (course / "work").mkdir()
    (course / "work" / "04_vaes.ipynb").symlink_to(course / "nowhere.ipynb")
    assert statuses(begin(course)) == {"01_averages": "new", "04_vaes": "kept"}
    assert not (course / "nowhere.ipynb").exists()


def test_mistakes_are_answered_with_what_to_do(course, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"no lesson is called '04_vea'; did you mean 04_vaes\?"):
        begin(course, fresh="04_vea")
    assert not (course / "work").exists(), "nothing is made before the names are understood"
    (course / "file").write_text("mine")
    with pytest.raises(NotADirectoryError, match="is a file; give a folder"):
        start(course / "file", source=course / "lessons")
    assert (course / "file").read_text() == "mine"
    with pytest.raises(ValueError, match="the course's own lessons"):
        start(course / "lessons", source=course / "lessons")
    (course / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"holds no lessons.*make notebooks"):
        start(course / "work", source=course / "empty")
    with pytest.raises(FileNotFoundError, match=r"looked for .*missing"):
        start(course / "work", source=course / "missing")


def test_a_folder_that_cannot_be_written_to_is_named(course, monkeypatch):
    def forbidden(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(dgmcourse.start, "_create", forbidden)  # root may write anywhere, so it is simulated
    with pytest.raises(PermissionError, match=r"cannot write to .*work; give a folder that you can write to"):
        begin(course)


def test_without_a_source_the_checkouts_own_lessons_are_found(course, monkeypatch):
    monkeypatch.chdir(course)
    assert statuses(start()) == {"01_averages": "new", "04_vaes": "new"}
    (course / "lessons" / "04_vaes.ipynb").write_bytes(b"better prose")
    assert repr(start()).endswith("dgmcourse start --fresh 04_vaes"), "work is the default, and need not be said"
