"""The last bad experiences and the open issue before a cutoff, with their days: what reasons are dated by."""

from datetime import UTC, datetime, timedelta

import polars as pl

from fedelta.features.cutoffs import Cutoff
from fedelta.features.experience_rules import ExperienceSettings, Rule
from fedelta.features.interaction_frames import interactions_of
from fedelta.features.kernel import KernelSettings, features_at
from fedelta.features.recent import RECENT

AT = datetime(2024, 6, 1, tzinfo=UTC)
RULES = ExperienceSettings(
    {
        "late": Rule("delay_hours > 24", "expectations", "needs", 2),
        "unsettled": Rule("NOT resolved", "resolution", "needs", 3),
    }
)
_DEFAULTS = {"kind": "delivery", "delay_hours": 0.0, "resolved": None, "topic": None, "known_at": None}
TYPES = {"topic": pl.String, "resolved": pl.Boolean, "known_at": pl.Datetime("us", "UTC")}


def recent(*events: tuple[str, float, dict[str, object]], role: str = "score") -> dict[str, dict[str, object]]:
    """What is known at the cutoff of each customer's events, so many days before it."""
    rows = [
        {"customer_id": name, "occurred_at": AT - timedelta(days=days), **_DEFAULTS, **more}
        for name, days, more in events
    ]
    frame = interactions_of(pl.DataFrame(rows, schema_overrides=TYPES, infer_schema_length=None))
    cutoff = Cutoff(AT, 30, 0, role)  # type: ignore[arg-type]
    table, _ = features_at(frame, (cutoff,), KernelSettings(RULES))
    return {row.pop("customer_id"): row for row in table.select("customer_id", *RECENT).to_dicts()}


LATE = {"delay_hours": 30.0}
OPEN = {"kind": "contact", "resolved": False, "topic": "refund"}
SETTLED = {"kind": "contact", "resolved": True}


def test_the_last_but_one_and_the_one_before_are_named_with_their_days():
    found = recent(("ann", 40, LATE), ("ann", 30, OPEN), ("ann", 20, LATE), ("ann", 10, {}), ("ben", 5, LATE))
    ann, ben = found["ann"], found["ben"]
    assert (ann["bad_experience_2"], ann["bad_experience_2_days"]) == ("unsettled", 30.0)
    assert (ann["bad_experience_3"], ann["bad_experience_3_days"]) == ("late", 40.0)
    assert ben["bad_experience_2"] is None
    assert ben["bad_experience_3_days"] is None


def test_nothing_from_the_cutoff_on_or_not_known_before_it_is_named():
    before = (("ann", 40, LATE), ("ann", 20, LATE))
    after = (("ann", 0, LATE), ("ann", -3, OPEN), ("ann", 10, {**LATE, "known_at": AT + timedelta(days=1)}))
    assert recent(*before) == recent(*before, *after)


def test_an_issue_is_open_until_a_contact_is_resolved():
    found = recent(("ann", 30, OPEN), ("ben", 30, OPEN), ("ben", 20, SETTLED), ("cat", 9, LATE))
    assert [found[name]["open_issue_topic"] for name in ("ann", "ben", "cat")] == ["refund", None, None]


def test_rows_to_learn_from_have_none():
    found = recent(("ann", 40, LATE), ("ann", 20, LATE), ("ann", 10, OPEN), role="train")
    assert set(found["ann"].values()) == {None}
