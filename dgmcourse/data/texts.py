"""Text as tokens, a character each: a Markov source, the course's own prose, and Shakespeare's plays."""

import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

from ..core import Space
from .dataset import Dataset, split_generators, split_sizes
from .downloads import data_folder, download, search_folders
from .idx import DamagedFile
from .markov import MarkovSource

__all__ = ["course_prose", "markov_text", "text", "tiny_shakespeare"]

BLOCK = 2_000  # characters of the course's prose that stay together: of ten blocks one validates and one tests
INSTEAD = 'text("course")'  # what needs no network


def text(name: str = "markov", length: int = 64, **settings) -> Dataset:
    """Sequences of characters: "markov", "course" or "shakespeare".

    Args:
        name: "markov", a source whose entropy is known (see `markov_text`); "course", the prose of these lessons (see
            `course_prose`); "shakespeare", a million characters of the plays, downloaded once (see `tiny_shakespeare`).
        length: characters of one example.
        **settings: of the function that makes it.

    Returns:
        a dataset of tokens(length, vocabulary), int64, with its `alphabet`: `dataset.encode_text("to be")`,
        `dataset.decode_text(tokens)`.

    Raises:
        ValueError: another name; what the functions named above raise.
    """
    makers = {"markov": markov_text, "course": course_prose, "shakespeare": tiny_shakespeare}
    if name not in makers:
        raise ValueError(f"text must be one of {', '.join(map(repr, makers))}, got {name!r}")
    return makers[name](length, **settings)


def markov_text(
    length: int = 64,
    n: Sequence[int] = (8000, 1000, 2000),
    alphabet: str = " aeinrst",
    order: int = 1,
    seed: int = 0,
    sharpness: float = 2.0,
) -> Dataset:
    """Independent sequences of a `MarkovSource`, which is the dataset's `truth`: its `entropy` is the floor for every model.

    Args:
        length: characters of a sequence.
        n: sizes of train, valid and test.
        alphabet, order, sharpness: of the source.
        seed: of the source's table, and of the draw.

    Raises:
        ValueError: sizes that are not three positive numbers; what `MarkovSource` refuses.
    """
    truth = MarkovSource(alphabet, order, length, seed, sharpness)
    splits = map(truth.sample, split_sizes(n), split_generators(seed))
    return Dataset("markov", truth.space, *splits, truth=truth, alphabet=alphabet)


def course_prose(length: int = 64, stride: int | None = None) -> Dataset:
    """The prose of the course's own lessons, which the package ships. Needs no network.

    It is kept in blocks of 2,000 characters; of every ten, the ninth validates and the tenth tests, so that every split
    holds something of every lesson.

    Args:
        length: characters of an example, at most 2,000.
        stride: characters from one training example to the next; a quarter of the length by default, so that they
            overlap. Examples to validate and to test never do.

    Raises:
        ValueError: a length or stride out of range.
    """
    prose = resources.files("dgmcourse.data").joinpath("prose.txt").read_text(encoding="utf-8")
    blocks = [prose[start : start + BLOCK] for start in range(0, len(prose), BLOCK)]
    train = [block for i, block in enumerate(blocks) if i % 10 < 8]
    return _windows("course", train, blocks[8::10], blocks[9::10], length, stride)


def _windows(
    name: str, train: list[str], valid: list[str], test: list[str], length: int, stride: int | None
) -> Dataset:
    """Pieces of text cut into examples of one length."""
    longest = min(max(map(len, pieces)) for pieces in (train, valid, test))
    if not 1 <= length <= longest:
        raise ValueError(f"length must be from 1 to {longest:,} characters for {name}, got {length!r}")
    if stride is not None and stride < 1:
        raise ValueError(f"stride must be ≥ 1, got {stride}")
    alphabet = "".join(sorted({character for piece in (*train, *valid, *test) for character in piece}))
    steps = (stride or max(1, length // 4), length, length)
    splits = [
        torch.cat([_encoded(piece, alphabet).unfold(0, length, step) for piece in pieces if len(piece) >= length])
        for pieces, step in zip((train, valid, test), steps, strict=True)
    ]
    return Dataset(name, Space.tokens(length, len(alphabet)), *splits, alphabet=alphabet)


def _encoded(piece: str, alphabet: str) -> Tensor:
    place = {character: i for i, character in enumerate(alphabet)}
    return torch.tensor([place[character] for character in piece])


# --- Tiny Shakespeare ----------------------------------------------------------------------------------------------

SHAKESPEARE_FOLDER, SHAKESPEARE_FILE = "tinyshakespeare", "input.txt"
SHAKESPEARE_MIRRORS = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/",
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",
)
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"  # that of TensorFlow Datasets


def tiny_shakespeare(
    length: int = 64,
    stride: int | None = None,
    folder: str | Path | None = None,
    progress: bool = True,
) -> Dataset:
    """Tiny Shakespeare: 1,115,394 characters of the plays, downloaded once (1.1 MB), or found where they already are.

    The first 90 % train, 5 % validate, the last 5 % test. The plays are in the public domain; this selection is that of
    Karpathy, "char-rnn", 2015, https://github.com/karpathy/char-rnn. Verified by its SHA-256.

    Args:
        length: characters of an example.
        stride: as in `course_prose`.
        folder: where `input.txt` is, or shall be kept. None: in `tinyshakespeare/` of the folder that the environment
            variable DGMCOURSE_DATA names, then of the user's cache folder.
        progress: show a bar while downloading.

    Raises:
        DownloadFailed: no file and no network; the message says what to do.
        DamagedFile: the file found is not the one expected.
        ValueError: a length or stride out of range.
    """
    plays = _find_plays(SHAKESPEARE_MIRRORS, SHAKESPEARE_SHA256, folder, progress)
    first, second = len(plays) * 90 // 100, len(plays) * 95 // 100
    return _windows("shakespeare", [plays[:first]], [plays[first:second]], [plays[second:]], length, stride)


def _find_plays(mirrors: Sequence[str], sha256: str, folder: str | Path | None, progress: bool) -> str:
    """The text, found or downloaded; a file that is found and damaged is refused, not replaced."""

    def read(path: Path) -> str:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise DamagedFile(path, "is not the expected text: its SHA-256 differs", INSTEAD)
        return content.decode("utf-8")

    homes = [root / SHAKESPEARE_FOLDER for root in search_folders()] if folder is None else [Path(folder).expanduser()]
    for home in homes:
        if (home / SHAKESPEARE_FILE).is_file():
            return read(home / SHAKESPEARE_FILE)
    home = data_folder() / SHAKESPEARE_FOLDER if folder is None else homes[0]
    instead = f"use {INSTEAD}, which needs no network"
    return download(mirrors, home / SHAKESPEARE_FILE, read, instead=instead, progress=progress)
