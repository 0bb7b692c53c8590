"""How sure it is that one group of runs is better than another: t-tests over training seeds.

Tables are arrays (..., groups, seeds), with nan where a group has fewer seeds; any number of tables at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit  # type: ignore[import-untyped]

from ganlab.metrics.registry import Scale

Array = np.ndarray[Any, np.dtype[np.float64]]

CONFIDENCE = 0.95
UNEVEN = 4.0  # ratio of the largest to the smallest spread beyond which one spread for all groups is doubtful
EQUAL = 1e-9  # relative to the values: seeds that differ by less have no spread to test with


class Inferred(NamedTuple):
    """Statistics of groups of seeds, in the units of the values; nan where there are too few seeds.

    Attributes:
        means: Of each group; geometric means on the log scale.
        low: The lower end of the mean's 95 % interval.
        high: The upper end.
        p: P-values of each pair of groups (..., groups, groups), after Holm's correction over all pairs.
        welch: The same by Welch's test, which does not pool the groups' spreads.
        uneven: The groups' spreads differ more than fourfold.
    """

    means: Array
    low: Array
    high: Array
    p: Array
    welch: Array
    uneven: np.ndarray[Any, np.dtype[np.bool_]]


class _Moments(NamedTuple):
    """Of each group; `freedom` (degrees of freedom) and `spread` are pooled over all groups."""

    counts: Array
    means: Array
    variances: Array
    freedom: Array
    spread: Array


def infer(values: Array, scale: Scale) -> Inferred:
    """Means, intervals and tests; with scale "log" of the logarithms, so that all values must be positive."""
    with np.errstate(all="ignore"):
        moments = _moments(np.log(values) if scale == "log" else values, scale)
        margin = stdtrit(moments.freedom, (1 + CONFIDENCE) / 2) * moments.spread
        half = np.where(moments.counts > 1, margin[..., None] / np.sqrt(moments.counts), np.nan)
        spreads = np.where(moments.counts > 1, np.sqrt(moments.variances), np.nan)
        least, most = np.fmin.reduce(spreads, -1), np.fmax.reduce(spreads, -1)
    inverse = np.exp if scale == "log" else np.asarray
    return Inferred(
        inverse(moments.means),
        inverse(moments.means - half),
        inverse(moments.means + half),
        _test_all_pairs(_pooled, moments),
        _test_all_pairs(_welch, moments),
        most > UNEVEN * least,
    )


def _moments(values: Array, scale: Scale) -> _Moments:
    counts = np.isfinite(values).sum(-1).astype(float)
    means = np.nansum(values, -1) / np.where(counts > 0, counts, np.nan)
    squares = np.nansum((values - means[..., None]) ** 2, -1)
    freedom = np.maximum(counts - 1, 0).sum(-1)
    freedom = np.where(freedom > 0, freedom, np.nan)
    spread = np.sqrt(squares.sum(-1) / freedom)
    size = np.fmax.reduce(np.abs(means), -1) if scale == "raw" else np.ones_like(spread)
    spread = np.where(spread > EQUAL * size, spread, np.nan)
    return _Moments(counts, means, squares / np.where(counts > 1, counts - 1, np.nan), freedom, spread)


def _pooled(moments: _Moments, one: Array, other: Array) -> Array:
    counts, means = moments.counts, moments.means
    error = moments.spread[..., None] * np.sqrt(1 / counts[..., one] + 1 / counts[..., other])
    t = (means[..., one] - means[..., other]) / error
    return 2 * stdtr(moments.freedom[..., None], -np.abs(t))


def _welch(moments: _Moments, one: Array, other: Array) -> Array:
    counts, means = moments.counts, moments.means
    shares = moments.variances / counts
    error = shares[..., one] + shares[..., other]
    error = np.where(error > 0, error, np.nan)
    parts = shares**2 / (counts - 1)
    freedom = error**2 / (parts[..., one] + parts[..., other])
    return 2 * stdtr(freedom, -np.abs(means[..., one] - means[..., other]) / np.sqrt(error))


def _test_all_pairs(test: Any, moments: _Moments) -> Array:
    groups = moments.means.shape[-1]
    one, other = np.triu_indices(groups, 1)
    matrix = np.full((*moments.means.shape, groups), np.nan)
    with np.errstate(all="ignore"):
        matrix[..., one, other] = matrix[..., other, one] = holm(test(moments, one, other))
    return matrix


def holm(p: Array) -> Array:
    """Holm 1979: the smallest of m p-values times m, the next times m - 1, none below the one before."""
    order = np.argsort(p, -1)  # nan, which is no test, comes last
    ordered = np.take_along_axis(p, order, -1)
    valid = np.isfinite(p).sum(-1)[..., None]
    factors = np.maximum(valid - np.arange(p.shape[-1]), 1)
    stepped = np.minimum(np.maximum.accumulate(factors * ordered, -1), 1)
    corrected = np.empty_like(stepped)
    np.put_along_axis(corrected, order, stepped, -1)
    return corrected
