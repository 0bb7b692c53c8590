"""Read files that may be missing, half-written or hostile: a problem is added to a list, never raised."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO

import yaml

LONGEST_REASON = 200  # characters
MOST_VALUES, MOST_LEVELS = 100_000, 100  # of a configuration
LONGEST_VALUE = 100_000  # characters; a number of far more would take hours to be read
MOST_BITS = 10_000  # of a number
MOST_TEXT, MOST_BYTES = 2**22, 2**30  # of a configuration or a list, and of any other file
LAST, LONGEST_LINE = 2**20, 500  # bytes at the end of a log, and characters of its lines
Problems = list[str]  # sentences on what could not be read


def readable(text: Any) -> str:
    """The text with control characters and the like escaped, which a terminal would obey or not show."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(text))


def reason(error: BaseException) -> str:
    """An error's message in one short line; its name, if it has none."""
    text = " ".join(str(error).split())[:LONGEST_REASON]
    return readable(text) or type(error).__name__


def number(value: Any) -> float | None:
    """The value as a float; None if it is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if isfinite(value) else None
    except OverflowError:
        return None


def whole_number(value: Any) -> int | None:
    """The value as an integer; None if it is not whole, or below 0."""
    real = number(value)
    return int(real) if real is not None and real >= 0 and real == int(real) else None


def open_regular(path: Path, folder: Path | None = None) -> BinaryIO:
    """Open a regular file, and nothing else: a pipe would never end, and a link may lead to any secret.

    Args:
        folder: Links must stay within it; by default within the file's own.
    """
    if not is_within(path, path.parent if folder is None else folder):
        raise OSError(errno.ELOOP, "it is a link that leaves the run's folder")
    path = Path(os.path.realpath(path))
    if stat.S_ISDIR(mode := path.lstat().st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def is_within(path: Path, folder: Path) -> bool:
    """Whether the path lies within the folder once all links are followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def read_bytes(path: Path, *, folder: Path | None = None, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file of at most so many bytes (`open_regular`); else an OSError."""
    with open_regular(path, folder) as file:
        # Asked for more, Python would set that much memory aside.
        size = os.fstat(file.fileno()).st_size
        content = file.read(size + 1) if size <= most else None
    if content is None or len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20:,} MiB")
    return content


def read_text(path: Path, problems: Problems, *, needed: bool = False, folder: Path | None = None) -> str:
    """A file's text; empty if it cannot be read, which is a problem unless it is missing and not needed."""
    try:
        return read_bytes(path, folder=folder, most=MOST_TEXT).decode(errors="replace")
    except OSError as error:
        if needed or os.path.lexists(path):
            problems.append(f"{readable(path.name)} cannot be read: {error.strerror}")
        return ""


def last_lines(path: Path) -> list[str]:
    """The lines at the end of a log, long ones cut; none if it cannot be read."""
    try:
        with open_regular(path) as file:
            file.seek(max(file.seek(0, os.SEEK_END) - LAST, 0))
            lines = file.read(LAST).decode(errors="replace").splitlines()
    except OSError:
        return []
    return [line[:LONGEST_LINE] for line in lines]


def json_object(path: Path, problems: Problems, *, folder: Path | None = None) -> dict[str, Any]:
    """The JSON object in a file; empty if there is none, or another value."""
    if not (content := read_text(path, problems, folder=folder)):
        return {}
    value = json_value(content)
    if not isinstance(value, dict):
        problems.append(f"{readable(path.name)} is garbled")
        return {}
    return value


def json_value(content: str) -> Any:
    """The value of a JSON text; None if it is not JSON."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def yaml_config(path: Path, problems: Problems) -> dict[str, Any]:
    """The mapping in a YAML file; empty if it is missing or garbled, or larger than any configuration."""
    content = read_text(path, problems, needed=True)
    try:
        value = yaml.load(content, yaml.CSafeLoader) if _is_plain(content) else None
        # A few lines of references to references can stand for more values than any memory holds.
        nodes = list(islice(_nodes(value), MOST_VALUES))
        small = len(nodes) < MOST_VALUES and not any(map(_is_endless, nodes))
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        value, small = None, False
    if isinstance(value, dict) and small:
        return value
    if content:
        problems.append(f"{readable(path.name)} is garbled")
    return {}


def _is_plain(content: str) -> bool:
    """Whether a YAML text has few values, is nested at most `MOST_LEVELS` deep and merges no mappings.

    The parser would crash at far deeper ones; merges and long numbers can take it hours.
    """
    depth = 0
    for count, event in enumerate(yaml.parse(content, yaml.CSafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        value = event.value if isinstance(event, yaml.ScalarEvent) else ""
        if value == "<<" or len(value) > LONGEST_VALUE:
            return False
        if depth > MOST_LEVELS or count > 4 * MOST_VALUES:
            return False
    return True


def _is_endless(value: Any) -> bool:
    """Whether a value is a number of so many digits that Python refuses to print it."""
    return isinstance(value, int) and value.bit_length() > MOST_BITS


def _nodes(tree: Any) -> Iterator[Any]:
    """The tree itself and everything in it."""
    yield tree
    for branch in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(branch)


def below(tree: Any, *names: str) -> Any:
    """tree[a][b][c]; None where there is no such branch."""
    for name in names:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree
