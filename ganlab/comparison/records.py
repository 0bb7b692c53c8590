"""Runs as lines of JSON: what a comparison needs of them, without folders, pictures and weights.

A file of a few kilobytes a run may be committed beside the tables that are made from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ganlab.comparison.read import STATES, UNKNOWN, Run
from ganlab.errors import Refused
from ganlab.runs.records import Scored, as_evaluation
from ganlab.system.atomic_file import atomic_write
from ganlab.system.row_files import Records
from ganlab.system.untrusted import number, readable, whole_number

SUFFIX = ".jsonl"
POINTS = 30  # of each curve, spread over all
DIGITS = 5  # of the values of curves
WORDS = ("data", "experiment", "state", "reason", "hardware")
WHOLE = ("max_steps", "step", "images", "peak_memory")
NUMBERS = ("seconds", "images_per_second")
MAPPINGS = ("reasons", "floor", "beside_floor", "selected")  # of an evaluation


def write(runs: Iterable[Run], path: Path) -> None:
    lines = [json.dumps(_plain(run), allow_nan=False, separators=(",", ":")) for run in runs]
    with atomic_write(path) as file:
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _plain(run: Run) -> dict[str, Any]:
    contracts: list[dict[str, Any]] = []
    evaluated = [
        {
            **{name: getattr(each, name) for name in ("step", "images", "seconds", "scores")},
            **{name: value for name in MAPPINGS if (value := getattr(each, name))},
            "contract": _place(each.contract, contracts),
        }
        for each in run.evaluations
    ]
    return {
        "run": "/".join(Path(run.source).parts[-3:]),
        "seed": run.seed,
        "collapsed": run.collapsed,
        **{name: getattr(run, name) for name in (*WORDS, *WHOLE, *NUMBERS)},
        "settings": run.settings,
        "contracts": contracts,
        "evaluations": evaluated,
        "terms": {name: _thinned(points) for name, points in run.terms.items()},
    }


def _place(contract: dict[str, Any], contracts: list[dict[str, Any]]) -> int:
    """The number of a contract in the list, to which it is added where it is new."""
    if contract not in contracts:
        contracts.append(contract)
    return contracts.index(contract)


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    last = len(points) - 1
    places = sorted({round(place * last / (POINTS - 1)) for place in range(POINTS)}) if last > 0 else [0]
    kept = (points[place] for place in places if points)
    return [(x, float(f"{y:.{DIGITS}g}")) for x, y in kept]


def read(path: Path) -> list[Run]:
    """The runs of a file that `write` has written; what is garbled is listed in their problems."""
    if not path.is_file():
        raise Refused(f"There is no {readable(path)}.")
    problems: list[str] = []
    runs = [_run(row) for row in Records(path).read(problems)]
    if problems or not runs:
        why = problems[0] if problems else "the file is empty"
        raise Refused(f"{readable(path)} holds no records of runs: {why}.")
    return runs


def _run(row: Mapping[str, Any]) -> Run:
    problems: list[str] = []
    words = {name: readable(str(row.get(name) or "")) for name in WORDS}
    seed = whole_number(row.get("seed"))
    run = Run(
        source=readable(str(row.get("run") or "a run")),
        folder=None,
        data=words["data"],
        experiment=words["experiment"],
        seed=UNKNOWN if seed is None else seed,
        settings=_mapping(row, "settings"),
        state=words["state"] if words["state"] in STATES else "stopped",
        reason=words["reason"],
        hardware=words["hardware"],
        collapsed=row.get("collapsed") is True,
        problems=problems,
    )
    for name in WHOLE:
        value = whole_number(row.get(name))
        setattr(run, name, value or 0 if name in ("step", "images") else value)
    for name in NUMBERS:
        setattr(run, name, number(row.get(name)))
    contracts = row.get("contracts")
    run.evaluations = [
        evaluation
        for each in _rows(row, "evaluations")
        if (evaluation := _evaluation(each, contracts if isinstance(contracts, list) else [], problems))
    ]
    run.terms = {readable(name): _points(points) for name, points in _mapping(row, "terms").items()}
    return run


def _evaluation(row: Any, contracts: list[Any], problems: list[str]) -> Scored | None:
    step, place = (
        whole_number(row.get(name)) if isinstance(row, dict) else None for name in ("step", "contract")
    )
    contract = contracts[place] if place is not None and place < len(contracts) else None
    if step is None or not isinstance(contract, dict):
        problems.append("an evaluation has no step or no contract")
        return None
    evaluation = as_evaluation(step, _mapping(row, "scores"), _mapping(row, "reasons"), contract, problems)
    evaluation.images = whole_number(row.get("images")) or 0
    evaluation.seconds = number(row.get("seconds"))
    evaluation.floor, evaluation.beside_floor = _mapping(row, "floor"), _mapping(row, "beside_floor")
    evaluation.selected = {
        name: whole_number(count) or 0 for name, count in _mapping(row, "selected").items()
    }
    return evaluation


def _mapping(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def _rows(row: Mapping[str, Any], name: str) -> list[Any]:
    value = row.get(name)
    return value if isinstance(value, list) else []


def _points(points: Any) -> list[tuple[float, float]]:
    pairs = (
        [pair for pair in points if isinstance(pair, list) and len(pair) == 2]
        if isinstance(points, list)
        else []
    )
    known = ((number(x), number(y)) for x, y in pairs)
    return [(x, y) for x, y in known if x is not None and y is not None]
