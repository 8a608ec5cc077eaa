"""Predictions of churn to be compared: the model's, the same before calibration, and those of the baselines."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.models.churn.baselines import Logistic, btyd_churn
from fedelta.models.churn.model import ChurnModel
from fedelta.models.learning.log_odds import sigmoid
from fedelta.models.rounding import probabilities

Predictions = dict[str, npt.NDArray[np.float64]]


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
