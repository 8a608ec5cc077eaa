"""Which resolved contact makes good which bad experience, and how long that took."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from fedelta.features.few_events import FewEvents
from fedelta.features.history import Booleans, Integers

_HOUR_US = 3_600_000_000
CONTACTS = ("contact", "complaint")


@dataclass(frozen=True)
class Recovered:
    """Bad experiences that were made good (n_recovered,).

    `row` of the bad experience, ascending; `by`, the row of the contact that recovered it; `hours` between them, or the
    contact's own wait for an answer (0 where unknown) if it was the bad experience itself.
    """

    row: Integers
    by: Integers
    hours: npt.NDArray[np.float64]


_NOTHING = Recovered(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


def recoveries(events: pl.DataFrame, recovery_days: float) -> pl.DataFrame:
    """What `recovered` finds, as a table with a row for each: `row`, `by`, `hours`."""
    found = recovered(events, recovery_days)
    return pl.DataFrame({"row": found.row, "by": found.by, "hours": found.hours})


def recovered(events: pl.DataFrame, recovery_days: float) -> Recovered:
    """What was made good of the bad experiences of whole customers.

    A bad experience is recovered by the customer's first resolved contact or complaint from it on, itself included, if
    that took at most `recovery_days`. A contact or complaint with a topic is recovered only by one on that topic or on
    none; any other experience by whichever comes first, because the topic of a parcel (what is in it) and that of a
    contact (what it is about) are different words.

    `events` are interactions sorted by customer, time and id, with `severity`.
    """
    if not events["severity"].max() or not events["resolved"].any():
        return _NOTHING
    marked = {column.name: column.to_numpy() for column in events.select(_MARKED)}
    return _recovered(_Marked(customer=np.cumsum(marked.pop("opens")), **marked), recovery_days)


def recovered_few(events: FewEvents, severity: Integers, recovery_days: float) -> Recovered:
    """The same of few events, whose severity is given."""
    bad, resolved = severity > 0, events["resolved"].values
    if not bad.any() or not resolved.any():
        return _NOTHING
    starts, waited, contact = events.starts, events["wait_hours"].values, events["kind"].among(CONTACTS)
    marked = _Marked(
        customer=np.repeat(np.arange(len(starts) - 1), np.diff(starts)),
        topic=events["topic"].values,
        at=events["occurred_at"].values,
        contact=contact,
        bad=bad,
        resolves=contact & resolved,
        waited=np.where(np.isfinite(waited), waited.clip(0), 0.0),
    )
    return _recovered(marked, recovery_days)


@dataclass(frozen=True)
class _Marked:
    """What is to be known of every event (n_events,)."""

    customer: Integers  # a number
    topic: Integers  # a number; -1 without one
    at: Integers  # µs
    contact: Booleans
    bad: Booleans
    resolves: Booleans
    waited: npt.NDArray[np.float64]  # hours for an answer


def _recovered(marked: _Marked, recovery_days: float) -> Recovered:
    bad, resolves = np.flatnonzero(marked.bad), np.flatnonzero(marked.resolves)
    if not len(bad) or not len(resolves):
        return _NOTHING
    customer, topic, at = marked.customer, marked.topic, marked.at
    known = topic >= 0
    contact = marked.contact[bad] & known[bad]
    on_any = _first(bad, customer, resolves)
    by = on_any
    if contact.any():
        width = int(topic.max()) + 1
        on_topic = _first(bad, customer * width + topic, resolves[known[resolves]])
        on_none = _first(bad, customer, resolves[~known[resolves]])
        by = np.where(contact, np.minimum(on_topic, on_none), on_any)
    found = by < len(at)
    row, by = bad[found], by[found]
    elapsed = (at[by] - at[row]) / _HOUR_US
    hours = np.where(by == row, marked.waited[row], elapsed)
    soon = hours <= 24 * recovery_days
    return Recovered(row[soon], by[soon], hours[soon])


_contact = pl.col("kind").cast(pl.String).is_in(list(CONTACTS))
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
