"""Runs into tables: of each score under each contract one, in which groups stand by their last scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, inf, isfinite, log
from statistics import fmean, median
from typing import Any, NamedTuple

from ganlab.comparison import ranking
from ganlab.comparison.groups import differing, groups
from ganlab.comparison.read import UNKNOWN, Group, Run
from ganlab.comparison.result import Comparison, Row, Table
from ganlab.comparison.settings import short_names
from ganlab.errors import Refused
from ganlab.metrics.registry import Better, Scale, measured
from ganlab.runs.records import Scored
from ganlab.system.untrusted import number

Key = tuple[str, str]  # a contract's hash, and a score's name


class Asked(NamedTuple):
    """What one table is about."""

    contract: str
    score: str
    better: Better
    scale: Scale
    target: float | None

    def answers(self, run: Run) -> list[Scored]:
        return [e for e in run.evaluations if e.contract["hash"] == self.contract and self.score in e.scores]


class Outcome(NamedTuple):
    """What a run brings to a table.

    Attributes:
        last: None if it does not count in the mean.
        trouble: Why not, or what else there is to know; empty: all is well.
    """

    run: Run
    scored: list[Scored]
    last: float | None
    best: float | None
    trouble: str


def compare(
    runs: Sequence[Run],
    by: str | None = None,
    pool: bool = False,
    score: str | None = None,
    target: float | None = None,
) -> Comparison:
    found = groups(runs, by, pool)
    notes = [f"{run.source}: {problem}" for run in runs for problem in run.problems]
    notes += [f"{run.source} is in no group: its settings are not known" for run in runs if not run.settings]
    contracts, unknown = _contracts(runs)
    notes += [f"{name} is in no table: ganlab does not know where better lies" for name in unknown]
    chosen = _chosen(contracts, score, target)
    tables = [_table(found, key, contracts[key], target) for key in chosen]
    shown = {id(row.group) for table in tables for row in table.rows}
    notes += [line for group in found if id(group) not in shown for line in _left_out(group)]
    notes += [line for group in found if pool for line in _pooled(group)]
    return Comparison(found, tables, notes)


def _contracts(runs: Iterable[Run]) -> tuple[dict[Key, dict[str, Any]], list[str]]:
    """Of each table that there is to make its contract; and names of scores that are not known."""
    found: dict[Key, dict[str, Any]] = {}
    unknown: dict[str, None] = {}
    for run in runs:
        for each in run.evaluations:
            for name in each.scores:
                if not (known := measured(name)):
                    unknown[name] = None
                elif known.value.better:
                    found.setdefault((each.contract["hash"], name), each.contract)
    return found, list(unknown)


def _chosen(there: Iterable[Key], score: str | None, target: float | None) -> list[Key]:
    keys = [key for key in there if score is None or _means(score, key[1])]
    names = dict.fromkeys(name for _, name in keys)
    if score and not keys:
        known = ", ".join(dict.fromkeys(name for _, name in there)) or "none"
        raise Refused(f"No run here has the score '{score}' (--score). Scores there are: {known}.")
    if target is not None and len(names) > 1:
        raise Refused(f"--target is of one score: say which by --score. There are {', '.join(names)}.")
    return keys


def _means(score: str, name: str) -> bool:
    """fid10k_digits, or fid for whatever was taken of it."""
    known = measured(name)
    return score == name or bool(known and score == known.value.name.replace("{n}", ""))


def _left_out(group: Group) -> list[str]:
    told = [_unfinished(run) or "it has no score" for run in group.runs]
    return [
        f"{group.name}: {run.source} is in no table: {why}" for run, why in zip(group.runs, told, strict=True)
    ]


def _pooled(group: Group) -> list[str]:
    differ = differing([[run] for run in group.runs])
    names = short_names(group.runs[0].settings)
    return (
        [f"{group.name} pools runs of different {', '.join(names.get(key, key) for key in differ)}"]
        if differ
        else []
    )


def _table(found: list[Group], key: Key, contract: dict[str, Any], target: float | None) -> Table:
    known = measured(key[1])
    assert known
    assert known.value.better
    asked = Asked(*key, known.value.better, known.value.scale, target)
    of_data = {run.data for group in found for run in group.runs if asked.answers(run)}
    there = [
        (group, [_outcome(run, asked) for run in group.runs])
        for group in found
        if any(map(asked.answers, group.runs)) or (_silent(group) and group.runs[0].data in of_data)
    ]
    values = [value for _, each in there for one in each for value in (one.last, one.best)]
    notes = []
    if asked.scale == "log" and any(value is not None and value <= 0 for value in values):
        asked = asked._replace(scale="raw")
        notes.append("Some values are not above zero: means and tests are on the values, not on logarithms.")
    rows = [_row(group, outcomes, asked) for group, outcomes in there]
    notes += ranking.rank(rows, asked.better, asked.scale)
    sign = 1 if asked.better == "min" else -1
    rows.sort(key=lambda row: inf if row.mean is None else sign * row.mean)
    return Table(contract, asked.score, asked.better, asked.scale, rows, _floor(found, asked), target, notes)


def _silent(group: Group) -> bool:
    """It has no score under any contract, which does not make it go away."""
    return not any(run.evaluations for run in group.runs)


def _floor(found: list[Group], asked: Asked) -> float | None:
    """Its name tells another number of samples."""
    wanted = measured(asked.score)
    for each in (each for group in found for run in group.runs for each in asked.answers(run)):
        for name, value in each.floor.items():
            if measured(name) == wanted and (floor := number(value)) is not None:
                return floor
    return None


def _outcome(run: Run, asked: Asked) -> Outcome:
    scored = asked.answers(run)
    values = [value for each in scored if (value := each.scores[asked.score]) is not None]
    last = scored[-1] if scored else None
    trouble = _unfinished(run)
    if not trouble and last is None:
        trouble = f"has no {asked.score} of this contract"
    elif not trouble and last and last.step < run.step:
        trouble = f"was last scored at step {last.step:,} of {run.step:,}"
    elif not trouble and last and last.scores[asked.score] is None:
        trouble = f"has no last {asked.score}: {last.reasons.get(asked.score, 'no reason is told')}"
    if trouble or not last:
        return Outcome(run, scored, None, None, f"{_called(run)} {trouble}")
    best = min(values) if asked.better == "min" else max(values)
    return Outcome(run, scored, last.scores[asked.score], best, run.reason and f"{_called(run)} {run.reason}")


def _called(run: Run) -> str:
    return run.source if run.seed == UNKNOWN else f"seed {run.seed}"


def _unfinished(run: Run) -> str:
    """Why its last score is not what the experiment comes to."""
    if run.ended:
        return ""
    at = f"at step {run.step:,}" + (f" of {run.max_steps:,}" if run.max_steps else "")
    words = {"queued": "has not begun", "running": f"still runs, {at}", "failed": f"failed {at}"}
    said = words.get(run.state, f"stopped {at}")
    return f"{said}: {run.reason}" if run.reason else said


def _row(group: Group, outcomes: list[Outcome], asked: Asked) -> Row:
    counted = [each.run for each in outcomes if each.last is not None]
    told = counted or group.runs
    best = [each.best for each in outcomes if each.best is not None]
    row = Row(
        group,
        seeds=len(counted),
        best=[each.best for each in outcomes],
        last=[each.last for each in outcomes],
        best_mean=_mean(best, asked.scale),
        steps=_whole(_middle(run.step for run in told)),
        images=_whole(_middle(run.images for run in told)),
        hours=_hours(_middle(run.seconds for run in told)),
        images_per_second=_middle(run.images_per_second for run in told),
        peak_memory=max((run.peak_memory for run in told if run.peak_memory), default=None),
        hardware="; ".join(dict.fromkeys(run.hardware for run in told if run.hardware)),
        trouble=[each.trouble for each in outcomes if each.trouble],
    )
    row.trouble += [
        f"{_called(run)} was run again: {run.source} is not counted ({_unfinished(run) or 'done'})"
        for run in group.repeated
    ]
    if asked.target is not None:
        _reach(row, [_first(each.scored, asked) for each in outcomes])
    if not counted:
        row.missing |= dict.fromkeys(("mean", "low", "high", "best_mean"), "no run that ended has this score")
    for name in ("hours", "images_per_second", "peak_memory"):
        if vars(row)[name] is None:
            row.missing[name] = "its records do not tell"
    return row


def _mean(values: Sequence[float], scale: Scale) -> float | None:
    if not values:
        return None
    return exp(fmean(map(log, values))) if scale == "log" else fmean(values)


def _middle(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    found = median(known) if known else inf
    return found if isfinite(found) else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 3600


def _first(scored: list[Scored], asked: Asked) -> Scored | None:
    """The first evaluation at or beyond the target."""
    for each in scored:
        value, target = each.scores[asked.score], asked.target
        if value is None or target is None:
            continue
        if value <= target if asked.better == "min" else value >= target:
            return each
    return None


def _reach(row: Row, first: list[Scored | None]) -> None:
    """Those that did not come there are later than all others, so that a median may be out of reach."""
    row.reached = sum(each is not None for each in first)
    row.images_to_target = _whole(_middle(inf if each is None else each.images for each in first))
    row.hours_to_target = _hours(_middle(inf if each is None else each.seconds for each in first))
    if row.images_to_target is None:
        reason = f"{row.reached} of {len(first)} seeds reached it"
        row.missing |= {"images_to_target": reason, "hours_to_target": reason}
    elif row.hours_to_target is None:
        row.missing["hours_to_target"] = "its records do not tell"
