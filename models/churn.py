"""The churn model: a small boosted ensemble that knows what buy-till-you-die models say, calibrated out of time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import ExplainedError
from models.boosting import Ensemble, fit_ensemble
from models.calibration import Calibrator, fit_calibrator
from models.encoding import Encoding
from models.panel import PRIOR_FEATURES, Panel, feature_columns, floats, horizon_end
from models.settings import BoostingSettings, ChurnSettings

Floats = npt.NDArray[np.float64]
Prior = Literal["features", "init_score"]


class OneClass(ExplainedError):
    """Everybody in the training rows left, or nobody did."""


@dataclass(frozen=True)
class ChurnModel:
    """A calibrated ensemble, with the contract it was trained under."""

    ensemble: Ensemble
    encoding: Encoding
    prior: Prior
    calibrator: Calibrator
    horizon_days: int
    lead_days: int

    def log_odds(self, table: pd.DataFrame) -> Floats:
        """Log-odds of churn before calibration: trees, plus the prior's log-odds where the model builds on them."""
        raw = self.ensemble.raw(self.encoding.matrix(table))
        return raw + prior_log_odds(table) if self.prior == "init_score" else raw

    def churn_probability(self, table: pd.DataFrame) -> Floats:
        """Calibrated probability of churn within each row's horizon, shape (n_rows,).

        Parameters
        ----------
        table : DataFrame of shape (n_rows, n_columns)
            Features and prior columns in any order; others are ignored.

        Raises
        ------
        MissingFeatures
            If a column the model was trained on is absent.
        """
        return self.calibrator.apply(sigmoid(self.log_odds(table)))


def fit_churn(
    panel: Panel, settings: ChurnSettings, *, horizon_days: int, lead_days: int, threads: int = 2
) -> ChurnModel:
    """Fit on training rows; the calibrator on predictions of cutoffs the trees had not seen.

    Raises
    ------
    OneClass
        If no training row churned, or all did.
    """
    churned = panel.churned(settings.definition)
    if churned.min() == churned.max():
        raise OneClass(
            f"All {len(churned):,} training rows have the same outcome ({'churned' if churned[0] else 'stayed'}). "
            "Choose another horizon_days or churn.definition, or bring a longer history."
        )
    # BTYD foresees purchases; of a cancellation it is at most a hint.
    prior: Prior = "features" if settings.definition == "event" else prior_use(settings, panel, horizon_days)
    model = _grow(panel, settings, prior, horizon_days, lead_days, threads)
    return replace(model, calibrator=_calibrate(panel, settings, prior, horizon_days, lead_days, threads))


def prior_use(settings: BoostingSettings, panel: Panel, horizon_days: int) -> Prior:
    """Whether BTYD enters as features or as the score to start from.

    A model that is not told the horizon predicts for the one it was trained on; so where training horizons are shorter
    than the scored one, the prior at each row's own horizon carries the answer across.
    """
    if panel.table["pareto_p_any"].isna().any():
        return "features"  # who never bought (`definition: event`) has no prior to start from
    if settings.prior != "auto":
        return settings.prior
    return "init_score" if (panel.table["horizon_days"] < horizon_days).any() else "features"


def prior_log_odds(table: pd.DataFrame) -> Floats:
    """Log-odds that a customer buys nothing in the row's horizon, by Pareto/NBD."""
    any_purchase = np.clip(floats(table, "pareto_p_any"), 1e-4, 1 - 1e-4)
    return np.asarray(np.log1p(-any_purchase) - np.log(any_purchase), np.float64)


def sigmoid(log_odds: Floats) -> Floats:
    """Probability of log-odds."""
    return 1.0 / (1.0 + np.exp(-log_odds))


def _grow(
    panel: Panel, settings: ChurnSettings, prior: Prior, horizon_days: int, lead_days: int, threads: int
) -> ChurnModel:
    table = panel.table
    columns = feature_columns(table) + (list(PRIOR_FEATURES) if prior == "features" else [])
    encoding = Encoding.of(table[columns])
    ensemble = fit_ensemble(
        encoding.matrix(table),
        panel.churned(settings.definition),
        encoding,
        settings,
        "binary",
        init_score=prior_log_odds(table) if prior == "init_score" else None,
        threads=threads,
    )
    return ChurnModel(ensemble, encoding, prior, Calibrator(), horizon_days, lead_days)


def out_of_time_folds(panel: Panel, most: int = 3) -> Iterator[tuple[Panel, Panel]]:
    """For each of the last cutoffs: the rows whose outcome was known by then, and the rows at it."""
    known = horizon_end(panel.table)
    for cutoff in panel.cutoffs[-most:]:
        past = (known <= cutoff).to_numpy()
        if past.any():
            yield panel.where(past), panel.where(panel.table["cutoff"] == cutoff)


def _calibrate(
    panel: Panel, settings: ChurnSettings, prior: Prior, horizon_days: int, lead_days: int, threads: int
) -> Calibrator:
    probability, churned, fold, customer = [], [], [], []
    for number, (past, present) in enumerate(out_of_time_folds(panel)):
        outcome = past.churned(settings.definition)
        if outcome.min() == outcome.max():
            continue
        model = _grow(past, replace(settings, seeds=1), prior, horizon_days, lead_days, threads)
        probability.append(sigmoid(model.log_odds(present.table)))
        churned.append(present.churned(settings.definition))
        fold.append(np.full(len(present), number))
        customer.append(present.table["customer_id"].to_numpy(str))
    if not probability:
        return Calibrator(
            note="Not calibrated: no training cutoff lies after the horizon of another, so nothing can be tested."
        )
    return fit_calibrator(
        np.concatenate(probability), np.concatenate(churned), np.concatenate(fold), customer=np.concatenate(customer)
    )
