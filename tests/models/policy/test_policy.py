"""Tiers, money and action: what a probability means for whom to look at first, and whom to contact."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedelta.features.contract import TREATMENTS
from fedelta.models.policy.actions import contacts_of_a_year, policy_table, risk_tier, suppressed_customers
from fedelta.models.policy.economics import economics
from fedelta.models.policy.holdout import held_out
from fedelta.models.policy.settings import BadPolicy, EconomicsSettings, HoldoutSettings, PolicySettings, TeamSettings
from fedelta.models.policy.stakes import Stakes

USUAL = PolicySettings()
AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
NOBODY = HoldoutSettings(share=0.0)
COSTS = EconomicsSettings(contact_cost=1, offer_cost=6, keep_success=0.15)
BOTH = EconomicsSettings(contact_cost=1, offer_cost=6, keep_success=0.15, keep_success_without_offer=0.05)
NAMES = [f"c{number}" for number in range(40)]
stakes = st.lists(st.integers(0, 300), min_size=1, max_size=40)


def at_stake(at_risk, back=0.0, *, here=1.0, gone=0.0, spread=0.0):
    """Stakes of customers with so much at risk, and to be won back."""
    n = len(at_risk)
    whole = (np.full(n, value, float) for value in (here, 0.5, 0.0, back, gone, spread))
    p_here, p_leaves, _, win_back, days_gone, spreads = whole
    return Stakes(p_here, p_leaves, np.array(at_risk, float), np.array(win_back), days_gone, spreads)


def decided(at_risk, own=COSTS, *, stake=None, suppressed=(), holdout=NOBODY, names=None, contacts=None, **limits):
    """The policy's table for customers c0, c1, … with so much at risk."""
    names = NAMES[: len(at_risk)] if names is None else names
    policy = PolicySettings(economics=own, holdout=holdout, **limits)
    stake = at_stake(at_risk) if stake is None else stake
    return policy_table(names, stake, policy, suppressed, as_of=AS_OF, contacts=contacts)


def actions(*arguments, **more):
    return decided(*arguments, **more)["action"].to_list()


def plan(table):
    """What is planned: action, and whether with an offer."""
    return list(zip(table["action"], table["offer"], strict=True))


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


# Whom to contact


def test_the_profit_of_an_offer_is_its_success_times_what_is_at_risk_less_its_cost():
    # 100 at risk, of which an offer saves 15 for 7; half of those here leave, so that 0.15 × 0.5 are saved.
    row = decided([100]).row(0, named=True)
    assert (row["action"], row["offer"], row["contact_cost"]) == ("keep", True, 7)
    assert (row["expected_profit"], row["p_saved"]) == pytest.approx((8, 0.075))


def test_who_costs_more_than_they_bring_is_not_contacted_and_the_loss_is_shown():
    row = decided([40]).row(0, named=True)
    assert (row["action"], row["offer"]) == (None, None)
    assert row["expected_profit"] == pytest.approx(-1)


def test_a_contact_that_just_pays_for_itself_is_not_made():
    assert actions([20], EconomicsSettings(contact_cost=1, keep_success_without_offer=0.05)) == [None]


def test_of_contact_and_offer_the_better_is_done():
    # A contact brings 0.05 v - 1, an offer 0.15 v - 7: equal at 60, where the cheaper is done.
    table = decided([19, 50, 60, 61], BOTH)
    assert plan(table) == [(None, None), ("keep", False), ("keep", False), ("keep", True)]
    assert table["expected_profit"].to_list() == pytest.approx([-0.05, 1.5, 2, 2.15])


BACK = EconomicsSettings(contact_cost=1, offer_cost=6, keep_success=0.15, win_back_success=0.1)


def test_who_is_rather_gone_is_won_back_if_that_is_known_to_work():
    gone = at_stake([10], back=100, here=0.2)
    row = decided([10], BACK, stake=gone).row(0, named=True)
    assert row["action"] == "win back"
    assert row["expected_profit"] == pytest.approx(0.15 * 10 + 0.1 * 100 - 7)
    assert row["p_saved"] == pytest.approx(0.15 * 0.2 * 0.5 + 0.1 * 0.8)
    assert actions([10], stake=gone) == [None]  # nothing is known of winning back
    assert actions([100], BACK, stake=at_stake([100], back=100)) == ["keep"]


@pytest.mark.parametrize(("days", "profit"), [(0, 3.0), (120, -2.0), (240, -4.5)])
def test_winning_back_halves_in_success_with_every_120_days_since_leaving(days: float, profit: float):
    found = decided([0], BACK, stake=at_stake([0], back=100, here=0.0, gone=days))
    assert found["expected_profit"].item() == pytest.approx(profit)


def test_a_contact_achieves_half_after_as_many_contacts_as_fatigue_says():
    table = decided([100, 100, 100], contacts={"c1": 2, "c2": 4}, fatigue=2.0)
    assert table["expected_profit"].to_list() == pytest.approx([8, 0.5, -3.25])
    assert table["p_saved"].to_list() == pytest.approx([0.075, 0.0375, 0.01875])


def test_contacts_of_a_year_are_those_made_to_the_treated_within_365_days():
    rows = [("ann", 10, "treated"), ("ann", 365, "treated"), ("bob", 366, "treated"), ("cid", 3, "held_out")]
    treatments = pl.DataFrame(
        [{"customer_id": c, "treated_at": AS_OF - timedelta(days=d), "arm": arm} for c, d, arm in rows]
    )
    assert contacts_of_a_year(treatments, AS_OF) == {"ann": 2}


def test_the_interval_of_the_profit_widens_with_what_is_not_known_of_the_customer():
    sure, unsure = (decided([100], stake=at_stake([100], spread=width)).row(0, named=True) for width in (0.0, 0.5))
    assert sure["expected_profit_low"] == sure["expected_profit_high"] == sure["expected_profit"]
    assert unsure["expected_profit_low"] < unsure["expected_profit"] < unsure["expected_profit_high"]
    assert unsure["expected_profit"] == sure["expected_profit"]
    unknown = decided([100], stake=at_stake([100], spread=np.nan)).row(0, named=True)
    assert unknown["expected_profit_low"] is None


# Who comes first


def test_a_budget_goes_to_who_brings_most_for_it():
    # An offer costs 7, a contact 1: at 60 both bring 2. 22 are enough for three offers and one contact.
    table = decided([300, 200, 100, 61, 30], BOTH, budget=22.0)
    assert plan(table)[:3] == [("keep", True), ("keep", True), ("keep", True)]
    assert table.filter(pl.col("action").is_not_null())["contact_cost"].sum() == 22
    assert actions([100, 100], budget=6.0) == [None, None]


def test_a_capacity_and_a_budget_are_refused():
    with pytest.raises(BadPolicy, match=r"policy\.capacity is 3 and policy\.budget 10; only one"):
        PolicySettings(capacity=3, budget=10.0)


def test_the_most_profitable_go_to_the_team_that_is_free_the_soonest_and_takes_them():
    teams = {"phone": TeamSettings(per_day=1), "email": TeamSettings(per_day=2, actions=("win back",))}
    table = decided([100, 200, 300, 150], teams=teams, run_days=2)
    assert table["team"].to_list() == [None, "phone", "phone", None]  # two days of one call, nobody to win back
    assert [None if day is None else (day - AS_OF.date()).days for day in table["contact_on"]] == [None, 1, 0, None]
    assert table["action"].to_list() == [None, "keep", "keep", None]
    back = at_stake([0, 0, 0], back=200, here=0.0)
    table = decided([0, 0, 0], BACK, stake=back, teams=teams, run_days=1)
    assert table["team"].to_list() == ["phone", "email", "email"]


def test_capacity_goes_to_the_most_profitable_and_equals_go_by_id():
    assert actions([90, 300, 100, 100], capacity=2) == [None, "keep", "keep", None]
    assert actions([100, 100, 300], names=["b", "a", "c"], capacity=2) == [None, "keep", "keep"]
    assert actions([100, 100], capacity=0) == [None, None]
    assert actions([100, 20], capacity=9) == ["keep", None]


def test_the_held_out_get_no_action_but_keep_their_profit_and_take_no_place():
    half = HoldoutSettings(share=0.5, salt="a company")
    table = decided([100, 110, 120, 130], names=["ann", "bob", "dan", "eve"], holdout=half, capacity=2)
    assert held_out(["ann", "bob", "dan", "eve"], half).tolist() == [False, False, True, True]
    assert table["action"].to_list() == ["keep", "keep", None, None]
    assert table["expected_profit"].to_list() == pytest.approx([8, 9.5, 11, 12.5])
    assert table["held_out"].to_list() == [False, False, True, True]


def test_the_suppressed_get_no_action_and_take_no_place():
    assert actions([300, 100, 90], suppressed={"c0"}, capacity=1) == [None, "keep", None]


@pytest.mark.parametrize("own", [EconomicsSettings(), EconomicsSettings(contact_cost=1, offer_cost=2)])
def test_without_costs_or_an_assumed_success_no_profit_is_invented(own: EconomicsSettings):
    table = decided([500, 900], own, holdout=HoldoutSettings(0.5))
    assert table.select("action", "expected_profit").null_count().row(0) == (2, 2)
    assert table["held_out"].null_count() == 0


def test_without_money_there_is_neither_profit_nor_action_but_still_a_holdout():
    table = policy_table(NAMES, None, PolicySettings(economics=COSTS))
    assert table.schema == decided([1]).schema
    assert table.select("action", "expected_profit").null_count().row(0) == (40, 40)
    assert table["held_out"].any()


def test_nobody_to_decide_on_is_no_error():
    assert decided([]).shape == (0, 11)
    assert decided([]).schema == decided([1]).schema


def test_without_limits_the_profits_add_up_to_those_of_the_report():
    at_risk = np.random.default_rng(3).gamma(1, 100, 40)
    policy = PolicySettings(economics=COSTS, holdout=NOBODY)
    table = policy_table(NAMES, at_stake(at_risk), policy)
    contacted = table.filter(pl.col("action").is_not_null())
    whole = economics(np.full(40, 0.5), np.ones(40), at_risk, policy)
    assert len(contacted) == whole.worth_contacting
    assert contacted["expected_profit"].sum() == pytest.approx(whole.expected_profit, rel=1e-6)


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
    with pytest.raises(BadPolicy, match=r"policy\.economics\.keep_success_without_offer is 1\.5; it must be above 0"):
        EconomicsSettings(keep_success_without_offer=1.5)


def test_measured_effects_per_customer_rank_in_the_place_of_assumed_success():
    gain = np.array([-5.0, 3.0, 20.0, 15.0])
    policy = PolicySettings(economics=COSTS, holdout=NOBODY, capacity=1)
    table = policy_table(NAMES[:4], at_stake([100, 90, 80, 70]), policy, gain=gain)
    assert table["expected_profit"].to_list() == pytest.approx((gain - 7).tolist())
    assert table["action"].to_list() == [None, None, "keep", None]
    assert table["best_action"].to_list() == ["keep"] * 4


def test_measured_effects_that_are_those_assumed_change_nothing():
    stake, policy = at_stake([100, 90, 8, 0], back=30.0), PolicySettings(economics=BOTH, holdout=NOBODY)
    assumed = policy_table(NAMES[:4], stake, policy)
    measured = policy_table(NAMES[:4], stake, policy, gain=0.15 * stake.value_at_risk)
    assert measured["offer"].equals(assumed["offer"])
    assert measured["expected_profit"].to_list() == pytest.approx(assumed["expected_profit"].to_list())


def test_the_held_out_have_a_best_action_and_get_none():
    own = EconomicsSettings(contact_cost=1, offer_cost=6, keep_success=0.15, win_back_success=0.1)
    everybody = HoldoutSettings(share=0.999999)
    table = decided([100, 1], own, stake=at_stake([100, 1], back=90.0), holdout=everybody)
    assert table["action"].to_list() == [None, None]
    assert table["best_action"].to_list() == ["keep", "win back"]


@given(st.lists(st.integers(-300, 300), min_size=1, max_size=40), st.floats(0, 12))
def test_the_interval_holds_the_expected_profit_however_little_is_known_and_whatever_the_sign(at_risk, spread):
    table = decided(at_risk, BOTH, stake=at_stake(at_risk, spread=spread))
    assert (table["expected_profit_low"] <= table["expected_profit"]).all()
    assert (table["expected_profit"] <= table["expected_profit_high"]).all()


@pytest.mark.parametrize(("price", "number"), [(0.1, 3), (1.1, 100), (0.7, 10), (7.3, 30)])
def test_a_budget_of_so_many_contacts_pays_for_as_many(price, number):
    own = EconomicsSettings(contact_cost=price, keep_success_without_offer=0.5)
    names = [f"c{k:03}" for k in range(number + 5)]
    budget = float(f"{price * number:.1f}")
    table = decided([100.0] * len(names), own, names=names, budget=budget)
    assert table["action"].drop_nulls().len() == number
