"""What won and how sure that is, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ganlab.comparison.report.axis import decimals, number
from ganlab.comparison.result import Comparison, Row, Table
from ganlab.metrics.contract import Contract

BAD = ("failed", "collapsed")


def listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def counted(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def compared(comparison: Comparison) -> str:
    groups = comparison.groups
    runs = counted(sum(len(group.runs) for group in groups), "run")
    return f"{runs} in {counted(len(groups), 'group')}"


def contract_line(contract: dict[str, object]) -> str:
    """As elsewhere in ganlab; of a record that is not whole, what is left of it."""
    digest = str(contract.get("hash", "unknown"))[:12]
    try:
        parts = {key: value for key, value in contract.items() if key != "hash"}
        return f"{Contract(**parts)}  (contract {digest})"  # type: ignore[arg-type]
    except (TypeError, KeyError, ValueError, AttributeError):
        return f"contract {digest}"


def direction(table: Table) -> str:
    return "lower is better" if table.better == "min" else "higher is better"


def scored(row: Row, places: int) -> str:
    value = number(row.mean, places)
    if row.low is not None and row.high is not None:
        return f"{value} [{number(row.low, places)}, {number(row.high, places)}]"
    return value


def of_table(table: Table) -> str:
    """One sentence, or two."""
    rows = [row for row in table.rows if row.mean is not None]
    if not rows:
        return f"No group has a last {table.score} to compare."
    best, others = rows[0], rows[1:]
    places = decimals(row.mean for row in rows)
    seeds = "with one seed" if best.seeds == 1 else f"over {best.seeds} seeds"
    value = f"{scored(best, places)} {seeds}"
    if not others:
        alone = ", which has no interval" if best.seeds == 1 else ""
        return f"{best.group.name} has {table.score} {value}{alone}. There is nothing to compare it with."
    extreme = "lowest" if table.better == "min" else "highest"
    return f"{best.group.name} has the {extreme} {table.score}, {value}; {_surety(best, others)}."


def _surety(best: Row, others: Sequence[Row]) -> str:
    tied = [row.group.name for row in others if row.tied]
    untested = [row.group.name for row in others if row.tied is None]
    if best.seeds == 1 and len(untested) == len(others):
        return "one seed has no interval, and nobody can say whether it would stay ahead"
    if not tied and not untested:
        return f"{'the other is' if len(others) == 1 else 'all others are'} significantly worse"
    told = []
    if tied:
        told.append(f"{_some(tied)} {'is' if len(tied) == 1 else 'are'} tied with the best")
    if untested:
        told.append(f"{_some(untested)} could not be tested")
    return ", and ".join(told)


def _some(names: Sequence[str]) -> str:
    return listed(names) if len(names) <= 4 else listed([*names[:3], f"{len(names) - 3} more"])


def standing(row: Row, best: Row | None) -> tuple[str, str]:
    """How a group stands against the best: a kind for the page's style, and the words."""
    if row.mean is None:
        return "unknown", row.missing.get("mean", "no score")
    if row is best:
        return ("best", "best") if row.tied is not None else ("unknown", "first, not tested")
    if row.tied is None or best is None:
        return "unknown", row.missing.get("tied", "not tested")
    p = row.p.get(best.group.name)
    told = "" if p is None else f", p {'<' if p < 0.001 else '='} {max(p, 0.001):.2g}"
    return ("tied", f"tied{told}") if row.tied else ("worse", f"worse{told}")


def troubles(comparison: Comparison) -> Iterable[tuple[int, str, str, str, str]]:
    """The group's place and name, the run, its state, and the reason with how far it came."""
    for place, group in enumerate(comparison.groups):
        for run in group.runs:
            if run.state == "done" and not run.collapsed and not run.reason:
                continue
            state = "collapsed" if run.collapsed else run.state
            reached = f"step {run.step:,}" + (f" of {run.max_steps:,}" if run.max_steps else "")
            reason = f"{run.reason} ({reached})" if run.reason else reached
            yield place, group.name, run.source, state, reason


def left_out(comparison: Comparison) -> list[str]:
    """Of the tables' words those that no run's state tells, such as a run without a score."""
    told: dict[int, int] = {}
    for place, *_ in troubles(comparison):
        told[place] = told.get(place, 0) + 1
    places = {id(group): place for place, group in enumerate(comparison.groups)}
    found = (
        f"{row.group.name}: {words}"
        for table in comparison.tables
        for row in table.rows
        if len(row.trouble) > told.get(places[id(row.group)], 0)
        for words in row.trouble
    )
    return list(dict.fromkeys(found))
