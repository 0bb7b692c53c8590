"""Read the files of Weights & Biases in a run's folder, which hold records in LevelDB's log format.

A killed process leaves fewer rows there than it logged, and W&B itself does not say how many.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from ganlab.system.untrusted import json_value, read_bytes

BLOCK, HEADER = 32 * 1024, 7  # bytes
FULL, LAST = 1, 4  # kinds of pieces that end a record; the others are continued


def starts(folder: Path) -> list[tuple[str, list[dict[str, Any]]]]:
    """The W&B id and the rows in the files of each start of a run, in order; what is garbled is left out."""
    return [_read_start(path, folder) for path in sorted(folder.glob("wandb/*run-*-*/*.wandb"))]


def _read_start(path: Path, folder: Path) -> tuple[str, list[dict[str, Any]]]:
    from wandb.proto import wandb_internal_pb2

    run_id, rows = "", []
    with suppress(Exception):  # Garbled records fail in ways of their library's own.
        for content in _records(read_bytes(path, folder=folder)):
            record = cast(Any, wandb_internal_pb2).Record.FromString(content)
            if record.HasField("run"):
                run_id = record.run.run_id
            if record.HasField("history"):
                items = (
                    (item.key or ".".join(item.nested_key), item.value_json) for item in record.history.item
                )
                rows.append({key: json_value(value) for key, value in items})
    return run_id, rows


def _records(content: bytes) -> Iterator[bytes]:
    """The complete records of a file's content."""
    offset, record = HEADER, b""  # The file begins with a header of the same size.
    while offset + HEADER <= len(content):
        if (rest := BLOCK - offset % BLOCK) < HEADER:
            offset += rest
            continue
        size, kind = int.from_bytes(content[offset + 4 : offset + 6], "little"), content[offset + 6]
        piece = content[offset + HEADER : offset + HEADER + size]
        if len(piece) < size:
            return
        record += piece
        offset += HEADER + size
        if kind in (FULL, LAST):
            yield record
            record = b""
