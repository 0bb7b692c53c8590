"""What a run has recorded, as it is compared: its terms and its evaluations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganlab.metrics.contract import digest
from ganlab.system.untrusted import Problems, number, readable, whole_number

CHANGED = "a score's contract is not the one that its hash was made of"


def columns(rows: Iterable[dict[str, Any]], over: str) -> dict[str, list[tuple[float, float]]]:
    """Of each name the finite values, over those of another."""
    points: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        at = number(row.get(over))
        for name, value in row.items():
            if at is not None and name != over and (finite := number(value)) is not None:
                points.setdefault(readable(name), []).append((at, finite))
    return points


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


def evaluations(
    rows: Iterable[dict[str, Any]], clock: list[dict[str, Any]], problems: Problems
) -> list[Scored]:
    """In the order of steps; where a step was scored twice under one contract, the later row holds."""
    by_contract: dict[tuple[str, int], Scored] = {}
    lost = 0
    for row in rows:
        step, scores, contract = row["step"], row.get("scores"), row.get("contract")
        if not isinstance(scores, dict) or not isinstance(contract, dict):
            lost += 1
            continue
        reasons, floor = row.get("reasons"), row.get("floor")
        evaluation = scored(step, scores, reasons if isinstance(reasons, dict) else {}, contract, problems)
        evaluation.floor = floor if isinstance(floor, dict) else {}
        evaluation.images = whole_number(row.get("images")) or round(_at(clock, step, "images") or 0)
        evaluation.seconds = _at(clock, step, "seconds")
        by_contract[evaluation.contract["hash"], step] = evaluation
    if lost:
        problems.append(f"{lost} of the rows of scores.jsonl have no scores or no contract")
    return sorted(by_contract.values(), key=lambda evaluation: evaluation.step)


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
