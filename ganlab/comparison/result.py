"""The result of `ganlab compare`, from which its tables and its report are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ganlab.comparison.read import Group


@dataclass
class Row:
    """A group in a table. What is not known is None, and `missing` says why.

    Attributes:
        seeds: How many runs are in the mean: those that came to their end and have a last score.
        mean: Of the last scores; on the log scale their geometric mean.
        low: The lower end of the 95 % interval of the mean over training seeds; None with one seed.
        high: The upper end.
        best: Of each run in `group.runs` the best of its evaluations; None for one that is not in the mean.
        last: Of each run in `group.runs` the last of its evaluations; None for one that is not in the mean.
        best_mean: As `mean`, of `best`.
        tied: It is the best, or not significantly different from the best; None: it could not be tested.
        wins_over: Names of the groups that it is significantly better than.
        p: By the other group's name the p-value after Holm's correction over all pairs of the table.
        welch: The same by Welch's test, where spreads differ more than fourfold.
        images_to_target: The median over all seeds; one that did not reach the target counts as latest.
        reached: How many of the seeds reached the target.
        trouble: A sentence on each failed, collapsed or unfinished run, and each that is not in the mean.
        missing: Why an attribute is None, by its name.
    """

    group: Group
    seeds: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    best: list[float | None] = field(default_factory=list)
    last: list[float | None] = field(default_factory=list)
    best_mean: float | None = None
    tied: bool | None = None
    wins_over: list[str] = field(default_factory=list)
    p: dict[str, float] = field(default_factory=dict)
    welch: dict[str, float] = field(default_factory=dict)
    steps: int | None = None
    images: int | None = None
    hours: float | None = None
    images_to_target: int | None = None
    hours_to_target: float | None = None
    reached: int = 0
    images_per_second: float | None = None
    peak_memory: int | None = None
    hardware: str = ""
    trouble: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


@dataclass
class Table:
    """One score under one contract, the best group first.

    Attributes:
        scale: Whether means and tests are of logarithms or of the values.
        floor: The score of real samples that were never trained on.
        target: A value of this score that the user asked about.
        notes: Sentences on the statistics.
    """

    contract: dict[str, Any]
    score: str
    better: Literal["min", "max"]
    scale: Literal["log", "raw"]
    rows: list[Row]
    floor: float | None = None
    target: float | None = None
    notes: list[str] = field(default_factory=list)


@dataclass
class Comparison:
    """All groups and tables.

    Attributes:
        notes: Sentences on what could not be read or is in no table.
    """

    groups: list[Group]
    tables: list[Table]
    notes: list[str] = field(default_factory=list)
