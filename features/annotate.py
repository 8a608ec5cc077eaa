"""What an event knows of the events before it: the columns that measures are written over."""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import polars as pl

from features.contract import DIGITAL_CHANNELS
from features.experience_rules import ExperienceSettings, with_bad_experiences
from features.history import Booleans, Integers

# The columns of an interaction that features read.
COLUMNS = (
    "customer_id", "occurred_at", "kind", "channel", "amount", "rating", "resolved", "wait_hours", "delay_hours",
    "effort", "reach", "topic",
)  # fmt: skip


# Those of them that annotate itself reads.
ANNOTATED = ("customer_id", "occurred_at", "kind", "channel", "amount")


def annotate(
    events: pl.DataFrame, experience: ExperienceSettings, digital_channels: Collection[str] = DIGITAL_CHANNELS
) -> pl.DataFrame:
    """Add to interactions, sorted by customer and time, what each looks back on.

    New columns: `bad_experience` and `severity`; `is_digital`; `cents` (amount in 1/10,000, Int64); and in µs, null
    where there is none: `since_first` and, for the customer's previous event of that sort, `since_previous`,
    `since_previous_purchase`, `since_previous_bad`.
    """
    events = with_bad_experiences(events, experience).with_columns(
        cents=pl.col("amount").cast(pl.Decimal(18, 4)).to_physical().cast(pl.Int64),
        is_digital=pl.col("channel").is_in(list(digital_channels)),
    )
    ids = events["customer_id"]
    opens = (ids != ids.shift(1)).fill_null(True).to_numpy()
    at = events["occurred_at"].dt.epoch("us").to_numpy()
    rows = np.arange(len(at))
    first = np.maximum.accumulate(np.where(opens, rows, 0))
    marks = events.select(purchase=pl.col("kind") == "purchase", bad=pl.col("severity") > 0)
    return events.with_columns(
        pl.Series("since_first", at - at[first], dtype=pl.Int64),
        _since_previous("since_previous", at, first, np.ones(len(at), bool)),
        _since_previous("since_previous_purchase", at, first, marks["purchase"].to_numpy()),
        _since_previous("since_previous_bad", at, first, marks["bad"].to_numpy()),
    )


def _since_previous(name: str, at: Integers, first: Integers, mark: Booleans) -> pl.Series:
    """Time since the customer's previous event that bears the mark; null where there is none."""
    rows = np.arange(len(at))
    latest: npt.NDArray[np.int64] = np.maximum.accumulate(np.where(mark, rows, -1))
    previous = np.concatenate([[-1], latest[:-1]]).astype(np.int64) if len(at) else latest
    elapsed = at - at[previous] if len(at) else at
    return pl.DataFrame({name: elapsed, "known": previous >= first}).select(
        pl.when("known").then(pl.col(name)).alias(name)
    )[name]
