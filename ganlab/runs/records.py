"""What a run has recorded, read back: its terms, its evaluations, its clock."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganlab.loggers.csv import read_metrics
from ganlab.metrics.contract import digest
from ganlab.runs.status import CLOCK
from ganlab.system.untrusted import Problems, json_rows, number, readable, whole_number

CHANGED = "a score's contract is not the one that its hash was made of"


def columns(path: Path, over: str, problems: Problems) -> dict[str, list[tuple[float, float]]]:
    """Of a CSV file each column's finite values, over another column."""
    found: dict[str, list[tuple[float, float]]] = {}
    try:
        read = read_metrics(path)
    except (OSError, ValueError, csv.Error):
        problems.append(f"{path.name} is garbled")
        return found
    for row in read:
        if (at := _float(row.get(over))) is None:
            continue
        for name, value in row.items():
            if name != over and (known := _float(value)) is not None:
                found.setdefault(readable(name), []).append((at, known))
    return found


def _float(written: str | None) -> float | None:
    try:
        return number(float(written or "nan"))
    except ValueError:
        return None


@dataclass
class Scored:
    """One evaluation of a run: a row of scores.jsonl, with the clock's time at its step."""

    step: int
    images: int
    seconds: float | None
    scores: dict[str, float | None]
    reasons: dict[str, str]
    floor: dict[str, Any]
    contract: dict[str, Any]


def clock_rows(folder: Path, problems: list[str]) -> list[dict[str, Any]]:
    """Rows that hold what they should, in the order of their steps."""
    kinds = {"step": whole_number, "images": whole_number, "seconds": number}
    rows = json_rows(folder / CLOCK, problems)
    whole_rows = [row for row in rows if all(kind(row.get(name)) is not None for name, kind in kinds.items())]
    return sorted(whole_rows, key=lambda row: row["step"])


def evaluations(
    rows: Iterable[dict[str, Any]], clock: list[dict[str, Any]], problems: list[str]
) -> list[Scored]:
    """Where a step was scored twice under one contract, the later row holds."""
    found: dict[tuple[str, int], Scored] = {}
    lost = 0
    for row in rows:
        step, scores, contract = whole_number(row.get("step")), row.get("scores"), row.get("contract")
        if step is None or not isinstance(scores, dict) or not isinstance(contract, dict):
            lost += 1
            continue
        reasons, floor = row.get("reasons"), row.get("floor")
        each = scored(step, scores, reasons if isinstance(reasons, dict) else {}, contract, problems)
        each.floor = floor if isinstance(floor, dict) else {}
        each.images = whole_number(row.get("images")) or round(_at(clock, step, "images") or 0)
        each.seconds = _at(clock, step, "seconds")
        found[each.contract["hash"], step] = each
    if lost:
        problems.append(f"{lost} of the rows of scores.jsonl tell no step, scores or contract")
    return sorted(found.values(), key=lambda each: each.step)


def scored(
    step: int, scores: dict[str, Any], reasons: dict[str, Any], contract: dict[str, Any], problems: list[str]
) -> Scored:
    """With the hash that the contract has, whatever it says."""
    content = {name: value for name, value in contract.items() if name != "hash"}
    if contract.get("hash") != (true := digest(content)) and CHANGED not in problems:
        problems.append(CHANGED)
    contract = {"hash": true, **content}
    values = {readable(name): number(value) for name, value in scores.items()}
    why = {readable(name): readable(reason) for name, reason in reasons.items()}
    unknown = {name: "it is no finite number" for name, value in values.items() if value is None}
    return Scored(step, 0, None, values, {**unknown, **why}, {}, contract)


def _at(clock: list[dict[str, Any]], step: int, name: str) -> float | None:
    """Between two rows, and a little after the last, at the rate of all."""
    if not clock:
        return None
    last = clock[-1]
    if step > last["step"] > 0:
        return last[name] * step / last["step"]
    return float(np.interp(step, [row["step"] for row in clock], [row[name] for row in clock]))
