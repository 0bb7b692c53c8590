"""Reading files that may be missing, half-written or hostile: what cannot be used is told, never raised."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

LARGEST, DEEPEST = 100_000, 100  # values in a configuration, and levels
Problems = list[str]


def readable(text: Any) -> str:
    """What a terminal would obey, or show as something else, is spelt out."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(text))


def number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if isfinite(value) else None
    except OverflowError:
        return None


def whole_number(value: Any) -> int | None:
    found = number(value)
    return int(found) if found is not None and found >= 0 and found == int(found) else None


def text_of(path: Path, problems: Problems, *, needed: bool = False) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        if needed or os.path.lexists(path):
            problems.append(f"{path.name} cannot be read: {error.strerror}")
        return ""


def json_object(path: Path, problems: Problems) -> dict[str, Any]:
    """One JSON object; none: {}."""
    if not (content := text_of(path, problems)):
        return {}
    found = json_value(content)
    if not isinstance(found, dict):
        problems.append(f"{path.name} is garbled")
        return {}
    return found


def json_value(content: str) -> Any:
    """None: it is no JSON."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def yaml_config(path: Path, problems: Problems) -> dict[str, Any]:
    content = text_of(path, problems, needed=True)
    try:
        found = yaml.load(content, yaml.CSafeLoader) if _shallow(content) else None
        # A few lines of references to references can stand for more than any memory holds.
        small = len(list(islice(_nodes(found), LARGEST))) < LARGEST
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        found, small = None, False
    if isinstance(found, dict) and small:
        return found
    if content:
        problems.append(f"{path.name} is garbled")
    return {}


def _shallow(content: str) -> bool:
    """What is nested without end would end the parser, and with it this process."""
    depth = 0
    for event in yaml.parse(content, yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            return False
    return True


def _nodes(tree: Any) -> Iterator[Any]:
    yield tree
    for branch in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(branch)


def below(tree: Any, *names: str) -> Any:
    """tree[a][b][c]; none where there is no such branch."""
    for name in names:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree
