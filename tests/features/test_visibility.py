"""What the company learns late is seen from then on and no earlier; outcomes count when they happened."""

from datetime import timedelta
from typing import Any

import polars as pl
from histories import CUTOFF, EARLIER, EVENTS, NOW, SETTINGS, Event, event, interactions, law
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fedelta.features.cutoffs import Cutoff
from fedelta.features.kernel import features_at
from fedelta.features.visibility import KNOWN_AT

BETWEEN = Cutoff(CUTOFF - timedelta(days=30), 30, 0, "evaluate")
CUTOFFS = (EARLIER, BETWEEN, NOW)
# Days from an event until it was known; negative and none at all mean that it was known at once.
DELAYS: st.SearchStrategy[float | None] = st.sampled_from([None, None, -5.0, 0.0, 0.25, 1.0, 20.0, 45.0, 400.0])


def learned(events: list[Event], delays: list[float | None]) -> pl.DataFrame:
    """The events, each known so many days after it happened."""
    late: list[dict[str, Any]] = [
        {**e, KNOWN_AT: None if days is None else e["occurred_at"] + timedelta(days=days)}
        for e, days in zip(events, delays, strict=True)
    ]
    return interactions(*late)


def known_before(table: pl.DataFrame, cutoff: Cutoff) -> pl.DataFrame:
    """The rows that a warehouse held at the cutoff, as it held them: nobody wrote down yet when each was learned of."""
    known = pl.max_horizontal("occurred_at", pl.col(KNOWN_AT).fill_null(pl.col("occurred_at")))
    return table.filter(known < cutoff.at).drop(KNOWN_AT)


@given(EVENTS, st.data())
@law
def test_features_at_a_cutoff_are_those_of_the_rows_known_there(events: list[Event], data: st.DataObject) -> None:
    table = learned(events, data.draw(st.lists(DELAYS, min_size=len(events), max_size=len(events))))
    features, _ = features_at(table, CUTOFFS, SETTINGS)
    for cutoff in CUTOFFS:
        of_known, _ = features_at(known_before(table, cutoff), (cutoff,), SETTINGS)
        assert_frame_equal(features.filter(pl.col("cutoff") == cutoff.at), of_known)


@given(EVENTS, st.data())
@law
def test_when_things_became_known_changes_no_outcome(events: list[Event], data: st.DataObject) -> None:
    table = learned(events, data.draw(st.lists(DELAYS, min_size=len(events), max_size=len(events))))
    _, outcomes = features_at(table, CUTOFFS, SETTINGS)
    _, at_once = features_at(table.drop(KNOWN_AT), CUTOFFS, SETTINGS)
    rows = outcomes.select("customer_id", "cutoff")
    assert_frame_equal(outcomes, rows.join(at_once, on=["customer_id", "cutoff"], how="left", maintain_order="left"))


@given(EVENTS)
@law
def test_where_all_was_known_at_once_nothing_changes(events: list[Event]) -> None:
    plain = features_at(interactions(*events).drop(KNOWN_AT), CUTOFFS, SETTINGS)
    for delay in (None, 0.0, -1.0):
        for made, expected in zip(
            features_at(learned(events, [delay] * len(events)), CUTOFFS, SETTINGS), plain, strict=True
        ):
            assert_frame_equal(made, expected)


def test_a_purchase_booked_late_is_an_outcome_before_it_is_known() -> None:
    booked = {**event(45, amount=80), KNOWN_AT: CUTOFF - timedelta(days=10)}
    features, outcomes = features_at(interactions(event(200, amount=20), booked), CUTOFFS, SETTINGS)
    assert features["spend"].to_list() == [20.0, 20.0, 100.0]  # 60, 30 and 0 days before the last cutoff
    assert outcomes["horizon_spend"].to_list() == [80.0, 0.0, 0.0]


def test_known_at_the_cutoff_is_not_known_before_it() -> None:
    just, late = ({**event(5), KNOWN_AT: CUTOFF + timedelta(microseconds=us)} for us in (-1, 0))
    assert features_at(interactions(event(9), just), [NOW], SETTINGS)[0]["purchase_count"].to_list() == [2]
    assert features_at(interactions(event(9), late), [NOW], SETTINGS)[0]["purchase_count"].to_list() == [1]


def test_a_customer_of_whom_nothing_is_known_yet_has_no_row() -> None:
    unheard = {**event(5, customer_id="bob"), KNOWN_AT: CUTOFF + timedelta(days=1)}
    features, outcomes = features_at(interactions(event(9), unheard), [NOW], SETTINGS)
    assert features["customer_id"].to_list() == outcomes["customer_id"].to_list() == ["ann"]
