"""Read files that may be missing, half-written or hostile: a problem is added to a list, never raised."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

LONGEST_REASON = 200  # characters
MOST_VALUES, MOST_LEVELS = 100_000, 100  # of a configuration
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


def read_text(path: Path, problems: Problems, *, needed: bool = False) -> str:
    """A file's text; empty if it cannot be read, which is a problem unless it is missing and not needed."""
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        if needed or os.path.lexists(path):
            problems.append(f"{path.name} cannot be read: {error.strerror}")
        return ""


def json_object(path: Path, problems: Problems) -> dict[str, Any]:
    """The JSON object in a file; empty if there is none, or another value."""
    if not (content := read_text(path, problems)):
        return {}
    value = json_value(content)
    if not isinstance(value, dict):
        problems.append(f"{path.name} is garbled")
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
        value = yaml.load(content, yaml.CSafeLoader) if _is_shallow(content) else None
        # A few lines of references to references can stand for more values than any memory holds.
        small = len(list(islice(_nodes(value), MOST_VALUES))) < MOST_VALUES
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        value, small = None, False
    if isinstance(value, dict) and small:
        return value
    if content:
        problems.append(f"{path.name} is garbled")
    return {}


def _is_shallow(content: str) -> bool:
    """Whether the text is nested at most `MOST_LEVELS` deep: the parser would crash at far deeper ones."""
    depth = 0
    for event in yaml.parse(content, yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_LEVELS:
            return False
    return True


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
