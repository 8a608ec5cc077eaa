"""Probabilities as log-odds and back; those of buy-till-you-die models, which trees and regressions start from."""

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from fedelta.models.learning.settings import BoostingSettings, Prior
from fedelta.models.panel import Panel, floats
from fedelta.models.rounding import rounded_log
from fedelta.models.table import AnyTable

Floats = npt.NDArray[np.float64]


def sigmoid(log_odds: Floats) -> Floats:
    """Probability of log-odds."""
    return np.asarray(expit(log_odds), np.float64)


def rounded_logit(probability: Floats) -> Floats:
    """Log-odds of probabilities within [1e-4, 1 − 1e-4], rounded to six decimals."""
    p = np.clip(probability, 1e-4, 1 - 1e-4)
    return rounded_log(np.log(p) - np.log1p(-p))


def btyd_log_odds(table: AnyTable, model: str = "pareto") -> Floats:
    """Log-odds that a customer buys nothing in the row's horizon (n_rows,), by ``model``: pareto or bg."""
    return -rounded_logit(floats(table, f"{model}_p_any"))


def prior_use(settings: BoostingSettings, panel: Panel, horizon_days: int) -> Prior:
    """Whether BTYD enters as features or as the score to start from.

    A model that does not know the horizon predicts for the one it was trained on; so where training horizons are
    shorter than the scored one, the prior at each row's own horizon carries the answer across.
    """
    if panel.table["pareto_p_any"].isna().any():
        return "features"  # who never bought (`definition: event`) has no prior to start from
    if settings.prior != "auto":
        return settings.prior
    return "init_score" if (panel.table["horizon_days"] < horizon_days).any() else "features"
