"""One part for each contract: its tables, how to read them, and the scores over training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ganlab.comparison.read import Group
from ganlab.comparison.report import curves, words
from ganlab.comparison.report.axis import time_unit
from ganlab.comparison.report.charts import Chart
from ganlab.comparison.report.figures import Figures, legend
from ganlab.comparison.report.markup import Child, Markup, element, joined
from ganlab.comparison.report.table import rendered
from ganlab.comparison.result import Comparison, Table

SEEDS = (
    "Lines are means over seeds and bands reach from the lowest seed to the highest, as far as all seeds of "
    "a group go; those that go on alone are thin lines."
)


def by_contract(comparison: Comparison) -> list[list[Table]]:
    found: dict[str, list[Table]] = {}
    for table in comparison.tables:
        found.setdefault(str(table.contract.get("hash")), []).append(table)
    return list(found.values())


def parts(comparison: Comparison, figures: Figures) -> Iterator[tuple[str, str, Child]]:
    contracts = by_contract(comparison)
    many = len(contracts) > 1
    for i, tables in enumerate(contracts, 1):
        title = f"Scores, contract {i} of {len(contracts)}" if many else "Scores"
        first, *others = (
            _table(table, comparison.groups, figures, i, j) for j, table in enumerate(tables, 1)
        )
        folded = [
            element("details", element("summary", words.of_table(table)), content)
            for table, content in zip(tables[1:], others, strict=True)
        ]
        more = element("h3", "Other scores under the same contract") if folded else None
        apart = "Scores of different contracts are never compared with one another."
        told = element("p", apart, class_="intro") if many else None
        yield f"contract-{i}", title, element("div", told, first, more, *folded, class_="contract")
    if not contracts:
        yield "scores", "Scores", element("p", "No run has a score yet, so that nothing can be compared.")


def _table(table: Table, groups: Sequence[Group], figures: Figures, contract: int, place: int) -> Markup:
    geometric = ", geometric because logarithms were compared," if table.scale == "log" else ""
    hardware = dict.fromkeys(row.hardware for row in table.rows if row.hardware)
    told = [
        element("strong", f"{table.score}, {words.direction(table)}. "),
        f"Mean of the last scores{geometric} with its 95 % interval over training seeds. ",
        "Drawn are the mean, its interval, faint dots for the seeds and, where it is near, a dashed line ",
        "for the real floor. ",
        *(f"{note} " for note in table.notes),
        f"Trained on {'; '.join(hardware)}." if hardware else "",
    ]
    name = f"how-to-read-{contract}-{place}"
    figures.intervals(table, "interval", contract, table.score)
    return joined(
        rendered(table, figures.places, name),
        element("p", *told, class_="caption", id=name),
        element("p", words.contract_line(table.contract), class_="contract-line"),
        _curves(table, groups, figures, contract),
    )


def _curves(table: Table, groups: Sequence[Group], figures: Figures, contract: int) -> Markup | None:
    by_images = curves.of_score(table, groups, "images")
    by_time = curves.of_score(table, groups, "seconds")
    unit, seconds = time_unit(max((x for line in by_time for x in line.places()), default=0.0))
    note = f"{words.direction(table)}{', logarithmic' if table.scale == 'log' else ''}"
    charts = []
    for lines, across, size in ((by_images, "images seen", 1.0), (by_time, f"{unit} of training", seconds)):
        if lines:
            chart = Chart(table.score, note, lines, across, table.scale == "log", table.floor, unit=size)
            charts.append(figures.chart(chart, "curve", contract, table.score, across.split()[0]))
    if not charts:
        return None
    timeless = (
        "" if by_time else " When the scores were taken is not recorded, so that there is no plot over time."
    )
    many = any(len(line.seeds) > 1 for line in by_images)
    return joined(
        legend(by_images),
        element("div", *charts, class_="charts two"),
        element("p", (SEEDS if many else "Each line is one run.") + timeless, class_="caption"),
    )
