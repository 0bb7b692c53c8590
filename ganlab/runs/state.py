"""The state of runs, by their own status files, by SLURM, and by whether their processes still exist."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from ganlab.runs.status import FILE, SCORES
from ganlab.system import slurm
from ganlab.system.row_files import Records
from ganlab.system.untrusted import json_object, last_lines, number

LIST, JOB = "runs.txt", "job.txt"  # in a launch's folder
SILENCE = 120  # seconds without a status after which a run on another machine counts as dead
WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED")


@dataclass
class RunState:
    """A run's state, and how far it is.

    Attributes:
        state: queued, starting, running, stopped, done or failed.
        score: Name and value of the last score, or empty.
        detail: The last line of the error of a failed run, or how to go on with a stopped or queued one.
    """

    run: Path
    state: str
    step: int = 0
    max_steps: int | None = None
    images_per_second: float = 0.0
    score: str = ""
    detail: str = ""

    @property
    def name(self) -> str:
        """The run by its experiment, time and seed."""
        return "/".join(self.run.parts[-2:])

    def plain(self) -> dict[str, Any]:
        """The attributes as plain data, for JSON."""
        return {**asdict(self), "run": str(self.run)}


def states_in(folder: Path) -> list[RunState]:
    """The states of a launch's runs, or of all runs below a folder."""
    list_file, job = folder / LIST, folder / JOB
    states: dict[int, str] | None = slurm.states(job.read_text().strip()) if job.exists() else None
    if list_file.exists():
        runs = [Path(line) for line in list_file.read_text().splitlines()]
    else:
        runs = sorted(config.parent for config in folder.glob("**/config.yaml"))
    return [
        state_of(run, None if states is None else states.get(index, "")) for index, run in enumerate(runs)
    ]


def state_of(run: Path, queued: str | None = None) -> RunState:
    """The state of a run.

    Args:
        queued: SLURM's state of its job; empty if SLURM has forgotten the job, None without SLURM.
    """
    status = json_object(run / FILE, [])
    progress = {name: status[name] for name in ("step", "max_steps", "images_per_second") if name in status}
    result = RunState(run, status.get("state", ""), **progress, score=_last_score(run))
    if result.state == "done":
        return result
    if queued in WAITING:
        result.state, result.detail = "queued", f"step {result.step:,} is saved" if status else ""
    elif result.state == "failed":
        result.detail = status.get("error", "")
    elif queued and result.state != "running":
        result.state = "starting"
    elif result.state == "preempted":
        result.state, result.detail = "stopped", f"go on with: ganlab fit --resume {run}"
    elif result.state in ("starting", "running") and not _is_alive(status, queued):
        result.state, result.detail = "failed", _last_error_line(run) or "it ended without a word"
    elif not result.state:
        error = _last_error_line(run)
        ended = error and queued is not None
        result.state, result.detail = ("failed", error) if ended else ("queued", "")
    return result


def state_table(states: list[RunState]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("run", no_wrap=True)
    table.add_column("state")
    table.add_column("step", justify="right")
    table.add_column("images/s", justify="right")
    table.add_column("last score", overflow="fold")
    table.add_column("", overflow="fold")
    for state in states:
        steps = f"{state.step:,}" + (f"/{state.max_steps:,}" if state.max_steps else "")
        speed = state.images_per_second
        rate = f"{speed:,.0f}" if state.state == "running" and speed else ""
        colour = {"failed": "red", "done": "green", "running": "cyan"}.get(state.state, "")
        table.add_row(state.name, state.state, steps, rate, state.score, state.detail, style=colour)
    return table


def _is_alive(status: dict[str, Any], queued: str | None) -> bool:
    """Whether the run's process exists, by SLURM, its process id, or the age of its status elsewhere."""
    if queued is not None:
        return bool(queued)
    if status["host"] != socket.gethostname():
        return time.time() - status["time"] < SILENCE
    try:
        os.kill(status["pid"], 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _last_score(run: Path) -> str:
    """Name and value of the first score of the last evaluation, or empty."""
    rows = Records(run / SCORES).read()
    scores = rows[-1].get("scores") if rows else None
    if not scores or not isinstance(scores, dict):
        return ""
    name, value = next(iter(scores.items()))
    return f"{name} {'-' if number(value) is None else f'{value:.4g}'}"


def _last_error_line(run: Path) -> str:
    """The last line that the run wrote to stderr, except for its progress; empty if there is none."""
    return next(_lines_backwards(run / "stderr.log"), "")


def _lines_backwards(path: Path) -> Iterator[str]:
    """A file's lines from the end, without empty ones and those of a run's progress."""
    lines = (line.strip() for line in reversed(last_lines(path)))
    yield from (line for line in lines if line and not line.startswith("step "))
