"""`ganlab verify-resume`: trains a configuration twice without interruption and once with a kill half-way
and a resume, and compares the whole states at the end.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganlab.cli.parser import run_command
from ganlab.errors import Refused
from ganlab.runs.load import read_checkpoint, step_of

TIMEOUT = 1800  # seconds for one run
TRIES = 3


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="ganlab verify-resume",
        description=__doc__,
        epilog="All other options are those of ganlab fit. Scores are left out: they never touch training.",
        allow_abbrev=False,
    )
    parser.add_argument("--steps", type=int, default=40, help="of each run; it is killed after half of them")
    chosen, options = parser.parse_known_args(arguments[1:])
    results: list[bool] = []
    return run_command(lambda: results.append(verify(options, chosen.steps))) or int(not all(results))


def verify(options: list[str], steps: int) -> bool:
    """Whether a killed and resumed run ends in the same state as an uninterrupted one; prints the result."""
    if steps < 4:
        raise Refused(f"steps is {steps}; half of them before the kill need at least 4.")
    with tempfile.TemporaryDirectory(prefix="verify-resume-") as name:
        home = Path(name)
        first, second = (train_straight(options, steps, home / word) for word in ("once", "again"))
        if different := first_difference(first, second):
            print(f"Two straight runs differ, so a resumed one must: {different}")
            print(explain_difference([*options, "--trainer.deterministic", "true"], steps, home))
            return False
        print(f"straight, twice: {len(dict(leaves(read_checkpoint(first)))):,} values, all the same")
        resumed, killed_after = train_interrupted(options, steps, home / "killed")
        if different := first_difference(first, resumed):
            print(f"killed after step {killed_after} and resumed, the run differs: {different}")
            return False
        print(f"killed after step {killed_after} and resumed: all the same, to the last bit")
        return True


def fit_command(options: list[str], steps: int, folder: Path) -> list[str]:
    settings = {
        "runs": folder,
        "trainer.max_steps": steps,
        "checkpoint_every": steps // 2,
        "checkpoints.keep": 3,
        "samples.every_n_steps": 10**9,
        "evaluation.extractor": "null",
        "trainer.logger": "false",
    }
    return [
        sys.executable,
        "-m",
        "ganlab",
        "fit",
        *options,
        *(f"--{key}={value}" for key, value in settings.items()),
    ]


def train_straight(options: list[str], steps: int, folder: Path) -> Path:
    """The last checkpoint of a run that nothing interrupts."""
    run = subprocess.run(fit_command(options, steps, folder), capture_output=True, text=True, timeout=TIMEOUT)
    if run.returncode:
        raise Refused(f"The configuration does not train:\n{last_lines(run.stderr)}")
    return last_checkpoint(folder)


def train_interrupted(options: list[str], steps: int, folder: Path) -> tuple[Path, int]:
    """The last checkpoint of a run that was killed and resumed, and the step at which it was killed."""
    for attempt in range(TRIES):
        home = folder / str(attempt)
        # A process group, so that all of the run's processes can be killed.
        run = subprocess.Popen(
            fit_command(options, steps, home),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + TIMEOUT
        while (
            run.poll() is None
            and time.monotonic() < deadline
            and not list(home.glob("*/*/*/checkpoints/step-*"))
        ):
            time.sleep(0.001)
        still_running = run.poll() is None
        if still_running:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        saved = last_checkpoint(home)
        if still_running and (reached := step_of(saved)) < steps:
            command = [sys.executable, "-m", "ganlab", "fit", "--resume", str(saved.parent.parent)]
            resumed = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
            if resumed.returncode:
                raise Refused(f"The killed run could not be resumed:\n{last_lines(resumed.stderr)}")
            return last_checkpoint(home), reached
    raise Refused(f"The run was over before it could be killed, {TRIES} times: give it more --steps.")


def last_checkpoint(folder: Path) -> Path:
    return sorted(folder.glob("*/*/*/checkpoints/step-*.ckpt"))[-1]


def first_difference(one: Path, other: Path) -> str | None:
    """The first value in which two checkpoints differ, in words; None if all are equal."""
    first, second = (dict(leaves(read_checkpoint(path))) for path in (one, other))
    for name, value in first.items():
        if name not in second:
            return f"{name} is missing"
        if not equal(value, second[name]):
            count = sum(n not in second or not equal(v, second[n]) for n, v in first.items())
            return f"{name} differs first, of {count:,} values"
    return None


def leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The values in nested mappings and sequences, with their dotted names."""
    branches = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, (list, tuple))
        else None
    )
    if branches is None:
        yield name, tree
        return
    for branch, below in branches:
        yield from leaves(below, f"{name}.{branch}" if name else str(branch))


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return one == other


def explain_difference(options: list[str], steps: int, home: Path) -> str:
    """Which operation of torch is not deterministic, or what else to look for; costs two more runs."""
    run = subprocess.run(
        fit_command(options, steps, home / "deterministic"), capture_output=True, text=True, timeout=TIMEOUT
    )
    if match := re.search(r"RuntimeError: (\S+) does not have a deterministic implementation", run.stderr):
        return f"The operation {match[1]} has no deterministic form: leave it out, or accept that."
    if run.returncode:
        return f"With --trainer.deterministic true it stops: {last_lines(run.stderr)}"
    again = train_straight(options, steps, home / "deterministic again")
    if not first_difference(last_checkpoint(home / "deterministic"), again):
        return "With --trainer.deterministic true they are the same."
    return (
        "Not even --trainer.deterministic true helps: look for numbers that your own code draws or the time."
    )


def last_lines(text: str) -> str:
    return "\n".join([line for line in text.strip().splitlines() if line.strip()][-2:])
