"""How many seeds a difference needs: the power of Welch's test between two groups that spread alike."""

from __future__ import annotations

from itertools import takewhile

import numpy as np
from scipy.special import nctdtr, roots_jacobi, stdtrit  # type: ignore[import-untyped]

from ganlab.comparison.significance import CONFIDENCE, TESTED

POWER = 0.9
MOST = 100  # seeds that are worth telling
NODES = 40


def power(effect: float, seeds: int, tests: int) -> float:
    """The chance that a difference is found at Holm's first level.

    Exact for equal spreads: of the two variances their sum decides t and their proportion, which is
    independent of it, Welch's degrees of freedom.

    Args:
        effect: The difference in standard deviations of a run.
        seeds: Of each of the two groups.
        tests: Of how many tests at once it is one.
    """
    half = (seeds - 1) / 2  # the proportion of the variances has a beta distribution
    at, weights = roots_jacobi(NODES, half - 1, half - 1)
    freedom = (seeds - 1) / (((1 + at) / 2) ** 2 + ((1 - at) / 2) ** 2)
    critical = stdtrit(freedom, 1 - (1 - CONFIDENCE) / tests / 2)
    found = 1 - nctdtr(2 * (seeds - 1), abs(effect) * np.sqrt(seeds / 2), critical)
    return float(np.nansum(weights * found) / weights.sum())


def seeds_needed(effect: float, tests: int) -> int | None:
    """The least seeds of each group with which a difference is found nine times in ten; None: above 100."""
    too_few = takewhile(lambda seeds: power(effect, seeds, tests) < POWER, range(TESTED, MOST + 1))
    seeds = TESTED + len([*too_few])
    return seeds if seeds <= MOST else None


def smallest_effect(seeds: int, tests: int) -> float:
    """The difference, in standard deviations of a run, that so many seeds find nine times in ten."""
    low, high = 0.0, 1.0
    while power(high, seeds, tests) < POWER:
        low, high = high, 2 * high
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle, seeds, tests) < POWER else (low, middle)
    return high
