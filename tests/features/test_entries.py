"""Customers at times of their own: outcomes begin at the entry, features end before its day."""

from datetime import UTC, datetime, timedelta

import polars as pl
from polars.testing import assert_frame_equal

from fedelta.features.cutoffs import Cutoff
from fedelta.features.entries import features_before, outcomes_after
from fedelta.features.experience_rules import ExperienceSettings
from fedelta.features.interaction_frames import interactions_of
from fedelta.features.kernel import KernelSettings, features_at
from fedelta.features.relationship import Relationship

ENTRY = datetime(2026, 2, 1, 12, tzinfo=UTC)
SETTINGS = KernelSettings(ExperienceSettings())


def bought(*rows: tuple[str, datetime, float], kind: str = "purchase") -> pl.DataFrame:
    """Interactions of customers."""
    names, times, amounts = zip(*rows, strict=True)
    return interactions_of(pl.DataFrame({"customer_id": names, "occurred_at": times, "kind": kind, "amount": amounts}))


def entered(*rows: tuple[str, datetime]) -> pl.DataFrame:
    """Entries of customers."""
    table = pl.DataFrame(rows, schema=["customer_id", "treated_at"], orient="row")
    return table.with_columns(pl.col("treated_at").dt.replace_time_zone("UTC").cast(pl.Datetime("us", "UTC")))


def test_the_entry_itself_is_in_the_horizon_and_its_end_is_not():
    hour, horizon = timedelta(hours=1), timedelta(days=30)
    events = bought(
        ("ann", ENTRY - hour, 1.0), ("ann", ENTRY, 2.0), ("ann", ENTRY + horizon - hour, 4.0),
        ("ann", ENTRY + horizon, 8.0), ("ben", ENTRY + hour, 16.0),
    )  # fmt: skip
    entries = entered(("ben", ENTRY), ("ann", ENTRY), ("eve", ENTRY), ("ann", ENTRY + horizon))
    found = outcomes_after(events, entries, SETTINGS, 30)
    assert found["customer_id"].to_list() == ["ben", "ann", "eve", "ann"], "in the order given"
    assert found["horizon_spend"].to_list() == [16.0, 6.0, 0.0, 8.0]
    assert found["horizon_purchase_count"].to_list() == [1, 2, 0, 1]


def test_activity_of_other_kinds_and_cancellations_count_as_the_settings_have_it():
    events = bought(("ann", ENTRY, 0.0), ("ben", ENTRY - timedelta(days=1), 0.0), kind="visit")
    settings = KernelSettings(ExperienceSettings(), relationship=Relationship(activity=("visit",)))
    found = outcomes_after(events, entered(("ann", ENTRY), ("ben", ENTRY)), settings, 30)
    assert found["horizon_activity_count"].to_list() == [1, 0]


def test_features_are_those_of_the_midnight_before():
    day = datetime(2026, 2, 1, tzinfo=UTC)
    events = bought(
        ("ann", day - timedelta(days=9), 5.0), ("ann", day + timedelta(hours=1), 50.0), ("ben", ENTRY, 1.0),
    )  # fmt: skip
    found = features_before(events, entered(("ann", ENTRY), ("ben", ENTRY)), SETTINGS, 30)
    table, _ = features_at(events, [Cutoff(day, 30, 0, "score")], SETTINGS)
    assert found["customer_id"].to_list() == ["ann"], "ben had no history before his day"
    assert found["spend"].to_list() == [5.0]
    assert_frame_equal(found.drop("treated_at").select(table.columns), table)


def test_a_customer_who_enters_twice_is_looked_at_twice():
    events = bought(("ann", ENTRY - timedelta(days=40), 5.0), ("ann", ENTRY + timedelta(days=1), 7.0))
    found = features_before(events, entered(("ann", ENTRY), ("ann", ENTRY + timedelta(days=9))), SETTINGS, 30)
    assert found["spend"].to_list() == [5.0, 12.0]
    assert features_before(events, entered(("ann", ENTRY)).head(0), SETTINGS, 30).is_empty()
