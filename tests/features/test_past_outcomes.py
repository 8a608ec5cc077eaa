"""A customer's own past outcomes, counted by hand: periods of the horizon's length that end at the cutoff."""

from dataclasses import replace

import pytest
from histories import SETTINGS, event, known

from fedelta.features.relationship import Relationship

EVENT = replace(SETTINGS, relationship=Relationship("event"))


@pytest.mark.parametrize(
    ("days_ago", "rate"),
    [
        ((29,), None),  # no period of 30 days is over since the first purchase
        ((30,), 0.0),  # a period begins with its first instant
        ((31,), 1.0),  # the one period over since then was silent
        ((95, 5), 2 / 3),  # of three periods the latest had a purchase; what lies before the earliest counts for none
        ((90, 70, 55, 52), 1 / 3),  # purchases in the earliest and the second, none in the latest
        ((90, 60, 30), 0.0),
    ],
)
def test_the_rate_is_the_share_of_earlier_periods_without_a_purchase(days_ago: tuple[int, ...], rate: float | None):
    assert known(*map(event, days_ago))["past_outcome_rate"] == (None if rate is None else pytest.approx(rate))


def test_periods_begin_with_the_first_purchase_not_with_an_earlier_visit():
    assert known(event(400, "visit"), event(31))["past_outcome_rate"] == 1


def test_where_churn_is_an_event_it_is_the_share_of_periods_with_a_cancellation():
    events = [event(125, "visit"), event(80, "cancellation"), event(40, "enrolment"), event(3)]
    assert known(*events, settings=EVENT)["past_outcome_rate"] == pytest.approx(1 / 4)
    assert known(event(31, "visit"), settings=EVENT)["past_outcome_rate"] == 0


def test_neither_the_future_nor_the_instant_of_the_cutoff_counts():
    assert known(event(31), event(0), event(-5))["past_outcome_rate"] == 1
