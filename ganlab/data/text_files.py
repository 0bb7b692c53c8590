"""Lines of text files, each with the place where it stands and its class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ganlab.data.pictures.archive import Archive, Folder, is_hidden, open_archive, read_member, reading
from ganlab.data.pictures.decode import Broken
from ganlab.data.pictures.file_sets import HELD_OUT, TRAIN, common_folder
from ganlab.errors import Refused
from ganlab.media.text import split_lines
from ganlab.system.untrusted import readable

SUFFIX = ".txt"


class Line(NamedTuple):
    """A line of a text.

    Attributes:
        where: Its file and number, for messages.
        kind: The name of its class; none where the files tell none.
        held_out: Whether it is kept from training; none where the files do not say so.
    """

    text: str
    where: str
    kind: str | None = None
    held_out: bool | None = None


def read_lines(root: Path) -> list[Line]:
    """All lines but empty ones of a file, or of the .txt files of a folder or a zip, in order of names.

    The class is the folder below the first one, else the file. Folders or files that are all named train and
    test (or val, validation, held_out) are splits.
    """
    with reading(root):
        if not root.exists():
            raise Refused(f"Lines: there is no {readable(root)}: root is a text file, or a folder of these.")
        is_text = root.is_file() and root.suffix.lower() != ".zip"
    archive = Folder(root.parent) if is_text else open_archive(root)
    names = [root.name] if is_text else [name for name in archive.names if _is_text(name)]
    lines = [line for name, kind, held_out in _told(names) for line in _read(archive, name, kind, held_out)]
    if not lines:
        what = "no line in it" if names else f"no {SUFFIX} file in it"
        raise Refused(f"Lines: {readable(root)} is empty: there is {what}.")
    return lines


def _is_text(name: str) -> bool:
    return name.lower().endswith(SUFFIX) and not is_hidden(name)


def _told(names: list[str]) -> Iterator[tuple[str, str | None, bool | None]]:
    """Of each file its name, what class its lines are of, and whether they are held out."""
    start = len(common_folder(names))
    paths = [PurePosixPath(name[start:]).with_suffix("").parts for name in names]
    splits = len(names) > 1 and all(path[0].lower() in TRAIN | HELD_OUT for path in paths)
    for name, path in zip(names, paths, strict=True):
        below = path[1:] if splits else path if len(names) > 1 else ()
        yield name, below[0] if below else None, path[0].lower() in HELD_OUT if splits else None


def _read(archive: Archive, name: str, kind: str | None, held_out: bool | None) -> Iterator[Line]:
    where = readable(archive.path / name)
    try:
        lines = split_lines(read_member(archive, name))
    except Broken as error:
        raise Refused(f"Lines: {where} cannot be read: {error}.") from error
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise Refused(f"Lines: {where}, line {number}: it is no text in UTF-8. Save it as UTF-8.") from error
    for number, text in enumerate(lines, 1):
        if text.strip():
            yield Line(text, f"{where}, line {number}", kind, held_out)
