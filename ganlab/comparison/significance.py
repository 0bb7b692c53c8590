"""How sure it is that one group of runs is better than another: t-tests over training seeds.

Tables are arrays (..., groups, seeds), with nan where a group has fewer seeds; any number of tables at once.
Nothing is tested by another group's spread, unless the user says that all spread alike: then one variance is
pooled. At few seeds a spread is easily far too small by chance: it is raised towards the groups' median.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.special import betaincinv, stdtr, stdtrit  # type: ignore[import-untyped]

from ganlab.metrics.score import Scale

Array = np.ndarray[Any, np.dtype[np.float64]]
Spread = Literal["raised", "own", "pooled"]

CONFIDENCE = 0.95
TESTED = 3  # seeds from which a group's own spread is known well enough for a test
MANY = 4  # groups from which their median spread says something about each
EQUAL = 1e-9  # relative to the values: seeds that differ by less have no spread to test with


class Inferred(NamedTuple):
    """Statistics of groups of seeds, in the units of the values; nan where there are too few seeds.

    Attributes:
        means: Of each group; geometric means on the log scale.
        low: The lower ends of the means' intervals, all of which hold at once with 95 %: so does the best's.
        high: The upper ends.
        contrasts: Of each pair of groups (..., groups, groups) the first's mean over the second's on the log
            scale, else their difference.
        contrasts_low: The lower ends of the contrasts' intervals, all of which hold at once with 95 %.
        contrasts_high: The upper ends.
        p: P-values of each pair after Holm's correction over all pairs that are tested.
    """

    means: Array
    low: Array
    high: Array
    contrasts: Array
    contrasts_low: Array
    contrasts_high: Array
    p: Array


class Moments(NamedTuple):
    """Of each group of a table; `freedom` has the degrees of freedom of its variance, which may be pooled."""

    counts: Array
    means: Array
    variances: Array
    freedom: Array
    pooled: bool = False


def infer(values: Array, scale: Scale, spread: Spread = "raised", against: int | None = None) -> Inferred:
    """Means, intervals and tests; with scale "log" of the logarithms, so that all values must be positive.

    Args:
        spread: Which variance a group is tested by: its own, raised where it is small, or one for all.
        against: Compare each group with this one alone, by its index; none: all pairs.
    """
    with np.errstate(all="ignore"):
        moments = VARIANCES[spread](_moments(np.log(values) if scale == "log" else values, scale))
        known = np.where(moments.variances > 0, moments.variances, np.nan)
        half = _quantile(moments.freedom, np.isfinite(known)) * np.sqrt(known / moments.counts)
        one, other = _pairs(values.shape[-2], against)
        difference, margin, p = _compare(moments, one, other)
        inverse: Any = np.exp if scale == "log" else np.asarray
        means = [inverse(moments.means + each) for each in (0, -half, half)]
        contrasts = [inverse(_matrix(difference, each, one, other, values)) for each in (0, -margin, margin)]
    return Inferred(*means, *contrasts, p=_matrix(0, p, one, other, values))  # type: ignore[misc]


def deviations(values: Array, scale: Scale) -> Array:
    """The standard deviation of a run in each group, on the scale that is tested."""
    with np.errstate(all="ignore"):
        return np.sqrt(_moments(np.log(values) if scale == "log" else values, scale).variances)


def share_interval(count: int, total: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval of a share of which `count` of `total` were seen."""
    tail = (1 - CONFIDENCE) / 2
    low = betaincinv(count, total - count + 1, tail) if count else 0.0
    high = betaincinv(count + 1, total - count, 1 - tail) if count < total else 1.0
    return float(low), float(high)


def _moments(values: Array, scale: Scale) -> Moments:
    counts = np.isfinite(values).sum(-1).astype(float)
    means = np.nansum(values, -1) / np.where(counts > 0, counts, np.nan)
    freedom = np.where(counts > 1, counts - 1, np.nan)
    variances = np.nansum((values - means[..., None]) ** 2, -1) / freedom
    size = np.fmax.reduce(np.abs(means), -1)[..., None] if scale == "raw" else 1.0
    variances = np.where(variances > (EQUAL * size) ** 2, variances, variances * 0)
    return Moments(counts, means, variances, freedom)


def _raised(moments: Moments) -> Moments:
    """A variance below the median counts as if two more degrees of freedom had shown the median."""
    counts, variances, freedom = moments.counts, moments.variances, moments.freedom
    usable = (counts >= TESTED) & ((counts >= TESTED).sum(-1) >= MANY)[..., None]
    median = np.nanmedian(np.where(usable.any(-1)[..., None], np.where(usable, variances, np.nan), 0), -1)
    raised = (2 * median[..., None] + freedom * variances) / (freedom + 2)
    higher = usable & (raised > variances)
    return moments._replace(variances=np.where(higher, raised, variances), freedom=freedom + 2 * higher)


def _pooled(moments: Moments) -> Moments:
    freedom = np.nansum(moments.freedom, -1, keepdims=True)
    variance = np.nansum(moments.freedom * moments.variances, -1, keepdims=True) / freedom
    alike = moments.freedom * 0  # nan for a single seed, of which nothing is said
    return moments._replace(variances=variance + alike, freedom=freedom + alike, pooled=True)


VARIANCES = {"own": lambda moments: moments, "raised": _raised, "pooled": _pooled}


def _pairs(groups: int, against: int | None) -> tuple[Any, Any]:
    one, other = np.triu_indices(groups, 1)
    chosen = np.full(len(one), fill_value=True) if against is None else (one == against) | (other == against)
    return one[chosen], other[chosen]


def _compare(moments: Moments, one: Any, other: Any) -> tuple[Array, Array, Array]:
    """Of each pair the difference, its margin at Sidak's level, and the p-value after Holm's correction."""
    deviation, freedom = standard_error(moments, one, other)
    difference = moments.means[..., one] - moments.means[..., other]
    least = np.minimum(moments.counts[..., one], moments.counts[..., other])
    p = 2 * stdtr(freedom, -np.abs(difference) / deviation)
    p = np.where(least >= (2 if moments.pooled else TESTED), p, np.nan)
    return difference, _quantile(freedom, np.isfinite(deviation)) * deviation, holm(p)


def standard_error(moments: Moments, one: Any, other: Any) -> tuple[Array, Array]:
    """Of the difference of each pair of groups, by their indices, and its degrees of freedom (Welch 1947)."""
    shares = moments.variances / moments.counts
    error = shares[..., one] + shares[..., other]
    error = np.where(error > 0, error, np.nan)
    parts = shares**2 / moments.freedom
    freedom = error**2 / (parts[..., one] + parts[..., other])
    return np.sqrt(error), moments.freedom[..., one] if moments.pooled else freedom


def _quantile(freedom: Array, counted: Any) -> Array:
    """Of Student's t at the level at which all intervals that are counted hold at once (Sidak 1967)."""
    family = np.maximum(counted.sum(-1, keepdims=True), 1)
    return stdtrit(freedom, (1 + CONFIDENCE ** (1 / family)) / 2)  # type: ignore[no-any-return]


def _matrix(odd: Any, even: Any, one: Any, other: Any, values: Array) -> Array:
    """The sums of what changes its sign with the order of a pair and what does not, by both orders."""
    matrix = np.full((*values.shape[:-1], values.shape[-2]), np.nan)
    matrix[..., one, other], matrix[..., other, one] = odd + even, even - odd
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
