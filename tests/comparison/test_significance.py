"""The statistics of `ganlab compare` against SciPy and by hand; test_simulation.py has their errors."""

import math

import numpy as np
import pytest
from scipy import stats

from ganlab.comparison import power
from ganlab.comparison.significance import Spread, holm, infer, share_interval

MISSING = math.nan
# Three yields under each of three fertilisers, easy to compute by hand: means 6, 8, 13; variances 1.
YIELDS = np.array([[5.0, 6, 7], [7, 8, 9], [12, 13, 14]])


def of_spread(*deviations: float, seeds: int = 3) -> np.ndarray:
    """Groups of mean 0 whose standard deviations are these."""
    one = np.linspace(-1, 1, seeds)
    return np.array(deviations)[:, None] * one / one.std(ddof=1)


def test_each_interval_comes_from_its_own_groups_spread_at_a_level_that_holds_for_all() -> None:
    values = np.array([[5.0, 6, 7], [7, 8, 9], [3, 13, 23]])
    result = infer(values, "raw")
    level = 0.95 ** (1 / 3)
    ends = [stats.t.interval(level, 2, row.mean(), stats.sem(row)) for row in values]
    np.testing.assert_allclose(np.transpose([result.low, result.high]), ends)
    np.testing.assert_allclose(result.means, [6, 8, 13])


def test_p_values_by_hand() -> None:
    # Of pairs 0-1, 1-2, 0-2: equal spreads, so that Welch's test has 4 degrees of freedom.
    p = 2 * stats.t.sf(np.array([2, 5, 7]) / math.sqrt(2 / 3), 4)
    matrix = infer(YIELDS, "raw").p
    np.testing.assert_allclose(matrix[0, 1], p[0])
    np.testing.assert_allclose(matrix[1, 2], 2 * p[1])
    np.testing.assert_allclose(matrix[0, 2], 3 * p[2])
    np.testing.assert_allclose(matrix, matrix.T)
    assert np.isnan(np.diag(matrix)).all()


@pytest.mark.parametrize("counts", [(3, 3), (3, 5), (4, 3)])
@pytest.mark.parametrize("pooled", [False, True])
def test_two_groups_are_scipys_test_and_its_interval(counts: tuple[int, int], pooled: bool) -> None:
    chance = np.random.default_rng(1)
    values = np.full((2, max(counts)), MISSING)
    for row, count in zip(values, counts, strict=True):
        row[:count] = chance.normal(10, 2, count)
    first, second = (row[np.isfinite(row)] for row in values)
    result = infer(values, "raw", "pooled" if pooled else "raised")
    expected = stats.ttest_ind(first, second, equal_var=pooled)
    np.testing.assert_allclose(result.p[0, 1], expected.pvalue)
    contrast = result.contrasts[0, 1], result.contrasts_low[0, 1], result.contrasts_high[0, 1]
    np.testing.assert_allclose(contrast, (first.mean() - second.mean(), *expected.confidence_interval(0.95)))


def test_contrasts_hold_at_once_and_read_from_both_sides() -> None:
    result = infer(YIELDS, "raw")
    margin = stats.t.ppf((1 + 0.95 ** (1 / 3)) / 2, 4) * math.sqrt(2 / 3)
    np.testing.assert_allclose(result.contrasts_low[2, 0], 7 - margin)
    np.testing.assert_allclose(result.contrasts_low, -result.contrasts_high.T)
    ratios = infer(np.exp(YIELDS), "log")
    np.testing.assert_allclose(ratios.contrasts_low, np.exp(result.contrasts_low))
    np.testing.assert_allclose(ratios.contrasts[2, 0], math.exp(7))


def test_a_declared_comparison_is_one_of_fewer() -> None:
    values = np.array([[5.0, 6, 7], [7, 8, 9], [12, 13, 14], [11, 13, 15]])
    result = infer(values, "raw", "own", against=0)
    p = [stats.ttest_ind(values[0], row, equal_var=False).pvalue for row in values[1:]]
    np.testing.assert_allclose(result.p[0, 1:], holm(np.array(p)))
    assert np.isnan(result.p[1:, 1:]).all()
    assert np.isnan(result.contrasts[1:, 1:]).all()
    assert (result.p[0, 1:] < infer(values, "raw", "own").p[0, 1:]).all()


def test_one_wide_group_leaves_the_others_intervals_as_they_are() -> None:
    values = of_spread(1, 1, 1, 9, seeds=5)
    even = infer(of_spread(1, 1, 1, 1, seeds=5), "raw")
    np.testing.assert_allclose(infer(values, "raw").high[:3], even.high[:3])
    assert (infer(values, "raw", "pooled").high[:3] > 1.5 * even.high[:3]).all()


def test_of_four_groups_a_spread_below_their_median_is_raised_towards_it() -> None:
    result = infer(of_spread(0.1, 1, 1, 4), "raw")
    quantile = 0.95**0.25 / 2 + 0.5
    raised = math.sqrt((2 * 1 + 2 * 0.01) / 4)
    expected = np.array([stats.t.ppf(quantile, 4) * raised, *stats.t.ppf(quantile, 2) * np.array([1, 1, 4])])
    np.testing.assert_allclose(result.high, expected / math.sqrt(3))
    for few in (of_spread(0.1, 1, 4), of_spread(0.1, 1, 1, 4, seeds=2)):
        np.testing.assert_allclose(infer(few, "raw").high, infer(few, "raw", "own").high)


def test_one_group_is_scipys_interval() -> None:
    values = np.array([3.0, 4.5, 4.0, 3.2])
    result = infer(values[None], "raw")
    expected = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    np.testing.assert_allclose([result.low[0], result.high[0]], expected)
    assert result.p.shape == (1, 1)


def test_on_logarithms_the_mean_is_geometric_and_the_interval_multiplies() -> None:
    result = infer(np.exp(YIELDS), "log")
    raw = infer(YIELDS, "raw")
    for name in ("means", "low", "high"):
        np.testing.assert_allclose(getattr(result, name), np.exp(getattr(raw, name)))
    np.testing.assert_allclose(result.p, raw.p)


def test_a_seed_that_is_missing_is_none() -> None:
    values = np.array([[5.0, 6, 7, MISSING], [7, MISSING, 9, 8]])
    without_gaps = infer(np.array([[5.0, 6, 7], [7, 8, 9]]), "raw")
    for actual, expected in zip(infer(values, "raw"), without_gaps, strict=True):
        np.testing.assert_allclose(actual, expected)


def test_one_seed_has_neither_interval_nor_test_and_two_have_no_test() -> None:
    values = np.array([[5.0, 6, 7], [20, MISSING, MISSING], [MISSING] * 3, [8, 9, MISSING]])
    result = infer(values, "raw")
    assert np.isnan(result.p).all()
    assert np.isnan(result.contrasts_low[1:3]).all()
    assert math.isnan(result.low[1])
    assert math.isnan(result.means[2])
    two = stats.ttest_ind([5, 6, 7], [8, 9], equal_var=False)
    np.testing.assert_allclose(result.contrasts_low[0, 3], two.confidence_interval(0.95).low)
    pooled = infer(values, "raw", "pooled")
    assert pooled.p[0, 3] == pytest.approx(stats.ttest_ind([5, 6, 7], [8, 9]).pvalue)
    assert np.isnan(pooled.p[:, 1]).all()


@pytest.mark.parametrize(
    "values", [[[5.0], [9.0]], [[8.0, 8, 8], [7, 7, 7]], [[0.1 + 0.2, 0.3], [0.4, 0.4]], [[1e308, -1e308]]]
)
def test_without_a_spread_nothing_is_significant(values: list[list[float]]) -> None:
    result = infer(np.array(values), "raw")
    assert np.isnan(result.p).all()
    assert not np.isfinite(result.low).any()


@pytest.mark.parametrize(("count", "total"), [(0, 3), (1, 5), (2, 4), (7, 7)])
def test_an_interval_of_a_share_is_scipys(count: int, total: int) -> None:
    expected = stats.binomtest(count, total).proportion_ci(method="exact")
    np.testing.assert_allclose(share_interval(count, total), (expected.low, expected.high), atol=1e-12)


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        # Holm's own example: 4, 3, 2 and 1 times p.
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.02, MISSING, 0.03], [0.04, MISSING, 0.04]),
        ([], []),
    ],
)
def test_holm(p: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(holm(np.array(p)), expected)


# How many seeds

PLANS = [(2, 3, 3.0, "raised"), (4, 5, 3.5, "raised"), (8, 3, 5.0, "raised"), (4, 3, 3.0, "pooled")]


@pytest.mark.parametrize(("groups", "seeds", "effect", "spread"), PLANS)
def test_the_power_that_is_told_is_that_of_the_tests(
    groups: int, seeds: int, effect: float, spread: Spread
) -> None:
    tests = math.comb(groups, 2)
    scores = np.random.default_rng(3).normal(0, 1, (10_000, groups, seeds))
    scores[:, 0] += effect
    # At Holm's first level; the others' results may lower it.
    result = infer(scores, "raw", spread)
    found = (np.nanmin(result.p[:, 0], -1) <= 0.05).mean() if groups == 2 else None
    told = power.power(effect, seeds, groups, tests, spread)
    at_least = (result.p[:, 0, 1] <= 0.05).mean()
    assert told - 0.02 < at_least < told + 0.09
    assert found is None or found == pytest.approx(told, abs=0.02)


def test_the_seeds_that_are_needed_have_the_power_and_one_less_has_not() -> None:
    seeds = power.seeds_needed(2.0, 4, 6)
    assert seeds
    assert power.power(2.0, seeds, 4, 6) >= power.POWER > power.power(2.0, seeds - 1, 4, 6)
    assert power.seeds_needed(0.01, 4, 6) is None
    assert power.power(power.smallest_effect(5, 4, 6), 5, 4, 6) == pytest.approx(power.POWER)
