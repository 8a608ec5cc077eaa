"""The level of a forecast: totals scaled as cutoffs held out ask for, only where that proved right and is sure."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedelta.models.learning.bias_correction import FEWEST_SPENDERS, BiasCorrection, balanced, fit_bias_correction

EACH = 500  # customers at a cutoff


def level(ratios: list[float], *, luck: float = 0.1) -> BiasCorrection:
    """Of totals that were so many times what was expected, cutoff by cutoff; customers lie `luck` off."""
    lucky = np.tile(np.repeat([1 - luck, 1 + luck], EACH // 2), len(ratios))
    return fit_bias_correction(np.repeat(ratios, EACH) * lucky, np.ones(len(lucky)), cutoffs(len(ratios)))


def cutoffs(number: int) -> pd.Series:
    return pd.Series(np.repeat(pd.date_range("2025-01-01", periods=number), EACH))


def test_totals_that_always_came_out_a_fifth_higher_are_raised_by_a_fifth():
    assert level([1.2, 1.21, 1.19]).scale == pytest.approx(1.2, abs=0.01)


def test_totals_right_on_average_stay_as_they_are():
    found = level([1.2, 1 / 1.2, 1.2, 1 / 1.2])
    assert found.scale == 1
    assert "Not scaled" in found.note


def test_what_one_cutoff_says_cannot_be_tested():
    assert level([1.5]).scale == 1


def test_a_correction_is_smaller_the_more_the_cutoffs_differ():
    sure, doubtful = level([1.3, 1.3, 1.3]), level([1.1, 1.3, 1.54])
    assert 1 < doubtful.scale < sure.scale


def test_a_correction_that_a_few_lucky_customers_ask_for_is_none():
    assert level([1.05, 1.05, 1.05], luck=0.0).scale == pytest.approx(1.05)
    one_of_500 = np.where(np.arange(3 * EACH) % EACH == 0, 0.05 * EACH + 1, 1.0)
    assert fit_bias_correction(one_of_500, np.ones(3 * EACH), cutoffs(3)).scale == pytest.approx(1, abs=0.005)


@given(st.lists(st.floats(0.2, 5), min_size=2, max_size=6))
@settings(max_examples=60, derandomize=True)
def test_a_factor_lies_between_1_and_what_the_totals_ask_for(ratios: list[float]):
    asked = float(np.log(ratios).mean())
    kept = np.log(level(ratios).scale)
    assert min(0, asked) - 1e-9 <= kept <= max(0, asked) + 1e-9


def test_totals_of_the_training_rows_are_kept_with_equal_weight_for_every_cutoff():
    actual, at = np.repeat([2.0, 900.0], FEWEST_SPENDERS), cutoffs(2)[:: EACH // FEWEST_SPENDERS]
    # Twice what was fitted came at one cutoff and half of it at the other.
    assert balanced(actual, actual * np.repeat([0.5, 2.0], FEWEST_SPENDERS), at).scale == pytest.approx(1)
    assert balanced(actual, actual / 1.2, at).scale == pytest.approx(1.2)


def test_a_cutoff_at_which_hardly_anybody_spent_sets_no_level():
    few = np.append(np.zeros(EACH - 1), 1e6)  # one customer of an opening week, who spent a fortune
    actual, fitted = np.append(few, np.full(EACH, 12.0)), np.full(2 * EACH, 10.0)
    assert balanced(actual, fitted, cutoffs(2)).scale == pytest.approx(1.2)
    alone = balanced(few, fitted[:EACH], cutoffs(1))
    assert alone.scale == 1
    assert "Not scaled: at no cutoff did 100 customers spend" in alone.note
