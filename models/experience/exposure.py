"""What customers went through: touchpoints that exercise a pillar or level, and how many were good; sums that add up.

A touchpoint exercises a pillar where one of the pillar's rules could have been broken; it is bad where one was, else
good. `experience` counts every pillar a touchpoint exercises, so pillars weigh by their touchpoints.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl

from fedelta.features.contract import LEVELS, PILLARS
from fedelta.models.experience.shrinkage import Integers

EXPERIENCE = "experience"
DIMENSIONS = (*PILLARS, *LEVELS, EXPERIENCE)

TREND_DAYS = 90


class Key(NamedTuple):
    """Whose experience of what: a segmentation ("base" for everyone), one of its values, a dimension."""

    segment: str
    value: str
    dimension: str


@dataclass(frozen=True)
class Tally:
    """Sums over the customers of a group, of the six counts of each and of their products two by two.

    The counts: touchpoints and good ones ever, in the last 90 days, in the 90 before. Tallies of buckets add up, and
    give the sampling variance of any ratio of counts with customers as clusters.
    """

    customers: int  # with a touchpoint
    sums: Integers  # (6,)
    products: Integers  # (6, 6)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.customers + other.customers, self.sums + other.sums, self.products + other.products)


def tally(touchpoints: pl.DataFrame, as_of: datetime, segments: Sequence[str] = ()) -> dict[Key, Tally]:
    """What the customers of one bucket went through before `as_of`, for everyone and by the values of `segments`.

    Parameters
    ----------
    touchpoints : DataFrame
        customer_id, occurred_at, `{name}_exercised` and `{name}_bad` of every pillar and level (0 or 1), and a column
        of text per segmentation; a null belongs to no segment.
    """
    counted = touchpoints.select("customer_id", *segments, *_counts(as_of))
    found: dict[Key, Tally] = {}
    for segment in (None, *segments):
        by = ["customer_id"] if segment is None else ["customer_id", segment]
        sums = counted.group_by(by, maintain_order=True).agg(pl.exclude("customer_id", *segments).sum())
        if segment is None:
            found |= _tallied(sums.drop("customer_id"), "base", "all")
            continue
        parts = sums.drop("customer_id").drop_nulls(segment).partition_by(segment, as_dict=True, include_key=False)
        for (value,), part in parts.items():
            found |= _tallied(part, segment, str(value))
    return found


def added(buckets: Iterable[Mapping[Key, Tally]]) -> dict[Key, Tally]:
    """The tallies of all buckets, in the order of their keys."""
    total: dict[Key, Tally] = {}
    for bucket in buckets:
        for key, held in bucket.items():
            total[key] = total[key] + held if key in total else held
    return dict(sorted(total.items()))


def customer_counts(touchpoints: pl.DataFrame) -> pl.DataFrame:
    """`{name}_n` and `{name}_good` of every pillar and level, one row per customer with an interaction, by id."""
    return touchpoints.group_by("customer_id").agg(_CUSTOMER_COUNTS).sort("customer_id")


def _good(name: str) -> pl.Expr:
    return pl.col(f"{name}_exercised").cast(pl.Int64) - pl.col(f"{name}_bad").cast(pl.Int64)


_CUSTOMER_COUNTS = [
    count
    for name in (*PILLARS, *LEVELS)
    for count in (
        pl.col(f"{name}_exercised").cast(pl.Int64).sum().alias(f"{name}_n"),
        _good(name).sum().alias(f"{name}_good"),
    )
]


def _counts(as_of: datetime) -> list[pl.Expr]:
    """The six counts of every dimension at every touchpoint, in the order of `DIMENSIONS`."""
    age, days = as_of - pl.col("occurred_at"), timedelta(days=TREND_DAYS)
    periods = {"ever": age > timedelta(0), "recent": age.is_between(timedelta(0), days, closed="right")}
    periods["before"] = age.is_between(days, 2 * days, closed="right")
    return [
        pl.when(period).then(count).otherwise(0).alias(f"{name}_{kind}_{when}")
        for name in DIMENSIONS
        for when, period in periods.items()
        for kind, count in zip(("n", "good"), _dimension(name), strict=True)
    ]


def _dimension(name: str) -> tuple[pl.Expr, pl.Expr]:
    names = PILLARS if name == EXPERIENCE else (name,)
    exercised = pl.sum_horizontal(pl.col(f"{each}_exercised").cast(pl.Int64) for each in names)
    return exercised, pl.sum_horizontal(_good(each) for each in names)


def _tallied(sums: pl.DataFrame, segment: str, value: str) -> dict[Key, Tally]:
    """Tallies of the customers of one segment; `sums` holds their counts and nothing else."""
    counts = sums.to_numpy().astype(np.int64).reshape(len(sums), len(DIMENSIONS), 6)
    products = np.einsum("mdi,mdj->dij", counts, counts)
    customers = (counts[:, :, 0] > 0).sum(axis=0)
    return {
        Key(segment, value, name): Tally(int(customers[d]), counts[:, d].sum(axis=0), products[d])
        for d, name in enumerate(DIMENSIONS)
        if customers[d]
    }
