"""Loyalty: who comes back and means it, who only comes back, and who has expressed nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedelta.models.loyalty.evidence import attitude_adds, spurious_of_value, what_they_did
from fedelta.models.loyalty.model import LoyaltyModel, credibility_of, fit_loyalty, patronage_of
from fedelta.models.loyalty.settings import BadLoyaltySettings, LoyaltySettings
from fedelta.models.loyalty.storage import load_loyalty, save_loyalty
from fedelta.models.metrics.bootstrap import Resampling
from fedelta.models.panel import Panel

QUIET = {
    "rated_count": 0, "mean_rating": np.nan, "referral_count": 0, "contact_count_365d": 0,
    "unresolved_rate_365d": np.nan, "response_count_90d": 0,
}  # fmt: skip
BEHAVIOUR = {
    "days_since_last_purchase": 30.0, "days_since_first_purchase": 300.0, "purchase_day_count": 5,
    "purchase_count_90d": 1, "purchase_count_365d": 4, "spend_365d": 100.0, "mean_spend": 25.0,
    "purchase_overdue_ratio": 1.0, "visit_count_90d": 2, "interaction_count_90d": 5, "pareto_expected_spend": 50.0,
    "pareto_p_any": 0.5, "bg_p_any": 0.5,
}  # fmt: skip
BASE = LoyaltyModel(
    {"ratings": 1.0, "referrals": 2.0, "contacts": 0.5, "responses": 0.25},
    least_signals=1.0,
    base=0.5,
    credibility=1.0,
    patronage_steps=tuple(np.linspace(0, 2, 201)),  # median 1
    attitude_steps=tuple(np.linspace(0, 1, 201)),  # median 0.5
)
FAST = Resampling(50)


def table(*customers: dict[str, Any]) -> pd.DataFrame:
    """Customers who expressed nothing and are expected to buy once in 90 days, but for what is given."""
    usual = {"horizon_days": 90, "pareto_expected_orders": 1.0, **QUIET, **BEHAVIOUR}
    rows = [{"customer_id": f"c{number}", **usual, **customer} for number, customer in enumerate(customers)]
    return pd.DataFrame(rows).astype({"mean_rating": float, "unresolved_rate_365d": float})


def rated(rating: float, times: int = 4, orders: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"rated_count": times, "mean_rating": rating, "pareto_expected_orders": orders, **more}


def panel(rows: pd.DataFrame, left: Any, spend: float = 10.0) -> Panel:
    bought = 1.0 - np.asarray(left, float)
    outcomes = {"horizon_purchase_count": bought, "horizon_spend": bought * spend, "horizon_cancellation_count": 0.0}
    return Panel(rows, pd.DataFrame(outcomes, index=rows.index))


def base_of(customers: int, effect: float, seed: int) -> Panel:
    """Customers who rate as they feel, and leave the more, the worse they feel, by the effect."""
    chance = np.random.default_rng(seed)
    feel = chance.beta(4, 2, customers)
    times = chance.integers(1, 9, customers)
    orders = chance.gamma(1, 1, customers)
    rows = table(
        *(rated(chance.binomial(4 * n, f) / (4 * n), n, o) for f, n, o in zip(feel, times, orders, strict=True))
    )
    odds = -1.5 * (orders - 1) - effect * (feel - feel.mean())
    return panel(rows, chance.random(customers) < 1 / (1 + np.exp(-odds)))


def test_the_four_classes_are_patronage_by_attitude():
    customers = table(rated(0.9, orders=1.5), rated(0.9, orders=0.5), rated(0.2, orders=1.5), rated(0.2, orders=0.5))
    classes, _ = BASE.classify(customers)
    assert classes.tolist() == ["loyal", "latent", "spurious", "none"]


def test_patronage_is_expected_purchases_in_90_days_whatever_the_horizon_and_none_for_who_never_bought():
    rows = table({"horizon_days": 180, "pareto_expected_orders": 3.0}, {"pareto_expected_orders": np.nan})
    assert patronage_of(rows).tolist() == [1.5, 0]


def test_one_word_moves_attitude_less_than_many():
    # Base 0.5 counts as one rating: (0.5 + 1) / 2, (0.5 + 3) / 4, (0.5 + 9) / 10.
    assert BASE.attitude(table(rated(1, 1), rated(1, 3), rated(1, 9))).tolist() == [0.75, 0.875, 0.95]


def test_every_sign_counts_by_its_weight():
    one_of_each = rated(0.5, 2, referral_count=1, contact_count_365d=4, unresolved_rate_365d=0.25, response_count_90d=4)
    # 2 ratings of 0.5; a referral worth 2; 4 contacts worth 0.5, 3 of them settled; 4 answers worth 0.25; the base.
    expected = (2 * 0.5 + 2 + 2 * 0.75 + 1 + 0.5) / (2 + 2 + 2 + 1 + 1)
    assert BASE.attitude(table(one_of_each)) == pytest.approx([expected])


def test_who_expressed_nothing_or_little_has_neither_class_nor_score():
    classes, score = BASE.classify(table({"pareto_expected_orders": 9.0}, {"response_count_90d": 3}))
    assert classes.tolist() == [None, None]
    assert np.isnan(score).all()
    assert BASE.classify(table({"response_count_90d": 4}))[0].tolist() == ["loyal"]


def test_a_customers_class_does_not_depend_on_who_else_is_scored():
    alone = BASE.classify(table(rated(0.8)))
    among = BASE.classify(table(rated(0.8), *[rated(1.0, orders=5.0)] * 20))
    assert (alone[0][0], alone[1][0]) == (among[0][0], among[1][0])


@given(st.floats(0, 1), st.integers(1, 50), st.floats(0, 5))
def test_the_loyal_have_50_or_more_and_who_is_not_loyal_in_either_way_less(rating: float, times: int, orders: float):
    classes, score = BASE.classify(table(rated(rating, times, orders)))
    assert 0 <= score[0] <= 100
    if classes[0] in ("loyal", "none"):
        assert (score[0] >= 50) == (classes[0] == "loyal")


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 50), st.floats(0, 5))
def test_a_better_word_never_lowers_the_score(one: float, other: float, times: int, orders: float):
    low, high = sorted((one, other))
    score = BASE.classify(table(rated(low, times, orders), rated(high, times, orders)))[1]
    assert score[0] <= score[1]


def test_half_of_the_base_that_spoke_is_fond_and_half_of_all_comes_often():
    learned = base_of(600, effect=0, seed=1)
    classes, _ = fit_loyalty(learned, LoyaltySettings()).classify(learned.table)
    assert 0.45 < np.mean(np.isin(classes, ["loyal", "latent"])) < 0.6
    assert 0.45 < np.mean(np.isin(classes, ["loyal", "spurious"])) < 0.55


def test_how_much_a_word_counts_is_learned_from_how_far_customers_contradict_themselves():
    chance = np.random.default_rng(3)
    count = chance.integers(1, 20, 20_000).astype(float)
    mean = chance.normal(0.7, 0.1, count.size) + chance.normal(0, 0.2, count.size) / np.sqrt(count)
    assert credibility_of(mean, count, 0.7) == pytest.approx(0.2**2 / 0.1**2, rel=0.15)


def test_where_customers_differ_by_chance_alone_their_words_hardly_count():
    chance = np.random.default_rng(4)
    count = chance.integers(1, 20, 20_000).astype(float)
    mean = 0.7 + chance.normal(0, 0.2, count.size) / np.sqrt(count)
    assert credibility_of(mean, count, 0.7) >= 20


def test_purchases_alone_give_no_class_and_the_reason():
    model = fit_loyalty(panel(table(*[{}] * 300), np.zeros(300)), LoyaltySettings())
    classes, score = model.classify(table({}, rated(1.0)))
    assert set(classes) == {None}
    assert np.isnan(score).all()
    assert model.reason is not None
    assert model.reason.startswith("Attitude is unknown: 0 of 300 training rows")


def test_contacts_whose_outcome_nobody_noted_are_no_sign_of_content():
    contacted = {"contact_count_365d": 2, "unresolved_rate_365d": 0.0}
    rows = table(*[contacted] * 100, *[rated(0.5)] * 100)
    assert "contacts" not in fit_loyalty(panel(rows, np.zeros(200)), LoyaltySettings()).weights
    noted = table(*[contacted] * 100, *[rated(0.5, **{**contacted, "unresolved_rate_365d": 0.5})] * 100)
    assert "contacts" in fit_loyalty(panel(noted, np.zeros(200)), LoyaltySettings()).weights


def test_what_is_saved_classifies_the_same(tmp_path: Path):
    learned = base_of(200, effect=0, seed=2)
    model = fit_loyalty(learned, LoyaltySettings())
    save_loyalty(model, tmp_path, {})
    assert load_loyalty(tmp_path) == model


def test_a_class_is_judged_by_what_its_customers_did():
    rows = table(rated(0.9, orders=1.5), rated(0.9, orders=1.5), rated(0.1, orders=0.1), {})
    reported = what_they_did(panel(rows, [0, 1, 1, 0]), BASE, "inactivity", FAST, referred=np.array([1.0, 0, 0, 0]))
    by_class = {row["class"]: row for row in reported}
    assert list(by_class) == ["loyal", "latent", "spurious", "none", "silent"]
    loyal: dict[str, Any] = by_class["loyal"]
    assert [loyal[what]["value"] for what in ("bought", "spend", "left", "referred")] == [0.5, 5, 0.5, 0.5]
    assert loyal["bought"]["low"] < 0.5 < loyal["bought"]["high"]
    assert (by_class["none"]["customers"], by_class["silent"]["customers"]) == (1, 1)
    assert by_class["latent"]["customers"] == 0
    assert by_class["latent"]["bought"] is None


def test_attitude_that_drives_leaving_is_found_to_add_to_behaviour():
    found = attitude_adds(base_of(1500, 8, seed=5), base_of(1500, 8, seed=6), BASE, "inactivity", FAST)
    assert found.difference.high < 0
    assert found.verdict.startswith("Attitude adds to behaviour")


def test_attitude_without_effect_is_not_claimed_to_add():
    found = attitude_adds(base_of(1500, 0, seed=7), base_of(1500, 0, seed=8), BASE, "inactivity", FAST)
    assert found.difference.high > 0
    assert "Attitude adds" not in found.verdict


def test_too_few_who_spoke_are_not_compared():
    found = attitude_adds(base_of(30, 8, seed=1), base_of(30, 8, seed=2), BASE, "inactivity", FAST)
    assert found.verdict.startswith("Too few customers spoke")
    assert found.as_dict()["behaviour"] is None


def test_spurious_loyals_of_value_are_listed_dearest_first_with_what_would_lift_them():
    unsettled = {"contact_count_365d": 8, "unresolved_rate_365d": 1.0}
    rows = table(
        rated(0.2, orders=2, pareto_expected_spend=100.0),
        rated(0.6, orders=2, pareto_expected_spend=300.0, **unsettled),
        rated(0.2, orders=2, pareto_expected_spend=10.0),  # of little value
        rated(0.9, orders=2, pareto_expected_spend=900.0),  # loyal
    )
    listed = spurious_of_value(rows, BASE, least_spend=50)
    assert [one.customer_id for one in listed] == ["c1", "c0"]
    assert listed[0].advice == (
        "settle the contact that was left open: with only good answers attitude would be 0.77, not 0.32"
    )
    assert listed[1].advice.startswith("answer what was rated low and put it right")
    assert listed[0].expected_spend == 300


@pytest.mark.parametrize("wrong", [{"weights": {"stars": 1.0}}, {"weights": {"ratings": -1.0}}, {"least_signals": 0.0}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]):
    with pytest.raises(BadLoyaltySettings, match=r"^loyalty.*\.$"):
        LoyaltySettings(**wrong)
