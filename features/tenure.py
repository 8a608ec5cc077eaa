"""Tenure: how long the customer has been with us."""

import polars as pl

from fedelta.features.activity import INTERACTION
from fedelta.features.feature import Family, Feature, quotient
from fedelta.features.history import Measure
from fedelta.features.purchases import PURCHASE, SPEND

_family = Family("tenure")

ENROLMENT = Measure("enrolment", pl.col("kind") == "enrolment", "count", "enrolments")

FEATURES: tuple[Feature, ...] = (
    _family.of(
        "tenure_days",
        "days",
        "days since the first interaction",
        (INTERACTION,),
        lambda view: view.days_since_first(INTERACTION),
    ),
    _family.days_since_last(ENROLMENT),
    _family.of(
        "purchases_per_year",
        "ratio",
        "purchases per year of tenure",
        (PURCHASE, INTERACTION),
        lambda view: quotient(view.count(PURCHASE) * 365.25, view.days_since_first(INTERACTION)),
        "0",
    ),
    _family.of(
        "spend_per_year",
        "money",
        "money spent per year of tenure",
        (SPEND, INTERACTION),
        lambda view: quotient(view.amount(SPEND) * 365.25, view.days_since_first(INTERACTION)),
        "0",
    ),
)
