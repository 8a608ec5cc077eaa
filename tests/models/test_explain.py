"""Why a score is what it is: parts that sum to it, in words."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from company import with_columns

from fedelta.features.registry import FEATURES
from fedelta.models.churn.candidates import contributions
from fedelta.models.churn.model import ChurnModel, fit_churn
from fedelta.models.churn.settings import ChurnSettings
from fedelta.models.explain import MOST_REASONS, _telling, reasons, says, theme_contributions, theme_of
from fedelta.models.panel import Panel
from fedelta.models.peers import Peers, fit_peers

THEMES = {feature.theme for feature in FEATURES}


@pytest.fixture(params=["features", "init_score"])
def model(request: pytest.FixtureRequest, churn: ChurnModel, building_churn: ChurnModel) -> ChurnModel:
    """A model of each way in which BTYD may enter."""
    chosen = {"features": churn, "init_score": building_churn}[request.param]
    assert chosen.prior == request.param
    return chosen


def test_the_themes_sum_exactly_to_the_log_odds(model: ChurnModel, to_score: pd.DataFrame):
    parts = theme_contributions(model, to_score)
    assert np.abs(parts.sum(axis=1).to_numpy() - model.log_odds(to_score)).max() < 1e-9


@pytest.mark.parametrize(
    "name", ["hiatus", "pareto_nbd", "logistic", "past_outcome_rate", "blend", "lightgbm_defaults"]
)
def test_the_themes_of_every_candidate_sum_to_its_log_odds(train: Panel, to_score: pd.DataFrame, name: str):
    settings = ChurnSettings(num_iterations=5, seeds=1, candidate=name)
    model = fit_churn(train, settings, horizon_days=60, lead_days=0, threads=1)
    parts = theme_contributions(model, to_score)
    assert np.abs(parts.sum(axis=1).to_numpy() - model.log_odds(to_score)).max() < 1e-9


def test_every_theme_is_one_of_the_dictionary_beside_the_base(model: ChurnModel, to_score: pd.DataFrame):
    assert set(theme_contributions(model, to_score)) <= THEMES | {"base"}


def test_reasons_are_the_weightiest_themes_first_with_their_share_of_the_score(
    model: ChurnModel, to_score: pd.DataFrame
):
    parts = theme_contributions(model, to_score).drop(columns="base")
    for row, chosen in enumerate(reasons(model, to_score)):
        weights = [abs(float(str(reason["contribution"]))) for reason in chosen]
        assert weights == sorted(weights, reverse=True)
        assert len({reason["theme"] for reason in chosen}) == len(chosen) <= MOST_REASONS
        for reason in chosen:
            assert reason["contribution"] == pytest.approx(parts[reason["theme"]].iloc[row], rel=1e-6, abs=1e-9)
        assert max(weights) == pytest.approx(parts.iloc[row].abs().max())


def test_a_fact_pulls_the_way_of_its_reason(model: ChurnModel, to_score: pd.DataFrame):
    parts = contributions(model.components, to_score)
    facts = 0
    for row, chosen in enumerate(reasons(model, to_score)):
        for reason in chosen:
            share, text = float(str(reason["contribution"])), str(reason["text"])
            named = [str(n) for n in parts if n != "base" and theme_of(str(n)) == reason["theme"]]
            pulls = [parts[name].iloc[row] * share for name in named if text.startswith(f"{says(name)}: ")]
            assert max(pulls) > 0 or share == 0, reason
            facts += 1
    assert facts > len(to_score)


def test_a_fact_that_is_as_usual_gives_way_to_one_nearly_as_weighty_that_is_not():
    table = pd.DataFrame({"a": [1.0], "b": [2.0], "c": [3.0]})
    usual = Peers(0, "all customers", {"a": 1.0, "b": 0.0, "c": 0.0})
    assert _telling({"a": 1.0, "b": 0.5, "c": 0.4}, table, 0, usual) == "b"
    assert _telling({"a": 1.0, "b": 0.4, "c": -0.9}, table, 0, usual) == "a"
    assert _telling({"a": 1.0, "b": 0.5, "c": 0.4}, table, 0, None) == "a"


def test_a_reason_is_put_in_words_with_its_figure(model: ChurnModel, to_score: pd.DataFrame):
    texts = {reason["text"] for facts in reasons(model, to_score) for reason in facts}
    assert all(isinstance(text, str) and (": " in text or text == "the rhythm of purchases") for text in texts)
    assert not any("_" in str(text) or "pareto" in str(text) or "nan" in str(text) for text in texts)


@pytest.mark.parametrize("name", ["hiatus", "bg_nbd", "lightgbm"])
def test_every_number_stands_beside_the_median_of_the_peers_whatever_the_candidate(
    train: Panel, to_score: pd.DataFrame, name: str
):
    settings = ChurnSettings(num_iterations=5, seeds=1, candidate=name)
    model = fit_churn(train, settings, horizon_days=60, lead_days=0, threads=1)
    model = replace(model, peers=fit_peers(train.table, model.encoding))
    texts = [str(reason["text"]) for chosen in reasons(model, to_score) for reason in chosen]
    assert all(re.fullmatch(r".+: [^ ]+ \(usual among (all )?customers.*: [^ ]+\)", text) for text in texts)


def test_a_silence_is_reported_beside_that_of_customers_who_bought_as_often(train: Panel, to_score: pd.DataFrame):
    settings = ChurnSettings(candidate="hiatus")
    model = fit_churn(train, settings, horizon_days=60, lead_days=0, threads=1)
    with_peers = replace(model, peers=fit_peers(train.table, model.encoding))
    known = train.table[train.table["purchase_count"].between(4, 9)]
    usual = known["days_since_last_purchase"].median()
    row = to_score[to_score["purchase_count"] == 7].iloc[[0]].assign(days_since_last_purchase=210.0)
    expected = f"days since the last purchase: 210 (usual among customers with 4 to 9 purchases: {usual:.2g})"
    assert reasons(with_peers, row)[0][0]["text"] == expected
    assert reasons(model, row)[0][0]["text"] == "days since the last purchase: 210"


def test_reasons_of_a_customer_alone_are_those_among_others(model: ChurnModel, to_score: pd.DataFrame):
    assert reasons(model, to_score.iloc[[3]]) == [reasons(model, to_score)[3]]


def test_nobody_has_no_reasons(model: ChurnModel, to_score: pd.DataFrame):
    assert reasons(model, to_score.head(0)) == []


def test_a_declared_attribute_is_a_reason_of_its_own(train: Panel, to_score: pd.DataFrame):
    plans = np.where(train.churned("inactivity") > 0, "tin", "gold")
    telling = with_columns(train, attribute_support_plan=plans)
    model = fit_churn(
        telling,
        ChurnSettings(num_iterations=12, seeds=1, candidate="lightgbm"),
        horizon_days=60,
        lead_days=0,
        threads=1,
    )
    facts = reasons(model, to_score.assign(attribute_support_plan="tin"))
    assert {reason["text"] for row in facts for reason in row if reason["theme"] == "attributes"} == {
        "support plan: tin"
    }
