"""When somebody is a customer: what counts as activity, who is back after a cancellation, what ends without churn."""

from dataclasses import replace

import polars as pl
import pytest
from histories import CUTOFF, EARLIER, EVENTS, NOW, RULES, SETTINGS, Event, event, interactions, known, law
from hypothesis import given
from polars.testing import assert_frame_equal

from fedelta.features.contract import KINDS
from fedelta.features.experience_rules import ExperienceSettings
from fedelta.features.kernel import KEYS, KernelSettings, features_at
from fedelta.features.registry import ACTIVITY_FEATURES, FEATURES
from fedelta.features.relationship import Relationship, UnknownKind

HELP_DESK = Relationship(activity=("contact",))
COURSES = Relationship("event", ended=("completion",))


def under(relationship: Relationship) -> KernelSettings:
    return KernelSettings(ExperienceSettings(RULES), relationship=relationship)


def label_of(relationship: Relationship, *events: Event) -> dict[str, object]:
    """What is known at the cutoff, and what happened in the 30 days after it."""
    features, labels = features_at(interactions(*events), [NOW], under(relationship))
    return {**features.row(0, named=True), **labels.row(0, named=True)}


def test_a_help_desk_scores_who_has_written_and_loses_who_writes_no_more():
    ann = label_of(HELP_DESK, event(40, "contact"), event(9.5, "contact"), event(3), event(-5, "contact"), event(-8))
    assert ann["status"] == "scored"
    assert (ann["activity_count"], ann["activity_day_count"], ann["days_since_last_activity"]) == (2, 2, 9.5)
    assert (ann["mean_activity_gap_days"], ann["days_since_first_activity"]) == (30.5, 40.0)
    assert (ann["horizon_activity_count"], ann["horizon_purchase_count"]) == (1, 1)
    assert label_of(HELP_DESK, event(3))["status"] == "no_history", "a purchase is no activity of a help desk"


def test_activity_of_one_day_is_one_occasion_whatever_the_kinds():
    both = Relationship(activity=("visit", "purchase"))
    ann = label_of(both, event(5.1, "visit"), event(5.2), event(4.9, "visit"), event(-1.1, "visit"), event(-1.2))
    assert (ann["activity_count"], ann["activity_day_count"]) == (3, 2)
    assert (ann["horizon_activity_count"], ann["horizon_activity_day_count"]) == (2, 1)


@law
@given(EVENTS)
def test_activity_that_is_purchases_says_what_purchases_say(events: list[Event]):
    """With [purchase] the tables are as ever; as activity in name, every column equals that of purchases."""
    table = interactions(*events)
    usual = features_at(table, [EARLIER, NOW], SETTINGS)
    for mine, its in zip(usual, features_at(table, [EARLIER, NOW], under(Relationship())), strict=True):
        assert_frame_equal(mine, its)
    # A kind that never occurs beside it makes it other than the usual one, and changes nothing else.
    features, labels = features_at(table, [EARLIER, NOW], under(Relationship(activity=("purchase", "nothing"))))
    assert_frame_equal(features.select(usual[0].columns), usual[0])
    assert_frame_equal(labels.select(usual[1].columns), usual[1])
    for feature in ACTIVITY_FEATURES:
        name = feature.name.replace("last_activity_gap", "last_gap").replace("activity", "purchase")
        if name in features.columns:
            assert features[feature.name].equals(features[name]), feature.name
    assert labels["horizon_activity_day_count"].equals(labels["horizon_purchase_day_count"])


def test_every_feature_of_activity_has_its_like_of_purchases():
    names = {f.name for f in FEATURES}
    for feature in ACTIVITY_FEATURES:
        assert feature.name.replace("last_activity_gap", "last_gap").replace("activity", "purchase") in names


@pytest.mark.parametrize("relationship", [HELP_DESK, COURSES, Relationship("event", ("renewal",), ("completion",))])
@law
@given(events=EVENTS)
def test_the_future_and_the_company_of_others_change_nothing(relationship: Relationship, events: list[Event]):
    events = [replace_kind(e, n) for n, e in enumerate(events)]
    table = interactions(*events)
    settings = under(relationship)
    whole, _ = features_at(table, [EARLIER, NOW], settings)
    past, _ = features_at(table.filter(pl.col("occurred_at") < NOW.at), [NOW], settings)
    assert_frame_equal(whole.filter(pl.col("cutoff") == NOW.at), past)
    parts = [features_at(part, [EARLIER, NOW], settings) for part in table.partition_by("customer_id")]
    every = zip(features_at(table, [EARLIER, NOW], settings), zip(*parts, strict=True), strict=True)
    for mine, alone in every:
        assert_frame_equal(mine.sort("cutoff", "customer_id"), pl.concat(alone).sort("cutoff", "customer_id"))


def replace_kind(e: Event, number: int) -> Event:
    """Some of the events end a relationship."""
    return e | {"kind": "completion"} if number % 5 == 0 else e


def test_a_relationship_that_ended_is_out_of_scope_until_it_begins_again():
    enrolled, over = event(90, "enrolment"), event(9, "completion")
    assert label_of(COURSES, enrolled)["status"] == "scored"
    assert label_of(COURSES, enrolled, over)["status"] == "ended"
    assert label_of(COURSES, enrolled, over, event(5, "visit"))["status"] == "ended"
    assert label_of(COURSES, enrolled, over, event(5, "enrolment"))["status"] == "scored"
    assert label_of(COURSES, enrolled, event(-9, "completion"))["status"] == "scored"


def test_who_left_before_the_end_has_left_and_who_cancels_after_it_has_not():
    enrolled = event(90, "enrolment")
    assert label_of(COURSES, enrolled, event(9, "cancellation"), event(5, "completion"))["status"] == "already_churned"
    assert label_of(COURSES, enrolled, event(9, "completion"), event(5, "cancellation"))["status"] == "ended"
    ahead = label_of(COURSES, enrolled, event(-5, "completion"), event(-9, "cancellation"))
    assert (ahead["horizon_cancellation_count"], ahead["horizon_ending_count"]) == (0, 1)
    gone = label_of(COURSES, enrolled, event(-5, "cancellation"), event(-9, "completion"))
    assert gone["horizon_cancellation_count"] == 1


def test_a_payment_is_money_whether_it_is_a_purchase_or_a_renewal_and_a_visit_is_none():
    ann = label_of(Relationship(), event(9, "renewal", amount=10), event(8, amount=5), event(7, "visit", amount=99))
    assert (ann["spend"], ann["mean_spend"], ann["max_spend"]) == (15.0, 5.0, 5.0)
    assert label_of(Relationship(), event(9), event(-2, "renewal", amount=10))["horizon_spend"] == 10.0


@pytest.mark.parametrize(
    ("relationship", "says"),
    [
        (Relationship(activity=("vist",)), r"churn\.activity names 'vist', .*Its kinds are cancellation, .*visit\."),
        (Relationship(activity=()), r"churn\.activity is empty"),
        (Relationship(ended=("expiry",)), r"churn\.ended names 'expiry'"),
        (Relationship(ended=("purchase",)), r"churn\.ended names purchase; it must name other kinds"),
        (Relationship(ended=("cancellation",)), r"churn\.ended names cancellation"),
        (Relationship(activity=("visit",), ended=("visit",)), r"churn\.ended names visit"),
    ],
)
def test_kinds_that_the_source_does_not_have_or_that_contradict_are_refused(relationship: Relationship, says: str):
    with pytest.raises(UnknownKind, match=says):
        relationship.check(KINDS)


def test_the_keys_are_no_features_of_activity():
    assert not {f.name for f in ACTIVITY_FEATURES} & {*KEYS}
    assert known(event(3))["cutoff"] == CUTOFF
    assert replace(SETTINGS, relationship=HELP_DESK).computed[-len(ACTIVITY_FEATURES) :] == ACTIVITY_FEATURES
