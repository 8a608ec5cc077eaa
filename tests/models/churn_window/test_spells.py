"""Silences and memberships, cut by hand."""

from datetime import UTC, datetime, timedelta

import polars as pl

from fedelta.models.churn_window.spells import activity_days, membership_spells, memberships, silences

START = datetime(1970, 1, 1, tzinfo=UTC)  # day 0
SCHEMA = {"customer_id": pl.String, "occurred_at": pl.Datetime("us", "UTC"), "kind": pl.String, "amount": pl.Float64}


def events(*rows: tuple[str, float, str] | tuple[str, float, str, float]) -> pl.DataFrame:
    """Interactions (customer, day, kind, amount) in the order of a bucket."""
    table = [(who, START + timedelta(days=day), kind, *(amount or (None,))) for who, day, kind, *amount in rows]
    return pl.DataFrame(table, schema=SCHEMA, orient="row")


def test_a_silence_runs_from_a_purchase_day_to_the_next_and_the_last_to_where_we_stop_watching():
    bought = activity_days(events(("ann", 0.2, "purchase"), ("ann", 7.9, "purchase"), ("bob", 3.0, "purchase")))
    assert silences(bought, end=10).rows() == [
        ("after 1 purchase", 6, False, 1),  # bob, days 4 to 9
        ("after 1 purchase", 7, True, 1),
        ("after 2 or 3", 2, False, 1),
    ]


def test_two_orders_on_one_day_are_one_purchase_day_with_the_sum_of_both():
    bought = activity_days(events(("ann", 1.1, "purchase", 3.0), ("ann", 1.8, "purchase", 4.5), ("ann", 2, "visit")))
    assert bought.rows() == [("ann", 1, 7.5)]


def test_a_purchase_on_the_last_day_watched_tells_nothing_of_silence():
    assert silences(activity_days(events(("ann", 9.5, "purchase"))), end=10).is_empty()


def test_who_cancels_and_enrols_again_has_two_memberships():
    found = memberships(
        events(
            ("ann", 2, "enrolment"), ("ann", 5, "purchase"), ("ann", 8, "cancellation"), ("ann", 9, "visit"),
            ("ann", 11, "enrolment"), ("bob", 4, "purchase"),
        )
    )  # fmt: skip
    assert found.rows() == [("ann", 2, 8, True), ("ann", 11, None, False), ("bob", 4, None, False)]
    assert membership_spells(found, end=20).rows() == [
        ("everyone", 7, True, 1),
        ("everyone", 9, False, 1),
        ("everyone", 16, False, 1),
    ]


def test_a_cancellation_of_no_member_counts_for_nothing():
    twice = events(("ann", 2, "enrolment"), ("ann", 5, "cancellation"), ("ann", 6, "cancellation"))
    assert memberships(twice).rows() == [("ann", 2, 5, True)]
    assert memberships(events(("bob", 2, "cancellation"))).is_empty()
