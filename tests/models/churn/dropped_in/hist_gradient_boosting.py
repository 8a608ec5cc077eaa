"""scikit-learn's HistGradientBoostingClassifier as a candidate: this one file, put into ``candidate_models``."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from fedelta.features.ranges import Count, PositiveShare
from fedelta.models.churn.baselines import BASE
from fedelta.models.churn.candidate import Candidate, Floats, Range, own_settings, own_tuning, whole_horizons
from fedelta.models.churn.settings import ChurnSettings
from fedelta.models.churn.trees import tree_inputs
from fedelta.models.encoding import Encoding
from fedelta.models.learning.settings import Prior
from fedelta.models.panel import Panel
from fedelta.models.table import AnyTable

NAME = "hist_gradient_boosting"
KEPT = ("value", "feature_idx", "num_threshold", "missing_go_to_left", "left", "right", "is_leaf")


@dataclass(frozen=True)
class HistSettings:
    """How it is grown."""

    max_iter: Count = 60
    learning_rate: PositiveShare = 0.05
    max_leaf_nodes: Count = 8


@dataclass(frozen=True)
class HistTrees:
    """Its trees as tables of nodes."""

    kind: ClassVar[str] = NAME
    encoding: Encoding
    start: float
    trees: tuple[Mapping[str, np.ndarray], ...]

    def log_odds(self, table: AnyTable) -> Floats:
        """Log-odds of churn (n_rows,)."""
        return np.asarray(sum(self.contributions(table).values()), np.float64)

    def contributions(self, table: AnyTable) -> dict[str, Floats]:
        """Of each split on a row's path, to the column it looks at, how far the value moves (Saabas 2014)."""
        matrix = np.asarray(self.encoding.matrix(table), np.float64)
        rows = np.arange(len(matrix))
        out = {name: np.zeros(len(matrix)) for name in (*self.encoding.names, BASE)}
        out[BASE] += self.start + sum(tree["value"][0] for tree in self.trees)
        by_number = np.zeros((len(self.encoding.names), len(matrix)))
        for tree in self.trees:
            node = np.zeros(len(matrix), np.intp)
            while not tree["is_leaf"][node].all():
                column = tree["feature_idx"][node].astype(np.intp)
                value = matrix[rows, column]
                left = np.where(np.isnan(value), tree["missing_go_to_left"][node], value <= tree["num_threshold"][node])
                ahead = np.where(left, tree["left"][node], tree["right"][node]).astype(np.intp)
                ahead = np.where(tree["is_leaf"][node], node, ahead)
                by_number[column, rows] += tree["value"][ahead] - tree["value"][node]
                node = ahead
        return out | dict(zip(self.encoding.names, by_number, strict=True))

    @property
    def reads(self) -> Encoding:
        """All of the encoding."""
        return self.encoding

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {"start": self.start, "encoding": self.encoding.to_dict()}

    def texts(self) -> list[str]:
        """A tree each."""
        return [json.dumps({name: held.tolist() for name, held in tree.items()}) for tree in self.trees]

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], texts: Callable[[], Sequence[str]]) -> Self:
        """Back again."""
        trees = tuple({name: np.array(held) for name, held in json.loads(text).items()} for text in texts())
        return cls(Encoding.from_dict(document["encoding"]), document["start"], trees)


def _fit(panel: Panel, churn: ChurnSettings, _prior: Prior, _threads: int) -> HistTrees:
    columns, _ = tree_inputs(panel.table, "features")
    encoding = Encoding.of(panel.table[columns])
    model = HistGradientBoostingClassifier(
        **asdict(own_settings(churn, NAME, HistSettings)), early_stopping=False, random_state=1
    )
    model.fit(np.asarray(encoding.matrix(panel.table), np.float64), panel.churned(churn.definition))
    trees = tuple({name: tree[0].nodes[name].copy() for name in KEPT} for tree in model._predictors)
    return HistTrees(encoding, float(np.ravel(model._baseline_prediction)[0]), trees)


CANDIDATES = (
    Candidate(
        NAME, "scikit-learn's boosted trees", 95, HistTrees, _fit, competes=whole_horizons,
        needs="training horizons as long as the scored one", settings=HistSettings,
        tuning=own_tuning(NAME, HistSettings, {"max_iter": Range(20, 200), "max_leaf_nodes": Range(4, 31, log=True)}),
    ),
)  # fmt: skip
