"""Bad experiences: how many, how often, how long ago, how they ended."""

import polars as pl

from features.activity import CONTACT, DELIVERY, INTERACTION
from features.feature import Family, Feature, quotient
from features.history import DAY_US, Measure
from features.purchases import PURCHASE

_family = Family("experience")
_is_bad = pl.col("severity") > 0
_is_contact = pl.col("kind").is_in(["contact", "complaint"])

REPEAT_WITHIN_DAYS = 14
ONBOARDING_DAYS = 90
_HOUR = 3_600_000  # durations are whole milliseconds
_CENTURY = 876_600.0  # hours; a longer delay is a mistake, and must not overflow the sum of the others


def _hours(column: str, when: pl.Expr) -> pl.Expr:
    return pl.when(when).then((pl.col(column).clip(-_CENTURY, _CENTURY) * _HOUR).round().cast(pl.Int64))


BAD = Measure("bad_experience", _is_bad, "count", "bad experiences")
GOOD = Measure("good_experience", pl.col("severity") == 0, "count", "interactions that broke no rule")
SEVERITY = Measure("bad_experience_severity", pl.col("severity"), "points", "severity of bad experiences, summed")
REPEAT = Measure(
    "repeat_failure",
    _is_bad & (pl.col("since_previous_bad") <= REPEAT_WITHIN_DAYS * DAY_US),
    "count",
    f"bad experiences within {REPEAT_WITHIN_DAYS} days of the one before",
)
EARLY = Measure(
    "bad_onboarding",
    _is_bad & (pl.col("since_first") < ONBOARDING_DAYS * DAY_US),
    "count",
    f"bad experiences in the first {ONBOARDING_DAYS} days with us",
)
UNRESOLVED = Measure(
    "unresolved_contact", _is_contact & ~pl.col("resolved"), "count", "contacts and complaints left unresolved"
)
RESOLVED = Measure("resolved_contact", _is_contact & pl.col("resolved"), "count", "contacts and complaints resolved")
LATE = Measure("late_delivery", pl.col("delay_hours") > 24, "count", "deliveries more than a day late")
DELAY = Measure(
    "delay",
    _hours("delay_hours", pl.col("delay_hours").is_finite()),
    "hours",
    "delivery delay, early is negative",
    _HOUR,
)
DELAY_KNOWN = Measure("delay_known", pl.col("delay_hours").is_finite(), "count", "deliveries with a known delay")
WAIT = Measure(
    "wait", _hours("wait_hours", pl.col("wait_hours").is_finite()), "hours", "time to the first answer", _HOUR
)
WAIT_KNOWN = Measure("wait_known", pl.col("wait_hours").is_finite(), "count", "contacts with a known time to answer")
EFFORT = Measure(
    "effort", (pl.col("effort") * 1e6).round().cast(pl.Int64), "rating", "effort a contact took", 1_000_000
)
EFFORT_KNOWN = Measure("effort_known", pl.col("effort").is_not_null(), "count", "contacts with a known effort")

FEATURES: tuple[Feature, ...] = (
    *_family.in_windows(BAD, (30, 90, 180, 365), lifetime=True),
    *(
        _family.ratio(
            f"bad_experience_rate{suffix}", BAD, INTERACTION, days, f"share of interactions that went badly{when}"
        )
        for days, suffix, when in (
            (90, "_90d", ", last 90 days"),
            (365, "_365d", ", last 365 days"),
            (None, "", " so far"),
        )
    ),
    *_family.in_windows(SEVERITY, (90, 365), lifetime=True),
    _family.days_since_last(BAD),
    *_family.in_windows(REPEAT, (90, 365), lifetime=True),
    _family.of(
        "bad_experience_streak_count",
        "count",
        "bad experiences in a row, up to the last interaction",
        (BAD, GOOD),
        lambda view: view.since_last(BAD, GOOD),
        "0",
    ),
    _family.of(
        "bad_since_purchase_count",
        "count",
        "bad experiences since the last purchase",
        (BAD, PURCHASE),
        lambda view: view.since_last(BAD, PURCHASE),
        "0",
    ),
    _family.of(
        "bad_experience_per_purchase",
        "ratio",
        "bad experiences per purchase so far",
        (BAD, PURCHASE),
        lambda view: quotient(view.count(BAD), view.count(PURCHASE)),
    ),
    *_family.in_windows(EARLY, (), lifetime=True),
    *_family.in_windows(UNRESOLVED, (90, 365), lifetime=True),
    _family.days_since_last(UNRESOLVED),
    _family.of(
        "unresolved_since_resolved_count",
        "count",
        "contacts left unresolved since one was last resolved",
        (UNRESOLVED, RESOLVED),
        lambda view: view.since_last(UNRESOLVED, RESOLVED),
        "0",
    ),
    _family.ratio("unresolved_rate_365d", UNRESOLVED, CONTACT, 365, "share of contacts left unresolved, last 365 days"),
    _family.days_since_last(CONTACT),
    *_family.in_windows(LATE, (90, 365)),
    _family.ratio(
        "late_delivery_rate_365d", LATE, DELIVERY, 365, "share of deliveries more than a day late, last 365 days"
    ),
    _family.ratio("mean_delay_hours_365d", DELAY, DELAY_KNOWN, 365, "mean delivery delay, last 365 days", "hours"),
    _family.ratio(
        "mean_wait_hours_365d", WAIT, WAIT_KNOWN, 365, "mean time to the first answer, last 365 days", "hours"
    ),
    _family.ratio("mean_effort_365d", EFFORT, EFFORT_KNOWN, 365, "mean effort of a contact, last 365 days", "rating"),
)
