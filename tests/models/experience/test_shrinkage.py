"""Shares shrunk to the base by exposure: how far customers differ, and how sure one can be of one of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from fedelta.models.experience.shrinkage import MOST_STRENGTH, Prior, beta_interval, fit_prior, shrunk


def base(customers: int, mean: float, strength: float, most: int, seed: int = 3) -> tuple[np.ndarray, ...]:
    """True shares of customers of a Beta base, their touchpoints, and the good ones."""
    rng = np.random.default_rng(seed)
    share = rng.beta(mean * strength, (1 - mean) * strength, customers)
    touchpoints = rng.integers(1, most + 1, customers)
    return share, touchpoints, rng.binomial(touchpoints, share)


@pytest.mark.parametrize("strength", [2.0, 20.0])
def test_the_strength_of_a_base_is_found_again(strength: float):
    _, touchpoints, good = base(6000, 0.85, strength, 30)
    prior = fit_prior(touchpoints, good)
    assert prior.mean == pytest.approx(0.85, abs=0.01)
    assert prior.strength == pytest.approx(strength, rel=0.15)


def test_customers_who_differ_by_chance_alone_all_get_the_index_of_the_base():
    rng = np.random.default_rng(1)
    touchpoints = np.full(3000, 10)
    prior = fit_prior(touchpoints, rng.binomial(10, 0.7, 3000))
    mean, _ = shrunk(prior, np.array([10]), np.array([0]))
    assert prior.strength > 300
    assert mean[0] > 0.67


def test_where_nobody_was_there_twice_nothing_tells_customers_apart():
    prior = fit_prior(np.ones(50, np.int64), np.arange(50) % 2)
    assert prior == Prior(0.5, MOST_STRENGTH)
    assert "no more than chance" in prior.says
    assert fit_prior(np.zeros(0, np.int64), np.zeros(0, np.int64)) == Prior(0.5, MOST_STRENGTH)


def test_a_share_is_the_base_and_the_customers_own_record_in_proportion():
    mean, weight = shrunk(Prior(0.8, 10), np.array([0, 10, 90]), np.array([0, 5, 45]))
    assert_allclose(mean, [0.8, 13 / 20, 53 / 100])
    assert_allclose(weight, [10, 20, 100])


def test_the_interval_is_that_of_the_beta_distribution_in_the_order_of_the_rows():
    low, high = beta_interval(np.array([0.65, 0.8, 0.65]), np.array([20.0, 10.0, 20.0]))
    assert_allclose(low, stats.beta.ppf(0.05, [13, 8, 13], [7, 2, 7]))
    assert_allclose(high, stats.beta.ppf(0.95, [13, 8, 13], [7, 2, 7]))


def test_nine_of_ten_customers_are_within_their_interval():
    share, touchpoints, good = base(4000, 0.8, 6.0, 20, seed=8)
    low, high = beta_interval(*shrunk(fit_prior(touchpoints, good), touchpoints, good))
    assert np.mean((low <= share) & (share <= high)) == pytest.approx(0.9, abs=0.02)


@settings(max_examples=50, derandomize=True)
@given(st.floats(0.05, 0.95), st.floats(0.1, 1000), st.integers(1, 50), st.integers(0, 49))
def test_a_further_good_touchpoint_never_lowers_a_share_and_it_stays_between_record_and_base(
    mean: float, strength: float, touchpoints: int, good: int
):
    good = min(good, touchpoints - 1)
    prior, n = Prior(mean, strength), np.array([touchpoints, touchpoints, touchpoints + 1])
    (own, better, more), _ = shrunk(prior, n, np.array([good, good + 1, good + 1]))
    assert better > own
    assert more > own
    assert min(mean, good / touchpoints) - 1e-9 <= own <= max(mean, good / touchpoints) + 1e-9
