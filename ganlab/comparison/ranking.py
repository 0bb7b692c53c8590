"""Which groups of a table are better than which by their last scores, with intervals and question."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from ganlab.comparison import advice, significance
from ganlab.comparison.result import Row, Standing, Table
from ganlab.errors import Refused

SIGNIFICANT = 1 - significance.CONFIDENCE


class Question(NamedTuple):
    """What the user asks of the question.

    Attributes:
        pooled: One variance for all groups, which are taken to spread alike.
        against: The name of the only group that the others are tested against, as was declared beforehand.
    """

    pooled: bool = False
    against: str | None = None


DEFAULT = Question()


def check(question: Question, names: Sequence[str]) -> None:
    """Refuse a comparison with a group that is not there."""
    if question.against is not None and question.against not in names:
        raise Refused(f"No group is called '{question.against}' (--against). There are: {', '.join(names)}.")


def rank(table: Table, question: Question = DEFAULT) -> None:
    """Fill in the rows' means, intervals and tests, the table's reference, and notes on the statistics."""
    values = last_scores(table.rows)
    if not values.size:
        table.notes.append("No run that ended has a last score.")
        return
    against = next((i for i, row in enumerate(table.rows) if row.group.name == question.against), None)
    table.pooled = question.pooled
    spread: significance.Spread = "pooled" if question.pooled else "raised"
    stats = significance.infer(values, table.scale, spread, against)
    sign = 1 if table.better == "min" else -1
    best = int(np.nanargmin(sign * stats.means))
    reference = best if against is None else against
    table.reference = table.rows[reference].group.name
    for index, row in enumerate(table.rows):
        _fill_in_interval(row, stats, index, reference)
        row.p = {
            other.group.name: float(p)
            for other, p in zip(table.rows, stats.p[index], strict=True)
            if isfinite(p)
        }
        won = (stats.p[index] <= SIGNIFICANT) & (sign * stats.means[index] < sign * stats.means)
        row.wins_over = [other.group.name for other, over in zip(table.rows, won, strict=True) if over]
    for row in table.rows:
        row.standing = _standing(row, table, declared=against is not None)
        if row.mean is not None and row.standing == "untested":
            row.missing["p"] = _why_untested(row, table)
    table.notes += advice.notes(table, values, int(np.isfinite(stats.p).sum()) // 2, spread)
    if question.against and against is None:
        table.notes.append(f"{question.against} has no such score: all pairs are tested.")


def last_scores(rows: Sequence[Row]) -> significance.Array:
    """A row of last scores for each group, filled up with nan; of size 0 if there is none."""
    values = np.full((len(rows), max((row.seeds for row in rows), default=0)), np.nan)
    for index, row in enumerate(rows):
        known = [value for value in row.last if value is not None]
        values[index, : len(known)] = known
    return values


def _fill_in_interval(row: Row, stats: significance.Inferred, index: int, reference: int) -> None:
    row.mean, row.low, row.high = (
        _finite_or_none(each[index]) for each in (stats.means, stats.low, stats.high)
    )
    row.contrast, row.contrast_low, row.contrast_high = (
        _finite_or_none(each[index, reference])
        for each in (stats.contrasts, stats.contrasts_low, stats.contrasts_high)
    )
    if row.mean is not None and row.low is None:
        reason = "one seed: no interval" if row.seeds == 1 else "the seeds do not differ, or hardly"
        row.missing |= {"low": reason, "high": reason}


def _finite_or_none(value: Any) -> float | None:
    return float(value) if isfinite(value) else None


def _standing(row: Row, table: Table, *, declared: bool) -> Standing:
    name, reference = row.group.name, next(r for r in table.rows if r.group.name == table.reference)
    if row is reference:
        tested = any(name in other.p for other in table.rows)
        return "untested" if not tested else "reference" if declared else "best"
    if reference.group.name not in row.p:
        return "untested"
    if name in reference.wins_over:
        return "worse"
    return "better" if reference.group.name in row.wins_over else "open"


def _why_untested(row: Row, table: Table) -> str:
    if row.group.name == table.reference:
        return "not tested"
    fewest = min(each.seeds for each in table.rows if each is row or each.group.name == table.reference)
    words = {0: "no seed to test with", 1: "one seed: no test", 2: "two seeds: an interval, no test"}
    return words.get(fewest, "no spread to test with")
