"""The simplest candidates: the base rate, and rules of one column. None knows of the horizon, so all must be whole."""

from functools import partial

from fedelta.models.churn.baselines import fit_baseline, rules
from fedelta.models.churn.candidate import Candidate, whole_horizons
from fedelta.models.churn.regression import Regression
from fedelta.models.churn.settings import ChurnSettings
from fedelta.models.learning.settings import Prior
from fedelta.models.panel import Panel


def _fit(name: str, panel: Panel, settings: ChurnSettings, _prior: Prior, _threads: int) -> Regression:
    return Regression(fit_baseline(name, panel, settings.definition))


def _competes(name: str, panel: Panel, settings: ChurnSettings, horizon_days: int) -> bool:
    return whole_horizons(panel, settings, horizon_days) and panel.table[rules(panel.table)[name]].nunique() >= 2


def _rule(name: str, label: str, place: int) -> Candidate:
    needs = "training horizons as long as the scored one, and more than one value of its column"
    return Candidate(
        name, label, place, Regression, partial(_fit, name), competes=partial(_competes, name), needs=needs
    )


CANDIDATES = (
    Candidate(
        "constant", "a constant (the base rate)", 10, Regression, partial(_fit, "constant"),
        competes=whole_horizons, needs="training horizons as long as the scored one",
    ),
    _rule("tenure", "tenure alone", 20),
    _rule("days_since_last_activity", "days since the last activity", 30),
    _rule("past_outcome_rate", "the customer's own past rate", 40),
    _rule("hiatus", "days since the last purchase", 50),
)  # fmt: skip
