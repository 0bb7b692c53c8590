"""A folder or a zip of pictures, read in place and never unpacked."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

from ganlab.errors import Refused

PICTURES = frozenset(
    {"avif", "bmp", "dib", "gif", "jfif", "jp2", "jpe", "jpeg", "jpg"}
    | {"pbm", "pgm", "png", "pnm", "ppm", "tga", "tif", "tiff", "webp"}
)
LARGEST_FILE = 1 << 28  # bytes


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
        return sorted(_files(self.path, "", set()))

    def read(self, name: str, /) -> bytes:
        path = self.path / name
        if path.stat().st_size > LARGEST_FILE:
            raise OSError(f"larger than {LARGEST_FILE >> 20} MiB")
        return path.read_bytes()

    def stamp(self, names: list[str], /) -> str:
        digest = hashlib.sha256(str(self.path.resolve()).encode())
        for name in names:
            digest.update(f"{name}\0{_stamp(self.path / name)}\n".encode())
        return digest.hexdigest()


class Zip:
    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise Refused(
                f"{path} is no whole zip file: {error}.\nIt may have been cut off; fetch it again."
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
        return hashlib.sha256(parts.encode()).hexdigest()


def open_archive(path: Path) -> Archive:
    return Zip(path) if path.is_file() else Folder(path)


def is_picture(name: str) -> bool:
    """Whether a name has a picture's suffix, and is neither hidden nor one of macOS's extra files."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return not hidden and path.suffix[1:].lower() in PICTURES


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _files(folder: Path, prefix: str, above: set[str]) -> Iterator[str]:
    """All files below a folder. Links are followed, but never in a circle."""
    real = os.path.realpath(folder)
    if real in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(folder / entry.name, f"{prefix}{entry.name}/", above | {real})
            elif entry.is_file():
                yield prefix + entry.name


def _checked_name(name: str, path: Path) -> str:
    """The name itself; refused if it points out of the archive."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
        raise Refused(
            f"{path} holds a member named {name!r}, which points out of it.\n"
            "No honest archive does; it is not read."
        )
    return name
