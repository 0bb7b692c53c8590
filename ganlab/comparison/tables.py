"""From runs to tables: one for each score under each contract, with a row for each group of runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import Any

from ganlab.comparison import ranking
from ganlab.comparison.groups import differing_settings, groups
from ganlab.comparison.ranking import DEFAULT, Question
from ganlab.comparison.read import Group, Run
from ganlab.comparison.result import Comparison, Table
from ganlab.comparison.rows import Subject, outcome, row, why_left_out
from ganlab.comparison.settings import short_names
from ganlab.errors import Refused
from ganlab.metrics.registry import hash_of, measured
from ganlab.system.untrusted import number

Key = tuple[str, str]  # a score's hash (`hash_of`) and name
SAME = 1e-6  # relative: floors of one contract that differ by more are not one


def compare(
    runs: Sequence[Run],
    by: str | None = None,
    pool: bool = False,
    score: str | None = None,
    target: float | None = None,
    question: Question = DEFAULT,
) -> Comparison:
    """The groups of these runs (`by` and `pool`: see `groups`) and all tables about them.

    Args:
        score: Make tables of this one alone, by its full name or its kind: fid10k_digits, fid.
        target: A value of that score; the tables say when it was first reached.
    """
    compared = groups(runs, by, pool)
    ranking.check(question, [group.name for group in compared])
    notes = [f"{run.source}: {problem}" for run in runs for problem in run.problems]
    notes += [f"{run.source} is in no group: its settings are not known" for run in runs if not run.settings]
    contracts, unknown = _contracts(runs)
    notes += [f"{name} is in no table: ganlab does not know where better lies" for name in unknown]
    tables = [
        _table(compared, key, contracts[key], target, question)
        for key in _choose_scores(contracts, score, target)
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
        f"{group.name}: {run.source} is in no table: {why_left_out(run) or 'it has no score'}"
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


def _table(
    groups: list[Group], key: Key, contract: dict[str, Any], target: float | None, question: Question
) -> Table:
    """Its rows are the groups with this score, and those on the same data that were never scored at all."""
    known = measured(key[1])
    assert known
    assert known.value.better
    subject = Subject(*key, known.value.better, known.value.scale, target)
    by_group = [(group, subject.runs(group)) for group in groups]
    scored_data = {run.data for _, runs in by_group for run in runs if subject.evaluations(run)}
    members = [
        (group, [outcome(run, subject) for run in runs])
        for group, runs in by_group
        if any(map(subject.evaluations, runs)) or (_never_scored(group) and runs[0].data in scored_data)
    ]
    values = [value for _, outcomes in members for o in outcomes for value in (o.last, o.best)]
    floor, notes = _floor([run for _, runs in by_group for run in runs], subject)
    if subject.scale == "log" and any(value is not None and value <= 0 for value in values):
        subject = subject._replace(scale="raw")
        notes.append("Some values are not above zero: means and tests are on the values, not on logarithms.")
    rows = [row(group, outcomes, subject) for group, outcomes in members]
    sign = 1 if subject.better == "min" else -1
    table = Table(contract, subject.score, subject.better, subject.scale, rows, floor=floor, target=target)
    table.notes += notes
    ranking.rank(table, question)
    rows.sort(key=lambda row: inf if row.mean is None else sign * row.mean)
    return table


def _never_scored(group: Group) -> bool:
    return not any(run.evaluations for run in (*group.runs, *group.repeated))


def _floor(runs: list[Run], subject: Subject) -> tuple[float | None, list[str]]:
    """The floor that these runs recorded for this very score, and a note if there is none that they share.

    That of another number of samples, fid300_digits beside fid10k_digits, is mostly another bias.
    """
    kind = measured(subject.score)
    floors = {
        (name, value): None
        for evaluation in (e for run in runs for e in subject.evaluations(run))
        for name, recorded in evaluation.floor.items()
        if measured(name) == kind and (value := number(recorded)) is not None
    }
    same = [value for name, value in floors if name == subject.score]
    if same and max(same) - min(same) <= SAME * max(map(abs, same)):
        return same[0], []
    if same:
        return None, [f"Recorded floors differ, from {min(same):.4g} to {max(same):.4g}: none is shown."]
    listed = ", ".join(f"{name} {value:.4g}" for name, value in floors)
    return None, [f"No floor of as many samples was recorded, but {listed}."] if floors else []
