"""Annotation computes what is named, from the columns it says it needs."""

import pytest
from histories import EVENTS, RULES, SETTINGS, Event, event, interactions, law
from hypothesis import given
from polars.testing import assert_frame_equal

from fedelta.features.annotate import COLUMNS, ON_DEMAND, annotate, columns_needed
from fedelta.features.experience_rules import ExperienceSettings


@given(EVENTS)
@law
def test_what_is_named_is_the_same_from_no_more_columns_than_it_needs(events: list[Event]):
    table = interactions(*events)
    whole = annotate(table, SETTINGS.experience)
    for name in ON_DEMAND:
        needed = columns_needed([name], SETTINGS.experience)
        alone = annotate(table.select(needed), SETTINGS.experience, named=[name])
        assert set(ON_DEMAND) & set(alone.columns) - {name} <= {"recovered", "recovery"}
        assert_frame_equal(alone.select(name), whole.select(name))


def test_columns_are_read_only_where_they_are_named():
    no_rules, rules = ExperienceSettings(), ExperienceSettings(RULES)
    always = ["customer_id", "occurred_at", "kind", "channel", "amount"]
    assert columns_needed([], no_rules) == always
    assert columns_needed(["effort", "severity"], no_rules) == [*always, "effort"]
    assert columns_needed(["recovered"], no_rules) == [*always, "resolved", "wait_hours", "topic"]
    assert columns_needed([], rules) == [name for name in COLUMNS if name not in ("wait_hours", "effort")]


@pytest.mark.parametrize("rules", [{}, RULES])
def test_nothing_is_annotated_with_everything(rules: dict):
    table = annotate(interactions(), ExperienceSettings(rules))
    assert table.height == 0
    assert set(ON_DEMAND) <= set(table.columns)
    assert table.schema == annotate(interactions(event(1)), ExperienceSettings(rules)).schema


def test_many_failures_of_one_customer_decay_together():
    table = interactions(*(event(day, "error") for day in range(240)), event(300, "error", customer_id="bob"))
    severity = annotate(table, SETTINGS.experience)["decayed_severity"]
    half = 0.5 ** (1 / 60)
    assert severity[239] / 1e9 == pytest.approx((1 - half**240) / (1 - half))
    assert severity[240] == 1_000_000_000
