"""Rhythm: the customer's own pace, and how today's silence compares with it."""

import numpy as np
import polars as pl

from features.activity import INTERACTION, VISIT
from features.feature import Family, Feature, quotient
from features.history import DAY_US, Floats, Measure, View
from features.purchases import PURCHASE, PURCHASE_DAY

_family = Family("rhythm")
_MINUTE_US = 60_000_000
_PER_DAY = DAY_US // _MINUTE_US
_gap = pl.when(pl.col("kind") == "purchase").then(pl.col("since_previous_purchase") // _MINUTE_US)

# Gaps in minutes: their squares stay exact in 64 bits for 10,000 gaps of half a century.
GAP = Measure("purchase_gap", _gap, "days", "time between purchases", scale=_PER_DAY)
GAP_SQUARED = Measure("purchase_gap_squared", _gap.pow(2), "days", "squared time between purchases", scale=_PER_DAY**2)
GAP_KNOWN = Measure("purchase_gap_known", _gap.is_not_null(), "count", "purchases after the first")


def _mean_gap(view: View) -> Floats:
    return quotient(view.amount(GAP), view.count(GAP_KNOWN))


def _gap_deviation(view: View) -> Floats:
    # From exact integer sums, so the difference of squares does not cancel: n·Σg² − (Σg)² in floats of whole minutes.
    n, total, squares = (view.count(measure).astype(np.float64) for measure in (GAP_KNOWN, GAP, GAP_SQUARED))
    variance = quotient(n * squares - total**2, n * (n - 1))
    return np.where(n >= 2, np.sqrt(np.maximum(variance, 0)) / _PER_DAY, np.nan)


def _span(view: View, measure: Measure) -> Floats:
    """Days from the first event that counts to the last, from exact microseconds; NaN where there was none."""
    first, last, at = view.first_row(measure), view.last_row(measure), view.history.at
    return np.where(first >= 0, (at[last] - at[first]) / DAY_US, np.nan)


def _interaction_gap(view: View) -> Floats:
    return quotient(_span(view, INTERACTION), view.count(INTERACTION) - 1)


FEATURES: tuple[Feature, ...] = (
    _family.days_since_last(INTERACTION),
    _family.days_since_last(PURCHASE),
    _family.days_since_last(VISIT),
    _family.of(
        "days_since_first_purchase",
        "days",
        "days since the first purchase",
        (PURCHASE,),
        lambda view: view.days_since_first(PURCHASE),
    ),
    _family.of(
        "purchase_span_days",
        "days",
        "days from the first purchase to the last",
        (PURCHASE,),
        lambda view: _span(view, PURCHASE),
    ),
    _family.of("mean_purchase_gap_days", "days", "mean time between purchases", (GAP, GAP_KNOWN), _mean_gap),
    _family.of(
        "purchase_gap_deviation_days",
        "days",
        "standard deviation of the time between purchases (two gaps or more)",
        (GAP, GAP_SQUARED, GAP_KNOWN),
        _gap_deviation,
    ),
    _family.of(
        "purchase_irregularity",
        "ratio",
        "deviation of the time between purchases over its mean (1: as if by chance, 0: clockwork)",
        (GAP, GAP_SQUARED, GAP_KNOWN),
        lambda view: quotient(_gap_deviation(view), _mean_gap(view)),
    ),
    _family.of(
        "last_gap_ratio",
        "ratio",
        "the last time between purchases over the mean one (above 1: slowing down)",
        (GAP, GAP_KNOWN),
        lambda view: quotient(view.last_value(GAP, GAP_KNOWN), _mean_gap(view)),
    ),
    _family.of(
        "purchase_overdue_ratio",
        "ratio",
        "days since the last purchase over the customer's own usual gap (above 1: overdue)",
        (PURCHASE, GAP, GAP_KNOWN),
        lambda view: quotient(view.days_since_last(PURCHASE), _mean_gap(view)),
    ),
    _family.of(
        "interaction_overdue_ratio",
        "ratio",
        "days since the last interaction over the customer's own usual gap (above 1: overdue)",
        (INTERACTION,),
        lambda view: quotient(view.days_since_last(INTERACTION), _interaction_gap(view)),
    ),
    _family.of(
        "purchase_trend",
        "ratio",
        "purchases in the last 90 days over a quarter of those of the last 365 (1: as ever)",
        (PURCHASE,),
        lambda view: quotient(view.count(PURCHASE, 90) * (365 / 90), view.count(PURCHASE, 365)),
    ),
    _family.of(
        "visit_trend",
        "ratio",
        "visits in the last 30 days over a third of those of the last 90 (1: as ever)",
        (VISIT,),
        lambda view: quotient(view.count(VISIT, 30) * 3.0, view.count(VISIT, 90)),
    ),
    _family.of(
        "visits_since_purchase_count",
        "count",
        "visits since the last purchase",
        (VISIT, PURCHASE),
        lambda view: view.since_last(VISIT, PURCHASE),
        "0",
    ),
    _family.ratio("purchase_day_share", PURCHASE_DAY, PURCHASE, None, "days with a purchase per purchase", "share"),
)
