"""Files that are there whole, on disk, or not at all."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write beside its place; it is moved there, over what was there, once it is on disk."""
    made = temporary_path(path)
    try:
        yield made
        sync(made)
        made.replace(path)
        sync(path.parent)
    except BaseException:
        made.unlink(missing_ok=True)
        raise


def temporary_path(path: Path) -> Path:
    """Where this process makes what shall be there."""
    return path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left beside its place; only for whoever has the folder to himself."""
    for left in folder.glob(".*.*"):
        if left.suffix[1:].isdecimal():
            left.unlink(missing_ok=True)


def sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
