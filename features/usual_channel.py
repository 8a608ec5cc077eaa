"""The channel through which a customer usually meets the company, as a cutoff sees it."""

from datetime import datetime, timedelta
from functools import lru_cache

import polars as pl

from fedelta.features.visibility import KNOWN_AT, seen_before

COLUMNS = ("customer_id", "occurred_at", "channel", KNOWN_AT)  # of an interaction that are read
DAYS = 365


def usual_channels(events: pl.LazyFrame, cutoff: datetime) -> pl.LazyFrame:
    """The channel of most of a customer's interactions in the 365 days before the cutoff; of several, the latest used.

    Parameters
    ----------
    events : LazyFrame
        Interactions with at least `COLUMNS`.

    Returns
    -------
    LazyFrame
        customer_id, channel; customers without an interaction whose channel is known have no row.
    """
    return (
        events.filter(_counting(cutoff))
        .group_by("customer_id", pl.col("channel").cast(pl.String))
        .agg(times=pl.len(), last=pl.col("occurred_at").max())
        .sort("customer_id", "times", "last", "channel", descending=[False, True, True, False])
        .unique("customer_id", keep="first", maintain_order=True)
        .select("customer_id", "channel")
    )


@lru_cache(maxsize=64)
def _counting(cutoff: datetime) -> pl.Expr:
    """Whether an interaction counts: its channel is known, and it was seen within the days before the cutoff."""
    recent = pl.col("occurred_at") >= cutoff - timedelta(days=DAYS)
    return pl.col("channel").is_not_null() & recent & seen_before(cutoff)
