"""Bad experiences: how many, how often, how long ago, how they ended."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from fedelta.features.activity import CONTACT, DELIVERY, INTERACTION
from fedelta.features.annotate import DECAYED_SCALE, HOUR_MS
from fedelta.features.contract import LEVELS, PILLARS
from fedelta.features.feature import Family, Feature, quotient
from fedelta.features.history import DAY_US, Floats, Measure, View
from fedelta.features.purchases import PURCHASE

_family = Family("experience")
_is_bad = pl.col("severity") > 0
_is_contact = pl.col("kind").is_in(["contact", "complaint"])

ONBOARDING_DAYS = 90
_CENTURY = 876_600.0  # hours; a longer delay is a mistake, and must not overflow the sum of the others


def _hours(column: str, when: pl.Expr) -> pl.Expr:
    return pl.when(when).then((pl.col(column).clip(-_CENTURY, _CENTURY) * HOUR_MS).round().cast(pl.Int64))


BAD = Measure("bad_experience", _is_bad, "count", "bad experiences")
GOOD = Measure("good_experience", pl.col("severity") == 0, "count", "interactions that broke no rule")
SEVERITY = Measure("bad_experience_severity", pl.col("severity"), "points", "severity of bad experiences, summed")
REPEAT = Measure(
    "repeat_failure",
    pl.col("is_repeat"),
    "count",
    "bad experiences soon after the one before",
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
    HOUR_MS,
)
DELAY_KNOWN = Measure("delay_known", pl.col("delay_hours").is_finite(), "count", "deliveries with a known delay")
WAIT = Measure(
    "wait", _hours("wait_hours", pl.col("wait_hours").is_finite()), "hours", "time to the first answer", HOUR_MS
)
WAIT_KNOWN = Measure("wait_known", pl.col("wait_hours").is_finite(), "count", "contacts with a known time to answer")
EFFORT = Measure(
    "effort", (pl.col("effort") * 1e6).round().cast(pl.Int64), "rating", "effort a contact took", 1_000_000
)
EFFORT_KNOWN = Measure("effort_known", pl.col("effort").is_not_null(), "count", "contacts with a known effort")
DECAYED = Measure(
    "decayed_severity", pl.col("decayed_severity"), "points", "severity so far, at a bad experience", DECAYED_SCALE
)
HALF_LIFE = Measure("half_life", pl.col("half_life"), "days", "time in which an experience fades by half", DAY_US)
RECOVERED = Measure("recovered", pl.col("recovered"), "count", "bad experiences made good by a resolved contact")
RECOVERY = Measure("recovery", pl.col("recovery"), "hours", "time from bad experiences to their recovery", HOUR_MS)
# What went wrong and where: the pillar and the level of the gravest rule broken, the touch of the interaction.
PARTS = (
    *(
        Measure(f"bad_{name}", pl.col("pillar") == name, "count", f"bad experiences of {name.replace('_', ' ')}")
        for name in PILLARS
    ),
    *(
        Measure(f"bad_{name}", pl.col("level") == name, "count", f"bad experiences of {meaning}")
        for name, meaning in zip(LEVELS, ("needs not met", "ease", "enjoyment"), strict=True)
    ),
    Measure("bad_digital", _is_bad & pl.col("is_digital"), "count", "bad experiences through digital channels"),
    Measure("bad_physical", _is_bad & ~pl.col("is_digital"), "count", "bad experiences through physical channels"),
)


def _decayed(view: View) -> Floats:
    """Severity of the bad experiences before the cutoff, each halved every half-life since; 0 where there was none."""
    half_life = view.history.value(HALF_LIFE)[view.end - 1].astype(np.float64) / DAY_US
    severity = np.nan_to_num(view.last_value(DECAYED, BAD))
    return np.asarray(severity * np.exp2(-np.nan_to_num(view.days_since_last(BAD)) / half_life), np.float64)


def _tenure_years(view: View) -> Floats:
    return np.asarray((view.instant - view.history.at[view.start]) / DAY_US / 365.25, np.float64)


def _tenure_at_last_bad(view: View) -> Floats:
    row = view.last_row(BAD)
    return np.where(row >= 0, (view.history.at[row] - view.history.at[view.start]) / DAY_US, np.nan)


def _memory() -> Iterator[Feature]:
    """How fresh, how early and how well mended: what the effect of a failure turns on.

    Knox & van Oest (2014), Journal of Marketing 78(5): the effect of a complaint fades, and depends on the purchases
    and complaints before it and on recovery.
    """
    yield _family.of(
        "bad_experience_severity_decayed",
        "ratio",
        "severity of bad experiences so far, fading with time",
        (BAD, DECAYED, HALF_LIFE),
        _decayed,
        "0",
    )
    yield _family.of(
        "bad_experience_severity_decayed_by_tenure",
        "ratio",
        "decayed severity of bad experiences times years with us",
        (BAD, DECAYED, HALF_LIFE),
        lambda view: _decayed(view) * _tenure_years(view),
        "0",
    )
    yield _family.of(
        "bad_experience_tenure_days", "days", "days with us at the last bad experience", (BAD,), _tenure_at_last_bad
    )
    yield _family.of(
        "last_interaction_bad",
        "share",
        "whether the last interaction was a bad experience (1) or not (0)",
        (BAD,),
        lambda view: view.history.value(BAD)[view.end - 1],
        "0",
    )
    yield _family.ratio(
        "bad_experience_recovered_share", RECOVERED, BAD, None, "share of bad experiences recovered so far"
    )
    yield _family.ratio(
        "mean_recovery_hours", RECOVERY, RECOVERED, None, "mean time from a bad experience to its recovery", "hours"
    )
    for part in PARTS:
        yield from _family.in_windows(part, (365,))
        yield _family.days_since_last(part, f"days since the last of the {part.says}")


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
    *_memory(),
)
