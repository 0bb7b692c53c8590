"""Files of rows whose writer was killed at any byte: complete rows are read, kept, and followed by more."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from ganlab.cli.export import _score
from ganlab.loggers.csv import MetricsCSV
from ganlab.runs.folder import rewind_records
from ganlab.runs.state import state_of
from ganlab.runs.status import read_clock
from ganlab.system.row_files import Records, Table

ROWS: list[dict[str, Any]] = [{"step": step, "loss": step / 3, "images": step * 8} for step in (5, 10, 128)]


@pytest.fixture(params=[Records, Table])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


def write_rows(kind: Any, folder: Path) -> bytes:
    kind(folder / "rows").append(*ROWS)
    return (folder / "rows").read_bytes()


def test_rows_come_back_as_they_were_added(kind: Any, tmp_path: Path) -> None:
    records = kind(tmp_path / "rows")
    assert records.read(problems := []) == []
    records.rewind(3)
    assert not problems
    assert not records.path.exists()
    for row in ROWS:
        records.append(row)
    assert records.read(problems) == kind(records.path).read(problems) == ROWS
    assert not problems


def test_wherever_the_file_was_cut_off_only_that_row_is_lost(kind: Any, tmp_path: Path) -> None:
    content = write_rows(kind, tmp_path)
    for size in range(len(content)):
        (path := tmp_path / "rows").write_bytes(content[:size])
        rows = kind(path).read()
        assert rows == ROWS[: len(rows)], content[:size]
        assert len(rows) >= content[:size].count(b"\n") - (kind is Table), content[:size]
        kind(path).rewind(1000)
        assert kind(path).read(problems := []) == rows, content[:size]
        assert not problems
        kind(path).append(*ROWS[len(rows) :])
        assert path.read_bytes() == content, content[:size]


def test_a_row_after_a_cut_off_one_has_a_line_of_its_own(tmp_path: Path) -> None:
    content = write_rows(Records, tmp_path)
    for size in range(len(content)):
        (path := tmp_path / "rows").write_bytes(content[:size])
        records = Records(path)
        before = records.read()
        records.append({"step": 200})
        assert records.read() == [*before, {"step": 200}], content[:size]


GARBLED = [
    b"\xff\xfe\x00,,\n",
    b"[]\n",
    b"null\n",
    b'{"loss": 1}\n',
    b'{"step": "x"}\n',
    b'{"step": 1e999}\n',
    b"[" * 200_000 + b"\n",
    b"x,y,z\n",
    b"1,2\n",
    b'"\n',
]


@pytest.mark.parametrize("line", GARBLED, ids=range(len(GARBLED)))
def test_only_a_garbled_line_is_lost_and_it_is_reported(kind: Any, line: bytes, tmp_path: Path) -> None:
    content = write_rows(kind, tmp_path)
    first = content.index(b"\n") + 1
    (path := tmp_path / "rows").write_bytes(content[:first] + line + content[first:])
    assert kind(path).read(problems := []) == ROWS
    assert problems == ["line 2 of rows cannot be read"]
    kind(path).rewind(1000)
    assert path.read_bytes() == content


def test_an_unreadable_file_is_reported_and_never_overwritten(kind: Any, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    assert kind(tmp_path / "rows").read(problems := []) == []
    assert problems == ["rows cannot be read: Is a directory"]
    with pytest.raises(OSError, match="directory"):
        kind(tmp_path / "rows").rewind(3)


def test_a_file_is_left_alone_if_nothing_is_dropped_and_otherwise_replaced(kind: Any, tmp_path: Path) -> None:
    content = write_rows(kind, tmp_path)
    path = tmp_path / "rows"
    before = path.stat().st_ino
    kind(path).rewind(128)
    assert path.stat().st_ino == before
    kind(path).rewind(10)
    assert path.stat().st_ino != before
    assert content.startswith(path.read_bytes())
    assert kind(path).read() == ROWS[:2]
    kind(path).rewind(0)
    kind(path).append(*ROWS)
    assert path.read_bytes() == content


def test_numbers_that_are_not_finite_are_refused_in_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Records(tmp_path / "rows").append({"step": 1, "loss": float("nan")})
    assert not (tmp_path / "rows").exists()


# metrics.csv


def log_rows(folder: Path, *rows: dict[str, Any]) -> list[dict[str, str]]:
    """Log rows and return all that the file then holds."""
    logger = MetricsCSV(folder)
    for row in rows:
        logger.log_metrics(row, row["step"])
    logger.save()
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_new_name_adds_a_column_to_earlier_rows(tmp_path: Path) -> None:
    assert log_rows(tmp_path, {"step": 1, "b": 0.1}) == [{"b": "0.1", "step": "1"}]
    rows = log_rows(tmp_path, {"step": 2, "a": 3, "b": float("nan")}, {"step": 3, "b": 1e-05})
    assert [*rows[0]] == ["a", "b", "step"]
    assert [[*row.values()] for row in rows] == [["", "0.1", "1"], ["3", "nan", "2"], ["", "1e-05", "3"]]
    assert (tmp_path / "metrics.csv").read_bytes().count(b"\r\n") == 4


def test_a_cut_off_row_leaves_the_row_before_it(tmp_path: Path) -> None:
    log_rows(tmp_path, {"step": 1, "a": 0.1}, {"step": 2, "a": 0.2})
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("0.3")
    rewind_records(tmp_path, 2)
    assert [row["step"] for row in log_rows(tmp_path, {"step": 3, "a": 0.3})] == ["1", "2", "3"]


# A run's records


def test_rewinding_a_run_keeps_the_scores_of_ganlab_evaluate(tmp_path: Path) -> None:
    log_rows(tmp_path, *({"step": step, "a": 0.1} for step in (1, 2, 3)))
    clock = [{"step": step, "images": step, "seconds": float(step), "memory": None} for step in (0, 1, 3)]
    Records(tmp_path / "clock.jsonl").append(*clock)
    scores = Records(tmp_path / "scores.jsonl")
    scores.append({"step": 1}, {"step": 3}, {"step": 3, "checkpoint": "step-3.ckpt"}, {"step": 2})
    rewind_records(tmp_path, 2)
    assert read_clock(tmp_path) == clock[:2]
    assert scores.read() == [{"step": 1}, {"step": 3, "checkpoint": "step-3.ckpt"}, {"step": 2}]
    assert [row["step"] for row in log_rows(tmp_path)] == ["1", "2"]


def test_the_clock_has_only_complete_rows_in_the_order_of_steps(tmp_path: Path) -> None:
    rows = [{"step": 9, "images": 9, "seconds": 3.0}, {"step": 4, "images": 4, "seconds": 1.0}]
    Records(tmp_path / "clock.jsonl").append(*rows, {"step": 10}, {"step": 11, "images": 1, "seconds": "x"})
    assert read_clock(tmp_path) == rows[::-1]
    assert read_clock(tmp_path / "elsewhere") == []


def test_the_last_whole_row_is_the_last_score(tmp_path: Path) -> None:
    assert state_of(tmp_path).score == ""
    Records(tmp_path / "scores.jsonl").append({"step": 1, "scores": {"fid": 2.5, "kid": 1.0}})
    with (tmp_path / "scores.jsonl").open("a") as file:
        file.write('{"step": 2, "sco')
    assert state_of(tmp_path).score == "fid 2.5"
    for scores, expected in (({"fid": None}, "fid -"), ({}, ""), (3, "")):
        Records(tmp_path / "scores.jsonl").append({"step": 3, "scores": scores})
        assert state_of(tmp_path).score == expected


def test_an_export_takes_the_last_score_of_its_weights(tmp_path: Path) -> None:
    rows = [
        {"step": step, "contract": {"fakes": fakes}, "scores": {"fid": value}}
        for step, fakes, value in [(4, "ema", 1.0), (4, "raw", 2.0), (4, "ema", 3.0), (8, "ema", 4.0)]
    ]
    (tmp_path / "scores.jsonl").write_text(
        "[]\n" + "".join(json.dumps(row) + "\n" for row in [*rows, {"step": 4}])
    )
    assert _score(tmp_path, {"step": 4, "weights": "ema"}) == rows[2]
    assert _score(tmp_path, {"step": 5, "weights": "ema"}) is None
    assert _score(None, {"step": 4, "weights": "ema"}) is None
