"""The last bad experience undone or settled: only that, and nothing after the cutoff."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fedelta.features.annotate import annotate
from fedelta.features.contract import INTERACTIONS
from fedelta.features.experience_rules import ExperienceSettings, Rule
from fedelta.models.what_if import NothingToChange, changed

CUTOFF = datetime(2026, 3, 1, tzinfo=UTC)
RULES = ExperienceSettings(
    {
        "late_delivery": Rule("kind = 'delivery' AND delay_hours > 24", "expectations", "needs", 2),
        "unresolved_contact": Rule("kind IN ('contact', 'complaint') AND NOT resolved", "resolution", "needs", 3),
        "complaint": Rule("kind = 'complaint'", "empathy", "enjoyable", 2),
        "error": Rule("kind = 'error'", "time_and_effort", "ease", 1),
        "high_effort": Rule("effort > 0.7", "time_and_effort", "ease", 1),
        "dreaded_topic": Rule("topic = 'recall'", "integrity", "needs", 3),
    }
)
Event = tuple[float, str, dict[str, object]]


def history(*events: Event) -> pl.DataFrame:
    """One customer's events: (days before the cutoff, kind, further columns), oldest first."""
    rows = [
        {
            "interaction_id": f"i{n}",
            "customer_id": "ann",
            "occurred_at": CUTOFF - timedelta(days=days),
            "kind": kind,
            **more,
        }
        for n, (days, kind, more) in enumerate(events)
    ]
    return pl.DataFrame(rows, schema=INTERACTIONS).sort("occurred_at", "interaction_id")


BOUGHT: Event = (40, "purchase", {"channel": "web"})
LATE: Event = (30, "delivery", {"delay_hours": 50.0, "rating": 0.2})


def test_without_a_late_delivery_the_parcel_came_on_time():
    events, change = changed(history(BOUGHT, LATE), CUTOFF, RULES, "without")
    assert_frame_equal(events, history(BOUGHT, (30, "delivery", {"delay_hours": 0.0})))
    assert (change.rule, change.kind, change.interaction_id, change.done) == (
        "late_delivery",
        "delivery",
        "i1",
        "on time",
    )


@pytest.mark.parametrize("kind", ["complaint", "error"])
def test_without_it_nobody_would_have_complained_and_no_error_been_met(kind):
    events, change = changed(history(BOUGHT, LATE, (5, kind, {})), CUTOFF, RULES, "without")
    assert_frame_equal(events, history(BOUGHT, LATE))
    assert change.done == "removed"


def test_a_tiresome_purchase_was_still_a_purchase():
    events, change = changed(history((9, "purchase", {"effort": 0.9})), CUTOFF, RULES, "without")
    assert_frame_equal(events, history((9, "purchase", {})))
    assert change.done == "made good"


def test_what_would_be_bad_however_it_went_is_removed():
    events, change = changed(history(BOUGHT, (9, "visit", {"topic": "recall"})), CUTOFF, RULES, "without")
    assert_frame_equal(events, history(BOUGHT))
    assert change.done == "removed"


def test_an_early_delivery_that_took_effort_stays_early():
    early: Event = (9, "delivery", {"delay_hours": -8.0, "effort": 1.0})
    events, _ = changed(history(early), CUTOFF, RULES, "without")
    assert events["delay_hours"].to_list() == [-8.0]


def test_resolved_a_contact_was_settled_and_answered_within_the_hour():
    events, _ = changed(
        history(BOUGHT, (9, "contact", {"resolved": False, "wait_hours": 70.0})), CUTOFF, RULES, "resolved"
    )
    assert_frame_equal(events, history(BOUGHT, (9, "contact", {"resolved": True, "wait_hours": 1.0})))


def test_a_wait_nobody_wrote_down_stays_unknown():
    events, _ = changed(history((9, "contact", {"resolved": False})), CUTOFF, RULES, "resolved")
    assert events["wait_hours"].to_list() == [None]


def test_resolved_a_late_delivery_is_followed_by_a_contact_that_settles_it():
    before = history(BOUGHT, LATE)
    events, change = changed(before, CUTOFF, RULES, "resolved")
    assert_frame_equal(events[:2], before)
    assert events[2].select("kind", "resolved", "wait_hours").row(0) == ("contact", True, 0.0)
    assert events["occurred_at"][2] == before["occurred_at"][1] + timedelta(hours=1)
    assert "contact" in change.done


def test_what_was_settled_cannot_be_settled_again():
    settled: Event = (29, "contact", {"resolved": True, "wait_hours": 0.5})
    with pytest.raises(NothingToChange, match=r"was settled on 2026-01-31"):
        changed(history(BOUGHT, LATE, settled), CUTOFF, RULES, "resolved")


def test_a_complaint_that_was_settled_late_can_be_settled_at_once():
    events, _ = changed(history((9, "complaint", {"resolved": True, "wait_hours": 90.0})), CUTOFF, RULES, "resolved")
    assert events["wait_hours"].to_list() == [1.0]


def test_a_customer_who_met_nothing_bad_has_nothing_to_change():
    with pytest.raises(NothingToChange, match=r"no bad experience before 2026-03-01"):
        changed(history(BOUGHT), CUTOFF, RULES, "without")


def test_a_bad_experience_at_the_cutoff_is_already_the_future():
    events, change = changed(history(BOUGHT, LATE, (0, "error", {})), CUTOFF, RULES, "without")
    assert change.rule == "late_delivery"
    assert (events["occurred_at"] < CUTOFF).all()


def test_a_contact_that_would_settle_it_after_the_cutoff_comes_too_late():
    events, _ = changed(history(BOUGHT, (0.02, "error", {})), CUTOFF, RULES, "resolved")
    assert events.height == 2


EVENTS = st.lists(
    st.tuples(
        st.floats(0.1, 400),
        st.sampled_from(["purchase", "delivery", "contact", "complaint", "error", "visit"]),
        st.fixed_dictionaries(
            {},
            optional={
                "delay_hours": st.floats(-50, 200),
                "resolved": st.booleans(),
                "effort": st.floats(0, 1),
                "topic": st.sampled_from(["recall", "boots"]),
            },
        ),
    ),
    max_size=8,
)


@given(EVENTS)
def test_without_the_last_one_there_is_exactly_one_bad_experience_less(events):
    before = history(*events)
    bad = annotate(before, RULES)["severity"] > 0
    if not bad.any():
        with pytest.raises(NothingToChange):
            changed(before, CUTOFF, RULES, "without")
        return
    after, change = changed(before, CUTOFF, RULES, "without")
    assert (annotate(after, RULES)["severity"] > 0).sum() == bad.sum() - 1
    others = pl.col("interaction_id") != change.interaction_id
    assert_frame_equal(after.filter(others), before.filter(others))
