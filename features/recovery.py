"""Which resolved contact makes good which bad experience, and how long that took."""

import numpy as np
import polars as pl

from fedelta.features.history import Integers

_HOUR_US = 3_600_000_000
_RECOVERED = pl.Schema({"row": pl.Int64(), "by": pl.Int64(), "hours": pl.Float64()})


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
    if not events["severity"].max() or not events["resolved"].any():
        return _RECOVERED.to_frame()
    marked = events.select(_MARKED)
    bad, resolves = np.flatnonzero(marked["bad"].to_numpy()), np.flatnonzero(marked["resolves"].to_numpy())
    if not len(bad) or not len(resolves):
        return _RECOVERED.to_frame()
    customer = np.cumsum(marked["opens"].to_numpy())
    topic, at = marked["topic"].to_numpy(), marked["at"].to_numpy()
    known = topic >= 0
    contact = marked["contact"].to_numpy()[bad] & known[bad]
    on_any = _first(bad, customer, resolves)
    by = on_any
    if contact.any():
        width = int(topic.max()) + 1
        on_topic = _first(bad, customer * width + topic, resolves[known[resolves]])
        on_none = _first(bad, customer, resolves[~known[resolves]])
        by = np.where(contact, np.minimum(on_topic, on_none), on_any)
    found = by < len(events)
    row, by = bad[found], by[found]
    elapsed = (at[by] - at[row]) / _HOUR_US
    hours = np.where(by == row, marked["waited"].to_numpy()[row], elapsed)
    soon = hours <= 24 * recovery_days
    return pl.DataFrame({"row": row[soon], "by": by[soon], "hours": hours[soon]}, schema=_RECOVERED)


_contact = pl.col("kind").cast(pl.String).is_in(["contact", "complaint"])
_MARKED = [
    pl.col("topic").cast(pl.Categorical).to_physical().cast(pl.Int64).fill_null(-1).alias("topic"),
    pl.col("occurred_at").dt.epoch("us").alias("at"),
    (pl.col("customer_id") != pl.col("customer_id").shift(1)).fill_null(True).alias("opens"),
    _contact.alias("contact"),
    (pl.col("severity") > 0).alias("bad"),
    (_contact & pl.col("resolved").fill_null(False)).alias("resolves"),
    pl.when(pl.col("wait_hours").is_finite()).then(pl.col("wait_hours").clip(0)).otherwise(0.0).alias("waited"),
]


def _first(rows: Integers, group: Integers, among: Integers) -> Integers:
    """The first of the rows `among` that is the row itself or later, and of its group; beyond the last where none is.

    `group` is of every event.
    """
    n = len(group)
    keys = np.sort(group[among] * n + among)
    asked = group[rows] * n + rows
    place = np.searchsorted(keys, asked)
    nearest = np.append(keys, -1)[place]
    return np.where((place < len(keys)) & (nearest // n == group[rows]), nearest % n, n)
