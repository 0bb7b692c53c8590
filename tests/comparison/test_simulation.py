"""How often `ganlab compare` is right where the truth is known: intervals, false differences, and power.

    pytest -m evidence tests/comparison/test_simulation.py -rP

makes simulation.md, which lies beside this file. The tables are drawn and inferred all at once, by the very
functions that the command calls.
"""

import itertools
from collections.abc import Iterator
from math import log, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from ganlab.comparison.significance import Spread, infer, share_interval

TABLES = 10_000
SEEDS, GROUPS, RATIOS, SHAPES = (3, 5, 10), (2, 4, 8), (1, 3, 10), ("normal", "log-normal", "10 % collapsed")
COLLAPSED = 0.1
TWICE = log(2) / 0.17  # a ratio of 2 at the spread of twelve runs on MNIST, in standard deviations
METHODS: tuple[Spread, ...] = ("raised", "own", "pooled")
FILE = Path(__file__).with_name("simulation.md")
OFF = 3.0  # standard errors of a simulation by which its result may miss a bound


class Cell(NamedTuple):
    seeds: int
    groups: int
    ratio: int
    shape: str
    wide: str = "one"

    def scores(self, shift: float = 0.0) -> np.ndarray:
        """Tables of scores with mean 0; those of the first group lie `shift` lower, in its own spreads.

        The first group, or the first half of the groups, spreads `ratio` times as widely as the others.
        """
        chance = np.random.default_rng([self.seeds, self.groups, self.ratio, SHAPES.index(self.shape)])
        scores = chance.normal(size=(TABLES, self.groups, self.seeds))
        if self.shape == "log-normal":
            scores = (np.exp(0.5 * scores) - np.exp(0.125)) / sqrt(np.exp(0.5) - np.exp(0.25))
        if self.shape == "10 % collapsed":
            scores[chance.random(scores.shape) < COLLAPSED] = np.nan
        scores[:, : 1 if self.wide == "one" else self.groups // 2] *= self.ratio
        scores[:, 0] -= shift
        return scores

    @property
    def gated(self) -> bool:
        return self.shape != "log-normal"


class Rates(NamedTuple):
    """Shares of tables: all means, all contrasts, and the best's mean lie in their intervals; some difference
    is claimed though all are equal; the first group, a factor of 2 better, is told from the second.
    """

    means: float
    contrasts: float
    best: float
    errors: float
    power: float


def rates(cell: Cell, method: Spread) -> Rates:
    equal = infer(cell.scores(), "raw", method)
    inside = _holds(equal.low, equal.high)
    best = np.argmin(np.where(np.isnan(equal.low), np.inf, equal.means), -1)[:, None]
    shifted = infer(cell.scores(TWICE), "raw", method)
    return Rates(
        inside.all(-1).mean(),
        _holds(equal.contrasts_low, equal.contrasts_high).all((1, 2)).mean(),
        np.take_along_axis(inside, best, -1).mean(),
        (equal.p <= 0.05).any((1, 2)).mean(),
        ((shifted.p[:, 0, 1] <= 0.05) & (shifted.means[:, 0] < shifted.means[:, 1])).mean(),
    )


def _holds(low: np.ndarray, high: np.ndarray) -> Any:
    """Whether 0 lies in each interval; an interval that is not given is not wrong."""
    return ~((low > 0) | (high < 0))


def error(share: float) -> float:
    """The standard error of a share of all tables."""
    return sqrt(share * (1 - share) / TABLES)


def check(cell: Cell, found: Rates) -> None:
    """The bounds that are told on the page, with the simulation's own error."""
    most = 0.075 if cell.seeds == 3 else 0.06
    assert found.errors <= most + OFF * error(most), cell
    for coverage in (found.means, found.contrasts):
        assert coverage >= 0.93 - OFF * error(0.93), cell
    assert found.best >= 0.95 - OFF * error(0.95), cell


def cells() -> Iterator[Cell]:
    for seeds, groups, ratio, shape in itertools.product(SEEDS, GROUPS, RATIOS, SHAPES):
        yield Cell(seeds, groups, ratio, shape)
        if ratio > 1 and groups > 2:
            yield Cell(seeds, groups, ratio, shape, "half")


def share_errors(seeds: int) -> float:
    """How often the interval of a share of 10 % misses it."""
    collapsed = np.random.default_rng(seeds).binomial(seeds, COLLAPSED, TABLES)
    ends = np.array([share_interval(count, seeds) for count in range(seeds + 1)])[collapsed]
    return float(((ends[:, 0] > COLLAPSED) | (ends[:, 1] < COLLAPSED)).mean())


# The worst for errors and for intervals, and plain ones.
FEW = [
    Cell(3, 2, 3, "normal"),
    Cell(3, 2, 10, "normal"),
    Cell(3, 4, 3, "normal"),
    Cell(3, 8, 10, "normal", "half"),
    Cell(5, 4, 1, "normal"),
    Cell(5, 8, 3, "10 % collapsed"),
]


@pytest.mark.parametrize("cell", FEW, ids=str)
def test_errors_and_intervals_are_as_told(cell: Cell) -> None:
    check(cell, rates(cell, "raised"))


@pytest.mark.slow
def test_errors_and_intervals_of_normal_scores_are_as_told() -> None:
    for cell in cells():
        if cell.shape == "normal":
            check(cell, rates(cell, "raised"))


@pytest.mark.parametrize(("seeds", "least", "most"), [(3, 0.45, 0.7), (5, 0.97, 1.0)])
def test_three_seeds_tell_little_and_five_enough(seeds: int, least: float, most: float) -> None:
    assert least <= rates(Cell(seeds, 4, 1, "normal"), "raised").power <= most


@pytest.mark.parametrize("seeds", SEEDS)
def test_a_shares_interval_holds(seeds: int) -> None:
    assert share_errors(seeds) <= 0.05 + OFF * error(0.05)


@pytest.mark.evidence
def test_all_cells() -> None:
    table = {cell: {method: rates(cell, method) for method in METHODS} for cell in cells()}
    FILE.write_text(_markdown(table))
    print(FILE.read_text())
    for cell, by_method in table.items():
        if cell.gated:
            check(cell, by_method["raised"])
    for seeds in SEEDS:
        assert share_errors(seeds) <= 0.05 + OFF * error(0.05)


def _markdown(table: dict[Cell, dict[Spread, Rates]]) -> str:
    heads = ["seeds", "groups", "sd ratio", "wide", "scores"]
    heads += [f"{method}: {name}" for method in METHODS for name in Rates._fields]
    lines = [f"| {' | '.join(heads)} |", f"|{'--:|' * len(heads)}"]
    for cell, by_method in table.items():
        first = [cell.seeds, cell.groups, cell.ratio, cell.wide if cell.ratio > 1 else "–", cell.shape]
        numbers = [f"{100 * rate:.1f}" for found in by_method.values() for rate in found]
        lines.append(f"| {' | '.join(map(str, first + numbers))} |")
    rows = "\n".join(lines)
    shares = ", ".join(f"{100 * share_errors(seeds):.1f} % at {seeds} seeds" for seeds in SEEDS)
    return f"{INTRODUCTION}\n{rows}\n\nThe interval of a share of 10 % misses it: {shares}.\n"


INTRODUCTION = f"""# How often a comparison is right

{TABLES:,} tables a row, in per cent, with a standard error of {100 * error(0.05):.1f} at 5 or 95 %.
Made by `pytest -m evidence tests/comparison/test_simulation.py`.

One group, or half of them, spreads `sd ratio` times as widely as the others. Scores are normal on the scale
that is tested, log-normal on it (skewness 1.75), or normal with one run in ten collapsed, which is left out.
*raised* is what `ganlab compare` does, *own* is Welch's test alone, *pooled* is `--pooled`.

*means*, *contrasts*: all intervals of a table hold. *best*: that of the group which looks best holds.
*errors*: of groups that are equal some are said to differ. *power*: the first group, which is better by a
factor of 2, is told from the second, at sd 0.17 of logarithms in the groups that spread little.
"""
