"""A run survives being killed at any moment, damaged files, and a full disk."""

import errno
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import write
from commands import GAME, Command, assert_same_end, at, begun, fit, signalled, steps
from fuzzing import state_of
from later import later, seldom

import ganlab
from ganlab.checkpoints.checksummed import MARK_SIZE, damage, newest_first
from ganlab.errors import Refused
from ganlab.game.gan import GAN

LONG = ("--trainer.max_steps", "150", "--evaluation.every_n_steps", "20", "--checkpoint_every", "3")


def train(folder: Path, *arguments: str) -> Path:
    """Train a run to its end and return its folder."""
    answer = fit("--config", write(folder, GAME), *arguments, folder=folder)
    assert answer.code == 0, answer
    return begun(folder)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("long"), *LONG)


def whole_steps(run: Path) -> list[int]:
    """The steps of the run's checkpoints, none of which may be damaged."""
    assert not [damage(path) for path in newest_first(run / "checkpoints") if damage(path)]
    return steps(run)


def leftovers(run: Path) -> list[Path]:
    return [path for path in run.rglob(".*") if path.name != ".lock"] + [*run.rglob("*unfinished*")]


# Killed


def begin(folder: Path, *arguments: str, patch: str = "") -> tuple[Command, Path]:
    """Start a run in a process of its own, and return when it has a checkpoint."""
    command = Command("fit", "--config", write(folder, GAME), *arguments, folder=folder, patch=patch)
    command.until(lambda: [*folder.glob("runs/*/*/*/checkpoints/step-*.ckpt")])
    return command, begun(folder)


def kill_often(folder: Path, kills: int, seed: int) -> Path:
    source = random.Random(seed)
    command, run = begin(folder, *LONG)
    for kill in range(kills):
        if kill:
            newest = steps(run)[0]
            command = Command("fit", "--resume", run, folder=folder)
            command.until(lambda newest=newest: steps(run)[0] > newest)
        time.sleep(source.uniform(0, 0.15))
        before = steps(run)
        command.signal(signal.SIGKILL)
        assert command.end().code == -signal.SIGKILL
        after = whole_steps(run)
        assert after[0] >= before[0]
        assert len(after) >= min(3, len(before))
    answer = Command("fit", "--resume", run, folder=folder).end()
    assert answer.code == 0, answer
    return run


@pytest.mark.slow
def test_a_run_that_is_killed_four_times_is_the_straight_one(long: Path, tmp_path: Path) -> None:
    run = kill_often(tmp_path, kills=4, seed=0)
    assert_same_end(run, long)
    assert whole_steps(run) == [150, 147, 144]
    assert not leftovers(run)


@pytest.mark.parametrize("seed", seldom([1, 2, 3, 4], [1, 2]))
def test_a_run_that_is_killed_at_other_moments_is_the_straight_one(
    seed: int, long: Path, tmp_path: Path
) -> None:
    run = kill_often(tmp_path, kills=5, seed=seed)
    assert_same_end(run, long)
    assert not leftovers(run)


# Moments of `--resume` itself, at each of which the process is killed before its first step.
BEGINNINGS = (
    "ganlab.cli.run_folder.clean",
    "ganlab.cli.run_folder.rewind_records",
    "ganlab.cli.run_folder.write_environment",
    "ganlab.cli.run_folder.write_config",
    "ganlab.runs.folder.sync",
)


def dying_after(moment: str) -> str:
    """What makes a process kill itself as soon as it has first done that."""
    module, _, name = moment.rpartition(".")
    return f"""
import importlib, os, signal
module = importlib.import_module("{module}")
original = module.{name}
def dying(*arguments, **named):
    original(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)
module.{name} = dying
"""


@pytest.mark.parametrize(
    ("kills", "seed"),
    [pytest.param(6, 5, marks=pytest.mark.slow), pytest.param(20, 6, marks=pytest.mark.evidence)],
)
def test_a_chain_of_kills_some_of_them_before_the_first_step_ends_as_the_straight_run(
    kills: int, seed: int, tmp_path: Path
) -> None:
    """Every fourth kill comes while the run is being resumed."""
    length = ("--trainer.max_steps", str(40 * kills), *LONG[2:])
    for home in (one := tmp_path / "straight", other := tmp_path / "killed"):
        home.mkdir()
    straight, source = train(one, *length), random.Random(seed)
    command, run = begin(other, *length)
    for kill in range(kills):
        early = kill % 4 == 3
        newest = steps(run)[0]
        if kill:
            patch = dying_after(source.choice(BEGINNINGS)) if early else ""
            command = Command("fit", "--resume", run, folder=tmp_path, patch=patch)
        if not early:
            command.until(lambda newest=newest: steps(run)[0] > newest)
            time.sleep(source.uniform(0, 0.15))
            command.signal(signal.SIGKILL)
        assert command.end().code == -signal.SIGKILL
        assert not early or steps(run)[0] == newest
        assert whole_steps(run)[0] >= newest
    answer = Command("fit", "--resume", run, folder=tmp_path).end()
    assert answer.code == 0, answer
    assert_same_end(run, straight)
    assert not leftovers(run)


@pytest.mark.parametrize("moment", later(BEGINNINGS, BEGINNINGS[3:]))
def test_a_kill_while_a_run_is_resumed_loses_nothing(
    moment: str, copy: Path, straight: Path, tmp_path: Path
) -> None:
    command = Command("fit", "--resume", at(copy, 9), folder=tmp_path, patch=dying_after(moment))
    assert command.end().code == -signal.SIGKILL
    assert whole_steps(copy) == [13, 12, 9]
    answer = fit("--resume", at(copy, 9), folder=tmp_path)
    assert answer.code == 0, answer
    assert_same_end(copy, straight)
    assert not leftovers(copy)


# Kill the process when a function is first called with a file of that name.
DIE = """
import io, os, signal
from pathlib import Path
import ganlab.cli.fit
from ganlab.checkpoints import checksummed
from ganlab.system import atomic_file
def dying(*arguments):
    if any("{name}" in repr(argument) for argument in arguments if not isinstance(argument, dict)):
        {first}
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments)
original = {function}
{function} = dying
"""
HALF = "original(arguments[0], whole := io.BytesIO()); arguments[1].write(whole.getvalue()[:9999])"
MOMENTS = {
    "while it is written": ("checksummed.torch.save", "step-000000009.ckpt", f"{HALF}; arguments[1].flush()"),
    "before its checksum is written": ("checksummed._append_checksum", "step-000000009.ckpt", "pass"),
    "before it has its name": ("atomic_file.sync", "step-000000009.ckpt", "pass"),
    "before an older one is removed": ("Path.unlink", "/step-000000003.ckpt", "pass"),
}


@pytest.mark.parametrize("moment", later(MOMENTS, ("while it is written", "before it has its name")))
def test_a_kill_during_a_write_loses_no_earlier_checkpoint(
    moment: str, straight: Path, tmp_path: Path
) -> None:
    function, name, first = MOMENTS[moment]
    patch = DIE.format(function=function, name=name, first=first)
    command = Command("fit", "--config", write(tmp_path, GAME), folder=tmp_path, patch=patch)
    assert command.end().code == -signal.SIGKILL
    run = begun(tmp_path)
    assert whole_steps(run) == ([12, 9, 6, 3] if "older" in moment else [6, 3])
    assert bool(leftovers(run)) == ("older" not in moment)
    answer = fit("--resume", run, folder=tmp_path)
    assert answer.code == 0, answer
    assert_same_end(run, straight)
    assert whole_steps(run) == [13, 12, 9]
    assert not leftovers(run)


# Damaged files


def truncate(path: Path, length: int) -> None:
    with path.open("r+b") as file:
        file.truncate(length)


def flip_bit(path: Path, offset: int, bit: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


@pytest.fixture
def copy(straight: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, whose checkpoints are 13, 12 and 9."""
    return shutil.copytree(straight, tmp_path / "runs" / "digits" / "small" / straight.name)


def test_a_truncated_file_is_detected_wherever_it_ends(copy: Path) -> None:
    path = at(copy, 13)
    content = path.read_bytes()
    assert damage(path) is None
    size = len(content)
    near_the_end = [
        size - less
        for less in (1, 2, MARK_SIZE - 1, MARK_SIZE, MARK_SIZE + 1, MARK_SIZE + 22, MARK_SIZE + 23)
    ]
    for length in (0, 1, 22, MARK_SIZE, 100, size // 3, size // 2, *near_the_end):
        path.write_bytes(content[:length])
        assert damage(path), length
    path.write_bytes(content + b"\0")
    assert damage(path)


def test_a_flipped_bit_is_detected_wherever_it_is(copy: Path) -> None:
    path, source = at(copy, 13), random.Random(0)
    size = path.stat().st_size
    for offset in [*source.sample(range(size), 50), *range(size - MARK_SIZE - 2, size)]:
        bit = source.randrange(8)
        flip_bit(path, offset, bit)
        assert damage(path), offset
        flip_bit(path, offset, bit)
        assert damage(path) is None


def test_a_file_without_a_checksum_is_not_called_damaged(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(100)}, tmp_path / "theirs.ckpt")
    assert damage(tmp_path / "theirs.ckpt") is None


@pytest.mark.parametrize("damaged", [[13], [13, 12]])
def test_a_resumed_run_falls_back_to_the_checkpoint_before(
    damaged: list[int], copy: Path, straight: Path, tmp_path: Path
) -> None:
    for step in damaged:
        (truncate if step == 13 else flip_bit)(at(copy, step), 5000)
    (copy / "checkpoints" / "best.ckpt").unlink()
    answer = fit("--resume", copy, folder=tmp_path)
    assert answer.code == 0, answer
    for step in damaged:
        (message,) = (line for line in answer.err.splitlines() if str(at(copy, step)) in line)
        assert "damaged" in message
        assert "the one before it" in message
    assert f"step-{12 if damaged == [13] else 9:09d}.ckpt" in answer.out
    assert_same_end(copy, straight)
    assert whole_steps(copy) == [13, 12, 9]


@pytest.mark.parametrize("lost", [truncate, Path.unlink], ids=["damaged", "deleted"])
def test_a_whole_best_is_taken_where_no_other_is_whole(
    lost: Any, copy: Path, straight: Path, tmp_path: Path
) -> None:
    best = copy / "checkpoints" / "best.ckpt"
    shutil.copyfile(at(copy, 9), best)
    for path in newest_first(copy / "checkpoints"):
        lost(path, 5000) if lost is truncate else lost(path)
    answer = fit("--resume", copy, folder=tmp_path)
    assert answer.code == 0, answer
    assert "from best.ckpt" in answer.out
    assert_same_end(copy, straight)


@pytest.mark.parametrize("lost", later(["damaged", "deleted", "all deleted"], ["damaged"]))
def test_a_run_with_records_is_begun_anew_only_by_request(
    lost: str, copy: Path, straight: Path, tmp_path: Path
) -> None:
    for path in [*(copy / "checkpoints").glob("*.ckpt")]:
        truncate(path, 5000) if lost == "damaged" else path.unlink()
    if lost == "all deleted":
        (copy / "checkpoints").rmdir()
    before = state_of(copy)
    answer = fit("--resume", copy, folder=tmp_path)
    assert answer.code == 2, answer
    assert "--restart" in answer.err
    assert answer.err.count("is damaged") == 4 * (lost == "damaged")
    assert state_of(copy) == before
    answer = fit("--resume", copy, "--restart", folder=tmp_path)
    assert answer.code == 0, answer
    assert begun(tmp_path) == copy
    assert_same_end(copy, straight)
    assert whole_steps(copy) == [13, 12, 9]


def test_a_run_that_begins_anew_leaves_no_damaged_files(copy: Path, straight: Path, tmp_path: Path) -> None:
    for path in newest_first(copy / "checkpoints"):
        truncate(path, 5000)
    with signalled(step=4):
        assert fit("--resume", copy, "--restart", "--checkpoints.keep", "2", folder=tmp_path).code == 75
    assert whole_steps(copy) == [4, 3]
    assert fit("--resume", copy, "--checkpoints.keep", "3", folder=tmp_path).code == 0
    assert_same_end(copy, straight)


def test_resuming_an_earlier_checkpoint_removes_later_ones(
    copy: Path, straight: Path, tmp_path: Path
) -> None:
    """The records are rewound, so that resuming a later checkpoint would leave a gap in them."""
    with signalled(step=11):
        assert fit("--resume", at(copy, 9), folder=tmp_path).code == 75
    assert steps(copy) == [11, 9]
    assert fit("--resume", copy, folder=tmp_path).code == 0
    assert_same_end(copy, straight)


def test_a_damaged_file_is_refused_in_a_sentence(copy: Path, tmp_path: Path) -> None:
    path = at(copy, 13)
    flip_bit(path, 5000)
    with pytest.raises(Refused, match=re.escape(str(path))) as refusal:
        ganlab.load(path)
    assert "damaged" in str(refusal.value)
    assert len(str(refusal.value).splitlines()) <= 3
    answer = fit("--resume", path, folder=tmp_path)
    assert answer.code == 2
    assert "damaged" in answer.err
    assert len(answer.err.splitlines()) <= 3


# A disk that is full, or closed


@contextmanager
def mounted(place: Path, size: str) -> Iterator[None]:
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True)
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "runs", "4m"):
        yield tmp_path / "runs"


def failed(answer: Any) -> str:
    assert answer.code == 1, answer
    lines = [line for line in answer.err.splitlines() if not line.startswith("step ")]
    assert len(lines) <= 3, answer.err
    assert "Traceback" not in answer.err
    return answer.err


def test_a_full_disk_ends_a_run_with_a_sentence_and_loses_nothing(
    small_disk: Path, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = torch.save

    def save(content: Any, file: Any) -> None:
        if "step-000000012" in file.name:
            fill(small_disk, leave=20_000)
        original(content, file)

    monkeypatch.setattr(torch, "save", save)
    answer = fit("--config", write(tmp_path, GAME), folder=tmp_path)
    run = begun(tmp_path)
    message = failed(answer)
    assert "No space left" in message
    assert f"--resume {run.relative_to(tmp_path)}" in message
    assert whole_steps(run) == [9, 6, 3]
    assert not leftovers(run)
    monkeypatch.undo()
    (small_disk / "ballast").unlink()
    assert fit("--resume", run, folder=tmp_path).code == 0
    assert_same_end(run, straight)


def fill(place: Path, leave: int) -> None:
    with (place / "ballast").open("wb") as file:
        while (free := shutil.disk_usage(place).free) > leave:
            file.write(bytes(min(free - leave, 65536)))
            file.flush()


@pytest.mark.parametrize("name", later(["metrics.csv", "scores.jsonl", "a picture"], ["scores.jsonl"]))
def test_a_disk_that_is_full_for_records_ends_a_run_and_loses_nothing(
    name: str, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, opened = GAN.training_step, Path.open

    def refuse_to_save(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def opened_as_full(path: Path, mode: str = "r", **options: Any) -> Any:
        return opened(Path("/dev/full") if path.name == name and "a" in mode else path, mode, **options)

    def step(game: GAN, *arguments: Any) -> None:
        if game.global_step == 4:
            monkeypatch.setattr(Path, "open", opened_as_full)
            if name == "a picture":
                monkeypatch.setattr("PIL.Image.Image.save", refuse_to_save)
        original(game, *arguments)

    monkeypatch.setattr(GAN, "training_step", step)
    often = ("--samples.every_n_steps", "5")
    answer = fit("--config", write(tmp_path, GAME), *often, folder=tmp_path)
    run = begun(tmp_path)
    assert "No space left on device" in failed(answer)
    assert 3 in whole_steps(run)
    assert not leftovers(run)
    monkeypatch.undo()
    assert fit("--resume", run, folder=tmp_path).code == 0
    assert_same_end(run, straight)


def test_a_failed_write_loses_nothing(
    straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same without a file system to mount."""
    original = torch.save

    def save(content: Any, file: Any) -> None:
        if "step-000000012" in file.name:
            file.write(bytes(5000))
            raise OSError(errno.ENOSPC, "No space left on device")
        original(content, file)

    monkeypatch.setattr(torch, "save", save)
    answer = fit("--config", write(tmp_path, GAME), folder=tmp_path)
    run = begun(tmp_path)
    assert "No space left on device" in failed(answer)
    assert whole_steps(run) == [9, 6, 3]
    assert not leftovers(run)
    monkeypatch.undo()
    assert fit("--resume", run, folder=tmp_path).code == 0
    assert_same_end(run, straight)


def refused(answer: Any) -> str:
    assert answer.code == 2, answer
    assert len(answer.err.splitlines()) <= 3
    assert "Traceback" not in answer.err
    assert "pre-flight" not in answer.out
    return answer.err


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_first_step(
    straight: Path, tmp_path: Path
) -> None:
    write(tmp_path, GAME)
    for place in ("small.yaml/below", "/proc/runs"):
        message = refused(fit("--config", "small.yaml", "--runs", place, folder=tmp_path))
        assert place in message
    with mounted(tmp_path / "runs", "4m"):
        run = shutil.copytree(straight, tmp_path / "runs" / "digits" / "small" / straight.name)
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "runs"], check=True)
        message = refused(fit("--resume", run, folder=tmp_path))
        assert str(run) in message
        assert "Read-only" in message
        message = refused(fit("--config", "small.yaml", folder=tmp_path))
        assert "Read-only" in message
