"""Intervals: as wide as forecasts of held-out rows were wrong, and covering as often as they say."""

import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedelta.models.learning.conformal import SHARED, Coverage, Intervals, coverage, fit_intervals

Floats = npt.NDArray[np.float64]


def spenders(rows: int, seed: int = 1, buys: float = 0.4) -> tuple[Floats, Floats]:
    """What customers were expected to spend, and spent: most of them nothing."""
    chance = np.random.default_rng(seed)
    expected = chance.lognormal(3, 1, rows)
    return np.where(chance.random(rows) < buys, chance.gamma(2, expected / (2 * buys)), 0.0), expected


def fitted(actual: Floats, expected: Floats, *, widened: bool = False) -> Intervals:
    found = fit_intervals(actual, expected, np.arange(len(actual)) % 3, widened=widened)
    assert found is not None
    return found


def test_the_ends_are_order_statistics_of_outcome_over_expectation():
    expected = np.full(199, 2.0)
    found = fitted(expected * np.arange(1, 200), expected)
    # Ranks (199 + 1) x 0.05 = 10 and (199 + 1) x 0.95 = 190 of the ratios 1 to 199.
    assert (found.low, found.high) == ((10.0,), (190.0,))
    low, high = found.of(np.array([2.0, 50.0]))
    assert (low.tolist(), high.tolist()) == ([20, 500], [380, 9500])


def test_where_most_spend_nothing_the_lower_end_is_0_and_all_misses_are_above():
    ratio = np.append(np.zeros(100), np.arange(1, 100))
    found = fitted(ratio, np.ones(199))
    assert (found.low, found.high) == ((0.0,), (80.0,))  # rank (199 + 1) x 0.9 = 180, less 100 zeros


@pytest.mark.parametrize("buys", [0.4, 1.0])
def test_nine_new_customers_in_ten_are_covered_small_ones_and_large_ones(buys: float):
    found = fitted(*spenders(6000, seed=1, buys=buys))
    actual, expected = spenders(6000, seed=2, buys=buys)
    held = coverage(actual, *found.of(expected), expected)
    assert held.covered == pytest.approx(0.9, abs=0.015)
    assert all(abs(decile.covered - 0.9) < 0.05 for decile in held.deciles)


def test_held_out_rows_promise_what_new_ones_then_show():
    found = fitted(*spenders(6000, seed=3))
    assert found.coverage is not None
    assert found.coverage.rows == 6000
    assert found.coverage.covered == pytest.approx(0.9, abs=0.015)


def test_a_cutoff_unlike_the_others_shows_in_the_coverage_measured():
    actual, expected = spenders(6000)
    season = np.arange(6000) % 2
    found = fit_intervals(np.where(season == 1, 5 * actual, actual), expected, season, widened=False)
    assert found is not None
    assert found.coverage is not None
    assert found.coverage.covered < 0.87


def test_without_rows_later_in_time_intervals_are_wider_and_say_so():
    rows = spenders(3000)
    later, not_later = fitted(*rows), fitted(*rows, widened=True)
    assert np.greater(not_later.high, later.high).all()
    assert "Widened" in not_later.note
    assert "Widened" not in later.note


def test_a_single_group_of_rows_measures_no_coverage():
    found = fit_intervals(*spenders(500), np.zeros(500), widened=False)
    assert found is not None
    assert found.coverage is None
    assert "not measured" in found.note


def test_a_handful_of_rows_makes_no_interval():
    assert fit_intervals(*spenders(99), np.zeros(99), widened=False) is None


def test_coverage_is_counted_by_hand():
    expected = np.array([3.0, 1.0, 2.0, 4.0])
    found = coverage(np.array([5.0, 0.0, 9.0, 4.0]), 0 * expected, 2 * expected, expected)
    assert (found.rows, found.covered, found.covered_above_0) == (4, 0.75, 0.75)
    assert coverage(np.zeros(2), np.zeros(2), np.zeros(2), np.ones(2)).covered_above_0 is None
    assert [decile.covered for decile in found.deciles] == [1, 0, 1, 1]
    assert [decile.expected for decile in found.deciles] == [1, 2, 3, 4]


def test_intervals_come_back_from_json():
    found = fitted(*spenders(500))
    assert Intervals.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert found.coverage is not None
    assert Coverage.from_dict(json.loads(json.dumps(found.coverage.to_dict()))) == found.coverage


@given(st.integers(100, 700), st.integers(0, 9), st.floats(0.01, 1000))
@settings(max_examples=40, derandomize=True)
def test_another_currency_changes_no_interval(rows: int, seed: int, rate: float):
    actual, expected = spenders(rows, seed)
    low, high = fitted(actual, expected).of(expected)
    assert (low <= high).all()
    other = fitted(actual * rate, expected * rate)
    inside = np.isin(expected * rate, other.edges, invert=True)  # on an edge, rounding decides the bin
    for ends, others in zip((low, high), other.of(expected * rate), strict=True):
        assert others[inside] == pytest.approx(ends[inside] * rate, rel=1e-9)


def test_where_hardly_anybody_spends_the_surplus_of_coverage_is_reported_apart():
    actual, expected = spenders(4000)
    quiet = np.arange(4000) % 2 == 0
    found = fitted(np.where(quiet, 0, actual), np.where(quiet, expected / 1e6, expected)).coverage
    assert found is not None
    assert found.covered_above_0 is not None
    assert found.covered == pytest.approx(0.95 - SHARED / 2, abs=0.01)
    assert found.covered_above_0 == pytest.approx(0.9 - SHARED, abs=0.015)


@pytest.mark.parametrize(("left_at", "misses"), [(0, 0.1), (1, 0.1 + SHARED)])
def test_how_many_have_left_is_taken_from_the_newest_cutoff(left_at: int, misses: float):
    actual, expected = spenders(6000)
    cutoff = np.arange(6000) % 2
    left = (cutoff == left_at) & (np.arange(6000) % 10 < 4)  # two in five of those of one cutoff: two bins of ten
    came, predicted = np.where(left, 0, actual), np.where(left, expected / 1e6, expected)
    found = fit_intervals(came, predicted, cutoff, widened=False)
    assert found is not None
    held = coverage(came[~left], *found.of(predicted[~left]), predicted[~left])
    assert held.covered == pytest.approx(1 - misses, abs=0.005)


def test_equal_expectations_share_one_bin():
    actual, _ = spenders(1000)
    found = fitted(actual, np.full(1000, 7.0))
    assert found.edges == ()
    assert np.isfinite(found.high).all()
