"""Run a launch's list on this machine: some runs at once, each with GPUs of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.live import Live

from ganlab.runs.state import state_of, state_table
from ganlab.runs.status import write_status
from ganlab.system.hardware import gpus

RUN = re.compile(r"\bRUN\b")  # in a command that follows a run, in the place of the run's folder
FIT = ("fit", "--resume", "RUN")
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 75, signal.SIGHUP: 75}


class Started(NamedTuple):
    """A process of a run, the GPUs that it was given, and the commands that follow it."""

    process: subprocess.Popen[bytes]
    given: list[str]
    left: list[Sequence[str]]


class LocalRuns:
    """Those that wait, and those that run.

    Args:
        jobs: How many run at once; fewer where there are not enough GPUs for all.
        gpus_each: How many GPUs a run is given, which no other gets before it has ended.
        then: The words of commands that follow each run that came to its end, one after the other.
    """

    def __init__(
        self, runs: list[Path], jobs: int, gpus_each: int, then: Sequence[Sequence[str]] = ()
    ) -> None:
        self.jobs, self.gpus_each = jobs, gpus_each
        self.waiting = [(run, [FIT, *then]) for run in runs]
        self.running: dict[Path, Started] = {}
        # One at a time has all there are.
        self.free = gpus() if jobs > 1 else []
        self.shares_gpus = bool(self.free)
        self.failed = 0
        self.signalled: signal.Signals | None = None

    def __bool__(self) -> bool:
        return bool(self.running or self.waiting)

    def advance(self) -> None:
        """Note which have ended, and start as many as there is room for."""
        for run in [run for run, started in self.running.items() if started.process.poll() is not None]:
            process, given, left = self.running.pop(run)
            self.failed += process.returncode != 0
            self.free += given
            if left and not process.returncode and not self.signalled:
                self.waiting.insert(0, (run, left))
        while self.waiting and self._has_room():
            self._start(*self.waiting.pop(0))

    def _start(self, run: Path, commands: list[Sequence[str]]) -> None:
        given, self.free = self.free[: self.gpus_each], self.free[self.gpus_each :]
        command, *left = commands
        try:
            process = start(run, command, self._environment(given))
        except OSError as error:
            print(f"ganlab: {run} could not be started: {error}", file=sys.stderr)
            self.failed, self.free = self.failed + 1, self.free + given
            return
        self.running[run] = Started(process, given, left)
        if self.signalled:  # While it was started.
            process.send_signal(self.signalled)

    def _has_room(self) -> bool:
        enough = not self.shares_gpus or len(self.free) >= self.gpus_each
        return not self.running or (len(self.running) < self.jobs and enough)

    def _environment(self, given: list[str]) -> dict[str, str]:
        if given:
            return {"CUDA_VISIBLE_DEVICES": ",".join(given)}
        if self.jobs == 1 or "OMP_NUM_THREADS" in os.environ:
            return {}
        return {"OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // self.jobs))}

    def stop(self, number: int, frame: Any = None) -> None:
        """Have all that run save and end, and start no others."""
        self.signalled = signal.Signals(number)
        self.waiting.clear()
        for started in self.running.values():
            started.process.send_signal(number)

    def wait(self) -> None:
        for started in self.running.values():
            started.process.wait()


def run_locally(runs: list[Path], jobs: int, gpus_each: int = 1, then: Sequence[Sequence[str]] = ()) -> int:
    """Run them all and return the exit code; whatever happens here, none of them is left behind."""
    local, shown = LocalRuns(runs, jobs, gpus_each, then), dict[Path, str]()
    console = Console()
    with _passing_signals_on(local), ExitStack() as stack:
        live = stack.enter_context(Live(console=console, transient=True)) if console.is_terminal else None
        while local:
            local.advance()
            _show(runs, live, shown)
            time.sleep(0.5)
    console.print(state_table([state_of(run) for run in runs]))
    return EXIT_CODES[local.signalled] if local.signalled else min(local.failed, 1)


def _show(runs: list[Path], live: Live | None, shown: dict[Path, str]) -> None:
    """Show the table on a terminal; elsewhere a line whenever a run's state changes."""
    states = [state_of(run) for run in runs]
    if live:
        live.update(state_table(states))
        return
    for state in states:
        if state.state != shown.get(state.run, "queued"):
            print(f"{state.name}  {state.state}  {state.score}  {state.detail}".rstrip(), flush=True)
        shown[state.run] = state.state


@contextmanager
def _passing_signals_on(local: LocalRuns) -> Iterator[None]:
    """Pass Ctrl-C and requests to end on to the runs, which then save; after an error they end, too."""
    before = {number: signal.signal(number, local.stop) for number in EXIT_CODES}
    try:
        yield
    except BaseException:
        local.stop(signal.SIGTERM)
        raise
    finally:
        local.wait()
        for number, handler in before.items():
            signal.signal(number, handler)


def start(run: Path, words: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a run's command in a session of its own, so that Ctrl-C reaches it once: through this process."""
    command = [sys.executable, "-m", "ganlab", *(str(run).join(RUN.split(word)) for word in words)]
    with (run / "stdout.log").open("ab") as out, (run / "stderr.log").open("ab") as err:
        environment = {**os.environ, **environment}
        process = subprocess.Popen(command, stdout=out, stderr=err, env=environment, start_new_session=True)
    if words == FIT:
        write_status(run, "starting", pid=process.pid)
    return process
