"""What counts as a bad experience: rules name it, gravest first; a rule that cannot be judged is refused by name."""

from datetime import timedelta

import polars as pl
import pytest
from histories import CUTOFF, EVENTS, SETTINGS, Event, event, interactions, known, law
from hypothesis import given

from fedelta.features.experience_rules import (
    LEVELS,
    PILLARS,
    BadRule,
    ExperienceSettings,
    Rule,
    broken,
    columns_of,
    exercised,
    never_true,
    predicate,
    with_bad_experiences,
)
from fedelta.features.kernel import KernelSettings


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
    ("when", "message"),
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
def test_a_rule_that_is_no_predicate_is_refused_by_name(when: str, message: str):
    with pytest.raises(BadRule, match=rf"^experience\.rules\.late: .*{message}") as refused:
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


@pytest.mark.parametrize("days", [0, -1, float("nan"), float("inf"), 40_000])
@pytest.mark.parametrize("name", ["half_life_days", "recovery_days", "repeat_days"])
def test_a_span_of_time_that_is_none_is_refused(name: str, days: float):
    with pytest.raises(BadRule, match=rf"^experience\.{name} is .*; it must be more than 0 and at most 36525 days\."):
        ExperienceSettings({}, **{name: days})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (rule("kind = 3"), r"^experience\.rules\.late: 'kind = 3' cannot be evaluated"),
        (
            Rule("TRUE", "empathy", "ease", 1, among="delay"),
            r"^experience\.rules\.late\.among: 'delay' cannot be .*columns",
        ),
        (
            Rule("TRUE", "empathy", "ease", 1, among="amount"),
            r"^experience\.rules\.late\.among: .*must be true or false",
        ),
        (
            Rule("TRUE", "empathy", "ease", 1, among="COUNT(*) > 1"),
            r"^experience\.rules\.late\.among: .*looks at other",
        ),
        (rule("TRUE", 0), r"^experience\.rules\.late: severity is 0"),
    ],
)
def test_all_rules_can_be_tried_before_there_are_data(wrong: Rule, message: str):
    ExperienceSettings({"fine": rule("TRUE")}).check()
    with pytest.raises(BadRule, match=message) as refused:
        ExperienceSettings({"fine": rule("TRUE"), "late": wrong}).check()
    assert "\n" not in str(refused.value)


def test_touchpoints_that_cannot_be_judged_on_the_data_are_named():
    settings = ExperienceSettings({"late": Rule("TRUE", "empathy", "ease", 1, among="amount / reach > 1")})
    with pytest.raises(BadRule, match=r"^experience\.rules\.late\.among: .*on the data .*Guard it: NULLIF"):
        exercised(interactions(LATE), settings)


@pytest.mark.parametrize(("reach", "points"), [(None, 2), (0, 2), (1, 3), (9, 4), (99, 6), (9_999, 10), (2**62, 10)])
def test_a_bad_experience_weighs_more_the_more_people_saw_it_but_never_over_five_times(reach: int | None, points: int):
    seen = Rule("kind = 'review' AND rating <= 0.4", "integrity", "enjoyable", 2, weighted_by="reach")
    review = event(1, "review", rating=0.0, reach=reach)
    assert judged(review, event(0.5, "review", rating=1.0, reach=99), seen=seen) == [("seen", points), (None, 0)]


def test_reach_weighs_only_where_the_rule_says_so():
    review, error = event(2, "review", rating=0.0, reach=99), event(1, "error", reach=99)
    seen = Rule("kind = 'review'", "integrity", "enjoyable", 1, weighted_by="reach")
    assert judged(review, error, seen=seen, error=rule("kind = 'error'")) == [("seen", 3), ("error", 1)]


AGAIN = rule("kind IN ('contact', 'complaint') AND days_since_same_topic <= 14", 2)


def test_a_second_contact_on_one_topic_differs_from_a_contact_on_another():
    events = (
        event(40, "contact", topic="bill"),
        event(39, "contact", topic="parcel"),
        event(30, "purchase", topic="bill"),
        event(26, "complaint", topic="bill"),  # 14 days after the first
        event(11.999, "contact", topic="bill"),  # more than 14 days after the second
        event(11, "contact"),
        event(10, "contact"),
    )
    names = [name for name, _ in judged(*events, again=AGAIN)]
    assert names == [None, None, None, "again", None, None, None]


def test_the_contact_of_another_customer_is_no_first_contact():
    theirs = event(20, "contact", topic="bill", customer_id="aaron")
    assert judged(theirs, event(19, "contact", topic="bill"), again=AGAIN) == [(None, 0), (None, 0)]


def test_rules_read_the_columns_they_name_and_what_those_look_back_on():
    named = {"again": AGAIN, "seen": Rule("rating < 0.2", "integrity", "ease", 1, "effort > 0", weighted_by="reach")}
    settings = ExperienceSettings(named)
    columns = columns_of(settings)
    assert columns == {"customer_id", "occurred_at", "kind", "topic", "rating", "reach"}
    whole = interactions(event(3, "contact", topic="bill"), event(2, "contact", topic="bill"), event(1, rating=0.0))
    found = with_bad_experiences(whole.select(sorted(columns)), settings)
    assert found["bad_experience"].to_list() == [None, "again", "seen"]


TWO = ExperienceSettings(
    {
        "late": Rule(
            "delay_hours > 24", "expectations", "needs", 2, among="kind = 'delivery' AND delay_hours IS NOT NULL"
        ),
        "low": Rule("rating <= 0.4", "empathy", "needs", 1, among="rating IS NOT NULL"),
        "error": Rule("kind = 'error'", "empathy", "ease", 1, among="FALSE"),
    }
)


def test_a_touchpoint_is_good_or_bad_only_where_a_rule_could_have_been_broken():
    table = exercised(
        interactions(
            event(5, "delivery", delay_hours=30.0, rating=0.9),
            event(4, "delivery", delay_hours=1.0, rating=0.1),
            event(3, "delivery"),
            event(2, "error"),
        ),
        TWO,
    )
    assert table["expectations_bad"].to_list() == [1, 0, 0, 0]
    assert table["expectations_exercised"].to_list() == [1, 1, 0, 0]
    assert table["empathy_bad"].to_list() == [0, 1, 0, 1]
    assert table["empathy_exercised"].to_list() == [1, 1, 0, 1]  # what breaks a rule is among its touchpoints
    assert table["needs_bad"].to_list() == [1, 1, 0, 0]
    assert table["needs_exercised"].to_list() == [1, 1, 0, 0]
    assert table.select("integrity_exercised", "integrity_bad").sum().row(0) == (0, 0)


@given(EVENTS)
@law
def test_what_went_badly_was_exercised_and_is_all_that_is_in_the_book(events: list[Event]):
    table = interactions(*events)
    found, each = exercised(table, SETTINGS.experience), broken(table, SETTINGS.experience)
    assert found.columns == [f"{name}_{what}" for name in (*PILLARS, *LEVELS) for what in ("bad", "exercised")]
    assert set(found.dtypes) == {pl.UInt8}
    bad = with_bad_experiences(table, SETTINGS.experience)["severity"] > 0
    for names in (PILLARS, LEVELS):
        assert (found.select(pl.max_horizontal(f"{name}_bad" for name in names)).to_series() == bad).all()
    assert all((found[f"{name}_bad"] <= found[f"{name}_exercised"]).all() for name in (*PILLARS, *LEVELS))
    assert (each.select(pl.any_horizontal(pl.all())).to_series() == bad).all()
    assert each.null_count().sum_horizontal().item() == 0


@pytest.mark.parametrize("settings", [ExperienceSettings(), TWO, SETTINGS.experience])
def test_no_interactions_exercise_nothing(settings: ExperienceSettings):
    assert exercised(interactions(), settings).shape == (0, 18)
    assert with_bad_experiences(interactions(), settings).height == 0


def test_no_rules_exercise_nothing():
    assert exercised(interactions(LATE), ExperienceSettings()).sum_horizontal().to_list() == [0]


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


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("kind = 'reviw' AND rating <= 0.4", "the kind 'reviw', which the source does not have. Did you mean review?"),
        ("rating < 0.2 OR kind IN ('review', 'song')", "the kind 'song', which the source does not have. Correct"),
        ("channel = 'stroe'", "the channel 'stroe', which the source does not have. Did you mean store?"),
    ],
)
def test_a_rule_that_asks_for_what_no_interaction_can_be_is_warned_of(when: str, words: str):
    warnings = never_true(ExperienceSettings({"odd": rule(when)}), ("review", "visit"), ("store",))
    assert len(warnings) == 1
    assert f"experience.rules.odd asks for {words}" in warnings[0]


def test_a_rule_of_known_kinds_and_any_topic_is_warned_of_nothing():
    fine = rule("kind IN ('review', 'visit') AND channel <> 'store' AND topic IN ('wrong size') AND topic = 'x'")
    assert never_true(ExperienceSettings({"fine": fine}), ("review", "visit"), ("store",)) == []
