"""Rhythm: the customer's own pace, and how today's silence compares with it."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from fedelta.features.activity import ACTIVITY, ACTIVITY_DAY, INTERACTION, VISIT
from fedelta.features.feature import Family, Feature, quotient
from fedelta.features.history import DAY_US, Floats, Measure, View
from fedelta.features.purchases import PURCHASE, PURCHASE_DAY

_family = Family("rhythm")
_MINUTE_US = 60_000_000
_PER_DAY = DAY_US // _MINUTE_US


@dataclass(frozen=True)
class Pace:
    """The features of how regularly something is done: a measure, its name in column names, and its words."""

    of: Measure
    name: str
    says: str  # one of it
    many: str
    gap: Measure
    gap_squared: Measure
    gap_known: Measure

    @classmethod
    def between(cls, of: Measure, since_previous: str, name: str, says: str, many: str) -> "Pace":
        """`since_previous` is the column of an annotated event with the µs since the one before it."""
        gap = pl.when(of.value).then(pl.col(since_previous) // _MINUTE_US)
        return cls(
            of,
            name,
            says,
            many,
            # Gaps in minutes: their squares stay exact in 64 bits for 10,000 gaps of half a century.
            Measure(f"{name}_gap", gap, "days", f"time between {many}", scale=_PER_DAY),
            Measure(f"{name}_gap_squared", gap.pow(2), "days", f"squared time between {many}", scale=_PER_DAY**2),
            Measure(f"{name}_gap_known", gap.is_not_null(), "count", f"{many} after the first"),
        )

    def mean_gap(self, view: View) -> Floats:
        """Mean days between two; NaN before the second."""
        return quotient(view.amount(self.gap), view.count(self.gap_known))

    def deviation(self, view: View) -> Floats:
        """Standard deviation of the days between two; NaN before the third."""
        # From exact integer sums, so the difference of squares does not cancel: n·Σg² − (Σg)² in whole minutes.
        measures = (self.gap_known, self.gap, self.gap_squared)
        n, total, squares = (view.count(measure).astype(np.float64) for measure in measures)
        variance = quotient(n * squares - total**2, n * (n - 1))
        return np.where(n >= 2, np.sqrt(np.maximum(variance, 0)) / _PER_DAY, np.nan)

    def features(self) -> tuple[Feature, ...]:
        """From the first to how regular; `last_gap_ratio` and what compares with today come after."""
        last_gap = "last_gap_ratio" if self.of is PURCHASE else f"last_{self.name}_gap_ratio"
        return (
            _family.of(
                f"days_since_first_{self.name}",
                "days",
                f"days since the first {self.says}",
                (self.of,),
                lambda view: view.days_since_first(self.of),
            ),
            _family.of(
                f"{self.name}_span_days",
                "days",
                f"days from the first {self.says} to the last",
                (self.of,),
                lambda view: _span(view, self.of),
            ),
            _family.of(
                f"mean_{self.name}_gap_days",
                "days",
                f"mean time between {self.many}",
                (self.gap, self.gap_known),
                self.mean_gap,
            ),
            _family.of(
                f"{self.name}_gap_deviation_days",
                "days",
                f"standard deviation of the time between {self.many} (two gaps or more)",
                (self.gap, self.gap_squared, self.gap_known),
                self.deviation,
            ),
            _family.of(
                f"{self.name}_irregularity",
                "ratio",
                f"deviation of the time between {self.many} over its mean (1: as if by chance, 0: clockwork)",
                (self.gap, self.gap_squared, self.gap_known),
                lambda view: quotient(self.deviation(view), self.mean_gap(view)),
            ),
            _family.of(
                last_gap,
                "ratio",
                f"the last time between {self.many} over the mean one (above 1: slowing down)",
                (self.gap, self.gap_known),
                lambda view: quotient(view.last_value(self.gap, self.gap_known), self.mean_gap(view)),
            ),
            _family.of(
                f"{self.name}_overdue_ratio",
                "ratio",
                f"days since the last {self.says} over the customer's own usual gap (above 1: overdue)",
                (self.of, self.gap, self.gap_known),
                lambda view: quotient(view.days_since_last(self.of), self.mean_gap(view)),
            ),
        )

    def trend(self) -> Feature:
        """More or less of it lately than over the year."""
        return _family.of(
            f"{self.name}_trend",
            "ratio",
            f"{self.many} in the last 90 days over a quarter of those of the last 365 (1: as ever)",
            (self.of,),
            lambda view: quotient(view.count(self.of, 90) * (365 / 90), view.count(self.of, 365)),
        )


def _span(view: View, measure: Measure) -> Floats:
    """Days from the first event that counts to the last, from exact microseconds; NaN where there was none."""
    first, last, at = view.first_row(measure), view.last_row(measure), view.history.at
    return np.where(first >= 0, (at[last] - at[first]) / DAY_US, np.nan)


def _interaction_gap(view: View) -> Floats:
    return quotient(_span(view, INTERACTION), view.count(INTERACTION) - 1)


_PURCHASES = Pace.between(PURCHASE, "since_previous_purchase", "purchase", "purchase", "purchases")
_ACTIVITY = Pace.between(ACTIVITY, "since_previous_activity", "activity", "activity", "activities")

FEATURES: tuple[Feature, ...] = (
    _family.days_since_last(INTERACTION),
    _family.days_since_last(PURCHASE),
    _family.days_since_last(VISIT),
    *_PURCHASES.features(),
    _family.of(
        "interaction_overdue_ratio",
        "ratio",
        "days since the last interaction over the customer's own usual gap (above 1: overdue)",
        (INTERACTION,),
        lambda view: quotient(view.days_since_last(INTERACTION), _interaction_gap(view)),
    ),
    _PURCHASES.trend(),
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

# In the table only where activity is declared, as features/activity.py says.
DECLARED: tuple[Feature, ...] = (
    _family.days_since_last(ACTIVITY),
    *_ACTIVITY.features(),
    _ACTIVITY.trend(),
    _family.ratio("activity_day_share", ACTIVITY_DAY, ACTIVITY, None, "days with activity per activity", "share"),
)
