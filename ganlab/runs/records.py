"""A run's recorded terms and evaluations, in the form in which runs are compared."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ganlab.metrics.contract import OF_SCORES, hash_of_fields
from ganlab.metrics.names import own_parameters
from ganlab.runs.status import SCORES
from ganlab.system.row_files import Records
from ganlab.system.untrusted import Problems, number, readable, whole_number

HASH_DIFFERS = "a score's contract is not the one that its hash was made of"


def columns(rows: Iterable[dict[str, Any]], over: str) -> dict[str, list[tuple[float, float]]]:
    """By name the finite values of each column, each with the value of the column `over` in its row."""
    points: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        x = number(row.get(over))
        for name, value in row.items():
            if x is not None and name != over and (finite := number(value)) is not None:
                points.setdefault(readable(name), []).append((x, finite))
    return points


@dataclass
class Scored:
    """One evaluation of a run: a row of scores.jsonl, with the seconds of training up to its step.

    Attributes:
        contract: What its scores were measured under.
        beside_floor: The same scores of as many samples as the floor, if that is of fewer.
        selected: Of each score of weights that were chosen by a score, among how many evaluations.
    """

    step: int
    images: int
    seconds: float | None
    scores: dict[str, float | None]
    reasons: dict[str, str]
    floor: dict[str, Any]
    contract: dict[str, Any]
    beside_floor: dict[str, Any] = field(default_factory=dict)
    selected: dict[str, int] = field(default_factory=dict)


def evaluations(
    rows: Iterable[dict[str, Any]], clock: list[dict[str, Any]], problems: Problems
) -> list[Scored]:
    """The evaluations in the order of steps. Of two rows of one step and contract the later counts, for each
    score and floor that it has, but one of selected weights replaces no other.

    Args:
        clock: The run's clock (`ganlab.runs.status.read_clock`), from which images and seconds follow.
    """
    evaluated: dict[tuple[str, int], Scored] = {}
    lost = 0
    for row in rows:
        step, scores, contract = row["step"], row.get("scores"), row.get("contract")
        if not isinstance(scores, dict) or not isinstance(contract, dict):
            lost += 1
            continue
        reasons, floor, beside = (_mapping(row.get(name)) for name in ("reasons", "floor", "beside_floor"))
        evaluation = as_evaluation(step, scores, reasons, contract, problems)
        evaluation.floor = floor
        if (among := row.get("selected_among")) is None:
            evaluation.beside_floor = beside
        else:
            evaluation.selected = dict.fromkeys(evaluation.scores, whole_number(among) or 0)
        told = whole_number(row.get("images"))
        evaluation.images = round(_interpolate(clock, step, "images") or 0) if told is None else told
        evaluation.seconds = _interpolate(clock, step, "seconds")
        key = evaluation.contract["hash"], step
        evaluated[key] = _completed(evaluation, evaluated.get(key))
    if lost:
        problems.append(f"{lost} of the rows of scores.jsonl have no scores or no contract")
    return sorted(evaluated.values(), key=lambda evaluation: evaluation.step)


def _completed(later: Scored, earlier: Scored | None) -> Scored:
    """A row with what an earlier one of the same step and contract has and it has not."""
    if earlier:
        own = earlier.scores.keys() - earlier.selected.keys()
        new = later.scores.keys() - (own & later.selected.keys())
        for part in ("scores", "reasons", "selected"):
            before, after = vars(earlier)[part], vars(later)[part]
            kept = {name: value for name, value in before.items() if name not in new}
            setattr(later, part, kept | {name: value for name, value in after.items() if name in new})
        parameters = {**_mapping(earlier.contract.get(OF_SCORES)), **_mapping(later.contract.get(OF_SCORES))}
        for name in earlier.scores.keys() - new:
            parameters |= own_parameters(earlier.contract, name)
        later.contract |= {OF_SCORES: parameters} if parameters else {}
        later.floor = earlier.floor | later.floor
        later.beside_floor = earlier.beside_floor | later.beside_floor
    return later


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_evaluation(
    step: int, scores: dict[str, Any], reasons: dict[str, Any], contract: dict[str, Any], problems: list[str]
) -> Scored:
    """An evaluation of checked values; its contract's hash is computed anew, and a wrong one is a problem."""
    if contract.get("hash") != (right := hash_of_fields(contract)) and HASH_DIFFERS not in problems:
        problems.append(HASH_DIFFERS)
    contract = {**contract, "hash": right}
    values = {readable(name): number(value) for name, value in scores.items()}
    given = {readable(name): readable(reason) for name, reason in reasons.items()}
    unknown = {name: "it is no finite number" for name, value in values.items() if value is None}
    return Scored(step, 0, None, values, {**unknown, **given}, {}, contract)


def _interpolate(clock: list[dict[str, Any]], step: int, name: str) -> float | None:
    """A column of the clock at a step: linear between two rows; after the last at the mean rate up to it."""
    if not clock:
        return None
    last = clock[-1]
    if step > last["step"] > 0:
        return last[name] * step / last["step"]
    return float(np.interp(step, [row["step"] for row in clock], [row[name] for row in clock]))


def record_scores(run: Path, row: dict[str, Any]) -> None:
    """Add scores of a checkpoint to its run's records; if they cannot be written, that is said."""
    try:
        Records(run / SCORES).append(row)
    except OSError as error:
        print(f"ganlab: The scores were not added to those of {run}: {error.strerror}.", file=sys.stderr)
