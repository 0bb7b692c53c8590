"""What Weights & Biases has on disk of a run: its files hold records in LevelDB's log format.

A killed process leaves less there than it logged, and W&B itself does not say how much.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

BLOCK, HEADER = 32 * 1024, 7  # bytes
FULL, LAST = 1, 4  # kinds of pieces; the others are continued


def starts(folder: Path) -> list[tuple[str, list[dict[str, Any]]]]:
    """Of each start of a run its W&B id and the rows that were kept, in order."""
    return [_start(path) for path in sorted(folder.glob("wandb/*run-*-*/*.wandb"))]


def _start(path: Path) -> tuple[str, list[dict[str, Any]]]:
    from wandb.proto import wandb_internal_pb2

    name, rows = "", []
    for content in _records(path.read_bytes()):
        record = cast(Any, wandb_internal_pb2).Record.FromString(content)
        if record.HasField("run"):
            name = record.run.run_id
        if record.HasField("history"):
            named = ((item.key or ".".join(item.nested_key), item.value_json) for item in record.history.item)
            rows.append({key: json.loads(value) for key, value in named})
    return name, rows


def _records(content: bytes) -> Iterator[bytes]:
    """Those that are whole."""
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
