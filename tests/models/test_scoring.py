"""From features to scores: one row per known customer in the columns of the contract, and nothing invented."""

from dataclasses import dataclass, replace
from datetime import UTC
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from company import cutoffs, interactions

from fedelta.features.contract import SCORES, SuppressionReason
from fedelta.models.btyd.purchase_prior import fit_prior
from fedelta.models.churn.model import ChurnModel
from fedelta.models.explain import reasons
from fedelta.models.loyalty.model import LoyaltyModel, fit_loyalty
from fedelta.models.loyalty.persona_search import find_personas
from fedelta.models.loyalty.personas import PersonaModel
from fedelta.models.loyalty.settings import LoyaltySettings, PersonaSettings
from fedelta.models.panel import Panel, floats
from fedelta.models.policy.settings import EconomicsSettings, HoldoutSettings, PolicySettings
from fedelta.models.policy.stakes import stakes, value_while_here
from fedelta.models.scoring import INDEXES, Models, base_of, score
from fedelta.models.table import Table
from fedelta.models.value.model import ClvModel, fit_orders
from fedelta.models.value.settings import ClvSettings

POLICY = PolicySettings(margin=0.5)
AS_OF = cutoffs()[-1].at
FIGURES = [
    "churn_probability", "churn_score", "risk_tier", "percentile", "clv_expected", "historic_value", "value_at_risk",
    "expected_orders", "p_alive", "bad_experiences_30d", "last_bad_experience", "open_issue", "reasons",
]  # fmt: skip


@pytest.fixture(scope="module")
def models(train: Panel, to_score: pd.DataFrame, churn: ChurnModel, clv: ClvModel) -> Models:
    """Everything a bundle holds, learned from the company."""
    personas = find_personas(to_score, PersonaSettings(least_stability=0.1)).model
    orders = fit_orders(train, ClvSettings(num_iterations=12, seeds=1), horizon_days=60, lead_days=0, threads=1)
    prior = fit_prior(to_score[to_score["purchase_day_count"] > 0])
    return Models(churn, clv, orders, prior, fit_loyalty(train, LoyaltySettings()), personas)


@pytest.fixture(scope="module")
def scores(to_score: pd.DataFrame, models: Models) -> pl.DataFrame:
    """The whole company scored: one customer cancelled, one never bought, two were never seen."""
    table = to_score.assign(
        status=np.select(
            [to_score["customer_id"] == "c0003", to_score["customer_id"] == "c0005"],
            ["already_churned", "no_history"],
            "scored",
        )
    )
    return score(table, models, POLICY, currency="EUR", model_version="v1", indexes=INDEX, unseen=["zoe", "abe"])[
        0
    ].table()


INDEX = pl.DataFrame({"customer_id": ["c0001", "c0002"], **{name: [41.5, None] for name in INDEXES}})


def scored(table: pd.DataFrame, churn: ChurnModel, clv: ClvModel | None, **more: object) -> pl.DataFrame:
    models = Models(
        churn, clv, None, None, LoyaltyModel({}, 1.0, reason="not looked at"), PersonaModel(reason="not looked at")
    )
    return score(table, models, PolicySettings(**more), currency="EUR", model_version="v1")[0].table()  # type: ignore[arg-type]


def test_scores_have_exactly_the_columns_and_types_of_the_contract(scores: pl.DataFrame):
    assert scores.schema == SCORES


def test_every_known_customer_has_one_row_in_order(scores: pl.DataFrame, to_score: pd.DataFrame):
    assert scores["customer_id"].to_list() == sorted([*to_score["customer_id"], "abe", "zoe"])


def test_who_is_not_scored_keeps_the_reason_and_gets_no_figures(scores: pl.DataFrame):
    others = scores.filter(pl.col("status") != "scored")
    assert dict(others.select("customer_id", "status").rows()) == {
        "abe": "no_history", "c0003": "already_churned", "c0005": "no_history", "zoe": "no_history",
    }  # fmt: skip
    assert others.select(FIGURES).null_count().row(0) == (4,) * len(FIGURES)


def test_who_must_not_be_contacted_has_the_reason_whether_scored_or_not(
    scores: pl.DataFrame, to_score: pd.DataFrame, churn: ChurnModel
):
    assert scores["suppression_reason"].null_count() == len(scores)
    suppressed: dict[str, SuppressionReason] = {to_score["customer_id"].iloc[0]: "opted out", "zoe": "contacted lately"}
    nobody = LoyaltyModel({}, 1.0, reason="not looked at")
    models = Models(churn, None, None, None, nobody, PersonaModel(reason="not looked at"))
    table = score(to_score, models, POLICY, currency="", model_version="v1", suppressed=suppressed, unseen=["zoe"])[
        0
    ].table()
    assert dict(table.drop_nulls("suppression_reason").select("customer_id", "suppression_reason").rows()) == suppressed


def test_every_row_says_as_of_when_for_how_long_and_by_which_model(scores: pl.DataFrame):
    assert scores.select("as_of", "horizon_days", "model_version").unique().rows() == [(AS_OF, 60, "v1")]


def test_a_score_is_the_models_probability_in_percent_with_its_tier(
    scores: pl.DataFrame, to_score: pd.DataFrame, churn: ChurnModel
):
    probability = dict(zip(to_score["customer_id"], churn.churn_probability(to_score), strict=True))
    for name, predicted, percent, tier in (
        scores.filter(status="scored").select("customer_id", "churn_probability", "churn_score", "risk_tier").rows()
    ):
        assert predicted == probability[name]
        assert percent == pytest.approx(100 * predicted, abs=0.05)
        expected = (
            "low" if predicted < 0.3 else "medium" if predicted < 0.6 else "high" if predicted < 0.8 else "critical"
        )
        assert tier == expected


def test_the_percentile_is_the_share_of_customers_at_lower_or_equal_risk(scores: pl.DataFrame):
    held = scores.filter(status="scored")
    risks = held["churn_probability"].to_numpy()
    expected = [100 * (risks <= risk).mean() for risk in risks]
    assert held["percentile"].to_list() == pytest.approx(expected)
    assert held["percentile"].max() == 100


def test_within_a_journey_the_percentile_counts_its_own_customers(scores: pl.DataFrame):
    held = scores.filter(status="scored")
    assert held["journey"].n_unique() > 1
    for (journey,), group in held.group_by("journey"):
        risks = group["churn_probability"].to_numpy()
        expected = [100 * (risks <= risk).mean() for risk in risks]
        assert group["percentile_in_journey"].to_list() == pytest.approx(expected), journey


def test_journey_and_stage_are_those_of_the_features(scores: pl.DataFrame, to_score: pd.DataFrame):
    held = scores.filter(status="scored")
    rows = to_score[to_score["customer_id"].isin(held["customer_id"].to_list())]
    assert held["journey"].to_list() == rows["journey"].to_list()
    assert held["journey_stage"].to_list() == rows["journey_stage"].to_list()


def test_personas_and_loyalty_are_those_of_the_bundle(scores: pl.DataFrame, to_score: pd.DataFrame, models: Models):
    held = scores.filter(status="scored")
    rows = to_score[to_score["customer_id"].isin(held["customer_id"].to_list())]
    assert held["persona"].to_list() == models.personas.assign(rows).tolist()
    classes, points = models.loyalty.classify(rows)
    assert held["loyalty_class"].to_list() == classes.tolist()
    assert held["loyalty_score"].fill_null(-1).to_list() == np.nan_to_num(points, nan=-1).tolist()


def test_the_indexes_of_experience_are_those_of_their_table_and_null_where_it_has_none(scores: pl.DataFrame):
    known = scores.filter(pl.col("experience_index").is_not_null())
    assert known.select("customer_id", *INDEXES).rows() == [("c0001", *[41.5] * len(INDEXES))]
    assert INDEXES[0] == "experience_index"
    assert len(INDEXES) == 10


def test_values_and_orders_are_those_of_the_models_with_their_intervals(
    scores: pl.DataFrame, to_score: pd.DataFrame, models: Models
):
    held = scores.filter(status="scored")
    rows = to_score[to_score["customer_id"].isin(held["customer_id"].to_list())]
    assert models.orders is not None
    assert models.clv is not None
    assert held["expected_orders"].to_list() == models.orders.expected_orders(rows).tolist()
    known = held.filter(pl.col("clv_low").is_not_null())
    assert known.height == np.isfinite(models.clv.interval(rows)[0]).sum()
    assert (known["clv_low"] <= known["clv_high"]).all()


def test_the_next_order_is_predicted_for_the_likely_alive_and_lies_ahead(scores: pl.DataFrame):
    held = scores.filter(status="scored")
    dated = held.filter(pl.col("expected_next_order_at").is_not_null())
    assert dated.height > 0
    assert (dated["expected_next_order_at"] > AS_OF).all()
    assert held.filter(pl.col("p_alive") < 0.5)["expected_next_order_at"].null_count() == (held["p_alive"] < 0.5).sum()


def test_value_at_risk_is_of_those_still_here_and_what_the_gone_would_bring_is_apart(
    scores: pl.DataFrame, to_score: pd.DataFrame, models: Models, clv: ClvModel
):
    held = scores.filter(status="scored")
    rows = to_score[to_score["customer_id"].isin(held["customer_id"].to_list())]
    assert held["clv_expected"].to_numpy() == pytest.approx(clv.expected_spend(rows))
    assert set(held["clv_horizon_days"]) == {60}
    assert models.prior is not None
    found = stakes(rows, held["churn_probability"].to_numpy(), models.prior, margin=0.5, span_days=60)
    for name in ("p_here", "p_leaves", "value_at_risk", "win_back_value"):
        assert held[name].to_list() == getattr(found, name).tolist()
    silent = held.filter(pl.col("p_here") < 0.2)
    assert (silent["win_back_value"] > silent["value_at_risk"]).all()
    assert held["historic_value_gross"].to_list() == rows["spend"].to_list()
    net = (rows["spend"] - rows["returned_value"]).round(4)
    assert held["historic_value"].to_list() == net.to_list()
    assert set(held["currency"]) == {"EUR"}


def test_recorded_margins_take_the_place_of_the_assumed_share(to_score: pd.DataFrame, models: Models):
    share = np.linspace(0.1, 0.9, len(to_score))
    held, before = (
        score(rows, models, POLICY, currency="EUR", model_version="v")[0].table().filter(status="scored")
        for rows in (to_score.assign(margin_share=share), to_score)
    )
    shares = dict(zip(to_score["customer_id"], share, strict=True))
    own = held["customer_id"].replace_strict(shares, return_dtype=pl.Float64)
    for name in ("value_at_risk", "win_back_value"):
        assert held[name].to_numpy() == pytest.approx((before[name] / 0.5 * own).to_numpy(), rel=1e-5)
    assert held["clv_margin"].to_numpy() == pytest.approx((held["clv_expected"] * own).to_numpy(), rel=1e-6)
    assert before["clv_margin"].null_count() == len(before)


def test_the_usual_channel_is_passed_on(to_score: pd.DataFrame, models: Models):
    known = to_score.assign(channel=["web" if number % 3 else None for number in range(len(to_score))])
    held = score(known, models, POLICY, currency="EUR", model_version="v")[0].table().filter(status="scored")
    web = set(known["customer_id"][known["channel"] == "web"])
    assert held["channel"].to_list() == ["web" if name in web else None for name in held["customer_id"]]


def test_where_leaving_is_seen_who_has_not_left_is_here_and_risks_what_they_spend_while_here(
    to_score: pd.DataFrame, models: Models, clv: ClvModel
):
    rows = to_score[to_score["status"] == "scored"].reset_index(drop=True)
    seen = replace(models, definition="event")
    held = score(to_score, seen, POLICY, currency="EUR", model_version="v")[0].table().filter(status="scored")
    assert set(held["p_here"]) == {1.0}
    assert held["p_leaves"].to_list() == held["churn_probability"].to_list()
    assert seen.prior is not None
    otherwise = clv.expected_spend(rows)
    value = value_while_here(rows, seen.prior, span_days=clv.horizon_days, otherwise=otherwise)
    bought = floats(rows, "purchase_day_count") > 0
    assert (value[~bought] == otherwise[~bought]).all()
    assert held["value_at_risk"].to_numpy() == pytest.approx(
        held["churn_probability"].to_numpy() * value * 0.5, rel=1e-6
    )
    assert set(held["win_back_value"]) == {0.0}


def test_what_those_known_to_be_here_spend_does_not_depend_on_their_silence_and_grows_with_their_orders(
    to_score: pd.DataFrame, models: Models
):
    rows = to_score[floats(to_score, "purchase_day_count") > 1].head(40).reset_index(drop=True)
    assert models.prior is not None
    spends = partial(value_while_here, prior=models.prior, span_days=365, otherwise=np.zeros(len(rows)))
    value = spends(rows)
    assert (value > 0).all()
    silent = rows.assign(days_since_last_purchase=rows["days_since_first_purchase"] - 1)
    assert spends(silent) == pytest.approx(value, rel=1e-12)
    more = rows.assign(
        purchase_day_count=rows["purchase_day_count"] + 5, spend=rows["spend"] * (1 + 5 / rows["purchase_day_count"])
    )
    assert (spends(more) > value).all()


def test_lifetime_value_lies_in_its_interval_and_is_more_than_that_of_a_short_horizon(scores: pl.DataFrame):
    held = scores.filter(status="scored")
    assert (held["lifetime_value"] >= held["clv_expected"]).all()  # 60 days
    assert (held["lifetime_low"] <= held["lifetime_value"]).all()
    assert (held["lifetime_value"] <= held["lifetime_high"]).all()


def test_who_was_given_back_more_than_bought_has_a_value_below_zero(to_score: pd.DataFrame, models: Models):
    refunded = to_score[to_score["status"] == "scored"].head(3).assign(spend=109.96, returned_value=164.94)
    held = score(refunded, models, POLICY, currency="EUR", model_version="v")[0].table()
    assert held["historic_value"].to_list() == [-54.98] * 3
    assert held["historic_value_gross"].to_list() == [109.96] * 3


def test_the_last_bad_experience_is_named_and_dated_to_the_microsecond(scores: pl.DataFrame):
    late = interactions(300).filter((pl.col("delay_hours") > 24) & (pl.col("occurred_at") < AS_OF))
    last = dict(late.group_by("customer_id").agg(pl.col("occurred_at").max()).rows())
    for name, at, what in (
        scores.filter(status="scored").select("customer_id", "last_bad_experience_at", "last_bad_experience").rows()
    ):
        assert (at, what) == ((last[name].astimezone(UTC), "late_delivery") if name in last else (None, None))


def test_bad_experiences_and_open_issues_are_those_of_the_features(scores: pl.DataFrame, to_score: pd.DataFrame):
    held = scores.filter(status="scored")
    rows = to_score[to_score["customer_id"].isin(held["customer_id"].to_list())]
    for days in (30, 90, 365):
        assert held[f"bad_experiences_{days}d"].to_list() == rows[f"bad_experience_count_{days}d"].to_list()
    assert not held["open_issue"].any()


def test_without_money_there_is_no_value_and_no_currency(to_score: pd.DataFrame, churn: ChurnModel):
    table = scored(to_score, churn, None)
    money = [
        "clv_expected",
        "clv_low",
        "clv_high",
        "historic_value",
        "historic_value_gross",
        "currency",
        "value_at_risk",
        "win_back_value",
        "lifetime_value",
    ]
    assert table.select(money).null_count().row(0) == (len(table),) * len(money)
    assert table["churn_probability"].null_count() == 0


def test_everybody_at_high_or_critical_risk_comes_with_reasons(
    to_score: pd.DataFrame, churn: ChurnModel, clv: ClvModel, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("fedelta.models.scoring.LISTED", 0)
    table = scored(to_score, churn, clv)
    at_risk = table["risk_tier"].is_in(["high", "critical"])
    assert 0 < at_risk.sum() < len(table)
    assert table["reasons"].is_not_null().to_list() == at_risk.to_list()
    everybody = scored(to_score, churn, clv, explained="low")
    assert everybody["reasons"].null_count() == 0


def test_the_head_of_the_list_comes_with_reasons_whatever_its_risk(
    to_score: pd.DataFrame, churn: ChurnModel, clv: ClvModel, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("fedelta.models.scoring.LISTED", 10)
    calm = {"explained": "critical", "tiers": {"critical": 0.999_999}}
    table = scored(to_score, churn, clv, **calm)
    assert (table["win_back_value"].fill_null(0.0) == 0).all()  # nobody has left, so there is one list
    first = table.top_k(10, by="value_at_risk")["customer_id"]
    assert set(table.filter(pl.col("reasons").is_not_null())["customer_id"]) == set(first)
    without_money = scored(to_score, churn, None, **calm).sort("churn_probability", descending=True)
    explained = without_money.filter(pl.col("reasons").is_not_null())
    assert explained["churn_probability"].min() >= without_money["churn_probability"][9]


def test_whoever_is_to_be_contacted_comes_with_reasons(
    to_score: pd.DataFrame, churn: ChurnModel, clv: ClvModel, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("fedelta.models.scoring.LISTED", 0)
    own = EconomicsSettings(contact_cost=0.1, keep_success_without_offer=0.5)
    calm = {"explained": "critical", "tiers": {"critical": 0.999_999}}
    table = scored(to_score, churn, clv, economics=own, holdout=HoldoutSettings(share=0.5), **calm)
    contacted = table["action"].is_not_null()
    assert 20 < contacted.sum() < len(table)
    assert table["reasons"].is_not_null().to_list() == contacted.to_list()
    last = table.filter(contacted)[-1]
    alone = reasons(churn, to_score[to_score["customer_id"] == last["customer_id"].item()])
    assert last["reasons"].to_list() == alone.to_list()


def test_a_company_where_nobody_can_be_scored_still_has_a_row_for_each(
    to_score: pd.DataFrame, churn: ChurnModel, clv: ClvModel
):
    table = scored(to_score.assign(status="already_churned"), churn, clv)
    assert table.schema == SCORES
    assert set(table["status"]) == {"already_churned"}


def test_a_company_without_any_bad_experience_is_scored(to_score: pd.DataFrame, churn: ChurnModel, clv: ClvModel):
    untouched = to_score[to_score["last_bad_experience"].isna()]
    table = scored(untouched, churn, clv)
    assert table.select("last_bad_experience", "last_bad_experience_at").null_count().row(0) == (len(untouched),) * 2


def test_a_customer_scored_alone_gets_the_figures_of_the_run(to_score: pd.DataFrame, churn: ChurnModel, clv: ClvModel):
    together, alone = scored(to_score, churn, clv), scored(to_score.iloc[[8]], churn, clv)
    same = together.filter(pl.col("customer_id") == alone["customer_id"].item())
    assert alone.drop("percentile", "percentile_in_journey").equals(same.drop("percentile", "percentile_in_journey"))


@dataclass(frozen=True)
class Effects:
    """Measured effects: contacting keeps a tenth of those whose id ends with 1, and drives the others away."""

    def effect(self, table: Table) -> np.ndarray:
        return np.array([0.1 if name.endswith("1") else -0.05 for name in table["customer_id"]])


def test_measured_effects_decide_whom_to_contact(to_score: pd.DataFrame, models: Models):
    costs = EconomicsSettings(contact_cost=0.01, offer_cost=0.0, keep_success=0.5)
    policy = PolicySettings(economics=costs, holdout=HoldoutSettings(share=0.0))
    by_risk, by_effect = (
        score(to_score, held, policy, currency="EUR", model_version="v1")[0].table()
        for held in (models, replace(models, uplift=Effects()))
    )
    chosen = by_effect.filter(pl.col("action").is_not_null())
    assert 0 < chosen.height < by_risk.filter(pl.col("action").is_not_null()).height
    assert chosen["customer_id"].str.ends_with("1").all()
    staying = chosen["value_at_risk"] / (chosen["p_here"] * chosen["p_leaves"])
    assert chosen["expected_profit"].to_list() == pytest.approx((0.1 * staying - 0.01).to_list(), rel=1e-5)


def test_no_score_depends_on_the_parts_that_a_table_is_read_in(to_score: pd.DataFrame, models: Models):
    table = to_score.assign(status=np.where(to_score["customer_id"] == "c0003", "already_churned", "scored"))
    found, base = score(table, models, POLICY, currency="EUR", model_version="v1")
    whole = found.table()
    for size in (1, 7, len(table) - 1):
        parts = [table[at : at + size] for at in range(0, len(table), size)]
        same, risks = base_of(parts, models, POLICY)
        found = [
            score(part, models, POLICY, currency="EUR", model_version="v1", base=same, risk=risk)[0].table()
            for part, risk in zip(parts, risks, strict=True)
        ]
        assert pl.concat(found).equals(whole)
        assert (same.regularity, same.lists) == (base.regularity, base.lists)
        assert same.probabilities.tolist() == base.probabilities.tolist()
