"""The state of runs, by their own status files, by SLURM, and by whether their processes still exist."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from ganlab.runs.status import FILE, SCORES
from ganlab.system import slurm
from ganlab.system.row_files import Records
from ganlab.system.untrusted import (
    Problems,
    json_object,
    last_lines,
    number,
    read_text,
    readable,
    whole_number,
)

LIST, JOB = "runs.txt", "job.txt"  # in a launch's folder
SILENCE = 120  # seconds without a status after which a run on another machine counts as dead
WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED")
NO_ANSWER = "?"  # in place of SLURM's state of a job
REPORTED = ("starting", "running", "preempted", "stopped", "done", "failed")  # by a run itself
OTHERS_WORD = re.compile(r"[a-z]\w*: ")  # slurmstepd: error: …
LONGEST = 500  # characters of a line that are shown


@dataclass
class RunState:
    """A run's state, and how far it is.

    Attributes:
        state: queued, starting, running, stopped, done, failed or unknown.
        score: Name and value of the last score, or empty.
        detail: The last line of the error of a failed run, how to go on with a stopped or queued one, or why
            the state is not known.
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
        return readable("/".join(self.run.parts[-2:]))

    def plain(self) -> dict[str, Any]:
        """The attributes as plain data, for JSON."""
        return {**asdict(self), "run": str(self.run)}


def write_list(launch: Path, runs: list[Path]) -> None:
    """Write a launch's list of runs, relative to its own folder: it is read from any working folder."""
    (launch / LIST).write_text("".join(f"{os.path.relpath(run, launch)}\n" for run in runs))


def launched_runs(launch: Path) -> list[Path]:
    """The runs that a launch's list names."""
    return [_launched_run(launch, line) for line in read_text(launch / LIST, []).splitlines() if line.strip()]


def _launched_run(launch: Path, line: str) -> Path:
    """A run's folder relative to its launch; or, in older lists, to where one was launched from."""
    places = (os.path.normpath(base / line) for base in (launch, *launch.resolve().parents, Path()))
    return Path(next((place for place in places if os.path.isdir(place)), line))


def states_in(folder: Path) -> list[RunState]:
    """The states of a launch's runs, or of all runs below a folder."""
    if not os.path.isfile(folder / LIST):
        return [state_of(config.parent) for config in sorted(folder.glob("**/config.yaml"))]
    runs = launched_runs(folder)
    if not os.path.lexists(folder / JOB):
        return [state_of(run) for run in runs]
    job = read_text(folder / JOB, []).strip()
    tasks = slurm.states(job) if job.isdecimal() else None
    return [
        state_of(run, NO_ANSWER if tasks is None else tasks.get(index, "")) for index, run in enumerate(runs)
    ]


def state_of(run: Path, queued: str | None = None) -> RunState:
    """The state of a run.

    Args:
        queued: SLURM's state of its job; empty if SLURM has forgotten the job, `NO_ANSWER` if it cannot be
            asked, None without SLURM.
    """
    if not os.path.isdir(run):
        return RunState(run, "unknown", detail="its folder is gone")
    problems: Problems = []
    status = json_object(run / FILE, problems)
    reported = status.get("state", "")
    if status and reported not in REPORTED:
        problems.append(f"{FILE} names no state")
    step, most = (whole_number(status.get(name)) for name in ("step", "max_steps"))
    rate = number(status.get("images_per_second")) or 0.0
    state, detail = ("unknown", problems[0]) if problems else _judge(run, status, step or 0, queued)
    return RunState(run, state, step or 0, most, rate, readable(_last_score(run)), readable(detail)[:LONGEST])


def _judge(run: Path, status: dict[str, Any], step: int, queued: str | None) -> tuple[str, str]:
    """A run's state and the detail, by what it has reported and by SLURM."""
    state = status.get("state", "")
    if state == "done":
        return "done", ""
    if queued in WAITING:
        return "queued", f"step {step:,} is saved" if status else ""
    if state == "failed":
        return "failed", str(status.get("error", ""))
    if state in ("starting", "running") and _is_alive(status, queued):
        return state, ""
    if queued == NO_ANSWER:
        known = f"; it was {state} {_ago(status)}" if state else ""
        return "unknown" if state else "queued", f"SLURM does not answer{known}"
    if queued and state != "running":
        return "starting", ""
    if state in ("preempted", "stopped"):
        return "stopped", f"go on with: ganlab fit --resume {run}" if state == "preempted" else ""
    error = _last_error_line(run)
    if state:
        return "failed", error or "it ended without a word"
    return ("failed", error) if error and queued is not None else ("queued", "")


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
        cells = (state.name, state.state, steps, rate, state.score, state.detail)
        table.add_row(*map(Text, cells), style=colour)  # As text: brackets in it are no styles.
    return table


def _is_alive(status: dict[str, Any], queued: str | None) -> bool:
    """Whether the run's process exists, by SLURM, its process id, or the age of its status elsewhere."""
    if queued not in (None, NO_ANSWER):
        return bool(queued)
    pid = whole_number(status.get("pid"))
    if status.get("host") != socket.gethostname() or not pid or pid >= 2**31:
        return time.time() - (number(status.get("time")) or 0) < SILENCE
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _ago(status: dict[str, Any]) -> str:
    """How long ago the status was written, in words."""
    written = number(status.get("time"))
    return "at some time" if written is None else f"{max(0, time.time() - written) / 60:,.0f} minutes ago"


def _last_score(run: Path) -> str:
    """Name and value of the first score of the last evaluation, or empty."""
    rows = Records(run / SCORES).read()
    scores = rows[-1].get("scores") if rows else None
    if not scores or not isinstance(scores, dict):
        return ""
    name, value = next(iter(scores.items()))
    return f"{name} {'-' if (real := number(value)) is None else f'{real:.4g}'}"


def _last_error_line(run: Path) -> str:
    """The last line that the run wrote to stderr, except for its progress; empty if there is none.

    Of a refusal, which has up to three lines, it is the first, which says what was wrong.
    """
    last = list(islice(_lines_backwards(run / "stderr.log"), 3))
    of_refusal = takewhile(lambda line: line.startswith("ganlab: ") or not OTHERS_WORD.match(line), last)
    return next((line for line in of_refusal if line.startswith("ganlab: ")), last[0] if last else "")


def _lines_backwards(path: Path) -> Iterator[str]:
    """A file's lines from the end, without empty ones and those of a run's progress."""
    lines = (line.strip() for line in reversed(last_lines(path)))
    yield from (line for line in lines if line and not line.startswith("step "))
