"""Comparing the run folders of others opens no file but theirs, and a report removes no file but its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import Answer, contents, here
from comparisons import comparison
from fuzzing import tried, within
from test_compare import make

from ganlab.comparison import report
from ganlab.comparison.read import find_run_folders, read_run
from ganlab.comparison.result import Comparison
from ganlab.errors import Refused
from ganlab.loggers import wandb_files
from ganlab.runs.state import state_of
from ganlab.system.row_files import Records
from ganlab.system.untrusted import yaml_config

SECRET = "machine example.org login me password hunter2"
FILES = ["config.yaml", "status.json", "scores.jsonl", "clock.jsonl", "metrics.csv", "environment.json"]


def compare(folder: Path, *arguments: str) -> Answer:
    return tried("compare", *arguments, folder=folder, COLUMNS="300")


def compare_for_report(folder: Path, *arguments: str) -> str:
    """What the command printed, and what it wrote, as one text."""
    answer = compare(folder, "runs", *arguments)
    assert answer.code == 0, answer
    return "\n".join([answer.out, answer.err, *map(str, contents(folder / "report").values())])


# What a report removes


def test_a_report_removes_only_what_it_wrote(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "plots").mkdir(parents=True)
    users = [out / "plots" / f"{kind}-mine.svg" for kind in ("interval", "curve", "term", "nearest")]
    for path in users:
        path.write_text("mine")
    report.write(out, comparison(tmp_path / "a"))
    plots = {path.name for path in (out / "plots").iterdir()} - {path.name for path in users}
    changed = out / "plots" / "term-generator.svg"
    assert changed.name in plots
    changed.write_text("drawn over")
    report.write(out, Comparison([], []))
    assert sorted((out / "plots").iterdir()) == sorted([*users, changed])


def test_a_list_of_plots_from_elsewhere_removes_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    report.write(out, comparison(tmp_path / "a"))
    digests = json.loads((out / "plots.json").read_text())
    copy = shutil.copy(out / "plots" / next(iter(digests)), tmp_path / "copy.svg")
    for name in (f"../../{copy.name}", str(copy), "..", "", "\0"):
        (out / "plots.json").write_text(json.dumps({name: next(iter(digests.values())), "x": 5}))
        report.write(out, Comparison([], []))
    assert copy.exists()


# Links, pipes, sockets


def link(path: Path, secret: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(secret)


def pipe(path: Path, secret: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def device(path: Path, secret: Path) -> None:
    link(path, Path("/dev/zero"))


def bind(path: Path, secret: Path) -> None:
    path.unlink(missing_ok=True)
    home = Path.cwd()
    os.chdir(path.parent)  # since a socket's path is short
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(path.name)
    os.chdir(home)


def huge(path: Path, secret: Path) -> None:
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(10**13)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / ".netrc"
    path.write_text(SECRET)
    return path


@pytest.mark.parametrize("replace", [link, pipe, device, bind, huge])
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_file_of_the_run_is_named_and_not_read(
    name: str, replace: Callable[[Path, Path], None], secret: Path, tmp_path: Path
) -> None:
    run = make(tmp_path)
    replace(run / name, secret)
    with within():
        problems = read_run(run).problems
    assert any(problem.startswith(f"{name} cannot be read: ") for problem in problems)
    assert "hunter2" not in str(problems)


@pytest.mark.parametrize("replace", [link, pipe, device, bind, huge])
def test_a_log_that_is_no_file_of_the_run_is_not_read(
    replace: Callable[[Path, Path], None], secret: Path, tmp_path: Path
) -> None:
    run = make(tmp_path, state="running", step=3)
    replace(run / "stderr.log", secret)
    assert "hunter2" not in compare_for_report(tmp_path)
    with within():
        assert "hunter2" not in str(state_of(run))


def test_the_last_line_of_a_long_log_is_read(tmp_path: Path) -> None:
    run = make(tmp_path, state="running", step=3)
    (run / "stderr.log").write_text("noise\n" * 2**20 + "the disk is full\nstep 3\n")
    assert state_of(run).detail == "the disk is full"
    (run / "stderr.log").write_text("x" * 2**20)
    assert len(state_of(run).detail) <= 500


@pytest.mark.parametrize("name", ["samples", "nearest"])
@pytest.mark.parametrize("whole", [False, True])
def test_pictures_outside_the_runs_folder_are_not_shown(name: str, whole: bool, tmp_path: Path) -> None:
    compared = comparison(tmp_path / "runs", ("hinge",), 1)
    run = compared.groups[0].runs[0]
    assert run.folder
    elsewhere = tmp_path / "elsewhere"
    shutil.move(run.folder / name, elsewhere)
    if whole:
        (run.folder / name).symlink_to(elsewhere)
    else:
        (run.folder / name).mkdir()
        for file in elsewhere.iterdir():
            (run.folder / name / file.name).symlink_to(file)
    page = report.write(tmp_path / "out", compared).read_text()
    assert page.count("<img") == (4 if name == "nearest" else 1)
    left_out = f"{name} is a link that leaves the run's folder: its pictures are left out"
    assert (left_out in read_run(run.folder).problems) == whole


def test_links_within_a_runs_folder_and_to_it_are_followed(tmp_path: Path) -> None:
    run = make(tmp_path)
    (run / "logs").mkdir()
    (run / "scores.jsonl").rename(run / "logs" / "scores.jsonl")
    (run / "scores.jsonl").symlink_to("logs/scores.jsonl")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (run / "checkpoints").symlink_to(scratch)
    (tmp_path / "latest").symlink_to(run)
    (folder,) = find_run_folders([tmp_path / "latest"])
    result = read_run(folder)
    assert not result.problems
    assert len(result.evaluations) == 2


def test_records_that_are_no_file_are_not_waited_for(secret: Path, tmp_path: Path) -> None:
    for replace in (pipe, device, huge):
        replace(tmp_path / "rows.jsonl", secret)
        with within():
            assert Records(tmp_path / "rows.jsonl").read(problems := []) == []
        assert problems


# Texts that a parser takes hours for, or cannot print


MERGES = "a: &a {x: 1}\n" + "\n".join(
    f"{new}: &{new}\n  <<: [{', '.join([f'*{old}'] * 9)}]"
    for old, new in zip("abcdefghij", "bcdefghijk", strict=True)
)
ENDLESS = {
    "merges": MERGES,
    "a number in base 60": f"a: {'1:' * 2_000_000}1",
    "a number that cannot be printed": f"a: 0x{'f' * 90_000}",
    "a long list": f"a: [{'b, ' * 1_000_000}]",
}


@pytest.mark.parametrize("case", ENDLESS)
def test_a_configuration_is_read_in_seconds_or_not_at_all(case: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(ENDLESS[case])
    with within(5):
        assert yaml_config(tmp_path / "config.yaml", problems := []) == {}
    assert problems == ["config.yaml is garbled"]


# Paths and classes that a run names


_opened: list[str] | None = None


def _note_paths(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is not None and event in ("open", "os.listdir", "os.scandir", "import"):
        _opened.append(str(arguments[0]))


@contextmanager
def opened() -> Iterator[list[str]]:
    """The files and folders opened, and modules imported, until the context ends."""
    global _opened
    if "compare" not in _hooks:
        sys.addaudithook(_note_paths)  # which stays until the process ends
        _hooks.add("compare")
    _opened = paths = []
    try:
        yield paths
    finally:
        _opened = None


_hooks: set[str] = set()


def everywhere(value: Any, text: str) -> Any:
    """The value with every text in it replaced."""
    if isinstance(value, dict):
        return {name: everywhere(below, text) for name, below in value.items()} | {"path": text}
    if isinstance(value, list):
        return [everywhere(below, text) for below in value]
    return text if isinstance(value, str) else value


def test_no_path_that_a_run_names_is_opened_and_no_class_imported(tmp_path: Path) -> None:
    run = make(tmp_path)
    (tmp_path / "canary").mkdir()
    names = str(tmp_path / "canary" / "file"), "canary_module.Data"
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "code").mkdir()
    (run / "code" / "canary_module.py").write_text("raise SystemExit('imported')")
    for name in names:
        (run / "config.yaml").write_text(yaml.safe_dump(everywhere(config, name) | {"init_from": name}))
        for file in run.glob("*.json*"):
            rows = [everywhere(json.loads(line), name) for line in file.read_text().splitlines()]
            (run / f"more-{file.name}").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (run / "status.json").write_text(json.dumps(everywhere({"state": "", "error": ""}, name)))
        with opened() as paths:
            compare_for_report(tmp_path)
        assert not [path for path in paths if "canary" in path]
        assert any(path.endswith("config.yaml") for path in paths)


def test_the_report_shows_no_training_images_if_it_is_told_so(tmp_path: Path) -> None:
    home = comparison(tmp_path / "runs", ("hinge",), 1).groups[0].runs[0].folder
    assert home
    run = make(tmp_path)
    shutil.copytree(home / "nearest", run / "nearest")
    assert 'id="memorisation"' in compare_for_report(tmp_path)
    assert [*(tmp_path / "report" / "plots").glob("nearest-*")]
    assert 'id="memorisation"' not in compare_for_report(tmp_path, "--memorisation", "false")
    assert not [*(tmp_path / "report" / "plots").glob("nearest-*")]


# Weights & Biases


def test_a_folder_of_wandbs_own_files_is_no_run(tmp_path: Path) -> None:
    start = tmp_path / "wandb" / "offline-run-20261121_120000-abc"
    (start / "files").mkdir(parents=True)
    (start / "run-abc.wandb").write_bytes(b":W&B")
    (start / "files" / "config.yaml").write_text("_wandb: {value: {}}\n")
    for path in (start / "files", start / "files" / "config.yaml", start, tmp_path):
        with pytest.raises(Refused, match=r"what W&B kept of a run"):
            find_run_folders([path])
    answer = here("compare", ".", folder=start / "files")
    assert answer.code == 2
    assert f"wandb sync {start}" in answer.err


@pytest.mark.parametrize(
    "content",
    [b"", b":W&B", b"\xff" * 1000, b"W" * 7 + b"\0\0\0\0\x04\0\x01\xff\xff\xff\xff", None],
    ids=["empty", "short", "bytes", "a record that is none", "a pipe"],
)
def test_garbled_files_of_wandb_hold_no_rows(content: bytes | None, tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    start = tmp_path / "wandb" / "offline-run-20261121_120000-abc"
    start.mkdir(parents=True)
    if content is None:
        os.mkfifo(start / "run-abc.wandb")
    else:
        (start / "run-abc.wandb").write_bytes(content)
    with within():
        assert wandb_files.starts(tmp_path) == [("", [])]
