"""What a study of augmentation found: a table over training seeds, and each finding in words."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

from scipy.special import stdtrit

from ganlab.comparison.significance import CONFIDENCE
from ganlab.tasks.augmentation import ARMS


class Cells(NamedTuple):
    """Runs of one experiment on equally many reals, one a seed, with what each arm reached."""

    name: str
    reals: int
    found: Sequence[dict[str, float]]

    def of(self, arm: str) -> list[float]:
        return [shares[arm] for shares in self.found]


class Interval(NamedTuple):
    mean: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        return f"{self.mean:.4f}" + ("" if self.low is None else f" [{self.low:.4f}, {self.high:.4f}]")

    @property
    def signed(self) -> str:
        return f"{self.mean:+.4f}" + ("" if self.low is None else f" [{self.low:+.4f}, {self.high:+.4f}]")


def interval(values: Sequence[float]) -> Interval:
    """The mean, and Student's interval of 95 %; none of one value."""
    mean = fmean(values)
    if len(values) < 2:
        return Interval(mean, None, None)
    half = stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2) * stdev(values) / len(values) ** 0.5
    return Interval(mean, mean - half, mean + half)


def accuracy(values: Sequence[float]) -> Interval:
    """The interval of accuracies, none of which is above 1 or below 0."""
    mean, low, high = interval(values)
    return Interval(mean, None if low is None else max(low, 0.0), None if high is None else min(high, 1.0))


def gain(cells: Cells, arm: str, over: str) -> Interval:
    """By how much an arm is above another one: of each seed's two, so that what they share is left out."""
    pairs = zip(cells.of(arm), cells.of(over), strict=True)
    return interval([one - other for one, other in pairs])


def verdict(of: Interval) -> str:
    """What an interval of differences says, in a word or two."""
    if of.low is None or of.high is None:
        return "one seed says nothing"
    if of.low > 0:
        return "they help"
    return "they harm" if of.high < 0 else "no difference that these seeds show"


def table(rows: Sequence[Cells]) -> str:
    """In Markdown: a row for each experiment and number of reals, a column for each arm."""
    head = ["experiment", "reals", "seeds", *ARMS.values()]
    lines = [head, ["---"] * len(head)]
    for cells in rows:
        shares = (str(accuracy(cells.of(arm))) for arm in ARMS)
        lines.append([cells.name, f"{cells.reals:,}", str(len(cells.found)), *shares])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def findings(cells: Cells) -> list[str]:
    """In sentences whether samples help beside reals and beside moved ones, and what they are alone."""
    where = f"{cells.name}, {cells.reals:,} reals"
    beside, moved = gain(cells, "both", "reals"), gain(cells, "moved_both", "moved")
    alone, shifts = gain(cells, "samples", "reals"), gain(cells, "moved", "reals")
    return [
        f"{where}: samples beside reals {beside.signed}: {verdict(beside)}.",
        f"{where}: samples beside moved reals {moved.signed}: {verdict(moved)}"
        f" (moving alone {shifts.signed}).",
        f"{where}: samples in place of reals {alone.signed}.",
    ]


def plain(rows: Sequence[Cells]) -> list[dict[str, Any]]:
    return [
        {
            "experiment": cells.name,
            "reals": cells.reals,
            "accuracies": {arm: cells.of(arm) for arm in ARMS},
            "gain beside reals": [*gain(cells, "both", "reals")],
            "gain beside moved reals": [*gain(cells, "moved_both", "moved")],
            "findings": findings(cells),
        }
        for cells in rows
    ]
