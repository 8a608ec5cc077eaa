"""Since when a row can be seen: from when it happened, or from when the company learned of it, where that is later."""

from datetime import datetime
from functools import lru_cache

import numpy as np
import polars as pl

from fedelta.features.history import Booleans, Integers

KNOWN_AT = "known_at"


@lru_cache(maxsize=64)
def seen_before(instant: datetime) -> pl.Expr:
    """Whether an interaction had happened and was known before an instant; where `known_at` is null, known at once."""
    at = pl.lit(instant)
    known = pl.col(KNOWN_AT).is_null() | (pl.col(KNOWN_AT) < at)
    return (pl.col("occurred_at") < at) & known


def hidden_at(events: pl.DataFrame, instants: Integers) -> list[Booleans] | None:
    """Per instant (µs since 1970), which events had happened before it and were not known yet; None if none ever was.

    Events without a column `known_at`, or with nulls in it, were known when they happened.
    """
    if KNOWN_AT not in events.columns or events[KNOWN_AT].null_count() == len(events):
        return None
    happened = events["occurred_at"].dt.epoch("us").to_numpy()
    known = events[KNOWN_AT].dt.epoch("us").fill_null(np.iinfo(np.int64).min).to_numpy()
    hidden = [(happened < instant) & (known >= instant) for instant in instants]
    return hidden if any(mask.any() for mask in hidden) else None
