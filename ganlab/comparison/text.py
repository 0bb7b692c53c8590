"""A comparison as text: for a terminal, as Markdown, as CSV, and as plain data for JSON."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from math import isfinite
from typing import Any, NamedTuple

from rich.console import Group as RichGroup
from rich.console import RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from ganlab.comparison.report.axis import NONE, decimals, memory, number, short, time_unit
from ganlab.comparison.report.words import (
    against,
    best_of,
    contract_line,
    contrast,
    contrast_head,
    direction,
    few_label,
    floor_label,
    how_means_are_made,
    mean_with_interval,
    p_value,
    share_lost,
    standing,
    summarise,
)
from ganlab.comparison.result import Comparison, Row, Table
from ganlab.comparison.settings import format_value


class Column(NamedTuple):
    """A column of a table on a terminal and in Markdown.

    Attributes:
        left: Its texts begin at the left.
        once: On a terminal a text that all rows share stands below the table.
    """

    name: str
    cell: Callable[[Row], str]
    left: bool = False
    once: bool = False


def columns(table: Table) -> list[Column]:
    rows = table.rows
    places = decimals(value for row in rows for value in (row.mean, row.best_mean))
    unit, seconds = time_unit(max((row.hours or 0.0 for row in rows), default=0.0) * 3600)

    def time(hours: float | None) -> str:
        return NONE if hours is None else number(value := hours * 3600 / seconds, 0 if value >= 100 else 1)

    result = [
        Column("group", lambda row: row.group.name, left=True),
        Column("seeds", lambda row: str(row.seeds)),
        Column("last [95 %]", lambda row: mean_with_interval(row, places)),
        Column(against(table), lambda row: _standing(row, table), left=True),
        Column(contrast_head(table), lambda row: contrast(row, table)),
        Column("lost [95 %]", share_lost),
        Column("best of run", lambda row: best_of(row, places)),
        _floor(table, places),
        Column("steps", lambda row: number(row.steps), once=True),
        Column("images", lambda row: _short_or_none(row.images), once=True),
        Column(unit, lambda row: time(row.hours)),
    ]
    if table.target is not None:
        goal = short(table.target)
        result += [
            Column(f"images to {goal}", lambda row: _short_or_none(row.images_to_target)),
            Column(f"{unit} to {goal}", lambda row: time(row.hours_to_target)),
            Column("reached", lambda row: f"{row.reached} of {len(row.runs)}"),
        ]
    return [
        *result,
        Column("images/s", lambda row: number(row.images_per_second), once=True),
        Column("memory", lambda row: memory(row.peak_memory), once=True),
        Column("hardware", lambda row: row.hardware or NONE, left=True, once=True),
        Column("trouble", lambda row: f"{len(row.trouble)}: {'; '.join(row.trouble)}" if row.trouble else ""),
    ]


def _floor(table: Table, places: int) -> Column:
    if table.few_score:
        return Column(few_label(table), lambda row: number(row.few_mean, places))
    return Column(floor_label(table), lambda row: _short_or_none(table.floor), once=True)


def _standing(row: Row, table: Table) -> str:
    _, verdict, limits = standing(row, table)
    p = p_value(row, table)
    return verdict + (f": {limits}" if limits else "") + (f", {p}" if p else "")


def _short_or_none(value: float | None) -> str:
    return NONE if value is None else short(value)


def terminal(comparison: Comparison) -> Iterator[RenderableType]:
    for table in comparison.tables:
        yield _on_terminal(table)
    if not comparison.tables:
        yield Text("No run here has a score yet.")
    yield from (Text(f"note: {note}") for note in comparison.notes)


def _on_terminal(table: Table) -> RenderableType:
    """Below the table stand, once, the columns that are the same in all rows, and the reasons of troubles."""
    grid = RichTable(box=None, pad_edge=False, header_style="bold")
    below, cells = [], []
    for name, cell, left, once in columns(table):
        values = [cell(row) for row in table.rows]
        if once and len({*values}) == 1:
            below += [f"{name} {values[0]}"] if values[0] != NONE else []
        elif any(values):
            grid.add_column(name, justify="left" if left else "right", overflow="fold")
            cells.append([value.partition(":")[0] for value in values] if name == "trouble" else values)
    for row, row_cells in zip(table.rows, zip(*cells, strict=True), strict=True):
        style = "bold" if row.standing == "best" else "" if row.mean is not None else "dim"
        grid.add_row(*map(Text, row_cells), style=style)
    troubles = [f"{row.group.name}: {trouble}" for row in table.rows for trouble in row.trouble]
    title = Text(f"{table.score}, {direction(table)}", style="bold")
    details = [contract_line(table.contract), " · ".join(below), *table.notes]
    dim = [Text(line, style="dim") for line in details if line]
    return RichGroup(title, grid, *dim, *map(Text, troubles), Text(summarise(table)), Text(""))


def markdown(comparison: Comparison) -> str:
    parts = []
    for table in comparison.tables:
        cells = [each for each in columns(table) if any(map(each.cell, table.rows))]
        rows = [[_escaped(each.name) for each in cells], [":--" if each.left else "--:" for each in cells]]
        rows += [[_escaped(each.cell(row)) for each in cells] for row in table.rows]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        below = [
            f"{summarise(table)} {how_means_are_made(table)}",
            *table.notes,
            contract_line(table.contract),
        ]
        title = f"## {_escaped(table.score)}, {direction(table)}"
        parts.append("\n".join([title, "", *lines, "", *(f"{_escaped(line)}  " for line in below)]))
    if any(group.differs for group in comparison.groups):
        parts.append("\n".join(["## Settings that differ", "", *_settings(comparison)]))
    if comparison.notes:
        parts.append("\n".join(["## Notes", "", *(f"- {_escaped(note)}" for note in comparison.notes)]))
    return "\n\n".join(["# Comparison", *parts]) + "\n"


def _settings(comparison: Comparison) -> Iterator[str]:
    keys = dict.fromkeys(key for group in comparison.groups for key in group.differs)
    yield f"| setting | {' | '.join(_escaped(group.name) for group in comparison.groups)} |"
    yield f"|:--|{'--:|' * len(comparison.groups)}"
    for key in keys:
        values = [format_value(key, g.differs[key]) if key in g.differs else "" for g in comparison.groups]
        yield f"| {_escaped(key)} | {' | '.join(map(_escaped, values))} |"


def _escaped(text: str) -> str:
    """Text that Markdown and HTML show as it is."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|])", r"\\\1", text)


def table_csv(comparison: Comparison) -> str:
    """Plain numbers, a row for each group in each table."""
    file = io.StringIO(newline="")
    rows = [_flat_row(table, row) for table in comparison.tables for row in plain_rows(table)]
    writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["contract", "score", "group"])
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _flat_row(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    about = {"contract": table.contract.get("hash"), "score": table.score, "better": table.better}
    floors = {"floor": table.floor, "few_score": table.few_score, "few_floor": table.few_floor}
    return {name: _cell(value) for name, value in {**about, **row, **floors}.items()}


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        value = "; ".join(f"{name}: {item}" for name, item in value.items())
    elif isinstance(value, list):
        value = "; ".join("" if item is None else str(item) for item in value)
    # A spreadsheet would take a text that begins with these for a formula.
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def plain_rows(table: Table) -> list[dict[str, Any]]:
    return [
        {**vars(row), "group": row.group.name, "runs": [run.source for run in row.runs]} for row in table.rows
    ]


def plain(comparison: Comparison) -> dict[str, Any]:
    """The whole comparison as plain data for JSON; numbers that are not finite become None."""
    groups = [
        {
            "name": group.name,
            "differs": group.differs,
            "runs": [_plain_run(run) for run in group.runs],
            "repeated": [run.source for run in group.repeated],
        }
        for group in comparison.groups
    ]
    tables = [
        {**{k: v for k, v in vars(table).items() if k != "rows"}, "rows": plain_rows(table)}
        for table in comparison.tables
    ]
    return _finite({"groups": groups, "tables": tables, "notes": comparison.notes})


def _plain_run(run: Any) -> dict[str, Any]:
    """A run without what its records hold already: settings, terms and the contracts of its evaluations."""
    facts = {k: v for k, v in vars(run).items() if k not in ("folder", "settings", "terms", "evaluations")}
    rows = [asdict(evaluation) for evaluation in run.evaluations]
    for row in rows:
        row["contract"] = row["contract"].get("hash")
    return {**facts, "evaluations": rows}


def _finite(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {str(name): _finite(branch) for name, branch in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(branch) for branch in tree]
    if isinstance(tree, float):
        return tree if isfinite(tree) else None
    return tree if tree is None or isinstance(tree, str | int) else str(tree)
