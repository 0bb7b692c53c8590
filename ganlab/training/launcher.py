"""The processes of a run on one machine: when one of them ends early, the others end within seconds."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from lightning.pytorch.strategies.launchers.subprocess_script import (
    _set_num_threads_if_needed,
    _SubprocessScriptLauncher,
)
from torch import distributed as dist

from ganlab.errors import Refused

GRACE = 10.0  # seconds in which a process may still end by itself, with its own words
EVERY = 0.5  # seconds between two looks at the others
FIRST = "GANLAB_FIRST_PROCESS"  # environment variable: its pid, for those that it starts
Children = list[subprocess.Popen[bytes]]


class Launcher(_SubprocessScriptLauncher):
    """Starts a run's other processes as Lightning does.

    Lightning's own kills the first process without a word when another fails, and leaves the others alive
    when the first one ends.
    """

    def launch(self, function: Callable[..., Any], *args: Any, trainer: Any = None, **kwargs: Any) -> Any:
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        _refuse_no_port(os.environ.get("MASTER_PORT", "1"))
        if not self.cluster_environment.creates_processes_externally:
            os.environ[FIRST] = str(os.getpid())
            self._call_children_scripts()
            _watch(self.procs)
        if first := os.environ.pop(FIRST, None):
            _end_with(int(first))
        _set_num_threads_if_needed(num_processes=self.num_processes)
        try:
            return function(*args, **kwargs)
        except dist.DistNetworkError as error:
            if "EADDRINUSE" not in str(error):
                raise
            for child in self.procs:  # Else they would meet with whoever listens there.
                child.kill()
            port = self.cluster_environment.main_port
            raise Refused(
                f"Port {port}, at which this run's processes would meet, is in use.\n"
                "Start it again: without MASTER_PORT in the environment a free one is chosen."
            ) from error


def _refuse_no_port(text: str) -> None:
    if not (text.isdecimal() and 0 < int(text) < 2**16):
        raise Refused(
            f"MASTER_PORT is {text!r} in the environment, which is no port. Without it one is chosen."
        )


def _watch(children: Children) -> None:
    """End this process when one of its children fails, and the children when it ends."""
    over = threading.Event()

    def watch() -> None:
        while not any(child.poll() for child in children):
            if over.wait(EVERY):
                return
        if over.wait(GRACE):
            return
        rank, code = next((rank, child.poll()) for rank, child in enumerate(children, 1) if child.poll())
        print(
            f"ganlab: Process {rank} of this run ended (exit code {code}), and so do the others.",
            file=sys.stderr,
        )
        _end(children, within=0)
        os._exit(1)

    def end() -> None:
        over.set()
        _end(children, within=GRACE)

    atexit.register(end)
    threading.Thread(target=watch, daemon=True).start()


def _end(children: Children, *, within: float) -> None:
    """Wait for them, and then kill those that still live."""
    deadline = time.monotonic() + within
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _end_with(first: int) -> None:
    """End this process when the first one, which has started it, is gone."""

    def watch() -> None:
        while os.getppid() == first:
            time.sleep(EVERY)
        os._exit(1)

    if first != os.getpid():
        threading.Thread(target=watch, daemon=True).start()
