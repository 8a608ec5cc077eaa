"""How good the models are on rows they never saw: every metric with its interval, beside the baselines."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.models.churn.baselines import Logistic
from fedelta.models.churn.model import ChurnModel
from fedelta.models.churn.predictions import churn_predictions
from fedelta.models.learning.conformal import coverage
from fedelta.models.metrics.bootstrap import Replicates, Resampling, replicate
from fedelta.models.metrics.metrics import CHURN_METRICS, VALUE_METRICS, decile_table
from fedelta.models.panel import Panel, activity_in
from fedelta.models.value.model import ClvModel, OrdersModel
from fedelta.models.value.predictions import clv_predictions, orders_predictions
from fedelta.models.value.value_trees import orders as orders_of

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
    spend: Floats  # of the rows of value
    churn: Predictions
    clv: Predictions
    report: dict[str, Any]
    valued: pd.DataFrame  # the rows of `spend` and `clv`


def evaluate(
    panel: Panel,
    model: ChurnModel,
    baselines: Mapping[str, Logistic],
    clv: ClvModel | None,
    resampling: Resampling,
    definition: str,
    *,
    orders: OrdersModel | None = None,
    of_value: Panel | None = None,
) -> Evaluation:
    """Measure on the rows of one cutoff that no model was fitted on; value on those of a cutoff of its own, if any."""
    table, of_value = panel.table, of_value or panel
    return measure(
        panel,
        churn_predictions(table, model, baselines),
        clv_predictions(of_value.table, clv),
        orders_predictions(table, orders),
        resampling,
        definition,
        clv_interval=_coverage(of_value.spend, of_value.table, clv),
        of_value=of_value,
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
    of_value: Panel | None = None,
) -> Evaluation:
    """Measure predictions of the rows of one cutoff by models that were not fitted on them.

    Parameters
    ----------
    churn, values, counts : mapping of model to ndarray of shape (n_rows,)
        Probabilities of churn, expected spend and orders; empty where there is no model.
    folds : int, optional
        In how many folds of customers they were cross-fitted (`learning.cross_fitting`); None: they are out of time.
    of_value : Panel, optional
        The rows of `values`, where value is evaluated at a cutoff of its own.
    """
    of_value = of_value or panel
    table, churned, spend = panel.table, panel.churned(definition), of_value.spend
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
        "clv_cutoff": f"{of_value.cutoffs[0]:%Y-%m-%d}",
        "clv_horizon_days": int(of_value.table["horizon_days"].iloc[0]),
        "clv_rows": len(of_value),
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
    return Evaluation(churned, spend, churn, values, report, of_value.table)


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
