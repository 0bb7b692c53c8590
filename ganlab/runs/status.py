"""What a run says of itself while it goes on: how far it is, and how long it took."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from ganlab.system.atomic_file import temporary_path

FILE, CLOCK = "status.json", "clock.jsonl"


def read_clock(folder: Path) -> list[dict[str, Any]]:
    """Step, images, seconds of training and peak memory in bytes, as they went by."""
    try:
        lines = (folder / CLOCK).read_text().splitlines(keepends=True)
    except OSError:
        return []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def images_per_second(rows: list[dict[str, Any]]) -> float | None:
    """Images a second over a whole clock."""
    images, seconds = (rows[-1][name] - rows[0][name] for name in ("images", "seconds"))
    return images / seconds if images > 0 and seconds > 0 else None


def write_status(folder: Path, state: str, **more: Any) -> None:
    who = {"host": socket.gethostname(), "pid": os.getpid(), "job": os.environ.get("SLURM_JOB_ID")}
    path = folder / FILE
    # A reader never meets half of it; that it outlives the machine is not needed.
    made = temporary_path(path)
    try:
        made.write_text(json.dumps({"state": state, "time": time.time(), **who, **more}))
        made.replace(path)
    except OSError:
        made.unlink(missing_ok=True)


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
