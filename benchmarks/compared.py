"""The features compared, as a group-by states them: measures of an event, their aggregates, arithmetic on those.

Texts are SQL that both DuckDB and Polars read; pandas states the measures of an event in its own words and reads the
arithmetic through `DataFrame.eval`. Names of aggregates in the arithmetic: `spend_90d` is the sum of `spend` over 90
days, `spend` over all days before the cutoff, `last_visit` and `first_visit` are times in µs, `max_spend` is a maximum,
`cutoff` is the cutoff in µs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fedelta.features.contract import CHANNELS, DIGITAL_CHANNELS
from fedelta.features.history import DAY_US
from fedelta.features.registry import FEATURES

_DIGITAL = ", ".join(f"'{name}'" for name in DIGITAL_CHANNELS)

# Predicates: an event counts as one. `severity` is that of the gravest rule it broke.
COUNTS: Mapping[str, str] = {
    **{
        kind: f"kind = '{kind}'"
        for kind in (
            "visit", "complaint", "delivery", "message", "response", "referral", "review", "renewal", "downgrade",
            "purchase", "return", "survey",
        )
    },
    "contact": "kind IN ('contact', 'complaint')",
    "bad": "severity > 0",
    "unresolved": "kind IN ('contact', 'complaint') AND NOT resolved",
    "late": "delay_hours > 24",
    "delay_known": "delay_hours IS NOT NULL",
    "wait_known": "wait_hours IS NOT NULL",
    "effort_known": "effort IS NOT NULL",
    "rated": "rating IS NOT NULL",
    "low_rating": "rating <= 0.4",
    "channel_known": "channel IS NOT NULL",
    "digital": f"channel IN ({_DIGITAL})",
    **{f"channel_{name}": f"channel = '{name}'" for name in CHANNELS},
}  # fmt: skip
# What an event adds, where the predicate holds (None: wherever there is a value).
SUMS: Mapping[str, tuple[str, str | None]] = {
    "severity": ("severity", None),
    "spend": ("amount", "kind = 'purchase'"),
    "returned_value": ("amount", "kind = 'return'"),
    "delay": ("delay_hours", None),
    "wait": ("wait_hours", None),
    "effort": ("effort", None),
    "rating": ("rating", None),
}
# Whose latest and earliest times are read: every event (None), or those of a predicate.
_ENROLMENT = "kind = 'enrolment'"
LATEST: Mapping[str, str | None] = {
    "last_interaction": None,
    "last_enrolment": _ENROLMENT,
    **{f"last_{name}": COUNTS[name] for name in ("purchase", "visit", "bad", "unresolved", "contact", "rated")},
}
EARLIEST: Mapping[str, str | None] = {"first_interaction": None, "first_purchase": COUNTS["purchase"]}


@dataclass(frozen=True)
class Quotient:
    """`above / below`, null where `below` is zero."""

    above: str
    below: str


def _suffix(days: int | None) -> str:
    return "" if days is None else f"_{days}d"


def _totals(name: str, measure: str, *windows: int | None) -> dict[str, str]:
    return {name + _suffix(days): measure + _suffix(days) for days in windows}


def _rate(name: str, above: str, below: str, *windows: int | None) -> dict[str, Quotient]:
    return {name + _suffix(days): Quotient(above + _suffix(days), below + _suffix(days)) for days in windows}


def _days_since(**times: str) -> dict[str, Quotient]:
    return {name: Quotient(f"cutoff - {time}", str(DAY_US)) for name, time in times.items()}


FORMULAS: Mapping[str, str | Quotient] = {
    **_totals("interaction_count", "interaction", 7, 30, 90, 180, 365, None),
    **_totals("visit_count", "visit", 7, 30, 90, 365),
    **_totals("contact_count", "contact", 30, 90, 365),
    **_totals("complaint_count", "complaint", 365, None),
    **_totals("delivery_count", "delivery", 90, 365),
    **_totals("message_count", "message", 30, 90),
    **_totals("response_count", "response", 30, 90),
    **_rate("response_rate", "response", "message", 90),
    **_totals("referral_count", "referral", 365, None),
    **_totals("review_count", "review", 365),
    **_totals("renewal_count", "renewal", 365),
    **_totals("downgrade_count", "downgrade", 365),
    **_totals("purchase_count", "purchase", 30, 90, 180, 365, None),
    **_totals("purchase_day_count", "purchase_day", 365, None),
    **_totals("spend", "spend", 30, 90, 180, 365, None),
    "mean_spend": Quotient("spend", "purchase_day"),
    "max_spend": "max_spend",
    "spend_trend": Quotient("spend_90d * 365", "spend_365d * 90"),
    **_totals("return_count", "return", 90, 365, None),
    **_totals("returned_value", "returned_value", 365),
    **_rate("return_rate", "return", "purchase", 365),
    **_days_since(
        days_since_last_interaction="last_interaction",
        days_since_last_purchase="last_purchase",
        days_since_last_visit="last_visit",
        days_since_first_purchase="first_purchase",
        days_since_last_bad_experience="last_bad",
        days_since_last_unresolved_contact="last_unresolved",
        days_since_last_contact="last_contact",
        days_since_last_rated="last_rated",
        days_since_last_enrolment="last_enrolment",
        tenure_days="first_interaction",
    ),
    "purchase_span_days": Quotient("last_purchase - first_purchase", str(DAY_US)),
    "interaction_overdue_ratio": Quotient(
        "(cutoff - last_interaction) * (interaction - 1.0)", "last_interaction - first_interaction"
    ),
    "purchase_trend": Quotient("purchase_90d * 365", "purchase_365d * 90"),
    "visit_trend": Quotient("visit_30d * 3", "visit_90d"),
    "purchase_day_share": Quotient("purchase_day", "purchase"),
    **_totals("bad_experience_count", "bad", 30, 90, 180, 365, None),
    **_rate("bad_experience_rate", "bad", "interaction", 90, 365, None),
    **_totals("bad_experience_severity_points", "severity", 90, 365, None),
    "bad_experience_per_purchase": Quotient("bad", "purchase"),
    **_totals("unresolved_contact_count", "unresolved", 90, 365, None),
    **_rate("unresolved_rate", "unresolved", "contact", 365),
    **_totals("late_delivery_count", "late", 90, 365),
    **_rate("late_delivery_rate", "late", "delivery", 365),
    **_rate("mean_delay_hours", "delay", "delay_known", 365),
    **_rate("mean_wait_hours", "wait", "wait_known", 365),
    **_rate("mean_effort", "effort", "effort_known", 365),
    **{f"{name}_share_365d": Quotient(f"channel_{name}_365d", "channel_known_365d") for name in CHANNELS},
    **_rate("digital_share", "digital", "channel_known", 90, 365),
    **_totals("rated_count", "rated", 365, None),
    **_rate("mean_rating", "rating", "rated", 90, 365, None),
    **_rate("low_rating_share", "low_rating", "rated", 365),
    **_totals("survey_count", "survey", 365),
    "purchases_per_year": Quotient(f"purchase * 365.25 * {DAY_US}", "cutoff - first_interaction"),
    "spend_per_year": Quotient(f"spend * 365.25 * {DAY_US}", "cutoff - first_interaction"),
}
# Over the 13 channels at once; each contender states them itself.
OVER_CHANNELS = ("channel_entropy_365d", "channel_count_365d")
# Of the windows that some formula reads.
WINDOW_DAYS = tuple(sorted({int(days) for name in FORMULAS for days in re.findall(r"_(\d+)d$", name)}))
CHANNEL_TOTALS = tuple(f"channel_{name}_365d" for name in CHANNELS)

COMPARED = tuple(feature for feature in FEATURES if feature.name in FORMULAS or feature.name in OVER_CHANNELS)
# Those left out ask for the event before (gaps, repeats, streaks, decay, recovery), for the first event or for the
# value at the last one; or they are the same counts again by pillar, level and touch.
NOT_COMPARED = tuple(feature.name for feature in FEATURES if feature not in COMPARED)


def totals() -> tuple[tuple[str, int | None], ...]:
    """Every sum that some formula reads: the measure, and its window in days or None."""
    measures = {"interaction", "purchase_day", *COUNTS, *SUMS}
    read = {word for formula in FORMULAS.values() for word in _words(formula)} | set(CHANNEL_TOTALS)
    found = ((m, days) for m in measures for days in (None, *WINDOW_DAYS) if m + _suffix(days) in read)
    return tuple(sorted(found, key=lambda total: (total[0], total[1] or 0)))


def total_name(measure: str, days: int | None) -> str:
    """Name of a sum in the formulas."""
    return measure + _suffix(days)


def _words(formula: str | Quotient) -> list[str]:
    text = formula if isinstance(formula, str) else f"{formula.above} {formula.below}"
    return re.findall(r"[a-z_][a-z_0-9]*", text)
