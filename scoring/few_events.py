"""What a run counts over stored interactions in bulk, counted of the few of a request, where a query takes longer.

Each function is one of `features`, and tests hold them equal on any histories.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fedelta.features.attributes import Attribute
from fedelta.features.categories import SEPARATOR, CategoryView, view_of
from fedelta.features.contract import LEVELS, PILLARS
from fedelta.features.few_events import FewEvents
from fedelta.features.history import DAY_US
from fedelta.features.usual_channel import DAYS
from fedelta.models.scoring import Customers

# What Unicode calls white space, as Polars does; Python strips four control characters besides.
_BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def usual_channels(events: FewEvents, cutoff: datetime) -> dict[str, str]:
    """`features.usual_channel.usual_channels` of events that were all seen before the cutoff."""
    since = np.datetime64((cutoff - timedelta(days=DAYS)).replace(tzinfo=None), "us").astype(np.int64)
    met: dict[str, dict[str, tuple[int, int]]] = {}
    columns = (events.lists["customer_id"], events["occurred_at"].values.tolist(), events.texts("channel"))
    for customer, at, channel in zip(*columns, strict=True):
        if channel is not None and at >= since:
            times, last = met.setdefault(customer, {}).get(channel, (0, at))
            met[customer][channel] = times + 1, max(last, at)
    # Of the first by name, max takes the first that has most.
    return {customer: max(sorted(of), key=of.__getitem__) for customer, of in met.items()}


def margins_before(events: FewEvents) -> dict[str, tuple[float, float]]:
    """Amount and margin of `features.margins.margins_before`, by customer, of events that were all seen."""
    amounts, margins = events.cents("amount"), events.cents("margin")
    known = [one.known if one.known is not None else np.ones(len(events), np.bool_) for one in (amounts, margins)]
    counts = known[0] & known[1] & (amounts.values > 0) & events["kind"].among(("purchase",))
    sums: dict[str, tuple[int, int]] = {}
    ids = events.lists["customer_id"]
    for row in np.flatnonzero(counts).tolist():
        before = sums.get(ids[row], (0, 0))
        sums[ids[row]] = before[0] + int(amounts.values[row]), before[1] + int(margins.values[row])
    return {customer: (float(amount) / _UNITS, float(margin) / _UNITS) for customer, (amount, margin) in sums.items()}


_UNITS = 10_000  # as money is counted


def customer_counts(events: FewEvents, exercised: Mapping[str, npt.NDArray[np.bool_]]) -> dict[str, Any]:
    """`models.experience.exposure.customer_counts` of what `features.experience_rules.exercised_few` finds."""
    starts, ids = events.starts[:-1], events.lists["customer_id"]
    counts: dict[str, Any] = {"customer_id": [ids[row] for row in starts.tolist()]}
    for name in (*PILLARS, *LEVELS):
        n, bad = (np.add.reduceat(exercised[f"{name}_{kind}"], starts, dtype=np.int64) for kind in ("exercised", "bad"))
        counts |= {f"{name}_n": n, f"{name}_good": n - bad}
    return counts


def attributes_at(
    customer_ids: Sequence[str], customers: Customers, attributes: Sequence[Attribute], cutoff: datetime
) -> dict[str, npt.NDArray[Any]]:
    """`features.attributes.attributes_at` as models read it: NaN for null, None in text; what is lacking is unknown."""
    given = customers.to_dict() if isinstance(customers, pl.DataFrame) else customers
    places = {name: place for place, name in enumerate(given["customer_id"])}
    nothing = [None] * len(places)
    found: dict[str, npt.NDArray[Any]] = {}
    for one in attributes:
        dtype, kept = (pl.String, object) if one.type == "categorical" else (pl.Float64, np.float64)
        values = given.get(one.name, nothing)
        if isinstance(values, pl.Series):
            values = values.cast(dtype).to_list()
        if one.known_from is not None:
            since = given.get(one.known_from, nothing)
            values = [
                value if at is not None and at < cutoff else None for value, at in zip(values, since, strict=True)
            ]
        rows = [values[places[name]] if name in places else None for name in customer_ids]
        found[one.column] = np.array(rows, kept)
    return found


def categories_at(events: FewEvents, categories: Sequence[str], cutoff: datetime) -> CategoryView:
    """`features.categories.categories_at` of the purchases of events that were all seen before the cutoff."""
    numbers = {name: number for number, name in enumerate(categories)}
    articles: Counter[tuple[str, int, int]] = Counter()
    columns = (events.lists["customer_id"], events["occurred_at"].values.tolist(), events.lists["kind"])
    for customer, at, kind, topic in zip(*columns, events.texts("topic"), strict=True):
        if kind == "purchase" and topic is not None:
            for name in topic.split(SEPARATOR):
                if bare := name.strip(_BLANKS):
                    articles[customer, at // DAY_US, numbers.get(bare, -1)] += 1
    rows = sorted(articles.items(), key=itemgetter(0))
    ids = list(dict.fromkeys(customer for (customer, _, _), _ in rows))
    number = {customer: row for row, customer in enumerate(ids)}
    table = np.array([(number[customer], day, code, n) for (customer, day, code), n in rows], np.int64).reshape(-1, 4)
    whose, day, code, counts = table.T
    return view_of(pl.Series("customer_id", ids, pl.String), whose, day, code, counts, cutoff, len(categories))
