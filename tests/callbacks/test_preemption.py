"""A run that is requested to stop saves a whole step; its exit code says whether to start it again."""

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from command_line import Answer, metrics, write
from commands import (
    GAME,
    Command,
    assert_same_end,
    at,
    begun,
    descendants,
    fit,
    living,
    signalled,
    steps,
)
from later import later, seldom

from ganlab.checkpoints.checksummed import damage
from ganlab.game.gan import GAN
from ganlab.loggers import wandb_files

# The seventh step tells that it is played, and goes on once all signals have been sent.
LINGER = """
import os, time
from ganlab import GAN
original = GAN.training_step
def training_step(game, *given):
    if game.global_step == 6:
        open("reached", "w").close()
        ends = time.monotonic() + 60
        while time.monotonic() < ends and not os.path.exists("sent"):
            time.sleep(0.01)
    original(game, *given)
GAN.training_step = training_step
"""


def reach(folder: Path, *options: str, **environment: str) -> Command:
    """A run in its seventh step."""
    command = Command(
        "fit", "--config", write(folder, GAME), *options, folder=folder, patch=LINGER, **environment
    )
    command.until((folder / "reached").exists)
    return command


def send(command: Command, *signals: int, group: bool = False) -> Answer:
    """Send these within the step; how the command ends then."""
    for number in signals:
        command.signal(number, group=group)
    (command.folder / "sent").touch()
    return command.end()


def assert_goes_on(folder: Path, straight: Path, *, stopped: int) -> None:
    run = begun(folder)
    assert steps(run)[0] == stopped
    assert damage(at(run, stopped)) is None
    answer = fit("--resume", run, folder=folder)
    assert answer.code == 0, answer
    assert f"from step-{stopped:09d}.ckpt" in answer.out
    assert_same_end(run, straight)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 75),
        pytest.param(signal.SIGUSR1, 75, marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR2, 75, marks=pytest.mark.slow),
        (signal.SIGINT, 130),
    ],
    ids=["SIGTERM", "SIGUSR1", "SIGUSR2", "SIGINT"],
)
def test_a_signal_ends_a_run_after_its_step(number: int, code: int, straight: Path, tmp_path: Path) -> None:
    answer = send(reach(tmp_path), number)
    assert answer.code == code, answer
    assert "stopped after step 7, which is saved" in answer.err
    assert len(answer.err.splitlines()) <= 3, answer.err
    assert "Traceback" not in answer.err
    assert json.loads((begun(tmp_path) / "status.json").read_text())["state"] == "preempted"
    assert_goes_on(tmp_path, straight, stopped=7)


@pytest.mark.parametrize(
    ("number", "code"),
    later([(signal.SIGTERM, 75), (signal.SIGINT, 130)], [(signal.SIGTERM, 75)]),
    ids=["SIGTERM", "SIGINT"],
)
def test_so_does_one_that_its_workers_get_too(number: int, code: int, straight: Path, tmp_path: Path) -> None:
    """As a terminal and a cluster send it."""
    command = reach(tmp_path, "--data.workers", "2")
    workers = descendants(command.pid)
    assert len(workers) >= 2
    answer = send(command, number, group=True)
    assert answer.code == code, answer
    assert "Traceback" not in answer.err
    assert_goes_on(tmp_path, straight, stopped=7)
    assert not living().keys() & workers


def test_a_second_interrupt_ends_at_once(straight: Path, tmp_path: Path) -> None:
    command = reach(tmp_path)
    command.signal(signal.SIGINT)
    time.sleep(0.3)
    assert command.runs
    command.signal(signal.SIGINT)
    assert command.end(timeout=5).code == 130
    assert_goes_on(tmp_path, straight, stopped=6)


@pytest.mark.parametrize("ends", ["as it should", "by a signal", "by an error"])
def test_the_handlers_of_signals_are_restored(
    ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("a defect")

    if ends == "by an error":
        monkeypatch.setattr(GAN, "training_step", fail)
    command = ("--config", write(tmp_path, GAME), "--trainer.max_steps", "2")
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    with signalled(1) if ends == "by a signal" else suppress(ValueError):
        fit(*command, folder=tmp_path)
    state = json.loads((begun(tmp_path) / "status.json").read_text())["state"]
    assert state == {"as it should": "done", "by a signal": "preempted", "by an error": "failed"}[ends]
    assert {number: signal.getsignal(number) for number in before} == before


# A SLURM job


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a job asked of a SLURM that is not there."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, lines in {"scontrol": f'echo "$@" >> {tmp_path}/asked', "squeue": "exit 1"}.items():
        (tools / name).write_text(f"#!/bin/sh\n{lines}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "asked"


def test_a_job_that_is_warned_goes_back_into_the_queue_once(
    asked: Path, straight: Path, tmp_path: Path
) -> None:
    answer = send(reach(tmp_path, SLURM_JOB_ID="123"), signal.SIGUSR1)
    assert answer.code == 75, answer
    assert asked.read_text() == "requeue 123\n"
    assert "job 123 is back in the queue" in answer.err
    assert_goes_on(tmp_path, straight, stopped=7)


@pytest.mark.parametrize("signals", [["SIGTERM"], ["SIGUSR1", "SIGINT"]], ids="+".join)
def test_a_job_that_is_cancelled_stays_cancelled(signals: list[str], asked: Path, tmp_path: Path) -> None:
    answer = send(reach(tmp_path, SLURM_JOB_ID="123"), *(signal.Signals[name] for name in signals))
    assert answer.code == (130 if "SIGINT" in signals else 75)
    assert steps(begun(tmp_path))[0] == 7
    assert not asked.exists()


def test_a_job_whose_time_is_nearly_over_stops_itself(asked: Path, straight: Path, tmp_path: Path) -> None:
    end = str(int(time.time()) + 30)
    command = Command(
        *("fit", "--config", write(tmp_path, GAME)),
        folder=tmp_path,
        **{"SLURM_JOB_ID": "123", "SLURM_JOB_END_TIME": end},
    )
    answer = command.end()
    assert answer.code == 75, answer
    assert asked.read_text() == "requeue 123\n"
    assert_goes_on(tmp_path, straight, stopped=1)


def test_without_an_end_that_is_near_it_goes_on(asked: Path, straight: Path, tmp_path: Path) -> None:
    end = str(int(time.time()) + 600)
    assert send(reach(tmp_path, SLURM_JOB_ID="123", SLURM_JOB_END_TIME=end)).code == 0
    assert not asked.exists()
    assert_same_end(begun(tmp_path), straight)


# Weights & Biases


@pytest.mark.slow
def test_weights_and_biases_gets_one_run_that_never_goes_back(straight: Path, tmp_path: Path) -> None:
    """One start is killed, one is requested to stop, and the last one ends."""
    options = ("--trainer.logger", "WandbLogger")
    command = reach(tmp_path, *options)
    command.signal(signal.SIGKILL)
    command.end()
    run = begun(tmp_path)
    assert steps(run)[0] == 6
    (tmp_path / "reached").unlink()
    again = Command("fit", "--resume", run, folder=tmp_path, patch=LINGER)
    again.until((tmp_path / "reached").exists)
    assert send(again, signal.SIGTERM).code == 75
    last = Command("fit", "--resume", run, folder=tmp_path).end()
    assert last.code == 0, last
    assert_same_end(run, straight)
    starts = wandb_files.starts(run)
    assert len(starts) == 3
    # What W&B had not yet written when it was killed has no name, and nothing else.
    assert len({name for name, start in starts if name or start}) == 1
    rows = [row for _, start in starts for row in start]
    images = [row["images"] for row in rows]
    assert images == sorted(images)
    sent: dict[tuple[str, float], float] = {}
    for row in rows:
        sent |= {(name, row["images"]): value for name, value in row.items()}
    for row in metrics(run):
        for name, value in row.items():
            if value and name != "step":
                assert sent[name, float(row["images"])] == float(value), (name, row["step"])


# A process that dies


@pytest.mark.parametrize("dies", seldom(["the second", "the first"], ["the first"]))
def test_a_run_of_two_processes_ends_when_one_dies_and_goes_on(dies: str, tmp_path: Path) -> None:
    both = ("--trainer.devices", "2", "--trainer.max_steps", "200", "--evaluation.every_n_steps", "50")
    config = write(tmp_path, GAME)
    command = Command("fit", "--config", config, *both, "--runs", "broken/runs", folder=tmp_path)
    command.until(lambda: [*tmp_path.glob("broken/runs/*/*/*/checkpoints/step-*.ckpt")])
    run, family = begun(tmp_path / "broken"), descendants(command.pid)
    (second,) = (pid for pid in family if b"fit" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(second if dies == "the second" else command.pid, signal.SIGKILL)
    answer = command.end(timeout=60)
    assert answer.code not in (0, 75, 130), answer
    ends = time.monotonic() + 30
    while living().keys() & family and time.monotonic() < ends:
        time.sleep(0.1)
    assert not living().keys() & family
    print(answer.out, answer.err)
    assert not [path for path in run.glob("checkpoints/step-*.ckpt") if damage(path)]
    assert Command("fit", "--resume", run, folder=tmp_path).end().code == 0
    assert Command("fit", "--config", config, *both, folder=tmp_path).end().code == 0
    assert_same_end(run, begun(tmp_path))
