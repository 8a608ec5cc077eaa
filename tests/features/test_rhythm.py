"""Rhythm by hand: the customer's own pace, and how today's silence compares with it."""

from datetime import timedelta

import pytest
from histories import CUTOFF, event, known
from hypothesis import given
from hypothesis import strategies as st


def test_a_customer_like_clockwork_has_no_irregularity_at_all():
    row = known(*[event(10 + 30 * n) for n in range(13)])
    assert row["mean_purchase_gap_days"] == 30
    assert (row["purchase_gap_deviation_days"], row["purchase_irregularity"], row["last_gap_ratio"]) == (0, 0, 1)


@given(st.integers(1, 60 * 1440), st.integers(3, 40))
def test_equal_gaps_of_any_length_deviate_by_exactly_nothing(minutes: int, number: int):
    purchases = [event(0, occurred_at=CUTOFF - (n + 1) * timedelta(minutes=minutes)) for n in range(number)]
    assert known(*purchases)["purchase_gap_deviation_days"] == 0


def test_the_deviation_of_gaps_is_that_of_a_sample():
    row = known(event(16), event(14), event(10))  # gaps of 2 and 4 days
    assert row["mean_purchase_gap_days"] == 3
    assert row["purchase_gap_deviation_days"] == pytest.approx(2**0.5)
    assert row["purchase_irregularity"] == pytest.approx(2**0.5 / 3)
    assert row["last_gap_ratio"] == pytest.approx(4 / 3)


def test_who_is_silent_for_twice_the_usual_gap_is_overdue_twofold():
    assert known(event(40), event(20))["purchase_overdue_ratio"] == 1
    assert known(event(60), event(40))["purchase_overdue_ratio"] == 2


def test_one_purchase_shows_no_rhythm():
    row = known(event(5))
    unknown = ("mean_purchase_gap_days", "purchase_gap_deviation_days", "purchase_overdue_ratio", "last_gap_ratio")
    assert [row[name] for name in unknown] == [None] * 4
    assert row["interaction_overdue_ratio"] is None
    assert (row["days_since_first_purchase"], row["purchase_span_days"]) == (5, 0)


def test_two_purchases_show_a_gap_and_no_deviation():
    row = known(event(9), event(5))
    assert (row["mean_purchase_gap_days"], row["purchase_gap_deviation_days"]) == (4, None)


def test_purchases_all_at_one_instant_leave_the_pace_unknown():
    row = known(event(5), event(5), event(5))
    assert row["mean_purchase_gap_days"] == 0
    assert (row["purchase_irregularity"], row["purchase_overdue_ratio"]) == (None, None)


def test_the_span_between_purchases_is_exact_to_the_microsecond():
    last = event(0, occurred_at=CUTOFF - timedelta(days=400))
    first = event(0, occurred_at=CUTOFF - timedelta(days=400, microseconds=1))
    row = known(first, last)
    assert row["purchase_span_days"] == timedelta(microseconds=1) / timedelta(days=1)
    assert row["interaction_overdue_ratio"] == pytest.approx(400 * 86_400e6)


def test_visits_without_a_purchase_pile_up_since_the_last_one():
    row = known(event(9, "visit"), event(8), event(7, "visit"), event(6, "visit"))
    assert (row["visits_since_purchase_count"], row["visit_trend"]) == (2, 3)
