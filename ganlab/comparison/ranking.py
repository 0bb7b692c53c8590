"""Which groups of a table are better than which by their last scores, with intervals and tests."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from ganlab.comparison import significance
from ganlab.comparison.result import Row
from ganlab.metrics.registry import Better, Scale

SIGNIFICANT = 1 - significance.CONFIDENCE


def rank(rows: list[Row], better: Better, scale: Scale) -> list[str]:
    """Fill in the rows' means, intervals and tests; return notes on what could not be tested."""
    most = max((row.seeds for row in rows), default=0)
    if not most:
        return ["No run that ended has this score."]
    values = np.full((len(rows), most), np.nan)
    for index, row in enumerate(rows):
        known = [value for value in row.last if value is not None]
        values[index, : len(known)] = known
    stats = significance.infer(values, scale)
    best = (np.nanargmin if better == "min" else np.nanargmax)(stats.means)
    for index, row in enumerate(rows):
        row.mean, row.low, row.high = (
            _finite_or_none(each[index]) for each in (stats.means, stats.low, stats.high)
        )
        if row.mean is not None and row.low is None:
            reason = "one seed: no interval" if row.seeds == 1 else "the seeds do not differ, or hardly"
            row.missing |= {"low": reason, "high": reason}
        row.p = _by_name(rows, stats.p[index])
        row.welch = _by_name(rows, stats.welch[index]) if stats.uneven else {}
        row.tied = _tied(stats.p, index, int(best))
        if row.mean is not None and row.tied is None:
            row.missing["tied"] = "not tested"
        ahead = stats.means[index] < stats.means if better == "min" else stats.means[index] > stats.means
        significant = (stats.p[index] <= SIGNIFICANT) & ahead
        row.wins_over = [other.group.name for other, won in zip(rows, significant, strict=True) if won]
    return _notes(rows, bool(stats.uneven))


def _finite_or_none(value: float) -> float | None:
    return float(value) if isfinite(value) else None


def _by_name(rows: list[Row], p: Any) -> dict[str, float]:
    return {row.group.name: float(each) for row, each in zip(rows, p, strict=True) if isfinite(each)}


def _tied(p: Any, index: int, best: int) -> bool | None:
    """Whether a group is the best, or not significantly different from it; None: it could not be tested."""
    if index == best:
        return True if np.isfinite(p[best]).any() else None
    return bool(p[best, index] > SIGNIFICANT) if isfinite(p[best, index]) else None


def _notes(rows: list[Row], uneven: bool) -> list[str]:
    counted, notes = [row for row in rows if row.seeds], []
    if single := [row.group.name for row in counted if row.seeds == 1]:
        alone = len(single) == len(counted)
        whose = "Each group has one seed" if alone and len(single) > 1 else f"One seed: {', '.join(single)}"
        notes.append(f"{whose}, which has no interval" + (" and allows no test." if alone else "."))
    elif not any(row.low for row in counted):
        notes.append("The seeds do not differ, so that there is no spread to test with.")
    if uneven:
        notes.append("Spreads differ more than fourfold: tests that do not pool them (Welch) stand beside.")
        notes += [
            f"Welch's test does not confirm that {row.group.name} is better than {name}."
            for row in rows
            for name in row.wins_over
            if row.welch.get(name, 1.0) > SIGNIFICANT
        ]
    return notes
