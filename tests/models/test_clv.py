"""Lifetime value: spend to expect in the horizon, never negative, scaled to what came true out of time."""

import numpy as np
import pandas as pd
import pytest
from company import with_columns, with_outcomes
from scipy.stats import spearmanr

from models.clv import ClvModel, fit_clv, prior_log_buyer_spend, prior_log_spend
from models.encoding import MissingFeatures
from models.panel import Panel
from models.settings import ClvSettings

SMALL = ClvSettings(trees=12, seeds=1)


def fit(panel: Panel, settings: ClvSettings = SMALL) -> ClvModel | None:
    return fit_clv(panel, settings, horizon_days=60, lead_days=0, threads=1)


def test_without_money_there_is_no_value_to_learn(train: Panel):
    assert fit(with_outcomes(train, horizon_spend=0.0)) is None


def test_the_same_rows_grow_the_same_trees(train: Panel, clv: ClvModel):
    again = fit(train)
    assert again is not None
    for part in ("tweedie", "buys", "spends"):
        assert getattr(again, part).to_text() == getattr(clv, part).to_text()
    assert again.scale == clv.scale


def test_expected_spend_is_positive_and_near_the_total_that_came(clv: ClvModel, evaluated: Panel):
    expected = clv.expected_spend(evaluated.table)
    assert (expected > 0).all()
    assert expected.sum() == pytest.approx(evaluated.spend.sum(), rel=0.25)
    assert spearmanr(expected, evaluated.spend).statistic > 0.2


def test_the_answer_is_the_scaled_geometric_mean_of_two_models(clv: ClvModel, to_score: pd.DataFrame):
    said = clv.candidates(to_score)
    assert said["chosen"] == pytest.approx(clv.scale * np.sqrt(said["tweedie"] * said["hurdle"]))
    assert clv.expected_spend(to_score).tolist() == said["chosen"].tolist()


def test_shorter_training_horizons_build_on_the_priors_spend_at_the_rows_own_horizon(short_panel: Panel):
    model = fit(short_panel.of_role("train"))
    assert model is not None
    assert model.prior == "init_score"
    rows = short_panel.of_role("evaluate").table
    rows = rows[rows["pareto_expected_spend"] > 0.01]  # below, the logarithm is cut off
    twice = rows.assign(pareto_expected_spend=2 * rows["pareto_expected_spend"])
    assert model.candidates(twice)["tweedie"] == pytest.approx(2 * model.candidates(rows)["tweedie"])


def test_who_never_bought_gets_a_finite_value_even_after_short_horizons(short_panel: Panel):
    train = short_panel.of_role("train")
    never = np.arange(len(train)) % 5 == 0
    prior = {name: train.table[name].where(~never) for name in train.table.columns if name.startswith(("pareto", "bg"))}
    model = fit(with_columns(train, **prior))
    assert model is not None
    assert np.isfinite(model.expected_spend(with_columns(train, **prior).table)).all()


def test_a_single_buyer_is_enough_to_answer(train: Panel):
    model = fit(with_outcomes(train, horizon_spend=(np.arange(len(train)) == 5) * 9.0))
    assert model is not None
    assert np.isfinite(model.expected_spend(train.table)).all()


def test_a_missing_column_is_named(clv: ClvModel, to_score: pd.DataFrame):
    with pytest.raises(MissingFeatures, match="mean_spend"):
        clv.expected_spend(to_score.drop(columns=["mean_spend"]))


def test_a_buyers_spend_is_the_expected_spend_over_the_chance_of_buying():
    row = pd.DataFrame({"pareto_expected_spend": [30.0, 0.0], "pareto_p_any": [0.5, 0.0]})
    assert np.exp(prior_log_spend(row)) == pytest.approx([30, 0.01])
    assert np.exp(prior_log_buyer_spend(row))[0] == pytest.approx(60)
    assert np.isfinite(prior_log_buyer_spend(row)).all()
