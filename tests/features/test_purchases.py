"""Purchases by hand: money to the ten-thousandth, days with a purchase, what came back."""

from decimal import Decimal

import pytest
from histories import NOW, SETTINGS, event, interactions, known
from hypothesis import given
from hypothesis import strategies as st

from fedelta.features.kernel import features_at


def test_money_is_summed_to_the_ten_thousandth():
    row = known(*[event(days, amount="0.1001") for days in range(1, 11)])
    assert (row["spend"], row["max_spend"], row["last_spend"]) == (1.001, 0.1001, 0.1001)


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=20))
def test_the_money_spent_is_the_exact_sum_of_the_amounts(ten_thousandths: list[int]):
    amounts = [Decimal(n) / 10_000 for n in ten_thousandths]
    assert known(*[event(1, amount=amount) for amount in amounts])["spend"] == float(sum(amounts))


def test_a_fortune_beside_small_change_in_one_bucket_stays_exact():
    rich = [event(n + 1, amount="99999999999999.9999", customer_id=f"rich{n:02}") for n in range(30)]
    poor = event(3, amount="0.0001", customer_id="zoe")
    table = features_at(interactions(*rich, poor), [NOW], SETTINGS)[0]
    assert dict(table.select("customer_id", "spend").rows())["zoe"] == 0.0001
    assert set(table["spend"].to_list()) == {99999999999999.9999, 0.0001}


def test_orders_of_one_day_are_one_purchase_day_and_the_day_ends_at_midnight():
    row = known(event(5.9), event(5.1), event(5.0), event(4.999))
    assert (row["purchase_count"], row["purchase_day_count"]) == (4, 2)
    assert row["purchase_day_share"] == 0.5


def test_mean_spend_is_per_day_with_a_purchase():
    assert known(event(5.9, amount=10), event(5.1, amount=20), event(2, amount=6))["mean_spend"] == 18


def test_of_purchases_at_the_same_instant_the_one_with_the_later_id_is_the_last():
    first, second = event(3, amount=1, interaction_id="a"), event(3, amount=2, interaction_id="b")
    assert known(first, second)["last_spend"] == known(second, first)["last_spend"] == 2


def test_a_purchase_without_an_amount_counts_and_costs_nothing():
    row = known(event(3), event(9, amount=8))
    assert (row["purchase_count"], row["spend"], row["last_spend"], row["last_spend_ratio"]) == (2, 8, 0, 0)


def test_steady_spending_has_a_trend_of_one():
    row = known(*[event(days, amount=7) for days in range(1, 366)])
    assert row["spend_trend"] == pytest.approx(1)
    assert row["purchase_trend"] == pytest.approx(1)


def test_what_came_back_is_counted_apart_from_what_was_bought():
    row = known(event(9, amount=50), event(8, amount=50), event(5, "return", amount=20))
    assert (row["spend"], row["return_count"], row["returned_value_365d"], row["return_rate_365d"]) == (100, 1, 20, 0.5)


def test_the_last_purchase_is_measured_against_the_mean_one():
    assert known(event(9, amount=10), event(5, amount=10), event(1, amount=40))["last_spend_ratio"] == 2
