"""Who counts in a comparison, since when, and how arms that are not as planned are found."""

from datetime import timedelta

import numpy as np
import polars as pl
from experiments import START, drawn, rows_of

from fedelta.models.incrementality.entries import (
    covariates_of,
    epochs_of,
    first_entries,
    imbalance_p,
    ratio_varies_p,
)

DAY = timedelta(days=1)


def test_a_customer_counts_once_in_the_arm_of_the_first_entry():
    rows = rows_of(
        customer_id=["ann", "ann", "ben"], treated_at=[START + DAY, START, START],
        arm=["treated", "held_out", "treated"], campaign=["b", "a", None],
    )  # fmt: skip
    assert first_entries(rows).select("customer_id", "arm").sort("customer_id").rows() == [
        ("ann", "held_out"), ("ben", "treated"),
    ]  # fmt: skip
    assert first_entries(rows, "campaign").select("campaign", "arm").rows() == [("a", "held_out"), ("b", "treated")]


def test_arms_of_the_present_control_group_are_one_epoch():
    found = epochs_of(drawn(500, 1), 0.2)
    assert found.drawn
    assert found.begins is None


def test_another_salt_begins_a_new_epoch_where_the_arms_begin_to_agree():
    rows = drawn(1_000, 1)
    change = START + timedelta(days=90)
    others = pl.Series(np.random.default_rng(9).random(1_000) < 0.2)
    before = rows["treated_at"] < change
    rows = rows.with_columns(drawn_held_out=pl.when(before).then(others).otherwise(pl.col("drawn_held_out")))
    found = epochs_of(rows, 0.2)
    assert found.drawn
    assert found.begins
    assert abs(found.begins - change) <= 12 * DAY, "chance agrees for some days before"


def test_some_wrong_records_begin_no_epoch():
    rows = drawn(2_000, 2)
    wrong = pl.Series(np.arange(2_000) % 200 == 0)
    found = epochs_of(rows.with_columns(drawn_held_out=pl.col("drawn_held_out") ^ wrong), 0.2)
    assert found.drawn
    assert found.begins is None


def test_campaigns_that_draw_their_own_arms_are_recognised():
    others = (np.random.default_rng(9).random(1_000) < 0.2).tolist()
    assert not epochs_of(drawn(1_000, 1, drawn_held_out=others), 0.2).drawn
    assert not epochs_of(drawn(100, 1), 0.0).drawn
    assert epochs_of(rows_of(customer_id=["ann"]), 0.1).begins is None


def test_a_share_that_changes_between_months_is_found_and_a_steady_one_is_not():
    assert ratio_varies_p(drawn(3_000, 3)) > 0.001
    both = pl.concat([drawn(1_500, 3, share=0.1, days=50), drawn(1_500, 4, share=0.5, days=50).with_columns(
        pl.col("treated_at") + timedelta(days=100))])  # fmt: skip
    assert ratio_varies_p(both) < 1e-6
    assert ratio_varies_p(drawn(300, 3, days=20)) == 1


def test_arms_of_other_customers_before_entry_are_found():
    rng = np.random.default_rng(1)
    x, treated = rng.normal(size=(2_000, 3)), rng.random(2_000) < 0.8
    assert imbalance_p(x, treated) > 0.001
    assert imbalance_p(x + 0.4 * treated[:, None], treated) < 1e-6
    assert imbalance_p(np.column_stack([x, x[:, 0]]), treated) > 0.001, "a repeated column is one"
    assert imbalance_p(np.ones((10, 1)), np.arange(10) < 5) == 1


def test_the_arms_differ_by_chance_as_often_as_they_should():
    rng = np.random.default_rng(2)
    draws = [imbalance_p(rng.normal(size=(300, 3)), rng.random(300) < 0.8) for _ in range(400)]
    assert np.mean(np.array(draws) < 0.05) < 0.09


def test_unknown_facts_stand_at_their_mean_and_are_marked():
    found = covariates_of(rows_of(x_risk=[0.2, None, 0.6], x_value=[None, None, None], x_tenure=[1.0, 2.0, 3.0]))
    assert found.tolist() == [[0.2, 0, 1], [0.4, 1, 2], [0.6, 0, 3]]
