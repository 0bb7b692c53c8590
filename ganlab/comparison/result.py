"""The result of `ganlab compare`, from which its tables and its report are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ganlab.comparison.read import Group, Run

Standing = Literal["best", "reference", "better", "worse", "open", "untested"]


@dataclass
class Row:
    """A group in a table. What is not known is None, and `missing` says why.

    Attributes:
        runs: The group's, one a seed: of those that have this score under this contract the newest.
        seeds: How many runs are in the mean: those that came to their end, did not collapse and have a last
            score.
        lost: How many runs failed or collapsed.
        share_low: The lower end of the 95 % interval of the share of runs that fail or collapse.
        share_high: The upper end.
        mean: Of the last scores; on the log scale their geometric mean.
        low: The lower end of the mean's interval over training seeds; those of all groups hold at once with
            95 %. None with one seed.
        high: The upper end.
        best: Of each run in `runs` the best of its evaluations; None for one that is not in the mean, unless
            it is of a checkpoint that was selected.
        last: Of each run in `runs` the last of its evaluations; None for one that is not in the mean.
        few_mean: As `mean`, of the last scores of as many samples as the floor, if that is of fewer; None
            unless all runs in the mean have one.
        evaluations: Of how many evaluations each `best` is the best.
        best_mean: As `mean`, of `best`.
        standing: Of the table's reference, or how it was found to stand to it; open: they are not told apart.
        contrast: The mean over the reference's on the log scale, else the difference to it.
        contrast_low: The lower end of its interval; those of all pairs hold at once with 95 %.
        contrast_high: The upper end.
        p: By the other group's name the p-value after Holm's correction over all pairs that are tested.
        wins_over: Names of the groups that it is significantly better than.
        images_to_target: The median over all seeds; one that did not reach the target counts as latest.
        reached: How many of the seeds reached the target.
        trouble: A sentence on each failed, collapsed or unfinished run, and each that is not in the mean.
        missing: Why an attribute is None, by its name.
    """

    group: Group
    seeds: int
    runs: list[Run] = field(default_factory=list)
    lost: int = 0
    share_low: float | None = None
    share_high: float | None = None
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    best: list[float | None] = field(default_factory=list)
    last: list[float | None] = field(default_factory=list)
    few_mean: float | None = None
    evaluations: list[int] = field(default_factory=list)
    best_mean: float | None = None
    standing: Standing = "untested"
    contrast: float | None = None
    contrast_low: float | None = None
    contrast_high: float | None = None
    p: dict[str, float] = field(default_factory=dict)
    wins_over: list[str] = field(default_factory=list)
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
        reference: The name of the group that the others are held against: the best, or one that was declared.
        pooled: All groups were taken to spread alike.
        floor: This very score of real samples that were never trained on.
        few_score: The name of this score of fewer samples, if the floor is of so many.
        few_floor: That score of real samples that were never trained on.
        target: A value of this score that the user asked about.
        notes: Sentences on the statistics.
    """

    contract: dict[str, Any]
    score: str
    better: Literal["min", "max"]
    scale: Literal["log", "raw"]
    rows: list[Row]
    reference: str = ""
    pooled: bool = False
    floor: float | None = None
    few_score: str = ""
    few_floor: float | None = None
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
