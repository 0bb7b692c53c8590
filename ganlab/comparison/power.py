"""How many seeds a difference needs: the power of the tests among groups that spread alike."""

from __future__ import annotations

from bisect import bisect_left
from functools import cache

import numpy as np
from scipy.optimize import brentq  # type: ignore[import-untyped]
from scipy.special import ndtr, stdtrit  # type: ignore[import-untyped]

from ganlab.comparison.significance import (
    CONFIDENCE,
    TESTED,
    VARIANCES,
    Array,
    Moments,
    Spread,
    standard_error,
)

POWER = 0.9
MOST = 100  # seeds that are worth telling
TABLES = 2000  # of drawn variances, over which the power is a mean


def power(effect: float, seeds: int, groups: int, tests: int, spread: Spread = "raised") -> float:
    """The chance that two groups are told apart at the first level of Holm's correction.

    Args:
        effect: Their difference in standard deviations of a run.
        seeds: Of each group.
        tests: How many pairs are tested at once.
    """
    noise = np.sqrt(2 / seeds)
    return float(ndtr((effect - _margins(seeds, groups, tests, spread)) / noise).mean())


@cache
def _margins(seeds: int, groups: int, tests: int, spread: Spread) -> Array:
    """The differences from which on two groups are told apart, for variances as they may turn out."""
    freedom = np.full((TABLES, groups), seeds - 1.0)
    variances = np.random.default_rng(0).chisquare(freedom) / freedom
    drawn = Moments(freedom + 1, freedom * 0, variances, freedom)
    deviation, freedom = standard_error(VARIANCES[spread](drawn), np.array([0]), np.array([1]))
    return deviation * stdtrit(freedom, 1 - (1 - CONFIDENCE) / tests / 2)  # type: ignore[no-any-return]


def seeds_needed(effect: float, groups: int, tests: int, spread: Spread = "raised") -> int | None:
    """The least seeds a group with which a difference is found nine times in ten; None: more than 100."""
    choices = range(TESTED, MOST + 1)
    place = bisect_left(choices, POWER, key=lambda seeds: power(effect, seeds, groups, tests, spread))
    return choices[place] if place < len(choices) else None


def smallest_effect(seeds: int, groups: int, tests: int, spread: Spread = "raised") -> float:
    """The difference, in standard deviations of a run, that so many seeds find nine times in ten."""
    return float(brentq(lambda effect: power(effect, seeds, groups, tests, spread) - POWER, 0, 1e4))
