"""Bad experiences by hand: how many, how often, how long ago, how they ended."""

from datetime import timedelta

import pytest
from histories import CUTOFF, RULES, Event, event, known

from fedelta.features.experience_rules import ExperienceSettings
from fedelta.features.kernel import KernelSettings


def late(days_ago: float) -> Event:
    return event(days_ago, "delivery", delay_hours=25.0)


def test_a_bad_experience_is_counted_dated_weighed_and_named():
    row = known(event(50), late(10), event(5, "contact", resolved=False))
    assert (row["bad_experience_count_30d"], row["bad_experience_severity_points"]) == (2, 5)
    assert row["days_since_last_bad_experience"] == 5
    assert row["last_bad_experience"] == "unresolved_contact"
    assert row["bad_experience_rate"] == pytest.approx(2 / 3)


def test_never_is_not_zero_days_ago():
    row = known(event(5))
    assert (row["bad_experience_count"], row["days_since_last_bad_experience"]) == (0, None)
    assert row["last_bad_experience"] is None


def test_a_failure_within_two_weeks_of_the_one_before_is_a_repeat():
    assert known(late(30), late(16))["repeat_failure_count"] == 1
    assert known(late(30 + timedelta(microseconds=1) / timedelta(days=1)), late(16))["repeat_failure_count"] == 0
    assert known(late(30), event(20), late(16))["repeat_failure_count"] == 1


def test_how_soon_a_second_failure_is_a_repeat_is_a_setting():
    hasty = KernelSettings(ExperienceSettings(RULES, repeat_days=3))
    assert known(late(30), late(27), settings=hasty)["repeat_failure_count"] == 1
    assert known(late(30), late(26), settings=hasty)["repeat_failure_count"] == 0


def test_a_repeat_counts_when_it_happened_even_if_the_first_failure_lies_before_the_window():
    assert known(late(95), late(85))["repeat_failure_count_90d"] == 1


def test_the_failure_of_another_customer_is_no_first_failure():
    mine, theirs = late(16), {**late(20), "customer_id": "aaron"}
    assert known(mine)["repeat_failure_count"] == 0
    assert known(theirs, mine)["customer_id"] == "aaron"


def test_a_streak_of_bad_experiences_ends_with_a_good_one():
    assert known(event(9), late(8), late(7))["bad_experience_streak_count"] == 2
    assert known(event(9), late(8), late(7), event(6))["bad_experience_streak_count"] == 0


def test_an_early_failure_is_one_within_the_first_ninety_days():
    first = event(200, "visit")
    assert known(first, late(111))["bad_onboarding_count"] == 1
    assert known(first, late(110))["bad_onboarding_count"] == 0


def test_what_went_wrong_since_the_last_purchase():
    row = known(late(9), event(8), late(7), event(6, "error"))
    assert (row["bad_since_purchase_count"], row["bad_experience_per_purchase"]) == (2, 3)


def test_an_issue_is_open_until_a_contact_is_resolved():
    open_contact = event(5, "contact", resolved=False)
    assert known(open_contact)["unresolved_since_resolved_count"] == 1
    assert known(open_contact, event(3, "complaint", resolved=True))["unresolved_since_resolved_count"] == 0
    assert known(open_contact, event(3, "contact"))["unresolved_since_resolved_count"] == 1
    assert known(open_contact, event(3, "contact"))["unresolved_rate_365d"] == 0.5


def test_an_early_delivery_makes_up_for_a_late_one_in_the_mean_delay():
    row = known(event(3, "delivery", delay_hours=-4.0), event(2, "delivery", delay_hours=30.5), event(1, "delivery"))
    assert row["mean_delay_hours_365d"] == 13.25
    assert row["late_delivery_rate_365d"] == pytest.approx(1 / 3)


def test_durations_are_exact_to_the_millisecond():
    assert known(event(3, "contact", wait_hours=1 / 3_600_000))["mean_wait_hours_365d"] == pytest.approx(1 / 3_600_000)


@pytest.mark.parametrize("hours", [1e300, float("inf"), float("nan")])
def test_an_absurd_delay_stops_nothing(hours: float):
    row = known(event(3, "delivery", delay_hours=hours), event(2, "delivery", delay_hours=10.0))
    assert row["delivery_count_90d"] == 2


def test_a_bad_experience_at_the_cutoff_is_the_future():
    row = known(event(3), event(0, "error", occurred_at=CUTOFF))
    assert row["bad_experience_count"] == 0


def test_a_bad_experience_fades_by_half_every_half_life():
    decayed = "bad_experience_severity_decayed"
    assert known(event(200), late(60))[decayed] == pytest.approx(1)
    assert known(event(200), late(120), late(60), event(10))[decayed] == pytest.approx(0.5 + 1)
    quick = KernelSettings(ExperienceSettings(RULES, half_life_days=10))
    assert known(late(30), event(20, "error"), settings=quick)[decayed] == pytest.approx(2 / 8 + 1 / 4)
    assert known(event(9))[decayed] == 0


def test_a_failure_is_set_against_how_long_the_customer_has_been_with_us():
    row = known(event(730.5), late(60))
    assert row["bad_experience_tenure_days"] == 670.5
    assert row["bad_experience_severity_decayed_by_tenure"] == pytest.approx(1 * 2)


def test_the_last_interaction_went_badly_or_not():
    assert known(event(9), late(8))["last_interaction_bad"] == 1
    assert known(late(8), event(7))["last_interaction_bad"] == 0


def test_a_bad_experience_is_recovered_when_a_contact_is_resolved_and_not_before():
    failures = (late(9), late(8))
    recovered = known(*failures, event(6, "contact", resolved=True))
    assert (recovered["bad_experience_recovered_share"], recovered["mean_recovery_hours"]) == (1, 60)
    later = known(*failures, event(-1, "contact", resolved=True))
    assert (later["bad_experience_recovered_share"], later["mean_recovery_hours"]) == (0, None)
    assert known(event(9))["bad_experience_recovered_share"] is None


def test_what_went_wrong_is_counted_by_pillar_level_and_touch():
    row = known(
        event(400, "error", channel="web"), late(20), event(10, "contact", resolved=False, channel="phone"), event(1)
    )
    assert (row["bad_resolution_count_365d"], row["days_since_last_bad_resolution"]) == (1, 10)
    assert (row["bad_needs_count_365d"], row["days_since_last_bad_needs"]) == (2, 10)
    assert (row["bad_digital_count_365d"], row["days_since_last_bad_digital"]) == (0, 400)
    assert (row["bad_physical_count_365d"], row["days_since_last_bad_physical"]) == (1, 10)
    assert (row["bad_personalisation_count_365d"], row["days_since_last_bad_personalisation"]) == (0, None)
