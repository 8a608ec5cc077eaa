"""Tiers, money and action: what a probability means for whom to look at first, and whom to contact."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedelta.features.contract import TREATMENTS
from fedelta.models.policy.actions import policy_table, risk_tier, suppressed_customers, value_at_risk
from fedelta.models.policy.economics import economics
from fedelta.models.policy.holdout import held_out
from fedelta.models.policy.settings import BadPolicy, EconomicsSettings, HoldoutSettings, PolicySettings

USUAL = PolicySettings()
AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
NOBODY = HoldoutSettings(share=0.0)
COSTS = EconomicsSettings(contact_cost=1, offer_cost=6, success=0.15)
BOTH = EconomicsSettings(contact_cost=1, offer_cost=6, success=0.15, contact_success=0.05)
NAMES = [f"c{number}" for number in range(40)]
stakes = st.lists(st.integers(0, 300), min_size=1, max_size=40)


def decided(at_risk, own=COSTS, *, alive=1.0, suppressed=(), holdout=NOBODY, names=None, **limits):
    """The policy's table for customers c0, c1, … with so much at risk."""
    names = NAMES[: len(at_risk)] if names is None else names
    policy = PolicySettings(economics=own, holdout=holdout, **limits)
    return policy_table(names, np.array(at_risk, float), np.full(len(at_risk), alive), policy, suppressed)


def actions(*arguments, **more):
    return decided(*arguments, **more)["action"].to_list()


def test_a_tier_begins_at_its_probability():
    probability = np.array([0.0, 0.29, 0.3, 0.59, 0.6, 0.79, 0.8, 1.0])
    expected = ["low", "low", "medium", "medium", "high", "high", "critical", "critical"]
    assert risk_tier(probability, USUAL).tolist() == expected


@given(st.lists(st.floats(0, 1), min_size=2))
def test_a_higher_risk_is_never_in_a_lower_tier(probability: list[float]):
    order = ["low", *USUAL.tiers]
    tiers = [order.index(tier) for tier in risk_tier(np.sort(probability), USUAL).tolist()]
    assert tiers == sorted(tiers)


def test_a_company_may_do_without_some_tiers():
    assert risk_tier(np.array([0.1, 0.5]), PolicySettings(tiers={"high": 0.5})).tolist() == ["low", "high"]
    assert risk_tier(np.array([0.9]), PolicySettings(tiers={})).tolist() == ["low"]


@pytest.mark.parametrize(
    "tiers", [{"watch": 0.3, "act": 0.6}, {"low": 0.1, "high": 0.6}, {"critical": 0.3, "high": 0.6}]
)
def test_tiers_that_the_service_and_the_report_do_not_know_are_refused_by_those_they_do(tiers: dict[str, float]):
    with pytest.raises(BadPolicy, match=r"names must be among medium, high, critical, in this order\. Below the first"):
        PolicySettings(tiers=tiers)


@pytest.mark.parametrize(
    "tiers", [{"medium": 0.5, "high": 0.4}, {"medium": 0.5, "high": 0.5}, {"high": 0.0}, {"high": 1.0}, {"high": -1.0}]
)
def test_tiers_that_do_not_ascend_within_the_probabilities_are_refused(tiers: dict[str, float]):
    with pytest.raises(BadPolicy, match=r"^policy\.tiers is \{.*\}; the probabilities must ascend between 0 and 1\.$"):
        PolicySettings(tiers=tiers)


def test_value_at_risk_is_the_chance_of_leaving_times_the_margin_on_expected_spend():
    risk, spend = np.array([0.5, 0.0]), np.array([200.0, 1000.0])
    assert value_at_risk(risk, spend, PolicySettings(margin=0.3)).tolist() == [30, 0]


# Whom to contact


def test_the_profit_of_an_offer_is_the_chance_saved_times_the_value_kept_less_its_cost():
    # Chance of leaving 0.5, expected spend 200, margin 1: 100 at risk, of which an offer saves 15 for 7.
    assert decided([100]).rows() == [("offer", pytest.approx(8), False)]


def test_who_costs_more_than_they_bring_is_not_contacted_and_the_loss_is_shown():
    assert decided([40]).rows() == [(None, pytest.approx(-1), False)]


def test_a_contact_that_just_pays_for_itself_is_not_made():
    assert actions([20], EconomicsSettings(contact_cost=1, contact_success=0.05)) == [None]


def test_of_contact_and_offer_the_better_is_done():
    # A contact brings 0.05 v - 1, an offer 0.15 v - 7: equal at 60, where the cheaper is done.
    table = decided([19, 50, 60, 61], BOTH)
    assert table["action"].to_list() == [None, "contact", "contact", "offer"]
    assert table["expected_profit"].to_list() == pytest.approx([-0.05, 1.5, 2, 2.15])


def test_an_offer_to_who_has_probably_left_already_is_to_win_them_back():
    assert actions([100], BOTH, alive=0.49) == ["win back"]
    assert actions([100], BOTH, alive=0.5) == ["offer"]
    assert actions([100], BOTH, alive=float("nan")) == ["offer"]
    assert actions([30], BOTH, alive=0.1) == ["contact"]


def test_capacity_goes_to_the_most_profitable_and_equals_go_by_id():
    assert actions([90, 300, 100, 100], capacity=2) == [None, "offer", "offer", None]
    assert actions([100, 100, 300], names=["b", "a", "c"], capacity=2) == [None, "offer", "offer"]
    assert actions([100, 100], capacity=0) == [None, None]
    assert actions([100, 20], capacity=9) == ["offer", None]


def test_the_held_out_get_no_action_but_keep_their_profit_and_take_no_place():
    half = HoldoutSettings(share=0.5, salt="a company")
    table = decided([100, 110, 120, 130], names=["ann", "bob", "dan", "eve"], holdout=half, capacity=2)
    assert held_out(["ann", "bob", "dan", "eve"], half).tolist() == [False, False, True, True]
    assert table["action"].to_list() == ["offer", "offer", None, None]
    assert table["expected_profit"].to_list() == pytest.approx([8, 9.5, 11, 12.5])
    assert table["held_out"].to_list() == [False, False, True, True]


def test_the_suppressed_get_no_action_and_take_no_place():
    assert actions([300, 100, 90], suppressed={"c0"}, capacity=1) == [None, "offer", None]


@pytest.mark.parametrize("own", [EconomicsSettings(), EconomicsSettings(contact_cost=1, offer_cost=2)])
def test_without_costs_or_an_assumed_success_no_profit_is_invented(own: EconomicsSettings):
    table = decided([500, 900], own, holdout=HoldoutSettings(0.5))
    assert table.select("action", "expected_profit").null_count().row(0) == (2, 2)
    assert table["held_out"].null_count() == 0


def test_without_money_there_is_neither_profit_nor_action_but_still_a_holdout():
    table = policy_table(NAMES, None, np.ones(40), PolicySettings(economics=COSTS))
    assert table.schema == decided([1]).schema
    assert table.select("action", "expected_profit").null_count().row(0) == (40, 40)
    assert table["held_out"].any()


def test_nobody_to_decide_on_is_no_error():
    assert decided([]).shape == (0, 3)
    assert decided([]).schema == decided([1]).schema


def test_without_limits_the_profits_add_up_to_those_of_the_report():
    rng = np.random.default_rng(3)
    risk, spend = rng.random(40), rng.gamma(1, 200, 40)
    policy = PolicySettings(economics=COSTS, holdout=NOBODY, margin=0.8)
    table = policy_table(NAMES, value_at_risk(risk, spend, policy), np.ones(40), policy)
    contacted = table.filter(pl.col("action").is_not_null())
    whole = economics(risk, spend, policy)
    assert len(contacted) == whole.worth_contacting
    assert contacted["expected_profit"].sum() == pytest.approx(whole.expected_profit)


@given(stakes, st.integers(0, 12), st.sets(st.sampled_from(NAMES)), st.randoms(use_true_random=False))
def test_limits_are_kept_and_the_order_of_the_customers_changes_nothing(at_risk, capacity, suppressed, random):
    more = {"capacity": capacity, "holdout": HoldoutSettings(0.3), "suppressed": suppressed}
    table = decided(at_risk, BOTH, **more).with_columns(customer=pl.Series(NAMES[: len(at_risk)]))
    contacted = table.filter(pl.col("action").is_not_null())
    assert len(contacted) <= capacity
    assert (contacted["expected_profit"] > 0).all()
    assert not contacted["held_out"].any()
    assert not set(contacted["customer"]) & suppressed
    passed_over = table.filter(
        pl.col("action").is_null(),
        ~pl.col("held_out"),
        ~pl.col("customer").is_in(suppressed),
        pl.col("expected_profit") > 0,
    )
    if len(passed_over):
        assert len(contacted) == capacity
    if len(passed_over) and capacity:
        assert passed_over["expected_profit"].max() <= contacted["expected_profit"].min()
    order = random.sample(range(len(at_risk)), len(at_risk))
    shuffled = decided([at_risk[i] for i in order], BOTH, names=[NAMES[i] for i in order], **more)
    assert shuffled.rows() == [table.drop("customer").row(i) for i in order]


# Who must not be contacted


def test_the_opted_out_are_suppressed_and_no_answer_is_no_opt_out():
    customers = pl.DataFrame({"customer_id": ["ann", "bob", "cid"], "opted_out": [True, False, None]})
    assert suppressed_customers(customers, TREATMENTS.to_frame(), AS_OF, USUAL) == {"ann": "opted out"}
    assert suppressed_customers(customers.drop("opted_out"), TREATMENTS.to_frame(), AS_OF, USUAL) == {}


def test_who_was_treated_is_suppressed_until_the_cooldown_is_over():
    customers = pl.DataFrame({"customer_id": ["ann", "bob", "cid", "dan"]})
    at = [AS_OF - timedelta(days=30), AS_OF - timedelta(days=29, hours=23), AS_OF + timedelta(days=1), AS_OF]
    treatments = customers.with_columns(treated_at=pl.Series(at), arm=pl.lit("treated"))
    policy = PolicySettings(cooldown_days=30)
    expected = dict.fromkeys(["bob", "cid", "dan"], "contacted lately")
    assert suppressed_customers(customers, treatments, AS_OF, policy) == expected
    again = pl.concat([treatments, treatments.with_columns(treated_at=pl.lit(AS_OF - timedelta(days=300)))])
    assert suppressed_customers(customers, again, AS_OF, policy) == expected


def test_to_the_held_out_nothing_was_done_and_who_opted_out_is_reported_as_such():
    treatments = pl.DataFrame({"customer_id": ["ann", "bob"], "treated_at": AS_OF, "arm": ["held_out", "treated"]})
    customers = pl.DataFrame({"customer_id": ["ann", "bob"], "opted_out": [False, True]})
    assert suppressed_customers(customers, treatments, AS_OF, USUAL) == {"bob": "opted out"}


def test_a_success_that_is_no_chance_is_refused():
    with pytest.raises(BadPolicy, match=r"policy\.economics\.contact_success is 1\.5; it must be above 0"):
        EconomicsSettings(contact_success=1.5)


def test_measured_effects_per_customer_rank_in_the_place_of_assumed_success():
    names, at_risk, saved = NAMES[:4], np.array([100.0, 90.0, 80.0, 70.0]), np.array([-5.0, 3.0, 20.0, 15.0])
    policy = PolicySettings(economics=COSTS, holdout=NOBODY, capacity=1)
    table = policy_table(names, at_risk, np.ones(4), policy, saved=saved)
    assert table["expected_profit"].to_list() == pytest.approx((saved - 7).tolist())
    assert table["action"].to_list() == [None, None, "offer", None]


def test_measured_effects_that_are_those_assumed_change_nothing():
    at_risk = np.array([100.0, 90.0, 8.0, 0.0])
    policy = PolicySettings(economics=BOTH, holdout=NOBODY)
    assumed = policy_table(NAMES[:4], at_risk, np.ones(4), policy)
    measured = policy_table(NAMES[:4], at_risk, np.ones(4), policy, saved=0.15 * at_risk)
    assert measured["action"].equals(assumed["action"])
    assert measured["expected_profit"].to_list() == pytest.approx(assumed["expected_profit"].to_list())
