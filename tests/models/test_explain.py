"""Why a score is what it is: parts that sum to it, in words."""

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from company import with_columns

from fedelta.features.contract import SCORES
from fedelta.features.registry import FEATURES
from fedelta.models.churn.model import ChurnModel, fit_churn
from fedelta.models.churn.settings import ChurnSettings
from fedelta.models.explain import MOST_REASONS, REST, _groups, reasons, theme_contributions
from fedelta.models.metrics.calibration_line import clipped_logit
from fedelta.models.panel import Panel
from fedelta.models.peers import fit_peers
from fedelta.models.reasons.wording import Wording, Words

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


LATE = Wording(rules={"late_delivery": Words("late delivery", "consegna in ritardo")})


def given(model: ChurnModel, table: pd.DataFrame, wording: Wording = LATE) -> list[list[dict[str, Any]]]:
    """The reasons of every row."""
    found = reasons(model, table, wording)
    assert found.dtype == SCORES["reasons"]
    return found.to_list()


def with_peers(model: ChurnModel, train: Panel) -> ChurnModel:
    return replace(model, peers=fit_peers(train.table, model.encoding))


def of_rule(train: Panel, name: str) -> ChurnModel:
    """A model of one candidate, with peers."""
    settings = ChurnSettings(num_iterations=5, seeds=1, candidate=name)
    return with_peers(fit_churn(train, settings, horizon_days=60, lead_days=0, threads=1), train)


@pytest.mark.parametrize("name", ["constant", "tenure", "hiatus", "bg_nbd", "logistic", "lightgbm"])
def test_reasons_and_the_rest_sum_to_the_log_odds_of_the_probability(train: Panel, to_score: pd.DataFrame, name: str):
    model = of_rule(train, name)
    expected = clipped_logit(model.churn_probability(to_score))
    for chosen, total in zip(given(model, to_score), expected, strict=True):
        assert sum(reason["contribution"] for reason in chosen) == pytest.approx(total, abs=1e-6)
        assert [reason["code"] == REST for reason in chosen] == [False] * (len(chosen) - 1) + [True]


def test_what_another_model_published_is_summed_to_as_well(model: ChurnModel, to_score: pd.DataFrame):
    published = np.full(len(to_score), 0.25)
    for chosen in reasons(model, to_score, LATE, probability=published).to_list():
        assert sum(reason["contribution"] for reason in chosen) == pytest.approx(np.log(0.25 / 0.75), abs=1e-6)


def test_a_reason_has_what_its_theme_adds_to_the_score(model: ChurnModel, to_score: pd.DataFrame):
    parts = theme_contributions(model, to_score).drop(columns="base")
    facts = 0
    for row, chosen in enumerate(given(model, to_score)):
        assert len(chosen) <= MOST_REASONS + 1
        for reason in chosen[:-1]:
            assert reason["contribution"] == pytest.approx(parts[reason["theme"]].iloc[row], rel=1e-6, abs=1e-9)
            assert (reason["direction"] == "raises") == (reason["contribution"] > 0)
            facts += 1
    assert facts > len(to_score)


def test_reasons_that_raise_the_risk_come_before_those_that_lower_it(model: ChurnModel, to_score: pd.DataFrame):
    for chosen in given(model, to_score):
        raising = [reason["contribution"] > 0 for reason in chosen[1:-1]]
        assert raising == sorted(raising, reverse=True)


def test_everybody_has_a_reason_and_the_first_is_something_the_customer_did(train: Panel, to_score: pd.DataFrame):
    for name in ("constant", "tenure", "hiatus", "bg_nbd", "lightgbm"):
        for chosen in given(of_rule(train, name), to_score):
            first = chosen[0]
            assert first["code"] not in (REST, "customer_since", "enrolled", "attribute"), name


def test_a_standing_attribute_never_stands_alone(train: Panel, to_score: pd.DataFrame):
    country = np.where(train.churned("inactivity") > 0, "IT", "FR")
    model = of_rule(with_columns(train, attribute_country=country), "lightgbm")
    column = "attribute_country"
    wording = replace(LATE, attributes={column: "country of residence"}, fixed=frozenset({column}))
    italians = to_score.assign(attribute_country="IT")
    for chosen in given(model, italians, wording):
        assert [reason["text"] for reason in chosen].index("Country of residence: IT") > 0


def test_a_sentence_has_no_name_of_a_column_and_no_private_number_of_a_model(model: ChurnModel, to_score: pd.DataFrame):
    texts = [reason[name] for chosen in given(model, to_score) for reason in chosen for name in ("text", "text_it")]
    assert not [text for text in texts if any(word in text for word in ("_", "pareto", "nan", "None", "NBD"))]


def test_purchase_models_are_put_as_the_customers_own_rhythm(train: Panel, to_score: pd.DataFrame):
    row = to_score[to_score["purchase_day_count"] == 7].iloc[[0]]
    silent = row.assign(days_since_last_purchase=142.5, purchase_span_days=6 * 31.0, pareto_p_any=0.05, bg_p_any=0.05)
    (chosen,) = given(of_rule(train, "pareto_nbd"), silent.assign(cutoff=pd.Timestamp("2024-12-24")))
    assert chosen[0]["code"] == "silence"
    assert chosen[0]["text"] == "No order for 143 days (last on 3 Aug); they used to order every 31 days"
    assert chosen[0]["text_it"] == "Nessun ordine da 143 giorni (l'ultimo il 3 ago); prima ordinava ogni 31 giorni"
    assert (chosen[0]["date"], chosen[0]["value"]) == (date(2024, 8, 3), 142.5)


def test_a_day_is_that_of_the_sources_time_zone(train: Panel, to_score: pd.DataFrame):
    row = to_score[to_score["purchase_day_count"] == 7].iloc[[0]].assign(cutoff=pd.Timestamp("2024-12-24"))
    late_evening = row.assign(days_since_last_purchase=142.02, purchase_span_days=6 * 31.0, pareto_p_any=0.05)
    model = of_rule(train, "pareto_nbd")
    dates = [given(model, late_evening, Wording(time_zone=zone))[0][0]["date"] for zone in ("UTC", "Europe/Rome")]
    assert dates == [date(2024, 8, 3), date(2024, 8, 4)]


def test_reasons_of_a_customer_alone_are_those_among_others(model: ChurnModel, to_score: pd.DataFrame, train: Panel):
    full = with_peers(model, train)
    together = given(full, to_score)
    for place in (3, 40, 111):
        assert given(full, to_score.iloc[[place]]) == [together[place]]


def test_nobody_has_no_reasons(model: ChurnModel, to_score: pd.DataFrame):
    assert reasons(model, to_score.head(0)).to_list() == []


def test_a_feature_without_a_sentence_is_described_with_its_value(
    train: Panel, to_score: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("fedelta.models.explain.subject_of", lambda name: f"other:{name}")
    monkeypatch.setattr("fedelta.models.explain._groups", _groups.__wrapped__)
    texts = {reason["text"] for chosen in given(of_rule(train, "hiatus"), to_score) for reason in chosen}
    assert any(text.startswith("Days since the last purchase: ") for text in texts)


def test_the_reasons_of_many_rows_are_a_series_of_the_contract(model: ChurnModel, to_score: pd.DataFrame):
    many = pd.concat([to_score] * 5)
    found = reasons(model, many, LATE)
    assert len(found) == len(many) > 1_000
    assert found.head(len(to_score)).equals(found.tail(len(to_score)))
    assert isinstance(found, pl.Series)
