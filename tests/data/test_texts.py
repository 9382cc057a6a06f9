"""Text: windows, splits, the prose that ships, and a download from a local server that misbehaves."""

import hashlib
import http.server
import threading
from pathlib import Path

import pytest
import torch

from dgmcourse.core import Space
from dgmcourse.data import (
    DamagedFile,
    Dataset,
    DownloadFailed,
    course_prose,
    markov_text,
    text,
    texts,
    tiny_shakespeare,
)
from dgmcourse.notebook_prose import PROSE, lesson_prose, plain_sentences, write_prose

PLAYS = "".join(f"Line {i} of a play that was never written.\n" for i in range(200))
ROOT = Path(__file__).resolve().parents[2]


class Server(http.server.ThreadingHTTPServer):
    """Serves PLAYS as input.txt, or what `fault` says; counts what was asked for."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault, self.asked = None, 0
        self.address = f"http://127.0.0.1:{self.server_address[1]}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked += 1
        body = PLAYS.encode()
        if self.server.fault == "missing" or self.path != "/input.txt":
            self.send_error(404)
            return
        body = {"wrong": b"<html>hello</html>", "truncated": body[:-1]}.get(self.server.fault, body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:100] if self.server.fault == "breaks off" else body)
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    server = Server()
    monkeypatch.setattr(texts, "SHAKESPEARE_MIRRORS", (server.address,))
    monkeypatch.setattr(texts, "SHAKESPEARE_SHA256", hashlib.sha256(PLAYS.encode()).hexdigest())
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def away_from_home(tmp_path, monkeypatch):
    monkeypatch.setenv("DGMCOURSE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


class TestAlphabet:
    def test_text_comes_back(self):
        for data in (text("markov", 8, n=(3, 3, 3)), text("course", 40)):
            row = data.test[0]
            assert torch.equal(data.encode_text(data.decode_text(row)), row)
            assert data.encode_text("").shape == (0,)

    def test_what_is_no_text_says_so(self):
        data = markov_text(8, n=(3, 3, 3))
        with pytest.raises(ValueError, match="markov has no 'xz'"):
            data.encode_text("tzx")
        with pytest.raises(ValueError, match="decode each row"):
            data.decode_text(data.test)
        x = torch.zeros(2, 2)
        with pytest.raises(ValueError, match=r"is no text; take text\('course'\)"):
            Dataset("points", Space.real(2), x, x, x).encode_text("a")
        tokens = torch.zeros(2, 3, dtype=torch.int64)
        with pytest.raises(ValueError, match="as many tokens"):
            Dataset("letters", Space.tokens(3, 4), tokens, tokens, tokens, alphabet="abc")

    def test_the_alphabet_survives_a_move(self):
        assert markov_text(8, n=(3, 3, 3)).to("cpu").alphabet == " aeinrst"

    def test_other_names_are_refused(self):
        with pytest.raises(ValueError, match="'markov', 'course', 'shakespeare', got 'latin'"):
            text("latin")


class TestMarkov:
    def test_every_split_is_drawn_from_the_truth(self):
        data = markov_text(12, n=(2000, 500, 500), order=2, seed=4)
        for x in (data.train, data.valid, data.test):
            cost = -data.truth.log_prob(x)
            assert float(cost.mean()) == pytest.approx(data.truth.entropy, abs=4 * float(cost.std()) / len(x) ** 0.5)
        assert data.alphabet == data.truth.alphabet
        assert not torch.equal(data.valid, data.test)


class TestProse:
    def test_splits_hold_all_of_it_and_nothing_twice(self):
        """Examples to validate or test are not in the training text, and every lesson gives to every split."""
        data = course_prose(50, stride=50)
        prose = PROSE.read_text(encoding="utf-8")
        sizes = [len(x) * 50 for x in (data.train, data.valid, data.test)]
        assert sum(sizes) == pytest.approx(len(prose), rel=0.03)
        assert 0.06 * len(prose) < min(sizes[1:])
        train = "\n".join(map(data.decode_text, data.train))
        for x in (data.valid, data.test):
            pieces = [data.decode_text(row) for row in x]
            assert all(piece in prose for piece in pieces)
            assert not any(piece in train for piece in pieces)

    def test_stride_overlaps_training_examples_alone(self):
        one, four = course_prose(64, stride=64), course_prose(64)
        assert len(four.train) > 3.5 * len(one.train)
        assert len(four.test) == len(one.test)
        assert torch.equal(four.train[0, 16:], four.train[1, :48])

    def test_lengths_out_of_range_are_refused(self):
        with pytest.raises(ValueError, match="from 1 to 2,000 characters"):
            course_prose(2001)
        with pytest.raises(ValueError, match="stride must be ≥ 1"):
            course_prose(64, stride=0)

    def test_what_ships_is_plain_english_about_this_course(self):
        prose = PROSE.read_text(encoding="utf-8")
        assert 50_000 < len(prose) < 400_000
        assert prose.isascii()
        assert len(set(prose)) < 90
        assert not set(prose) & set("$`\\{}<>|*#_@")
        for word in ("model", "likelihood", "samples", "training", "probability"):
            assert prose.count(word) > 10
        assert 0.14 < prose.count(" ") / len(prose) < 0.22

    def test_what_ships_is_still_what_the_lessons_say(self):
        """Lessons change; when a quarter of the text is no longer theirs, write it anew: python -m dgmcourse.notebook_prose."""
        now = {
            one for path in sorted((ROOT / "solutions").glob("*.py")) for one in lesson_prose(path.read_text("utf-8"))
        }
        shipped = PROSE.read_text(encoding="utf-8").splitlines()
        kept = sum(len(line) for line in shipped if line in now)
        assert kept > 0.75 * sum(map(len, shipped))

    def test_sentences_are_whole_and_plain(self):
        paragraph = (
            "A **bold** claim, a [link](https://example.org) and `code` – all of it.\nWith $x$ and $1.5$ it goes on! "
            "A formula $$a = b$$ does not. Nor does $\\mu$. Short. This one has σ. And this one is cut"
        )
        assert plain_sentences(paragraph) == [
            "A bold claim, a link and code - all of it.",
            "With x and 1.5 it goes on!",
        ]

    def test_a_lesson_gives_its_text_and_what_its_cells_say(self, tmp_path):
        lesson = (
            "# %% [markdown]\n# # A heading\n#\n# The first paragraph is\n# one sentence long.\n#\n# - An item is one, too.\n"
            "# - So is the next.\n\n# %%\ndef f():\n    '''A docstring is a name for shapes and formulas, not for prose.'''\n"
            "show(1, alt='A picture that somebody described in a whole sentence.')\n"
        )
        expected = [
            "The first paragraph is one sentence long.",
            "An item is one, too.",
            "So is the next.",
            "A picture that somebody described in a whole sentence.",
        ]
        assert lesson_prose(lesson) == expected
        for name in ("01_a.py", "02_b.py"):  # what both say is written once
            (tmp_path / name).write_text(lesson, encoding="utf-8")
        write_prose(tmp_path, tmp_path / "prose.txt")
        assert (tmp_path / "prose.txt").read_text().splitlines() == expected

    def test_a_sentence_that_lessons_share_inside_different_paragraphs_is_written_once(self, tmp_path):
        """Each lesson's opening names its own exercise and then says what all say: no training text for what is tested."""
        for name in ("first", "second"):
            (tmp_path / f"01_{name}.py").write_text(f"# %% [markdown]\n# Stuck in the {name}? Ask for a hint.\n")
        write_prose(tmp_path, tmp_path / "prose.txt")
        assert (tmp_path / "prose.txt").read_text() == "Stuck in the first? Ask for a hint.\nStuck in the second?\n"


class TestShakespeare:
    def test_downloads_once_and_splits_as_is_usual(self, tmp_path, server):
        data = tiny_shakespeare(30, stride=30, progress=False)
        assert (tmp_path / "data/tinyshakespeare/input.txt").read_text() == PLAYS
        again = tiny_shakespeare(30, stride=30, progress=False)
        assert server.asked == 1
        assert torch.equal(data.train, again.train)
        first, second = len(PLAYS) * 90 // 100, len(PLAYS) * 95 // 100
        assert data.decode_text(data.train[0]) == PLAYS[:30]
        assert data.decode_text(data.valid[0]) == PLAYS[first : first + 30]
        assert data.decode_text(data.test[0]) == PLAYS[second : second + 30]
        assert data.alphabet == "".join(sorted(set(PLAYS)))

    def test_a_file_that_is_there_is_used_and_a_damaged_one_refused(self, tmp_path, server):
        (tmp_path / "input.txt").write_text(PLAYS)
        assert len(tiny_shakespeare(30, folder=tmp_path).train)
        (tmp_path / "input.txt").write_text(PLAYS + "!")
        with pytest.raises(DamagedFile, match=r"SHA-256 differs.*use text\(\"course\"\)"):
            tiny_shakespeare(30, folder=tmp_path)
        assert server.asked == 0

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [("missing", "answered 404"), ("breaks off", "broke off"), ("wrong", "SHA-256"), ("truncated", "SHA-256")],
    )
    def test_a_failed_transfer_leaves_nothing(self, tmp_path, server, fault, reason):
        server.fault = fault
        with pytest.raises(DownloadFailed, match=reason) as error:
            tiny_shakespeare(30, progress=False)
        assert not (tmp_path / "data").exists()
        assert str(error.value).endswith('or use text("course"), which needs no network.')
        assert "\n" not in str(error.value)
        server.fault = None
        assert len(tiny_shakespeare(30, progress=False).train)
