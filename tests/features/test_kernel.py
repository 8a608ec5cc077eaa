"""The kernel against a naive reading of the same histories, and the laws that make its features safe to learn from."""

import itertools
import math
import random
from dataclasses import replace
from datetime import datetime, timedelta

import oracle
import polars as pl
import pytest
from histories import CUTOFF, EARLIER, EVENTS, NOW, RULES, SETTINGS, Event, event, interactions, known, law
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fedelta.features import registry
from fedelta.features.activity import INTERACTION
from fedelta.features.contract import INTERACTIONS
from fedelta.features.cutoffs import Cutoff
from fedelta.features.experience_rules import ExperienceSettings
from fedelta.features.feature import Family
from fedelta.features.kernel import KEYS, KernelSettings, features_at, windows_of
from fedelta.features.registry import FEATURES
from fedelta.features.relationship import Relationship

CUTOFFS = (EARLIER, NOW)
CALENDAR: tuple[str, ...] = ()  # features that look at the day of the week: whole weeks later they read the same


def tables(*events: Event, cutoffs: tuple[Cutoff, ...] = CUTOFFS) -> tuple[pl.DataFrame, pl.DataFrame]:
    return features_at(interactions(*events), cutoffs, SETTINGS)


def at(table: pl.DataFrame, cutoff: Cutoff) -> pl.DataFrame:
    return table.filter(pl.col("cutoff") == cutoff.at)


def same(value: object, expected: float | None) -> bool:
    if value is None or expected is None:
        return value is expected
    return isinstance(value, int | float) and math.isclose(value, expected, rel_tol=1e-6, abs_tol=1e-7)


def assert_as_read_naively(events: list[Event], settings: KernelSettings = SETTINGS) -> None:
    table = interactions(*events)
    found, outcomes = features_at(table, CUTOFFS, settings)
    rows = table.to_dicts()
    keys: list[tuple[str, datetime]] = []
    for cutoff in CUTOFFS:
        for customer in dict.fromkeys(table["customer_id"]):
            past = oracle.Past.of(rows, customer, cutoff.at, cutoff.horizon_days)
            if not past.events:
                continue
            row = found.row(len(keys), named=True)
            keys.append((customer, cutoff.at))
            expected = oracle.features(past, settings.relationship.definition)
            computed = {*found.columns} - {*KEYS}
            assert computed <= expected.keys(), (
                f"no naive reading of {sorted(computed - expected.keys())}: write it in tests/features/oracle.py"
            )
            assert computed >= expected.keys(), (
                f"tests/features/oracle.py reads {sorted(expected.keys() - computed)}, which no feature computes"
            )
            wrong = {name: (row[name], value) for name, value in expected.items() if not same(row[name], value)}
            assert not wrong, f"{customer} at {cutoff.at:%Y-%m-%d}: (kernel, naive) {wrong}"
            assert row["status"] == oracle.status(past, settings.relationship.definition)
            assert row["last_bad_experience"] == next((e.rule for e in reversed(past.events) if e.rule), None)
            happened = outcomes.row(len(keys) - 1, named=True)
            assert {name: happened[name] for name in outcomes.columns[2:]} == pytest.approx(
                oracle.labels(rows, customer, cutoff.horizon_start, cutoff.horizon_end)
            )
    assert found.select("customer_id", "cutoff").rows() == keys
    assert outcomes.select("customer_id", "cutoff").rows() == keys


def test_every_feature_is_read_naively_too():
    known, names = (
        oracle.features(oracle.Past.of(interactions(event(1)).to_dicts(), "ann", CUTOFF)),
        {f.name for f in FEATURES},
    )
    missing = [f"{f.name} to what `{f.theme}` returns" for f in FEATURES if f.name not in known]
    assert not missing, f"Add to tests/features/oracle.py, by plain loops over the events: {', '.join(missing)}."
    gone = [name for name in known if name not in names]
    assert not gone, f"Remove from tests/features/oracle.py, as no feature has the name: {', '.join(gone)}."


@given(EVENTS)
@settings(law, max_examples=80)
def test_every_feature_and_label_is_what_a_naive_reading_of_the_history_gives(events: list[Event]):
    assert_as_read_naively(events)


@given(EVENTS)
@law
def test_where_leaving_is_an_event_the_history_reads_the_same_naively(events: list[Event]):
    assert_as_read_naively(events, replace(SETTINGS, relationship=Relationship("event")))


def test_long_histories_of_many_customers_read_the_same_naively():
    chance = random.Random(3)
    kinds = ["purchase"] * 5 + ["visit"] * 4 + ["delivery", "contact", "message", "response", "return", "survey"]
    assert_as_read_naively(
        [
            event(
                chance.uniform(-40, 700),
                chance.choice(kinds),
                customer_id=f"c{n % 25}",
                channel=chance.choice([None, "web", "app", "phone"]),
                amount=round(chance.lognormvariate(3, 1), 2),
                rating=chance.choice([None, None, 0.2, 0.8]),
                resolved=chance.choice([None, True, False]),
                delay_hours=chance.choice([None, -2.5, 30.125]),
                wait_hours=chance.choice([None, 3.5]),
                effort=chance.choice([None, 0.25]),
            )
            for n in range(1500)
        ]
    )


@given(EVENTS, st.data())
@law
def test_what_happens_from_the_cutoff_on_changes_nothing_known_there(events: list[Event], data: st.DataObject):
    future = [e for e in events if e["occurred_at"] >= EARLIER.at]
    past = [e for e in events if e["occurred_at"] < EARLIER.at]
    others = data.draw(st.lists(st.sampled_from(future), max_size=4)) if future else []
    moved = st.integers(0, 10**13).map(lambda micros: EARLIER.at + timedelta(microseconds=micros))
    scrambled = [
        {**e, "occurred_at": data.draw(moved), "kind": "purchase", "interaction_id": f"z{n}"}
        for n, e in enumerate(others)
    ]
    named = [{**e, "interaction_id": f"i{n:05}"} for n, e in enumerate(past)]
    later = [{**e, "interaction_id": f"j{n:05}"} for n, e in enumerate(future)]
    with_future = at(tables(*named, *later)[0], EARLIER)
    assert_frame_equal(with_future, at(tables(*named)[0], EARLIER))
    assert_frame_equal(with_future, at(tables(*named, *scrambled)[0], EARLIER))


def test_the_cutoff_itself_is_already_the_future():
    past, now = event(10), event(0, amount=99)
    assert_frame_equal(tables(past)[0], tables(past, now)[0])


def test_the_microsecond_before_the_cutoff_is_still_the_past():
    instant = timedelta(microseconds=1)
    row = known(event(10), event(0, occurred_at=CUTOFF - instant))
    assert row["purchase_count"] == 2
    assert row["days_since_last_purchase"] == instant / timedelta(days=1)


UNDECLARED = next(days for days in itertools.count(45) if days not in windows_of(FEATURES))


@pytest.mark.parametrize("days", [*windows_of(FEATURES), UNDECLARED])
def test_a_window_begins_with_its_first_instant_and_not_before(days: int, monkeypatch: pytest.MonkeyPatch):
    (counted,) = Family("activity").in_windows(INTERACTION, (days,))  # whether or not the registry has it
    others = [feature for feature in registry.EVERY if feature.name != counted.name]
    monkeypatch.setattr(registry, "EVERY", (*others, counted))
    first, asked = CUTOFF - timedelta(days=days), replace(SETTINGS, features=(counted.name,))
    inside = known(event(0, occurred_at=first), settings=asked)
    outside = known(event(0, occurred_at=first - timedelta(microseconds=1)), settings=asked)
    assert (inside[counted.name], outside[counted.name]) == (1, 0)


@given(EVENTS)
@law
def test_a_customer_alone_gets_the_values_he_gets_among_others(events: list[Event]):
    named = [{**e, "interaction_id": f"i{n:05}"} for n, e in enumerate(events)]
    together = tables(*named)
    for customer in {e["customer_id"] for e in named}:
        alone = tables(*[e for e in named if e["customer_id"] == customer])
        for table, own in zip(together, alone, strict=True):
            assert_frame_equal(table.filter(pl.col("customer_id") == customer), own)


@given(EVENTS)
@law
def test_other_cutoffs_change_nothing_at_this_one(events: list[Event]):
    together = tables(*events)
    for cutoff in CUTOFFS:
        alone = tables(*events, cutoffs=(cutoff,))
        for table, own in zip(together, alone, strict=True):
            assert_frame_equal(at(table, cutoff), own)


@given(EVENTS, st.integers(-20_000, 3_000))
@law
def test_the_same_history_some_days_later_reads_the_same_some_days_later(events: list[Event], days: int):
    shift = timedelta(days=days)
    moved = [{**e, "occurred_at": e["occurred_at"] + shift} for e in events]
    later = Cutoff(NOW.at + shift, NOW.horizon_days, NOW.lead_days, NOW.role)
    table, outcomes = tables(*events, cutoffs=(NOW,))
    moved_table, moved_outcomes = tables(*moved, cutoffs=(later,))
    apart = ("cutoff", *(CALENDAR if days % 7 else ()))
    assert_frame_equal(table.drop(apart), moved_table.drop(apart))
    assert_frame_equal(outcomes.drop("cutoff"), moved_outcomes.drop("cutoff"))


@given(EVENTS)
@law
def test_a_longer_window_never_holds_less_and_a_share_is_a_share(events: list[Event]):
    table = tables(*events)[0]
    for stem in ("interaction_count", "purchase_count", "spend", "bad_experience_count"):
        windows = [f"{stem}_{days}d" for days in windows_of(FEATURES)]
        longer = [*(name for name in windows if name in table.columns), stem]
        for short, long in itertools.pairwise(longer):
            assert (table[short] <= table[long]).all(), (short, long)
    bounded = [f.name for f in FEATURES if f.unit == "share" and not f.name.startswith("late_delivery")]
    for name in bounded:
        assert table[name].drop_nulls().is_between(0, 1).all(), name


def test_a_customer_who_did_nothing_a_feature_looks_at_gets_what_the_dictionary_says():
    silent = known(event(1000, "newsletter"))
    present = {"interaction_count", "days_since_last_interaction", "tenure_days", "bad_experience_rate"}
    expected = {f.name: None if f.silent == "null" else 0 for f in FEATURES if f.name not in present}
    assert {name: silent[name] for name in expected} == expected


def test_a_customer_unseen_before_the_cutoff_has_no_row_there():
    table, outcomes = tables(event(10, customer_id="bob"), event(-5, customer_id="new"))
    assert table["customer_id"].to_list() == ["bob"]
    assert outcomes["customer_id"].to_list() == ["bob"]


@pytest.mark.parametrize("events", [[], [event(-1)]])
def test_nobody_to_look_at_gives_an_empty_table_with_every_column(events: list[Event]):
    table, outcomes = tables(*events)
    full, happened = tables(event(100))
    assert (table.schema, outcomes.schema) == (full.schema, happened.schema)
    assert table.is_empty()
    assert outcomes.is_empty()


def test_the_table_holds_the_keys_then_the_features_asked_for_in_their_order():
    settings = KernelSettings(ExperienceSettings(RULES), features=("spend", "tenure_days"))
    table = features_at(interactions(event(1, amount=2)), [NOW], settings)[0]
    assert table.columns == [*KEYS, "spend", "tenure_days"]
    assert table["spend"].item() == 2


def test_every_column_has_the_type_its_unit_promises():
    table = tables(event(1))[0]
    assert {f.name: f.dtype for f in FEATURES} == {f.name: table[f.name].dtype for f in FEATURES}
    assert table["last_bad_experience"].dtype == pl.Enum(list(RULES))
    assert table["cutoff"].dtype == INTERACTIONS["occurred_at"]


@pytest.mark.parametrize("name", ["o'brien", 'say "hi"', "a/b\\c", "..", "名前 🙂", "x" * 500, " ", "a,b;c\nd"])
def test_any_text_may_be_the_id_of_a_customer(name: str):
    table = tables(event(3, amount=1.5, customer_id=name), event(3, customer_id="zz"))[0]
    mine = at(table, NOW).filter(pl.col("customer_id") == name)
    assert mine["spend"].to_list() == [1.5]


def test_customers_are_kept_apart_however_similar_their_ids():
    names = ["a", "A", "a ", "á", "a\u0301", "0", "00"]
    table = at(tables(*[event(n + 1, customer_id=name) for n, name in enumerate(names)])[0], NOW)
    assert dict(table.select("customer_id", "days_since_last_purchase").rows()) == {
        n: i + 1 for i, n in enumerate(names)
    }


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("enrolment", "scored"),
        ("purchase", "scored"),
        ("renewal", "scored"),
        ("return", "already_churned"),
        ("contact", "already_churned"),
        ("complaint", "already_churned"),
        ("survey", "already_churned"),
        ("visit", "already_churned"),
    ],
)
def test_who_cancelled_is_out_of_scope_until_a_contract_runs_again(kind: str, status: str):
    gone = (event(9), event(5, "cancellation"))
    assert known(*gone)["status"] == "already_churned"
    assert known(*gone, event(3, kind))["status"] == status
    assert known(*gone, event(-3, kind))["status"] == "already_churned", "the future changes nothing"
    assert known(event(9), event(-1, "cancellation"))["status"] == "scored"


def test_who_never_bought_can_be_lost_only_where_leaving_is_an_event():
    event_churn = KernelSettings(ExperienceSettings(RULES), relationship=Relationship("event"))
    assert known(event(9, "visit"))["status"] == "no_history"
    assert known(event(9, "visit"), settings=event_churn)["status"] == "scored"


def test_without_rules_nothing_is_a_bad_experience():
    row = known(event(3, "delivery", delay_hours=99.0), settings=KernelSettings(ExperienceSettings()))
    assert (row["bad_experience_count"], row["last_bad_experience"], row["late_delivery_count_90d"]) == (0, None, 1)
