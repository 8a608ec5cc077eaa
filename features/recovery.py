"""Which resolved contact makes good which bad experience, and how long that took."""

import polars as pl

_HOUR_US = 3_600_000_000


def recoveries(events: pl.DataFrame, recovery_days: float) -> pl.DataFrame:
    """What was made good of the bad experiences of whole customers.

    A bad experience is recovered by the customer's first resolved contact or complaint from it on, itself included, if
    that took at most `recovery_days`. A contact or complaint with a topic is recovered only by one on that topic or on
    none; any other experience by whichever comes first, because the topic of a parcel (what is in it) and that of a
    contact (what it is about) are different words.

    Parameters
    ----------
    events : DataFrame
        Interactions sorted by customer, time and id, with `severity`.

    Returns
    -------
    DataFrame of shape (n_recovered, 3)
        `row` of the bad experience, ascending; `by`, the row of the contact that recovered it; `hours` between them, or
        the contact's own wait for an answer (0 where unknown) if it was the bad experience itself.
    """
    marked = events.select(
        "customer_id",
        "topic",
        row=pl.int_range(pl.len(), dtype=pl.Int64),
        at=pl.col("occurred_at").dt.epoch("us"),
        contact=pl.col("kind").cast(pl.String).is_in(["contact", "complaint"]),
        bad=pl.col("severity") > 0,
        resolved=pl.col("resolved").fill_null(False),
        waited=pl.when(pl.col("wait_hours").is_finite()).then(pl.col("wait_hours").clip(0)).otherwise(0.0),
    ).filter(pl.col("bad") | (pl.col("contact") & pl.col("resolved")))
    bad = marked.filter("bad")
    resolved = marked.filter("contact", "resolved").select("customer_id", "topic", "row", by="row", by_at="at")
    untold = resolved.filter(pl.col("topic").is_null())
    on_any = _first(bad, resolved, "customer_id")
    on_topic = pl.concat([_first(bad, resolved, "customer_id", "topic"), _first(bad, untold, "customer_id")])
    topical = pl.col("contact") & pl.col("topic").is_not_null()
    elapsed = (pl.col("by_at") - pl.col("at")) / _HOUR_US
    return (
        pl.concat([on_any.filter(~topical), on_topic])
        .sort("row", "by")
        .unique("row", keep="first", maintain_order=True)
        .select("row", "by", hours=pl.when(pl.col("by") == pl.col("row")).then("waited").otherwise(elapsed))
        .filter(pl.col("hours") <= 24 * recovery_days)
    )


def _first(bad: pl.DataFrame, resolved: pl.DataFrame, *same: str) -> pl.DataFrame:
    """The bad experiences with the first of the resolved contacts from them on that is the `same`."""
    later = resolved.select("row", "by", "by_at", *same)
    found = bad.join_asof(later, on="row", by=list(same), strategy="forward", check_sortedness=False)
    return found.filter(pl.col("by").is_not_null())
