"""What customers have bought from each category, as a cutoff sees it, and what they then bought."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from fedelta.features.history import DAY_US, Floats, Integers
from fedelta.features.visibility import KNOWN_AT, seen_before

SEPARATOR = "|"  # between the categories of one purchase
COLUMNS = ("customer_id", "occurred_at", "kind", "topic", KNOWN_AT)  # of an interaction that are read
HALF_LIVES = (30, 90, 365)  # days
_DECIMALS = 6  # of decayed counts: the last digits of a power differ between processors


def purchases_by_category(events: pl.DataFrame) -> pl.DataFrame:
    """One row per purchase and article of it: customer_id, occurred_at, known_at, category.

    Parameters
    ----------
    events : DataFrame
        Interactions with at least `COLUMNS`. A purchase's topic names its categories, with `|` between them, once per
        article; blanks around a name do not count. Purchases without a topic are left out.
    """
    bought = events.filter(pl.col("kind").cast(pl.String) == "purchase", pl.col("topic").is_not_null())
    named = bought.select(
        "customer_id", "occurred_at", KNOWN_AT, category=pl.col("topic").cast(pl.String).str.split(SEPARATOR)
    ).explode("category")
    return named.with_columns(pl.col("category").str.strip_chars()).filter(pl.col("category") != "")


@dataclass(frozen=True)
class CategoryView:
    """Customers with a purchase of a category before the cutoff, and what they had bought by then.

    `by_category` are arrays of shape (n_customers, n_categories), `by_customer` of shape (n_customers,). An occasion is
    a day with a purchase, of these categories or others; counts are of occasions, but where they are of articles.
    """

    customer_ids: pl.Series
    by_category: dict[str, Floats]
    by_customer: dict[str, Floats]
    bought: npt.NDArray[np.bool_] | None = None  # in the horizon, (n_customers, n_categories); None: not asked for


def categories_at(
    purchases: pl.DataFrame,
    categories: Sequence[str],
    cutoff: datetime,
    horizon: tuple[datetime, datetime] | None = None,
) -> CategoryView:
    """What the customers of `purchases` had bought before a cutoff, by category.

    What a customer's row holds depends on that customer's purchases alone, whoever else is there.

    Parameters
    ----------
    purchases : DataFrame
        From `purchases_by_category`. One at the cutoff or later, or known only then, is the future.
    categories : sequence of str
        Those to look at; others count as occasions only.
    horizon : pair of datetime, optional
        Half-open. Purchases in it are outcomes, by when they happened.
    """
    numbers = {name: number for number, name in enumerate(categories)}
    coded = purchases.with_columns(
        code=pl.col("category").replace_strict(numbers, default=-1, return_dtype=pl.Int64),
        day=pl.col("occurred_at").dt.epoch("us") // DAY_US,
    )
    days = coded.filter(seen_before(cutoff)).group_by("customer_id", "day", "code").agg(articles=pl.len())
    seen = days.sort("customer_id", "day", "code")
    ids = seen["customer_id"].unique(maintain_order=True)
    rows = {customer: row for row, customer in enumerate(ids)}
    customer = seen["customer_id"].replace_strict(rows, return_dtype=pl.Int64).to_numpy() if len(ids) else _EMPTY
    day, code, articles = (seen[name].to_numpy() for name in ("day", "code", "articles"))
    view = view_of(ids, customer, day, code, articles, cutoff, len(categories))
    bought = None
    if horizon is not None:
        then = coded.filter(
            pl.col("occurred_at") >= horizon[0],
            pl.col("occurred_at") < horizon[1],
            pl.col("code") >= 0,
            pl.col("customer_id").is_in(ids.implode()),
        )
        bought = np.zeros((len(ids), len(categories)), bool)
        if len(then):
            whose = then["customer_id"].replace_strict(rows, return_dtype=pl.Int64).to_numpy()
            bought[whose, then["code"].to_numpy()] = True
    return replace(view, bought=bought)


def view_of(
    customer_ids: pl.Series,
    customer: Integers,
    day: Integers,
    code: Integers,
    articles: Integers,
    cutoff: datetime,
    categories: int,
) -> CategoryView:
    """The view of what was bought (n,): the number of the customer, the day since 1970, the code of the category (-1:
    another), how many articles of it; sorted by customer and day, each category once a day.
    """
    today = int(cutoff.timestamp()) // 86_400
    return CategoryView(customer_ids, *_read(customer, day, code, articles, today, (len(customer_ids), categories)))


_EMPTY = np.empty(0, np.int64)


def _read(
    customer: Integers, day: Integers, code: Integers, articles: Integers, today: int, shape: tuple[int, int]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """The arrays by category and by customer; rows are sorted by customer and day, each category once a day."""
    n, width = shape
    opens = np.append(True, (customer[1:] != customer[:-1]) | (day[1:] != day[:-1]))[: len(customer)]
    occasion = np.cumsum(opens)  # of each row, counted over all customers
    last = np.zeros(n, np.int64)
    np.maximum.at(last, customer, occasion)
    named, bought = code >= 0, articles.astype(np.float64)
    cell, age = customer[named] * width + code[named], (today - day[named]).astype(np.float64)

    def total(weights: Floats | None = None) -> Floats:
        counts = np.bincount(cell, weights, minlength=n * width).astype(np.float64)
        return np.asarray(counts.reshape(shape), np.float64)

    latest, place = np.full(n * width, -1, np.int64), np.zeros(n * width, np.int64)
    np.maximum.at(latest, cell, day[named])
    np.maximum.at(place, cell, occasion[named])
    never = latest.reshape(shape) < 0
    count = total()
    by_category: dict[str, Floats] = {
        "category_count": count,
        **{f"category_decayed_{days}d": np.round(total(np.exp2(-age / days)), _DECIMALS) for days in HALF_LIVES},
        "category_articles": total(bought[named]),
        "category_articles_decayed_30d": np.round(total(bought[named] * np.exp2(-age / 30)), _DECIMALS),
        "days_since_category": np.where(never, np.nan, today - latest.reshape(shape)),
        "occasions_since_category": np.where(never, np.nan, last[:, None] - place.reshape(shape)),
    }
    occasions = np.bincount(customer[opens], minlength=n).astype(np.float64)
    first_day, last_day = np.full(n, today, np.int64), np.zeros(n, np.int64)
    np.minimum.at(first_day, customer, day)
    np.maximum.at(last_day, customer, day)
    by_customer = {
        "occasions": occasions,
        **{
            f"occasions_{days}d": np.bincount(customer[opens & (day >= today - days)], minlength=n).astype(np.float64)
            for days in (90, 365)
        },
        "days_since_last": (today - last_day).astype(np.float64),
        "days_since_first": (today - first_day).astype(np.float64),
        "categories_bought": (count > 0).sum(axis=1).astype(np.float64),
    }
    return by_category, by_customer
