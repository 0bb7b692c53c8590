"""Where each of several runs stands: what it says itself, what SLURM says, and whether it still lives."""

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
from ganlab.system.records import Records
from ganlab.system.untrusted import json_object, number

LIST, JOB = "runs.txt", "job.txt"  # in a launch's folder
SILENCE = 120  # seconds without a word after which a run on another machine is taken for dead
WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED")


@dataclass
class RunState:
    """One row.

    Attributes:
        state: queued, starting, running, stopped, done or failed.
        detail: Of a run that failed the last line of its error.
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
        """Experiment, time and seed."""
        return "/".join(self.run.parts[-2:])

    def plain(self) -> dict[str, Any]:
        return {**asdict(self), "run": str(self.run)}


def states_in(folder: Path) -> list[RunState]:
    """Of a launch's runs, or of all runs below a folder."""
    listed, job = folder / LIST, folder / JOB
    states: dict[int, str] | None = slurm.states(job.read_text().strip()) if job.exists() else None
    if listed.exists():
        runs = [Path(line) for line in listed.read_text().splitlines()]
    else:
        runs = sorted(config.parent for config in folder.glob("**/config.yaml"))
    return [
        state_of(run, None if states is None else states.get(index, "")) for index, run in enumerate(runs)
    ]


def state_of(run: Path, queued: str | None = None) -> RunState:
    """`queued` is SLURM's word of it, empty if SLURM knows it no more; none: it is not SLURM's."""
    status = json_object(run / FILE, [])
    known = {name: status[name] for name in ("step", "max_steps", "images_per_second") if name in status}
    standing = RunState(run, status.get("state", ""), **known, score=_last_score(run))
    if standing.state == "done":
        return standing
    if queued in WAITING:
        standing.state, standing.detail = "queued", f"step {standing.step:,} is saved" if status else ""
    elif standing.state == "failed":
        standing.detail = status.get("error", "")
    elif queued and standing.state != "running":
        standing.state = "starting"
    elif standing.state == "preempted":
        standing.state, standing.detail = "stopped", f"go on with: ganlab fit --resume {run}"
    elif standing.state in ("starting", "running") and not _lives(status, queued):
        standing.state, standing.detail = "failed", _last_words(run) or "it ended without a word"
    elif not standing.state:
        words = _last_words(run)
        ended = words and queued is not None
        standing.state, standing.detail = ("failed", words) if ended else ("queued", "")
    return standing


def state_table(standings: list[RunState]) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("run", no_wrap=True)
    shown.add_column("state")
    shown.add_column("step", justify="right")
    shown.add_column("images/s", justify="right")
    shown.add_column("last score", overflow="fold")
    shown.add_column("", overflow="fold")
    for each in standings:
        steps = f"{each.step:,}" + (f"/{each.max_steps:,}" if each.max_steps else "")
        rate = f"{each.images_per_second:,.0f}" if each.state == "running" and each.images_per_second else ""
        colour = {"failed": "red", "done": "green", "running": "cyan"}.get(each.state, "")
        shown.add_row(each.name, each.state, steps, rate, each.score, each.detail, style=colour)
    return shown


def _lives(status: dict[str, Any], queued: str | None) -> bool:
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
    rows = Records(run / SCORES).read()
    scores = rows[-1].get("scores") if rows else None
    if not scores or not isinstance(scores, dict):
        return ""
    name, value = next(iter(scores.items()))
    return f"{name} {'-' if number(value) is None else f'{value:.4g}'}"


def _last_words(run: Path) -> str:
    """The last line of what it wrote to stderr, but for its progress."""
    return next(_lines(run / "stderr.log"), "")


def _lines(path: Path) -> Iterator[str]:
    """From the end."""
    if path.exists():
        lines = (line.strip() for line in reversed(path.read_text(errors="replace").splitlines()))
        yield from (line for line in lines if line and not line.startswith("step "))
