"""The statistics of `ganlab compare` against scipy's, a textbook's, and worlds whose truth is known."""

import math

import numpy as np
import pytest
from scipy import stats

from ganlab.comparison.significance import holm, infer

MISSING = math.nan
# Fertiliser on yields, three of each: every number can be had by hand. Means 6, 8, 13; pooled variance 1.
YIELDS = np.array([[5.0, 6, 7], [7, 8, 9], [12, 13, 14]])


def test_intervals_come_from_the_spread_of_all_groups() -> None:
    found = infer(YIELDS, "raw")
    # t(6) has its 97.5 % point at 2.4469.
    half = 2.446911851 / math.sqrt(3)
    np.testing.assert_allclose(found.means, [6, 8, 13])
    np.testing.assert_allclose(found.low, np.array([6, 8, 13]) - half)
    np.testing.assert_allclose(found.high, np.array([6, 8, 13]) + half)


def test_p_values_by_hand() -> None:
    one = 2 * stats.t.sf(np.array([2, 5, 7]) / math.sqrt(2 / 3), 6)  # pairs 0-1, 1-2, 0-2
    found = infer(YIELDS, "raw").p
    np.testing.assert_allclose(found[0, 1], one[0])
    np.testing.assert_allclose(found[1, 2], 2 * one[1])
    np.testing.assert_allclose(found[0, 2], 3 * one[2])
    np.testing.assert_allclose(found, found.T)
    assert np.isnan(np.diag(found)).all()


@pytest.mark.parametrize("counts", [(3, 3), (2, 5), (4, 3)])
def test_two_groups_are_scipys_test(counts: tuple[int, int]) -> None:
    chance = np.random.default_rng(1)
    values = np.full((2, max(counts)), MISSING)
    for row, count in zip(values, counts, strict=True):
        row[:count] = chance.normal(10, 2, count)
    one, other = (row[np.isfinite(row)] for row in values)
    found = infer(values, "raw")
    np.testing.assert_allclose(found.p[0, 1], stats.ttest_ind(one, other).pvalue)
    np.testing.assert_allclose(found.welch[0, 1], stats.ttest_ind(one, other, equal_var=False).pvalue)


def test_one_group_is_scipys_interval() -> None:
    values = np.array([3.0, 4.5, 4.0, 3.2])
    found = infer(values[None], "raw")
    wanted = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    np.testing.assert_allclose([found.low[0], found.high[0]], wanted)
    assert found.p.shape == (1, 1)


def test_on_logarithms_the_mean_is_geometric_and_the_interval_multiplies() -> None:
    found = infer(np.exp(YIELDS), "log")
    plain = infer(YIELDS, "raw")
    for name in ("means", "low", "high"):
        np.testing.assert_allclose(getattr(found, name), np.exp(getattr(plain, name)))
    np.testing.assert_allclose(found.p, plain.p)


def test_a_seed_that_is_missing_is_none() -> None:
    values = np.array([[5.0, 6, 7, MISSING], [7, MISSING, 9, 8]])
    whole = infer(np.array([[5.0, 6, 7], [7, 8, 9]]), "raw")
    for found, wanted in zip(infer(values, "raw"), whole, strict=True):
        np.testing.assert_allclose(found, wanted)


def test_one_seed_has_no_interval_but_can_be_held_against_others_spread() -> None:
    found = infer(np.array([[5.0, 6, 7], [20, MISSING, MISSING], [MISSING] * 3]), "raw")
    assert math.isnan(found.low[1])
    assert found.p[0, 1] == pytest.approx(2 * stats.t.sf(14 / math.sqrt(4 / 3), 2))
    assert math.isnan(found.welch[0, 1])
    assert math.isnan(found.means[2])
    assert np.isnan(found.p[2]).all()


@pytest.mark.parametrize(
    "values", [[[5.0], [9.0]], [[8.0, 8, 8], [7, 7, 7]], [[0.1 + 0.2, 0.3], [0.4, 0.4]], [[1e308, -1e308]]]
)
def test_without_a_spread_nothing_is_claimed(values: list[list[float]]) -> None:
    found = infer(np.array(values), "raw")
    assert np.isnan(found.p).all()
    assert not np.isfinite(found.low).any()


@pytest.mark.parametrize(("wide", "uneven"), [(3.9, False), (4.1, True)])
def test_spreads_are_uneven_from_fourfold_on(wide: float, uneven: bool) -> None:
    assert infer(np.array([[-1.0, 0, 1], [-wide, 0, wide], [5, MISSING, MISSING]]), "raw").uneven == uneven


@pytest.mark.parametrize(
    ("p", "wanted"),
    [
        # Holm's own example has its steps at 4, 3, 2 and 1 times p.
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.02, MISSING, 0.03], [0.04, MISSING, 0.04]),
        ([], []),
    ],
)
def test_holm(p: list[float], wanted: list[float]) -> None:
    np.testing.assert_allclose(holm(np.array(p)), wanted)


# Worlds whose truth is known

TABLES, GROUPS, SEEDS = 20_000, 4, 3
SPREAD = 0.2


def world(shift: float = 0.0) -> np.ndarray:
    """Log-normal scores; the first group's lie so many spreads below the others'."""
    scores = np.random.default_rng(2).normal(3.0, SPREAD, (TABLES, GROUPS, SEEDS))
    scores[:, 0] -= shift * SPREAD
    return np.exp(scores)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    found = infer(world(), "log")
    inside = (found.low < math.exp(3.0)) & (math.exp(3.0) < found.high)
    assert 0.945 < inside.mean() < 0.955


def test_where_all_are_equal_few_tables_claim_anything() -> None:
    claims = (infer(world(), "log").p <= 0.05).any((1, 2)).mean()
    # Not none either: a test that never claims would pass.
    assert 0.02 < claims <= 0.05


def test_where_one_is_better_the_others_are_not_told_apart_oftener() -> None:
    among_equals = (infer(world(5), "log").p[:, 1:, 1:] <= 0.05).any((1, 2)).mean()
    assert among_equals <= 0.05


def test_what_is_five_spreads_apart_is_found() -> None:
    found = infer(world(5), "log").p[:, 0, 1:] <= 0.05
    assert (found.mean(0) >= 0.9).all()
    assert found.all(1).mean() >= 0.9
