"""`ganlab launch --status` of launches with anything in their files: each run has a state, and stays."""

import json
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fuzzing import SHARES, said, share_of, state_of, tried

CASES = range(240)
STATES = {"queued", "starting", "running", "stopped", "done", "failed", "unknown"}
# As they would lie there, with nothing wrong.
STATUS: dict[str, Any] = {
    "state": "done",
    "time": 1_790_000_000.5,
    "host": "other",
    "pid": 4242,
    "job": "77",
    "step": 7,
    "max_steps": 7,
    "images": 112,
    "images_per_second": 31.5,
    "error": "The term 'r1' became nan",
}
VALUES = [
    *(
        None,
        True,
        -1,
        0,
        2**31,
        2**63,
        10**400,
        1.5,
        -0.0,
        1e308,
        float("nan"),
        float("inf"),
        "",
        "7",
        "x" * 10**5,
    ),
    *([], [[1]], {}, {"a": {}}, "[/x]", "[red]", "\x1b[2J", "\ud800", "\u202e", "\0", "running", "DONE"),
]
BYTES = [b"", b"\0", b"\xff\xfe\x80", b"null", b"7", b"[]", b'"done"', b"{", b'{"state": "ru', b"[" * 10**5]
LINES = [
    b"",
    b".",
    b"/",
    b"..",
    b"\0",
    b"x" * 5000,
    b"\xff\xfe",
    b"nowhere/gone",
    b"[/x]",
    b"{run}/config.yaml",
]
ANSWERS = [
    "echo 0 RUNNING; echo 1 PENDING; echo 2 COMPLETING",
    "echo 0; echo 1 2 3; echo; echo N/A RUNNING; printf '\\377 RUNNING\\n'; echo 9999999999999999 PENDING",
    "echo Invalid job id specified >&2; exit 1",
    "echo Unable to contact slurm controller >&2; exit 1",
    "printf '\\377\\n' >&2; exit 1",
    "kill -9 $$",
]


def launch(home: Path, draw: random.Random) -> list[Path]:
    """A launch of four runs that are in different states."""
    runs = []
    for number, state in enumerate(("done", "running", "preempted", "failed")):
        run = home / "runs" / "digits" / "small" / f"1-seed{number}"
        run.mkdir(parents=True)
        (run / "config.yaml").write_text("seed_everything: 0\n")
        (run / "status.json").write_text(json.dumps(STATUS | {"state": state, "time": time.time()}))
        (run / "scores.jsonl").write_text('{"step": 5, "scores": {"fid": 2.5}}\n')
        (run / "stderr.log").write_text("step 5/7\nganlab: a sentence\n")
        runs.append(run)
    folder = home / "runs" / "launches" / "1"
    folder.mkdir(parents=True)
    (folder / "runs.txt").write_text("".join(f"{os.path.relpath(run, folder)}\n" for run in runs))
    if draw.random() < 0.5:
        (folder / "job.txt").write_text("77")
    return runs


# What goes wrong


def wrong_value(path: Path, draw: random.Random) -> None:
    status = STATUS | {draw.choice([*STATUS]): draw.choice(VALUES) for _ in range(draw.randint(1, 3))}
    for name in draw.sample([*STATUS], draw.randint(0, 2)):
        del status[name]
    host = {"host": os.uname().nodename} if draw.random() < 0.3 else {}
    row = draw.choice([status | host, {"step": draw.choice(VALUES), "scores": draw.choice(VALUES)}])
    path.write_text(json.dumps(row) + "\n")


def wrong_score(path: Path, draw: random.Random) -> None:
    scores = {draw.choice(["[/x]", "", "\x1b[2J", "\ud800"]): draw.choice(VALUES)}
    if (path.parent / "scores.jsonl").is_file():
        path = path.parent / "scores.jsonl"
    path.write_text(json.dumps({"step": 5, "scores": scores}))


def wrong_lines(path: Path, draw: random.Random) -> None:
    run = os.fsencode(path.parent)
    path.write_bytes(b"\n".join(draw.choice(LINES).replace(b"{run}", run) for _ in range(draw.randint(1, 9))))


def wrong_bytes(path: Path, draw: random.Random) -> None:
    path.write_bytes(draw.choice(BYTES))


def flipped(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes() or b"x")
    for _ in range(draw.randint(1, 8)):
        content[draw.randrange(len(content))] = draw.randrange(256)
    path.write_bytes(content[: draw.randint(0, len(content))])


def missing(path: Path, draw: random.Random) -> None:
    path.unlink()


def without_folder(path: Path, draw: random.Random) -> None:
    shutil.rmtree(path.parent)


def a_folder(path: Path, draw: random.Random) -> None:
    path.unlink()
    path.mkdir()


def a_link(path: Path, draw: random.Random) -> None:
    path.unlink()
    path.symlink_to(draw.choice([path.name, "nowhere", "/proc/self/mem", ".", "config.yaml"]))


def a_pipe(path: Path, draw: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def huge(path: Path, draw: random.Random) -> None:
    with path.open("ab") as file:
        file.truncate(draw.choice([2**16, 2**22]))
        file.write(draw.choice([b"", b"\n[/x]\n", b"\xff" * 2**16, b"\r" * 2**17]))


FAULTS: list[Callable[[Path, random.Random], None]] = [
    *(wrong_value, wrong_value, wrong_value, wrong_score, wrong_lines, wrong_bytes, flipped),
    *(missing, without_folder, a_folder, a_link, a_pipe, huge),
]


@pytest.mark.parametrize("part", SHARES)
def test_whatever_lies_in_a_launch_its_runs_have_states(part: int, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    squeue = tmp_path / "bin" / "squeue"
    path = f"{squeue.parent}{os.pathsep}{os.environ['PATH']}"
    for case in share_of(CASES, part):
        draw, home = random.Random(case), tmp_path / str(case)
        squeue.write_text(f"#!/bin/sh\n{draw.choice(ANSWERS)}\n")
        squeue.chmod(0o755)
        runs = launch(home, draw)
        files = [file for file in sorted(home.rglob("*.*")) if file.is_file()]
        for file in draw.sample(files, draw.randint(1, 4)):
            fault = draw.choice(FAULTS)
            if file.is_file():
                fault(file, draw)
        before = state_of(home)
        target = draw.choice([home / "runs" / "launches" / "1", home / "runs", runs[1]])
        shown = tried("launch", "--status", target, folder=tmp_path, PATH=path, COLUMNS="200")
        said(shown)
        shown.out.encode()
        assert "\x1b" not in shown.out, case
        answer = tried("launch", "--status", target, "--json", folder=tmp_path, PATH=path)
        assert said(answer) == shown.err, case
        for row in json.loads(answer.out or "[]"):
            assert row["state"] in STATES, (case, row)
            assert isinstance(row["step"], int), (case, row)
            assert len(row["detail"]) <= 500, (case, row)
        assert state_of(home) == before, case
        shutil.rmtree(home)
