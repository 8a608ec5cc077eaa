"""Every feature and label once more, naively: plain loops over one customer's events, no code of the kernel."""

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace

from fedelta.features.contract import CHANNELS, DIGITAL_CHANNELS

DAY = timedelta(days=1)
Value = float | None

CONTACTS = ("contact", "complaint")
PAID = ("purchase", "renewal")  # what customers pay for


def low(e: SimpleNamespace) -> bool:
    """The customer rated it as bad."""
    return e.rating is not None and e.rating <= 0.4


def again(e: SimpleNamespace) -> bool:
    """The customer had to come back on the same topic."""
    return e.kind in CONTACTS and any(
        f.kind in CONTACTS and f.topic and f.topic == e.topic and e.occurred_at - f.occurred_at <= 14 * DAY
        for f in e.before
    )


# The rules of histories.RULES, gravest first, as Python: name, severity, pillar, level, what breaks it.
BROKEN: Sequence[tuple[str, int, str, str, Callable[[SimpleNamespace], bool]]] = (
    ("unresolved_contact", 3, "resolution", "needs", lambda e: e.kind in CONTACTS and e.resolved is False),
    ("late_delivery", 2, "expectations", "needs", lambda e: e.kind == "delivery" and (e.delay_hours or 0) > 24),
    ("repeated_contact", 2, "resolution", "ease", again),
    ("bad_review", 2, "integrity", "enjoyable", lambda e: e.kind == "review" and low(e)),
    ("low_rating", 1, "empathy", "enjoyable", low),
    ("error", 1, "time_and_effort", "ease", lambda e: e.kind == "error"),
)
PILLARS = ("integrity", "resolution", "expectations", "empathy", "personalisation", "time_and_effort")
LEVELS = ("needs", "ease", "enjoyable")


@dataclass(frozen=True)
class Past:
    """What one customer went through before a cutoff, oldest first; `gaps[i]` is what event i looks back on."""

    cutoff: datetime
    events: list[SimpleNamespace]
    horizon: timedelta = DAY

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, object]], customer: str, cutoff: datetime, horizon_days: int = 1) -> "Past":
        """The customer's events before the cutoff, each with the rule it broke."""
        mine = [SimpleNamespace(**row) for row in rows if row["customer_id"] == customer]
        before = sorted((e for e in mine if e.occurred_at < cutoff), key=lambda e: (e.occurred_at, e.interaction_id))
        for i, e in enumerate(before):
            e.before = before[:i]
            e.rule, e.severity, e.pillar, e.level = next(
                (judgement for *judgement, broken in BROKEN if broken(e)), (None, 0, None, None)
            )
            if e.rule == "bad_review":
                e.severity = round(2 * (1 + math.log10(1 + (e.reach or 0))))
        return cls(cutoff, before, horizon_days * DAY)

    def of_kind(self, *kinds: str, days: int | None = None) -> list[SimpleNamespace]:
        """Events of some kinds in the last `days`."""
        return [e for e in self.within(days) if e.kind in kinds]

    def within(self, days: int | None) -> list[SimpleNamespace]:
        """Events in the last `days`, all where None."""
        return [e for e in self.events if days is None or e.occurred_at >= self.cutoff - days * DAY]

    def ago(self, events: Sequence[SimpleNamespace], which: int = -1) -> Value:
        """Days from the last (or another) of `events` to the cutoff."""
        return (self.cutoff - events[which].occurred_at) / DAY if events else None

    def recovery(self, e: SimpleNamespace) -> tuple[SimpleNamespace, float] | None:
        """The resolved contact that made a bad experience good within 30 days, and the hours it took."""
        about = e.topic if e.kind in CONTACTS else None
        mending = (
            f
            for f in self.events[self.events.index(e) :]
            if f.kind in CONTACTS and f.resolved and (about is None or f.topic in (None, about))
        )
        if (by := next(mending, None)) is None:
            return None
        hours = (e.wait_hours or 0) if by is e else (by.occurred_at - e.occurred_at) / timedelta(hours=1)
        return (by, hours) if hours <= 720 else None

    def after_last(self, marks: Sequence[SimpleNamespace]) -> list[SimpleNamespace]:
        """Events after the last of `marks`, all where there is none."""
        return self.events[self.events.index(marks[-1]) + 1 :] if marks else self.events


def over(above: float | Decimal | None, below: float | Decimal | None) -> Value:
    """A quotient, unknown where the divisor is zero or anything is unknown."""
    return None if above is None or not below else float(above) / float(below)


def mean(values: Sequence[float]) -> Value:
    """The mean of values, unknown where there are none."""
    return math.fsum(values) / len(values) if values else None


def activity(past: Past) -> dict[str, Value]:
    """How much of what."""
    out: dict[str, Value] = {
        f"{name}_count{f'_{days}d' if days else ''}": len(past.of_kind(*kinds, days=days))
        for name, kinds, windows in (
            ("visit", ("visit",), (7, 30, 90, 365)),
            ("contact", ("contact", "complaint"), (30, 90, 365)),
            ("complaint", ("complaint",), (365, None)),
            ("delivery", ("delivery",), (90, 365)),
            ("message", ("message",), (30, 90)),
            ("response", ("response",), (30, 90)),
            ("referral", ("referral",), (365, None)),
            ("review", ("review",), (365,)),
            ("renewal", ("renewal",), (365,)),
            ("downgrade", ("downgrade",), (365,)),
        )
        for days in windows
    }
    out |= {f"interaction_count_{days}d": len(past.within(days)) for days in (7, 30, 90, 180, 365)}
    out["interaction_count"] = len(past.events)
    out["response_rate_90d"] = over(len(past.of_kind("response", days=90)), len(past.of_kind("message", days=90)))
    return out


def purchase_days(purchases: Iterable[SimpleNamespace]) -> int:
    """Different days with a purchase."""
    return len({e.occurred_at.date() for e in purchases})


def money(events: Iterable[SimpleNamespace]) -> Decimal:
    """What events cost together; an unknown amount is none."""
    return sum((e.amount or Decimal(0) for e in events), Decimal(0))


def purchases(past: Past) -> dict[str, Value]:
    """How many, how much, what came back."""
    all_time = past.of_kind("purchase")
    last = (all_time[-1].amount or Decimal(0)) if all_time else None
    out: dict[str, Value] = {}
    for days, suffix in ((30, "_30d"), (90, "_90d"), (180, "_180d"), (365, "_365d"), (None, "")):
        bought = past.of_kind("purchase", days=days)
        out |= {f"purchase_count{suffix}": len(bought), f"spend{suffix}": float(money(past.of_kind(*PAID, days=days)))}
    for days, suffix in ((365, "_365d"), (None, "")):
        out[f"purchase_day_count{suffix}"] = purchase_days(past.of_kind("purchase", days=days))
    for days, suffix in ((90, "_90d"), (365, "_365d"), (None, "")):
        out[f"return_count{suffix}"] = len(past.of_kind("return", days=days))
    out["returned_value"] = float(money(past.of_kind("return")))
    out["returned_value_365d"] = float(money(past.of_kind("return", days=365)))
    out["mean_spend"] = over(money(all_time), purchase_days(all_time))
    out["max_spend"] = float(max((e.amount or Decimal(0) for e in all_time), default=Decimal(0)))
    out["last_spend"] = None if last is None else float(last)
    out["last_spend_ratio"] = over(last, over(money(all_time), len(all_time)))
    out["spend_trend"] = over(money(past.of_kind(*PAID, days=90)) * 365 / 90, money(past.of_kind(*PAID, days=365)))
    out["return_rate_365d"] = over(len(past.of_kind("return", days=365)), len(past.of_kind("purchase", days=365)))
    return out


def rhythm(past: Past) -> dict[str, Value]:
    """The customer's own pace, in whole minutes between purchases."""
    bought, visits = past.of_kind("purchase"), past.of_kind("visit")
    gaps = [
        Fraction((b.occurred_at - a.occurred_at) // timedelta(minutes=1), 1440) for a, b in itertools.pairwise(bought)
    ]
    usual = float(sum(gaps) / len(gaps)) if gaps else None
    deviation = float(statistics.stdev(gaps)) if len(gaps) >= 2 else None
    span = (past.events[-1].occurred_at - past.events[0].occurred_at) / DAY
    between = over(span, len(past.events) - 1)
    return {
        "days_since_last_interaction": past.ago(past.events),
        "days_since_last_purchase": past.ago(bought),
        "days_since_last_visit": past.ago(visits),
        "days_since_first_purchase": past.ago(bought, 0),
        "purchase_span_days": (bought[-1].occurred_at - bought[0].occurred_at) / DAY if bought else None,
        "mean_purchase_gap_days": usual,
        "purchase_gap_deviation_days": deviation,
        "purchase_irregularity": over(deviation, usual),
        "last_gap_ratio": over(float(gaps[-1]), usual) if gaps else None,
        "purchase_overdue_ratio": over(past.ago(bought), usual),
        "interaction_overdue_ratio": over(past.ago(past.events), between),
        "purchase_trend": over(
            len(past.of_kind("purchase", days=90)) * 365 / 90, len(past.of_kind("purchase", days=365))
        ),
        "visit_trend": over(3 * len(past.of_kind("visit", days=30)), len(past.of_kind("visit", days=90))),
        "visits_since_purchase_count": sum(e.kind == "visit" for e in past.after_last(bought)),
        "purchase_day_share": over(purchase_days(bought), len(bought)),
    }


def experience(past: Past) -> dict[str, Value]:
    """What went wrong, how often, how long ago."""
    bad = [e for e in past.events if e.rule]
    repeats = [b for a, b in itertools.pairwise(bad) if b.occurred_at - a.occurred_at <= 14 * DAY]
    contacts = past.of_kind("contact", "complaint")
    unresolved = [e for e in contacts if e.resolved is False]
    resolved = [e for e in contacts if e.resolved]
    out: dict[str, Value] = {}
    for days, suffix in ((30, "_30d"), (90, "_90d"), (180, "_180d"), (365, "_365d"), (None, "")):
        out[f"bad_experience_count{suffix}"] = sum(e in bad for e in past.within(days))
    for days, suffix in ((90, "_90d"), (365, "_365d"), (None, "")):
        window = past.within(days)
        out[f"bad_experience_rate{suffix}"] = over(sum(e in bad for e in window), len(window))
        out[f"bad_experience_severity_points{suffix}"] = sum(e.severity for e in window)
        out[f"repeat_failure_count{suffix}"] = sum(e in repeats for e in window)
        out[f"unresolved_contact_count{suffix}"] = sum(e in unresolved for e in window)
    year = past.within(365)
    late = [e for e in past.events if e.delay_hours is not None and e.delay_hours > 24]
    for name, part in (
        *((name, [e for e in bad if e.pillar == name]) for name in PILLARS),
        *((name, [e for e in bad if e.level == name]) for name in LEVELS),
        ("digital", [e for e in bad if e.channel in DIGITAL_CHANNELS]),
        ("physical", [e for e in bad if e.channel and e.channel not in DIGITAL_CHANNELS]),
    ):
        out[f"bad_{name}_count_365d"] = sum(e in part for e in year)
        out[f"days_since_last_bad_{name}"] = past.ago(part)
    decayed = math.fsum(e.severity * 0.5 ** ((past.cutoff - e.occurred_at) / DAY / 60) for e in bad)
    recovered = [round(found[1] * 3_600_000) / 3_600_000 for e in bad if (found := past.recovery(e))]
    return out | {
        "bad_experience_severity_decayed": decayed,
        "bad_experience_severity_decayed_by_tenure": decayed * (past.ago(past.events, 0) or 0) / 365.25,
        "bad_experience_tenure_days": (bad[-1].occurred_at - past.events[0].occurred_at) / DAY if bad else None,
        "last_interaction_bad": float(past.events[-1] in bad),
        "bad_experience_recovered_share": over(len(recovered), len(bad)),
        "mean_recovery_hours": mean(recovered),
        "days_since_last_bad_experience": past.ago(bad),
        "days_since_last_unresolved_contact": past.ago(unresolved),
        "days_since_last_contact": past.ago(contacts),
        "bad_experience_streak_count": len(past.after_last([e for e in past.events if not e.rule])),
        "bad_since_purchase_count": sum(e in bad for e in past.after_last(past.of_kind("purchase"))),
        "bad_experience_per_purchase": over(len(bad), len(past.of_kind("purchase"))),
        "bad_onboarding_count": sum(e.occurred_at - past.events[0].occurred_at < 90 * DAY for e in bad),
        "unresolved_since_resolved_count": sum(e in unresolved for e in past.after_last(resolved)),
        "unresolved_rate_365d": over(
            sum(e in unresolved for e in year), len(past.of_kind("contact", "complaint", days=365))
        ),
        "late_delivery_count_90d": sum(e in late for e in past.within(90)),
        "late_delivery_count_365d": sum(e in late for e in year),
        "late_delivery_rate_365d": over(sum(e in late for e in year), len(past.of_kind("delivery", days=365))),
        "mean_delay_hours_365d": mean([e.delay_hours for e in year if e.delay_hours is not None]),
        "mean_wait_hours_365d": mean([e.wait_hours for e in year if e.wait_hours is not None]),
        "mean_effort_365d": mean([e.effort for e in year if e.effort is not None]),
    }


def channels(past: Past) -> dict[str, Value]:
    """Where, and how many ways; a channel that the contract does not list counts for the whole only."""
    used = Counter(e.channel for e in past.within(365) if e.channel)
    shares = {name: over(used[name], used.total()) for name in CHANNELS}
    digital = {
        days: [e.channel in DIGITAL_CHANNELS for e in past.within(days) if e.channel] for days in (90, 365, None)
    }
    return {f"{name}_share_365d": share for name, share in shares.items()} | {
        "digital_share_365d": mean(digital[365]),
        "digital_share_90d": mean(digital[90]),
        "channel_entropy_365d": -math.fsum(p * math.log2(p) for p in shares.values() if p) if used else None,
        "channel_count_365d": sum(1 for name in used if name in CHANNELS),
        "last_channel_digital": float(digital[None][-1]) if digital[None] else None,
    }


def ratings(past: Past) -> dict[str, Value]:
    """How the customer judged us."""
    rated = [e for e in past.events if e.rating is not None]
    given = {days: [e.rating for e in past.within(days) if e.rating is not None] for days in (90, 365, None)}
    average, last = mean(given[None]), given[None][-1] if given[None] else None
    return {
        "rated_count_365d": len(given[365]),
        "rated_count": len(rated),
        "mean_rating_90d": mean(given[90]),
        "mean_rating_365d": mean(given[365]),
        "mean_rating": average,
        "last_rating": last,
        "rating_trend": None if last is None or average is None else last - average,
        "low_rating_share_365d": mean([rating <= 0.4 for rating in given[365]]),
        "days_since_last_rated": past.ago(rated),
        "survey_count_365d": len(past.of_kind("survey", days=365)),
    }


def tenure(past: Past) -> dict[str, Value]:
    """How long with us."""
    days = past.ago(past.events, 0)
    bought = past.of_kind("purchase")
    return {
        "tenure_days": days,
        "days_since_last_enrolment": past.ago(past.of_kind("enrolment")),
        "purchases_per_year": over(len(bought) * 365.25, days),
        "spend_per_year": over(float(money(past.of_kind(*PAID))) * 365.25, days),
    }


def past_outcomes(past: Past, definition: str = "inactivity") -> dict[str, Value]:
    """Of the periods before the cutoff, the share with the outcome; the first begins with the history or later."""
    means, since = ("cancellation", past.events) if definition == "event" else ("purchase", past.of_kind("purchase"))
    outcomes, end = [], past.cutoff
    while since and end - past.horizon >= since[0].occurred_at:
        begin = end - past.horizon
        happened = any(begin <= e.occurred_at < end for e in past.of_kind(means))
        outcomes.append(float(happened if definition == "event" else not happened))
        end = begin
    return {"past_outcome_rate": mean(outcomes)}


FAMILIES = (activity, purchases, rhythm, experience, channels, ratings, tenure)


def features(past: Past, definition: str = "inactivity") -> dict[str, Value]:
    """Every feature of one customer at one cutoff."""
    read = {name: value for family in FAMILIES for name, value in family(past).items()}
    return read | past_outcomes(past, definition)


def status(past: Past, definition: str = "inactivity") -> str:
    """Whether churn can be predicted of the customer, and why not."""
    turns = ("cancellation", "purchase", "renewal", "enrolment")
    last = next((e.kind for e in reversed(past.events) if e.kind in turns), None)
    if last == "cancellation":
        return "already_churned"
    return "scored" if past.of_kind("purchase") or definition == "event" else "no_history"


def labels(rows: Iterable[Mapping[str, object]], customer: str, begin: datetime, end: datetime) -> dict[str, float]:
    """What happened to the customer in ``[begin, end)``."""
    until = Past.of(rows, customer, end)
    horizon = [e for e in until.events if e.occurred_at >= begin]
    bought = [e for e in horizon if e.kind == "purchase"]
    return {
        "horizon_purchase_count": len(bought),
        "horizon_purchase_day_count": purchase_days(bought),
        "horizon_spend": float(money([e for e in horizon if e.kind in PAID])),
        "horizon_cancellation_count": sum(e.kind == "cancellation" for e in horizon),
    }
