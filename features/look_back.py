"""What a rule may know of the customer's earlier interactions: columns that look backwards only."""

from collections.abc import Collection, Mapping

import numpy as np
import polars as pl

from fedelta.features.few_events import Column, FewEvents
from fedelta.features.history import DAY_US

# Days since the customer's previous contact or complaint on the same topic; null where there was none, or no topic.
SAME_TOPIC = "days_since_same_topic"
LOOK_BACK = pl.Schema({SAME_TOPIC: pl.Float64()})
# The columns of an interaction that each is computed from.
BASES: Mapping[str, tuple[str, ...]] = {SAME_TOPIC: ("customer_id", "occurred_at", "kind", "topic")}


def with_look_back(events: pl.DataFrame, named: Collection[str]) -> pl.DataFrame:
    """Add those of the look-back columns that are named to interactions sorted by customer and time, if not there."""
    return events.hstack([_days_since_same_topic(events)]) if {SAME_TOPIC} & {*named} - {*events.columns} else events


def _days_since_same_topic(events: pl.DataFrame) -> pl.Series:
    rows = np.flatnonzero(events.select(_ON_TOPIC)["on_topic"].to_numpy())
    days = np.full(len(events), np.nan)
    if len(rows) > 1:
        days[rows] = events.select("customer_id", "topic", "occurred_at")[rows].select(_DAYS)["days"].to_numpy()
    return pl.Series(SAME_TOPIC, days, nan_to_null=True)


def with_look_back_few(events: FewEvents) -> FewEvents:
    """All of them, added to few events."""
    days, last = np.full(len(events), np.nan), dict[tuple[str, str], int]()
    at = events["occurred_at"].values.tolist()
    columns = (events.lists["customer_id"], events.lists["kind"], events.texts("topic"), at)
    for row, (customer, kind, topic, now) in enumerate(zip(*columns, strict=True)):
        if topic is not None and kind in _CONTACTS:
            before = last.get((customer, topic))
            last[customer, topic] = now
            if before is not None:
                days[row] = (now - before) / DAY_US
    return events.with_columns({SAME_TOPIC: Column.where(days, ~np.isnan(days))})


_CONTACTS = ("contact", "complaint")
_ON_TOPIC = (
    (pl.col("kind").cast(pl.String).is_in(list(_CONTACTS)) & pl.col("topic").is_not_null())
    .fill_null(False)
    .alias("on_topic")
)
_at = pl.col("occurred_at").dt.epoch("us")
_DAYS = ((_at - _at.shift().over("customer_id", "topic")) / DAY_US).alias("days")
