"""Predictions of spend and orders to be compared: the models' and those of the baselines."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.models.panel import floats
from fedelta.models.value.model import ClvModel, OrdersModel

Predictions = dict[str, npt.NDArray[np.float64]]


def clv_predictions(table: pd.DataFrame, model: ClvModel | None) -> Predictions:
    """Expected spend of each row in the horizon by the chosen model and baselines; empty without money."""
    if model is None:
        return {}
    out = {"chosen": model.expected_spend(table), "as_before": spend_as_before(table)}
    if table["pareto_p_any"].notna().all() and (table["pareto_expected_spend"] > 0).any():
        out |= {f"{name}_nbd": table[f"{name}_expected_spend"].to_numpy(np.float64) for name in ("pareto", "bg")}
    return out


def spend_as_before(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Spend in the horizon if every customer went on at the pace so far (n_rows,)."""
    days = np.maximum(floats(table, "tenure_days"), 30.0)
    return floats(table, "spend") / days * floats(table, "horizon_days")


def orders_predictions(table: pd.DataFrame, model: OrdersModel | None) -> Predictions:
    """Expected days with a purchase of each row in the horizon by the chosen model and BTYD; empty without a model."""
    if model is None:
        return {}
    out = {"chosen": model.expected_orders(table)}
    if table["pareto_p_any"].notna().all():
        out |= {f"{name}_nbd": table[f"{name}_expected_orders"].to_numpy(np.float64) for name in ("pareto", "bg")}
    return out
