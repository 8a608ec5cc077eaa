"""How good the models are on rows they never saw: every metric with its interval, beside the baselines."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.baselines import Logistic, btyd_churn, sigmoid, spend_as_before
from models.bootstrap import Replicates, Resampling, replicate
from models.churn import ChurnModel
from models.clv import ClvModel, OrdersModel
from models.conformal import coverage
from models.metrics import CHURN_METRICS, VALUE_METRICS, decile_table
from models.panel import Panel, activity_in
from models.rounding import probabilities
from models.value_trees import orders as orders_of

Floats = npt.NDArray[np.float64]
Predictions = dict[str, Floats]

# Differences that decide are of these: proper scores and rank, not the calibration errors that resampling inflates.
_COMPARED = {
    "churn": ("log_loss", "brier", "auc", "empc"),
    "clv": ("rmse", "r2", "gini"),
    "orders": ("rmse", "r2", "gini"),
}
_SEGMENTS = {
    "purchase": {"bought once": (1, 1), "bought on 2 or 3 days": (2, 3), "bought on 4 days or more": (4, np.inf)},
    "activity": {"active once": (1, 1), "active on 2 or 3 days": (2, 3), "active on 4 days or more": (4, np.inf)},
}


@dataclass(frozen=True)
class Evaluation:
    """Predictions of every model for the same rows, what happened, and the report on both."""

    churned: Floats
    spend: Floats
    churn: Predictions
    clv: Predictions
    report: dict[str, Any]


def churn_predictions(table: pd.DataFrame, model: ChurnModel, baselines: Mapping[str, Logistic]) -> Predictions:
    """Churn probability of each row by the chosen model, the model before calibration, and every baseline."""
    log_odds = model.log_odds(table)
    out = {
        "chosen": model.churn_probability(table, log_odds=log_odds),
        "uncalibrated": probabilities(sigmoid(log_odds)),
        **{name: probabilities(baseline.churn_probability(table)) for name, baseline in baselines.items()},
    }
    if table["pareto_p_any"].notna().all():
        out |= {f"{name}_nbd": btyd_churn(table, name) for name in ("pareto", "bg")}
    return out


def clv_predictions(table: pd.DataFrame, model: ClvModel | None) -> Predictions:
    """Expected spend of each row in the horizon by the chosen model and baselines; empty without money."""
    if model is None:
        return {}
    out = {"chosen": model.expected_spend(table), "as_before": spend_as_before(table)}
    if table["pareto_p_any"].notna().all() and (table["pareto_expected_spend"] > 0).any():
        out |= {f"{name}_nbd": table[f"{name}_expected_spend"].to_numpy(np.float64) for name in ("pareto", "bg")}
    return out


def orders_predictions(table: pd.DataFrame, model: OrdersModel | None) -> Predictions:
    """Expected days with a purchase of each row in the horizon by the chosen model and BTYD; empty without a model."""
    if model is None:
        return {}
    out = {"chosen": model.expected_orders(table)}
    if table["pareto_p_any"].notna().all():
        out |= {f"{name}_nbd": table[f"{name}_expected_orders"].to_numpy(np.float64) for name in ("pareto", "bg")}
    return out


def evaluate(
    panel: Panel,
    model: ChurnModel,
    baselines: Mapping[str, Logistic],
    clv: ClvModel | None,
    resampling: Resampling,
    definition: str,
    *,
    orders: OrdersModel | None = None,
) -> Evaluation:
    """Measure on the rows of one cutoff that no model was fitted on."""
    table = panel.table
    return measure(
        panel,
        churn_predictions(table, model, baselines),
        clv_predictions(table, clv),
        orders_predictions(table, orders),
        resampling,
        definition,
        clv_interval=_coverage(panel.spend, table, clv),
    )


def measure(
    panel: Panel,
    churn: Predictions,
    values: Predictions,
    counts: Predictions,
    resampling: Resampling,
    definition: str,
    *,
    clv_interval: dict[str, object] | None = None,
    folds: int | None = None,
) -> Evaluation:
    """Measure predictions of the rows of one cutoff by models that were not fitted on them.

    Parameters
    ----------
    churn, values, counts : mapping of model to ndarray of shape (n_rows,)
        Probabilities of churn, expected spend and orders; empty where there is no model.
    folds : int, optional
        In how many folds of customers they were cross-fitted (`models.cross_fitting`); None: they are out of time.
    """
    table, churned, spend = panel.table, panel.churned(definition), panel.spend
    what = activity_in(table)
    segments = {
        name: table[f"{what}_day_count"].between(low, high).to_numpy() for name, (low, high) in _SEGMENTS[what].items()
    }
    report: dict[str, Any] = {
        "cutoff": f"{panel.cutoffs[0]:%Y-%m-%d}",
        "horizon_days": int(table["horizon_days"].iloc[0]),
        "lead_days": int(table["lead_days"].iloc[0]),
        "cross_fitted_folds": folds,
        "rows": len(panel),
        "churn_rate": float(churned.mean()),
        "spend_total": float(np.nansum(spend)),
        **_measured("churn", churned, churn, resampling),
        **(_measured("clv", spend, values, resampling) if values else {"clv": {}, "clv_against": {}}),
        **(_measured("orders", orders_of(panel), counts, resampling) if counts else {}),
        "clv_interval": clv_interval,
        "segments": {
            name: {
                "rows": int(rows.sum()),
                "churn_rate": float(churned[rows].mean()),
                "churn": _measured("churn", churned[rows], {"chosen": churn["chosen"][rows]}, resampling)["churn"],
            }
            for name, rows in segments.items()
            if rows.sum() >= 50 and 0 < churned[rows].mean() < 1
        },
        "deciles": {
            "churn": _records(decile_table(churned, churn["chosen"])),
            "clv": _records(decile_table(spend, values["chosen"])) if values else [],
        },
    }
    return Evaluation(churned, spend, churn, values, report)


def _coverage(spend: Floats, table: pd.DataFrame, clv: ClvModel | None) -> dict[str, object] | None:
    """How often the interval of expected spend held what was spent; None where there is no interval."""
    if clv is None or clv.intervals is None:
        return None
    return coverage(spend, *clv.interval(table), clv.expected_spend(table)).to_dict()


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows for JSON, null for NaN."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _measured(what: str, actual: Floats, predictions: Predictions, resampling: Resampling) -> dict[str, Any]:
    metrics = CHURN_METRICS if what == "churn" else VALUE_METRICS
    drawn = replicate(actual, predictions, metrics, resampling=resampling)
    figures = {
        name: {metric: interval.as_dict() for metric, interval in held.items()}
        for name, held in drawn.intervals().items()
    }
    return {what: figures, f"{what}_against": _against(drawn, _COMPARED[what])}


def _against(drawn: Replicates, metrics: tuple[str, ...]) -> dict[str, dict[str, dict[str, float | None]]]:
    """The chosen model minus each other one, on the same resamples."""
    others = [name for name in drawn.figures if name != "chosen"]
    return {
        name: {
            metric: drawn.difference(metric, "chosen", name).as_dict()
            for metric in metrics
            if metric in drawn.figures[name]
        }
        for name in others
    }
