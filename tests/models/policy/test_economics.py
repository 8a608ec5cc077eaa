"""Economics: what keeping costs, in the company's own numbers, and what stays unknown without them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedelta.models.policy.economics import break_even_chance, cost_of_keeping, economics
from fedelta.models.policy.settings import BadPolicy, EconomicsSettings, PolicySettings

OWN = EconomicsSettings(acquisition_cost=50, contact_cost=2, offer_cost=8, keep_success=0.25)
POLICY = PolicySettings(economics=OWN)
LEAVING, HERE, AT_RISK = np.array([0.5, 0.5, 0.1]), np.array([1.0, 0.6, 0.4]), np.array([100.0, 25.0, 5.0])


def test_a_contact_pays_when_the_chance_saved_exceeds_its_cost_over_what_is_at_risk():
    assert break_even_chance(np.array([100.0, 25.0, 5.0, 0.0]), 10).tolist() == [0.1, 0.4, 2.0, np.inf]


def test_keeping_one_of_forty_leavers_in_a_hundred_one_time_in_four_takes_ten_contacts():
    assert cost_of_keeping(10, 0.4, 0.25) == 100
    assert cost_of_keeping(10, 0.0, 0.25) is None


def test_the_figures_of_three_customers_are_those_on_paper():
    found = economics(LEAVING, HERE, AT_RISK, POLICY, 2 * AT_RISK)
    assert (found.customers, found.value_at_risk, found.cost_of_contact) == (3, 130, 10)
    assert (found.expected_leavers, found.expected_gone) == pytest.approx((1.1, 1.0))
    assert found.win_back_value == 260
    assert found.break_even_everyone == pytest.approx(30 / 130)
    assert found.break_even_best == 0.1
    assert (found.worth_contacting, found.expected_profit) == (1, 15)  # 100 × 0.25 − 10; 25 × 0.25 is less than 10
    assert found.keeping_worth_contacting == 80  # 10 / (0.5 × 0.25)
    assert found.keeping_over_winning == pytest.approx(80 / 50)  # here keeping is dearer than winning
    assert found.keeping_everyone == pytest.approx(10 / (1.1 / 3 * 0.25))
    assert found.keeping_everyone_over_winning == pytest.approx(10 / (1.1 / 3 * 0.25) / 50)
    assert list(found.unknown) == ["win_back_success"]


@pytest.mark.parametrize(
    ("missing", "lost"),
    [
        ("acquisition_cost", {"keeping_over_winning", "keeping_everyone_over_winning"}),
        ("keep_success", {"worth_contacting", "expected_profit", "keeping_everyone", "keeping_over_winning"}),
        ("offer_cost", {"cost_of_contact", "break_even_everyone", "break_even_best", "expected_profit"}),
        ("contact_cost", {"cost_of_contact", "break_even_everyone", "break_even_best", "expected_profit"}),
    ],
)
def test_a_cost_the_company_does_not_give_leaves_figures_unknown_and_says_so(missing: str, lost: set[str]):
    figures = {"acquisition_cost": 50.0, "contact_cost": 2.0, "offer_cost": 8.0, "keep_success": 0.25, missing: None}
    found = economics(LEAVING, HERE, AT_RISK, PolicySettings(economics=EconomicsSettings(**figures)))
    assert all(getattr(found, name) is None for name in lost)
    assert f"policy.economics.{missing} is not given" in found.unknown[missing]
    assert found.value_at_risk == 130


def test_a_source_without_amounts_still_has_a_cost_of_keeping():
    found = economics(LEAVING, HERE, None, POLICY)
    assert found.value_at_risk is found.break_even_best is found.expected_profit is None
    assert found.keeping_everyone == pytest.approx(10 / (1.1 / 3 * 0.25))
    assert "no amounts" in found.unknown["money"]


def test_where_no_contact_pays_the_profit_is_nothing_and_it_is_reported():
    found = economics(LEAVING, HERE, AT_RISK / 100, POLICY)
    assert (found.worth_contacting, found.expected_profit, found.keeping_over_winning) == (0, 0, None)
    assert "nobody is worth a contact" in found.unknown["worth_contacting"]


def test_an_empty_base_has_no_figures_and_no_mishap():
    found = economics(np.array([]), np.array([]), np.array([]), POLICY)
    assert (found.customers, found.value_at_risk, found.break_even_best) == (0, 0, None)
    assert found.unknown["customers"] == "Nobody was scored."


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1e6)), min_size=1, max_size=20))
def test_no_other_choice_of_customers_earns_more_than_those_worth_contacting(base: list[tuple[float, float]]):
    leaving, at_risk = np.array(base).T
    found = economics(leaving, np.ones(len(leaving)), at_risk, POLICY)
    profits = np.cumsum(np.sort(at_risk)[::-1] * 0.25 - 10)
    assert found.expected_profit == pytest.approx(max(0, profits.max()), abs=1e-6)


@pytest.mark.parametrize("figures", [{"contact_cost": -1.0}, {"offer_cost": float("nan")}, {"keep_success": 0.0}])
def test_a_cost_below_nothing_or_a_success_that_is_no_chance_is_refused(figures: dict[str, float]):
    with pytest.raises(BadPolicy, match=rf"^policy\.economics\.{next(iter(figures))} is .*; it must be .*\.$"):
        EconomicsSettings(**figures)
