"""The usual channel: counted by hand, and never with a look ahead."""

from datetime import UTC, datetime, timedelta

import polars as pl

from fedelta.features.interaction_frames import interactions_of
from fedelta.features.usual_channel import usual_channels

CUTOFF = datetime(2026, 3, 1, tzinfo=UTC)


def found(*rows: tuple[str, float, str | None], known_at: datetime | None = None) -> dict[str, str]:
    """The usual channels of interactions: customer, days before the cutoff, channel."""
    events = interactions_of(
        pl.DataFrame(
            {
                "customer_id": [row[0] for row in rows],
                "occurred_at": [CUTOFF - timedelta(days=row[1]) for row in rows],
                "kind": ["visit"] * len(rows),
                "channel": pl.Series([row[2] for row in rows], dtype=pl.String),
            }
        )
    ).with_columns(known_at=pl.lit(known_at, pl.Datetime("us", "UTC")))
    return dict(usual_channels(events.lazy(), CUTOFF).collect().rows())


def test_it_is_the_channel_of_most_interactions():
    rows = [("ann", 9.0, "web"), ("ann", 8.0, "web"), ("ann", 1.0, "store"), ("bob", 4.0, "phone"), ("cat", 3.0, None)]
    assert found(*rows) == {"ann": "web", "bob": "phone"}


def test_of_several_it_is_the_latest_used_and_of_one_moment_the_first_by_name():
    assert found(("ann", 9, "web"), ("ann", 8, "store")) == {"ann": "store"}
    assert found(("ann", 9, "web"), ("ann", 9, "store")) == {"ann": "store"}


def test_a_year_counts_and_the_cutoff_does_not():
    assert found(("ann", 366, "web"), ("ann", 0, "app"), ("ann", 365, "store")) == {"ann": "store"}
    assert found(("ann", 366, "web"), ("bob", 0, "app")) == {}


def test_what_becomes_known_later_does_not_count():
    assert found(("ann", 9, "web"), known_at=CUTOFF) == {}
