"""A table of scores as its template takes it, with a small drawing of each interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ganlab.comparison.report.axis import NONE, decimals, memory, number, short, time_unit
from ganlab.comparison.report.intervals import Whiskers
from ganlab.comparison.report.words import contract_line, direction, of_table, standing
from ganlab.comparison.result import Row, Table

ORDER = {"best": 0, "tied": 1, "worse": 2, "unknown": 3}


@dataclass
class Column:
    """A column of numbers, sorted by them.

    Attributes:
        why: The attribute of Row by whose name `missing` says why there is none.
    """

    head: str
    of: Callable[[Row], float | None]
    written: Callable[[float], str]
    why: str
    hint: str = ""

    def cell(self, row: Row) -> tuple[float | None, str, str]:
        """The value, how it is written, and why there is none."""
        value = self.of(row)
        if value is None:
            return None, NONE, row.missing.get(self.why, "")
        return value, self.written(value), ""


def plain(table: Table, places: Mapping[int, int]) -> dict[str, object]:
    """
    Args:
        places: Of each group, by its id, its place in the comparison.
    """
    whiskers = Whiskers(table)
    precision = decimals(value for row in table.rows for value in (row.mean, row.best_mean))
    columns = _columns(table, precision)
    best = next((row for row in table.rows if row.mean is not None), None)
    rows = []
    for row in table.rows:
        kind, words = standing(row, best)
        place = places[id(row.group)]
        more = {
            "place": place,
            "value": number(row.mean, precision),
            "interval": _interval(row, precision),
            "drawing": whiskers.row(row, place),
            "kind": kind,
            "standing": words,
            "order": ORDER[kind],
            "welch": _welch(row, best),
            "cells": [column.cell(row) for column in columns],
        }
        rows.append(vars(row) | more)
    return vars(table) | {
        "rows": rows,
        "columns": columns,
        "ruler": whiskers.axis(),
        "direction": direction(table),
        "summary": of_table(table),
        "hardware": list(dict.fromkeys(row.hardware for row in table.rows if row.hardware)),
        "contract": contract_line(table.contract),
    }


def _interval(row: Row, precision: int) -> str:
    if row.mean is None:
        return ""
    if row.low is None or row.high is None:
        return row.missing.get("low") or ("one seed: no interval" if row.seeds == 1 else "no interval")
    return f"[{number(row.low, precision)}, {number(row.high, precision)}]"


def _welch(row: Row, best: Row | None) -> str:
    p = row.welch.get(best.group.name) if best is not None else None
    return "" if p is None else f"Welch: p {'<' if p < 0.001 else '='} {max(p, 0.001):.2g}"


def _columns(table: Table, precision: int) -> list[Column]:
    longest = max((row.hours or 0.0 for row in table.rows), default=0.0) * 3600
    unit, seconds = time_unit(longest)

    def time(hours: float) -> str:
        told = hours * 3600 / seconds
        return number(told, 0 if told >= 100 else 1)

    found = [
        Column("best of run", lambda row: row.best_mean, lambda v: number(v, precision), "best_mean",
               "mean over the seeds of each run's best score"),
        Column("steps", lambda row: row.steps, number, "steps", "generator steps"),
        Column("images", lambda row: row.images, short, "images", "reals shown to the discriminator"),
        Column(unit, lambda row: row.hours, time, "hours", "of training, without scoring"),
    ]  # fmt: skip
    if table.target is not None:
        goal = f"to {short(table.target)}"
        found += [
            Column(f"images {goal}", lambda row: row.images_to_target, short, "images_to_target",
                   "median over seeds"),
            Column(f"{unit} {goal}", lambda row: row.hours_to_target, time, "hours_to_target",
                   "median over seeds"),
            Column(f"reached {short(table.target)}", lambda row: row.reached, number, "reached", "seeds"),
        ]  # fmt: skip
    return [
        *found,
        Column("images/s", lambda row: row.images_per_second, number, "images_per_second"),
        Column("memory", lambda row: row.peak_memory, lambda v: memory(int(v)), "peak_memory", "peak"),
    ]
