"""What Weights & Biases has on disk of a run: its files hold records in LevelDB's log format.

A killed process leaves less there than it logged, and W&B itself does not say how much.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

BLOCK, HEADER = 32 * 1024, 7  # bytes
FULL, LAST = 1, 4  # kinds of pieces; the others are continued


def starts(folder: Path) -> list[tuple[str, list[dict[str, Any]]]]:
    """Of each start of a run its W&B id and the rows that were kept, in order."""
    return [_start(path) for path in sorted(folder.glob("wandb/*run-*-*/*.wandb"))]


def _start(path: Path) -> tuple[str, list[dict[str, Any]]]:
    name, rows = "", []
    for record in records(path):
        if record.HasField("run"):
            name = record.run.run_id
        if record.HasField("history"):
            rows.append(values(record.history.item))
    return name, rows


def values(items: Iterable[Any]) -> dict[str, Any]:
    """What a record's list of names and JSON says."""
    found: dict[str, Any] = {}
    for item in items:
        *above, name = [item.key] if item.key else item.nested_key
        place = found
        for each in above:
            place = place.setdefault(each, {})
        place[name] = json.loads(item.value_json)
    return found


def records(path: Path) -> Iterator[Any]:
    from wandb.proto import wandb_internal_pb2

    for content in _whole(path.read_bytes()):
        record = cast(Any, wandb_internal_pb2).Record()
        record.ParseFromString(content)
        yield record


def _whole(content: bytes) -> Iterator[bytes]:
    place, whole = HEADER, b""  # The file begins with a header of the same size.
    while place + HEADER <= len(content):
        if (left := BLOCK - place % BLOCK) < HEADER:
            place += left
            continue
        size, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        piece = content[place + HEADER : place + HEADER + size]
        if len(piece) < size:
            return
        whole += piece
        place += HEADER + size
        if kind in (FULL, LAST):
            yield whole
            whole = b""
