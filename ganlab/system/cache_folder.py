"""The cache, a folder of files that can be computed again: decoded pictures, statistics of reals."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganlab.errors import Refused
from ganlab.system.atomic_file import atomic_write


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
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
