"""A folder or a zip of pictures, read in place and never unpacked."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ELOOP
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

from ganlab.data.pictures.decode import Broken, why_broken
from ganlab.errors import Refused
from ganlab.system.untrusted import readable, reason

PICTURES = frozenset(
    {"avif", "bmp", "dib", "gif", "jfif", "jp2", "jpe", "jpeg", "jpg"}
    | {"pbm", "pgm", "png", "pnm", "ppm", "tga", "tif", "tiff", "webp"}
)
LARGEST_FILE = 1 << 28  # bytes
MOST_VISITS = 100  # of one folder, by links that lead to it


class Archive(Protocol):
    """Files by their names relative to the archive, with `/` between folders."""

    path: Path

    @property
    def names(self) -> list[str]: ...

    def read(self, name: str, /) -> bytes: ...

    def stamp(self, names: list[str], /) -> str:
        """A hash that changes whenever any of these files may have; the files are not read."""


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def names(self) -> list[str]:
        with reading(self.path):
            return sorted(_files(self.path))

    def read(self, name: str, /) -> bytes:
        path = self.path / name
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError("no file")
        if status.st_size > LARGEST_FILE:
            raise OSError(f"larger than {LARGEST_FILE >> 20} MiB")
        return path.read_bytes()

    def stamp(self, names: list[str], /) -> str:
        digest = hashlib.sha256(encoded_name(str(self.path.resolve())))
        with reading(self.path):
            for name in names:
                digest.update(encoded_name(f"{name}\0{_stamp(self.path / name)}\n"))
        return digest.hexdigest()


class Zip:
    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        # Damaged directories of zips raise all kinds of errors.
        except Exception as error:
            raise Refused(
                f"{readable(path)} is no whole zip file: {reason(error)}.\n"
                "It may have been cut off; fetch it again."
            ) from error
        self._members = {_checked_name(member.filename, path): member for member in self._zip.infolist()}

    @cached_property
    def names(self) -> list[str]:
        return sorted(name for name, member in self._members.items() if not member.is_dir())

    def read(self, name: str, /) -> bytes:
        member = self._members[name]
        if member.file_size > LARGEST_FILE:
            raise OSError(f"larger than {LARGEST_FILE >> 20} MiB")
        if member.flag_bits & 1:
            raise OSError("encrypted")
        with self._zip.open(member) as file:
            # The size in the zip's directory may be false.
            content = file.read(LARGEST_FILE + 1)
        if len(content) != member.file_size:
            raise OSError("not as long as the zip says")
        return content

    def stamp(self, names: list[str], /) -> str:
        parts = "\n".join([str(self.path.resolve()), _stamp(self.path), *names])
        return hashlib.sha256(encoded_name(parts)).hexdigest()


def open_archive(path: Path) -> Archive:
    with reading(path):
        mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        return Folder(path)
    if stat.S_ISREG(mode):
        return Zip(path)
    raise Refused(f"{readable(path)} is neither a folder nor a zip.")


def read_member(archive: Archive, name: str) -> bytes:
    """A file's bytes; raises Broken if it is damaged, Refused if the system cannot read it now."""
    try:
        return archive.read(name)
    # The members of a damaged zip raise all kinds of errors.
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            # It may be readable tomorrow: the picture must not be recorded as broken.
            raise Refused(f"{readable(archive.path / name)} cannot be read: {error.strerror}.") from error
        raise Broken(why_broken(error)) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Around whatever asks the system about a path or what lies below it."""
    try:
        yield
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else path
        raise Refused(f"{readable(where)} cannot be read: {error.strerror}.") from error


def encoded_name(name: str) -> bytes:
    """The bytes that the system knows a name by, also of one that is not UTF-8."""
    return name.encode(errors="surrogateescape")


def is_picture(name: str) -> bool:
    """Whether a name has a picture's suffix and is not hidden."""
    return not is_hidden(name) and PurePosixPath(name).suffix[1:].lower() in PICTURES


def is_array(name: str) -> bool:
    """Whether a name is that of a file of one array and is not hidden."""
    return not is_hidden(name) and name.lower().endswith(".npy")


def is_hidden(name: str) -> bool:
    """Whether a name, or a folder in it, begins with a dot, or it is one of macOS's extra files."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _files(folder: Path) -> Iterator[str]:
    """All files below a folder. Links are followed, but never in a circle."""
    visits: Counter[tuple[int, int]] = Counter()
    pending: list[tuple[Path, str, frozenset[tuple[int, int]]]] = [(folder, "", frozenset())]
    while pending:
        folder, prefix, above = pending.pop()
        status = os.stat(folder)
        real = status.st_dev, status.st_ino
        if real in above:
            continue
        visits[real] += 1
        if visits[real] > MOST_VISITS:
            raise Refused(f"{readable(folder)}: links lead to this folder again and again.")
        with os.scandir(folder) as entries:
            for entry in entries:
                if (kind := _kind(entry)) == stat.S_IFDIR:
                    pending.append((folder / entry.name, f"{prefix}{entry.name}/", above | {real}))
                elif kind == stat.S_IFREG:
                    yield prefix + entry.name


def _kind(entry: os.DirEntry[str]) -> int:
    """Of what a link leads to; 0 if it leads nowhere."""
    try:
        return stat.S_IFDIR if entry.is_dir() else stat.S_IFREG if entry.is_file() else 0
    except OSError as error:
        if error.errno == ELOOP:
            return 0
        raise


def _checked_name(name: str, path: Path) -> str:
    """The name itself; refused if it points out of the archive."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
        raise Refused(
            f"{readable(path)} holds a member named {name!r}, which points out of it.\n"
            "No honest archive does; it is not read."
        )
    return name
