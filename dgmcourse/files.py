"""Writing files so that what is there is always whole."""

import os
from pathlib import Path

__all__ = ["replace_file"]


def replace_file(target: Path, content: bytes) -> bool:
    """Replace a file whole, if its content changes, so that a crash leaves the old one; whether it did."""
    if target.is_file() and target.read_bytes() == content:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return True
