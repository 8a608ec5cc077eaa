"""How good the models are: every metric with its interval, for the chosen model and for all it must beat."""

import json
from typing import Any

import numpy as np
import pytest
from company import with_columns, with_outcomes

from fedelta.models.churn.baselines import Logistic, fit_hiatus, fit_logistic
from fedelta.models.churn.model import ChurnModel
from fedelta.models.evaluation import Evaluation, evaluate
from fedelta.models.metrics.bootstrap import Resampling
from fedelta.models.metrics.metrics import CHURN_METRICS, VALUE_METRICS, auc, log_loss, rmse
from fedelta.models.panel import Panel
from fedelta.models.value.model import ClvModel, fit_orders
from fedelta.models.value.settings import ClvSettings

FEW = Resampling(20)


@pytest.fixture(scope="module")
def baselines(train: Panel) -> dict[str, Logistic]:
    return {"hiatus": fit_hiatus(train, "inactivity"), "logistic": fit_logistic(train, "inactivity")}


@pytest.fixture(scope="module")
def found(evaluated: Panel, churn: ChurnModel, clv: ClvModel, baselines: dict[str, Logistic]) -> Evaluation:
    return evaluate(evaluated, churn, baselines, clv, FEW, "inactivity")


def report_of(panel: Panel, churn: ChurnModel, clv: ClvModel | None, baselines: dict[str, Logistic]) -> Any:
    report = evaluate(panel, churn, baselines, clv, FEW, "inactivity").report
    return json.loads(json.dumps(report, allow_nan=False))


def test_the_chosen_model_and_every_baseline_have_every_metric_with_an_interval(found: Evaluation):
    models = {"chosen", "uncalibrated", "hiatus", "logistic", "pareto_nbd", "bg_nbd"}
    values = {"chosen", "as_before", "pareto_nbd", "bg_nbd"}
    for what, names, metrics in (("churn", models, CHURN_METRICS), ("clv", values, VALUE_METRICS)):
        assert set(found.report[what]) == names
        for figures in found.report[what].values():
            assert set(figures) == set(metrics)
            assert all(set(interval) == {"value", "low", "high"} for interval in figures.values())
        assert set(found.report[f"{what}_against"]) == names - {"chosen"}


def test_orders_are_measured_beside_btyds(evaluated: Panel, train: Panel, churn: ChurnModel, clv: ClvModel):
    model = fit_orders(train, ClvSettings(num_iterations=12, seeds=1), horizon_days=60, lead_days=0, threads=1)
    report = evaluate(evaluated, churn, {}, clv, FEW, "inactivity", orders=model).report
    assert set(report["orders"]) == {"chosen", "pareto_nbd", "bg_nbd"}
    predicted, actual = (
        model.expected_orders(evaluated.table),
        evaluated.outcomes["horizon_purchase_day_count"].to_numpy(float),
    )
    assert report["orders"]["chosen"]["bias"]["value"] == pytest.approx(predicted.sum() / actual.sum() - 1)
    assert set(report["orders_against"]) == {"pareto_nbd", "bg_nbd"}


def test_a_figure_is_the_metric_of_the_predictions_beside_it(found: Evaluation, evaluated: Panel):
    assert found.churned.tolist() == evaluated.churned("inactivity").tolist()
    for name, probability in found.churn.items():
        figures = found.report["churn"][name]
        assert figures["auc"]["value"] == pytest.approx(auc(found.churned, probability))
        assert figures["log_loss"]["value"] == pytest.approx(log_loss(found.churned, probability))
        assert figures["log_loss"]["low"] <= figures["log_loss"]["value"] <= figures["log_loss"]["high"]
    for name, spend in found.clv.items():
        assert found.report["clv"][name]["rmse"]["value"] == pytest.approx(rmse(found.spend, spend))


def test_a_difference_is_the_chosen_models_figure_minus_the_others(found: Evaluation):
    churn = found.report["churn"]
    for name, difference in found.report["churn_against"].items():
        expected = churn["chosen"]["log_loss"]["value"] - churn[name]["log_loss"]["value"]
        assert difference["log_loss"]["value"] == pytest.approx(expected)


def test_the_report_says_of_whom_when_and_how_many(found: Evaluation, evaluated: Panel):
    report = found.report
    assert (report["cutoff"], report["horizon_days"], report["rows"]) == ("2025-12-27", 60, len(evaluated))
    assert report["churn_rate"] == pytest.approx(found.churned.mean())
    assert report["spend_total"] == pytest.approx(evaluated.spend.sum())


def test_segments_are_by_purchase_days_and_none_is_too_small_to_measure(found: Evaluation, evaluated: Panel):
    segments = found.report["segments"]
    assert set(segments) <= {"bought once", "bought on 2 or 3 days", "bought on 4 days or more"}
    days = evaluated.table["purchase_day_count"]
    assert segments["bought on 4 days or more"]["rows"] == (days >= 4).sum()
    for segment in segments.values():
        assert segment["rows"] >= 50
        assert set(segment["churn"]) == {"chosen"}


def test_deciles_hold_every_customer_once_riskiest_first(found: Evaluation):
    for what, predicted in (("churn", found.churn), ("clv", found.clv)):
        deciles = found.report["deciles"][what]
        assert sum(row["rows"] for row in deciles) == len(found.churned)
        means = [row["mean_predicted"] for row in deciles]
        assert (np.diff(means) <= 1e-12).all()
        weighted = sum(row["rows"] * row["mean_predicted"] for row in deciles) / len(found.churned)
        assert weighted == pytest.approx(predicted["chosen"].mean())


def test_the_report_is_json_and_the_same_every_time(
    found: Evaluation, evaluated: Panel, churn: ChurnModel, clv: ClvModel, baselines: dict[str, Logistic]
):
    assert report_of(evaluated, churn, clv, baselines) == json.loads(json.dumps(found.report, allow_nan=False))


def test_without_money_only_churn_is_measured(evaluated: Panel, churn: ChurnModel, baselines: dict[str, Logistic]):
    report = report_of(evaluated, churn, None, baselines)
    assert (report["clv"], report["clv_against"], report["deciles"]["clv"]) == ({}, {}, [])


@pytest.mark.parametrize("outcome", [{"horizon_purchase_count": 0.0}, {"horizon_spend": 0.0}])
def test_a_horizon_in_which_nobody_came_back_or_spent_is_reported_with_nulls(
    evaluated: Panel, churn: ChurnModel, clv: ClvModel, baselines: dict[str, Logistic], outcome: dict[str, float]
):
    report = report_of(with_outcomes(evaluated, **outcome), churn, clv, baselines)
    nulls = [
        figure for what in ("churn", "clv") for figure in report[what]["chosen"].values() if figure["value"] is None
    ]
    assert nulls


def test_btyd_is_compared_only_where_it_has_an_answer_for_everybody(
    evaluated: Panel, churn: ChurnModel, clv: ClvModel, baselines: dict[str, Logistic]
):
    unknown = evaluated.table["pareto_p_any"].where(np.arange(len(evaluated)) > 0)
    report = report_of(with_columns(evaluated, pareto_p_any=unknown), churn, clv, baselines)
    assert not {"pareto_nbd", "bg_nbd"} & {*report["churn"], *report["clv"]}
