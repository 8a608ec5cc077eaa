"""Customers at times of their own: what was known on the day when each entered a campaign, and what came after.

Features look from the midnight (UTC) before the entry, so nothing of the entry's own day is in them; outcomes begin at
the entry itself.
"""

from datetime import UTC, date, datetime, time

import numpy as np
import polars as pl

from fedelta.features.annotate import annotate
from fedelta.features.cutoffs import Cutoff
from fedelta.features.history import DAY_US, History
from fedelta.features.kernel import KernelSettings, features_at
from fedelta.features.labels import outcomes_of
from fedelta.features.visibility import KNOWN_AT

KEYS = ("customer_id", "treated_at")  # of an entry


def outcomes_after(
    events: pl.DataFrame, entries: pl.DataFrame, settings: KernelSettings, horizon_days: int
) -> pl.DataFrame:
    """What happened in ``[treated_at, treated_at + horizon_days)``: the columns of `features.labels.outcomes_of`.

    Parameters
    ----------
    events : DataFrame
        Interactions of whole customers, sorted by customer, time and id.
    entries : DataFrame with the columns `KEYS`
        Of customers with events or without, in any order.

    Returns
    -------
    DataFrame of shape (n_entries, 2 + n_outcomes)
        In the order of `entries`. What happened counts when it happened, whenever it became known; a customer without
        events has zeros.
    """
    measures = outcomes_of(settings.relationship)
    named = {root for measure in measures.values() for root in measure.value.meta.root_names()}
    annotated = annotate(
        events.drop(KNOWN_AT, strict=False),
        settings.experience,
        settings.digital_channels,
        named,
        settings.relationship,
    )
    history = History.of(annotated, tuple(measures.values()))
    numbers = pl.DataFrame({"customer_id": history.customer_ids}).with_row_index("number")
    number = entries.join(numbers, on="customer_id", how="left", maintain_order="left")["number"]
    has_events = number.is_not_null().to_numpy()
    customer = number.fill_null(0).to_numpy().astype(np.int64)
    begin = entries["treated_at"].dt.epoch("us").to_numpy()
    instants = [begin, begin + horizon_days * DAY_US]
    # One number for customer and time, in which the events ascend.
    times = np.unique(np.concatenate([history.at, *instants]))
    placed = history.customer * len(times) + np.searchsorted(times, history.at)
    first, last = (np.searchsorted(placed, customer * len(times) + np.searchsorted(times, at)) for at in instants)
    return entries.select(KEYS).with_columns(
        pl.Series(name, np.where(has_events, total[last] - total[first], 0) / max(measure.scale, 1))
        for name, measure in measures.items()
        for total in [history.total(measure)]
    )


def features_before(
    events: pl.DataFrame, entries: pl.DataFrame, settings: KernelSettings, horizon_days: int
) -> pl.DataFrame:
    """Features of customers at the midnight before each of their entries; none of who had no history by then.

    Returns
    -------
    DataFrame of shape (n_entries_with_history, ...)
        `KEYS` and the columns of `features.kernel.features_at`.
    """
    days = entries.select(KEYS).unique().with_columns(day=pl.col("treated_at").dt.date())
    tables = []
    for (day,), there in sorted(days.group_by("day"), key=lambda item: item[0]):
        mine = events.filter(pl.col("customer_id").is_in(there["customer_id"].implode()))
        table, _ = features_at(mine, (_cutoff(day, horizon_days),), settings)
        tables.append(there.select(KEYS).join(table, on="customer_id", how="inner").sort(*KEYS))
    return (
        pl.concat(tables)
        if tables
        else pl.DataFrame(schema={"customer_id": pl.String, "treated_at": pl.Datetime("us", "UTC")})
    )


def _cutoff(day: object, horizon_days: int) -> Cutoff:
    assert isinstance(day, date)
    return Cutoff(datetime.combine(day, time(), UTC), horizon_days, 0, "score")
