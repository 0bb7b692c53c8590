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
UNEVEN = 4.0  # times the smallest spread, from which on one spread for all groups is in doubt
EQUAL = 1e-9  # of the values: seeds that differ by less have no spread to test with


class Inferred(NamedTuple):
    """What the seeds say, on the values' own scale; nan where they cannot say it.

    Attributes:
        means: Geometric ones on the log scale.
        p: Of each pair of groups (..., groups, groups), after Holm's correction over all pairs.
        welch: The same without one spread for all groups.
        uneven: The groups' spreads differ more than fourfold.
    """

    means: Array
    low: Array
    high: Array
    p: Array
    welch: Array
    uneven: np.ndarray[Any, np.dtype[np.bool_]]


class _Moments(NamedTuple):
    """Of each group; `freedom` and `spread` are those of all together."""

    counts: Array
    means: Array
    variances: Array
    freedom: Array
    spread: Array


def infer(values: Array, scale: Scale) -> Inferred:
    """All values are positive on the log scale."""
    with np.errstate(all="ignore"):
        found = _moments(np.log(values) if scale == "log" else values, scale)
        reach = stdtrit(found.freedom, (1 + CONFIDENCE) / 2) * found.spread
        half = np.where(found.counts > 1, reach[..., None] / np.sqrt(found.counts), np.nan)
        spreads = np.where(found.counts > 1, np.sqrt(found.variances), np.nan)
        least, most = np.fmin.reduce(spreads, -1), np.fmax.reduce(spreads, -1)
    back = np.exp if scale == "log" else np.asarray
    return Inferred(
        back(found.means),
        back(found.means - half),
        back(found.means + half),
        _over_pairs(_pooled, found),
        _over_pairs(_welch, found),
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


def _pooled(found: _Moments, one: Array, other: Array) -> Array:
    counts, means = found.counts, found.means
    error = found.spread[..., None] * np.sqrt(1 / counts[..., one] + 1 / counts[..., other])
    t = (means[..., one] - means[..., other]) / error
    return 2 * stdtr(found.freedom[..., None], -np.abs(t))


def _welch(found: _Moments, one: Array, other: Array) -> Array:
    counts, means = found.counts, found.means
    shares = found.variances / counts
    error = shares[..., one] + shares[..., other]
    error = np.where(error > 0, error, np.nan)
    parts = shares**2 / (counts - 1)
    freedom = error**2 / (parts[..., one] + parts[..., other])
    return 2 * stdtr(freedom, -np.abs(means[..., one] - means[..., other]) / np.sqrt(error))


def _over_pairs(test: Any, found: _Moments) -> Array:
    groups = found.means.shape[-1]
    one, other = np.triu_indices(groups, 1)
    matrix = np.full((*found.means.shape, groups), np.nan)
    with np.errstate(all="ignore"):
        matrix[..., one, other] = matrix[..., other, one] = holm(test(found, one, other))
    return matrix


def holm(p: Array) -> Array:
    """Holm 1979: the smallest of m times m, the next times m - 1, none below the one before."""
    order = np.argsort(p, -1)  # nan, which is no test, comes last
    ordered = np.take_along_axis(p, order, -1)
    valid = np.isfinite(p).sum(-1)[..., None]
    factors = np.maximum(valid - np.arange(p.shape[-1]), 1)
    stepped = np.minimum(np.maximum.accumulate(factors * ordered, -1), 1)
    corrected = np.empty_like(stepped)
    np.put_along_axis(corrected, order, stepped, -1)
    return corrected
