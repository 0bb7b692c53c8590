"""A comparison as text: for a terminal, as Markdown, as CSV, and whole, as plain data for JSON."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from math import isfinite
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table as Shown
from rich.text import Text

from ganlab.comparison.report.axis import NONE, decimals, memory, number, short, time_unit
from ganlab.comparison.report.words import contract_line, direction, of_table, standing
from ganlab.comparison.result import Comparison, Row, Table
from ganlab.comparison.settings import shown

Column = tuple[str, Callable[[Row], str]]


def columns(table: Table) -> list[Column]:
    """What both a terminal and Markdown show, written out."""
    rows = table.rows
    places = decimals(value for row in rows for value in (row.mean, row.best_mean))
    unit, seconds = time_unit(max((row.hours or 0.0 for row in rows), default=0.0) * 3600)
    first = rows[0] if rows and rows[0].mean is not None else None

    def mean(row: Row) -> str:
        interval = f" [{number(row.low, places)}, {number(row.high, places)}]" if row.low is not None else ""
        return number(row.mean, places) + interval

    def time(hours: float | None) -> str:
        return NONE if hours is None else number(told := hours * 3600 / seconds, 0 if told >= 100 else 1)

    found: list[Column] = [
        ("group", lambda row: row.group.name),
        ("seeds", lambda row: str(row.seeds)),
        ("last [95 %]", mean),
        ("best of run", lambda row: number(row.best_mean, places)),
        ("against the best", lambda row: standing(row, first)[1]),
        ("real floor", lambda row: NONE if table.floor is None else short(table.floor)),
        ("steps", lambda row: number(row.steps)),
        ("images", lambda row: NONE if row.images is None else short(row.images)),
        (unit, lambda row: time(row.hours)),
    ]
    if table.target is not None:
        goal = short(table.target)
        found += [
            (f"images to {goal}", lambda row: _or_none(row.images_to_target)),
            (f"{unit} to {goal}", lambda row: time(row.hours_to_target)),
            ("reached", lambda row: f"{row.reached} of {len(row.group.runs)}"),
        ]
    return [
        *found,
        ("images/s", lambda row: number(row.images_per_second)),
        ("memory", lambda row: memory(row.peak_memory)),
        ("hardware", lambda row: row.hardware or NONE),
        ("trouble", lambda row: f"{len(row.trouble)}: {'; '.join(row.trouble)}" if row.trouble else ""),
    ]


def _or_none(value: float | None) -> str:
    return NONE if value is None else short(value)


def terminal(comparison: Comparison) -> Iterator[RenderableType]:
    for table in comparison.tables:
        yield _on_terminal(table)
    if not comparison.tables:
        yield Text("No run here has a score yet.")
    yield from (Text(f"note: {note}") for note in comparison.notes)


def _on_terminal(table: Table) -> RenderableType:
    """What is the same in all rows stands below, once, and so do the reasons of troubles."""
    lines = Shown(box=None, pad_edge=False, header_style="bold")
    below, cells = [], []
    for name, cell in columns(table):
        values = [cell(row) for row in table.rows]
        if (
            name in ("steps", "images", "real floor", "hardware", "images/s", "memory")
            and len({*values}) == 1
        ):
            below += [f"{name} {values[0]}"] if values[0] != NONE else []
        elif any(values):
            lines.add_column(name, justify="left" if name in LEFT else "right", overflow="fold")
            cells.append([value.partition(":")[0] for value in values] if name == "trouble" else values)
    for row, written in zip(table.rows, zip(*cells, strict=True), strict=True):
        style = "bold" if row.tied else "" if row.mean is not None else "dim"
        lines.add_row(*map(Text, written), style=style)
    said = [f"{row.group.name}: {trouble}" for row in table.rows for trouble in row.trouble]
    title = Text(f"{table.score}, {direction(table)}", style="bold")
    quiet = [contract_line(table.contract), " · ".join(below), *table.notes]
    told = [Text(line, style="dim") for line in quiet if line]
    return Lines(title, lines, *told, *map(Text, said), Text(of_table(table)), Text(""))


LEFT = ("group", "against the best", "hardware")


def markdown(comparison: Comparison) -> str:
    parts = []
    for table in comparison.tables:
        of = columns(table)
        rows = [[name for name, _ in of], [":--" if name in LEFT else "--:" for name, _ in of]]
        rows += [[_escaped(cell(row)) for _, cell in of] for row in table.rows]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        mean = "geometric mean" if table.scale == "log" else "mean"
        said = [
            f"{of_table(table)} Last scores: {mean} and 95 % interval over training seeds.",
            *table.notes,
            contract_line(table.contract),
        ]
        title = f"## {_escaped(table.score)}, {direction(table)}"
        parts.append("\n".join([title, "", *lines, "", *(f"{_escaped(line)}  " for line in said)]))
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
        values = [shown(key, each.differs[key]) if key in each.differs else "" for each in comparison.groups]
        yield f"| {_escaped(key)} | {' | '.join(map(_escaped, values))} |"


def _escaped(text: str) -> str:
    """As it stands, whatever Markdown or HTML it would be."""
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
    return {name: _cell(value) for name, value in {**about, **row, "floor": table.floor}.items()}


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        value = "; ".join(f"{name}: {each}" for name, each in value.items())
    elif isinstance(value, list):
        value = "; ".join("" if each is None else str(each) for each in value)
    # A spreadsheet takes what begins so for a formula.
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def plain_rows(table: Table) -> list[dict[str, Any]]:
    return [
        {"group": row.group.name, **{k: v for k, v in vars(row).items() if k != "group"}}
        for row in table.rows
    ]


def plain(comparison: Comparison) -> dict[str, Any]:
    """Numbers that are not finite are None, with a reason beside them."""
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
    """Without what would repeat its records."""
    told = {k: v for k, v in vars(run).items() if k not in ("folder", "settings", "terms", "evaluations")}
    rows = [asdict(each) for each in run.evaluations]
    for row in rows:
        row["contract"] = row["contract"].get("hash")
    return {**told, "evaluations": rows}


def _finite(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {str(name): _finite(branch) for name, branch in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(branch) for branch in tree]
    if isinstance(tree, float):
        return tree if isfinite(tree) else None
    return tree if tree is None or isinstance(tree, str | int) else str(tree)
