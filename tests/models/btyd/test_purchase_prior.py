"""What buy-till-you-die models say of every row: counted in whole days, at the row's own horizon, after its lead."""

import json
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from company import BEGIN, PRIOR, interactions, panel_of
from hypothesis import given, settings
from hypothesis import strategies as st

from fedelta.features.cutoffs import Cutoff
from fedelta.models.btyd.purchase_prior import READS, PurchasePrior, fit_prior, purchase_summary
from fedelta.models.panel import PRIOR_FEATURES


def row(**changes: float) -> pd.DataFrame:
    """A customer of five purchase days in 100, the last one ten days ago."""
    usual = {
        "purchase_day_count": 5,
        "days_since_first_purchase": 99.5,
        "days_since_last_purchase": 9.5,
        "spend": 100.0,
        "horizon_days": 60,
        "lead_days": 0,
    }
    return pd.DataFrame({name: [value] for name, value in {**usual, **changes}.items()})


@pytest.fixture(scope="module")
def at_one_cutoff() -> pd.DataFrame:
    cutoff = Cutoff(BEGIN + timedelta(days=300), 60, 0, "train")
    return panel_of(interactions(300), [cutoff]).table[["customer_id", *READS]]


@pytest.fixture(scope="module")
def fitted(at_one_cutoff: pd.DataFrame) -> PurchasePrior:
    return fit_prior(at_one_cutoff)


def test_frequency_recency_and_age_are_whole_days_as_fader_and_hardie_count_them():
    summary = purchase_summary(row())
    assert (summary.frequency[0], summary.recency[0], summary.age[0]) == (4, 90, 99)


@given(st.integers(0, 400), st.integers(1, 400), st.floats(0.0001, 1), st.floats(0.0001, 1))
@settings(max_examples=100, derandomize=True)
def test_the_hour_of_a_purchase_changes_nothing(last: int, span: int, morning: float, evening: float):
    bought = row(days_since_first_purchase=last + span + morning, days_since_last_purchase=last + evening)
    summary = purchase_summary(bought.assign(purchase_day_count=2))
    assert (summary.recency[0], summary.age[0]) == (span, last + span)


def test_one_purchase_is_no_repeat():
    summary = purchase_summary(row(purchase_day_count=1, days_since_first_purchase=9.5))
    assert (summary.frequency[0], summary.recency[0], summary.age[0]) == (0, 0, 9)


def test_who_never_bought_is_left_unknown_in_its_place():
    table = pd.concat([row(), row(purchase_day_count=0, days_since_first_purchase=np.nan), row()])
    table.index = pd.Index([7, 3, 5])
    columns = PRIOR.columns(table)
    assert columns.index.tolist() == [7, 3, 5]
    assert columns.loc[3].isna().all()
    assert columns.loc[[7, 5]].notna().all(axis=None)
    assert set(PRIOR_FEATURES) <= set(columns.columns)


def test_every_chance_is_one_and_longer_horizons_expect_more():
    short, long = (PRIOR.columns(row(horizon_days=days)).iloc[0] for days in (30, 90))
    for name in ("pareto", "bg"):
        assert 0 < short[f"{name}_p_any"] < long[f"{name}_p_any"] < short[f"{name}_p_alive"] <= 1
        assert 0 < short[f"{name}_expected_orders"] < long[f"{name}_expected_orders"]
        assert short[f"{name}_p_alive"] == long[f"{name}_p_alive"]


def test_a_lead_time_is_left_out_of_what_is_expected():
    whole, lead, after = (
        PRIOR.columns(row(horizon_days=days, lead_days=lead)).iloc[0] for days, lead in ((67, 0), (7, 0), (60, 7))
    )
    for name in ("pareto", "bg"):
        orders = f"{name}_expected_orders"
        assert after[orders] == pytest.approx(whole[orders] - lead[orders])
        assert after[f"{name}_p_any"] < PRIOR.columns(row())[f"{name}_p_any"].iloc[0]


def test_expected_spend_is_expected_orders_at_the_expected_value_of_one():
    columns = PRIOR.columns(row()).iloc[0]
    assert PRIOR.spend is not None
    value = PRIOR.spend.expected_spend(np.array([5.0]), np.array([20.0]))[0]
    assert columns["pareto_expected_spend"] == pytest.approx(columns["pareto_expected_orders"] * value)


def test_a_longer_silence_makes_every_answer_smaller():
    fresh, silent = (PRIOR.columns(row(days_since_last_purchase=days)).iloc[0] for days in (1.0, 90.0))
    assert (silent < fresh).all()


def test_without_money_no_spend_is_expected(at_one_cutoff: pd.DataFrame):
    few = at_one_cutoff.head(40).assign(spend=0.0)
    prior = fit_prior(few)
    assert prior.spend is None
    assert (prior.columns(few)["pareto_expected_spend"].dropna() == 0).all()


def test_a_fit_predicts_about_as_many_purchases_as_will_come(fitted: PurchasePrior, at_one_cutoff: pd.DataFrame):
    came = panel_of(interactions(300), [Cutoff(BEGIN + timedelta(days=300), 60, 0, "train")]).outcomes
    for name in ("pareto", "bg"):
        expected = fitted.columns(at_one_cutoff)[f"{name}_expected_orders"].sum()
        assert expected == pytest.approx(came["horizon_purchase_day_count"].sum(), rel=0.2)


def test_a_fit_comes_back_from_json_and_says_the_same(fitted: PurchasePrior, at_one_cutoff: pd.DataFrame):
    again = PurchasePrior.from_dict(json.loads(json.dumps(fitted.to_dict(), allow_nan=False)))
    pd.testing.assert_frame_equal(again.columns(at_one_cutoff), fitted.columns(at_one_cutoff), check_exact=True)
