"""A plan tells what stands in the scores, and whoever is worth a contact is either in it or left out for one reason."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from fedelta.features.contract import SuppressionReason
from fedelta.models.policy.actions import policy_table
from fedelta.models.policy.plan import BEYOND, HELD_OUT, Plan, contact_curve, plan_of
from fedelta.models.policy.settings import EconomicsSettings, HoldoutSettings, PolicySettings
from fedelta.models.policy.stakes import Stakes

COSTS = EconomicsSettings(contact_cost=1, offer_cost=6, keep_success=0.15, keep_success_without_offer=0.05)
NAMES = [f"c{number}" for number in range(30)]


def at_stake(at_risk: list[int]) -> Stakes:
    """Customers who are all here, half of whom leave, with so much at risk."""
    one, nothing = np.ones(len(at_risk)), np.zeros(len(at_risk))
    return Stakes(one, one / 2, np.array(at_risk, float), nothing, nothing, nothing)


def planned(
    at_risk: list[int], suppressed: dict[str, SuppressionReason], policy: PolicySettings
) -> tuple[pl.DataFrame, Plan]:
    """Scores of customers with so much at risk, and their plan."""
    names = NAMES[: len(at_risk)]
    table = policy_table(names, at_stake(at_risk), policy, suppressed)
    reasons = pl.Series([suppressed.get(name) for name in names], dtype=pl.String)
    scores = table.with_columns(customer_id=pl.Series(names), suppression_reason=reasons)
    plan = plan_of(scores, policy)
    assert plan is not None
    return scores, plan


def test_every_reason_is_counted_once_and_all_add_up_to_those_worth_a_contact():
    policy = PolicySettings(economics=COSTS, holdout=HoldoutSettings(share=0.0), capacity=2)
    suppressed: dict[str, SuppressionReason] = {"c1": "opted out", "c2": "contacted lately", "c5": "opted out"}
    scores, plan = planned([100, 90, 80, 70, 60, 10], suppressed, policy)
    plan = plan_of(scores.with_columns(held_out=pl.Series([name in {"c1", "c4"} for name in NAMES[:6]])), policy)
    assert plan is not None
    assert (plan.worth, plan.actions) == (5, {"keep": 2})  # c5 is not worth it, consent or not
    assert plan.left_out == {"opted out": 1, "contacted lately": 1, HELD_OUT: 1, BEYOND: 0}
    assert plan.profit == 100 * 0.15 - 7 + 70 * 0.15 - 7
    assert plan.says("EUR") == (
        "Planned are 2 actions of at most 2 per run (2 keep), expected to save 0.1 customers at a cost of 14 EUR and "
        "to bring 12 EUR after it. Contacting would pay for 5 customers; "
        f"left out are 1 opted out; 1 contacted lately; 1 {HELD_OUT}."
    )


@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=30),
    st.one_of(st.none(), st.integers(0, 10)),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["opted out", "contacted lately"])),
)
def test_the_plan_adds_up_whatever_the_limits(at_risk, capacity, suppressed):
    policy = PolicySettings(economics=COSTS, holdout=HoldoutSettings(share=0.3), capacity=capacity)
    scores, plan = planned(at_risk, suppressed, policy)
    assert plan.worth == sum(plan.actions.values()) + sum(plan.left_out.values())
    assert plan.worth == (scores["expected_profit"] > 0).sum()
    assert sum(plan.actions.values()) == scores["action"].count()
    if plan.left_out[BEYOND]:
        assert sum(plan.actions.values()) == capacity


def test_without_limits_all_get_an_action_and_where_nothing_pays_nobody_does():
    free = PolicySettings(economics=COSTS, holdout=HoldoutSettings(share=0.0))
    assert planned([100, 40], {}, free)[1].says("EUR") == (
        "Planned are 2 actions (2 keep), expected to save 0.1 customers at a cost of 8 EUR and to bring 9 EUR after "
        "it. Contacting would pay for 2 customers, all of whom get an action."
    )
    assert planned([100], {}, free)[1].says("EUR").startswith("Planned is 1 action (1 keep), expected to save ")
    assert planned([5], {}, free)[1].says("EUR") == "At these costs nobody is worth a contact, so none is planned."


def test_without_costs_there_is_no_plan():
    policy = PolicySettings()
    scores = policy_table(NAMES, at_stake([100] * 30), policy).with_columns(suppression_reason=pl.lit(None, pl.String))
    assert plan_of(scores, policy) is None


def test_the_curve_sums_what_the_most_profitable_bring_and_marks_its_top_and_the_capacity():
    policy = PolicySettings(economics=COSTS, holdout=HoldoutSettings(share=0.0))
    scores, _ = planned([100, 40, 60, 10], {"c2": "opted out"}, policy)  # bring 8, 1 and -0.5; c2 is not asked
    curve = contact_curve(scores, capacity=1)
    assert curve["contacts"].to_list() == [0, 1, 2, 3]
    assert curve["profit"].to_list() == [0, 8, 9, 8.5]
    assert curve["cost"].to_list() == [0, 7, 8, 9]
    assert curve["last_profit"].to_list() == [None, 8, 1, -0.5]
    assert curve["mark"].to_list() == [None, "capacity", "optimum", None]


@given(st.lists(st.integers(0, 300), min_size=1, max_size=30), st.integers(0, 40))
def test_no_point_of_the_curve_earns_more_than_its_optimum(at_risk, capacity):
    policy = PolicySettings(economics=COSTS, holdout=HoldoutSettings(share=0.2))
    scores, _ = planned(at_risk, {}, policy)
    curve = contact_curve(scores, capacity)
    if (top := curve.filter(mark="optimum")).height:
        assert top["profit"].item() == curve["profit"].max()
    assert curve["contacts"].is_sorted()
    assert curve["contacts"].max() == (~scores["held_out"]).sum()
