"""Reading IDX files, the format of MNIST and its relatives, and refusing what is not exactly the expected file."""

import gzip
import hashlib
import io
import logging
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["DamagedFile", "IdxFile"]

log = logging.getLogger(__name__)


class DamagedFile(ValueError):
    """A data file is not what it should be. `reason` says why; the message also says which file, and what to do."""

    def __init__(self, path: Path, reason: str, instead: str = "digits()"):
        self.path, self.reason = path, reason
        super().__init__(
            f"{path} {reason}. Delete this file and run again, and it will be downloaded anew; "
            f"or use {instead}, which needs no file and no network"
        )


@dataclass(frozen=True)
class IdxFile:
    """One IDX file of unsigned bytes, and how to know it.

    Attributes:
        name: without ".gz".
        shape: of the array in it.
        sha256: of its decompressed bytes, where that is published.
        gz_sha256: of the compressed file, where only that is.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str | None = None
    gz_sha256: str | None = None

    def read(self, path: Path, strict: bool = False) -> Tensor:
        """The array in the file, raw or gzip, after every check: uint8, of `shape`.

        Args:
            path: of the file.
            strict: refuse a file whose form (raw) has no published checksum; else it is accepted with a warning.

        Raises:
            FileNotFoundError: there is no such file.
            DamagedFile: truncated, corrupted, of another shape, or of other contents than the published ones.
        """
        raw = path.read_bytes()
        compressed = raw[:2] == b"\x1f\x8b"  # by content: servers and people rename files
        data = self._decompress(path, raw) if compressed else raw
        self._check_structure(path, data)
        self._check_contents(path, raw if compressed else None, data, strict)
        header = 4 + 4 * len(self.shape)
        return torch.frombuffer(bytearray(data), dtype=torch.uint8, offset=header).view(self.shape)

    def _decompress(self, path: Path, raw: bytes) -> bytes:
        limit = 4 + 4 * len(self.shape) + math.prod(self.shape)
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
                return stream.read(limit + 1)  # never more than that, whatever the file claims
        except (OSError, EOFError, zlib.error) as error:
            raise DamagedFile(path, f"cannot be decompressed ({error}): it is truncated or corrupted") from None

    def _check_structure(self, path: Path, data: bytes) -> None:
        """Magic number, shape and length, in words: 00 00 08 (unsigned bytes), dimensions, sizes, entries."""
        if len(data) < 4 or data[:3] != b"\x00\x00\x08" or len(data) < 4 + 4 * data[3]:
            raise DamagedFile(path, "is not an IDX file of unsigned bytes")
        shape = struct.unpack(f">{data[3]}I", data[4 : 4 + 4 * data[3]])
        if shape != self.shape:
            raise DamagedFile(path, f"holds an array of shape {shape}, where {self.shape} was expected")
        expected = 4 + 4 * len(shape) + math.prod(shape)
        if len(data) != expected:
            state = "truncated" if len(data) < expected else "too long"
            raise DamagedFile(path, f"is {state}: {expected:,} bytes were expected, not {len(data):,}")

    def _check_contents(self, path: Path, compressed: bytes | None, data: bytes, strict: bool) -> None:
        if self.sha256 is not None:
            right = hashlib.sha256(data).hexdigest() == self.sha256
        elif self.gz_sha256 is not None and compressed is not None:
            right = hashlib.sha256(compressed).hexdigest() == self.gz_sha256
        elif strict:
            raise DamagedFile(path, "is not compressed, and only the compressed file has a published checksum")
        else:
            log.warning("%s has the right shape, but no published checksum exists to verify its contents", path)
            return
        if not right:
            raise DamagedFile(path, f"is not the published {self.name}: its SHA-256 differs, so it is corrupted")

    def verifiable(self, compressed: bool) -> bool:
        """Whether a published checksum exists for this form of the file."""
        return self.sha256 is not None or (compressed and self.gz_sha256 is not None)
