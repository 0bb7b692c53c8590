"""Notes below a table: what its seeds can tell, what they cannot, and how many would."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, log, sqrt
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr  # type: ignore[import-untyped]

from ganlab.comparison import power
from ganlab.comparison.report.words import counted, listed, size
from ganlab.comparison.result import Row, Table
from ganlab.comparison.significance import Array, Spread, deviations

PUBLISHED = 5  # seeds of each group in a table for others' eyes


class Family(NamedTuple):
    """The tests of one table: of how many groups, how many pairs, and by which variance."""

    groups: int
    tests: int
    spread: Spread


def notes(table: Table, values: Array, tests: int, spread: Spread) -> Iterator[str]:
    """Sentences on a table whose rows are ranked.

    Args:
        values: The last scores of each group, in the order of the rows.
        tests: How many pairs were tested.
        spread: By which variance.
    """
    rows = [row for row in table.rows if row.seeds]
    tested, sizes = [row for row in rows if row.p], deviations(values, table.scale)
    yield from _on_what_is_not_tested(rows)
    if spread == "pooled":
        yield _on_pooling([each for each in sizes if np.isfinite(each)])
    if tested and tests:
        family, deviation = Family(len(tested), tests, spread), float(np.sqrt(np.nanmean(sizes**2)))
        by_name = dict(zip((row.group.name for row in table.rows), sizes, strict=True))
        yield from _on_few_seeds(table, tested, deviation, family)
        yield from _on_seeds_needed(table, by_name, deviation, family)
        yield from _on_the_best(table, tested, deviation)
    if any(row.lost for row in rows):
        yield "Runs that failed or collapsed are in no mean and no interval: their share stands beside."
    if len({k for row in rows for k in row.evaluations}) > 1:
        yield "Runs were not evaluated equally often: the best of more evaluations is better by chance alone."


def _on_what_is_not_tested(rows: list[Row]) -> Iterator[str]:
    single = [row.group.name for row in rows if row.seeds == 1]
    if single:
        alone = len(single) == len(rows)
        whose = "Each group has one seed" if alone and len(single) > 1 else f"One seed: {listed(single)}"
        yield f"{whose}, which has no interval and allows no test."
    if twice := [row.group.name for row in rows if row.seeds == 2 and not row.p]:
        yield f"Two seeds: {listed(twice)}, which have an interval but allow no test."
    if rows and not single and not any(row.low for row in rows):
        yield "The seeds do not differ, so that there is no spread to test with."


def _on_pooling(sizes: list[float]) -> str:
    least, most = min(sizes, default=0.0), max(sizes, default=0.0)
    differ = f"; here their spreads differ {most / least:.2g}-fold" if least else ""
    return f"Pooled: all groups are taken to spread alike{differ}."


def _on_few_seeds(table: Table, tested: list[Row], deviation: float, family: Family) -> Iterator[str]:
    """What the fewest seeds can tell, and what five would."""
    fewest = min(row.seeds for row in tested)
    if fewest >= PUBLISHED:
        return
    found = [
        size(table, _difference(table, power.smallest_effect(seeds, *family) * deviation))
        for seeds in (fewest, PUBLISHED)
    ]
    yield (
        f"{fewest} seeds tell little: at {_spread(table, deviation)} only differences of {found[0]} and more "
        f"are found with power {power.POWER}, with {PUBLISHED} seeds {found[1]} and more. A table for others "
        f"should have {PUBLISHED}."
    )


def _on_seeds_needed(
    table: Table, deviations: dict[str, float], common: float, family: Family
) -> Iterator[str]:
    """How many seeds would tell the groups that are not told apart from the reference."""
    needed = []
    for row in table.rows:
        if row.standing != "open" or not row.contrast:
            continue
        # Seeds of two groups may agree by chance, and the others' spreads have them tested all the same.
        own = sqrt((deviations[row.group.name] ** 2 + deviations[table.reference] ** 2) / 2)
        deviation = common if family.spread == "pooled" else own or common
        gap = abs(log(row.contrast) if table.scale == "log" else row.contrast)
        seeds = power.seeds_needed(gap / deviation, *family)
        number = f"about {seeds}" if seeds else f"more than {power.MOST}"
        seen = size(table, _difference(table, gap))
        needed.append(f"{row.group.name} {number} ({seen} at {_spread(table, deviation)})")
    if needed:
        yield (
            f"Seeds a group that would tell from {table.reference} what is not told apart, with power "
            f"{power.POWER}, if the differences seen are real: {'; '.join(needed[:4])}."
        )


def _on_the_best(table: Table, tested: list[Row], deviation: float) -> Iterator[str]:
    """How much better than it is the best of equal groups would look: the mean of their least."""
    best = next((row for row in tested if row.standing == "best"), None)
    if best:
        at = np.linspace(-8, 8, 2001)
        expected = np.trapezoid(1 - ndtr(at) ** len(tested) - ndtr(-at), at)
        flattery = size(table, _difference(table, float(expected) * deviation / sqrt(best.seeds)))
        yield (
            f"The best of {counted(len(tested), 'group')} was chosen by these same seeds: if all were equal, "
            f"it would look {flattery} better than it is. Its interval allows for that."
        )


def _difference(table: Table, on_scale: float) -> float:
    """A difference on the scale that is tested as a contrast."""
    return exp(min(on_scale, 700.0)) if table.scale == "log" else on_scale


def _spread(table: Table, deviation: float) -> str:
    return f"sd {deviation:.2g}" + (" of logarithms" if table.scale == "log" else "")
