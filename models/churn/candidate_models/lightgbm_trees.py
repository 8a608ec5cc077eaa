"""LightGBM as candidates: restrained, larger and as it comes; and the mean of the restrained one and a regression.

Trees of little restraint and the mean do not compete on shorter horizons than the scored one: there they lost.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fedelta.models.churn.candidate import Candidate, Range, Tuning, Values, whole_horizons
from fedelta.models.churn.settings import ChurnSettings
from fedelta.models.churn.trees import Trees, grow
from fedelta.models.learning.settings import BoostingSettings, Prior
from fedelta.models.panel import Panel

# LightGBM's own defaults, but for bins: next to no restraint. Without sampling one seed is as good as several.
LIGHTGBM_DEFAULTS = BoostingSettings(
    num_iterations=100, learning_rate=0.1, num_leaves=31, min_data_in_leaf_share=0.0, min_data_in_leaf=20,
    bagging_fraction=1.0, feature_fraction=1.0, lambda_l2=0.0, seeds=1,
)  # fmt: skip
SPACE = {
    "num_iterations": Range(100, 600),
    "learning_rate": Range(0.01, 0.1, log=True),
    "num_leaves": Range(4, 48, log=True),
    "min_data_in_leaf_share": Range(0.002, 0.05, log=True),
    "bagging_fraction": Range(0.5, 0.95),
    "feature_fraction": Range(0.2, 0.9),
    "lambda_l2": Range(1.0, 100.0, log=True),
}
LARGE = SPACE | {"num_leaves": Range(12, 127, log=True), "min_data_in_leaf_share": Range(0.0001, 0.01, log=True)}
_WHOLE = "training horizons as long as the scored one"


def large(churn: ChurnSettings) -> ChurnSettings:
    """The settings with those of the candidate `lightgbm_large` in their place."""
    own: dict[str, Any] = {name: value for name, value in vars(churn.lightgbm_large).items() if value is not None}
    return replace(churn, **own)


def _grown_by(
    settings_of: Callable[[ChurnSettings], BoostingSettings],
) -> Callable[[Panel, ChurnSettings, Prior, int], Trees]:
    def fit(panel: Panel, churn: ChurnSettings, prior: Prior, threads: int) -> Trees:
        return grow(panel, panel.churned(churn.definition), settings_of(churn), prior, threads)

    return fit


def _change(churn: ChurnSettings, values: Values) -> ChurnSettings:
    changed: dict[str, Any] = dict(values)
    return replace(churn, **changed)


def _change_large(churn: ChurnSettings, values: Values) -> ChurnSettings:
    changed: dict[str, Any] = dict(values)
    return replace(churn, lightgbm_large=replace(churn.lightgbm_large, **changed))


_TUNING = Tuning("churn", SPACE, lambda churn: churn, _change)

CANDIDATES = (
    Candidate("lightgbm", "boosted trees", 90, Trees, _grown_by(lambda churn: churn), tuning=_TUNING),
    Candidate(
        "blend", "the mean of several", 100, averages=("logistic", "lightgbm"), competes=whole_horizons,
        needs=_WHOLE, tuning=_TUNING,
    ),
    Candidate(
        "lightgbm_large", "deeper boosted trees", 110, Trees, _grown_by(large), competes=whole_horizons, needs=_WHOLE,
        tuning=Tuning("churn.lightgbm_large", LARGE, large, _change_large),
    ),
    Candidate(
        "lightgbm_defaults", "boosted trees with LightGBM's defaults", 120, Trees,
        _grown_by(lambda _: LIGHTGBM_DEFAULTS), competes=whole_horizons, needs=_WHOLE,
    ),
)  # fmt: skip
