"""What a column is about, and which fact of a customer's row tells of it: one that pulls the score the way it goes.

A theme's columns fall into subjects. A subject's teller gives a fact with the code of its sentence, or None where no
fact of it fits: an order of yesterday is no reason for a risk, however a model came to count it as one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from fedelta.features.attributes import BAD_PREFIX, PREFIX
from fedelta.features.recent import MOST_RECENT
from fedelta.models.panel import PRIOR_FEATURES
from fedelta.models.reasons.customer import Customer
from fedelta.models.reasons.wording import Day, Usual, Words, rounded

Better = Literal["more", "less", "unknown"]  # of something, for staying

_OVERDUE = 1.25  # of the usual gap: from here a silence is longer than usual
_DIFFERENT = 0.2  # of the larger of two figures: from here they differ to a reader
_DIFFERENT_SHARE = 0.2  # of shares of interactions
_DIFFERENT_POINTS = 0.1  # of ratings from 0 to 1
_SHORT = 1.5  # of the usual gap: up to here one is nothing unusual


@dataclass(frozen=True)
class Fact:
    """What a reason states: the code of its sentence with what it needs, its main column and its day."""

    code: str
    facts: Mapping[str, object] = field(default_factory=dict)
    column: str | None = None
    day: Day | None = None
    usual: Usual | None = None  # shown in the sentence


Teller = Callable[[Customer, Sequence[str], bool], Fact | None]

# Of counts: whether more of it is better for staying.
_COUNTED: Mapping[str, Better] = {
    "interaction": "more", "visit": "more", "contact": "less", "complaint": "less", "delivery": "more",
    "message": "unknown", "response": "more", "referral": "more", "review": "more", "renewal": "more",
    "downgrade": "less", "purchase": "more", "purchase_day": "more", "activity": "more", "activity_day": "more",
    "return": "less", "rated": "more", "survey": "more", "channel": "more",
}  # fmt: skip
_COUNT = re.compile(rf"({'|'.join(sorted(_COUNTED, key=len, reverse=True))})_count(?:_(\d+)d)?")
_RATES: Mapping[str, tuple[str, Better]] = {  # column: which rate of `rate`, and whether more of it is better
    "response_rate_90d": ("response_rate", "more"),
    "return_rate_365d": ("return_rate", "less"),
    "low_rating_share_365d": ("low_rating", "less"),
}
_SHARE = re.compile(r"(\w+)_share_365d")
_BAD = r"(bad_|days_since_last_bad_|repeat_failure_|last_interaction_bad|late_delivery_|mean_recovery_hours).*"


@cache
def subject_of(name: str) -> str:
    """The subject of a column; those that only share a sentence have one of their own (`other:` and the name)."""
    if name in PRIOR_FEATURES:
        return "silence"
    if name.startswith(BAD_PREFIX):
        return f"bad_attribute:{name}"
    if name.startswith(PREFIX):
        return f"attribute:{name}"
    for subject, pattern in _SUBJECTS.items():
        if pattern.fullmatch(name):
            return subject
    if found := _COUNT.fullmatch(name):
        return f"count:{found[1]}"
    return f"other:{name}"


_SUBJECTS: Mapping[str, re.Pattern[str]] = {
    subject: re.compile(pattern)
    for subject, pattern in {
        "bad": _BAD,
        "issues": r"unresolved_.*|days_since_last_unresolved_contact",
        "service": r"days_since_last_contact|mean_(wait_hours|effort|delay_hours)_365d",
        "past": r"past_outcome_rate",
        "visits": r"days_since_last_visit|visit_trend|visits_since_purchase_count",
        "recorded": r"days_since_last_interaction|interaction_overdue_ratio",
        "orders_trend": r"purchase_trend|last_gap_ratio",
        "activity_trend": r"activity_trend|last_activity_gap_ratio",
        "orders": r"(days_since_(last|first)|mean)_purchase(_gap_days)?|purchase_(span_days|gap_deviation_days|"
        r"irregularity|overdue_ratio|day_share)",
        "activities": r"(days_since_(last|first)|mean)_activity(_gap_days)?|activity_(span_days|gap_deviation_days|"
        r"irregularity|overdue_ratio|day_share)",
        "spend": r"spend(_\d+d)?",
        "basket": r"mean_spend|max_spend|last_spend|last_spend_ratio",
        "spend_trend": r"spend_trend",
        "returned": r"returned_value(_\d+d)?|return_rate_365d|return_count(_\d+d)?",
        "rating": r"mean_rating(_\d+d)?|last_rating|rating_trend|low_rating_share_365d",
        "ratings_given": r"rated_count(_\d+d)?|survey_count_365d|days_since_last_rated",
        "response": r"response_rate_90d|response_count_\d+d",
        "tenure": r"tenure_days",
        "enrolment": r"days_since_last_enrolment",
        "pace": r"(purchases|spend)_per_year",
        "channel": r"\w+_share_\d+d|channel_entropy_365d|channel_count_365d|last_channel_digital",
    }.items()
}


def tell(customer: Customer, subject: str, columns: Sequence[str], *, raising: bool) -> Fact | None:
    """A fact of the subject that goes the way of the score; `columns` are those that pull that way, strongest first."""
    kind = subject.partition(":")[0]
    if kind == "silence":
        kind = "orders" if customer.rows.activity == "purchase" else "activities"
    return _TELLERS[kind](customer, columns, raising)


def neutral(customer: Customer) -> Fact | None:
    """When a customer last ordered (or was active) and how often they do, whichever way that pulls."""
    name = customer.rows.activity
    last = customer.day(customer.number(f"days_since_last_{name}"))
    if last is None:
        return _recorded(customer, (), raising=False) or _recorded(customer, (), raising=True)
    days = customer.number(f"{name}_day_count") or 0
    gap = _gap(customer, name, days) if days > 2 else None
    return Fact("recent", {"what": customer.what, "last": last, "gap": gap}, f"days_since_last_{name}", last)


def fits(value: float, usual: Usual | None, better: Better, *, raising: bool) -> bool:
    """Whether a value goes the way of the score: beside what is usual, from which it must differ by a fifth."""
    if usual is None or usual.value is None:
        return better == "unknown" or (value > 0) == (raising == (better == "less"))
    if abs(value - usual.value) < _DIFFERENT * max(abs(value), abs(usual.value)) or value == usual.value:
        return False
    return better == "unknown" or (value > usual.value) == (raising == (better == "less"))


def _shown(value: float, usual: Usual | None) -> Usual | None:
    """What is usual, unless it is the same to a reader."""
    if usual is None or usual.value is None or rounded(usual.value) == rounded(value):
        return None
    return usual


def _rhythm(customer: Customer, name: str, *, raising: bool) -> Fact | None:  # noqa: PLR0911 - a line per case
    """How long ago the last order (or other activity) was, beside the customer's own rhythm."""
    column = f"days_since_last_{name}"
    since = customer.number(column)
    what = "purchase" if name == "purchase" else customer.what
    last = customer.day(since)
    if since is None or last is None:
        return Fact("never", {"what": what}, column) if raising and customer.has(column) else None
    days = customer.number(f"{name}_day_count") or 0
    gap = _gap(customer, name, days)
    facts: dict[str, object] = {"what": what, "last": last}
    usual = customer.usual(column)
    if days < 2:
        if raising:
            longer = usual if usual and usual.value is not None and since > 1.25 * usual.value else None
            if usual and usual.value is not None and since < usual.value / 2:
                return None
            return Fact("only_once", facts | {"usual": longer}, column, last, longer)
        near = usual is None or usual.value is None or since < usual.value
        return Fact("recent", facts | {"gap": None}, column, last) if near else None
    horizon = customer.number("horizon_days") or 90
    if raising:
        if gap is None or since >= _OVERDUE * gap:
            return Fact("silence", facts | {"gap": gap, "pair": days == 2}, column, last)
        return Fact("far_apart", facts | {"gap": gap}, column, last) if gap >= horizon / 2 else None
    if gap is None or since <= _SHORT * gap:
        return Fact("recent", facts | {"gap": gap if days > 2 else None}, column, last)
    return None


def _gap(customer: Customer, name: str, days: float) -> float | None:
    """Mean days from one day with an order (or other activity) to the next; None before the second."""
    span = customer.number(f"{name}_span_days")
    if days < 2 or span is None:
        return None
    gap = span / (days - 1)
    return gap if gap >= 1 else None


def _orders(customer: Customer, _columns: Sequence[str], raising: bool) -> Fact | None:
    return _rhythm(customer, "purchase", raising=raising)


def _activities(customer: Customer, _columns: Sequence[str], raising: bool) -> Fact | None:
    return _rhythm(customer, "activity", raising=raising)


def _trend(customer: Customer, name: str, *, raising: bool) -> Fact | None:
    lately, year = customer.number(f"{name}_count_90d"), customer.number(f"{name}_count_365d")
    if lately is None or not year:
        return None
    column, due = f"{name}_trend", year * 90 / 365
    what = "purchase" if name == "purchase" else customer.what
    facts = {"what": what, "lately": rounded(lately), "year": rounded(year)}
    if raising and lately < due and year >= 2:
        return Fact("fewer_lately", facts, column)
    # In a first year everything is lately: no trend.
    settled = (customer.number(f"days_since_first_{name}") or 0) > 180
    return Fact("more_lately", facts, column) if not raising and lately > due and settled else None


def _orders_trend(customer: Customer, _columns: Sequence[str], raising: bool) -> Fact | None:
    return _trend(customer, "purchase", raising=raising)


def _activity_trend(customer: Customer, _columns: Sequence[str], raising: bool) -> Fact | None:
    return _trend(customer, "activity", raising=raising)


def _visits(customer: Customer, _columns: Sequence[str], raising: bool) -> Fact | None:
    column = "days_since_last_visit"
    since, usual = customer.number(column), customer.usual(column)
    if (last := customer.day(since)) is None or since is None:
        return None
    if not fits(since, usual, "less", raising=raising):
        return None
    if raising:
        return Fact("silence", {"what": "visit", "last": last, "gap": None, "pair": False}, column, last)
    return Fact("recent", {"what": "visit", "last": last, "gap": None}, column, last)


def _recorded(customer: Customer, _columns: Sequence[str], raising: bool) -> Fact | None:
    column = "days_since_last_interaction"
    since = customer.number(column)
    if (last := customer.day(since)) is None or since is None:
        return None
    if not fits(since, customer.usual(column), "less", raising=raising):
        return None
    return Fact("nothing_recorded" if raising else "last_recorded", {"last": last}, column, last)


def _past(customer: Customer, _columns: Sequence[str], raising: bool) -> Fact | None:
    column = "past_outcome_rate"
    share, horizon = customer.number(column), customer.number("horizon_days")
    if share is None or horizon is None or not fits(share, customer.usual(column), "less", raising=raising):
        return None
    event = customer.rows.wording.event
    facts = {"what": customer.what, "share": share, "days": int(horizon), "event": event}
    return Fact("past_periods", facts, column)


def _count(customer: Customer, columns: Sequence[str], raising: bool) -> Fact | None:
    for column in columns:
        found, value = _COUNT.fullmatch(column), customer.number(column)
        if found is None or value is None:
            continue
        usual = customer.usual(column)
        if fits(value, usual, _COUNTED[found[1]], raising=raising):
            shown = _shown(value, usual)
            if shown is None and usual is not None and usual.value is not None:
                continue  # the same to a reader
            what = customer.what if found[1] == "activity" else found[1]
            days = int(found[2]) if found[2] else None
            return Fact("count", {"what": what, "value": rounded(value), "days": days, "usual": shown}, column)
    return None


def _spend(customer: Customer, columns: Sequence[str], raising: bool) -> Fact | None:
    for column in columns:
        value, usual = customer.number(column), customer.usual(column)
        days = re.search(r"_(\d+)d$", column)
        if value is None or not fits(value, usual, "more", raising=raising):
            continue
        facts = {"value": value, "currency": customer.rows.wording.currency, "days": int(days[1]) if days else None}
        return Fact("spent", facts | {"usual": usual}, column)
    return None


def _basket(customer: Customer, columns: Sequence[str], raising: bool) -> Fact | None:
    currency = customer.rows.wording.currency
    for column in columns:
        value, usual = customer.number(column), customer.usual(column)
        if value is None:
            continue
        if column == "last_spend_ratio":
            last = customer.number("last_spend")
            if last is None or value == 0 or abs(value - 1) < 0.2 or (value < 1) != raising:
                continue
            return Fact("last_order_against_mean", {"value": last, "mean": last / value, "currency": currency}, column)
        if fits(value, usual, "more", raising=raising):
            facts = {"which": column.removesuffix("_spend"), "value": value, "currency": currency, "usual": usual}
            return Fact("order_value", facts, column)
    return None


def _spend_trend(customer: Customer, _columns: Sequence[str], raising: bool) -> Fact | None:
    lately, year = customer.number("spend_90d"), customer.number("spend_365d")
    if lately is None or not year or (lately * (365 / 90) < year) != raising:
        return None
    if not raising and (customer.number("days_since_first_purchase") or 0) <= 180:
        return None
    facts = {"lately": lately, "year": year, "currency": customer.rows.wording.currency}
    return Fact("spending_trend", facts, "spend_trend")


def _returned(customer: Customer, columns: Sequence[str], raising: bool) -> Fact | None:
    for column in columns:
        value, usual = customer.number(column), customer.usual(column)
        if value is None:
            continue
        if column.startswith("returned_value"):
            days = 365 if column.endswith("_365d") else None
            if value and fits(value, usual, "less", raising=raising):
                facts = {"value": value, "currency": customer.rows.wording.currency, "days": days, "usual": usual}
                return Fact("returned", facts, column)
        elif column in _RATES:
            if found := _rate(customer, (column,), raising):
                return found
        elif found := _count(customer, (column,), raising):
            return found
    return None


def _rate(customer: Customer, columns: Sequence[str], raising: bool) -> Fact | None:
    for column in columns:
        if column not in _RATES:
            continue
        of, better = _RATES[column]
        value, usual = customer.number(column), customer.usual(column)
        if value is not None and fits(value, usual, better, raising=raising):
            days = int(column.rsplit("_", 1)[1].removesuffix("d"))
            return Fact("rate", {"of": of, "value": value, "days": days, "usual": usual}, column)
    return None


def _response(customer: Customer, columns: Sequence[str], raising: bool) -> Fact | None:
    return _rate(customer, columns, raising) or _count(customer, columns, raising)


def _bad(customer: Customer, _columns: Sequence[str], raising: bool) -> Fact | None:
    return _something_bad(customer) if raising else _nothing_bad(customer)


def _something_bad(customer: Customer) -> Fact | None:
    """Bad experiences since the last order, or in the smallest window that holds any, beside the peers'."""
    since_order = customer.number("bad_since_purchase_count")
    bought = customer.number("days_since_last_purchase")
    windows: list[tuple[str, int | None]] = [(f"bad_experience_count_{days}d", days) for days in (30, 90, 365)]
    if customer.rows.activity == "purchase" and bought is not None and since_order:
        windows = [("bad_since_purchase_count", 0)]
    for column, days in windows:
        n, usual = rounded(customer.number(column) or 0), customer.usual(column)
        if not n:
            continue
        fewer = usual is not None and usual.value is not None and usual.value < n
        latest = _latest(customer, n, bought if days == 0 else days)
        issue = _issue_day(customer)
        facts = {
            "n": n, "since": days, "latest": latest, "usual": _shown(n, usual) if fewer else None, "open_since": issue,
        }  # fmt: skip
        return Fact("bad_experiences", facts, column, latest[0][1] if latest else None)
    return None


def _nothing_bad(customer: Customer) -> Fact | None:
    for column, days in (("bad_experience_count", None), ("bad_experience_count_365d", 365)):
        n, usual = customer.number(column), customer.usual(column)
        if n == 0:
            return Fact("no_bad_experience", {"days": days, "usual": _shown(0, usual)}, column)
    column = "bad_experience_count_365d"
    n, usual = customer.number(column), customer.usual(column)
    if n and usual and usual.value is not None and _shown(n, usual) and n < usual.value:
        latest = _latest(customer, rounded(n), 365)
        facts = {"n": rounded(n), "since": 365, "latest": latest, "usual": usual, "open_since": None}
        return Fact("bad_experiences", facts, column, latest[0][1] if latest else None)
    return None


def _latest(customer: Customer, n: int, within_days: float | None) -> list[tuple[Words, Day]]:
    """The words and days of the latest bad experiences, at most n and `MOST_RECENT`, latest first."""
    wording, found = customer.rows.wording, []
    known = [(customer.text("last_bad_experience"), customer.day(customer.number("days_since_last_bad_experience")))]
    known += [
        (customer.text(f"bad_experience_{place}"), customer.day(customer.number(f"bad_experience_{place}_days")))
        for place in range(2, MOST_RECENT + 1)
    ]
    for rule, day in known[:n]:
        if rule is None or day is None or (within_days is not None and day.ago > within_days + 1):
            break
        found.append((wording.rule(rule), day))
    return found


def _issue_day(customer: Customer) -> Day | None:
    """The day of the last unresolved contact, if none was resolved since."""
    if not customer.number("unresolved_since_resolved_count"):
        return None
    return customer.day(customer.number("days_since_last_unresolved_contact"))


def _issues(customer: Customer, columns: Sequence[str], raising: bool) -> Fact | None:
    column = "unresolved_since_resolved_count"
    n, last = customer.number(column), _issue_day(customer)
    if raising and n and last:
        topic = customer.text("open_issue_topic") or ""
        return Fact("open_issue", {"n": rounded(n), "last": last, "topic": topic.replace("_", " ")}, column, last)
    column = "unresolved_contact_count_365d"
    value, usual = customer.number(column), customer.usual(column)
    if value is None or not fits(value, usual, "less", raising=raising) or (raising and not value):
        return None
    facts = {"what": "unresolved_contact", "value": rounded(value), "days": 365, "usual": _shown(value, usual)}
    return Fact("count", facts, column)


def _service(customer: Customer, columns: Sequence[str], raising: bool) -> Fact | None:
    for column in columns:
        value, usual = customer.number(column), customer.usual(column)
        if value is None:
            continue
        if column == "days_since_last_contact":
            if (last := customer.day(value)) and raising and value <= 90:
                return Fact("last_contact", {"last": last}, column, last)
            continue
        if not fits(value, usual, "less", raising=raising):
            continue
        if column == "mean_wait_hours_365d":
            return Fact("waited", {"hours": value, "usual": usual}, column)
        if column == "mean_effort_365d":
            return Fact("effort", {"value": value, "usual": usual}, column)
        if abs(value) >= 1 and raising == (value > 0):
            return Fact("delayed", {"hours": value, "usual": None}, column)
    return None


def _rating(customer: Customer, columns: Sequence[str], raising: bool) -> Fact | None:
    day = customer.day(customer.number("days_since_last_rated"))
    for column in columns:
        if column in _RATES:
            if found := _rate(customer, (column,), raising):
                return found
            continue
        which = "last" if column in ("last_rating", "rating_trend") else "mean"
        shown = "last_rating" if which == "last" else column
        value, usual = customer.number(shown), customer.usual(shown)
        if value is None:
            continue
        middle = 0.5 if usual is None or usual.value is None else usual.value
        if abs(value - middle) >= _DIFFERENT_POINTS and (value < middle) == raising:
            at = day if which == "last" else None
            return Fact("rating", {"which": which, "value": value, "day": at, "usual": usual}, shown, at)
    return None


def _ratings_given(customer: Customer, columns: Sequence[str], raising: bool) -> Fact | None:
    return _count(customer, columns, raising)


def _tenure(customer: Customer, _columns: Sequence[str], _raising: bool) -> Fact | None:
    first = customer.day(customer.number("tenure_days"))
    return Fact("customer_since", {"first": first}, "tenure_days", first) if first else None


def _enrolment(customer: Customer, _columns: Sequence[str], _raising: bool) -> Fact | None:
    column = "days_since_last_enrolment"
    last = customer.day(customer.number(column))
    return Fact("enrolled", {"last": last}, column, last) if customer.has(column) else None


def _pace(customer: Customer, columns: Sequence[str], raising: bool) -> Fact | None:
    if (customer.number("purchase_day_count") or 0) < 2:  # one order is no pace
        return None
    for column in columns:
        value, usual = customer.number(column), customer.usual(column)
        if value is not None and fits(value, usual, "more", raising=raising):
            of = "spend" if column.startswith("spend") else "purchases"
            shown = usual if of == "spend" else _shown(value, usual)
            facts = {"of": of, "value": value, "currency": customer.rows.wording.currency, "usual": shown}
            return Fact("pace", facts, column)
    return None


def _channel(customer: Customer, columns: Sequence[str], raising: bool) -> Fact | None:
    for column in columns:
        value, usual = customer.number(column), customer.usual(column)
        if value is None:
            continue
        if found := _SHARE.fullmatch(column):
            near = usual is not None and usual.value is not None and abs(value - usual.value) < _DIFFERENT_SHARE
            if not near:
                return Fact("through", {"channel": found[1], "share": value, "usual": usual}, column)
        elif column == "channel_count_365d" and value and (found_count := _count(customer, (column,), raising)):
            return found_count
    return None


def _attribute(customer: Customer, columns: Sequence[str], _raising: bool) -> Fact | None:
    column = columns[0]
    value: str | float | None = customer.text(column)
    if value is None:
        value = customer.number(column)
    if value is None:  # that something is not known is no reason to a person
        return None
    usual = customer.usual(column) if isinstance(value, float) else None
    usual = None if usual and usual.value == value else usual
    bare = column.removeprefix(BAD_PREFIX).removeprefix(PREFIX).replace("_", " ")
    says = customer.rows.wording.attributes.get(column) or bare
    return Fact("attribute", {"says": says, "value": value, "usual": usual}, column)


_TELLERS: Mapping[str, Teller] = {
    "orders": _orders, "activities": _activities, "orders_trend": _orders_trend, "activity_trend": _activity_trend,
    "visits": _visits, "recorded": _recorded, "past": _past, "count": _count, "spend": _spend, "basket": _basket,
    "spend_trend": _spend_trend, "returned": _returned, "response": _response, "bad": _bad, "issues": _issues,
    "service": _service, "rating": _rating, "ratings_given": _ratings_given, "tenure": _tenure,
    "enrolment": _enrolment, "pace": _pace, "channel": _channel, "attribute": _attribute,
    "bad_attribute": _attribute,
}  # fmt: skip
