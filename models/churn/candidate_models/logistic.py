"""Logistic regression on logs of recency, frequency and money, what BTYD models predict, and attributes."""

from fedelta.models.churn.baselines import fit_logistic
from fedelta.models.churn.candidate import Candidate
from fedelta.models.churn.regression import Regression
from fedelta.models.churn.settings import ChurnSettings
from fedelta.models.learning.settings import Prior
from fedelta.models.panel import Panel


def _fit(panel: Panel, settings: ChurnSettings, _prior: Prior, _threads: int) -> Regression:
    return Regression(fit_logistic(panel, settings.definition))


CANDIDATES = (Candidate("logistic", "logistic regression", 80, Regression, _fit),)
