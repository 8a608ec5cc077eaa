"""What was left of a customer's purchases after their costs, where that is recorded, as a cutoff sees it."""

from datetime import datetime

import polars as pl

from fedelta.features.visibility import KNOWN_AT, seen_before

COLUMNS = ("customer_id", "occurred_at", "kind", "amount", "margin", KNOWN_AT)  # of an interaction that are read
_UNITS = 10_000  # money is counted in such parts, so that sums are exact


def margins_before(events: pl.LazyFrame, cutoff: datetime) -> pl.LazyFrame:
    """One row per customer with a purchase whose margin is recorded, happened and known before the cutoff.

    Parameters
    ----------
    events : LazyFrame
        Interactions with at least `COLUMNS`. Purchases of nothing (an amount of 0 or below) are left out.

    Returns
    -------
    LazyFrame
        customer_id; orders; amount and margin, their sums in the source's currency; squares: the sum of margin² /
        amount, from which the spread of margins within a customer follows.
    """
    priced = (pl.col("kind").cast(pl.String) == "purchase") & (pl.col("amount") > 0) & pl.col("margin").is_not_null()
    amount, margin = (pl.col(name).cast(pl.Decimal(18, 4)).to_physical() for name in ("amount", "margin"))
    return (
        events.filter(priced, seen_before(cutoff))
        .select("customer_id", amount=amount, margin=margin)
        .group_by("customer_id")
        .agg(
            orders=pl.len().cast(pl.Int64),
            amount=pl.col("amount").sum() / _UNITS,
            margin=pl.col("margin").sum() / _UNITS,
            squares=(pl.col("margin").cast(pl.Float64) ** 2 / pl.col("amount")).sum() / _UNITS,
        )
    )
