"""Tiers and money: what a probability means for whom to look at first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.policy import BadPolicy, PolicySettings, risk_tier, value_at_risk

USUAL = PolicySettings()


def test_a_tier_begins_at_its_probability():
    probability = np.array([0.0, 0.29, 0.3, 0.59, 0.6, 0.79, 0.8, 1.0])
    expected = ["low", "low", "medium", "medium", "high", "high", "critical", "critical"]
    assert risk_tier(probability, USUAL).tolist() == expected


@given(st.lists(st.floats(0, 1), min_size=2))
def test_a_higher_risk_is_never_in_a_lower_tier(probability: list[float]):
    order = ["low", *USUAL.tiers]
    tiers = [order.index(tier) for tier in risk_tier(np.sort(probability), USUAL).tolist()]
    assert tiers == sorted(tiers)


def test_a_company_may_name_its_own_tiers():
    assert risk_tier(np.array([0.1, 0.5]), PolicySettings(tiers={"alarm": 0.5})).tolist() == ["low", "alarm"]
    assert risk_tier(np.array([0.9]), PolicySettings(tiers={})).tolist() == ["low"]


@pytest.mark.parametrize("tiers", [{"a": 0.5, "b": 0.4}, {"a": 0.5, "b": 0.5}, {"a": 0.0}, {"a": 1.0}, {"a": -1.0}])
def test_tiers_that_do_not_ascend_within_the_probabilities_are_refused(tiers: dict[str, float]):
    with pytest.raises(BadPolicy, match=r"^policy\.tiers is \{.*\}; the probabilities must ascend between 0 and 1\.$"):
        PolicySettings(tiers=tiers)


def test_value_at_risk_is_the_chance_of_leaving_times_the_margin_on_expected_spend():
    risk, spend = np.array([0.5, 0.0]), np.array([200.0, 1000.0])
    assert value_at_risk(risk, spend, PolicySettings(margin=0.3)).tolist() == [30, 0]
