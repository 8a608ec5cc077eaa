"""What every model must beat: the hiatus rule, logistic regression on RFM, BTYD alone, and business as before."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from models.churn import sigmoid
from models.panel import Panel, floats

Floats = npt.NDArray[np.float64]

_LOGGED = (
    "days_since_last_purchase", "days_since_first_purchase", "purchase_day_count", "purchase_count_90d",
    "purchase_count_365d", "spend", "spend_365d", "mean_spend", "purchase_overdue_ratio", "pareto_expected_orders",
    "pareto_expected_spend",
)  # fmt: skip
_LOGITS = ("pareto_p_any", "bg_p_any", "pareto_p_alive")


@dataclass(frozen=True)
class Logistic:
    """A fitted logistic regression of churn on standardised columns."""

    logged: tuple[str, ...]
    logits: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float

    def churn_probability(self, table: pd.DataFrame) -> Floats:
        """Probability of churn within each row's horizon (n_rows,)."""
        inputs = (_inputs(table, self.logged, self.logits) - np.array(self.mean)) / np.array(self.deviation)
        return sigmoid(np.nan_to_num(inputs) @ np.array(self.weights) + self.intercept)

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in vars(self).items()}

    @classmethod
    def from_dict(cls, document: Mapping[str, object]) -> "Logistic":
        """Back from JSON."""
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in document.items()})  # type: ignore[arg-type]


def fit_hiatus(panel: Panel, definition: str) -> Logistic:
    """The rule every shop knows (the longer the silence, the likelier gone), with its level fitted."""
    return _fit(panel, definition, ("days_since_last_purchase",), ())


def fit_logistic(panel: Panel, definition: str) -> Logistic:
    """Regularised logistic regression on the logarithms of recency, frequency, money and BTYD's answers."""
    return _fit(panel, definition, _LOGGED, _LOGITS)


def btyd_churn(table: pd.DataFrame, model: str) -> Floats:
    """Probability of no purchase in the row's horizon by BTYD: `model` is pareto or bg."""
    return np.clip(1.0 - floats(table, f"{model}_p_any"), 1e-6, 1 - 1e-6)


def spend_as_before(table: pd.DataFrame) -> Floats:
    """Spend in the horizon if every customer went on at the pace so far."""
    days = np.maximum(floats(table, "tenure_days"), 30.0)
    return floats(table, "spend") / days * floats(table, "horizon_days")


def _fit(panel: Panel, definition: str, logged: tuple[str, ...], logits: tuple[str, ...]) -> Logistic:
    inputs = _inputs(panel.table, logged, logits)
    scaler = StandardScaler().fit(inputs)
    regression = LogisticRegression(C=1.0, max_iter=2000).fit(
        np.nan_to_num(scaler.transform(inputs)), panel.churned(definition)
    )
    return Logistic(
        logged,
        logits,
        tuple(np.nan_to_num(scaler.mean_).tolist()),
        tuple(np.where(np.nan_to_num(scaler.scale_) > 0, scaler.scale_, 1.0).tolist()),
        tuple(regression.coef_[0].tolist()),
        float(regression.intercept_[0]),
    )


def _inputs(table: pd.DataFrame, logged: tuple[str, ...], logits: tuple[str, ...]) -> Floats:
    columns = [np.log1p(np.maximum(floats(table, name), 0)) for name in logged]
    for name in logits:
        p = np.clip(floats(table, name), 1e-4, 1 - 1e-4)
        columns.append(np.log(p) - np.log1p(-p))
    return np.column_stack(columns)
