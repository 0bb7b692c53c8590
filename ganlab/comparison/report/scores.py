"""One part for each contract: its tables, how to read them, and the scores over training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from ganlab.comparison.read import Group
from ganlab.comparison.report import curves, words
from ganlab.comparison.report.axis import time_unit
from ganlab.comparison.report.charts import Chart
from ganlab.comparison.report.figures import Figures
from ganlab.comparison.report.table import template_values
from ganlab.comparison.report.templates import render
from ganlab.comparison.result import Comparison, Table


def by_contract(comparison: Comparison) -> list[list[Table]]:
    """The tables of each contract, in the comparison's order."""
    by_hash: dict[str, list[Table]] = {}
    for table in comparison.tables:
        by_hash.setdefault(str(table.contract.get("hash")), []).append(table)
    return list(by_hash.values())


def parts(comparison: Comparison, figures: Figures) -> Iterator[tuple[str, str, Markup]]:
    """Id, heading and content of each contract's part."""
    contracts = by_contract(comparison)
    many = len(contracts)
    for i, tables in enumerate(contracts, 1):
        title = f"Scores, contract {i} of {many}" if many > 1 else "Scores"
        with_charts = [
            _with_charts(table, comparison.groups, figures, i, j) for j, table in enumerate(tables, 1)
        ]
        yield f"contract-{i}", title, render("scores.html", tables=with_charts, contracts=many)
    if not contracts:
        yield "scores", "Scores", render("scores.html", tables=[])


def _with_charts(
    table: Table, groups: Sequence[Group], figures: Figures, contract: int, number: int
) -> dict[str, object]:
    """A table's values for its template, with charts of its score over images and over time."""
    figures.intervals(table, "interval", contract, table.score)
    by_images = curves.score_lines(table, groups, "images")
    by_time = curves.score_lines(table, groups, "seconds")
    unit, seconds = time_unit(max((x for line in by_time for x in line.x_values()), default=0.0))
    note = f"{words.direction(table)}{', logarithmic' if table.scale == 'log' else ''}"
    charts = []
    for lines, across, size in ((by_images, "images seen", 1.0), (by_time, f"{unit} of training", seconds)):
        if lines:
            chart = Chart(table.score, note, lines, across, table.scale == "log", table.floor, unit=size)
            charts.append(figures.chart(chart, "curve", contract, table.score, across.split()[0]))
    return {
        **template_values(table, figures.numbers),
        "id": f"how-to-read-{contract}-{number}",
        "charts": charts,
        "lines": by_images,
        "many_seeds": any(len(line.seeds) > 1 for line in by_images),
        "timed": bool(by_time),
    }
