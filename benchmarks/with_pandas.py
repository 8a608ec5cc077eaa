"""The pandas contender: `groupby` over events, or their sums per customer and day or period; ids as codes or text."""

from collections.abc import Mapping
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.compared import (
    CHANNEL_TOTALS,
    COMPARED,
    COUNTS,
    EARLIEST,
    FORMULAS,
    LATEST,
    SUMS,
    WINDOW_DAYS,
    Quotient,
    total_name,
    totals,
)
from benchmarks.task import Task, asked, instant
from fedelta.features.contract import CHANNELS, DIGITAL_CHANNELS
from fedelta.features.history import DAY_US

_READ = ("kind", "channel", "amount", "rating", "resolved", "wait_hours", "delay_hours", "effort")


def main(task: Task) -> None:
    """Write the features to the task's folder, one file per cutoff."""
    events, customers = _plain_events(task) if task.partial.startswith("plain") else _events(task)
    rows = _measured(events, task)
    del events
    if task.partial in ("plain-day", "day", "period"):
        rows = _partial(rows)
    for cutoff in task.cutoffs:
        _features(rows, customers, cutoff).to_parquet(
            task.table(cutoff), compression="lz4", index=False, write_statistics=False
        )


def _events(task: Task) -> tuple[pd.DataFrame, pd.Index]:
    """What the features read of an event, with `us` and `day`; customers by number, and their ids."""
    names = ["customer_id", "kind", "channel"]
    table = pq.read_table(task.events, columns=["customer_id", "occurred_at", *_READ], read_dictionary=names)
    for name, *kinds in (
        ("occurred_at", pa.int64()),
        ("amount", pa.float64()),
        ("resolved", pa.uint8(), pa.float32()),
    ):
        column = table.column(name)
        for kind in kinds:
            column = column.cast(kind)
        table = table.set_column(table.column_names.index(name), name, column)
    events = table.unify_dictionaries().to_pandas(self_destruct=True)
    customer = events.pop("customer_id").cat
    events["customer"] = customer.codes
    events["day"] = (events.occurred_at // DAY_US).astype("int32")
    return events[events.day < max(task.cutoffs)].rename(columns={"occurred_at": "us"}), customer.categories


def _counted(events: pd.DataFrame, severities: Mapping[str, int]) -> dict[str, pd.Series]:
    """Where each predicate of the comparison holds, and `severity`: the same as the SQL, in pandas' words."""
    kind, channel, rating = events.kind, events.channel, events.rating
    contact = kind.isin(["contact", "complaint"])
    kinds = {name: kind == name for name, sql in COUNTS.items() if sql == f"kind = '{name}'"}
    severity = _severity(events, severities)
    return {
        **kinds,
        "enrolment": kind == "enrolment",
        "contact": contact,
        "severity": severity,
        "bad": severity > 0,
        "unresolved": contact & (events.resolved == 0),
        "late": events.delay_hours > 24,
        "delay_known": events.delay_hours.notna(),
        "wait_known": events.wait_hours.notna(),
        "effort_known": events.effort.notna(),
        "rated": rating.notna(),
        "low_rating": rating <= 0.4,
        "channel_known": channel.notna(),
        "digital": channel.isin(DIGITAL_CHANNELS),
        **{f"channel_{name}": channel == name for name in CHANNELS},
    }


def _severity(events: pd.DataFrame, severities: Mapping[str, int]) -> pd.Series:
    """Severity of the gravest rule an event broke. A new rule needs words here."""
    kind, rating = events.kind, events.rating
    contact = kind.isin(["contact", "complaint"])
    broken = {
        "kind = 'delivery' AND delay_hours > 24": (kind == "delivery") & (events.delay_hours > 24),
        "kind IN ('contact', 'complaint') AND NOT resolved": contact & (events.resolved == 0),
        "kind IN ('contact', 'complaint') AND wait_hours > 48": contact & (events.wait_hours > 48),
        "effort > 0.7": events.effort > 0.7,
        "kind = 'complaint'": kind == "complaint",
        "kind IN ('survey', 'delivery', 'contact') AND rating <= 0.4": kind.isin(["survey", "delivery", "contact"])
        & (rating <= 0.4),
        "kind = 'review' AND rating <= 0.4": (kind == "review") & (rating <= 0.4),
        "kind = 'error'": kind == "error",
        "kind = 'outage'": kind == "outage",
        "kind = 'return'": kind == "return",
    }
    severity = np.zeros(len(events), np.int8)
    for when, points in severities.items():
        np.maximum(severity, broken[when].to_numpy() * np.int8(points), out=severity)
    return pd.Series(severity, index=events.index)


def _measured(events: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Every measure of each event; a period is a day, but for partial sums over periods."""
    counted = _counted(events, task.severities)
    purchase = counted["purchase"]
    begins = np.array([0, *task.edges], np.int32)
    period = begins[np.searchsorted(begins, events.day, side="right") - 1] if task.partial == "period" else events.day
    first_today = ~pd.DataFrame({"customer": events.customer, "day": events.day})[purchase].duplicated()
    spend = events.amount.where(purchase)
    summed = {
        "interaction": np.ones(len(events), np.int8),
        "purchase_day": first_today.reindex(events.index, fill_value=False),
        **{name: counted[name] for name in (*COUNTS, "severity")},
        "spend": spend,
        "returned_value": events.amount.where(counted["return"]),
        **{name: events[SUMS[name][0]] for name in ("delay", "wait", "effort", "rating")},
    }
    times = {
        name: events.us if mark == "interaction" else events.us.where(counted[mark])
        for name in (*LATEST, *EARLIEST)
        for mark in [name.partition("_")[2]]
    }
    keys = {"customer": events.customer, "period": period}
    return pd.DataFrame({**keys, **summed, **times, "max_spend": spend}, copy=False)


def _partial(rows: pd.DataFrame) -> pd.DataFrame:
    """Every measure summed up per customer and period."""
    groups = rows.groupby(["customer", "period"], sort=False)
    sums = groups[["interaction", "purchase_day", *COUNTS, *SUMS]].sum()
    return pd.concat([sums, groups[[*LATEST, "max_spend"]].max(), groups[list(EARLIEST)].min()], axis=1).reset_index()


def _plain_events(task: Task) -> tuple[pd.DataFrame, None]:
    """The same as `read_parquet` gives it: customers by their text, decimals as objects made floats."""
    events = pd.read_parquet(task.events, columns=["customer_id", "occurred_at", *_READ])
    events["amount"] = events.amount.astype(float)
    events["resolved"] = events.resolved.astype(float)
    events["us"] = events.pop("occurred_at").dt.tz_convert(None).astype("int64")
    events["day"] = (events.us // DAY_US).astype("int32")
    return events[events.day < max(task.cutoffs)].rename(columns={"customer_id": "customer"}), None


def _features(rows: pd.DataFrame, customers: pd.Index | None, cutoff: int) -> pd.DataFrame:
    """The features of the customers seen before one cutoff."""
    past = rows.period < cutoff
    before = rows.loc[past, ["customer", "max_spend", *LATEST, *EARLIEST]]
    groups = before.groupby("customer", sort=False)
    known = [groups[list(LATEST)].max(), groups[list(EARLIEST)].min(), groups[["max_spend"]].max().fillna(0)]
    for days in (None, *WINDOW_DAYS):
        measures = {measure: total_name(measure, days) for measure, window in totals() if window == days}
        within = past if days is None else past & (rows.period >= cutoff - days)
        sums = rows.loc[within, ["customer", *measures]].groupby("customer", sort=False)[list(measures)].sum()
        known.append(sums.rename(columns=measures).reindex(known[0].index, fill_value=0))
    table = pd.concat(known, axis=1).assign(cutoff=cutoff * DAY_US)
    values = {feature.name: _value(table, feature.name) for feature in COMPARED}
    at = pd.Timestamp(instant(cutoff)).as_unit("us")
    ids = table.index if customers is None else customers.take(table.index.to_numpy())
    keys = {"customer_id": ids, "cutoff": at}
    dtypes = {feature.name: str(feature.dtype).lower() for feature in COMPARED}
    return pd.DataFrame({**keys, **values}, index=table.index).astype(dtypes)


def _value(table: pd.DataFrame, name: str) -> pd.Series:
    channels, known = table[list(CHANNEL_TOTALS)], table.channel_known_365d
    if name == "channel_count_365d":
        return (channels > 0).sum(axis=1)
    if name == "channel_entropy_365d":
        shares = channels.div(known.where(known > 0), axis=0)
        return -(shares * np.log2(shares.where(shares > 0, 1))).sum(axis=1, skipna=False)
    formula = FORMULAS[name]
    if isinstance(formula, Quotient):
        quotient = cast("pd.Series", table.eval(f"({formula.above}) / ({formula.below})"))
        return quotient.replace([np.inf, -np.inf], np.nan)
    return table[formula]


if __name__ == "__main__":
    main(asked())
