"""Tenure by hand: how long the customer has been with us, and what a year with them brings."""

from histories import event, known


def test_tenure_runs_from_the_first_interaction_of_any_kind():
    row = known(event(365.25, "visit"), event(100, amount=30), event(50, amount=20))
    assert row["tenure_days"] == 365.25
    assert (row["purchases_per_year"], row["spend_per_year"]) == (2, 50)


def test_who_never_enrolled_has_no_enrolment_to_count_from():
    assert known(event(5))["days_since_last_enrolment"] is None
    assert known(event(5), event(3, "enrolment"))["days_since_last_enrolment"] == 3


def test_a_customer_of_one_microsecond_has_a_tenure():
    day = 86_400_000_000
    assert known(event(1 / day))["tenure_days"] == 1 / day
