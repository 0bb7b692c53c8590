"""A table of scores, with a small drawing of each interval."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ganlab.comparison.report.axis import NONE, decimals, memory, number, short, time_unit
from ganlab.comparison.report.charts import sign
from ganlab.comparison.report.intervals import Whiskers
from ganlab.comparison.report.markup import Child, Markup, element
from ganlab.comparison.report.words import direction, standing
from ganlab.comparison.result import Row, Table


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

    def cell(self, row: Row) -> Markup:
        value = self.of(row)
        if value is None:
            reason = row.missing.get(self.why)
            return element("td", element("span", NONE, title=reason), class_="n", data_v="")
        return element("td", self.written(value), class_="n", data_v=repr(float(value)))


def rendered(table: Table, places: Mapping[int, int], described_by: str) -> Markup:
    """
    Args:
        places: Of each group, by its id, its place in the comparison.
        described_by: The id of what says how to read it.
    """
    whiskers, numbers = Whiskers(table), _columns(table)
    best = next((row for row in table.rows if row.mean is not None), None)
    heads = [
        _head("group", "text", class_="name"),
        _head(table.score, "number", class_="score", hint=f"mean of the last scores, {direction(table)}"),
        element("th", "95 % interval", scope="col", class_="drawn"),
        _head("against the best", "number", class_="standing", hint="after Holm's correction over all pairs"),
        _head("seeds", "number", hint="runs in the mean: those that came to their end with a score"),
        _head("trouble", "number", hint="runs that failed, collapsed or are unfinished, or have no score"),
        *(_head(column.head, "number", hint=column.hint) for column in numbers),
    ]
    body = [_row(row, places[id(row.group)], table, best, whiskers, numbers) for row in table.rows]
    return element(
        "div",
        element(
            "table",
            element("thead", element("tr", *heads)),
            element("tbody", *body),
            element("tfoot", _foot(table, whiskers, len(numbers) + 3)),
            class_="scores sortable",
            aria_describedby=described_by,
        ),
        class_="wide",
        tabindex=0,
        role="region",
        aria_label=f"table of {table.score}",
    )


def _head(name: str, kind: str, class_: str = "n", hint: str = "") -> Markup:
    button = element("button", name, type="button", title=hint or None)
    return element("th", button, scope="col", class_=class_, data_kind=kind)


def _precision(table: Table) -> int:
    rows = table.rows
    return decimals([*(row.mean for row in rows), *(row.best_mean for row in rows)])


def _row(
    row: Row, place: int, table: Table, best: Row | None, whiskers: Whiskers, numbers: Iterable[Column]
) -> Markup:
    precision = _precision(table)
    kind, words = standing(row, best)
    order = {"best": 0.0, "tied": 1.0, "worse": 2.0}.get(kind, 3.0)
    if row.mean is None:
        interval: Child = None
    elif row.low is None or row.high is None:
        interval = row.missing.get("low") or ("one seed: no interval" if row.seeds == 1 else "no interval")
    else:
        interval = f"[{number(row.low, precision)}, {number(row.high, precision)}]"
    value = element("span", number(row.mean, precision), class_="value")
    name = element("span", sign(place), element("span", row.group.name), class_="named")
    told = element("span", interval, class_="interval") if interval else None
    sorted_by = "" if row.mean is None else repr(float(row.mean))
    seeds = f"{row.seeds} of {len(row.group.runs)}" if row.seeds < len(row.group.runs) else row.seeds
    return element(
        "tr",
        element("th", name, scope="row", class_="name", data_v=row.group.name),
        element("td", value, told, class_="score", data_v=sorted_by),
        element("td", whiskers.row(row, place), class_="drawn"),
        element(
            "td",
            element("span", words, class_=f"mark {kind}"),
            _welch(row, best),
            class_="standing",
            data_v=order,
        ),
        element("td", seeds, class_="n", data_v=row.seeds),
        _trouble(row),
        *(column.cell(row) for column in numbers),
        class_=kind,
        data_group=place,
    )


def _trouble(row: Row) -> Markup:
    """How many; the reasons are too long for a table of numbers."""
    count = len(row.trouble)
    link = element("a", count, href="#troubles", title="\n".join(row.trouble)) if count else NONE
    return element("td", link, class_="n", data_v=count)


def _welch(row: Row, best: Row | None) -> Markup | None:
    p = row.welch.get(best.group.name) if best is not None else None
    if p is None:
        return None
    return element("span", f"Welch: p {'<' if p < 0.001 else '='} {max(p, 0.001):.2g}", class_="interval")


def _foot(table: Table, whiskers: Whiskers, rest: int) -> Markup:
    """Reals that were never trained on, and the drawings' scale."""
    floor = NONE if table.floor is None else short(table.floor)
    hint = "what reals that were never trained on score"
    return element(
        "tr",
        element("th", "real floor", scope="row", class_="name", title=hint),
        element("td", element("span", floor, class_="value"), class_="score"),
        element("td", whiskers.axis(), class_="drawn"),
        element("td", colspan=rest),
    )


def _columns(table: Table) -> list[Column]:
    precision = _precision(table)
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
