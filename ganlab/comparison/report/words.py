"""Sentences of the report: which group is best and how sure that is, and which runs went wrong."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from math import inf

from ganlab.comparison.report.axis import NONE, decimals, number, short
from ganlab.comparison.result import Comparison, Row, Table
from ganlab.metrics.contract import Contract
from ganlab.metrics.names import measured
from ganlab.system.untrusted import readable

BAD = ("failed", "collapsed")
TESTED = (
    "Verdicts are of Welch's tests with Holm's correction; of four groups and more a spread below their "
    "median is raised towards it. All contrasts hold at once as well."
)
# tests/comparison/simulation.md
SIMULATED = (
    "In simulated tables of 3 to 10 seeds, 2 to 8 groups and spreads up to tenfold apart, with normal "
    "scores, all intervals held at once in at least 94 %, and equal groups were said to differ in at most "
    "6 %, most often two of unequal spread at three seeds; with skewed scores in up to 10 %."
)
LEAST = 1e-300  # of a ratio
LARGE = 10  # times; below it a ratio is told in per cent


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
    """A contract in one line, as `ganlab evaluate` prints it, or in its own words; else its hash alone."""
    digest = str(contract.get("hash", "unknown"))[:12]
    if isinstance(says := contract.get("says"), str):
        return f"{readable(says)}  (contract {digest})"
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


def measured_count(name: str, contract: dict[str, object]) -> str:
    """The number of samples as a score's name has it: 10k of fid10k_digits; "" if there is none."""
    known = measured(name, contract)
    before, _, after = known.value.name.partition("{n}") if known else ("", "", "")
    found = re.match(rf"{re.escape(before)}(\d+k?)", name) if after or before else None
    return found[1] if found else ""


def floor_label(table: Table) -> str:
    """`real floor, n = 10k`: a floor is of as many samples as the score that it stands beside."""
    count = measured_count(table.score, table.contract)
    return f"real floor, n\u00a0=\u00a0{count}" if count else "real floor"


def few_label(table: Table) -> str:
    """`at n = 300, real floor 0.44`: where the floor is of fewer samples, with the score of as many."""
    count = measured_count(table.few_score, table.contract)
    return f"at n\u00a0=\u00a0{count}, real floor {short(table.few_floor or 0.0)}"


def size(table: Table, contrast: float) -> str:
    """How far a contrast is from equality, without its direction: `32 %` of a ratio of 1.32 or 0.68."""
    if table.scale == "raw":
        return f"{abs(contrast):.2g}"
    if contrast >= LARGE:
        return f"{contrast:,.0f}×" if contrast < 1000 else "more than 1,000×"
    percent = 100 * abs(contrast - 1)
    return f"{percent:.0f} %" if percent >= 1 else f"{percent:.1g} %"


def worse_by(row: Row, table: Table) -> tuple[float, float] | None:
    """The ends of a contrast's interval, the better first: as a ratio below 1, or as a difference below 0."""
    if row.contrast_low is None or row.contrast_high is None:
        return None
    if table.better == "min":
        return row.contrast_low, row.contrast_high
    if table.scale == "raw":
        return -row.contrast_high, -row.contrast_low
    return tuple(1 / max(end, LEAST) for end in (row.contrast_high, row.contrast_low))  # type: ignore[return-value]


def standing(row: Row, table: Table) -> tuple[str, str, str]:
    """How a group stands to the table's reference: a kind for the page's style, a verdict, and its limits."""
    if row.mean is None:
        return "unknown", row.missing.get("mean", "no score"), ""
    is_reference = row.group.name == table.reference
    if row.standing == "untested":
        return "unknown", "first, not tested" if is_reference else row.missing.get("p", "not tested"), ""
    if is_reference:
        return row.standing, "best" if row.standing == "best" else "the reference", ""
    if row.standing == "open":
        return "open", "not told apart", _could_be([row], table)
    return row.standing, row.standing, _by_at_least([row], table) or "by how much is open"


def contrast(row: Row, table: Table) -> str:
    """A group's mean over the reference's, or the difference to it, with its interval."""
    if row.contrast is None or row.group.name == table.reference:
        return ""
    ratio = table.scale == "log"
    places = decimals([row.contrast if ratio else row.mean])
    ends = [
        ">10,000" if ratio and end > 1e4 else number(end, places)
        for end in (row.contrast_low, row.contrast_high)
        if end is not None
    ]
    return number(row.contrast, places) + "×" * ratio + (f" [{', '.join(ends)}]" if len(ends) == 2 else "")


def p_value(row: Row, table: Table) -> str:
    """`p = 0.03` of a difference from the reference, after Holm's correction; "" if it was not tested."""
    p = row.p.get(table.reference)
    return "" if p is None else f"p\u00a0{'<' if p < 0.001 else '='}\u00a0{max(p, 0.001):.2g}"


def against(table: Table) -> str:
    """The head of the column of standings."""
    held = any(row.standing == "reference" for row in table.rows)
    return f"against {table.reference}" if held else "against the best"


def contrast_head(table: Table) -> str:
    return "ratio [95 %]" if table.scale == "log" else "difference [95 %]"


def how_means_are_made(table: Table) -> str:
    mean = "geometric mean" if table.scale == "log" else "mean"
    several = sum(row.low is not None for row in table.rows) > 1
    at_once = ", which hold at once" if several else ""
    return f"Last scores: {mean} and 95 % interval over training seeds{at_once}."


def how_tested(table: Table) -> str:
    """By which test the words of a table were found, and how often it was wrong where the truth is known."""
    if table.pooled:
        return "Verdicts are of t-tests with one variance for all groups and Holm's correction."
    return f"{TESTED} {SIMULATED}"


def share_lost(row: Row) -> str:
    """How many runs failed or collapsed, and the interval of their share; "" if none did."""
    if not row.lost or row.share_low is None or row.share_high is None:
        return ""
    share = f"{100 * row.share_low:.0f}–{100 * row.share_high:.0f} %"
    return f"{row.lost} of {row.lost + row.seeds} [{share}]"


def best_of(row: Row, places: int) -> str:
    """The mean of the best evaluations, with the number from which each was selected."""
    if row.best_mean is None or not row.evaluations:
        return NONE
    few, many = min(row.evaluations), max(row.evaluations)
    return f"{number(row.best_mean, places)} of {few if few == many else f'{few}–{many}'}"


def summarise(table: Table) -> str:
    """Sentences on a table's best group, whether the others are worse, and what was left out of its mean."""
    rows = [row for row in table.rows if row.mean is not None]
    if not rows:
        return f"No group has a last {table.score} to compare."
    best, others = rows[0], [row for row in rows if row.group.name != table.reference]
    places = decimals(row.mean for row in rows)
    seeds = "with one seed" if best.seeds == 1 else f"over {best.seeds} seeds"
    value = f"{mean_with_interval(best, places)} {seeds}"
    name, lost = best.group.name, ""
    if best.lost:
        lost = f" {share_lost(best)} of its runs failed or collapsed and are not in that mean."
    if len(rows) == 1:
        alone = ", which has no interval" if best.seeds == 1 else ""
        return f"{name} has {table.score} {value}{alone}. There is nothing to compare it with.{lost}"
    extreme = "lowest" if table.better == "min" else "highest"
    first = f"{name} has the {extreme} {table.score}, {value}"
    if best.seeds == 1 and not any(row.p for row in rows):
        return f"{first}; one seed has no interval, and nobody can say whether it would stay ahead.{lost}"
    held = "" if table.reference == name else f"against {table.reference}: "
    return f"{first}; {held}{'; '.join(_verdicts(others, table))}.{lost}"


def _verdicts(others: Sequence[Row], table: Table) -> Iterable[str]:
    """For each kind of verdict the groups that it is true of, and what is true of all of them."""
    for kind in ("better", "worse", "open", "untested"):
        rows = [row for row in others if row.standing == kind]
        if not rows:
            continue
        names = _at_most_four([row.group.name for row in rows])
        if len(rows) == len(others):
            names = "the other" if len(rows) == 1 else "all others"
        verb = "is" if len(rows) == 1 else "are"
        if kind == "untested":
            yield f"{names} could not be tested"
        elif kind == "open":
            yield f"{names} {verb} not told apart from it ({_could_be(rows, table)})"
        else:
            yield f"{names} {verb} {kind} {_by_at_least(rows, table)}".rstrip()


def _by_at_least(rows: Sequence[Row], table: Table) -> str:
    """What all of these rows, of one standing, are better or worse by; "" where that may be nothing."""
    ends = [worse_by(row, table) or (-inf, inf) for row in rows]
    equal, is_worse = 1.0 if table.scale == "log" else 0.0, rows[0].standing == "worse"
    nearest = min(low for low, _ in ends) if is_worse else max(high for _, high in ends)
    beyond = nearest > equal if is_worse else nearest < equal
    return f"by at least {size(table, nearest)}" if beyond else ""


def _could_be(rows: Sequence[Row], table: Table) -> str:
    """How much better or worse groups that are not told apart could be."""
    ends = [worse_by(row, table) for row in rows]
    if not all(ends):
        return "nobody can say by how much they differ"
    best, worst = min(end[0] for end in ends if end), max(end[1] for end in ends if end)
    return f"could be up to {size(table, best)} better or {size(table, worst)} worse"


def _at_most_four(names: Sequence[str]) -> str:
    return listed(names) if len(names) <= 4 else listed([*names[:3], f"{len(names) - 3} more"])


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
