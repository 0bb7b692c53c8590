"""Sentences of the report: which group is best and how sure that is, and which runs went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ganlab.comparison.report.axis import decimals, number
from ganlab.comparison.result import Comparison, Row, Table
from ganlab.metrics.contract import Contract

BAD = ("failed", "collapsed")


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def counted(count: int, one: str, many: str = "") -> str:
    """`1 run`, `2 runs`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def compared(comparison: Comparison) -> str:
    groups = comparison.groups
    runs = counted(sum(len(group.runs) for group in groups), "run")
    return f"{runs} in {counted(len(groups), 'group')}"


def contract_line(contract: dict[str, object]) -> str:
    """A contract in one line, as `ganlab evaluate` prints it; of an incomplete one its hash alone."""
    digest = str(contract.get("hash", "unknown"))[:12]
    try:
        parts = {key: value for key, value in contract.items() if key != "hash"}
        return f"{Contract(**parts)}  (contract {digest})"  # type: ignore[arg-type]
    except (TypeError, KeyError, ValueError, AttributeError):
        return f"contract {digest}"


def direction(table: Table) -> str:
    return "lower is better" if table.better == "min" else "higher is better"


def mean_with_interval(row: Row, places: int) -> str:
    value = number(row.mean, places)
    if row.low is not None and row.high is not None:
        return f"{value} [{number(row.low, places)}, {number(row.high, places)}]"
    return value


def summarise(table: Table) -> str:
    """One or two sentences on a table's best group, and whether the others are worse."""
    rows = [row for row in table.rows if row.mean is not None]
    if not rows:
        return f"No group has a last {table.score} to compare."
    best, others = rows[0], rows[1:]
    places = decimals(row.mean for row in rows)
    seeds = "with one seed" if best.seeds == 1 else f"over {best.seeds} seeds"
    value = f"{mean_with_interval(best, places)} {seeds}"
    if not others:
        alone = ", which has no interval" if best.seeds == 1 else ""
        return f"{best.group.name} has {table.score} {value}{alone}. There is nothing to compare it with."
    extreme = "lowest" if table.better == "min" else "highest"
    return f"{best.group.name} has the {extreme} {table.score}, {value}; {_certainty(best, others)}."


def _certainty(best: Row, others: Sequence[Row]) -> str:
    tied = [row.group.name for row in others if row.tied]
    untested = [row.group.name for row in others if row.tied is None]
    if best.seeds == 1 and len(untested) == len(others):
        return "one seed has no interval, and nobody can say whether it would stay ahead"
    if not tied and not untested:
        return f"{'the other is' if len(others) == 1 else 'all others are'} significantly worse"
    parts = []
    if tied:
        parts.append(f"{_at_most_four(tied)} {'is' if len(tied) == 1 else 'are'} tied with the best")
    if untested:
        parts.append(f"{_at_most_four(untested)} could not be tested")
    return ", and ".join(parts)


def _at_most_four(names: Sequence[str]) -> str:
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
    p_value = "" if p is None else f", p {'<' if p < 0.001 else '='} {max(p, 0.001):.2g}"
    return ("tied", f"tied{p_value}") if row.tied else ("worse", f"worse{p_value}")


def troubles(comparison: Comparison) -> Iterable[tuple[int, str, str, str, str]]:
    """Index and name of the group, source, state, and reason with the step, of each run that went wrong."""
    for index, group in enumerate(comparison.groups):
        for run in group.runs:
            if run.state == "done" and not run.collapsed and not run.reason:
                continue
            state = "collapsed" if run.collapsed else run.state
            reached = f"step {run.step:,}" + (f" of {run.max_steps:,}" if run.max_steps else "")
            reason = f"{run.reason} ({reached})" if run.reason else reached
            yield index, group.name, run.source, state, reason


def left_out(comparison: Comparison) -> list[str]:
    """The tables' sentences on troubles that no run's state shows, such as a run without a score."""
    counts = Counter(index for index, *_ in troubles(comparison))
    indices = {id(group): index for index, group in enumerate(comparison.groups)}
    sentences = (
        f"{row.group.name}: {sentence}"
        for table in comparison.tables
        for row in table.rows
        if len(row.trouble) > counts[indices[id(row.group)]]
        for sentence in row.trouble
    )
    return list(dict.fromkeys(sentences))
