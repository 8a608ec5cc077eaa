"""What counts as a bad experience: rules name it, gravest first; a rule that cannot be judged is refused by name."""

from datetime import timedelta

import polars as pl
import pytest
from histories import CUTOFF, EVENTS, Event, event, interactions, known, law
from hypothesis import given

from features.experience_rules import BadRule, ExperienceSettings, Rule, predicate, with_bad_experiences
from features.kernel import KernelSettings


def rule(when: str, severity: int = 1) -> Rule:
    return Rule(when, "expectations", "needs", severity)


def judged(*events: Event, **rules: Rule) -> list[tuple[str | None, int]]:
    table = with_bad_experiences(interactions(*events), ExperienceSettings(rules))
    return table.select("bad_experience", "severity").rows()


LATE = event(3, "delivery", delay_hours=30.0, topic="shoes", amount="12.5", reach=0)


def test_an_interaction_that_breaks_a_rule_bears_its_name_and_severity():
    on_time = event(2, "delivery", delay_hours=24.0)
    assert judged(LATE, on_time, late=rule("kind = 'delivery' AND delay_hours > 24", 2)) == [("late", 2), (None, 0)]


def test_the_gravest_of_several_broken_rules_names_the_experience():
    rules = {"mild": rule("delay_hours > 1"), "grave": rule("delay_hours > 24", 5), "middling": rule("TRUE", 3)}
    assert judged(LATE, **rules) == [("grave", 5)]


def test_of_equally_grave_rules_the_first_one_listed_names_the_experience():
    first, second = rule("delay_hours > 1", 2), rule("kind = 'delivery'", 2)
    assert judged(LATE, first=first, second=second) == [("first", 2)]
    assert judged(LATE, second=second, first=first) == [("second", 2)]


@pytest.mark.parametrize(
    "when", ["delay_hours > 24", "NOT resolved", "rating < 0.4 OR effort > 0.7", "delay_hours <> 1"]
)
def test_what_is_unknown_is_not_bad(when: str):
    assert judged(event(1, "delivery"), broken=rule(when)) == [(None, 0)]


def test_a_rule_that_nothing_breaks_is_fine():
    assert judged(LATE, never=rule("kind = 'teleportation'")) == [(None, 0)]


def test_no_rules_no_bad_experiences():
    assert judged(LATE) == [(None, 0)]


def test_forty_rules_are_judged_at_once():
    rules = {f"over_{hours}_hours": rule(f"delay_hours > {hours}", 1 + hours) for hours in range(40)}
    assert judged(LATE, **rules) == [("over_29_hours", 30)]


@pytest.mark.parametrize(
    "when",
    [
        "kind IN ('delivery', 'return') AND NOT delay_hours BETWEEN 0 AND 24",
        "COALESCE(rating, 0) < 0.2",
        "topic LIKE 'sho%' AND LENGTH(topic) = 5",
        "CASE WHEN delay_hours > 24 THEN TRUE ELSE FALSE END",
        "GREATEST(delay_hours, wait_hours) > 24",
        "amount / NULLIF(reach, 0) > 1 OR amount > 12",
        "EXTRACT(HOUR FROM occurred_at) = 0",
        "topic = 'shoes' AND topic <> 'Agg' AND topic NOT IN ('Over', 'Len')",
    ],
)
def test_a_rule_may_use_the_sql_of_single_rows(when: str):
    assert judged(LATE, broken=rule(when)) == [("broken", 1)]


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("delya_hours > 24", r"cannot be evaluated \(unable to find column \"delya_hours\".*It may use the columns"),
        ("interaction_id = 'x'", r"unable to find column \"interaction_id\""),
        ("amount", "yields Decimal.*must be true or false"),
        ("1", "yields Int32.*must be true or false"),
        ("NULL", "yields Null.*must be true or false"),
        ("kind = 3", "cannot compare string with numeric"),
        ("kind = 'purchase' AND", "unable to parse"),
        ("", "unable to parse"),
        ("DROP TABLE interactions", "cannot be evaluated"),
        ("kind = 'a'; kind = 'b'", "cannot be evaluated"),
        ("amount > (SELECT 1)", "cannot be evaluated"),
        ("topic ~ '['", "regex"),
    ],
)
def test_a_rule_that_is_no_predicate_is_refused_by_name(when: str, said: str):
    with pytest.raises(BadRule, match=rf"^experience\.rules\.late: .*{said}") as refused:
        judged(LATE, fine=rule("TRUE"), late=rule(when))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "when",
    [
        "amount > AVG(amount)",
        "COUNT(*) > 3",
        "amount > LAG(amount) OVER (ORDER BY occurred_at)",
        "SUM(amount) OVER (PARTITION BY customer_id) > 100",
        "ROW_NUMBER() OVER (ORDER BY occurred_at) = 1",
        "RANK() OVER (ORDER BY rating) = 1",
        "QUANTILE_CONT(delay_hours, 0.9) > 24",
    ],
)
def test_a_rule_cannot_look_at_other_interactions_which_may_lie_in_the_future(when: str):
    with pytest.raises(BadRule, match=r"experience\.rules\.late: .*looks at other interactions"):
        judged(LATE, late=rule(when))


@pytest.mark.parametrize("when", ["amount / reach > 1", "amount / 0 > 1", "CAST(topic AS INT) > 3"])
def test_a_rule_that_fails_on_a_value_says_how_to_guard_it(when: str):
    with pytest.raises(BadRule, match=r"experience\.rules\.late: .*on the data .*Guard it: NULLIF") as refused:
        judged(LATE, fine=rule("rating > 2"), late=rule(when))
    assert "\n" not in str(refused.value)


def test_a_severity_below_one_is_refused():
    with pytest.raises(BadRule, match=r"experience\.rules\.late: severity is 0; it must be 1 or more"):
        predicate("late", rule("TRUE", 0))


@given(EVENTS)
@law
def test_rules_add_two_columns_and_touch_no_other(events: list[Event]):
    table = interactions(*events)
    settings = ExperienceSettings({"low": rule("rating <= 0.4"), "late": rule("delay_hours > 24", 2)})
    found = with_bad_experiences(table, settings)
    assert found.columns == [*table.columns, "bad_experience", "severity"]
    assert found.select(table.columns).equals(table)
    assert found.select(((pl.col("severity") > 0) == pl.col("bad_experience").is_not_null()).all()).item()


def test_a_rule_may_look_at_the_time_of_day():
    night = KernelSettings(ExperienceSettings({"night": rule("EXTRACT(HOUR FROM occurred_at) < 6")}))
    at_three, at_nine = (event(0, occurred_at=CUTOFF - timedelta(hours=hours)) for hours in (21, 15))
    assert known(at_three, at_nine, settings=night)["bad_experience_count"] == 1
