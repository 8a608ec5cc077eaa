"""Interactions to measure with: seeded, as many as asked for, in random order, with the columns of the contract."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet as pq

from fedelta.features.contract import INTERACTIONS
from fedelta.features.history import DAY_US, Booleans, Integers

BEGINS = datetime(2024, 1, 1, tzinfo=UTC)
SPAN_DAYS = 730
EVENTS_PER_CUSTOMER = 50

_CHUNK_ROWS = 1_000_000
_KINDS = {
    "visit": 0.36, "purchase": 0.16, "message": 0.14, "delivery": 0.12, "response": 0.08, "contact": 0.05,
    "survey": 0.03, "error": 0.015, "complaint": 0.01, "return": 0.01, "review": 0.01, "enrolment": 0.005,
    "referral": 0.005, "outage": 0.002, "renewal": 0.001, "downgrade": 0.001, "cancellation": 0.001,
}  # fmt: skip
_CHANNELS = {
    "app": 0.24, "web": 0.24, "email": 0.2, "organic_search": 0.08, "store": 0.08, "direct": 0.05, "phone": 0.04,
    "paid_search": 0.02, "chat": 0.02, "social": 0.01, "display": 0.01, "partner": 0.005, "referral": 0.005,
}  # fmt: skip


def write_events(path: Path, number: int, seed: int = 7) -> None:
    """Write `number` interactions to one Parquet file, the rows of a customer scattered over all of it.

    Two years; some 50 interactions a customer, Gamma distributed (most have few, some have hundreds) between a day of
    arrival and one of falling silent.
    """
    customers = max(number // EVENTS_PER_CUSTOMER, 1)
    rng = np.random.default_rng(seed)
    activity = rng.gamma(0.8, 1, customers) + 0.02
    arrival = rng.uniform(0, 0.8 * SPAN_DAYS, customers)
    days = np.minimum(rng.exponential(1.5 * SPAN_DAYS, customers) + 1, SPAN_DAYS - arrival)
    reach = np.cumsum(activity * days)  # the longer a customer stays, the more there is of them
    part = path.with_suffix(".part")
    with pq.ParquetWriter(part, _events(rng, 0, arrival, days, reach).to_arrow().schema, compression="zstd") as writer:
        for first in range(0, number, _CHUNK_ROWS):
            rows = min(_CHUNK_ROWS, number - first)
            writer.write_table(_events(rng, rows, arrival, days, reach, first).to_arrow())
    part.replace(path)


def _events(
    rng: np.random.Generator,
    rows: int,
    arrival: npt.NDArray[np.float64],
    days: npt.NDArray[np.float64],
    reach: npt.NDArray[np.float64],
    first: int = 0,
) -> pl.DataFrame:
    customer = np.searchsorted(reach, rng.uniform(0, reach[-1], rows))
    since_begin = (arrival[customer] + rng.uniform(0, 1, rows) * days[customer]) * DAY_US
    at = int(BEGINS.timestamp()) * 1_000_000 + since_begin.astype(np.int64)
    kind, kinds = _drawn(rng, _KINDS, rows)
    channel, _ = _drawn(rng, _CHANNELS, rows)

    def of(*names: str, share: float = 1.0) -> Booleans:
        wanted = [list(_KINDS).index(name) for name in names]
        return np.asarray(np.isin(kinds, wanted) & (rng.uniform(0, 1, rows) < share))

    def only(values: npt.NDArray[np.generic], where: Booleans) -> pl.Series:
        return pl.select(pl.when(pl.Series(where)).then(pl.Series(values))).to_series()

    columns = {
        "interaction_id": pl.Series(np.arange(first, first + rows)).cast(pl.String).str.zfill(10),
        "customer_id": "c" + pl.Series(customer).cast(pl.String).str.zfill(8),
        "occurred_at": pl.Series(at).cast(pl.Datetime("us", "UTC")),
        "kind": kind,
        "channel": channel.set(pl.Series(rng.uniform(0, 1, rows) < 0.05), None),
        "amount": only(np.maximum(rng.lognormal(3.5, 1, rows).round(2), 0.01), of("purchase", "return")),
        "rating": only(rng.beta(4, 2, rows).round(1), of("survey", "delivery", "review", share=0.7)),
        "resolved": only(rng.uniform(0, 1, rows) < 0.8, of("contact", "complaint", share=0.95)),
        "wait_hours": only(rng.exponential(12, rows).round(2), of("contact", "complaint")),
        "delay_hours": only(rng.normal(-5, 20, rows).round(2), of("delivery")),
        "effort": only(rng.uniform(0, 1, rows).round(2), of("contact")),
        "reach": only(rng.integers(1, 500, rows), of("review")),
        "topic": pl.Series(np.array(["shoes", "coats", "toys", "books", "garden", "kitchen"])).gather(
            rng.integers(0, 6, rows)
        ),
        "margin": pl.repeat(None, rows, eager=True),
        "known_at": pl.repeat(None, rows, eager=True),
    }
    return pl.DataFrame(columns).cast(INTERACTIONS)


def _drawn(rng: np.random.Generator, shares: Mapping[str, float], rows: int) -> tuple[pl.Series, Integers]:
    """A name per row, and its number, drawn by share."""
    weights = np.array(list(shares.values()))
    number = np.searchsorted(np.cumsum(weights / weights.sum()), rng.uniform(0, 1, rows)).clip(max=len(weights) - 1)
    return pl.Series(list(shares), dtype=pl.String).gather(number), np.asarray(number, np.int64)
