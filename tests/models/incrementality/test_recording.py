"""Who enters a comparison: the list, and who of the control group would have been on it, by one rule."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from fedelta.features.contract import SCORES, TREATMENTS
from fedelta.models.incrementality.estimator import sample_ratio_p
from fedelta.models.incrementality.measured import ACTIONS
from fedelta.models.incrementality.recording import NothingToRecord, entries_of
from fedelta.models.policy.actions import policy_table
from fedelta.models.policy.settings import EconomicsSettings, HoldoutSettings, PolicySettings, TeamSettings
from fedelta.models.policy.stakes import Stakes

AT = datetime(2026, 5, 1, 9, tzinfo=UTC)


def scores(*rows: tuple[str, str | None, float | None, bool, str | None], best: str = "keep") -> pl.DataFrame:
    """Scores of customers: id, action, expected profit, held out, why they must not be contacted."""
    names = ("customer_id", "action", "expected_profit", "held_out", "suppression_reason")
    known = {"churn_probability": 0.4, "clv_expected": 9.0, "contact_cost": 7.0}
    table = pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.lit(v).alias(k) for k, v in known.items())
    table = table.with_columns(best_action=pl.coalesce("action", pl.lit(best)))
    return table.select(
        (pl.col(name) if name in table.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in SCORES.items()
    )


def test_the_held_out_enter_where_they_would_have_been_on_the_list():
    found = entries_of(
        scores(
            ("ann", "keep", 9.0, False, None),
            ("ben", "keep", 5.0, False, None),
            ("cid", None, 4.9, False, None),  # beyond the capacity
            ("dan", None, 5.1, True, None),
            ("eve", None, 4.9, True, None),  # would have been beyond it too
            ("fay", None, 8.0, True, "opted out"),
            ("gus", None, None, True, None),
        ),
        AT,
        "may",
    )
    assert found.schema == TREATMENTS
    assert found.select("customer_id", "arm", "action", "campaign").rows() == [
        ("ann", "treated", "keep", "may"), ("ben", "treated", "keep", "may"), ("dan", "held_out", "keep", "may"),
    ]  # fmt: skip
    assert found.select("treated_at", "churn_probability", "expected_value").unique().rows() == [(AT, 0.4, 9.0)]


def test_the_held_out_have_the_action_that_they_would_have_received_and_cost_nothing():
    rows = (("ann", "keep", 9.0, False, None), ("ben", "win back", 5.0, False, None), ("dan", None, 6.0, True, None))
    found = entries_of(scores(*rows, best="win back"), AT)
    assert found.select("action", "arm", "cost").rows() == [
        ("keep", "treated", 7.0), ("win back", "treated", 7.0), ("win back", "held_out", None),
    ]  # fmt: skip


def priced(*rows: tuple[str, str | None, str, float, float, bool]) -> pl.DataFrame:
    """Scores of customers: id, action, best action, expected profit, cost, held out."""
    names = ("customer_id", "action", "best_action", "expected_profit", "contact_cost", "held_out")
    table = pl.DataFrame(rows, schema=names, orient="row")
    return table.select(
        (pl.col(name) if name in names else pl.lit(None)).cast(dtype).alias(name) for name, dtype in SCORES.items()
    )


def test_a_budget_takes_the_cheap_contacts_first_in_both_arms():
    # By profit over cost ann (4 per unit) comes before ben (2); dan and eve would have been like them.
    table = priced(
        ("ann", "keep", "keep", 4.0, 1.0, False), ("ben", None, "keep", 20.0, 10.0, False),
        ("dan", None, "keep", 5.0, 1.0, True), ("eve", None, "keep", 30.0, 10.0, True),
    )  # fmt: skip
    assert entries_of(table, AT).select("customer_id", "arm").rows() == [("ann", "treated"), ("dan", "held_out")]


def test_a_team_that_takes_one_action_only_lists_nobody_for_another_in_either_arm():
    table = priced(
        ("ann", "keep", "keep", 4.0, 7.0, False), ("ben", None, "win back", 20.0, 7.0, False),
        ("dan", None, "keep", 5.0, 7.0, True), ("eve", None, "win back", 30.0, 7.0, True),
    )  # fmt: skip
    assert entries_of(table, AT).select("customer_id", "arm").rows() == [("ann", "treated"), ("dan", "held_out")]


def test_equal_profits_enter_by_id_in_both_arms():
    table = priced(
        ("bob", "keep", "keep", 4.0, 7.0, False), ("cid", None, "keep", 4.0, 7.0, False),
        ("ann", None, "keep", 4.0, 7.0, True), ("dan", None, "keep", 4.0, 7.0, True),
    )  # fmt: skip
    assert entries_of(table, AT).select("customer_id", "arm").rows() == [("ann", "held_out"), ("bob", "treated")]


def test_both_arms_of_a_plan_are_drawn_at_the_share_held_out_whatever_limits_it():
    rng, n = np.random.default_rng(3), 4_000
    names = [f"c{number:04}" for number in range(n)]
    at_risk, gone = rng.gamma(0.7, 60, n).round(), rng.random(n)
    stake = Stakes(1 - gone, np.full(n, 0.5), at_risk, 3 * at_risk * gone, np.zeros(n), np.zeros(n))
    own = EconomicsSettings(
        contact_cost=1, offer_cost=6, keep_success=0.15, keep_success_without_offer=0.05, win_back_success=0.05
    )
    teams = {"care": TeamSettings(60, ("keep",)), "desk": TeamSettings(5, ("win back",))}
    limits: list[dict[str, Any]] = [{"capacity": 300}, {"budget": 600.0}, {"teams": teams}, {}]
    for limit in limits:
        policy = PolicySettings(economics=own, holdout=HoldoutSettings(share=0.3), **limit)
        table = policy_table(names, stake, policy, as_of=AT)
        lacking = [pl.lit(None).cast(dtype).alias(name) for name, dtype in SCORES.items() if name not in table.columns]
        found = entries_of(table.with_columns(lacking).with_columns(customer_id=pl.Series(names)), AT)
        apart = found.filter(pl.col("arm") == "held_out")
        assert sample_ratio_p(found.height - apart.height, apart.height, 0.3) > 0.001, limit


def test_a_contact_without_an_offer_is_an_action_of_its_own_in_both_arms():
    table = priced(
        ("ann", "keep", "keep", 9.0, 7.0, False), ("ben", "keep", "keep", 5.0, 1.0, False),
        ("cid", "win back", "win back", 5.0, 7.0, False),
        ("dan", None, "keep", 9.5, 7.0, True), ("eve", None, "keep", 6.0, 1.0, True),
    ).with_columns(offer=pl.Series([True, False, True, None, None]))  # fmt: skip
    found = entries_of(table, AT).select("customer_id", "action").rows()
    assert found == [("ann", "keep"), ("ben", "contact"), ("cid", "win back"), ("dan", "keep"), ("eve", "contact")]
    assert all(any(action in names for names in ACTIONS.values()) for _, action in found)


def test_a_list_without_actions_records_nobody():
    with pytest.raises(NothingToRecord, match="plan no action"):
        entries_of(scores(("ann", None, 1.0, False, None)), AT)
