"""From runs to tables: one for each score under each contract, with a row for each group of runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, inf, isfinite, log
from statistics import fmean, median
from typing import Any, NamedTuple

from ganlab.comparison import ranking
from ganlab.comparison.groups import differing_settings, groups
from ganlab.comparison.read import UNKNOWN, Group, Run
from ganlab.comparison.result import Comparison, Row, Table
from ganlab.comparison.settings import short_names
from ganlab.errors import Refused
from ganlab.metrics.registry import Better, Scale, hash_of, measured
from ganlab.runs.records import Scored
from ganlab.system.untrusted import number

Key = tuple[str, str]  # a score's hash (`hash_of`) and name


class Subject(NamedTuple):
    """What one table is about: a score under a contract."""

    contract: str
    score: str
    better: Better
    scale: Scale
    target: float | None

    def evaluations(self, run: Run) -> list[Scored]:
        known = [evaluation for evaluation in run.evaluations if self.score in evaluation.scores]
        return [e for e in known if hash_of(e.contract, self.score) == self.contract]


class Outcome(NamedTuple):
    """A run's scores in a table.

    Attributes:
        evaluations: Those with this score under this contract.
        last: The last score; None if the run is left out of the mean.
        best: The best score; None likewise.
        trouble: Why the run is left out, or what else went wrong, in words; empty: nothing did.
    """

    run: Run
    evaluations: list[Scored]
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
    """The groups of these runs (`by` and `pool`: see `groups`) and all tables about them.

    Args:
        score: Make tables of this one alone, by its full name or its kind: fid10k_digits, fid.
        target: A value of that score; the tables say when it was first reached.
    """
    compared = groups(runs, by, pool)
    notes = [f"{run.source}: {problem}" for run in runs for problem in run.problems]
    notes += [f"{run.source} is in no group: its settings are not known" for run in runs if not run.settings]
    contracts, unknown = _contracts(runs)
    notes += [f"{name} is in no table: ganlab does not know where better lies" for name in unknown]
    tables = [
        _table(compared, key, contracts[key], target) for key in _choose_scores(contracts, score, target)
    ]
    in_tables = {id(row.group) for table in tables for row in table.rows}
    notes += [note for group in compared if id(group) not in in_tables for note in _notes_on_left_out(group)]
    notes += [note for group in compared if pool for note in _notes_on_pooling(group)]
    return Comparison(compared, tables, notes)


def _contracts(runs: Iterable[Run]) -> tuple[dict[Key, dict[str, Any]], list[str]]:
    """The contract of each table to be made, and the names of scores that the registry does not know."""
    contracts: dict[Key, dict[str, Any]] = {}
    unknown: dict[str, None] = {}
    for run in runs:
        for evaluation in run.evaluations:
            for name in evaluation.scores:
                if not (known := measured(name)):
                    unknown[name] = None
                elif known.value.better:
                    key = hash_of(evaluation.contract, name), name
                    contracts.setdefault(key, evaluation.contract)
    return contracts, list(unknown)


def _choose_scores(available: Iterable[Key], score: str | None, target: float | None) -> list[Key]:
    keys = [key for key in available if score is None or _matches(score, key[1])]
    names = dict.fromkeys(name for _, name in keys)
    if score and not keys:
        known = ", ".join(dict.fromkeys(name for _, name in available)) or "none"
        raise Refused(f"No run here has the score '{score}' (--score). Scores there are: {known}.")
    if target is not None and len(names) > 1:
        raise Refused(f"--target is of one score: say which by --score. There are {', '.join(names)}.")
    return keys


def _matches(score: str, name: str) -> bool:
    """Whether `score` is this score's name, or its kind: fid for fid10k_digits."""
    known = measured(name)
    return score == name or bool(known and score == known.value.name.replace("{n}", ""))


def _notes_on_left_out(group: Group) -> list[str]:
    return [
        f"{group.name}: {run.source} is in no table: {_why_unfinished(run) or 'it has no score'}"
        for run in group.runs
    ]


def _notes_on_pooling(group: Group) -> list[str]:
    differ = differing_settings([[run] for run in group.runs])
    names = short_names(group.runs[0].settings)
    return (
        [f"{group.name} pools runs of different {', '.join(names.get(key, key) for key in differ)}"]
        if differ
        else []
    )


def _table(groups: list[Group], key: Key, contract: dict[str, Any], target: float | None) -> Table:
    """Its rows are the groups with this score, and those on the same data that were never scored at all."""
    known = measured(key[1])
    assert known
    assert known.value.better
    subject = Subject(*key, known.value.better, known.value.scale, target)
    scored_data = {run.data for group in groups for run in group.runs if subject.evaluations(run)}
    members = [
        (group, [_outcome(run, subject) for run in group.runs])
        for group in groups
        if any(map(subject.evaluations, group.runs))
        or (_never_scored(group) and group.runs[0].data in scored_data)
    ]
    values = [value for _, outcomes in members for o in outcomes for value in (o.last, o.best)]
    notes = []
    if subject.scale == "log" and any(value is not None and value <= 0 for value in values):
        subject = subject._replace(scale="raw")
        notes.append("Some values are not above zero: means and tests are on the values, not on logarithms.")
    rows = [_row(group, outcomes, subject) for group, outcomes in members]
    notes += ranking.rank(rows, subject.better, subject.scale)
    sign = 1 if subject.better == "min" else -1
    rows.sort(key=lambda row: inf if row.mean is None else sign * row.mean)
    floor = _floor(groups, subject)
    return Table(contract, subject.score, subject.better, subject.scale, rows, floor, target, notes)


def _never_scored(group: Group) -> bool:
    return not any(run.evaluations for run in group.runs)


def _floor(groups: list[Group], subject: Subject) -> float | None:
    """The first floor that any run has recorded for this score.

    It may be named for another number of samples: fid300_digits beside fid10k_digits.
    """
    kind = measured(subject.score)
    for evaluation in (e for group in groups for run in group.runs for e in subject.evaluations(run)):
        for name, value in evaluation.floor.items():
            if measured(name) == kind and (floor := number(value)) is not None:
                return floor
    return None


def _outcome(run: Run, subject: Subject) -> Outcome:
    evaluations, score = subject.evaluations(run), subject.score
    values = [value for e in evaluations if (value := e.scores[score]) is not None]
    last = evaluations[-1] if evaluations else None
    trouble = _why_unfinished(run)
    if not trouble and last is None:
        trouble = f"has no {score} of this contract"
    elif not trouble and last and last.step < run.step:
        trouble = f"was last scored at step {last.step:,} of {run.step:,}"
    elif not trouble and last and last.scores[score] is None:
        trouble = f"has no last {score}: {last.reasons.get(score, 'no reason is told')}"
    if trouble or not last:
        return Outcome(run, evaluations, None, None, f"{_label(run)} {trouble}")
    best = min(values) if subject.better == "min" else max(values)
    return Outcome(run, evaluations, last.scores[score], best, run.reason and f"{_label(run)} {run.reason}")


def _label(run: Run) -> str:
    return run.source if run.seed == UNKNOWN else f"seed {run.seed}"


def _why_unfinished(run: Run) -> str:
    """Why a run's last score is not its result, in words; "" if it is."""
    if run.ended:
        return ""
    at = f"at step {run.step:,}" + (f" of {run.max_steps:,}" if run.max_steps else "")
    words = {"queued": "has not begun", "running": f"still runs, {at}", "failed": f"failed {at}"}
    state = words.get(run.state, f"stopped {at}")
    return f"{state}: {run.reason}" if run.reason else state


def _row(group: Group, outcomes: list[Outcome], subject: Subject) -> Row:
    counted = [outcome.run for outcome in outcomes if outcome.last is not None]
    runs = counted or group.runs
    best = [outcome.best for outcome in outcomes if outcome.best is not None]
    row = Row(
        group,
        seeds=len(counted),
        best=[outcome.best for outcome in outcomes],
        last=[outcome.last for outcome in outcomes],
        best_mean=_mean(best, subject.scale),
        steps=_rounded(_median(run.step for run in runs)),
        images=_rounded(_median(run.images for run in runs)),
        hours=_hours(_median(run.seconds for run in runs)),
        images_per_second=_median(run.images_per_second for run in runs),
        peak_memory=max((run.peak_memory for run in runs if run.peak_memory), default=None),
        hardware="; ".join(dict.fromkeys(run.hardware for run in runs if run.hardware)),
        trouble=[outcome.trouble for outcome in outcomes if outcome.trouble],
    )
    row.trouble += [
        f"{_label(run)} was run again: {run.source} is not counted ({_why_unfinished(run) or 'done'})"
        for run in group.repeated
    ]
    if subject.target is not None:
        _fill_in_target(row, [_first_at_target(outcome.evaluations, subject) for outcome in outcomes])
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


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    middle = median(known) if known else inf
    return middle if isfinite(middle) else None


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 3600


def _first_at_target(evaluations: list[Scored], subject: Subject) -> Scored | None:
    """The first evaluation at or beyond the target."""
    for evaluation in evaluations:
        value, target = evaluation.scores[subject.score], subject.target
        if value is None or target is None:
            continue
        if value <= target if subject.better == "min" else value >= target:
            return evaluation
    return None


def _fill_in_target(row: Row, first: list[Scored | None]) -> None:
    """Set when the target was reached; a run that never did counts as later than all others in the median."""
    row.reached = sum(evaluation is not None for evaluation in first)
    row.images_to_target = _rounded(_median(inf if e is None else e.images for e in first))
    row.hours_to_target = _hours(_median(inf if e is None else e.seconds for e in first))
    if row.images_to_target is None:
        reason = f"{row.reached} of {len(first)} seeds reached it"
        row.missing |= {"images_to_target": reason, "hours_to_target": reason}
    elif row.hours_to_target is None:
        row.missing["hours_to_target"] = "its records do not tell"
