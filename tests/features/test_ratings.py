"""Ratings by hand: how the customer judged us, and which way it goes."""

import pytest
from histories import event, known


def test_the_mean_the_last_and_the_trend_of_ratings():
    row = known(event(200, "survey", rating=1.0), event(50, "review", rating=0.6), event(5, "survey", rating=0.2))
    assert (row["rated_count"], row["survey_count_365d"]) == (3, 2)
    assert row["mean_rating"] == pytest.approx(0.6)
    assert row["mean_rating_90d"] == pytest.approx(0.4)
    assert row["last_rating"] == pytest.approx(0.2)
    assert row["rating_trend"] == pytest.approx(-0.4)
    assert row["low_rating_share_365d"] == pytest.approx(1 / 3)
    assert row["days_since_last_rated"] == 5


def test_the_worst_rating_is_a_rating_and_silence_is_none():
    assert known(event(5, "survey", rating=0.0))["mean_rating"] == 0
    assert known(event(5, "survey"))["mean_rating"] is None


def test_a_rating_of_exactly_the_limit_is_low():
    assert known(event(5, rating=0.4))["low_rating_share_365d"] == 1
    assert known(event(5, rating=0.400001))["low_rating_share_365d"] == 0
