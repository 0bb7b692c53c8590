"""A run's folder with one thing broken in it: each command works, or says a sentence and changes nothing."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import here, write
from commands import GAME, signalled, steps
from fuzzing import SHARES, said, share_of, state_of, tried

from ganlab.system.row_files import Records, Table

THINGS = (
    "config.yaml",
    "environment.json",
    "status.json",
    "clock.jsonl",
    "metrics.csv",
    "scores.jsonl",
    "verdict.json",
    "hparams.yaml",
    ".lock",
    "checkpoints",
    "checkpoints/step-000000005.ckpt",
    "checkpoints/step-000000003.ckpt",
    "checkpoints/best.ckpt",
    "samples",
    "samples/step-000000003.png",
    "nearest",
    "nearest/step-000000003.png",
)


def fault(change: Callable[[Path, random.Random], None]) -> Callable[[Path, random.Random], None]:
    FAULTS[change.__name__] = change
    return change


FAULTS: dict[str, Callable[[Path, random.Random], None]] = {}


def content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def replace(path: Path, new: bytes) -> None:
    remove(path)
    path.write_bytes(new)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@fault
def emptied(path: Path, source: random.Random) -> None:
    replace(path, b"")


@fault
def cut(path: Path, source: random.Random) -> None:
    replace(path, content(path)[: source.randrange(len(content(path)) + 1)])


@fault
def torn(path: Path, source: random.Random) -> None:
    replace(path, content(path)[:-5])


@fault
def zeroed(path: Path, source: random.Random) -> None:
    replace(path, bytes(len(content(path))))


@fault
def flipped(path: Path, source: random.Random) -> None:
    new = bytearray(content(path) or b"?")
    for _ in range(20):
        new[source.randrange(len(new))] ^= 1 << source.randrange(8)
    replace(path, bytes(new))


@fault
def random_bytes(path: Path, source: random.Random) -> None:
    replace(path, source.randbytes(300))


@fault
def not_utf8(path: Path, source: random.Random) -> None:
    replace(path, b"\xff\xfe\x80" + content(path) + b"\n\xc3\x28\n")


@fault
def other_values(path: Path, source: random.Random) -> None:
    lines = ['{"step": "5", "scores": 3}', "[]", "null", '{"step": -1}', '{"step": 1e999}', "step: [", '"']
    source.shuffle(lines)
    replace(path, content(path) + "\n".join(lines).encode())


@fault
def only_a_number(path: Path, source: random.Random) -> None:
    replace(path, b"17")


@fault
def removed(path: Path, source: random.Random) -> None:
    remove(path)


@fault
def a_folder(path: Path, source: random.Random) -> None:
    remove(path)
    path.mkdir()
    (path / "something").touch()


@fault
def a_fifo(path: Path, source: random.Random) -> None:
    remove(path)
    os.mkfifo(path)


@fault
def a_link_in_a_circle(path: Path, source: random.Random) -> None:
    remove(path)
    path.symlink_to(path.name)


@fault
def a_link_to_nothing(path: Path, source: random.Random) -> None:
    remove(path)
    path.symlink_to("/nowhere/at/all")


@fault
def a_link_elsewhere(path: Path, source: random.Random) -> None:
    """As it is usual for folders of large files."""
    if path.exists():
        moved = next(above for above in path.parents if above.name == "runs") / f"moved-{path.name}"
        path.rename(moved)
        path.symlink_to(moved)


CASES = [(thing, name) for thing in THINGS for name in FAULTS]
COMMANDS = (
    ("evaluate", "RUN", "--samples", "40", "--scores", "fid", "--extractor", "Pixels"),
    ("sample", "RUN", "--out", "grid.png", "--count", "2"),
    ("compare", "RUN", "--out", "report"),
    ("launch", "--status", "RUN"),
)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped at its fifth step."""
    folder = tmp_path_factory.mktemp("stopped")
    with signalled(step=5):
        often = ("--samples.every_n_steps", "3", "--evaluation.every_n_steps", "3")
        assert here("fit", "--config", write(folder, GAME), *often, folder=folder).code == 75
    (run,) = folder.glob("runs/*/*/*")
    assert steps(run) == [5, 3]
    return run


def broken(stopped: Path, case: tuple[str, str], home: Path, number: int) -> Path:
    thing, name = case
    run = shutil.copytree(stopped, home / str(number) / "runs" / "digits" / "small" / stopped.name)
    FAULTS[name](run / thing, random.Random(number))
    return run


def recorded(run: Path) -> set[str]:
    """The rows that can be read up to the step from which the run will go on."""
    files = Table(run / "metrics.csv"), Records(run / "clock.jsonl"), Records(run / "scores.jsonl")
    rows = [row for file in files for row in file.read()]
    return {json.dumps(row, sort_keys=True) for row in rows if row["step"] <= 3}


@pytest.mark.parametrize("part", SHARES)
@pytest.mark.parametrize("target", ["itself", "auto"])
def test_a_broken_run_is_resumed_or_left_as_it_is(
    target: str, part: int, stopped: Path, tmp_path: Path
) -> None:
    assert len(CASES) > 200
    cases = share_of([*enumerate(CASES)], part)
    for number, case in cases if target == "itself" else cases[::5]:
        run = broken(stopped, case, tmp_path, number)
        folder = tmp_path / str(number)
        before, rows = state_of(folder), recorded(run)
        arguments = ("--resume", run) if target == "itself" else ("--resume", "auto")
        if target == "auto":
            arguments = ("--config", write(tmp_path, GAME), *arguments)
        answer = tried("fit", *arguments, "--trainer.max_steps", "7", folder=folder)
        said(answer)
        if answer.code:
            assert state_of(folder) == before, (case, answer)
        else:
            assert rows <= recorded(run), (case, answer)
        shutil.rmtree(folder)


@pytest.mark.parametrize("part", SHARES)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_broken_run_is_read_or_refused(
    command: tuple[str, ...], part: int, stopped: Path, tmp_path: Path
) -> None:
    for number, case in share_of([*enumerate(CASES)], part)[:: 1 if command[0] == "launch" else 3]:
        run = broken(stopped, case, tmp_path, number)
        folder = tmp_path / str(number)
        before = state_of(folder)
        answer = tried(*(word.replace("RUN", str(run)) for word in command), folder=folder)
        said(answer)
        if answer.code:
            assert state_of(folder) == before, (case, answer)
        shutil.rmtree(folder)
