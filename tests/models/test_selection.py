"""The choice of a candidate: tested where it could not know, the simplest within chance of the best."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import expit, logit

from models.bootstrap import Resampling
from models.metrics import log_loss
from models.panel import Panel, horizon_end
from models.selection import Standing, choose, customer_groups, folds

FEW = Resampling(40)


def outcomes(seed: int, customers: int = 2_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True chances, outcomes drawn from them, and whose they are."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.05, 0.95, customers)
    return truth, (rng.random(customers) < truth).astype(float), np.arange(customers).astype(str)


def test_of_two_that_say_the_same_the_simpler_is_chosen():
    truth, churned, customer = outcomes(1)
    chosen, standings = choose(churned, {"mean": truth, "logistic": truth, "trees": truth}, customer, FEW)
    assert chosen == "logistic"
    assert [standing.candidate for standing in standings] == ["logistic", "trees", "mean"]


def test_a_simple_candidate_that_is_surely_worse_is_passed_over():
    truth, churned, customer = outcomes(2)
    chosen, (worse, better) = choose(churned, {"pareto_nbd": np.full(len(truth), 0.5), "trees": truth}, customer, FEW)
    assert chosen == "trees"
    assert worse.log_loss_difference.low > 0
    assert better.verdict == "chosen: the best"
    assert worse.verdict == "log loss surely higher than that of trees"


def test_a_right_level_does_not_excuse_a_worse_order():
    truth, churned, customer = outcomes(3)
    blurred = np.where(np.arange(truth.size) % 5 == 0, churned.mean(), truth)  # a fifth of them at the average

    def loss(boldness: float) -> float:
        return log_loss(churned, expit(boldness * logit(truth)))

    boldness = brentq(lambda k: loss(k) - log_loss(churned, blurred), 1.0, 5.0)  # in order, but as wrong in level
    bold = expit((boldness - 0.01) * logit(truth))
    chosen, (simple, _) = choose(churned, {"pareto_nbd": blurred, "trees": bold}, customer, FEW)
    assert chosen == "trees"
    assert simple.log_loss_difference.low <= 0
    assert simple.verdict == "ranks surely worse than trees"


def test_a_difference_within_chance_leaves_the_simple_candidate_in_place():
    truth, churned, customer = outcomes(4, 60)
    nearly = np.clip(truth + np.random.default_rng(0).normal(0, 0.01, 60), 0.01, 0.99)
    assert choose(churned, {"logistic": nearly, "deep": truth}, customer, FEW)[0] == "logistic"


def test_a_sure_difference_that_nobody_feels_leaves_the_simple_candidate_in_place():
    truth, churned, customer = outcomes(6, 20_000)
    nearly = expit(0.9 * logit(truth))
    chosen, (simple, _) = choose(churned, {"logistic": nearly, "deep": truth}, customer, FEW)
    assert 0 < simple.log_loss_difference.low < simple.log_loss_difference.value < 0.002
    assert chosen == "logistic"


def test_a_standing_comes_back_from_json():
    truth, churned, customer = outcomes(5, 100)
    _, standings = choose(churned, {"logistic": truth, "deep": truth}, customer, FEW)
    assert [Standing.from_dict(standing.to_dict()) for standing in standings] == standings


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
