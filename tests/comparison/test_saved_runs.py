"""Runs as lines of JSON: a comparison of what was saved is the comparison of the runs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from command_line import here
from test_compare import GAMMA, OTHER, make, make_seeds, row

from ganlab.comparison import records
from ganlab.comparison.read import read_run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_seeds(tmp_path, "good", 5.0, 5.5, 6.0)
    make_seeds(tmp_path, "bad", 20.0, 21.0, 22.0, **{GAMMA: 3.0})
    make(tmp_path, "lost", 0, 400.0, verdict="collapsed: one image")
    make(tmp_path, "other", 0, rows=[row(1000, 7.0, contract=OTHER), row(1000, 9.0)])
    make(tmp_path, "late", 0, state="failed", step=500)
    return tmp_path


def words(text: str) -> str:
    """What a comparison says, without where runs were read from and how they were begun."""
    return re.sub(r'"command": "[^"]*"', "", text.replace("runs/digits/", "digits/"))


def test_what_was_saved_compares_as_the_runs_do(home: Path) -> None:
    first = here("compare", "runs", "--save", "kept/all.jsonl", "--json", "--out", "one", folder=home)
    again = here("compare", "kept/all.jsonl", "--json", "--out", "two", folder=home)
    assert first.code == again.code == 0, (first, again)
    assert words(first.out) == words(again.out)
    one, two = ((home / out / "table.md").read_text() for out in ("one", "two"))
    assert words(one) == words(two)
    assert "good" in (home / "two" / "report.html").read_text()
    assert str(home) not in (home / "kept" / "all.jsonl").read_text(), "places of one machine"


def test_saved_and_new_runs_stand_side_by_side(home: Path) -> None:
    assert here("compare", "runs/digits/good", "--save", "good.jsonl", folder=home).code == 0
    mixed = here("compare", "good.jsonl", "runs/digits/bad", "--out", "both", folder=home)
    whole = here("compare", "runs/digits/good", "runs/digits/bad", "--out", "whole", folder=home)
    assert mixed.code == whole.code == 0, (mixed, whole)
    both, all_runs = ((home / out / "table.md").read_text() for out in ("both", "whole"))
    assert words(both) == words(all_runs)


def test_curves_are_thinned_and_begin_and_end_where_they_did(home: Path) -> None:
    folder = next((home / "runs" / "digits" / "good").iterdir())
    lines = ["generator,images,step", *(f"{step / 3},{step * 64},{step}" for step in range(1, 1001))]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    run = read_run(folder)
    records.write([run], home / "one.jsonl")
    (kept,) = records.read(home / "one.jsonl")
    assert len(kept.terms["generator"]) == records.POINTS
    for end in (0, -1):
        assert kept.terms["generator"][end] == pytest.approx(run.terms["generator"][end], rel=1e-4)
    assert (home / "one.jsonl").stat().st_size < 10_000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no records of runs"),
        ("no json\n", "holds no records of runs"),
        ("[1, 2]\n", "holds no records of runs"),
    ],
)
def test_what_is_no_record_is_refused(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text(content)
    answer = here("compare", "bad.jsonl", folder=tmp_path)
    assert answer.code == 2, answer
    assert words in answer.err
    assert "There is no missing.jsonl" in here("compare", "missing.jsonl", folder=tmp_path).err
    make_seeds(tmp_path, "good", 5.0)
    assert "lines of JSON" in here("compare", "runs", "--save", "kept.csv", folder=tmp_path).err


@pytest.mark.parametrize("value", [None, "x", -1, 1e400, [], {}, [[]], [1, [2, "y"]]], ids=str)
def test_garbled_values_stop_no_comparison(value: Any, home: Path) -> None:
    assert here("compare", "runs", "--save", "all.jsonl", folder=home).code == 0
    first, *others = [json.loads(line) for line in (home / "all.jsonl").read_text().splitlines()]
    evaluated, *later = first["evaluations"]
    # A line without a step is no record; of all else one run each has it garbled.
    garbled = [{**first, name: value} for name in first.keys() - {"step"}]
    garbled += [{**first, "evaluations": [{**evaluated, name: value}, *later]} for name in evaluated]
    lines = "".join(json.dumps(each) + "\n" for each in (*garbled, *others))
    (home / "bad.jsonl").write_text(lines)
    answer = here("compare", "bad.jsonl", "--out", "out", folder=home)
    assert answer.code == 0, answer
    assert "bad" in (home / "out" / "table.md").read_text()
