"""The journey map: what happens at a touchpoint, where customers go from there, and after what they stop."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from fedelta.models.experience.journey_map import (
    TOUCHPOINTS,
    TRANSITIONS,
    JourneyMap,
    channels,
    journey_maps,
    moved,
    through,
    visited,
)

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
Stop = tuple[str, float, str, bool | None, int, str | None]  # who, days ago, kind, digital, severity, journey


def table(*stops: Stop) -> pl.DataFrame:
    rows = [(who, AS_OF - timedelta(days=ago), *more) for who, ago, *more in stops]
    schema = {
        "customer_id": pl.String,
        "occurred_at": pl.Datetime("us", "UTC"),
        "kind": pl.String,
        "is_digital": pl.Boolean,
        "severity": pl.Int64,
        "journey": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def maps(*buckets: pl.DataFrame, drop_days: int = 60) -> dict[str, JourneyMap]:
    found = journey_maps([visited(b, AS_OF, drop_days) for b in buckets], [moved(b) for b in buckets])
    return {one.journey: one for one in found}


ANN = table(
    ("ann", 300, "visit", True, 0, "onboarding"),
    ("ann", 299, "purchase", True, 0, "onboarding"),
    ("ann", 290, "delivery", None, 2, "use"),
    ("ann", 289, "contact", False, 0, "maintenance"),
    ("ann", 100, "visit", True, 0, "use"),
    ("ann", 30, "message", True, 0, "use"),
)
BOB = table(
    ("bob", 200, "visit", True, 0, "onboarding"),
    ("bob", 197, "visit", True, 0, "onboarding"),
    ("bob", 191, "purchase", False, 0, None),
)


def test_a_touchpoint_is_a_kind_and_how_it_was_met():
    whole = maps(ANN, BOB)["all"]
    assert [(t.touchpoint, t.interactions, t.customers) for t in whole.touchpoints] == [
        ("visit (digital)", 4, 2),
        ("contact (physical)", 1, 1),
        ("delivery", 1, 1),
        ("message (digital)", 1, 1),
        ("purchase (digital)", 1, 1),
        ("purchase (physical)", 1, 1),
    ]
    assert (whole.interactions, whole.customers, whole.bad_share) == (9, 2, pytest.approx(1 / 9))


def test_ways_lead_from_a_touchpoint_to_the_customers_next_and_to_nobody_elses():
    ways = {(t.touchpoint, t.next): t for t in maps(pl.concat([ANN, BOB]))["all"].transitions}
    assert len(ways) == 7
    assert ("message (digital)", "visit (digital)") not in ways
    assert ways["visit (digital)", "purchase (digital)"].share == 0.25  # of the four that followed a visit
    assert ways["visit (digital)", "visit (digital)"].times == 1


def test_the_time_between_is_the_median_to_within_2_percent():
    stops = [("cleo", 100 - total, "visit", True, 0, "use") for total in (0, 1, 3, 9, 18, 30)]  # 1, 2, 6, 9 and 12 days
    (way,) = maps(table(*stops))["use"].transitions
    assert (way.times, way.share) == (5, 1.0)
    assert way.median_days == pytest.approx(6, rel=0.022)
    (at_once,) = maps(table(*[("cleo", 9, "visit", True, 0, "use")] * 2))["use"].transitions
    assert at_once.median_days == pytest.approx(0, abs=1 / 1440)


def test_a_customer_stopped_who_did_nothing_of_their_own_in_the_days_after():
    stops = {t.touchpoint: t for t in maps(ANN)["all"].touchpoints}
    assert stops["delivery"].drop_off == 0  # a contact the next day
    assert stops["contact (physical)"].drop_off == 1  # nothing for half a year
    assert stops["visit (digital)"].drop_off == 0.5  # after the second came only our message
    assert (stops["message (digital)"].watched, stops["message (digital)"].drop_off) == (0, None)  # too late to tell


def test_a_touchpoint_on_the_last_day_that_can_be_watched_is_watched_and_the_limit_still_counts():
    assert [t.watched for t in maps(table(("cleo", 60, "visit", True, 0, "use")))["all"].touchpoints] == [1]
    assert [t.watched for t in maps(table(("cleo", 59.9, "visit", True, 0, "use")))["all"].touchpoints] == [0]
    back = table(("cleo", 160, "visit", True, 0, "use"), ("cleo", 100, "contact", None, 0, "use"))
    assert maps(back)["all"].touchpoints[1].drop_off == 0
    assert maps(back, drop_days=59)["all"].touchpoints[1].drop_off == 1


def test_each_journey_has_its_own_map_and_an_unknown_journey_is_only_in_the_whole():
    found = maps(ANN, BOB)
    assert list(found) == ["all", "maintenance", "onboarding", "use"]
    assert (found["onboarding"].interactions, found["onboarding"].customers) == (4, 2)
    assert [t.next for t in found["onboarding"].transitions if t.touchpoint == "purchase (digital)"] == ["delivery"]
    assert found["use"].bad_share == pytest.approx(1 / 3)


def test_a_map_keeps_the_most_frequent_and_says_how_many_it_leaves_out():
    kinds = [f"kind{n:02}" for n in range(TOUCHPOINTS + 3)]
    stops = [("cleo", 200 - n, kind, None, 0, "use") for n, kind in enumerate(kinds + kinds[:2] + kinds[::-1])]
    found = maps(table(*stops))["all"]
    assert (len(found.touchpoints), found.touchpoints_left_out) == (TOUCHPOINTS, 3)
    assert [t.touchpoint for t in found.touchpoints[:3]] == ["kind00", "kind01", "kind02"]
    assert len(found.transitions) <= TRANSITIONS
    assert len(found.transitions) + found.transitions_left_out == len(
        {*zip(*[[s[2] for s in stops][k:] for k in (0, 1)], strict=False)}
    )


def test_buckets_change_nothing():
    assert maps(ANN, BOB) == maps(pl.concat([ANN, BOB])) == maps(BOB, ANN)


def test_every_channel_is_listed_used_or_not_and_the_unknown_last():
    events = ANN.with_columns(channel=pl.Series(["web", "web", None, "phone", "web", "email"]))
    found = channels(
        [through(events, AS_OF)] * 2, {"email": "digital", "web": "digital", "phone": "physical", "chat": "digital"}
    )
    assert [(c.channel, c.touch, c.interactions, c.customers, c.bad_share) for c in found] == [
        ("email", "digital", 2, 2, 0.0),
        ("web", "digital", 6, 2, 0.0),
        ("phone", "physical", 2, 2, 0.0),
        ("chat", "digital", 0, 0, None),
        ("unknown", None, 2, 2, 1.0),
    ]
    assert [(c.recent, c.before) for c in found[:2]] == [(2, 0), (0, 2)]
