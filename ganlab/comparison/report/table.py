"""A table of scores as its template takes it, with a small drawing of each interval."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ganlab.comparison.report.axis import NONE, decimals, memory, number, short, time_unit
from ganlab.comparison.report.intervals import IntervalPlot
from ganlab.comparison.report.words import (
    against,
    contract_line,
    contrast,
    direction,
    few_label,
    floor_label,
    how_means_are_made,
    how_tested,
    p_value,
    share_lost,
    standing,
    summarise,
)
from ganlab.comparison.result import Row, Table

ORDER = {"better": 0, "best": 1, "reference": 1, "open": 2, "worse": 3, "unknown": 4}


@dataclass
class Column:
    """A column of numbers, by which the reader can sort.

    Attributes:
        value: The number of a row.
        format: How a number is written.
        attribute: The attribute of Row that it comes from; `Row.missing` says why it is None.
        below: What stands below the table, with the number in the place of {}, if it is the same in all rows.
    """

    head: str
    value: Callable[[Row], float | None]
    format: Callable[[float], str]
    attribute: str
    hint: str = ""
    below: str = ""

    def cell(self, row: Row) -> tuple[float | None, str, str]:
        """The value, how it is written, and why there is none."""
        value = self.value(row)
        if value is None:
            return None, NONE, row.missing.get(self.attribute, "")
        return value, self.format(value), ""


def template_values(table: Table, numbers: Mapping[int, int]) -> dict[str, object]:
    """A table's attributes, and what else its template takes.

    Args:
        numbers: By the group's id its position in the comparison, from which its colour follows.
    """
    plot = IntervalPlot(table)
    precision = decimals(value for row in table.rows for value in (row.mean, row.best_mean))
    columns, shared = _apart(_columns(table, precision), table.rows)
    rows = []
    for row in table.rows:
        place = numbers[id(row.group)]
        cells = [column.cell(row) for column in columns]
        more = {"number": place, "drawing": plot.row(row, place), "cells": cells}
        rows.append(_row_values(row, table, precision) | more)
    return vars(table) | {
        "rows": rows,
        "columns": columns,
        "shared": shared,
        "axis": plot.axis(),
        "against": against(table),
        "floor_label": floor_label(table),
        "means": how_means_are_made(table),
        "tested": how_tested(table),
        "direction": direction(table),
        "summary": summarise(table),
        "hardware": list(dict.fromkeys(row.hardware for row in table.rows if row.hardware)),
        "contract": contract_line(table.contract),
    }


def _apart(columns: list[Column], rows: Sequence[Row]) -> tuple[list[Column], list[str]]:
    """The columns that stand in the table, and in words what stands below it because all rows share it."""
    apart, shared = [], []
    for column in columns:
        written = {column.cell(row)[1] for row in rows}
        if not column.below or len(rows) < 2 or len(written) > 1:
            apart.append(column)
        elif (number := written.pop()) != NONE:
            shared.append(column.below.format(number))
    return apart, shared


def _row_values(row: Row, table: Table, precision: int) -> dict[str, object]:
    """A row's attributes, and how they are written."""
    kind, verdict, limits = standing(row, table)
    return vars(row) | {
        "value": number(row.mean, precision),
        "interval": _interval(row, precision),
        "kind": kind,
        "verdict": verdict,
        "limits": limits,
        "evidence": ", ".join(filter(None, (contrast(row, table), p_value(row, table)))),
        "order": ORDER[kind],
        "share_lost": share_lost(row),
    }


def _interval(row: Row, precision: int) -> str:
    if row.mean is None:
        return ""
    if row.low is None or row.high is None:
        return row.missing.get("low") or ("one seed: no interval" if row.seeds == 1 else "no interval")
    return f"[{number(row.low, precision)}, {number(row.high, precision)}]"


def _beside_floor(table: Table, precision: int) -> Iterator[Column]:
    """Where the floor is of fewer samples, the column of scores of as many, with the floor in its head."""
    hint = "mean of the last scores of as many samples as the real floor"
    if table.few_score:
        yield Column(
            few_label(table), lambda row: row.few_mean, lambda v: number(v, precision), "few_mean", hint
        )


def _columns(table: Table, precision: int) -> list[Column]:
    longest = max((row.hours or 0.0 for row in table.rows), default=0.0) * 3600
    unit, seconds = time_unit(longest)

    def time(hours: float) -> str:
        amount = hours * 3600 / seconds
        return number(amount, 0 if amount >= 100 else 1)

    columns = [
        *_beside_floor(table, precision),
        Column("best of run", lambda row: row.best_mean, lambda v: number(v, precision), "best_mean",
               "mean over the seeds of each run's best score, which is the better the more there were"),
        Column("of", lambda row: max(row.evaluations, default=None), number, "best_mean",
               "evaluations, among which the best of run was selected", "the best of {} in each run"),
        Column("steps", lambda row: row.steps, number, "steps", "generator steps", "{} steps"),
        Column("images", lambda row: row.images, short, "images", "reals shown to the discriminator",
               "{} images"),
        Column(unit, lambda row: row.hours, time, "hours", "of training, without scoring"),
    ]  # fmt: skip
    if table.target is not None:
        goal = f"to {short(table.target)}"
        columns += [
            Column(f"images {goal}", lambda row: row.images_to_target, short, "images_to_target",
                   "median over seeds"),
            Column(f"{unit} {goal}", lambda row: row.hours_to_target, time, "hours_to_target",
                   "median over seeds"),
            Column(f"reached {short(table.target)}", lambda row: row.reached, number, "reached", "seeds"),
        ]  # fmt: skip
    return [
        *columns,
        Column("images/s", lambda row: row.images_per_second, number, "images_per_second"),
        Column("memory", lambda row: row.peak_memory, lambda v: memory(int(v)), "peak_memory", "peak"),
    ]
