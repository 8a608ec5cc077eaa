"""Histories small enough to read, random ones to try laws on, and what the kernel makes of them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import settings
from hypothesis import strategies as st

from fedelta.features.contract import INTERACTIONS, KINDS
from fedelta.features.cutoffs import Cutoff
from fedelta.features.experience_rules import ExperienceSettings, Rule
from fedelta.features.kernel import KernelSettings, features_at

law = settings(max_examples=25, derandomize=True)

CUTOFF = datetime(2026, 1, 1, tzinfo=UTC)
NOW = Cutoff(CUTOFF, 30, 0, "score")
EARLIER = Cutoff(CUTOFF - timedelta(days=60), 30, 7, "train")

RULES = {
    "late_delivery": Rule("kind = 'delivery' AND delay_hours > 24", "expectations", "needs", 2),
    "unresolved_contact": Rule("kind IN ('contact', 'complaint') AND NOT resolved", "resolution", "needs", 3),
    "low_rating": Rule("rating <= 0.4", "empathy", "enjoyable", 1),
    "error": Rule("kind = 'error'", "time_and_effort", "ease", 1),
    "repeated_contact": Rule(
        "kind IN ('contact', 'complaint') AND days_since_same_topic <= 14", "resolution", "ease", 2
    ),
    "bad_review": Rule("kind = 'review' AND rating <= 0.4", "integrity", "enjoyable", 2, weighted_by="reach"),
}
SETTINGS = KernelSettings(ExperienceSettings(RULES))

Event = dict[str, Any]


def event(days_ago: float, kind: str = "purchase", **more: object) -> Event:
    """An interaction of Ann's so many days before the cutoff (after it where negative); money may be any number."""
    amount = more.pop("amount", None)
    return {
        **dict.fromkeys(INTERACTIONS),
        "customer_id": "ann",
        "occurred_at": CUTOFF - timedelta(days=days_ago),
        "kind": kind,
        "amount": None if amount is None else Decimal(str(amount)),
        **more,
    }


def interactions(*events: Event) -> pl.DataFrame:
    """The table of events, in the order of the contract; their ids are their places unless they have one."""
    named = [{**e, "interaction_id": e["interaction_id"] or f"i{n:05}"} for n, e in enumerate(events)]
    return pl.DataFrame(named, schema=INTERACTIONS).sort("customer_id", "occurred_at", "interaction_id")


def known(*events: Event, settings: KernelSettings = SETTINGS) -> Mapping[str, object]:
    """What the kernel knows of the one customer of `events` at the cutoff."""
    return features_at(interactions(*events), [NOW], settings)[0].row(0, named=True)


def outcome(*events: Event, cutoff: Cutoff = NOW) -> Mapping[str, object]:
    """What the kernel says happened to the one customer of `events` in the horizon of `cutoff`."""
    return features_at(interactions(*events), [cutoff], SETTINGS)[1].row(0, named=True)


_EDGES = [
    cutoff.at + timedelta(days=days, microseconds=off)
    for cutoff in (NOW, EARLIER)
    for days in (-365, -180, -90, -30, -7, 0, 7, 30, 37)
    for off in (-1, 0, 1)
]
_INSTANTS = st.one_of(
    st.sampled_from(_EDGES),
    st.integers(-500 * 1440, 60 * 1440).map(lambda minutes: CUTOFF + timedelta(minutes=minutes)),
    st.integers(-90 * 86_400_000_000, 0).map(lambda micros: CUTOFF + timedelta(microseconds=micros)),
)


def _or_none(*values: object) -> st.SearchStrategy[object]:
    return st.sampled_from((None, None, *values))


EVENTS: st.SearchStrategy[list[Event]] = st.lists(
    st.fixed_dictionaries(
        {
            "interaction_id": st.none(),
            "customer_id": st.sampled_from(["ann", "bob", "cléo"]),
            "occurred_at": _INSTANTS,
            "kind": st.sampled_from((*KINDS, *["purchase"] * 12, *["contact"] * 5, "delivery", "newsletter")),
            "channel": _or_none("web", "store", "app", "kiosk"),
            "amount": _or_none(*map(Decimal, ("0", "0.0001", "12.5", "99999999.9999"))),
            "rating": _or_none(0.0, 0.4, 0.400001, 1.0),
            "resolved": _or_none(True, False),
            "wait_hours": _or_none(0.0, 0.5, 48.001),
            "delay_hours": _or_none(-3.25, 24.0, 24.001, 72.0),
            "effort": _or_none(0.0, 0.3, 0.95),
            "reach": _or_none(0, 7),
            "topic": _or_none("shoes", "shoes", "bags"),
        }
    ),
    min_size=1,
    max_size=24,
)
