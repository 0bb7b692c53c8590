"""The cache, a folder of files that can be computed again: decoded pictures, statistics of reals.

Its small files begin with a digest of their name and content, by which damage is noticed.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganlab.errors import Refused
from ganlab.system.atomic_file import atomic_write

DIGEST_SIZE = 65  # bytes: in hexadecimal, and the end of the line


def cache_home() -> Path:
    if chosen := os.environ.get("GANLAB_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "ganlab"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "ganlab"


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise Refused(
            f"The cache of pictures cannot be written in {folder}: {error.strerror or error}.\n"
            "Name a folder that can be written, with enough room, by $GANLAB_CACHE."
        ) from error


def write_cached(path: Path, content: bytes) -> None:
    """Write a file of the cache completely, or not at all."""
    with _writing(path.parent):
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            file.write(_digest(path, content))
            file.write(content)


def read_cached(path: Path) -> bytes | None:
    """What was written to a file of the cache; None if there is no such file, or it is damaged."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            digest, content = file.read(DIGEST_SIZE), file.read()
    except OSError:
        return None
    if digest == _digest(path, content):
        return content
    print(f"ganlab: {path} is damaged, or of another version, and is made anew.", file=sys.stderr)
    return None


def _digest(path: Path, content: bytes) -> bytes:
    digest = hashlib.sha256(path.name.encode() + b"\0")
    digest.update(content)
    return digest.hexdigest().encode() + b"\n"
