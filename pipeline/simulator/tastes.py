"""What customers buy: categories, each customer's taste for them, and what one purchase makes likely next."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from fedelta.pipeline.simulator.company import Company, Floats, Ints


@dataclass(frozen=True)
class Category:
    """A category of goods. The next purchase of a customer is again of this one with the chance `again`, of `then` with
    the chance `follows`, and else by the customer's taste."""

    popularity: float  # weight in tastes
    again: float
    then: str
    follows: float
    margin: float  # share of the price that is left after the cost of the goods


CATEGORIES = {
    "shoes": Category(1.4, 0.04, "socks", 0.34, 0.42),
    "socks": Category(0.6, 0.10, "shoes", 0.06, 0.55),
    "shirts": Category(1.5, 0.12, "trousers", 0.24, 0.48),
    "trousers": Category(1.2, 0.06, "shirts", 0.20, 0.45),
    "coats": Category(0.8, 0.01, "scarves", 0.36, 0.38),
    "scarves": Category(0.5, 0.05, "coats", 0.04, 0.58),
    "bags": Category(0.9, 0.03, "jewellery", 0.22, 0.50),
    "jewellery": Category(0.6, 0.15, "bags", 0.06, 0.60),
    "home": Category(1.0, 0.10, "beauty", 0.08, 0.35),
    "beauty": Category(1.1, 0.45, "home", 0.05, 0.52),
    "kids": Category(0.9, 0.30, "shoes", 0.10, 0.33),
    "sport": Category(0.8, 0.08, "shoes", 0.26, 0.30),
}
NAMES = tuple(CATEGORIES)
VARIETY = 4.0  # total weight of a Dirichlet taste; lower: fewer categories each
FAVOURITE_WEIGHT = 1.5  # of the favourite category, beside the popularity of all
MARGIN_SPREAD = 0.08  # standard deviation of an order's margin share around that of its category
MARGIN_RANGE = (-0.1, 0.8)  # clearance sales are sold below cost


def draw_tastes(company: Company, traits: pl.DataFrame) -> Floats:
    """Each customer's taste (n_customers, n_categories): chances that sum to 1, Dirichlet around popularity."""
    weight = np.array([category.popularity for category in CATEGORIES.values()])
    weight = np.tile(weight * (VARIETY / weight.sum()), (traits.height, 1))
    weight[np.arange(traits.height), traits["favourite_category"].to_numpy()] += FAVOURITE_WEIGHT
    drawn = company.rng("tastes").gamma(weight) + 1e-9
    return np.asarray(drawn / drawn.sum(axis=1, keepdims=True))


def draw_categories(company: Company, orders: pl.DataFrame, tastes: Floats) -> Ints:
    """The category of each order (n_orders,), as a place in `NAMES`; orders are sorted by customer and time."""
    rng = company.rng("categories")
    which, taste = rng.random(orders.height), rng.random(orders.height)
    who: Ints = orders["customer"].to_numpy().astype(np.int64)
    again, follows = (np.array([getattr(c, name) for c in CATEGORIES.values()]) for name in ("again", "follows"))
    then = np.array([NAMES.index(category.then) for category in CATEGORIES.values()])
    chosen = (taste[:, None] > np.cumsum(tastes, axis=1)[who, :-1]).sum(axis=1)
    opens = np.append(True, who[1:] != who[:-1])[: len(who)]
    place = np.arange(len(who)) - np.maximum.accumulate(np.where(opens, np.arange(len(who)), 0))
    for rows in np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place))[:-1])[1:]:
        last = chosen[rows - 1]
        repeats = which[rows] < again[last]
        leads = ~repeats & (which[rows] < again[last] + follows[last])
        chosen[rows] = np.where(repeats, last, np.where(leads, then[last], chosen[rows]))
    return np.asarray(chosen, np.int64)


def draw_costs(company: Company, category: pl.Series, gross: Floats) -> Floats:
    """What the goods of each order cost the company, in euros to two decimals."""
    margin = category.replace_strict({name: c.margin for name, c in CATEGORIES.items()}, return_dtype=pl.Float64)
    spread = company.rng("costs").normal(0.0, MARGIN_SPREAD, len(gross))
    return np.asarray(np.round(gross * (1 - np.clip(margin.to_numpy() + spread, *MARGIN_RANGE)), 2))
