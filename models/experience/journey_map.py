"""The journey map: touchpoints, where customers go from each, where they stop, what goes badly; and the channels.

A touchpoint is a kind of interaction and how it was met, digitally or physically. Everything is counted per bucket of
whole customers, and the counts of buckets add up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from fedelta.features.history import DAY_US
from fedelta.features.journeys import OURS

ALL = "all"  # the map of every journey
TOUCHPOINTS = 15  # most frequent ones of a map
TRANSITIONS = 40
RECENT_DAYS = 90
_PER_OCTAVE = 16  # gaps are counted on a scale of logarithms, so that a median is exact to 2.2%
_MINUTES_PER_DAY = 1440


@dataclass(frozen=True)
class Touchpoint:
    """What happens at a touchpoint, and after it."""

    touchpoint: str
    interactions: int
    customers: int
    bad_share: float
    watched: int  # interactions early enough to see whether the customer went on
    drop_off: float | None  # share of them after which the customer did nothing more in time; None: none watched


@dataclass(frozen=True)
class Transition:
    """From one touchpoint of a customer to their next."""

    touchpoint: str
    next: str
    times: int
    share: float  # of all that followed the touchpoint
    median_days: float


@dataclass(frozen=True)
class JourneyMap:
    """One journey: its most frequent touchpoints and the ways between them, most frequent first."""

    journey: str
    interactions: int
    customers: int
    bad_share: float
    touchpoints: Sequence[Touchpoint]
    transitions: Sequence[Transition]
    touchpoints_left_out: int
    transitions_left_out: int


@dataclass(frozen=True)
class Channel:
    """What goes through a channel; `touch` is digital, physical or, where the channel is unknown, None."""

    channel: str
    touch: str | None
    interactions: int
    customers: int
    bad: int
    bad_share: float | None
    recent: int  # interactions of the last 90 days
    before: int  # and of the 90 days before


def visited(events: pl.DataFrame, as_of: datetime, drop_days: int) -> pl.DataFrame:
    """Counts of a bucket per journey and touchpoint (null: the whole journey), for `journey_maps`.

    `events` are annotated interactions before `as_of` with a `journey`, sorted by customer, time and id. A customer
    stops at a touchpoint who does nothing of their own doing in the `drop_days` after it (messages and deliveries do
    not count); one less than `drop_days` before `as_of` tells nothing.
    """
    stops = events.select(
        "customer_id",
        "journey",
        _touchpoint(),
        bad=pl.col("severity") > 0,
        watched=pl.col("occurred_at") <= as_of - timedelta(days=drop_days),
        stopped=pl.Series(_stopped(events, drop_days)),
    )
    sums = (
        pl.len().cast(pl.Int64).alias("interactions"),
        pl.col("customer_id").n_unique().cast(pl.Int64).alias("customers"),
        pl.col("bad").sum().cast(pl.Int64),
        pl.col("watched").sum().cast(pl.Int64),
        (pl.col("watched") & pl.col("stopped")).sum().cast(pl.Int64).alias("stopped"),
    )
    whole = pl.lit(None, pl.String)
    return pl.concat(
        stops.with_columns(journey=journey, touchpoint=touchpoint).group_by("journey", "touchpoint").agg(sums)
        for journey in (pl.lit(ALL), pl.col("journey").cast(pl.String))
        for touchpoint in (pl.col("touchpoint"), whole)
    )


def moved(events: pl.DataFrame) -> pl.DataFrame:
    """Counts of a bucket per journey, touchpoint, the customer's next touchpoint and time between, for `journey_maps`.

    A move belongs to the journey it starts in.
    """
    steps = events.select("customer_id", pl.col("journey").cast(pl.String), "occurred_at", _touchpoint())
    gap = (pl.col("then") - pl.col("occurred_at")).dt.total_minutes()
    moves = (
        steps.with_columns(next=pl.col("touchpoint").shift(-1), then=pl.col("occurred_at").shift(-1))
        .filter(pl.col("customer_id") == pl.col("customer_id").shift(-1))
        .with_columns(gap=(_PER_OCTAVE * (gap + 1).log(2)).floor().cast(pl.Int32))
    )
    keys = ("journey", "touchpoint", "next", "gap")
    return pl.concat(
        moves.with_columns(journey=journey).group_by(keys).agg(times=pl.len().cast(pl.Int64))
        for journey in (pl.lit(ALL), pl.col("journey"))
    )


def journey_maps(visits: Sequence[pl.DataFrame], moves: Sequence[pl.DataFrame]) -> list[JourneyMap]:
    """The map of all journeys and of each that occurs, by name, from the counts of all buckets."""
    keys = ("journey", "touchpoint")
    stops = pl.concat(visits).drop_nulls("journey").group_by(keys).agg(pl.all().sum())
    steps = pl.concat(moves).drop_nulls("journey").group_by(*keys, "next", "gap").agg(pl.col("times").sum())
    return [
        _map(str(name), stops.filter(pl.col("journey") == name), steps.filter(pl.col("journey") == name))
        for name in stops["journey"].unique().sort()
    ]


def through(events: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """Counts of a bucket per channel, for `channels`."""
    age = as_of - pl.col("occurred_at")
    period = timedelta(days=RECENT_DAYS)
    return events.group_by("channel").agg(
        interactions=pl.len().cast(pl.Int64),
        customers=pl.col("customer_id").n_unique().cast(pl.Int64),
        bad=(pl.col("severity") > 0).sum().cast(pl.Int64),
        recent=(age <= period).sum().cast(pl.Int64),
        before=((age > period) & (age <= 2 * period)).sum().cast(pl.Int64),
    )


def channels(counts: Sequence[pl.DataFrame], touches: Mapping[str, str]) -> list[Channel]:
    """Every channel of `touches` (name: digital or physical), used or not, in its order; then "unknown" if there is."""
    total = pl.concat(counts).group_by("channel").agg(pl.all().sum()).rows_by_key("channel", named=True, unique=True)
    names = [*touches, *([None] if None in total else [])]
    return [_channel(name, touches, total.get(name)) for name in names]


def _touchpoint() -> pl.Expr:
    touch = pl.when("is_digital").then(pl.lit(" (digital)")).when(~pl.col("is_digital")).then(pl.lit(" (physical)"))
    return (pl.col("kind") + touch.otherwise(pl.lit(""))).alias("touchpoint")


def _stopped(events: pl.DataFrame, drop_days: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether the customer did nothing of their own doing in the days after each event."""
    at = events["occurred_at"].dt.epoch("us").to_numpy()
    customer = events["customer_id"].rle_id().to_numpy()
    acts = np.flatnonzero(~events["kind"].is_in(OURS).to_numpy())
    place = np.searchsorted(acts, np.arange(len(at)), side="right")
    following = np.append(acts, -1)[place]
    found = (place < len(acts)) & (customer[following] == customer) if len(at) else np.zeros(0, np.bool_)
    return np.asarray(~found | (at[following] - at > drop_days * DAY_US), np.bool_)


def _map(name: str, stops: pl.DataFrame, steps: pl.DataFrame) -> JourneyMap:
    whole = stops.filter(pl.col("touchpoint").is_null()).row(0, named=True)
    ranked = stops.drop_nulls("touchpoint").sort("interactions", "touchpoint", descending=[True, False])
    pairs = (
        steps.sort("gap")
        .group_by("touchpoint", "next", maintain_order=True)
        .agg(pl.col("times").sum(), _median_days())
        .with_columns(share=pl.col("times") / pl.col("times").sum().over("touchpoint"))
        .sort("times", "touchpoint", "next", descending=[True, False, False])
    )
    return JourneyMap(
        journey=name,
        interactions=whole["interactions"],
        customers=whole["customers"],
        bad_share=whole["bad"] / whole["interactions"],
        touchpoints=[_stop(**row) for row in ranked.drop("journey").head(TOUCHPOINTS).iter_rows(named=True)],
        transitions=[Transition(**row) for row in pairs.head(TRANSITIONS).iter_rows(named=True)],
        touchpoints_left_out=max(len(ranked) - TOUCHPOINTS, 0),
        transitions_left_out=max(len(pairs) - TRANSITIONS, 0),
    )


def _median_days() -> pl.Expr:
    """Median of gaps counted by bin, ascending: the middle of the bin that holds it."""
    half = pl.col("times").cum_sum() * 2 >= pl.col("times").sum()
    middle = (pl.col("gap").filter(half).first() + 0.5) / _PER_OCTAVE
    return ((pl.lit(2.0).pow(middle) - 1) / _MINUTES_PER_DAY).alias("median_days")


def _stop(touchpoint: str, interactions: int, customers: int, bad: int, watched: int, stopped: int) -> Touchpoint:
    drop_off = stopped / watched if watched else None
    return Touchpoint(touchpoint, interactions, customers, bad / interactions, watched, drop_off)


def _channel(name: str | None, touches: Mapping[str, str], row: Mapping[str, int] | None) -> Channel:
    counts = row or dict.fromkeys(("interactions", "customers", "bad", "recent", "before"), 0)
    share = counts["bad"] / counts["interactions"] if counts["interactions"] else None
    return Channel(channel=name or "unknown", touch=touches.get(name or ""), bad_share=share, **counts)
