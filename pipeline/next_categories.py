"""The categories recommended to each customer: purchases of a bucket in, what the delivered model says of them out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path

import polars as pl

from fedelta.features.categories import COLUMNS, categories_at, purchases_by_category
from fedelta.features.contract import SCORES, NextStatus
from fedelta.models.next_purchase.model import NextModel
from fedelta.models.next_purchase.recommendations import recommend
from fedelta.models.next_purchase.rows import Rows
from fedelta.models.next_purchase.storage import load_next
from fedelta.pipeline import paths
from fedelta.pipeline.buckets.shuffle import Bucket, bounded_buckets

_AT_ONCE = 20_000  # customers recommended to at a time
NO_CATEGORIES: NextStatus = "no_categories"
NO_PURCHASE: NextStatus = "no_purchase_yet"


@dataclass(frozen=True)
class Look:
    """A cutoff, and how far ahead is looked from it."""

    at: datetime
    horizon_days: int
    lead_days: int

    @property
    def horizon(self) -> tuple[datetime, datetime]:
        """First instant of the horizon, and the first after it."""
        begin = self.at + timedelta(days=self.lead_days)
        return begin, begin + timedelta(days=self.horizon_days)

    @property
    def keys(self) -> dict[str, object]:
        """The columns of a row's keys besides its customer."""
        at = self.at.replace(tzinfo=None)
        return {"cutoff": at, "horizon_days": self.horizon_days, "lead_days": self.lead_days}


def recommendations(
    interactions: Path, as_of: datetime, number: int, each: Callable[..., Iterator[list[pl.DataFrame]]] = map
) -> tuple[Iterator[pl.DataFrame], NextStatus]:
    """What the delivered model recommends to each customer of some interactions, in so many buckets.

    `each` applies a function to every bucket, as `map` does.

    Returns
    -------
    frames : iterator of DataFrame
        customer_id, next_categories (`features.contract.SCORES`), of those who had bought of a category, one frame
        after the other; the first is empty.
    status : NextStatus
        Of the others.
    """
    model, reason = load_next(paths.NEXT_DELIVERED)
    nobody = pl.DataFrame(schema={name: SCORES[name] for name in ("customer_id", "next_categories")})
    if model is None:
        return iter([nobody]), reason or NO_CATEGORIES
    found = each(partial(_recommended, model, as_of), bounded_buckets(interactions, number))
    return chain([nobody], chain.from_iterable(found)), NO_PURCHASE


def next_categories(interactions: Path, as_of: datetime, number: int) -> tuple[pl.DataFrame, NextStatus]:
    """All `recommendations` in one frame."""
    found, status = recommendations(interactions, as_of, number)
    return pl.concat(found), status


def _recommended(model: NextModel, as_of: datetime, bucket: Bucket) -> list[pl.DataFrame]:
    """What is recommended to the customers of a bucket, some at a time."""
    keys, found = Look(as_of, model.horizon_days, model.lead_days).keys, []
    purchases = purchases_in(bucket)
    ids = purchases["customer_id"].unique().sort()
    for start in range(0, len(ids), _AT_ONCE):
        some = purchases.filter(pl.col("customer_id").is_in(ids.slice(start, _AT_ONCE).implode()))
        view = categories_at(some, model.categories, as_of)
        if len(view.customer_ids):
            found.append(recommend(model, Rows.of([(view, keys)])))
    return found


def purchases_in(bucket: Bucket) -> pl.DataFrame:
    """The purchases by category of a bucket's customers; none where there are no interactions at all."""
    if not any(bucket.folder.glob("*.parquet")):
        return pl.DataFrame(schema=_PURCHASES)
    return purchases_by_category(bucket.read(COLUMNS))


_PURCHASES = pl.Schema(
    {
        "customer_id": pl.String(),
        "occurred_at": pl.Datetime("us", "UTC"),
        "known_at": pl.Datetime("us", "UTC"),
        "category": pl.String(),
    }
)
