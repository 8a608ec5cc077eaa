"""Boosted trees as a component of the churn model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.models.churn.baselines import BASE
from fedelta.models.encoding import Encoding
from fedelta.models.learning.boosting import Ensemble, TrainingRows, by_rows, fit_ensemble
from fedelta.models.learning.log_odds import btyd_log_odds
from fedelta.models.learning.settings import BoostingSettings, Prior
from fedelta.models.panel import PRIOR_FEATURES, Panel, feature_columns
from fedelta.models.table import AnyTable

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trees:
    """A boosted ensemble that has BTYD's answers among its features, or starts from one of them."""

    kind: ClassVar[str] = "lightgbm"
    ensemble: Ensemble
    encoding: Encoding
    prior: Prior

    def log_odds(self, table: AnyTable) -> Floats:
        """Log-odds of churn (n_rows,): the trees', plus the prior's where they start from it."""
        raw = by_rows(lambda rows: self.ensemble.raw(self.encoding.matrix(rows)), table)
        return raw + btyd_log_odds(table, "pareto") if self.prior == "init_score" else raw

    def contributions(self, table: AnyTable) -> dict[str, Floats]:
        """LightGBM's own (Lundberg et al. 2020, TreeSHAP), and the prior's log-odds as a column of their own."""
        parts = self.ensemble.contributions(self.encoding.matrix(table))
        out = dict(zip((*self.encoding.names, BASE), parts.T, strict=True))
        return out | {"pareto_p_any": btyd_log_odds(table, "pareto")} if self.prior == "init_score" else out

    @property
    def reads(self) -> Encoding:
        """The encoding, and the prior's column where the trees start from it."""
        extra = ("pareto_p_any",) if self.prior == "init_score" else ()
        return Encoding((*self.encoding.names, *extra), self.encoding.categories)

    def to_dict(self) -> dict[str, object]:
        """As JSON, but for the boosters."""
        return {"prior": self.prior, "encoding": self.encoding.to_dict()}

    def texts(self) -> list[str]:
        """The boosters."""
        return self.ensemble.to_text()

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], texts: Callable[[], Sequence[str]]) -> Self:
        """Back from JSON and the boosters."""
        return cls(Ensemble.from_text(texts()), Encoding.from_dict(document["encoding"]), document["prior"])


def grow(panel: Panel, churned: Floats, settings: BoostingSettings, prior: Prior, threads: int) -> Trees:
    """A boosted ensemble of the rows."""
    encoding, rows, init = panel.once(f"rows of trees, BTYD as {prior}", lambda: _training_rows(panel.table, prior))
    return Trees(fit_ensemble(rows, churned, settings, "binary", init_score=init, threads=threads), encoding, prior)


def _training_rows(table: pd.DataFrame, prior: Prior) -> tuple[Encoding, TrainingRows, Floats | None]:
    columns, init = tree_inputs(table, prior)
    encoding = Encoding.of(table[columns])
    return encoding, TrainingRows(encoding.columns(table), encoding), init


def tree_inputs(table: pd.DataFrame, prior: Prior) -> tuple[list[str], Floats | None]:
    """The columns that trees read, and the log-odds (n_rows,) that they start from; None where they start from none."""
    if prior == "init_score":
        return feature_columns(table), btyd_log_odds(table, "pareto")
    return feature_columns(table) + list(PRIOR_FEATURES), None
