"""A group's row in a table: what its runs came to, what they cost, and when they reached a target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, inf, isfinite, log
from statistics import fmean, median
from typing import NamedTuple

from ganlab.comparison.groups import one_run_a_seed
from ganlab.comparison.read import UNKNOWN, Group, Run
from ganlab.comparison.result import Row
from ganlab.comparison.significance import share_interval
from ganlab.metrics.names import hash_of
from ganlab.metrics.score import Better, Scale
from ganlab.runs.records import Scored
from ganlab.system.untrusted import number


class Subject(NamedTuple):
    """What one table is about: a score under a contract.

    Attributes:
        few: The name of this score of as many samples as the floor, if that is of fewer.
    """

    contract: str
    score: str
    better: Better
    scale: Scale
    target: float | None
    few: str = ""

    def evaluations(self, run: Run) -> list[Scored]:
        known = [evaluation for evaluation in run.evaluations if self.score in evaluation.scores]
        return [e for e in known if hash_of(e.contract, self.score) == self.contract]

    def own(self, run: Run) -> list[Scored]:
        """The evaluations without those of weights that were selected by a score."""
        return [each for each in self.evaluations(run) if self.score not in each.selected]

    def runs(self, group: Group) -> list[Run]:
        """One run a seed: where a seed was run again, the newest with this score under this contract."""
        return one_run_a_seed(
            [*group.repeated, *group.runs], lambda run: bool(self.own(run)) + bool(self.evaluations(run))
        )[0]


class Outcome(NamedTuple):
    """A run's scores in a table.

    Attributes:
        evaluations: Those with this score under this contract.
        last: The last score; None if the run is left out of the mean.
        few: The last score of as many samples as the floor, if that is of fewer; None likewise.
        best: The best score; None likewise, unless it is of a checkpoint that was selected.
        among: Of how many evaluations it is the best.
        trouble: Why the run is left out, in words; empty: it is not.
        lost: It failed, collapsed, or has no number at its end.
    """

    run: Run
    evaluations: list[Scored]
    last: float | None
    few: float | None
    best: float | None
    among: int
    trouble: str
    lost: bool


def outcome(run: Run, subject: Subject) -> Outcome:
    evaluations, own, score = subject.evaluations(run), subject.own(run), subject.score
    values = [value for e in evaluations if (value := e.scores[score]) is not None]
    last, lost = own[-1] if own else None, run.collapsed or run.state == "failed"
    among = max(len(evaluations), *(e.selected.get(score, 0) for e in evaluations), 0)
    ended = not (trouble := why_left_out(run))
    if ended and last is None:
        selected = f"no last {score}, only one of a checkpoint that was selected among {among} evaluations"
        trouble = f"has {selected if evaluations else f'no {score} of this contract'}"
    elif ended and last and last.step < run.step:
        trouble = f"was last scored at step {last.step:,} of {run.step:,}"
    elif ended and last and last.scores[score] is None:
        trouble, lost = f"has no last {score}: {last.reasons.get(score, 'no reason is told')}", True
    best, few = None, None
    if values and (not trouble or (ended and len(own) < len(evaluations))):
        best = min(values) if subject.better == "min" else max(values)
    if trouble or not last:
        return Outcome(run, evaluations, None, None, best, among, f"{_label(run)} {trouble}", lost)
    few = number(last.beside_floor.get(subject.few))
    return Outcome(run, evaluations, last.scores[score], few, best, among, "", lost)


def _label(run: Run) -> str:
    return run.source if run.seed == UNKNOWN else f"seed {run.seed}"


def why_left_out(run: Run) -> str:
    """Why a run's last score is not its result, in words; "" if it is."""
    if run.ended:
        return run.reason or "collapsed" if run.collapsed else ""
    at = f"at step {run.step:,}" + (f" of {run.max_steps:,}" if run.max_steps else "")
    words = {"queued": "has not begun", "running": f"still runs, {at}", "failed": f"failed {at}"}
    state = words.get(run.state, f"stopped {at}")
    return f"{state}: {run.reason}" if run.reason else state


def row(group: Group, outcomes: list[Outcome], subject: Subject) -> Row:
    """The group's row, before it is ranked."""
    runs, counted = [o.run for o in outcomes], [o for o in outcomes if o.last is not None]
    result = Row(
        group,
        seeds=len(counted),
        runs=runs,
        lost=sum(o.lost for o in outcomes),
        best=[o.best for o in outcomes],
        last=[o.last for o in outcomes],
        evaluations=[o.among for o in outcomes if o.best is not None],
        best_mean=_mean([o.best for o in outcomes if o.best is not None], subject.scale),
        trouble=[o.trouble for o in outcomes if o.trouble],
    )
    result.trouble += [
        f"{_label(run)} was run again: {run.source} is not counted ({why_left_out(run) or 'done'})"
        for run in (*group.runs, *group.repeated)
        if not any(run is other for other in runs)
    ]
    if total := result.lost + result.seeds:
        result.share_low, result.share_high = share_interval(result.lost, total)
    if not counted:
        result.missing |= dict.fromkeys(("mean", "low", "high"), "no run that ended has a last score")
    if result.best_mean is None:
        result.missing["best_mean"] = "no run that ended has this score"
    _fill_in_few(result, [o.few for o in counted], subject)
    _fill_in_costs(result, [o.run for o in counted] or runs)
    if subject.target is not None:
        _fill_in_target(result, [_first_at_target(o.evaluations, subject) for o in outcomes])
    return result


def _fill_in_few(row: Row, values: list[float | None], subject: Subject) -> None:
    known = [value for value in values if value is not None]
    if len(known) == len(values):
        row.few_mean = _mean(known, subject.scale)
    elif subject.few:
        row.missing["few_mean"] = f"{len(values) - len(known)} of {len(values)} runs did not record it"


def _fill_in_costs(row: Row, runs: list[Run]) -> None:
    row.steps = _rounded(_median(run.step for run in runs))
    row.images = _rounded(_median(run.images for run in runs))
    row.hours = _hours(_median(run.seconds for run in runs))
    row.images_per_second = _median(run.images_per_second for run in runs)
    row.peak_memory = max((run.peak_memory for run in runs if run.peak_memory), default=None)
    row.hardware = "; ".join(dict.fromkeys(run.hardware for run in runs if run.hardware))
    for name in ("hours", "images_per_second", "peak_memory"):
        if vars(row)[name] is None:
            row.missing[name] = "its records do not tell"


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
