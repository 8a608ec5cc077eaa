"""Of few events, arrays give what Polars gives of many: every column, measure, rule and feature, null by null."""

import math

import numpy as np
import polars as pl
import pytest
from histories import CUTOFF, EVENTS, NOW, RULES, Event, event, interactions, law
from hypothesis import given
from hypothesis import strategies as st

from fedelta.features.annotate import annotate, annotate_few
from fedelta.features.experience_rules import (
    BadRule,
    ExperienceSettings,
    Rule,
    broken,
    exercised,
    exercised_few,
    exercising,
    judged_few,
    predicate,
)
from fedelta.features.few_events import Column, FewEvents
from fedelta.features.journeys import MEASURES as JOURNEY_MEASURES
from fedelta.features.kernel import KernelSettings, columns_at, features_at
from fedelta.features.labels import status_measures
from fedelta.features.look_back import LOOK_BACK, with_look_back, with_look_back_few
from fedelta.features.over_arrays import over_arrays
from fedelta.features.registry import EVERY, measures
from fedelta.features.relationship import Relationship
from fedelta.features.visibility import seen_before
from fedelta.models.panel import to_pandas
from fedelta.models.table import Table
from fedelta.pipeline.params import load_params

DECLARED = Relationship("event", ("visit", "purchase"), ("survey",))
MEASURES = {one.name: one for one in (*measures(EVERY), *status_measures(DECLARED), *JOURNEY_MEASURES)}
NUMBERS = st.sampled_from([None, math.nan, math.inf, -math.inf, -0.0, 1e5, 1e300])
PREDICATES = (
    "TRUE", "kind = 'purchase'", "kind <> 'purchase'", "kind IN ('contact', 'visit')", "kind NOT IN ('contact')",
    "topic = 'shoes' OR resolved", "resolved = TRUE AND NOT (topic IS NULL)", "resolved <> FALSE",
    "rating < 0.4", "rating >= 0.4 AND rating <= 1", "rating BETWEEN 0.1 AND 0.4", "rating = 1", "rating <> 0.4",
    "delay_hours > 24", "delay_hours >= -3.25", "reach > 3", "reach = 7 OR reach IS NULL", "reach > 3.5",
    "days_since_same_topic <= 14", "amount >= 12.5", "amount / NULLIF(reach, 0) > 2", "topic LIKE 'sh%'",
    "channel = 'web' AND kind = 'nothing that there is'", "delay_hours > wait_hours", "NOT resolved",
)  # fmt: skip
# Those of them that Polars evaluates: money, a column beside another, and what is made of text.
BY_POLARS = ("reach > 3.5", "amount >= 12.5", "amount / NULLIF(reach, 0) > 2", "topic LIKE 'sh%'",
             "delay_hours > wait_hours")  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> pl.DataFrame:
    """Interactions that were seen before the cutoff, with numbers that a source may hold by mistake, too."""
    events: list[Event] = draw(EVENTS)
    told = [one | {"delay_hours": draw(NUMBERS)} if draw(st.booleans()) else one for one in events]
    return interactions(*told).filter(seen_before(CUTOFF))


def arrays(events: pl.DataFrame) -> FewEvents:
    """As the scorer holds few events."""
    return with_look_back_few(FewEvents.of(events))


def values(column: Column) -> list[object]:
    """As Python has them, None where they are unknown."""
    return column.series("").to_list()


@law
@given(histories())
def test_what_an_event_looks_back_on_is_the_same(events: pl.DataFrame):
    settings = ExperienceSettings(RULES)
    expected = annotate(events, settings, relationship=DECLARED)
    found = annotate_few(arrays(events), settings, relationship=DECLARED)
    assert {*found.added} == {*expected.columns} - {*events.columns, "bad_experience"} | {*LOOK_BACK}
    for name in {*found.added} & {*expected.columns}:
        assert values(found[name]) == expected[name].to_list(), name
    for name, column in with_look_back(events, LOOK_BACK).select(LOOK_BACK.names()).to_dict().items():
        assert values(found[name]) == column.to_list()


@law
@given(histories())
def test_every_measure_is_the_same_and_no_table_is_made_for_numbers(events: pl.DataFrame):
    settings = ExperienceSettings(RULES)
    expected = annotate(events, settings, relationship=DECLARED).select(m.at_event for m in MEASURES.values())
    few = annotate_few(arrays(events), settings, relationship=DECLARED)
    for name, measure in MEASURES.items():
        found = over_arrays(measure.value)(few).values
        np.testing.assert_array_equal(found, expected[name].to_numpy(), strict=True, err_msg=name)
    assert ("table" in vars(few)) <= events["delay_hours"].is_nan().any()


@pytest.mark.parametrize("text", PREDICATES)
@law
@given(histories())
def test_a_predicate_of_sql_is_the_same_whoever_evaluates_it(text: str, events: pl.DataFrame):
    expression = pl.sql_expr(text)
    known = with_look_back(events, LOOK_BACK)
    expected = known.select(pl.first().alias("every"), found=expression)["found"]
    few = arrays(events)
    found = over_arrays(expression)(few)
    assert values(found) == expected.to_list()
    np.testing.assert_array_equal(found.values, expected.fill_null(False).to_numpy())  # what is unknown counts as no
    assert not len(events) or ("table" in vars(few)) == (text in BY_POLARS)


def test_the_rules_of_params_yaml_need_no_table():
    few = arrays(interactions(event(3, "contact", rating=0.3), event(2), event(1, "review")))
    for name, rule in load_params().experience.rules.items():
        over_arrays(predicate(name, rule))(few)
        over_arrays(exercising(name, rule))(few)
    assert "table" not in vars(few)


@law
@given(histories())
def test_rules_are_broken_and_tested_the_same(events: pl.DataFrame):
    rules = {f"rule {n}": Rule(text, "empathy", "ease", 1 + n % 3) for n, text in enumerate(PREDICATES)}
    settings = ExperienceSettings({**RULES, **rules})
    few = arrays(events)
    found = exercised_few(few, settings)
    assert pl.DataFrame(found).cast(pl.UInt8).equals(exercised(events, settings))
    gravest, severity = judged_few(few, settings)
    assert ((severity > 0) == (gravest < len(settings.rules))).all()
    marks = broken(events, settings)
    points = [rule.severity for rule in settings.rules.values()]
    for row, number in enumerate(gravest.tolist()):
        graver = [points[n] for n, broke in enumerate(marks.row(row)) if broke]
        assert number == len(points) or points[number] == max(graver)


def test_a_rule_that_fails_on_the_data_is_named():
    settings = ExperienceSettings({"typed": Rule("CAST(topic AS DOUBLE) > 1", "empathy", "ease", 1)})
    few = arrays(interactions(event(1, topic="no number")))
    with pytest.raises(BadRule, match=r"typed: .CAST.*cannot be evaluated on the data"):
        judged_few(few, settings)


@pytest.mark.parametrize("relationship", [Relationship(), DECLARED])
@law
@given(histories())
def test_every_feature_is_that_of_the_table(relationship: Relationship, events: pl.DataFrame):
    settings = KernelSettings(ExperienceSettings(RULES), relationship=relationship)
    if any(value is not None and not abs(value) < math.inf for value in events["delay_hours"]):
        events = events.with_columns(delay_hours=pl.lit(None, pl.Float64))
    expected = Table.of(to_pandas(features_at(events, [NOW], settings)[0]))
    found = columns_at(arrays(events), NOW, settings)
    assert list(found) == list(expected)
    for name, held in found.items():
        np.testing.assert_array_equal(held, expected[name], err_msg=name)


def test_events_are_put_in_order_and_what_was_unknown_is_left_out():
    when = [CUTOFF, *(CUTOFF.replace(year=year) for year in (2025, 2024, 2025, 2025))]
    lists = {
        "customer_id": ["b", "b", "b", "a", "a"],
        "interaction_id": ["0", "1", "2", "4", "3"],
        "occurred_at": when,
        "kind": ["visit"] * 5,
        "known_at": [None, None, CUTOFF, None, CUTOFF.replace(year=2025, month=2)],
    }
    found = FewEvents.seen(lists, CUTOFF)
    assert found.lists["interaction_id"] == ["3", "4", "1"]
    assert found.starts.tolist() == [0, 2, 3]
    assert values(found["channel"]) == [None] * 3
    assert {*found.table.columns} == {*interactions().columns}
