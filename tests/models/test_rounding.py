"""Rounding: as many digits as asked for, the same for a number and for an array of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedelta.models.rounding import probabilities, significant

FINITE = st.floats(1e-200, 1e200) | st.floats(-1e200, -1e-200) | st.just(0.0)


@given(FINITE, st.integers(1, 12))
def test_it_is_what_printing_so_many_digits_gives(value, digits):
    assert significant(value, digits) == pytest.approx(
        float(f"{value:.{digits - 1}e}"), rel=10.0 ** (1 - digits) * 1.01
    )
    assert significant(value, digits) == pytest.approx(value, rel=0.5001 * 10.0 ** (1 - digits))


@given(st.lists(FINITE, min_size=1), st.integers(1, 12))
def test_rounding_twice_changes_nothing_and_an_array_is_rounded_number_by_number(values, digits):
    once = significant(np.array(values), digits)
    assert np.allclose(significant(once, digits), once, rtol=1e-15, atol=0)
    assert once.tolist() == [significant(value, digits) for value in values]


def test_differences_in_the_last_digits_are_gone():
    values = np.random.default_rng(1).lognormal(0, 5, 100_000)
    assert (significant(values, 7) == significant(np.nextafter(values, np.inf), 7)).all()


def test_no_more_decimals_than_asked_for_are_kept():
    assert significant(np.array([0.123456789012, 123456.7891]), 8, 6).tolist() == [0.123457, 123456.79]


def test_what_is_no_number_stays():
    kept = significant(np.array([np.nan, np.inf, -np.inf, 0.0]), 3)
    assert np.isnan(kept[0])
    assert kept[1:].tolist() == [np.inf, -np.inf, 0.0]


def test_probabilities_stay_within_0_and_1():
    assert probabilities(np.array([0, 1e-6, 0.123456789, 1 - 1e-6, 1])).tolist() == [0, 1e-6, 0.1234568, 0.999999, 1]
