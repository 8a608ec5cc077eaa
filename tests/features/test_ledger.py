"""The ledger: every bad experience is a row, with what it harmed, how often before and how it ended."""

from collections.abc import Mapping
from datetime import timedelta

import oracle
import polars as pl
import pytest
from histories import CUTOFF, EVENTS, RULES, SETTINGS, Event, event, interactions, law
from hypothesis import given
from polars.testing import assert_frame_equal

from fedelta.features.experience_rules import ExperienceSettings, Rule
from fedelta.features.ledger import LEDGER, ledger


def entries(*events: Event, rules: Mapping[str, Rule] = RULES) -> list[dict[str, object]]:
    return ledger(interactions(*events), ExperienceSettings(rules)).to_dicts()


def test_an_entry_tells_what_happened_where_and_what_it_harmed():
    contact = event(5, "contact", resolved=False, rating=0.2, channel="phone", topic="bill", interaction_id="x1")
    (entry,) = entries(event(9), contact)
    columns = ("customer_id", "interaction_id", "occurred_at", "kind", "rule", "pillar", "level", "severity", "channel")
    assert [entry[name] for name in columns] == [
        "ann", "x1", CUTOFF - timedelta(days=5), "contact", "unresolved_contact", "resolution", "needs", 3.0, "phone",
    ]  # fmt: skip
    assert (entry["rules"], entry["touch"], entry["topic"]) == (
        ["unresolved_contact", "low_rating"],
        "physical",
        "bill",
    )
    assert (entry["number"], entry["resolved"], entry["hours_to_recovery"]) == (1, False, None)


def test_bad_experiences_are_numbered_customer_by_customer():
    error = {"kind": "error"}
    found = entries(event(9, **error), event(8), event(7, **error), event(8, **error, customer_id="bob"))
    assert [(entry["customer_id"], entry["number"]) for entry in found] == [("ann", 1), ("ann", 2), ("bob", 1)]


def test_an_entry_is_resolved_if_it_was_recovered_or_says_so_and_unknown_where_nobody_does():
    late = event(9, "delivery", delay_hours=30.0)
    assert entries(late)[0]["resolved"] is None
    assert entries(late, event(8, "contact", resolved=True))[0]["resolved"] is True
    unresolved = event(7, "contact", resolved=False)
    assert [entry["resolved"] for entry in entries(unresolved)] == [False]
    assert [entry["resolved"] for entry in entries(unresolved, event(6, "complaint", resolved=True))] == [True]


@pytest.mark.parametrize(
    ("channel", "touch"), [("web", "digital"), ("store", "physical"), ("kiosk", "physical"), (None, None)]
)
def test_an_experience_is_digital_or_physical_or_nobody_knows(channel: str | None, touch: str | None):
    assert entries(event(3, "error", channel=channel))[0]["touch"] == touch


def test_journeys_that_are_there_already_are_kept():
    table = interactions(event(3, "error")).with_columns(journey=pl.lit("use"), journey_stage=pl.lit("loyalty"))
    entry = ledger(table, SETTINGS.experience).row(0, named=True)
    assert (entry["journey"], entry["journey_stage"]) == ("use", "loyalty")
    assert ledger(interactions(event(3, "error")), SETTINGS.experience)["journey"].item() == "maintenance"


@pytest.mark.parametrize("rules", [{}, {"never": Rule("kind = 'teleportation'", "empathy", "ease", 1)}, RULES])
def test_nothing_bad_leaves_an_empty_ledger_with_every_column(rules: Mapping[str, Rule]):
    for table in (interactions(), interactions(event(3))):
        found = ledger(table, ExperienceSettings(rules))
        assert (found.height, found.schema) == (0, LEDGER)


def test_forty_rules_on_one_experience_are_all_reported():
    rules = {f"over_{hours}_hours": Rule(f"delay_hours > {hours}", "empathy", "ease", 1 + hours) for hours in range(40)}
    (entry,) = entries(event(3, "delivery", delay_hours=29.5), rules=rules)
    assert (entry["rule"], entry["severity"]) == ("over_29_hours", 30)
    assert entry["rules"] == [f"over_{hours}_hours" for hours in range(30)]


@given(EVENTS)
@law
def test_the_ledger_is_what_a_naive_reading_of_all_histories_gives(events: list[Event]):
    table = interactions(*events)
    found = ledger(table, SETTINGS.experience)
    assert found.schema == LEDGER
    end = CUTOFF + timedelta(days=366)
    expected = []
    for customer in dict.fromkeys(table["customer_id"]):
        past = oracle.Past.of(table.to_dicts(), customer, end)
        bad = [e for e in past.events if e.rule]
        for number, e in enumerate(bad, 1):
            recovery = past.recovery(e)
            rules = [name for name in RULES if any(n == name and broken(e) for n, *_, broken in oracle.BROKEN)]
            hours = None if recovery is None else pytest.approx(recovery[1])
            expected.append((e.interaction_id, e.rule, rules, e.pillar, e.level, float(e.severity), number, hours))
    columns = ("interaction_id", "rule", "rules", "pillar", "level", "severity", "number", "hours_to_recovery")
    assert found.select(columns).rows() == expected


@given(EVENTS)
@law
def test_a_customers_entries_are_the_same_alone_and_in_any_order_of_customers(events: list[Event]):
    named = [{**e, "interaction_id": f"i{n:05}"} for n, e in enumerate(events)]
    table = interactions(*named)
    together = ledger(table, SETTINGS.experience)
    apart = table.partition_by("customer_id", maintain_order=True)
    assert_frame_equal(together, pl.concat([ledger(one, SETTINGS.experience) for one in apart]))
    assert_frame_equal(together, ledger(pl.concat(apart[::-1]), SETTINGS.experience))
