"""Recorded margins: by hand, and never with a look ahead."""

from datetime import UTC, datetime, timedelta

import polars as pl

from fedelta.features.interaction_frames import interactions_of
from fedelta.features.margins import margins_before

CUTOFF = datetime(2026, 3, 1, tzinfo=UTC)


def events(*rows: tuple[str, float, str, float | None, float | None]) -> pl.DataFrame:
    """Interactions: customer, days before the cutoff, kind, amount, margin."""
    return interactions_of(
        pl.DataFrame(
            {
                "customer_id": [row[0] for row in rows],
                "occurred_at": [CUTOFF - timedelta(days=row[1]) for row in rows],
                "kind": [row[2] for row in rows],
                "amount": pl.Series([row[3] for row in rows], dtype=pl.Float64),
                "margin": pl.Series([row[4] for row in rows], dtype=pl.Float64),
            }
        )
    )


def test_margins_of_purchases_before_the_cutoff_are_summed_by_customer():
    rows = events(
        ("ann", 9, "purchase", 40.0, 10.0),
        ("ann", 5, "purchase", 60.0, -6.0),  # at a loss
        ("ann", 4, "purchase", 80.0, None),  # not recorded
        ("ann", 3, "return", 40.0, 10.0),
        ("ann", 0, "purchase", 99.0, 99.0),  # at the cutoff: the future
        ("bob", 2, "purchase", 0.0, -1.0),  # a share of nothing
        ("cat", 2, "purchase", 12.34, 1.2345),
    )
    found = margins_before(rows.lazy(), CUTOFF).sort("customer_id").collect()
    assert found.drop("squares").rows() == [("ann", 2, 100.0, 4.0), ("cat", 1, 12.34, 1.2345)]
    assert found["squares"].round(6).to_list() == [round(10**2 / 40 + 6**2 / 60, 6), round(1.2345**2 / 12.34, 6)]


def test_what_becomes_known_at_the_cutoff_or_later_changes_nothing():
    rows = events(("ann", 9, "purchase", 40.0, 10.0), ("ann", 8, "purchase", 40.0, 20.0))
    known = pl.Series([None, CUTOFF], dtype=rows.schema["known_at"])
    late = rows.with_columns(known_at=known)
    assert margins_before(late.lazy(), CUTOFF).collect().equals(margins_before(rows.head(1).lazy(), CUTOFF).collect())
