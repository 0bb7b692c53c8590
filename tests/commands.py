"""The command `ganlab` in a process of its own, which tests can kill. It is forked from a process that has
imported ganlab already, and so starts in a second instead of eight.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import COMMAND, Answer, here

from ganlab.checkpoints.checksummed import newest_first
from ganlab.game.gan import GAN
from ganlab.testing.processes import forking

BEGUN: list[Command] = []


class Command:
    """A command that runs in another process.

    Args:
        patch: Python code that is executed before the command, for instance to kill it at some step.
    """

    def __init__(self, *arguments: Any, folder: Path, patch: str = "", **environment: str) -> None:
        self.folder, number = folder, len([*folder.glob(".output-*")]) // 2
        self.files = [folder / f".output-{number}-{name}" for name in ("out", "err")]
        environment = {**bare(folder), **environment}
        call = ([str(argument) for argument in arguments], str(folder), environment, patch, *self.files)
        with _environment(bare(folder)):
            self.process = forking().Process(target=_run_command, args=call)
            self.process.start()
        self.pid = self.process.pid
        BEGUN.append(self)

    @property
    def err(self) -> str:
        return self.files[1].read_text() if self.files[1].exists() else ""

    @property
    def runs(self) -> bool:
        return self.process.is_alive()

    def signal(self, number: int, *, group: bool = False) -> None:
        assert self.runs, f"it is over already: {self.err}"
        (os.killpg if group else os.kill)(self.pid, number)

    def end(self, timeout: float = 60) -> Answer:
        self.process.join(timeout)
        assert not self.runs, f"it still runs after {timeout} s: {self.err}"
        out, err = (path.read_text() for path in self.files)
        return Answer(self.process.exitcode, out, err)

    def until(self, happened: Callable[[], Any], timeout: float = 60) -> Any:
        """Wait until `happened` returns something true; return that."""
        deadline = time.monotonic() + timeout
        while not (result := happened()):
            assert self.runs, f"it ended before: {self.err}"
            assert time.monotonic() < deadline, f"that did not happen within {timeout} s: {self.err}"
            time.sleep(0.005)
        return result


def end_all() -> None:
    for command in BEGUN:
        if command.runs:
            os.killpg(command.pid, signal.SIGKILL)
            command.process.join(10)
    BEGUN.clear()


def living() -> dict[int, int]:
    """The parent of each process that lives; zombies are left out."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *_ = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if state != "Z":
            parents[int(status.parent.name)] = int(parent)
    return parents


def descendants(pid: int) -> list[int]:
    """The children of a process, and their children."""
    parents, result = living(), [pid]
    for parent in result:
        result += [child for child, its in parents.items() if its == parent]
    return result[1:]


def bare(folder: Path) -> dict[str, str]:
    """An environment without accounts and other runs' settings, with this ganlab on Python's path."""
    import ganlab

    foreign = ("GANLAB_", "WANDB_", "PL_", "PYTEST_", "SLURM_", "PYTHONWARNINGS")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    places = Path(__file__).parent, Path(ganlab.__file__).resolve().parents[1]
    return inherited | {
        "HOME": str(folder),
        "GANLAB_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(map(str, places)),
    }


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _run_command(
    arguments: list[str], folder: str, environment: dict[str, str], patch: str, out: Path, err: Path
) -> None:
    """Run the command in the new process."""
    import atexit

    # The platform's default, as it would be in a new interpreter.
    multiprocessing.set_start_method(None, force=True)
    # A signal to the command's process group must not reach the tests.
    os.setsid()
    os.chdir(folder)
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [COMMAND, *arguments]
    exec(patch, {})
    from ganlab.cli import main

    code = main.main(arguments)
    atexit._run_exitfuncs()
    sys.exit(code)


# What the tests of resumed runs share

GAME = """\
model:
  class_path: R3GAN
  init_args:
    critic_steps: 2
    latent_size: 4
    instance_noise: 0.1
    generator: {class_path: MLPGenerator, init_args: {hidden: [16]}}
    discriminator: {class_path: MLPDiscriminator, init_args: {hidden: [16]}}
data: {class_path: Digits, init_args: {size: 8, batch_size: 8}}
trainer: {max_steps: 13, log_every_n_steps: 2, accelerator: cpu, precision: 32-true}
samples: {every_n_steps: 20, count: 4}
evaluation: {extractor: Pixels, samples: 40, every_n_steps: 5}
checkpoints: {every_n_steps: 3, keep: 3}
"""

# A patch that kills a process before its twelfth step.
KILLED = """
import os, signal
from ganlab import GAN
original = GAN.training_step
def training_step(game, *given):
    if game.global_step == 11:
        {before}
        os.kill(os.getpid(), signal.SIGKILL)
    original(game, *given)
GAN.training_step = training_step
"""


def begun(folder: Path) -> Path:
    """The folder of the only run there is."""
    (run,) = (path.parent for path in folder.glob("runs/*/*/*/config.yaml"))
    return run


def steps(run: Path) -> list[int]:
    """The steps of a run's checkpoints, newest first."""
    return [int(path.stem.removeprefix("step-")) for path in newest_first(run / "checkpoints")]


def at(run: Path, step: int) -> Path:
    """A run's checkpoint of a step."""
    return run / "checkpoints" / f"step-{step:09d}.ckpt"


def leaves(tree: Any, name: str = "") -> dict[str, Any]:
    branches = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else None
    if branches is None:
        return {name: tree}
    return {k: v for key, below in branches for k, v in leaves(below, f"{name}/{key}").items()}


def assert_same_end(one: Path, other: Path, what: str = "") -> None:
    """The last checkpoints of two runs are equal to the last bit, and so are their metrics and scores."""
    assert steps(one)[0] == steps(other)[0], what
    first, second = (leaves(torch.load(at(run, steps(run)[0]), weights_only=True)) for run in (one, other))
    assert first.keys() == second.keys(), what
    different = [
        name
        for name, value in second.items()
        if not (torch.equal(first[name], value) if isinstance(value, torch.Tensor) else first[name] == value)
    ]
    assert not different, (what, different)
    for name in ("metrics.csv", "scores.jsonl"):
        assert (one / name).read_text() == (other / name).read_text(), (what, name)


def fit(*arguments: Any, folder: Path, **environment: str) -> Answer:
    """The command within this process."""
    with _environment({**bare(folder), **environment}):
        return here("fit", *arguments, folder=folder)


@contextmanager
def signalled(step: int, signal_number: int = signal.SIGTERM) -> Iterator[None]:
    """Send this process a signal during a step of the game that is trained in it."""
    original = GAN.training_step

    def training_step(game: GAN, *arguments: Any) -> None:
        if game.global_step == step - 1:
            os.kill(os.getpid(), signal_number)
        original(game, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GAN, "training_step", training_step)
        yield
