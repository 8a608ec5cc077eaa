"""Distances between months, and what makes one of them out of the ordinary."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from fedelta.models.monitoring.drift import (
    LEAST_PAST,
    RUNS,
    Bins,
    chance_per_check,
    judge,
    psi,
    psi_noise,
    shift,
    standard_errors,
)
from fedelta.models.monitoring.drift import times_record as record

counts = st.lists(st.integers(0, 10_000), min_size=4, max_size=4).map(lambda n: np.array(n, float))


def test_half_of_the_customers_becoming_three_quarters_is_a_psi_of_a_quarter_times_ln_3():
    found = psi(np.array([5e8, 5e8]), np.array([7.5e8, 2.5e8]))
    assert found == pytest.approx(0.25 * np.log(3), rel=1e-6)


@given(counts, counts)
def test_the_distance_is_never_negative_the_same_both_ways_and_nothing_between_equals(before, now):
    assert psi(before, now) >= 0
    assert psi(before, now) == pytest.approx(psi(now, before), abs=1e-9)
    assert psi(before, before) == 0


def test_between_two_samples_of_one_population_the_distance_is_what_chance_brings():
    chance = np.random.default_rng(3)
    before, now = (chance.multinomial(2_000, np.full(10, 0.1), 500).astype(float) for _ in range(2))
    assert psi(before, now).mean() == pytest.approx(psi_noise(before, now).mean(), rel=0.05)


def test_customers_who_never_did_a_thing_and_those_of_whom_it_is_unknown_have_cells_of_their_own():
    values = np.concatenate([np.zeros(95), np.arange(1.0, 31.0), [np.nan, np.nan]])
    bins = Bins.of(values)
    held = bins.counts(values)
    assert held[0] == 95
    assert held[-1] == 2
    assert len(held) > 3


def test_few_values_have_a_cell_each_and_one_never_seen_falls_into_the_nearest():
    bins = Bins.of(np.array([0.0, 1.0, 2.0, 1.0]))
    assert bins.counts(np.array([0.0, 1.0, 1.0, 2.0, 7.0, np.nan])).tolist() == [1, 2, 2, 1]


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1), st.lists(st.floats(-1e6, 1e6)))
def test_every_customer_is_counted_once_whatever_the_reference(reference, values):
    bins = Bins.of(np.array(reference))
    assert bins.counts(np.array(values, float)).sum() == len(values)


def test_everyone_one_standard_deviation_further_is_a_shift_of_one():
    assert shift(np.array([0.0, 2.0, np.nan]), np.array([1.0, 3.0])) == pytest.approx(1.0)
    assert shift(np.array([5.0, 5.0]), np.array([1.0, 3.0])) is None
    assert shift(np.array([np.nan]), np.array([1.0])) is None


def test_a_step_is_measured_by_the_largest_of_as_many_other_steps():
    steps = np.array([[4.0, 1.0, 2.0, 1.0]])
    assert record(steps, np.zeros(1)).tolist() == [[4 / 2, 1 / 2, 2 / 1, 1 / 2]]


def test_steps_within_chance_count_as_equal():
    assert record(np.array([[1e-6, 1e-9, 1e-9, 1e-9]]), np.array([0.01])) == pytest.approx(1.0, abs=1e-3)


def test_a_move_against_a_steady_trend_is_reported_with_its_sign():
    steady = np.array([[-0.3, 0.1, 0.12, 0.08, 0.11, 0.09, 0.1]])
    errors = standard_errors(steady, np.full(steady.shape, 1e-4))
    assert errors[0, 0] < -10
    assert np.abs(errors[0, 1:]).max() < 3


def test_no_error_is_believed_to_be_smaller_than_chance():
    steps = np.array([[0.2, 0.0, 0.0, 0.0, 0.0]])
    assert standard_errors(steps, np.full(steps.shape, 0.01))[0, 0] == pytest.approx(2.0)


def test_without_enough_past_nothing_is_judged():
    found = judge(np.ones(LEAST_PAST), 0.01)
    assert found.limit is None
    assert found.alarm is None
    assert judge(np.ones(LEAST_PAST + 1), 0.01).alarm is False


def test_what_was_seen_before_never_alarms():
    past = np.array([1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 50.0])
    assert judge(np.append(50.0, past), 0.01).alarm is False
    assert judge(np.append(1e9, past), 0.01).alarm is True


def test_a_figure_of_the_same_kind_as_the_past_is_beyond_its_limit_no_more_often_than_agreed():
    chance = np.random.default_rng(5)
    alarms = sum(bool(judge(np.exp(chance.normal(size=13)), 0.02).alarm) for _ in range(4_000))
    assert 0 < alarms / 4_000 <= 0.02


def test_the_limit_holds_the_budget_of_a_year():
    for allowed in (0, 1, 2):
        alone = chance_per_check(allowed, 1)
        assert binom.sf(allowed, RUNS, alone) == pytest.approx(0.05)
        assert chance_per_check(allowed, 5) == pytest.approx(alone / 5)
