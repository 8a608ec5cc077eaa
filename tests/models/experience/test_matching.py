"""Like with like: what is found when the answer is known, and the interval around it."""

import numpy as np
import pandas as pd
import pytest
from histories import law
from hypothesis import given
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter

from fedelta.features.history import Floats
from fedelta.models.experience.matching import Effect, match, pooled, staying_values

TIMES = st.lists(st.tuples(st.floats(0.01, 40), st.booleans(), st.floats(0.1, 3)), min_size=1, max_size=40)


def test_without_censoring_staying_is_the_share_that_has_not_ended():
    days, ended = np.array([1.0, 9.5, 10.0, 10.1, 30.0]), np.array([True, True, True, True, False])
    assert staying_values(days, ended, 10) == pytest.approx([0, 0, 0, 1, 1], abs=1e-9)


def test_who_is_watched_for_a_part_of_the_horizon_counts_as_the_others_went_on():
    # Of four, one ends on day 2; one is lost after it; of the two left one ends: S = 3/4 x 1/2.
    values = staying_values(np.array([2.0, 3.0, 5.0, 30.0]), np.array([True, False, True, False]), 10)
    assert values.mean() == pytest.approx(3 / 8)


@law
@given(TIMES)
def test_staying_is_the_kaplan_meier_estimate(people):
    days, ended, weight = (np.array(column) for column in zip(*people, strict=True))
    whole = np.where(ended, np.ceil(days), np.floor(days))
    parts = np.rint(weight / weight.max() * 10**9)
    expected = KaplanMeierFitter().fit(whole, ended, weights=parts).predict(20)
    values = staying_values(days, ended, 20, weight)
    assert np.average(values, weights=parts) == pytest.approx(expected, abs=1e-6)


def confounded(rng: np.random.Generator, effect: float, n: int = 4_000) -> tuple[np.ndarray, Floats, Floats]:
    """Who had it bad (heavy buyers, mostly), one covariate, and an outcome that goes with the covariate."""
    heavy = rng.normal(size=n)
    bad = rng.random(n) < 1 / (1 + np.exp(2 - heavy))
    return bad, heavy[:, None], 2 * heavy + effect * bad + rng.normal(size=n)


def found(bad: np.ndarray, covariates: Floats, outcome: Floats, customer: np.ndarray | None = None) -> Effect:
    customer = np.arange(len(bad)) if customer is None else customer
    pair = match(np.flatnonzero(bad), np.flatnonzero(~bad), customer, lambda a, b: covariates[np.concatenate([a, b])])
    assert pair is not None
    return pair.effect(outcome[pair.bad], outcome[pair.good], lost=-1e9)  # no share of it is lost, only so much


def test_matched_customers_look_the_same_on_average():
    bad, heavy, _ = confounded(np.random.default_rng(1), 0)
    pair = match(
        np.flatnonzero(bad), np.flatnonzero(~bad), np.arange(len(bad)), lambda a, b: heavy[np.concatenate([a, b])]
    )
    assert heavy[~bad].mean() < 0 < heavy[bad].mean() - 0.3
    assert pair.weight @ heavy[pair.good, 0] == pytest.approx(heavy[bad].mean(), abs=0.01)


@pytest.mark.parametrize("effect", [0.0, 1.0])
def test_intervals_cover_the_true_difference_nine_times_in_ten(effect):
    intervals = [found(*confounded(np.random.default_rng(seed), effect, 1_000)).interval for seed in range(100)]
    assert 83 <= sum(interval.low <= effect <= interval.high for interval in intervals) <= 97


def test_a_customer_seen_four_times_is_not_four_customers():
    bad, heavy, outcome = confounded(np.random.default_rng(3), 1.0)
    once = found(bad, heavy, outcome).interval
    again = (np.tile(bad, 4), np.tile(heavy, (4, 1)), np.tile(outcome, 4), np.tile(np.arange(len(bad)), 4))
    four = found(*again).interval
    assert four.high - four.low == pytest.approx(once.high - once.low, rel=0.05)


def test_too_few_customers_are_not_compared():
    bad = np.arange(100) < 19
    assert match(np.flatnonzero(bad), np.flatnonzero(~bad), np.arange(100), lambda a, b: np.ones((100, 1))) is None
    same = np.where(bad, 0, np.arange(100))  # one customer's nineteen experiences
    assert match(np.flatnonzero(bad), np.flatnonzero(~bad), same, lambda a, b: np.ones((100, 1))) is None


def test_pooled_strata_count_by_their_bad_experiences():
    nothing = pd.Series([0.0, 0.0])
    effect = pooled([Effect(30, 0.5, 0.1, nothing, nothing), Effect(10, 0.1, 0.5, nothing, nothing)])
    assert (effect.n, effect.bad, effect.difference) == (40, pytest.approx(0.4), pytest.approx(0.2))


def test_weights_too_small_to_count_on_a_day_of_their_own_do_no_harm():
    days, ended = np.array([2.0, 4.0, 9.0, 9.0, 30.0]), np.array([True, False, True, False, False])
    weight = np.array([1.0, 1.0, 1.0, 1.0, 1e-12])
    with_it, without = staying_values(days, ended, 20, weight), staying_values(days[:4], ended[:4], 20, weight[:4])
    assert with_it[:4] == pytest.approx(without, abs=1e-6)
    assert np.isfinite(with_it).all()
