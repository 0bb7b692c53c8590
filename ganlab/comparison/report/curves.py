"""Curves over training: each group's mean, the range of its seeds, and each seed alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import exp, isfinite, log
from typing import Literal

import numpy as np

from ganlab.comparison.read import Group, Run
from ganlab.comparison.result import Table
from ganlab.metrics.names import hash_of

Point = tuple[float, float]
Axis = Literal["images", "seconds"]
BINS = 100


@dataclass
class Line:
    """A group in a plot.

    Attributes:
        number: The group's position in the comparison, from which its colour follows.
        seeds: The points of each run.
        mean: The mean over the runs as far as all go; on a logarithmic scale the geometric mean.
        band: (x, lowest, highest) of the seeds; empty with one.
    """

    number: int
    name: str
    seeds: list[list[Point]]
    mean: list[Point]
    band: list[tuple[float, float, float]]

    def y_values(self) -> Iterable[float]:
        yield from (y for seed in self.seeds for _, y in seed)
        yield from (y for _, y in self.mean)
        yield from (y for _, *both in self.band for y in both)

    def x_values(self) -> Iterable[float]:
        yield from (x for seed in self.seeds for x, _ in seed)
        yield from (x for x, _ in self.mean)


def score_lines(table: Table, groups: Sequence[Group], axis: Axis) -> list[Line]:
    """A line for each group that has any score of this table's contract, of the runs in the table."""
    logarithmic = table.scale == "log"
    runs = {id(row.group): row.runs for row in table.rows}
    lines = []
    for number, group in enumerate(groups):
        seeds = [score_points(run, table, axis) for run in runs.get(id(group), [])]
        if known := [seed for seed in seeds if seed]:
            lines.append(Line(number, group.name, known, *over_seeds(known, log_scale=logarithmic)))
    return lines


def score_points(run: Run, table: Table, axis: Axis) -> list[Point]:
    """A run's values of a table's score, without those of weights that were selected by a score; a later
    evaluation of the same step replaces the earlier.
    """
    points: dict[float, float] = {}
    for evaluation in run.evaluations:
        value, x = evaluation.scores.get(table.score), getattr(evaluation, axis)
        same = hash_of(evaluation.contract, table.score) == hash_of(table.contract, table.score)
        if not same or table.score in evaluation.selected:
            continue
        if x is None or value is None or not isfinite(value):
            continue
        if value > 0 or table.scale != "log":
            points[float(x)] = float(value)
    return sorted(points.items())


def over_seeds(
    seeds: list[list[Point]], *, log_scale: bool
) -> tuple[list[Point], list[tuple[float, float, float]]]:
    """Mean and range where all seeds have values, interpolated linearly between two evaluations.

    They end with the shortest run: the mean of the remaining seeds would jump there.
    """
    forward: Callable[[float], float] = log if log_scale else float
    back: Callable[[float], float] = exp if log_scale else float
    start, end = max(seed[0][0] for seed in seeds), min(seed[-1][0] for seed in seeds)
    xs = sorted({x for seed in seeds for x, _ in seed if start <= x <= end})
    if not xs:
        return [], []
    curves = [np.interp(xs, [x for x, _ in seed], [forward(y) for _, y in seed]) for seed in seeds]
    values = np.array(curves)
    mean = [(x, back(float(y))) for x, y in zip(xs, values.mean(0), strict=True)]
    if len(seeds) == 1:
        return mean, []
    ranges = zip(xs, values.min(0), values.max(0), strict=True)
    return mean, [(x, back(float(low)), back(float(high))) for x, low, high in ranges]


def term_lines(groups: Sequence[Group]) -> dict[str, list[Line]]:
    """The lines of each logged term by its name, the two losses first; scores have plots of their own."""
    runs = [run for group in groups for run in group.runs]
    scores = {name for run in runs for each in run.evaluations for name in each.scores}
    names = dict.fromkeys(name for run in runs for name in run.terms if name not in scores)
    ordered = sorted(names, key=lambda name: name not in ("discriminator", "generator"))
    by_name = {name: list(_lines_of_term(name, groups)) for name in ordered}
    return {name: lines for name, lines in by_name.items() if lines}


def _lines_of_term(name: str, groups: Sequence[Group]) -> Iterable[Line]:
    for number, group in enumerate(groups):
        seeds = [_finite(run.terms.get(name, [])) for run in group.runs]
        if known := [seed for seed in seeds if seed]:
            binned = _binned(known)
            yield Line(number, group.name, [], *over_seeds(binned, log_scale=False))


def _finite(points: Iterable[Point]) -> list[Point]:
    return sorted((x, y) for x, y in points if isfinite(x) and isfinite(y))


def _binned(seeds: list[list[Point]]) -> list[list[Point]]:
    """Means of neighbours: a term is noisy, and thousands of its rows are no clearer than a hundred means."""
    last = max(seed[-1][0] for seed in seeds)
    width = (last or 1.0) / BINS
    means = []
    for seed in seeds:
        bins: dict[int, list[Point]] = {}
        for x, y in seed:
            bins.setdefault(int(x / width), []).append((x, y))
        means.append(
            [(_mean(x for x, _ in bin_), _mean(y for _, y in bin_)) for _, bin_ in sorted(bins.items())]
        )
    return means


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
