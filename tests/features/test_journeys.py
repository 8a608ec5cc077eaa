"""Stages and journeys: what an interaction says of where its customer stands, and what nobody can say."""

import numpy as np
import polars as pl
import pytest
from histories import CUTOFF, EVENTS, NOW, SETTINGS, Event, event, interactions, law
from hypothesis import given
from polars.testing import assert_frame_equal

from fedelta.features.annotate import annotate
from fedelta.features.history import History, View
from fedelta.features.journeys import JOURNEYS, MEASURES, STAGES, journeys_at, with_journeys
from fedelta.features.labels import microseconds


def annotated(*events: Event) -> pl.DataFrame:
    return annotate(interactions(*events), SETTINGS.experience, SETTINGS.digital_channels)


def journeys_of(*events: Event) -> list[tuple[str | None, str | None]]:
    """Journey and stage of every interaction."""
    return with_journeys(annotated(*events)).select("journey", "journey_stage").rows()


def now(*events: Event) -> tuple[str | None, str | None]:
    """Journey and stage of the one customer of `events` at the cutoff."""
    return at_cutoff(*events).row(0)


def at_cutoff(*events: Event) -> pl.DataFrame:
    found = journeys_at(View(History.of(annotated(*events), MEASURES), microseconds([NOW]), ()))
    return pl.DataFrame({name: held.column() for name, held in found.items()})


def test_a_customer_gets_to_know_us_step_by_step():
    stages = [
        stage
        for _, stage in journeys_of(
            event(100, "visit"),
            event(80, "visit"),  # after three weeks: they know us, no more
            event(79, "visit"),  # back the next day
            event(70),
            event(60, "visit"),
            event(50),
            event(40, "visit"),
        )
    ]
    assert stages == ["awareness", "familiarity", "consideration", "purchase", "purchase", "loyalty", "loyalty"]


@pytest.mark.parametrize("kind", ["enrolment", "contact", "response", "review"])
def test_a_sign_of_interest_is_consideration_even_at_the_first_touch(kind: str):
    assert now(event(5, kind))[1] == "consideration"


def test_our_own_messages_in_one_week_are_no_sign_of_interest():
    assert now(event(5, "message"), event(4, "message"), event(3, "visit"))[1] == "familiarity"


def test_a_visit_of_another_customer_is_no_return():
    rows = journeys_of(event(5, "visit"), event(4, "visit", customer_id="bob"), event(3, "message", customer_id="bob"))
    assert [stage for _, stage in rows] == ["awareness", "awareness", "familiarity"]


@pytest.mark.parametrize("kind", ["renewal", "referral"])
def test_who_renews_or_refers_somebody_is_loyal(kind: str):
    assert now(event(50), event(20, kind))[1] == "loyalty"


def test_onboarding_ends_with_the_second_purchase():
    rows = journeys_of(event(60, "visit"), event(50), event(30, "visit"), event(20), event(10, "visit"))
    assert [journey for journey, _ in rows] == ["onboarding", "onboarding", "onboarding", "onboarding", "use"]


def test_trouble_is_maintenance_with_what_follows_until_the_next_purchase():
    rows = journeys_of(
        event(80), event(60), event(40, "contact", resolved=True), event(38, "visit"), event(35), event(34, "visit")
    )
    assert [journey for journey, _ in rows[2:]] == ["maintenance", "maintenance", "maintenance", "use"]


def test_trouble_is_over_after_two_weeks_but_an_unresolved_contact_stays_open_for_three_months():
    regular = [event(days) for days in (200, 170, 140, 110, 80, 50)]
    assert now(*regular, event(13.9, "contact", resolved=True))[0] == "maintenance"
    assert now(*regular, event(14, "contact", resolved=True))[0] == "use"
    assert now(*regular, event(40, "contact", resolved=False))[0] == "maintenance"
    assert now(*regular, event(40, "contact", resolved=False), event(30, "contact", resolved=True))[0] == "use"
    assert now(event(250), event(180), event(110), event(90, "contact", resolved=False))[0] == "use"


def test_a_bad_experience_puts_its_customer_in_maintenance_but_happened_where_they_were():
    late = event(5, "delivery", delay_hours=60.0)
    punctual = event(5, "delivery", delay_hours=0.0)
    assert now(event(60), event(30), event(7), late)[0] == "maintenance"
    assert now(event(60), event(30), event(7), punctual)[0] == "use"
    assert journeys_of(event(60), event(30), event(7), late)[-1][0] == "use"


def test_silence_beyond_three_usual_gaps_means_that_they_must_be_won_again():
    monthly = [event(days) for days in (180, 150, 120)]  # every 30 days: silent after 90
    assert now(*[event(days - 30.1) for days in (180, 150, 120)])[0] == "use"
    assert now(*monthly)[0] == "renewal"
    assert now(event(40), event(39), event(38))[0] == "renewal"  # daily, silent for over 30 days
    assert now(event(31), event(30), event(29))[0] == "use"


def test_one_purchase_has_no_rhythm_and_waits_for_half_a_year():
    assert now(event(179))[0] == "onboarding"
    assert now(event(181))[0] == "renewal"


def test_the_purchase_that_ends_a_silence_was_won_again():
    rows = journeys_of(*[event(days) for days in (300, 290, 280)], event(100, "message"), event(90), event(80))
    assert [journey for journey, _ in rows[3:]] == ["renewal", "renewal", "use"]


def test_who_cancelled_must_be_won_again_until_they_buy():
    regular = [event(days) for days in (70, 50, 30)]
    assert now(*regular, event(10, "cancellation"))[0] == "renewal"
    assert now(*regular, event(10, "cancellation"), event(5))[0] == "use"


def test_a_cancellation_closes_the_trouble_before_it():
    assert now(event(30), event(20), event(5, "complaint", resolved=False), event(4, "cancellation"))[0] == "renewal"


def test_a_contract_falls_due_about_a_year_after_it_was_signed():
    regular = [event(days) for days in (300, 200, 100, 1)]
    assert now(event(334, "enrolment"), *regular)[0] == "use"
    assert now(event(335, "enrolment"), *regular)[0] == "renewal"
    assert now(event(396, "enrolment"), *regular)[0] == "use"


def test_a_monthly_contract_falls_due_every_month():
    months = [event(days, "renewal") for days in (89, 59, 29)]
    assert now(event(119, "enrolment"), *months)[0] == "renewal"
    assert now(event(110, "enrolment"), *[event(days - 9, "renewal") for days in (89, 59, 29)])[0] == "use"


def test_purchases_alone_tell_both_as_in_the_cdnow_data():
    rows = journeys_of(event(400), event(390), event(380), event(100))
    assert rows == [("onboarding", "purchase"), ("onboarding", "loyalty"), ("use", "loyalty"), ("renewal", "loyalty")]


def test_nobody_can_tell_the_journey_of_a_prospect_of_long_ago():
    assert now(event(91, "message"), event(3, "message")) == (None, "familiarity")
    assert now(event(89, "message"), event(3, "message")) == ("onboarding", "familiarity")


def test_an_empty_bucket_has_no_journeys():
    table = with_journeys(annotated())
    assert table.is_empty()
    assert table.select("journey", "journey_stage").schema == {
        "journey": pl.Enum(JOURNEYS),
        "journey_stage": pl.Enum(STAGES),
    }


@law
@given(EVENTS)
def test_the_future_changes_no_journey(events: list[Event]):
    table = interactions(*events)
    past = table.filter(pl.col("occurred_at") < CUTOFF)
    whole = with_journeys(annotate(table, SETTINGS.experience)).filter(pl.col("occurred_at") < CUTOFF)
    assert_frame_equal(whole, with_journeys(annotate(past, SETTINGS.experience)))


@law
@given(EVENTS)
def test_a_stage_never_goes_back(events: list[Event]):
    table = with_journeys(annotated(*events))
    for _, history in table.group_by("customer_id"):
        assert (np.diff(history["journey_stage"].to_physical().to_numpy().astype(int)) >= 0).all()


@law
@given(EVENTS)
def test_a_visit_belongs_to_the_journey_a_cutoff_would_have_seen(events: list[Event]):
    """An interaction that says nothing itself reads the history as the kernel does at that instant."""
    customers = sorted({e["customer_id"] for e in events if e["occurred_at"] < CUTOFF})
    visits = [event(0, "visit", customer_id=name, interaction_id="a-visit") for name in customers]
    before = [e for e in events if e["occurred_at"] < CUTOFF]
    seen = with_journeys(annotated(*before, *visits)).filter(pl.col("interaction_id") == "a-visit")
    assert seen["journey"].to_list() == (at_cutoff(*before)["journey"].to_list() if before else [])
    stages = with_journeys(annotated(*before)).group_by("customer_id", maintain_order=True).last()["journey_stage"]
    assert stages.to_list() == (at_cutoff(*before)["journey_stage"].to_list() if before else [])
