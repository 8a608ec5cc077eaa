"""Activity: what the customer does with us, and how much of it, per kind and window."""

import polars as pl

from fedelta.features.feature import Family, Feature
from fedelta.features.history import DAY_US, Measure

_family = Family("activity")


def of_kind(kind: str, says: str) -> Measure:
    """One for every interaction of a kind."""
    return Measure(kind, pl.col("kind") == kind, "count", says)


INTERACTION = Measure("interaction", pl.col("kind").is_not_null(), "count", "interactions of any kind")
VISIT = of_kind("visit", "visits to site, app or store")
CONTACT = Measure(
    "contact", pl.col("kind").is_in(["contact", "complaint"]), "count", "contacts with support, complaints included"
)
COMPLAINT = of_kind("complaint", "complaints")
DELIVERY = of_kind("delivery", "deliveries")
MESSAGE = of_kind("message", "messages we sent")
RESPONSE = of_kind("response", "messages opened or clicked")
REFERRAL = of_kind("referral", "referrals made")
REVIEW = of_kind("review", "public reviews written")
RENEWAL = of_kind("renewal", "renewals")
DOWNGRADE = of_kind("downgrade", "downgrades")

# What counts as activity where `churn.activity` says something else than purchases.
_day = pl.col("occurred_at").dt.epoch("us") // DAY_US
_previous_day = (pl.col("occurred_at").dt.epoch("us") - pl.col("since_previous_activity")) // DAY_US
ACTIVITY = Measure("activity", pl.col("is_activity"), "count", "interactions that count as activity")
ACTIVITY_DAY = Measure(
    "activity_day",
    pl.col("is_activity") & (_previous_day.is_null() | (_previous_day != _day)),
    "count",
    "days with activity",
)

FEATURES: tuple[Feature, ...] = (
    *_family.in_windows(INTERACTION, (7, 30, 90, 180, 365), lifetime=True),
    *_family.in_windows(VISIT, (7, 30, 90, 365)),
    *_family.in_windows(CONTACT, (30, 90, 365)),
    *_family.in_windows(COMPLAINT, (365,), lifetime=True),
    *_family.in_windows(DELIVERY, (90, 365)),
    *_family.in_windows(MESSAGE, (30, 90)),
    *_family.in_windows(RESPONSE, (30, 90)),
    _family.ratio(
        "response_rate_90d",
        RESPONSE,
        MESSAGE,
        90,
        "messages opened or clicked per message, in the last 90 days",
        "ratio",
    ),
    *_family.in_windows(REFERRAL, (365,), lifetime=True),
    *_family.in_windows(REVIEW, (365,)),
    *_family.in_windows(RENEWAL, (365,)),
    *_family.in_windows(DOWNGRADE, (365,)),
)

# In the table only where activity is declared: otherwise purchases are activity, and have these already.
DECLARED: tuple[Feature, ...] = (
    *_family.in_windows(ACTIVITY, (30, 90, 180, 365), lifetime=True),
    *_family.in_windows(ACTIVITY_DAY, (365,), lifetime=True),
)
