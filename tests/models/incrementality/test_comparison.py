"""What contacting achieved: found where it is planted, withheld where the arms cannot be believed, told in words."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from experiments import DESIGN, START, drawn, rows_of

from fedelta.models.incrementality.comparison import measured
from fedelta.models.incrementality.estimator import LEAST_IN_ARM


def overall(rows: pl.DataFrame, design=DESIGN):
    """The comparison of everybody."""
    return measured(rows, design)["comparisons"][0]


def test_a_planted_effect_is_claimed_counted_and_valued():
    rows = drawn(4_000, 1, effect=0.15, cost=2.0)
    one = overall(rows)
    active, treated = one["result"]["active"], one["measured"]["treated"]
    assert active["always_low"] < 0.15 < active["always_high"]
    assert one["result"]["claimed"]
    assert one["result"]["saved"]["value"] == pytest.approx(active["value"] * treated)
    assert one["result"]["value_saved"]["value"] == pytest.approx(0.5 * one["result"]["spend"]["value"] * treated)
    assert one["result"]["cost"] == 2 * treated
    profit = one["result"]["profit"]
    assert profit["low"] == pytest.approx(one["result"]["value_saved"]["low"] - 2 * treated)
    assert "customers were saved by contacting" in one["says"]
    assert "EUR of margin gained" in one["says"]


def test_neither_cost_nor_profit_is_given_where_some_contacts_have_no_cost():
    rows = drawn(4_000, 1, effect=0.15, cost=2.0)
    some = rows.with_columns(cost=pl.when(pl.int_range(pl.len()) % 10 == 0).then("cost"))
    one = overall(some)
    assert one["result"]["cost"] is None
    assert "profit" not in one["result"]
    assert any("What contacting cost is unknown" in words for words in one["warnings"])
    assert not overall(rows)["warnings"]
    assert not overall(rows.with_columns(cost=pl.lit(None, pl.Float64)))["warnings"]


def test_margin_is_claimed_only_where_its_own_interval_for_every_look_excludes_nothing():
    rows = drawn(4_000, 1, effect=0.15)
    noisy = rows.with_columns(spent=pl.Series(np.random.default_rng(2).normal(0, 50, rows.height)))
    one = overall(noisy)
    assert one["result"]["claimed"]
    assert "that margin was gained cannot be claimed yet" in one["says"]
    assert "cannot be claimed" not in overall(rows)["says"]


def test_without_an_effect_none_is_claimed_and_the_weeks_to_go_are_named():
    one = overall(drawn(900, 4), replace(DESIGN, until=START + timedelta(days=230), success={"keep": 0.1}))
    assert not one["result"]["claimed"]
    assert "o effect can be claimed" in one["says"] or "no effect is claimed yet" in one["says"]
    assert one["to_go"]["weeks"] > 0
    assert f"about {one['to_go']['weeks']:,} weeks to go" in one["says"]


def test_weeks_to_go_follow_the_rate_of_the_last_weeks_and_the_horizon():
    rows = drawn(1_000, 3, days=100)
    design = replace(DESIGN, until=START + timedelta(days=100), success={"keep": 0.1})
    to_go = overall(rows, design)["to_go"]
    assert to_go["a_week"] == pytest.approx(70, rel=0.15)
    expected = (to_go["needed"] - 1_000) / to_go["a_week"] + 30 / 7
    assert expected <= to_go["weeks"] <= expected + 1


def test_customers_whose_horizon_is_not_over_do_not_count_yet():
    rows = drawn(1_000, 3).with_columns(
        stayed=pl.when(pl.col("treated_at") < START + timedelta(days=100)).then("stayed")
    )
    one = overall(rows)
    assert one["immature"] == pytest.approx(0.5, abs=0.06)
    assert sum(one["measured"].values()) == rows["stayed"].drop_nulls().len()


def test_a_missing_part_of_an_arm_withholds_the_result():
    rows = drawn(3_000, 5, effect=0.2)
    some = rows.filter((pl.col("arm") == "treated") | (pl.int_range(pl.len()) % 2 == 0))
    one = overall(some)
    assert one["result"] is None
    assert "sample-ratio check, p below 0.0001" in one["withheld"]
    assert "20.0% were meant to be" in one["says"]


def test_arms_chosen_by_other_rules_withhold_the_result():
    rows = drawn(2_000, 6)
    tilted = rows.with_columns(
        x_risk=pl.when(pl.col("arm") == "treated").then(pl.col("x_risk") + 0.3).otherwise("x_risk")
    )
    assert "not chosen by one rule" in overall(tilted)["withheld"]


def test_few_customers_and_an_arm_that_is_not_recorded_have_no_result():
    assert f"of at least {LEAST_IN_ARM} each" in overall(drawn(100, 7))["withheld"]
    treated = rows_of(action=["keep"] * 200)
    found = measured(treated, DESIGN)["comparisons"]
    assert found[0]["withheld"].startswith("Nobody held out is recorded here")
    assert "with the action that they would have received" in next(o for o in found if o["by"] == "action")["withheld"]


def test_held_out_customers_who_were_contacted_are_counted_and_warned_of():
    rows = rows_of(
        customer_id=["ann", "ann", "ben", "eve", "eve"], arm=["held_out", "treated", "held_out", "held_out", "treated"],
        treated_at=[START, START + timedelta(days=5), START, START, START + timedelta(days=31)],
        reached=[None, True, True, False, None],
    )  # fmt: skip
    one = overall(rows)
    assert one["contaminated"] == 2, "ann was treated within the horizon, ben was reached, eve was treated after it"
    assert "2 of 3 held-out customers were contacted all the same" in one["warnings"][0]


def test_customers_whose_outcome_is_unknown_are_counted_by_arm():
    rows = drawn(2_000, 8)
    gone = (pl.int_range(pl.len()) % 10 == 0) & (pl.col("arm") == "treated")
    one = overall(rows.with_columns(in_source=~gone, stayed=pl.when(~gone).then("stayed")))
    assert one["lost"]["held_out"] == 0
    assert one["immature"] == 0
    assert any("one arm lost significantly more" in words for words in one["warnings"])


def test_entries_dated_long_after_the_last_interaction_are_warned_of():
    rows = drawn(900, 4)
    wrong = pl.int_range(pl.len()) < 3
    late = rows.with_columns(treated_at=pl.when(wrong).then(START + timedelta(days=2_000)).otherwise("treated_at"))
    assert any(words.startswith("3 entries are dated") for words in overall(late)["warnings"])
    assert not overall(rows)["warnings"]


def test_groups_are_compared_each_by_itself():
    names = ["a", "b"] * 1_000
    rows = drawn(2_000, 9, action=names, tier=names, persona=names, campaign=["only"] * 2_000)
    rows = rows.with_columns(
        stayed=pl.when((pl.col("action") == "b") & (pl.col("arm") == "held_out")).then(0.0).otherwise(pl.col("stayed"))
    )
    found = {(one["by"], one["group"]): one for one in measured(rows, DESIGN)["comparisons"]}
    assert set(found) == {
        ("all", None),
        ("campaign", "only"),
        *((by, g) for by in ("action", "persona", "tier") for g in "ab"),
    }
    assert found["action", "b"]["result"]["claimed"]
    assert not found["action", "a"]["result"]["claimed"]
    assert found["tier", "b"]["result"] == found["action", "b"]["result"]


def test_a_new_control_group_begins_a_new_comparison_and_the_old_one_is_told_apart():
    old, new = drawn(1_500, 10, effect=0.3), drawn(1_500, 11)
    others = pl.Series(np.random.default_rng(3).random(1_500) < 0.2)
    old = old.with_columns(drawn_held_out=others, customer_id=pl.format("o{}", "customer_id"))
    new = new.with_columns(pl.col("treated_at") + timedelta(days=200))
    report = measured(pl.concat([old, new]), replace(DESIGN, until=START + timedelta(days=500)))
    assert len(report["epochs"]) == 2
    assert not report["comparisons"][0]["result"]["claimed"]
    assert "were saved" in report["epochs"][0]["says"]


def test_campaigns_with_shares_of_their_own_are_pooled_without_bias():
    # The risky campaign holds out half, the safe one a tenth: a plain difference would show 20 points of harm or gain.
    rng = np.random.default_rng(5)
    risky, safe = (
        drawn(3_000, 12, share=0.5, campaign=["risky"] * 3_000),
        drawn(3_000, 13, share=0.1, campaign=["safe"] * 3_000),
    )
    safe = safe.with_columns(
        stayed=pl.Series((rng.random(3_000) < 0.9).astype(float)), customer_id=pl.format("s{}", "customer_id")
    )
    rows = pl.concat([risky, safe]).with_columns(drawn_held_out=pl.Series(rng.random(6_000) < 0.2))
    report = measured(rows, replace(DESIGN, shares={"risky": 0.5, "safe": 0.1}))
    one = report["comparisons"][0]
    assert report["arms_drawn_by"] == "campaign"
    assert one["result"]["active"]["low"] < 0 < one["result"]["active"]["high"]
    assert not one["warnings"]  # every share is declared, and each campaign has its own
    half = measured(rows, replace(DESIGN, shares={"risky": 0.5}))["comparisons"][0]
    assert "checked by campaign only" in half["warnings"][0]
    risky_ratio = next(o for o in report["comparisons"] if o["group"] == "risky")["ratio"]
    assert risky_ratio["expected"] == 0.5


def test_a_campaign_with_other_arms_than_meant_spoils_every_comparison_that_it_is_part_of():
    rng = np.random.default_rng(5)
    spring, summer = (
        drawn(2_000, 12 + k, share=0.5, effect=0.2, campaign=[name] * 2_000)
        for k, name in enumerate(("spring", "summer"))
    )
    rows = pl.concat([spring, summer.with_columns(customer_id=pl.format("s{}", "customer_id"))])
    rows = rows.with_columns(drawn_held_out=pl.Series(rng.random(4_000) < 0.2))
    meant = measured(rows, replace(DESIGN, shares={"spring": 0.5, "summer": 0.3}))["comparisons"]
    found = {(one["by"], one["group"]): one["withheld"] for one in meant}
    assert found["all", None].startswith("Of the campaign summer: ")
    assert "30.0% were meant to be" in found["all", None]
    assert found["campaign", "spring"] is None
    assert found["campaign", "summer"] is not None
