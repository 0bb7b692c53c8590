"""Files that are written completely, up to the disk itself, or not at all."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary file, which replaces `path` once it is on disk; after an error it is removed."""
    temporary = temporary_path(path)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def temporary_path(path: Path) -> Path:
    """Where this process writes what shall become `path`: in the same folder, under a name of its own."""
    return path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of killed processes; safe only while no other process writes in the folder."""
    for left in folder.glob(".*.*"):
        if not left.suffix[1:].isdecimal():
            continue
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
