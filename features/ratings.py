"""Ratings: how the customer rated us, from 0 (worst) to 1 (best)."""

import polars as pl

from fedelta.features.feature import Family, Feature
from fedelta.features.history import Measure

_family = Family("ratings")
_given = pl.col("rating").is_not_null()

RATING = Measure("rating", (pl.col("rating") * 1e6).round().cast(pl.Int64), "rating", "ratings given", 1_000_000)
RATED = Measure("rated", _given, "count", "ratings given")
LOW = Measure("low_rating", pl.col("rating") <= 0.4, "count", "ratings of 0.4 or less")
SURVEYED = Measure("survey", pl.col("kind") == "survey", "count", "surveys")

FEATURES: tuple[Feature, ...] = (
    *_family.in_windows(RATED, (365,), lifetime=True),
    _family.ratio("mean_rating_90d", RATING, RATED, 90, "mean rating given, last 90 days", "rating"),
    _family.ratio("mean_rating_365d", RATING, RATED, 365, "mean rating given, last 365 days", "rating"),
    _family.ratio("mean_rating", RATING, RATED, None, "mean rating given so far", "rating"),
    _family.of(
        "last_rating", "rating", "the last rating given", (RATING, RATED), lambda view: view.last_value(RATING, RATED)
    ),
    _family.of(
        "rating_trend",
        "rating",
        "the last rating given minus the mean of all",
        (RATING, RATED),
        lambda view: view.last_value(RATING, RATED) - view.amount(RATING) / view.count(RATED).clip(1),
    ),
    _family.ratio("low_rating_share_365d", LOW, RATED, 365, "share of ratings of 0.4 or less, last 365 days"),
    _family.days_since_last(RATED, "days since the last rating given"),
    *_family.in_windows(SURVEYED, (365,)),
)
