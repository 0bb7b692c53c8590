"""The statistics of `ganlab compare` against SciPy, a textbook example and simulations with known truth."""

import math

import numpy as np
import pytest
from scipy import stats

from ganlab.comparison.significance import holm, infer

MISSING = math.nan
# Three yields under each of three fertilisers, easy to compute by hand: means 6, 8, 13; pooled variance 1.
YIELDS = np.array([[5.0, 6, 7], [7, 8, 9], [12, 13, 14]])


def test_intervals_come_from_the_spread_of_all_groups() -> None:
    result = infer(YIELDS, "raw")
    # 2.4469 is the 97.5 % point of Student's t with 6 degrees of freedom.
    half = 2.446911851 / math.sqrt(3)
    np.testing.assert_allclose(result.means, [6, 8, 13])
    np.testing.assert_allclose(result.low, np.array([6, 8, 13]) - half)
    np.testing.assert_allclose(result.high, np.array([6, 8, 13]) + half)


def test_p_values_by_hand() -> None:
    p = 2 * stats.t.sf(np.array([2, 5, 7]) / math.sqrt(2 / 3), 6)  # pairs 0-1, 1-2, 0-2
    matrix = infer(YIELDS, "raw").p
    np.testing.assert_allclose(matrix[0, 1], p[0])
    np.testing.assert_allclose(matrix[1, 2], 2 * p[1])
    np.testing.assert_allclose(matrix[0, 2], 3 * p[2])
    np.testing.assert_allclose(matrix, matrix.T)
    assert np.isnan(np.diag(matrix)).all()


@pytest.mark.parametrize("counts", [(3, 3), (2, 5), (4, 3)])
def test_two_groups_are_scipys_test(counts: tuple[int, int]) -> None:
    chance = np.random.default_rng(1)
    values = np.full((2, max(counts)), MISSING)
    for row, count in zip(values, counts, strict=True):
        row[:count] = chance.normal(10, 2, count)
    first, second = (row[np.isfinite(row)] for row in values)
    result = infer(values, "raw")
    np.testing.assert_allclose(result.p[0, 1], stats.ttest_ind(first, second).pvalue)
    np.testing.assert_allclose(result.welch[0, 1], stats.ttest_ind(first, second, equal_var=False).pvalue)


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


def test_one_seed_has_no_interval_but_is_tested_by_the_others_spread() -> None:
    result = infer(np.array([[5.0, 6, 7], [20, MISSING, MISSING], [MISSING] * 3]), "raw")
    assert math.isnan(result.low[1])
    assert result.p[0, 1] == pytest.approx(2 * stats.t.sf(14 / math.sqrt(4 / 3), 2))
    assert math.isnan(result.welch[0, 1])
    assert math.isnan(result.means[2])
    assert np.isnan(result.p[2]).all()


@pytest.mark.parametrize(
    "values", [[[5.0], [9.0]], [[8.0, 8, 8], [7, 7, 7]], [[0.1 + 0.2, 0.3], [0.4, 0.4]], [[1e308, -1e308]]]
)
def test_without_a_spread_nothing_is_significant(values: list[list[float]]) -> None:
    result = infer(np.array(values), "raw")
    assert np.isnan(result.p).all()
    assert not np.isfinite(result.low).any()


@pytest.mark.parametrize(("wide", "uneven"), [(3.9, False), (4.1, True)])
def test_spreads_are_uneven_from_fourfold_on(wide: float, uneven: bool) -> None:
    assert infer(np.array([[-1.0, 0, 1], [-wide, 0, wide], [5, MISSING, MISSING]]), "raw").uneven == uneven


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


# Simulations whose truth is known

TABLES, GROUPS, SEEDS = 20_000, 4, 3
SPREAD = 0.2


def simulated_scores(shift: float = 0.0) -> np.ndarray:
    """Log-normal scores; those of the first group lie `shift` standard deviations lower."""
    scores = np.random.default_rng(2).normal(3.0, SPREAD, (TABLES, GROUPS, SEEDS))
    scores[:, 0] -= shift * SPREAD
    return np.exp(scores)


def test_intervals_contain_the_true_mean_as_often_as_claimed() -> None:
    result = infer(simulated_scores(), "log")
    inside = (result.low < math.exp(3.0)) & (math.exp(3.0) < result.high)
    assert 0.945 < inside.mean() < 0.955


def test_of_equal_groups_few_tables_find_a_difference() -> None:
    claims = (infer(simulated_scores(), "log").p <= 0.05).any((1, 2)).mean()
    # The lower bound fails a test that never claims anything.
    assert 0.02 < claims <= 0.05


def test_where_one_group_is_better_equal_others_differ_no_more_often() -> None:
    among_equals = (infer(simulated_scores(5), "log").p[:, 1:, 1:] <= 0.05).any((1, 2)).mean()
    assert among_equals <= 0.05


def test_groups_five_standard_deviations_apart_are_told_apart() -> None:
    claims = infer(simulated_scores(5), "log").p[:, 0, 1:] <= 0.05
    assert (claims.mean(0) >= 0.9).all()
    assert claims.all(1).mean() >= 0.9
