"""Small regularised LightGBM ensembles: the same trees from the same rows, every time.

LightGBM's own defaults lose to logistic regression on small data; these are many small steps of small trees on samples
of rows and columns, averaged over seeds.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from fedelta.models.encoding import Encoding, Matrix
from fedelta.models.learning.one_row import OneRow
from fedelta.models.learning.settings import BoostingSettings
from fedelta.models.table import AnyTable

Floats = npt.NDArray[np.float64]
_BY_ROW, _BY_COLUMN = (f"[force_col_wise: {1 - row}]\n[force_row_wise: {row}]\n" for row in (1, 0))
_ROWS_AT_ONCE = 200_000
_FEW_COLUMNS = 0.6  # of all: fewer are copied for each tree where histograms are by row
Objective = Literal["binary", "cross_entropy", "poisson", "tweedie", "gamma"]
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Ensemble:
    """Boosters grown from different seeds; their raw scores are averaged.

    They predict on one thread, too. LightGBM keeps one number of threads for the whole process and sizes buffers by it;
    a prediction without ``num_threads`` raises it, and a data set begun meanwhile writes past its buffer.
    """

    boosters: tuple[lgb.Booster, ...]

    def raw(self, matrix: Matrix) -> Floats:
        """Mean raw score of every row, without any init score (n_rows,)."""
        if len(matrix) == 1:
            scores = [of_row(matrix[0]) for of_row in self._raw_of_row]
        else:
            scores = [np.asarray(booster.predict(matrix, raw_score=True, num_threads=1)) for booster in self.boosters]
        return np.asarray(np.mean(scores, axis=0), np.float64)

    def contributions(self, matrix: Matrix) -> Floats:
        """What each column adds to the raw score, and last the constant: (n_rows, n_columns + 1), rows sum to `raw`."""
        if len(matrix) == 1:
            parts = [of_row(matrix[0])[None] for of_row in self._contributions_of_row]
        else:
            parts = [np.asarray(booster.predict(matrix, pred_contrib=True, num_threads=1)) for booster in self.boosters]
        return np.asarray(np.mean(parts, axis=0), np.float64)

    @cached_property
    def _raw_of_row(self) -> tuple[OneRow, ...]:
        return tuple(OneRow(booster, "raw") for booster in self.boosters)

    @cached_property
    def _contributions_of_row(self) -> tuple[OneRow, ...]:
        return tuple(OneRow(booster, "contributions") for booster in self.boosters)

    def importance(self) -> Floats:
        """Mean gain of every column (n_columns,)."""
        gains = [booster.feature_importance(importance_type="gain") for booster in self.boosters]
        return np.asarray(np.mean(gains, axis=0), np.float64)

    def to_text(self) -> list[str]:
        """Each booster as LightGBM text, which does not tell by which of two ways histograms were summed."""
        return [booster.model_to_string().replace(_BY_ROW, _BY_COLUMN) for booster in self.boosters]

    @classmethod
    def from_text(cls, texts: Sequence[str]) -> "Ensemble":
        """Back from LightGBM text."""
        return cls(tuple(lgb.Booster(model_str=text) for text in texts))


class TrainingRows:
    """Rows that ensembles are grown on, one after another: binned once for all whose leaves hold as many rows at least.

    (LightGBM leaves out of a data set the columns that no leaf of that size could be split by.)
    """

    def __init__(self, held: Matrix | pa.Table, encoding: Encoding) -> None:
        self._held, self._encoding = held, encoding
        self._binned: dict[tuple[int, bool, bool], lgb.Dataset] = {}

    def binned(self, target: Floats, init_score: Floats | None, weight: Floats | None, least: int) -> lgb.Dataset:
        """LightGBM's data set for leaves of at least so many rows; the one given before for them is of this target."""
        key = least, init_score is None, weight is None
        if (data := self._binned.get(key)) is not None:
            return data.set_label(target).set_init_score(init_score).set_weight(weight)
        data = self._binned[key] = lgb.Dataset(
            self._held,
            target,
            weight=weight,
            init_score=init_score,
            feature_name=list(self._encoding.names),
            categorical_feature=self._encoding.categorical,
            params={"max_bin": 63, "verbosity": -1, "min_data_in_leaf": least, "num_threads": 1},
            free_raw_data=False,
        )
        return data.construct()


def fit_ensemble(
    rows: TrainingRows,
    target: Floats,
    settings: BoostingSettings,
    objective: Objective,
    *,
    init_score: Floats | None = None,
    weight: Floats | None = None,
    threads: int = 2,
    tweedie_power: float = 1.5,
) -> Ensemble:
    """Grow `settings.seeds` boosters of `target` on the rows, `threads` at a time.

    With `init_score` (log-odds, or log of the mean) the trees learn only what it misses, and `raw` must be added to it.
    """
    least = max(settings.min_data_in_leaf, round(settings.min_data_in_leaf_share * len(target)))
    base: dict[str, object] = {
        "objective": objective,
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.num_leaves,
        "min_data_in_leaf": least,
        # A sample of few rows would be empty.
        "bagging_fraction": max(settings.bagging_fraction, min(1.0, 40 / len(target))),
        "bagging_freq": 1,
        "feature_fraction": settings.feature_fraction,
        "lambda_l2": settings.lambda_l2,
        "max_bin": 63,
        "boost_from_average": init_score is None,
        "deterministic": True,
        # The same sums in the same order, and so the same trees; by row in less time unless few columns are read.
        "force_row_wise" if settings.feature_fraction > _FEW_COLUMNS else "force_col_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    if objective == "tweedie":
        base["tweedie_variance_power"] = tweedie_power
    data = rows.binned(target, init_score, weight, least)

    def grow(seed: int) -> lgb.Booster:
        return lgb.train({**base, "seed": seed}, data, num_boost_round=settings.num_iterations)

    return Ensemble(tuple(side_by_side(grow, range(1, settings.seeds + 1), threads)))


def by_rows(predict: Callable[[Any], Floats], table: AnyTable) -> Floats:
    """What `predict` makes of a table (n_rows,), asked of some rows at a time: their matrix is all that is held."""
    if not isinstance(table, pd.DataFrame) or len(table) <= _ROWS_AT_ONCE:
        return predict(table)
    return np.concatenate([predict(table.iloc[i : i + _ROWS_AT_ONCE]) for i in range(0, len(table), _ROWS_AT_ONCE)])


def side_by_side(work: Callable[[T], R], tasks: Iterable[T], threads: int) -> list[R]:
    """What `work` makes of each task, in order, `threads` at a time.

    LightGBM lets go of the interpreter while it grows. Two boosters grown side by side on a thread each take half the
    time, one booster on two threads three quarters; and a booster grown on one thread is the same everywhere.
    """
    todo = list(tasks)
    if min(threads, len(todo)) < 2:  # to begin a thread takes longer than to predict a few rows
        return [work(one) for one in todo]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, todo))
