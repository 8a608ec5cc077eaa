"""Interactions cut into spells: the silence after each purchase, and each membership. Days are counted from 1970."""

import polars as pl

# By how many days a customer had bought on, when the silence began.
PURCHASE_GROUPS = {
    "after 1 purchase": (1, 1),
    "after 2 or 3": (2, 3),
    "after 4 to 9": (4, 9),
    "after 10 or more": (10, 2**31 - 1),
}
EVERYONE = "everyone"
_STARTS_AGAIN = "enrolment"  # what makes a member of one who had cancelled


def purchase_days(events: pl.DataFrame) -> pl.DataFrame:
    """customer_id, day, spend: one row per customer and day with a purchase, by customer and day.

    `events` holds interactions of whole customers, sorted by customer and time: customer_id, occurred_at, kind, amount.
    """
    return (
        events.filter(pl.col("kind") == "purchase")
        .group_by("customer_id", _day(), maintain_order=True)
        .agg(spend=pl.col("amount").cast(pl.Float64).sum())
    )


def silences(purchases: pl.DataFrame, end: int) -> pl.DataFrame:
    """Counts of silences: group, days, ended, spells.

    A silence begins on a purchase day and ends on the next one; the last goes on to `end`, the first day not watched.
    `purchases` as of `purchase_days`.
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


def memberships(events: pl.DataFrame) -> pl.DataFrame:
    """customer_id, start, end: the days each membership began and was cancelled on (null: it goes on).

    A customer is a member from the first interaction to a cancellation, and again from an enrolment after it. A
    cancellation of no member counts for nothing. `events` as for `purchase_days`.
    """
    first = pl.int_range(pl.len()).over("customer_id") == 0
    gone = pl.col("kind") == "cancellation"
    turns = events.filter(first | gone | (pl.col("kind") == _STARTS_AGAIN)).with_columns(
        _day(), spell=gone.cast(pl.Int32).cum_sum().over("customer_id") - gone.cast(pl.Int32)
    )
    return (
        turns.group_by("customer_id", "spell", maintain_order=True)
        .agg(start=pl.col("day").filter(~gone).min(), end=pl.col("day").filter(gone).min())
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
            ended=pl.col("end").is_not_null(),
        )
    )


def _counted(spells: pl.DataFrame) -> pl.DataFrame:
    keys = ("group", "days", "ended")
    return spells.filter(pl.col("days") > 0).group_by(keys).agg(spells=pl.len().cast(pl.Int64)).sort(keys)


def _day() -> pl.Expr:
    return pl.col("occurred_at").dt.epoch("d").alias("day")
