"""Purchases: how many, how much, what came back.

Spend is sales, before anything is given back: it tells how a customer buys, and BTYD's value of an order must be
positive. What came back has features of its own. Only `historic_value` of the scores is net.
"""

import numpy as np
import polars as pl

from fedelta.features.feature import Family, Feature, quotient
from fedelta.features.history import DAY_US, Measure
from fedelta.features.relationship import REVENUE

_family = Family("purchases")
_is_purchase = pl.col("kind") == "purchase"
_is_return = pl.col("kind") == "return"
_is_revenue = pl.col("kind").is_in(REVENUE)
_day = pl.col("occurred_at").dt.epoch("us") // DAY_US
_previous_day = (pl.col("occurred_at").dt.epoch("us") - pl.col("since_previous_purchase")) // DAY_US

PURCHASE = Measure("purchase", _is_purchase, "count", "purchases")
# The purchase occasions of BTYD models: orders of one day are one.
PURCHASE_DAY = Measure(
    "purchase_day", _is_purchase & (_previous_day.is_null() | (_previous_day != _day)), "count", "days with a purchase"
)
# Whatever brings revenue: payments of a running contract (renewals) too.
SPEND = Measure("spend", pl.when(_is_revenue).then(pl.col("cents")), "money", "money spent", scale=10_000)
# Of purchases alone, for what is stated per purchase.
PURCHASE_SPEND = Measure(
    "purchase_spend", pl.when(_is_purchase).then(pl.col("cents")), "money", "money spent in purchases", scale=10_000
)
RETURN = Measure("return", _is_return, "count", "returns")
RETURNED_VALUE = Measure(
    "returned_value", pl.when(_is_return).then(pl.col("cents")), "money", "money given back", scale=10_000
)

FEATURES: tuple[Feature, ...] = (
    *_family.in_windows(PURCHASE, (30, 90, 180, 365), lifetime=True),
    *_family.in_windows(PURCHASE_DAY, (365,), lifetime=True),
    *_family.in_windows(SPEND, (30, 90, 180, 365), lifetime=True),
    _family.ratio("mean_spend", PURCHASE_SPEND, PURCHASE_DAY, None, "money spent per day with a purchase", "money"),
    _family.of(
        "max_spend",
        "money",
        "largest single purchase",
        (PURCHASE_SPEND,),
        lambda view: view.highest(PURCHASE_SPEND),
        "0",
    ),
    _family.of(
        "last_spend",
        "money",
        "amount of the last purchase",
        (PURCHASE_SPEND, PURCHASE),
        lambda view: view.last_value(PURCHASE_SPEND, PURCHASE),
    ),
    _family.of(
        "spend_trend",
        "ratio",
        "money spent in the last 90 days over a quarter of that of the last 365 (1: as ever)",
        (SPEND,),
        lambda view: quotient(view.amount(SPEND, 90) * (365 / 90), view.amount(SPEND, 365)),
    ),
    _family.of(
        "last_spend_ratio",
        "ratio",
        "amount of the last purchase over the mean purchase so far",
        (PURCHASE_SPEND, PURCHASE),
        lambda view: quotient(
            view.last_value(PURCHASE_SPEND, PURCHASE),
            np.asarray(quotient(view.amount(PURCHASE_SPEND), view.count(PURCHASE))),
        ),
    ),
    *_family.in_windows(RETURN, (90, 365), lifetime=True),
    *_family.in_windows(RETURNED_VALUE, (365,), lifetime=True),
    _family.ratio("return_rate_365d", RETURN, PURCHASE, 365, "returns per purchase, in the last 365 days", "ratio"),
)
