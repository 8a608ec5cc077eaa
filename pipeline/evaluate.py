"""DVC stage ``evaluate``: the models on rows after everything they learned from; metrics, predictions and plots out."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import polars as pl

from fedelta.features.attributes import BAD_PREFIX
from fedelta.features.errors import FedeltaError
from fedelta.models.bundle import read_contract
from fedelta.models.churn.baselines import Logistic
from fedelta.models.churn.storage import load_churn
from fedelta.models.evaluation import Evaluation, evaluate, measure
from fedelta.models.metrics.bootstrap import Resampling, replicate
from fedelta.models.metrics.curves import churn_curves, residuals
from fedelta.models.next_purchase.evaluation import evaluate_next
from fedelta.models.next_purchase.storage import load_next
from fedelta.models.panel import ORDER, Panel
from fedelta.models.too_good import questioned
from fedelta.models.value.storage import load_clv, load_orders
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole, write_json
from fedelta.pipeline.next_rows import rows_to_measure
from fedelta.pipeline.out_of_fold import churn_out_of_fold, orders_out_of_fold, spend_out_of_fold
from fedelta.pipeline.panel import files_of_value, from_pandas, has_evaluation, read_panel, read_training
from fedelta.pipeline.params import Params, load_params

# `dvc metrics show` prints these in one row of 100 columns; `--targets reports/evaluation.json` diffs all of them.
HEADLINE = {
    "auc": ("churn", "auc"), "log_loss": ("churn", "log_loss"), "ece": ("churn", "ece"),
    "clv_gini": ("clv", "gini"), "clv_r2": ("clv", "r2"), "clv_bias": ("clv", "bias"),
    "hit_at_3": ("next", "hit_rate_3"),
}  # fmt: skip


NOT_MEASURED: dict[str, Any] = {"next": {}, "next_against": {}, "next_rows": None}


class NotEvaluated(FedeltaError):
    """There is no cutoff to evaluate at."""


def main() -> None:
    """Evaluate the project's models at the last cutoff whose horizon is over."""
    params = load_params()
    if not has_evaluation():
        _write(*evaluate_cross_fitted(params), read_contract(paths.CHURN_DELIVERED)["importance"])
        return
    panel = read_panel(["evaluate"]).of_role("evaluate")
    contract = read_contract(paths.CHURN_EVALUATED)
    baselines = {name: Logistic.from_dict(held) for name, held in contract["baselines"].items()}
    found = evaluate(
        panel,
        load_churn(paths.CHURN_EVALUATED),
        baselines,
        load_clv(paths.CLV_EVALUATED),
        Resampling(params.evaluate.bootstrap, seed=params.evaluate.seed),
        params.churn.definition,
        orders=load_orders(paths.CLV_EVALUATED),
        of_value=read_panel(["evaluate"], files_of_value()).of_role("evaluate"),
    )
    found.report.update(next_report(params))
    _write(panel, found, contract["importance"])


def next_report(params: Params) -> dict[str, Any]:
    """How good the recommended categories are at the evaluation cutoff; `next` is empty where none are recommended."""
    model, _ = load_next(paths.NEXT_EVALUATED)
    rows = rows_to_measure(model, params) if model else None
    if model is None or rows is None or not rows.buyers.any():
        return NOT_MEASURED
    return evaluate_next(model, rows, Resampling(params.evaluate.bootstrap, seed=params.evaluate.seed))


def evaluate_cross_fitted(params: Params) -> tuple[Panel, Evaluation]:
    """The recipe measured by out-of-fold predictions, pooled over the folds; and the rows it was measured on.

    For a table of customers, and for a history too short for an evaluation cutoff: then the rows are those of the last
    cutoff learned from. Where attributes count bad experiences, `bad_experience_gain` of the report says what they add:
    the metrics of the model minus those of the same recipe without them, paired by customer.
    """
    panel = read_training("delivered", most=params.engine.learn_customers)
    definition = params.churn.definition
    resampling = Resampling(params.evaluate.bootstrap, seed=params.evaluate.seed)
    churn, folds = churn_out_of_fold(panel, params)
    values, interval = spend_out_of_fold(panel, params)
    last = (panel.table["cutoff"] == panel.cutoffs[-1]).to_numpy()
    present = panel.where(last)
    found = measure(
        present,
        {name: probability[last] for name, probability in churn.items()},
        {name: expected[last] for name, expected in values.items()},
        {name: expected[last] for name, expected in orders_out_of_fold(panel, params).items()},
        resampling,
        definition,
        clv_interval=interval,
        folds=folds,
    )
    if bad := [name for name in panel.table.columns if str(name).startswith(BAD_PREFIX)]:
        without, _ = churn_out_of_fold(Panel(panel.table.drop(columns=bad), panel.outcomes), params)
        both = {"with": found.churn["chosen"], "without": without["chosen"][last]}
        drawn = replicate(found.churned, both, resampling=resampling)
        found.report["bad_experience_gain"] = {
            metric: drawn.difference(metric, "with", "without").as_dict()
            for metric in ("auc", "log_loss", "brier", "empc")
            if metric in drawn.figures["with"]
        }
    found.report.update(NOT_MEASURED)
    return present, found


def _write(panel: Panel, found: Evaluation, importance: Mapping[str, float]) -> None:
    with whole(paths.EVALUATION) as staged:
        _predictions(panel.table, found).write_parquet(staged)
    write_reports(found)
    print(f"evaluate: {headline(found.report)}")
    if question := questioned(found.report["churn"], importance):
        print(f"evaluate: {question}")


def write_reports(found: Evaluation) -> None:
    """The whole document, its headline figures and the plots."""
    write_json(paths.EVALUATION_REPORT, found.report)
    write_json(paths.METRICS, headline_figures(found.report))
    for name, curve in curves(found).items():
        write_json(
            paths.PLOTS / f"{name}.json", curve.round(6).astype(object).where(curve.notna(), None).to_dict("records")
        )


def curves(found: Evaluation) -> dict[str, pd.DataFrame]:
    """The plots of the chosen models by file name, each of at most some hundred points; none of value without money."""
    plots = dict(churn_curves(found.churned, found.churn["chosen"]))
    return plots | {"residuals": residuals(found.spend, found.clv["chosen"]) if found.clv else pd.DataFrame()}


def headline_figures(report: Mapping[str, Any]) -> dict[str, float]:
    """The chosen models' figures that ``dvc metrics`` and ``dvc exp show`` compare: ``{"auc": …, "log_loss": …}``.

    As many as fit a row of 100 columns, to four decimals; the full document has the rest. A figure without meaning (no
    money, one class only) is left out.
    """
    chosen = {what: report.get(what, {}).get("chosen", {}) for what in ("churn", "clv", "next")}
    return {
        shown: round(chosen[what][name]["value"], 4)
        for shown, (what, name) in HEADLINE.items()
        if _has_value(chosen[what], name)
    }


def headline(report: dict[str, Any]) -> str:
    """The figures of a report in one line."""
    chosen, folds = report["churn"]["chosen"], report.get("cross_fitted_folds")
    how = f", cross-fitted in {folds} folds" if folds else ""
    words = [
        f"{report['rows']:,} customers at {report['cutoff']}{how}, churn rate {report['churn_rate']:.3f}",
        *(
            f"{name.replace('_', ' ')} {chosen[name]['value']:.4f}"
            for name in ("auc", "log_loss", "ece")
            if chosen[name]["value"] is not None
        ),
    ]
    if report["clv"] and report["clv"]["chosen"]["r2"]["value"] is not None:
        words.append(f"spend R² {report['clv']['chosen']['r2']['value']:.3f}")
    if report.get("next"):
        words.append(f"next purchase hit rate@3 {report['next']['chosen']['hit_rate_3']['value']:.3f}")
    return "; ".join(words)


def _has_value(figures: Mapping[str, Any], name: str) -> bool:
    return name in figures and figures[name]["value"] is not None


def _predictions(table: pd.DataFrame, found: Evaluation) -> pl.DataFrame:
    """Each model's prediction for each row, and the outcome: the gate compares champions on them.

    Rows where value is evaluated, if that is at a cutoff of its own, follow those of churn; the columns of the others
    are null.
    """
    keys = list(ORDER)
    churn = table[keys].assign(churned=found.churned, **{f"churn_{name}": p for name, p in found.churn.items()})
    value = {"spend_in_horizon": found.spend, **{f"clv_{name}": v for name, v in found.clv.items()}}
    if table[keys].reset_index(drop=True).equals(found.valued[keys].reset_index(drop=True)):
        return from_pandas(churn.assign(**value))
    return pl.concat([from_pandas(churn), from_pandas(found.valued[keys].assign(**value))], how="diagonal")
