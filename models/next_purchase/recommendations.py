"""The three likeliest categories of each customer, with the reason in words."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from fedelta.features.contract import SCORES
from fedelta.models.next_purchase.associations import in_last
from fedelta.models.next_purchase.measures import TOP, ranked
from fedelta.models.next_purchase.model import NextModel
from fedelta.models.next_purchase.rows import Rows
from fedelta.models.table import Table

_RELEVANT = 1.15  # times as often as everybody: below, that two categories go together is not worth saying


def recommend(model: NextModel, rows: Rows) -> pl.DataFrame:
    """`recommendations` as a table: `customer_id` and `next_categories` of each row."""
    return pl.DataFrame(
        {
            "customer_id": pl.Series(Table.of(rows.keys)["customer_id"].tolist(), dtype=pl.String),
            "next_categories": pl.Series(recommendations(model, rows), dtype=SCORES["next_categories"]),
        }
    )


def recommendations(model: NextModel, rows: Rows) -> list[list[dict[str, Any]]]:
    """What each row's customer may buy of next, likeliest category first.

    A reason is what the customer did ("bought 3 times, last on 5 Dec 2024"), else what similar customers do ("who
    bought shoes buys it more often: 31% within 90 days, 12% of everybody"), else how many of all customers buy it.
    """
    forecast, found = model.forecast(rows), []
    cutoffs: list[datetime] = Table.of(rows.keys)["cutoff"].astype("M8[us]").tolist()
    order = ranked(forecast.score)[:, :TOP]
    for row, best in enumerate(order):
        found.append(
            [
                {
                    "category": model.categories[place],
                    "probability": float(forecast.probability[row, place]),
                    "reason": _reason(model, rows, row, int(place), cutoffs[row]),
                }
                for place in best
            ]
        )
    return found


def _reason(model: NextModel, rows: Rows, row: int, place: int, cutoff: datetime) -> str:
    count = int(rows.by_category["category_count"][row, place])
    if count:
        last = cutoff - timedelta(days=float(rows.by_category["days_since_category"][row, place]))
        return f"bought on {_day(last)}" if count == 1 else f"bought {_times(count)}, last on {_day(last)}"
    held, days = model.fitted.associations, f"{model.horizon_days} days"
    had = rows.by_category["category_count"][row] > 0
    for table, mask in ((held.after_last, in_last(rows)[row] > 0), (held.after, had)):
        after = np.where(mask, table[:, place], 0.0)
        if (source := int(after.argmax())) != place and after[source] > _RELEVANT * held.popularity[place]:
            return (
                f"{after[source]:.0%} of customers who bought {model.categories[source]} buy it within {days}, "
                f"{held.popularity[place]:.0%} of all"
            )
    return f"{held.popularity[place]:.0%} of all customers buy it within {days}"


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"


def _day(at: datetime) -> str:
    return f"{at.day} {at:%b %Y}"
