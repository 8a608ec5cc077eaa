"""The weights of candidates: tested where they could not know, by how often each is the best."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import expit, logit

from fedelta.models.churn.selection import ChurnResult, weigh
from fedelta.models.learning.competition import customer_groups, folds, folds_to_weigh
from fedelta.models.metrics.bootstrap import Resampling, replicate
from fedelta.models.metrics.metrics import CHURN_METRICS, log_loss
from fedelta.models.panel import Panel, horizon_end

FEW = Resampling(40)


def outcomes(seed: int, customers: int = 2_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True chances, outcomes drawn from them, and whose they are."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.05, 0.95, customers)
    return truth, (rng.random(customers) < truth).astype(float), np.arange(customers).astype(str)


def test_of_equals_the_simplest_has_the_weight():
    truth, churned, customer = outcomes(1)
    weights, results = weigh(churned, {"lightgbm_large": truth, "logistic": truth, "lightgbm": truth}, customer, FEW)
    assert weights == {"logistic": 1.0}
    assert [(result.candidate, result.weight) for result in results] == [
        ("logistic", 1.0), ("lightgbm", 0.0), ("lightgbm_large", 0.0)
    ]  # fmt: skip


def test_with_few_customers_the_weight_is_the_share_of_resamples_in_which_the_log_loss_is_the_lowest():
    truth, churned, customer = outcomes(4, 60)
    other = np.clip(truth + np.random.default_rng(0).normal(0, 0.1, 60), 0.01, 0.99)
    forecasts: dict[str, np.ndarray] = {
        "logistic": other, "lightgbm": truth, "constant": np.full(60, churned.mean())
    }  # fmt: skip
    weights, results = weigh(churned, forecasts, customer, FEW)
    drawn = replicate(churned, dict(forecasts), {"it": CHURN_METRICS["log_loss"]}, customer=customer, resampling=FEW)
    losses = {name: figures["it"][1:] for name, figures in drawn.figures.items()}
    share = float(np.mean(losses["logistic"] < np.minimum(losses["lightgbm"], losses["constant"])))
    assert 0.05 < share < 0.95
    assert weights == {"logistic": pytest.approx(share), "lightgbm": pytest.approx(1 - share)}
    assert [result.verdict for result in results] == [
        "no weight: log loss significantly higher than that of logistic",
        f"weight {share:.0%}: lowest log loss in {share:.0%} of the resamples",
        f"weight {1 - share:.0%}: lowest log loss in {1 - share:.0%} of the resamples",
    ]
    assert weigh(churned, dict(reversed(forecasts.items())), customer, FEW)[0] == weights


def test_a_candidate_that_is_significantly_worse_has_no_weight():
    truth, churned, customer = outcomes(2)
    forecasts = {"pareto_nbd": np.full(len(truth), 0.5), "lightgbm": truth}
    weights, (worse, better) = weigh(churned, forecasts, customer, FEW)
    assert weights == {"lightgbm": 1.0}
    assert worse.log_loss_difference.low > 0
    assert better.verdict == "chosen: lowest log loss in 100% of the resamples"
    assert worse.verdict == "no weight: log loss significantly higher than that of lightgbm"


def test_a_right_level_does_not_excuse_a_worse_order():
    truth, churned, customer = outcomes(3)
    blurred = np.where(np.arange(truth.size) % 5 == 0, churned.mean(), truth)  # a fifth of them at the average

    def loss(boldness: float) -> float:
        return log_loss(churned, expit(boldness * logit(truth)))

    boldness = brentq(lambda k: loss(k) - log_loss(churned, blurred), 1.0, 5.0)  # in order, but as wrong in level
    for slip in (-0.01, 0.01):  # the log loss of one or the other is the lowest
        bold = expit((boldness + slip) * logit(truth))
        weights, (simple, _) = weigh(churned, {"pareto_nbd": blurred, "lightgbm": bold}, customer, FEW)
        assert weights == {"lightgbm": 1.0}
        assert simple.log_loss_difference.low <= 0
        assert simple.verdict == (
            "no weight: ranks significantly worse than lightgbm, whose log loss is not significantly higher"
        )


def test_a_share_below_a_twentieth_counts_as_none():
    rng = np.random.default_rng(0)
    truth, churned, customer = outcomes(9, 300)
    every: tuple[str, ...] = ("constant", "tenure", "hiatus", "logistic", "lightgbm", "lightgbm_large")
    forecasts = {name: np.clip(truth + rng.normal(0, 0.08, 300), 0.01, 0.99) for name in every}
    weights, results = weigh(churned, forecasts, customer, Resampling(60))
    assert len(weights) < len(every)
    assert min(weights.values()) >= 0.05
    assert sum(weights.values()) == pytest.approx(1, abs=1e-5)
    assert {s.candidate: s.weight for s in results if s.weight} == weights


def test_a_result_comes_back_from_json():
    truth, churned, customer = outcomes(5, 100)
    _, results = weigh(churned, {"logistic": truth, "lightgbm_large": truth}, customer, FEW)
    assert [ChurnResult.from_dict(result.to_dict()) for result in results] == results


def test_no_fold_knows_the_outcome_or_the_customer_it_is_tested_on(train: Panel):
    tested = folds(train, 60)
    assert {fold.how for fold in tested} == {"out of time"}
    for fold in tested:
        (cutoff,) = fold.present.cutoffs
        assert (horizon_end(fold.past.table) <= cutoff).all()
        assert not set(fold.past.table["customer_id"]) & set(fold.present.table["customer_id"])


def test_where_a_season_sets_the_level_all_other_cutoffs_teach(train: Panel):
    tested = folds(train, 60, seasonal=True)
    assert {fold.how for fold in tested} == {"other seasons"}
    for fold in tested:
        (cutoff,) = fold.present.cutoffs
        assert set(fold.past.cutoffs) == set(train.cutoffs) - {cutoff}
        assert not set(fold.past.table["customer_id"]) & set(fold.present.table["customer_id"])


def test_every_row_of_the_cutoffs_held_out_is_tested_once(train: Panel):
    tested = pd.concat([fold.present.table for fold in folds(train, 60)])
    expected = train.table[train.table["cutoff"] > train.cutoffs[0]]
    assert sorted(tested.index) == sorted(expected.index)


def test_where_horizons_overlap_earlier_cutoffs_of_other_customers_teach(train: Panel):
    later = train.table["cutoff"].where(
        train.table["cutoff"] < train.cutoffs[2], train.cutoffs[1] + pd.Timedelta(days=9)
    )
    near = Panel(train.table.assign(cutoff=later), train.outcomes)
    near = near.where(near.table["cutoff"] > near.cutoffs[0])  # two cutoffs nine days apart, horizons of sixty
    tested = folds(near, 60)
    assert {fold.how for fold in tested} == {"earlier"}
    for fold in tested:
        assert max(fold.past.cutoffs) < min(fold.present.cutoffs)
        assert not set(fold.past.table["customer_id"]) & set(fold.present.table["customer_id"])


def test_where_one_cutoff_can_be_held_out_other_customers_at_every_cutoff_are_tested_too(train: Panel):
    two = train.where(train.table["cutoff"].isin(train.cutoffs[-2:]))
    tested = folds_to_weigh(two, 60)
    assert {fold.how for fold in tested} == {"one cutoff ahead"}
    ahead, beside = tested[:3], tested[3:]
    assert [fold.past.cutoffs for fold in ahead] == [two.cutoffs[:1]] * 3
    assert [fold.present.cutoffs for fold in ahead] == [two.cutoffs[1:]] * 3
    assert [fold.past.cutoffs for fold in beside] == [two.cutoffs] * 3
    assert sum(len(fold.present) for fold in beside) == len(two)
    for fold in tested:
        assert not set(fold.past.table["customer_id"]) & set(fold.present.table["customer_id"])


def test_where_several_cutoffs_can_be_held_out_nothing_is_added(train: Panel):
    assert [len(fold.present) for fold in folds_to_weigh(train, 60)] == [len(f.present) for f in folds(train, 60)]
    assert {fold.how for fold in folds_to_weigh(train, 60)} == {"out of time"}


@pytest.mark.parametrize("cutoffs", [1, 3])
def test_one_cutoff_or_only_short_horizons_are_tested_on_other_customers(train: Panel, cutoffs: int):
    rows = train.where(train.table["cutoff"].isin(train.cutoffs[:cutoffs]))
    tested = folds(rows, 60 if cutoffs == 1 else 180)
    assert {fold.how for fold in tested} == {"other customers"}
    assert len(tested) == 3
    for fold in tested:
        assert not set(fold.past.table["customer_id"]) & set(fold.present.table["customer_id"])


@given(st.lists(st.integers(0, 50), min_size=1, max_size=200))
def test_all_rows_of_a_customer_are_in_one_group(ids: list[int]):
    customer = pd.Series([f"c{i}" for i in ids])
    group = customer_groups(customer)
    assert (pd.Series(group).groupby(customer.to_numpy()).nunique() == 1).all()
    assert set(group) == set(range(min(3, customer.nunique())))
