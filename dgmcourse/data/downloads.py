"""Where data files live, and how they get there: downloaded once, checked, and put in place whole or not at all."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from .idx import DamagedFile

__all__ = ["DATA_VARIABLE", "DownloadFailed", "data_folder", "download", "search_folders"]

DATA_VARIABLE = "DGMCOURSE_DATA"
TIMEOUT = 30.0  # seconds without a byte before the next mirror is tried

log = logging.getLogger(__name__)
T = TypeVar("T")


class DownloadFailed(ConnectionError):
    """No mirror gave the file. The message says what to do, and which dataset works without a network."""


def search_folders() -> list[Path]:
    """Where data files are looked for, in turn: the folder named by DGMCOURSE_DATA, then the user's cache folder."""
    import pooch

    named = os.environ.get(DATA_VARIABLE)
    return ([Path(named).expanduser()] if named else []) + [Path(pooch.os_cache("dgmcourse"))]


def data_folder() -> Path:
    """Where downloads are kept: the first of `search_folders()` that can be written to."""
    folders = search_folders()
    return next((folder for folder in folders if _writable(folder)), folders[0])


def _writable(folder: Path) -> bool:
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    meant = existing.stat().st_mode & 0o222  # an administrator may write anywhere: respect a folder kept read-only
    return existing.is_dir() and bool(meant) and os.access(existing, os.W_OK | os.X_OK)


def download(
    mirrors: Sequence[str],
    destination: Path,
    read: Callable[[Path], T],
    *,
    instead: str,
    progress: bool = True,
) -> T:
    """Download a file from the first mirror that gives the right bytes, and put it in place.

    The bytes go to a temporary file beside the destination, are read and checked there, and only then is the file
    renamed: a transfer that breaks off, or a process that is killed, never leaves a file that looks complete.

    Args:
        mirrors: addresses that end in "/", tried in turn; the destination's name is appended.
        destination: where the file is to be.
        read: reads and checks a file; its result is returned. Raises `DamagedFile` when the bytes are wrong.
        instead: what to do without a network, for the error message: "use digits(), …".
        progress: show a progress bar.

    Raises:
        DownloadFailed: no mirror gave the right bytes, or they could not be stored; one sentence says what to do.
    """
    new_folders = [folder for folder in destination.parents if not folder.exists()]
    reasons = []
    for mirror in mirrors:
        partial = _partial_file(destination, instead)
        try:
            _transfer(mirror + destination.name, partial, progress)
            content = read(partial)
            os.chmod(partial, 0o644)
            os.replace(partial, destination)
            return content
        except (OSError, DamagedFile) as error:
            reasons.append(f"{mirror} {_reason(error)}")
            log.info("%s%s: %s", mirror, destination.name, error)
        finally:
            partial.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # leave no empty folders behind
        for folder in new_folders:
            folder.rmdir()
    raise DownloadFailed(
        f"Could not download {destination.name} ({'; '.join(reasons)}): connect to the network and run this again, "
        f"or put the file into {destination.parent}, or {instead}."
    )


def _partial_file(destination: Path, instead: str) -> Path:
    """A new, empty temporary file beside the destination."""
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=destination.parent, prefix=f".{destination.name}.", suffix=".partial")
    except OSError as error:
        raise DownloadFailed(
            f"Cannot write to {destination.parent} ({error.strerror}): set the environment variable {DATA_VARIABLE} "
            f"to a folder that you can write to, or {instead}."
        ) from None
    os.close(handle)
    return Path(partial)


def _transfer(address: str, target: Path, progress: bool) -> None:
    import pooch
    from tqdm.auto import tqdm

    bar = tqdm(total=0, unit="B", unit_scale=True, desc=address.rpartition("/")[2], disable=not progress)
    try:
        as_stored = {"Accept-Encoding": "identity"}  # or requests would unpack what the checksum is of
        pooch.HTTPDownloader(progressbar=bar, timeout=TIMEOUT, headers=as_stored)(address, str(target), None)
    finally:
        bar.close()


def _reason(error: Exception) -> str:
    """An error of the transfer in a few words, for the list of mirrors."""
    import requests

    if isinstance(error, DamagedFile):
        return f"gave a file that {error.reason}"
    if isinstance(error, requests.HTTPError):
        return f"answered {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "did not answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "broke off half-way"
    if isinstance(error, requests.ConnectionError):
        return "could not be reached"
    return f"failed: {error}"
