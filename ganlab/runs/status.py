"""Files that a run writes while it trains: its status, and its clock."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ganlab.system.atomic_file import temporary_path
from ganlab.system.row_files import Records
from ganlab.system.untrusted import Problems, number, whole_number

FILE, CLOCK = "status.json", "clock.jsonl"
METRICS, SCORES = "metrics.csv", "scores.jsonl"
CLOCK_ROW = {"step": whole_number, "images": whole_number, "seconds": number}


def read_clock(folder: Path, problems: Problems | None = None) -> list[dict[str, Any]]:
    """The clock's rows in the order of steps: step, images, seconds of training, bytes of peak memory."""
    rows = Records(folder / CLOCK).read(problems)
    rows = [row for row in rows if all(kind(row.get(name)) is not None for name, kind in CLOCK_ROW.items())]
    return sorted(rows, key=lambda row: row["step"])


def images_per_second(rows: list[dict[str, Any]]) -> float | None:
    """Images per second over a whole clock; None if it has no two different rows."""
    images, seconds = (rows[-1][name] - rows[0][name] for name in ("images", "seconds"))
    return images / seconds if images > 0 and seconds > 0 else None


def write_status(folder: Path, state: str, **more: Any) -> None:
    """Write a run's state, with the time and its process; failures to write are ignored."""
    process = {"host": socket.gethostname(), "pid": os.getpid(), "job": os.environ.get("SLURM_JOB_ID")}
    path = folder / FILE
    # A reader never sees half a file; unlike a record it need not survive a crash of the machine.
    unfinished = temporary_path(path)
    try:
        unfinished.write_text(json.dumps({"state": state, "time": time.time(), **process, **more}))
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or the name of its class."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
