"""The processes of a run on one machine: where one of them ends early, none lives on."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import SMALL, run_folders, write
from commands import Command, living

BOTH = ("--config", "small.yaml", "--trainer.devices", "2")
# Another program is given the port after it was found to be free.
TAKEN_IN_BETWEEN = """
import socket
from lightning.fabric.plugins.environments import lightning
free = lightning.find_free_network_port
def find():
    port = free()
    find.held = socket.create_server(("", port))
    return port
lightning.find_free_network_port = find
"""
# A game that the second process cannot build.
SECOND_FAILS = """
import os
from ganlab.variants import R3GAN
class Mine(R3GAN):
    def __init__(self, **given):
        super().__init__(**given)
        if os.environ.get("LOCAL_RANK") == "1":
            raise RuntimeError("the second has no such card")
"""
# The first process writes down which one it has started.
STARTED = """
import os, signal, subprocess
start = subprocess.Popen.__init__
def started(process, command, *given, **options):
    start(process, command, *given, **options)
    if "LOCAL_RANK" in (options.get("env") or {}):
        open("second", "w").write(str(process.pid))
        pass
subprocess.Popen.__init__ = started
"""
FIRST_DIES = STARTED.replace("pass", "os.kill(os.getpid(), signal.SIGKILL)")


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.create_server(("", 0)) as server:
        yield str(server.getsockname()[1])


def assert_ended(folder: Path, seconds: float) -> None:
    """The second process ends within some seconds after the first."""
    second, ends = int((folder / "second").read_text()), time.monotonic() + seconds
    while (lives := second in living()) and time.monotonic() < ends:
        time.sleep(0.1)
    if lives:
        os.kill(second, signal.SIGKILL)
    assert not lives


def test_a_port_that_is_in_use_is_refused_and_no_process_lives_on(taken: str, tmp_path: Path) -> None:
    write(tmp_path)
    answer = Command("fit", *BOTH, folder=tmp_path, patch=STARTED, MASTER_PORT=taken).end()
    assert answer.code == 2, answer
    assert f"ganlab: Port {taken}" in answer.err
    assert "MASTER_PORT" in answer.err
    assert len(answer.err.splitlines()) <= 3, answer.err
    assert not run_folders(tmp_path)
    assert_ended(tmp_path, seconds=1)


def test_so_is_one_that_was_free_just_before(tmp_path: Path) -> None:
    write(tmp_path)
    answer = Command("fit", *BOTH, folder=tmp_path, patch=STARTED + TAKEN_IN_BETWEEN).end()
    assert answer.code == 2, answer
    assert "Start it again" in answer.err
    assert len(answer.err.splitlines()) <= 3, answer.err
    assert_ended(tmp_path, seconds=1)


@pytest.mark.parametrize("port", ["abc", "0", "99999"])
def test_what_is_no_port_is_refused_before_a_process_starts(port: str, tmp_path: Path) -> None:
    write(tmp_path)
    command = Command("fit", *BOTH, folder=tmp_path, MASTER_PORT=port)
    answer = command.end()
    assert answer.code == 2, answer
    assert f"MASTER_PORT is {port!r}" in answer.err
    assert len(answer.err.splitlines()) <= 3, answer.err


# Waits for the imports of a second process, which takes seconds.


@pytest.mark.slow
def test_the_first_ends_with_a_sentence_when_another_cannot_be_built(tmp_path: Path) -> None:
    write(tmp_path, SMALL.replace("R3GAN", "my_game.Mine"))
    (tmp_path / "my_game.py").write_text(SECOND_FAILS)
    command = Command("fit", *BOTH, folder=tmp_path, patch=STARTED)
    command.until(lambda: "the second has no such card" in command.err, timeout=120)
    answer = command.end()
    assert_ended(tmp_path, seconds=1)
    assert answer.code == 1, answer
    assert "ganlab: Process 1 of this run ended (exit code 1), and so do the others." in answer.err


@pytest.mark.slow
def test_another_ends_when_the_first_is_killed_before_they_meet(tmp_path: Path) -> None:
    write(tmp_path)
    command = Command("fit", *BOTH, folder=tmp_path, patch=FIRST_DIES)
    command.process.join(60)
    assert command.process.exitcode == -signal.SIGKILL
    assert_ended(tmp_path, seconds=60)
