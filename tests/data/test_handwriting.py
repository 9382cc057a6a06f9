"""Digits, and the MNIST family: read, verified, downloaded from a local server that misbehaves in every way it can."""

import gzip
import hashlib
import http.server
import os
import pickle
import struct
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from dgmcourse.data import DamagedFile, DownloadFailed, data_folder, digits, fashion_mnist, kmnist, mnist
from dgmcourse.data.handwriting import FASHION_MNIST, KMNIST, MNIST, ImageSource, load_images
from dgmcourse.data.idx import IdxFile

SHAPES = {
    "train-images-idx3-ubyte": (60, 4, 5),
    "train-labels-idx1-ubyte": (60,),
    "t10k-images-idx3-ubyte": (20, 4, 5),
    "t10k-labels-idx1-ubyte": (20,),
}
IMAGES = "train-images-idx3-ubyte"


def idx(values):
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


def made_up():
    """The decompressed bytes of four small IDX files by name."""
    rng = np.random.default_rng(0)
    return {name: idx(rng.integers(256 if len(shape) == 3 else 10, size=shape)) for name, shape in SHAPES.items()}


FILES = made_up()
PACKED = {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in FILES.items()}


def source_at(*mirrors, compressed=False):
    """The small family: known by decompressed bytes (as MNIST), or by compressed ones (as Fashion-MNIST)."""
    sha = {name: hashlib.sha256(PACKED[f"{name}.gz"] if compressed else FILES[name]).hexdigest() for name in SHAPES}
    field = "gz_sha256" if compressed else "sha256"
    files = tuple(IdxFile(name, shape, **{field: sha[name]}) for name, shape in SHAPES.items())
    return ImageSource("Small", "SMALL", mirrors, files)


def put(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


class Server(http.server.ThreadingHTTPServer):
    """Serves PACKED; `faults[name]` makes it misbehave; `asked` lists what was asked for."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults, self.asked = {}, []
        self.address = f"http://127.0.0.1:{self.server_address[1]}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.lstrip("/")
        self.server.asked.append(name)
        fault, body = self.server.faults.get(name), PACKED.get(name)
        if fault == "missing" or body is None:
            self.send_error(404)
            return
        body = {"wrong": gzip.compress(b"hello"), "truncated": body[:-30], "unpacked": FILES[name[:-3]]}.get(
            fault, body
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault == "breaks off" else body)
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = Server()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def away_from_home(tmp_path, monkeypatch):
    """No test reads or writes the user's own data, or asks a proxy."""
    monkeypatch.setenv("DGMCOURSE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def load(source, folder=None, **arguments):
    return load_images(source, folder=folder, **{"valid": 10, "progress": False} | arguments)


def everything_under(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


class TestDigits:
    def test_split_and_values_are_the_published_ones(self):
        from sklearn.datasets import load_digits

        scans = load_digits()
        order = np.random.RandomState(0).permutation(1797)
        grey, binary = digits(17), digits(2)
        assert [len(x) for x in (grey.train, grey.valid, grey.test)] == [1300, 200, 297]
        np.testing.assert_array_equal(grey.test.flatten(1).numpy() * 16, scans.data[order][1500:])
        np.testing.assert_array_equal(grey.valid_labels.numpy(), scans.target[order][1300:1500])
        torch.testing.assert_close(binary.train, (grey.train * 16 > 7.5).float())
        for data in (grey, binary):
            for x in (data.train, data.valid, data.test):
                data.space.check(x, values=True)
            assert data.classes == 10
            assert data.train_labels.dtype == torch.int64
        assert (str(grey.space), str(binary.space)) == ("grey(1, 8, 8, levels=17)", "binary(1, 8, 8)")

    def test_independent_pixels_score_as_measured_elsewhere(self):
        """25.22 nats on 1500/297, found with independent code; here 1300 train."""
        data = digits()
        p = (data.train.mean(0) * 1300 + 1) / 1302
        nats = torch.nn.functional.binary_cross_entropy(p.expand_as(data.test), data.test, reduction="none")
        assert float(nats.flatten(1).sum(-1).mean()) == pytest.approx(25.22, abs=0.15)

    def test_other_levels_are_refused(self):
        with pytest.raises(ValueError, match="2 levels"):
            digits(16)


class TestLoading:
    @pytest.mark.parametrize("place", ["SMALL/raw", "SMALL", "."])
    @pytest.mark.parametrize("files", [FILES, PACKED], ids=["raw", "gzip"])
    def test_files_are_found_where_people_keep_them(self, tmp_path, files, place, monkeypatch):
        put(tmp_path / "mine" / place, files)
        for folder in (tmp_path / "mine", None):
            if folder is None:
                monkeypatch.setenv("DGMCOURSE_DATA", str(tmp_path / "mine"))
            data = load(source_at(), folder)
            pixels = np.frombuffer(FILES[IMAGES][16:], np.uint8).reshape(60, 1, 4, 5) / np.float32(255)
            np.testing.assert_array_equal(data.train.numpy(), pixels[:50])
            np.testing.assert_array_equal(data.valid.numpy(), pixels[50:])
            assert data.valid_labels.tolist() == list(FILES["train-labels-idx1-ubyte"][-10:])
            assert data.test_labels.tolist() == list(FILES["t10k-labels-idx1-ubyte"][-20:])
            assert (str(data.space), data.classes) == ("grey(1, 4, 5, levels=256)", 10)
            data.space.check(data.train, values=True)

    def test_the_cache_folder_is_searched_after_the_named_one(self, tmp_path, monkeypatch):
        import pooch

        monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "elsewhere" / project)
        put(tmp_path / "elsewhere/dgmcourse/SMALL/raw", PACKED)
        assert len(load(source_at()).train) == 50
        monkeypatch.delenv("DGMCOURSE_DATA")
        assert len(load(source_at()).train) == 50
        assert data_folder() == tmp_path / "elsewhere/dgmcourse"

    def test_binarizations(self, tmp_path):
        put(tmp_path, FILES)
        grey = load(source_at(), tmp_path)
        dynamic, fixed, threshold = (load(source_at(), tmp_path, binarize=b) for b in ("dynamic", "fixed", "threshold"))
        for data in (dynamic, fixed, threshold):
            assert str(data.space) == "binary(1, 4, 5)"
            for x in (data.valid, data.test, *(x for x, _ in data.batches(7))):
                data.space.check(x, values=True)
        torch.testing.assert_close(threshold.train, (grey.train > 0.5).float())
        torch.testing.assert_close(dynamic.train, grey.train)
        assert torch.equal(dynamic.test, fixed.test)  # one test set, whichever way train is drawn
        assert torch.equal(dynamic.valid, fixed.valid)
        assert torch.equal(fixed.train, load(source_at(), tmp_path, binarize="fixed").train)
        assert fixed.transform is None

    def test_dynamic_binarization_draws_each_batch_anew_with_the_grey_as_probability(self, tmp_path):
        put(tmp_path, FILES)
        data = pickle.loads(pickle.dumps(load(source_at(), tmp_path, binarize="dynamic")))  # workers need that
        torch.manual_seed(0)
        first, second = (next(iter(data.batches(50)))[0] for _ in range(2))
        assert not torch.equal(first, second)
        mean = torch.stack([data.transform(data.train) for _ in range(1000)]).mean(0)
        assert float((mean - data.train).abs().max()) < 0.08  # five standard errors of a coin

    def test_bad_arguments_are_refused_before_any_file_is_touched(self):
        with pytest.raises(ValueError, match="'dynamic', 'fixed' or 'threshold', got 'random'"):
            mnist(binarize="random")
        for valid in (0, 60000, 0.5):
            with pytest.raises(ValueError, match="from 1 to 59,999"):
                mnist(valid=valid)

    def test_labels_out_of_range_are_refused(self, tmp_path):
        put(tmp_path, FILES)
        with pytest.raises(ValueError, match="holds the label 9"):
            load(replace(source_at(), classes=5), tmp_path)


class TestDamage:
    @pytest.mark.parametrize(
        ("name", "data", "reason"),
        [
            (IMAGES, FILES[IMAGES][:-1], "truncated: 1,216 bytes were expected, not 1,215"),
            (IMAGES, FILES[IMAGES] + b"x", "too long"),
            (IMAGES, b"", "not an IDX file"),
            (IMAGES, b"<html>404</html>", "not an IDX file"),
            (IMAGES, b"\0\0\x08\x03\0", "not an IDX file"),
            (IMAGES, b"\0\0\x0d" + FILES[IMAGES][3:], "not an IDX file of unsigned bytes"),
            (IMAGES, FILES[IMAGES][:-1] + bytes([FILES[IMAGES][-1] ^ 1]), "SHA-256 differs"),
            (IMAGES, FILES["t10k-images-idx3-ubyte"], r"shape \(20, 4, 5\), where \(60, 4, 5\) was expected"),
            (IMAGES, FILES["train-labels-idx1-ubyte"], r"shape \(60,\), where"),
            (f"{IMAGES}.gz", PACKED[f"{IMAGES}.gz"][:-30], "cannot be decompressed"),
            (f"{IMAGES}.gz", PACKED[f"{IMAGES}.gz"][:5], "cannot be decompressed"),
            (f"{IMAGES}.gz", b"\x1f\x8b" + bytes(200), "cannot be decompressed"),
            (f"{IMAGES}.gz", gzip.compress(bytes(10**6)), "not an IDX file"),
            (f"{IMAGES}.gz", gzip.compress(FILES[IMAGES] + bytes(10**6)), "too long"),
            (f"{IMAGES}.gz", PACKED[f"{IMAGES}.gz"][:-6] + b"\1\2\3\4\5\6", "cannot be decompressed"),
        ],
    )
    def test_damaged_files_are_refused_by_name_and_left_alone(self, tmp_path, name, data, reason):
        others = {other: content for other, content in FILES.items() if other != IMAGES}
        folder = put(tmp_path / "SMALL/raw", others | {name: data})
        with pytest.raises(DamagedFile, match=reason) as error:
            load(source_at("http://127.0.0.1:9/"), tmp_path)
        for words in (str(folder / name), "Delete this file and run again", "digits()"):
            assert words in str(error.value)
        assert (folder / name).read_bytes() == data

    def test_where_only_compressed_files_have_checksums_those_are_read_first(self, tmp_path, caplog):
        source = source_at(compressed=True)
        folder = put(tmp_path / "SMALL/raw", FILES)
        assert len(load(source, tmp_path).train) == 50
        assert "no published checksum" in caplog.text
        caplog.clear()
        put(folder, PACKED)
        load(source, tmp_path)
        assert not caplog.text
        put(folder, {f"{IMAGES}.gz": gzip.compress(FILES[IMAGES], mtime=1)})
        with pytest.raises(DamagedFile, match="SHA-256 differs"):
            load(source, tmp_path)

    def test_a_folder_that_holds_a_sister_dataset_is_passed_over(self, tmp_path, server, monkeypatch):
        """MNIST and its sisters share file names: the one must never be taken for the other, nor called damaged."""
        from dgmcourse.data import handwriting

        monkeypatch.setattr(handwriting, "MNIST", source_at())
        rng = np.random.default_rng(1)
        other = {name: idx(rng.integers(10, size=shape)) for name, shape in SHAPES.items()}
        files = tuple(replace(f, sha256=hashlib.sha256(other[f.name]).hexdigest()) for f in source_at().files)
        put(tmp_path, FILES)
        with pytest.raises(DownloadFailed):
            load(ImageSource("Other", "OTHER", (server.address + "nothing/",), files), tmp_path)
        put(tmp_path / "OTHER/raw", other)
        assert float(load(ImageSource("Other", "OTHER", (), files), tmp_path).train.max()) < 0.04


class TestDownload:
    def test_downloads_once_and_keeps_verified_files_in_torchvisions_layout(self, tmp_path, server):
        first = load(source_at(server.address))
        assert everything_under(tmp_path / "data/SMALL/raw") == sorted(PACKED)
        assert sorted(server.asked) == sorted(PACKED)
        again = load(source_at(server.address))
        assert len(server.asked) == 4
        assert torch.equal(first.train, again.train)
        if os.name == "posix":
            assert (tmp_path / f"data/SMALL/raw/{IMAGES}.gz").stat().st_mode & 0o777 == 0o644

    @pytest.mark.parametrize("compressed", [False, True])
    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            ("wrong", "not an IDX file"),
            ("truncated", "cannot be decompressed"),
            ("breaks off", "broke off half-way"),
            ("missing", "answered 404"),
        ],
    )
    def test_a_failed_transfer_leaves_nothing_and_the_next_call_succeeds(
        self, tmp_path, server, fault, reason, compressed
    ):
        source = source_at(server.address, compressed=compressed)
        server.faults[f"{IMAGES}.gz"] = fault
        with pytest.raises(DownloadFailed, match=reason) as error:
            load(source)
        for words in (f"{IMAGES}.gz", "connect to the network", "digits(), which needs no network", server.address):
            assert words in str(error.value)
        assert not (tmp_path / "data").exists()
        server.faults.clear()
        assert len(load(source).train) == 50

    def test_files_that_came_before_the_break_are_kept_and_not_asked_for_again(self, tmp_path, server):
        server.faults["t10k-labels-idx1-ubyte.gz"] = "breaks off"
        with pytest.raises(DownloadFailed):
            load(source_at(server.address))
        kept = sorted(set(PACKED) - {"t10k-labels-idx1-ubyte.gz"})
        assert everything_under(tmp_path / "data/SMALL/raw") == kept
        server.faults.clear()
        load(source_at(server.address))
        assert len(server.asked) == 5

    def test_the_next_mirror_is_tried(self, server):
        other = Server()
        server.faults = dict.fromkeys(PACKED, "wrong")
        data = load(source_at(server.address, other.address))
        other.shutdown()
        other.server_close()
        assert len(data.train) == 50
        assert len(server.asked) == len(other.asked) == 4

    def test_unpacked_bytes_are_taken_only_where_they_can_be_verified(self, server):
        server.faults = dict.fromkeys(PACKED, "unpacked")
        with pytest.raises(DownloadFailed, match="not compressed"):
            load(source_at(server.address, compressed=True))
        assert len(load(source_at(server.address)).train) == 50

    def test_without_a_network_one_sentence_says_what_to_do(self, tmp_path):
        with pytest.raises(DownloadFailed) as error:
            load(source_at("http://127.0.0.1:9/"))  # port 9: nobody listens
        message = str(error.value)
        assert "http://127.0.0.1:9/ could not be reached" in message
        assert str(tmp_path / "data/SMALL/raw") in message
        assert message.endswith("or use digits(), which needs no network.")
        assert "\n" not in message

    def test_partial_files_of_a_killed_process_are_not_trusted(self, tmp_path, server):
        put(tmp_path / "data/SMALL/raw", {f".{IMAGES}.gz.x.partial": PACKED[f"{IMAGES}.gz"][:100]})
        assert len(load(source_at(server.address)).train) == 50
        assert len(server.asked) == 4

    def test_a_read_only_folder_is_searched_but_not_written_to(self, tmp_path, monkeypatch):
        import pooch

        monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
        (tmp_path / "data").mkdir()
        assert data_folder() == tmp_path / "data"
        (tmp_path / "data").chmod(0o555)
        assert data_folder() == tmp_path / "cache/dgmcourse"

    def test_a_folder_that_cannot_be_made_is_said_to_be_so(self, tmp_path, server):
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(DownloadFailed, match=r"Cannot write to .*DGMCOURSE_DATA"):
            load(source_at(server.address), tmp_path / "file")

    def test_progress_is_shown_and_can_be_silenced(self, server, tmp_path, capfd):
        load(source_at(server.address), tmp_path / "quiet")
        assert capfd.readouterr().err == ""
        load(source_at(server.address), tmp_path / "loud", progress=True)
        assert f"{IMAGES}.gz" in capfd.readouterr().err


@pytest.mark.parametrize("source", [MNIST, FASHION_MNIST, KMNIST], ids=lambda source: source.folder)
def test_real_sources_are_complete(source):
    hashes = [file.sha256 or file.gz_sha256 for file in source.files]
    assert len(set(hashes)) == 4
    assert all(len(h) == 64 and int(h, 16) for h in hashes)
    assert [file.shape for file in source.files] == [(60000, 28, 28), (60000,), (10000, 28, 28), (10000,)]
    assert all(m.startswith("http") and m.endswith("/") for m in source.mirrors)
    assert len(source.mirrors) >= 2


@pytest.mark.parametrize(
    ("function", "folder"), [(mnist, "MNIST"), (fashion_mnist, "FashionMNIST"), (kmnist, "KMNIST")]
)
def test_each_function_loads_its_own_family(function, folder, tmp_path):
    """A file of the wrong contents in the family's own folder is what the function names."""
    put(tmp_path / folder / "raw", PACKED)
    with pytest.raises(DamagedFile, match=folder):
        function(folder=tmp_path)
