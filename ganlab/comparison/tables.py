"""From runs to tables: one for each score under each contract, with a row for each group of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any, NamedTuple

from ganlab.comparison import ranking
from ganlab.comparison.groups import differing_settings, groups
from ganlab.comparison.ranking import DEFAULT, Question
from ganlab.comparison.read import Group, Run
from ganlab.comparison.result import Comparison, Table
from ganlab.comparison.rows import Subject, outcome, row, why_left_out
from ganlab.comparison.settings import short_names
from ganlab.errors import Refused
from ganlab.metrics.names import FULL, Measured, hash_of, measured, numbers_of_score
from ganlab.system.untrusted import number

Key = tuple[str, str]  # a score's hash (`hash_of`) and name
Contract = Mapping[str, Any]  # as it was written
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
        score: Make tables of this one alone, by its full name or its kind: fid10k_digits, fid. What says
            nothing alone brings its other half: precision the recall.
        target: A value of that score; the tables say when it was first reached.
    """
    compared = groups(runs, by, pool)
    ranking.check(question, [group.name for group in compared])
    notes = [f"{run.source}: {problem}" for run in runs for problem in run.problems]
    notes += [f"{run.source} is in no group: its settings are not known" for run in runs if not run.settings]
    contracts, unknown = _contracts(runs)
    notes += [f"{name} is in no table: ganlab does not know where better lies" for name in unknown]
    tables = [
        _table(compared, key, contracts[key], goal, question)
        for key, goal in _choose_scores(contracts, score, target).items()
    ]
    in_tables = {id(row.group) for table in tables for row in table.rows}
    notes += [note for group in compared if id(group) not in in_tables for note in _notes_on_left_out(group)]
    notes += [note for group in compared if pool for note in _notes_on_pooling(group)]
    return Comparison(compared, tables, notes)


def _contracts(runs: Iterable[Run]) -> tuple[dict[Key, dict[str, Any]], list[str]]:
    """The contract of each table to be made, and the names of scores that neither ganlab nor theirs knows."""
    contracts: dict[Key, dict[str, Any]] = {}
    unknown: dict[str, None] = {}
    for run in runs:
        for evaluation in run.evaluations:
            for name in evaluation.scores:
                if not (known := measured(name, evaluation.contract)):
                    unknown[name] = None
                elif known.value.better:
                    key = hash_of(evaluation.contract, name), name
                    contracts.setdefault(key, evaluation.contract)
    return contracts, list(unknown)


def _choose_scores(
    available: Mapping[Key, Contract], score: str | None, target: float | None
) -> dict[Key, float | None]:
    """The tables to be made, each with its target."""
    known = {key: measured(key[1], contract) for key, contract in available.items()}
    keys = [key for key in available if score is None or score in _called(key[1], known[key])]
    keys = keys or [key for key in available if score in _called_in_short(known[key])]
    names = dict.fromkeys(name for _, name in keys)
    if score and not keys:
        there = ", ".join(dict.fromkeys(name for _, name in available)) or "none"
        raise Refused(f"No run here has the score '{score}' (--score). Scores there are: {there}.")
    if target is not None and len(names) > 1:
        raise Refused(f"--target is of one score: say which by --score. There are {', '.join(names)}.")
    shown = dict.fromkeys(each for key in keys for each in (*_judged(key, available[key], known), key))
    return {key: target if key in keys else None for key in shown}


def _called(name: str, known: Measured | None) -> set[str]:
    """A score's name, and its kind: fid for fid10k_digits."""
    return {name, known.value.name.replace("{n}", "")} if known else {name}


def _called_in_short(known: Measured | None) -> set[str]:
    """Of precision10k_k3 precision, and precision_recall, under which both are asked for."""
    return {known.value.name.partition("{n}")[0], known.score} if known else set()


def _judged(key: Key, contract: Contract, known: Mapping[Key, Measured | None]) -> list[Key]:
    """What a number is never shown without: noise can have the highest precision, and no recall."""
    own = known[key]
    numbers = numbers_of_score(own.score, contract) if own else None
    if not own or not numbers or own.value not in numbers.values[: numbers.judged]:
        return []
    judged = own._replace(value=numbers.values[numbers.judged])
    return [each for each in known if each[0] == key[0] and known[each] == judged]


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
    subject = _subject(key, contract, target)
    by_group = [(group, subject.runs(group)) for group in groups]
    floor, notes = _floor([run for _, runs in by_group for run in runs], subject, contract)
    subject = subject._replace(few=floor.score if floor and floor.score != subject.score else "")
    scored_data = {run.data for _, runs in by_group for run in runs if subject.evaluations(run)}
    members = [
        (group, [outcome(run, subject) for run in runs])
        for group, runs in by_group
        if any(map(subject.evaluations, runs)) or (_never_scored(group) and runs[0].data in scored_data)
    ]
    values = [value for _, outcomes in members for o in outcomes for value in (o.last, o.few, o.best)]
    if subject.scale == "log" and any(value is not None and value <= 0 for value in values):
        subject = subject._replace(scale="raw")
        notes.append("Some values are not above zero: means and tests are on the values, not on logarithms.")
    rows = [row(group, outcomes, subject) for group, outcomes in members]
    sign = 1 if subject.better == "min" else -1
    table = Table(contract, subject.score, subject.better, subject.scale, rows, target=target, notes=notes)
    if floor:
        _fill_in_floor(table, floor)
    ranking.rank(table, question)
    rows.sort(key=lambda row: inf if row.mean is None else sign * row.mean)
    return table


def _subject(key: Key, contract: Contract, target: float | None) -> Subject:
    known = measured(key[1], contract)
    assert known
    assert known.value.better
    return Subject(*key, known.value.better, known.value.scale, target)


def _never_scored(group: Group) -> bool:
    return not any(run.evaluations for run in (*group.runs, *group.repeated))


class Floor(NamedTuple):
    """What real samples that were never trained on have: this very score, or that of fewer samples."""

    score: str
    value: float


def _floor(runs: list[Run], subject: Subject, contract: Contract) -> tuple[Floor | None, list[str]]:
    """The floor that these runs recorded for this score, and a note if there is none that they share.

    That of another number of samples, fid300_digits beside fid10k_digits, is mostly another bias.
    """
    kind = _kind(subject.score, contract)
    floors: dict[str, list[float]] = {}
    for evaluation in (e for run in runs for e in subject.evaluations(run)):
        for name, recorded in evaluation.floor.items():
            if _kind(name, contract) == kind and (value := number(recorded)) is not None:
                floors.setdefault(name, []).append(value)
    name = subject.score if subject.score in floors else next(iter(floors), "")
    low, high = min(floors.get(name, [0.0])), max(floors.get(name, [0.0]))
    if high - low > SAME * max(abs(low), abs(high)):
        return None, [f"Recorded floors differ, from {low:.4g} to {high:.4g}: none is shown."]
    if name == subject.score or len(floors) == 1:
        return Floor(name, floors[name][0]), []
    return None, [_no_floor(Floor(each, values[0]) for each, values in floors.items())] if floors else []


def _kind(name: str, contract: Contract) -> Measured | None:
    """What two names share that are of one score with other numbers of samples: fid50k and fid10k_full."""
    known = measured(name, contract)
    return known and known._replace(suffix=known.suffix.removeprefix(FULL))


def _no_floor(others: Iterable[Floor]) -> str:
    listed = ", ".join(f"{name} {value:.4g}" for name, value in others)
    return f"No floor of as many samples was recorded, but {listed}."


def _fill_in_floor(table: Table, floor: Floor) -> None:
    """A floor of fewer samples is shown beside scores of as many; where they are unknown, a note tells it."""
    if floor.score == table.score:
        table.floor = floor.value
        return
    rows = [row for row in table.rows if row.seeds]
    if any(row.few_mean is not None for row in rows):
        table.few_score, table.few_floor = floor
    if any(row.few_mean is None for row in rows):
        table.notes.append(_no_floor([floor]))
