"""Interactions cut into spells: the silence after each activity, and each membership. Days are counted from 1970."""

from collections.abc import Collection

import polars as pl

from fedelta.features.relationship import PURCHASES, RESUMING, REVENUE

# By how many days a customer had bought on (or been active on), when the silence began.
PURCHASE_GROUPS = {
    "after 1 purchase": (1, 1),
    "after 2 or 3": (2, 3),
    "after 4 to 9": (4, 9),
    "after 10 or more": (10, 2**31 - 1),
}
EVERYONE = "everyone"


def activity_days(events: pl.DataFrame, kinds: Collection[str] = PURCHASES) -> pl.DataFrame:
    """customer_id, day, spend: one row per customer and day with activity of some kinds, by customer and day.

    `events` holds interactions of whole customers, sorted by customer and time: customer_id, occurred_at, kind, amount.
    """
    paid = pl.when(pl.col("kind").is_in(REVENUE)).then(pl.col("amount").cast(pl.Float64))
    return (
        events.filter(pl.col("kind").is_in(list(kinds)))
        .group_by("customer_id", _day(), maintain_order=True)
        .agg(spend=paid.sum())
    )


def silences(purchases: pl.DataFrame, end: int) -> pl.DataFrame:
    """Counts of silences: group, days, ended, spells.

    A silence begins on a purchase day and ends on the next one; the last goes on to `end`, the first day not watched.
    `purchases` as of `activity_days`.
    """
    number, following = pl.int_range(1, pl.len() + 1).over("customer_id"), pl.col("day").shift(-1).over("customer_id")
    group = pl.coalesce(
        pl.when(number.is_between(*edges)).then(pl.lit(name)) for name, edges in PURCHASE_GROUPS.items()
    )
    return _counted(
        purchases.select(
            group=group,
            days=pl.coalesce(following, pl.lit(end - 1, pl.Int32)) - pl.col("day"),
            ended=following.is_not_null(),
        )
    )


def memberships(events: pl.DataFrame, ended: Collection[str] = ()) -> pl.DataFrame:
    """customer_id, start, end, cancelled: the days a membership began and was over on (null: it goes on), and how.

    A customer is a member from the first interaction to a cancellation, or to an interaction of a kind in `ended`, and
    again from a purchase, renewal or enrolment after it. A cancellation of no member counts for nothing. `events` as
    for `activity_days`.
    """
    first = pl.int_range(pl.len()).over("customer_id") == 0
    cancels = pl.col("kind") == "cancellation"
    gone = cancels | pl.col("kind").is_in(list(ended))
    turns = events.filter(first | gone | pl.col("kind").is_in(RESUMING)).with_columns(
        _day(), spell=gone.cast(pl.Int32).cum_sum().over("customer_id") - gone.cast(pl.Int32)
    )
    return (
        turns.group_by("customer_id", "spell", maintain_order=True)
        .agg(
            start=pl.col("day").filter(~gone).min(),
            end=pl.col("day").filter(gone).min(),
            cancelled=cancels.any(),
        )
        .drop_nulls("start")
        .drop("spell")
    )


def membership_spells(members: pl.DataFrame, end: int) -> pl.DataFrame:
    """Counts of memberships by tenure: group, days, ended, spells; `end` is the first day not watched."""
    return _counted(
        members.select(
            group=pl.lit(EVERYONE),
            # The day of enrolling is the first day of tenure: who cancels on it stayed one day.
            days=pl.coalesce("end", pl.lit(end - 1, pl.Int32)) - pl.col("start") + 1,
            ended=pl.col("cancelled"),
        )
    )


def _counted(spells: pl.DataFrame) -> pl.DataFrame:
    keys = ("group", "days", "ended")
    return spells.filter(pl.col("days") > 0).group_by(keys).agg(spells=pl.len().cast(pl.Int64)).sort(keys)


def _day() -> pl.Expr:
    return pl.col("occurred_at").dt.epoch("d").alias("day")
