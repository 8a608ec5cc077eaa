"""Lifetime value: expected spend in the horizon, from two boosted models of it that fail differently."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.boosting import Ensemble, fit_ensemble
from models.churn import Prior, out_of_time_folds, prior_log_odds, prior_use, sigmoid
from models.encoding import Encoding
from models.panel import PRIOR_FEATURES, Panel, feature_columns, floats
from models.settings import ClvSettings

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClvModel:
    """Tweedie for the mean of spend, and a hurdle: chance of buying times spend of a buyer.

    `scale` brings the total to what it was out of time; 1 where no training cutoff could test it.
    """

    tweedie: Ensemble
    buys: Ensemble
    spends: Ensemble
    encoding: Encoding
    prior: Prior
    scale: float
    horizon_days: int
    lead_days: int

    def candidates(self, table: pd.DataFrame) -> dict[str, Floats]:
        """Expected spend in the horizon by `tweedie`, by `hurdle`, and their scaled geometric mean (`chosen`)."""
        matrix = self.encoding.matrix(table)
        building = self.prior == "init_score"
        tweedie = np.exp(self.tweedie.raw(matrix) + (prior_log_spend(table) if building else 0.0))
        buys = sigmoid(self.buys.raw(matrix) - (prior_log_odds(table) if building else 0.0))
        hurdle = buys * self._spend_of_a_buyer(matrix, table)
        return {"tweedie": tweedie, "hurdle": hurdle, "chosen": self.scale * np.sqrt(tweedie * hurdle)}

    def expected_spend(self, table: pd.DataFrame) -> Floats:
        """Expected spend in the horizon, in the source's currency (n_rows,)."""
        return self.candidates(table)["chosen"]

    def _spend_of_a_buyer(self, matrix: Floats, table: pd.DataFrame) -> Floats:
        building = self.prior == "init_score"
        return np.asarray(
            np.exp(self.spends.raw(matrix) + (prior_log_buyer_spend(table) if building else 0.0)), np.float64
        )


def fit_clv(
    panel: Panel, settings: ClvSettings, *, horizon_days: int, lead_days: int, threads: int = 2
) -> ClvModel | None:
    """Fit on training rows; None where nobody spent anything, so that there is no value to learn."""
    if not (panel.spend > 0).any():
        return None
    prior = prior_use(settings, panel, horizon_days)
    model = _grow(panel, settings, prior, horizon_days, lead_days, threads)
    return replace(model, scale=_scale(panel, settings, prior, horizon_days, lead_days, threads))


def prior_log_spend(table: pd.DataFrame) -> Floats:
    """Log of expected spend in the row's horizon, by Pareto/NBD and Gamma-Gamma."""
    return np.asarray(np.log(np.maximum(floats(table, "pareto_expected_spend"), 1e-2)), np.float64)


def prior_log_buyer_spend(table: pd.DataFrame) -> Floats:
    """Log of expected spend of those who buy at all in the row's horizon, by the same."""
    any_purchase = np.clip(floats(table, "pareto_p_any"), 1e-4, 1.0)
    return prior_log_spend(table) - np.log(any_purchase)


def _grow(
    panel: Panel, settings: ClvSettings, prior: Prior, horizon_days: int, lead_days: int, threads: int
) -> ClvModel:
    table, spend = panel.table, panel.spend
    building = prior == "init_score"
    columns = feature_columns(table) + (list(PRIOR_FEATURES) if not building else [])
    encoding = Encoding.of(table[columns])
    matrix, buyer = encoding.matrix(table), spend > 0

    def fit(rows: npt.NDArray[np.bool_], target: Floats, objective: str, init: Floats) -> Ensemble:
        return fit_ensemble(
            matrix[rows],
            target[rows],
            encoding,
            settings,
            objective,  # type: ignore[arg-type]
            init_score=init[rows] if building else None,
            threads=threads,
            tweedie_power=settings.tweedie_power,
        )

    everyone = np.ones(len(spend), bool)
    return ClvModel(
        tweedie=fit(everyone, spend, "tweedie", prior_log_spend(table)),
        buys=fit(everyone, buyer.astype(np.float64), "binary", -prior_log_odds(table)),
        spends=fit(buyer, spend, "gamma", prior_log_buyer_spend(table)),
        encoding=encoding,
        prior=prior,
        scale=1.0,
        horizon_days=horizon_days,
        lead_days=lead_days,
    )


def _scale(panel: Panel, settings: ClvSettings, prior: Prior, horizon_days: int, lead_days: int, threads: int) -> float:
    """Actual over predicted total spend at cutoffs the models had not seen."""
    predicted = actual = 0.0
    for past, present in out_of_time_folds(panel, most=2):
        if (past.spend > 0).any():
            model = _grow(past, replace(settings, seeds=1), prior, horizon_days, lead_days, threads)
            predicted += float(model.expected_spend(present.table).sum())
            actual += float(present.spend.sum())
    return actual / predicted if predicted > 0 and actual > 0 else 1.0
