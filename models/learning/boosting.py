"""Small regularised LightGBM ensembles: the same trees from the same rows, every time.

LightGBM's own defaults lose to logistic regression on small data; these are many small steps of small trees on samples
of rows and columns, averaged over seeds.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from fedelta.models.encoding import Encoding, Matrix
from fedelta.models.learning.settings import BoostingSettings

Floats = npt.NDArray[np.float64]
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
        scores = [np.asarray(booster.predict(matrix, raw_score=True, num_threads=1)) for booster in self.boosters]
        return np.asarray(np.mean(scores, axis=0), np.float64)

    def contributions(self, matrix: Matrix) -> Floats:
        """What each column adds to the raw score, and last the constant: (n_rows, n_columns + 1), rows sum to `raw`."""
        parts = [np.asarray(booster.predict(matrix, pred_contrib=True, num_threads=1)) for booster in self.boosters]
        return np.asarray(np.mean(parts, axis=0), np.float64)

    def importance(self) -> Floats:
        """Mean gain of every column (n_columns,)."""
        gains = [booster.feature_importance(importance_type="gain") for booster in self.boosters]
        return np.asarray(np.mean(gains, axis=0), np.float64)

    def to_text(self) -> list[str]:
        """Each booster as LightGBM text."""
        return [booster.model_to_string() for booster in self.boosters]

    @classmethod
    def from_text(cls, texts: Sequence[str]) -> "Ensemble":
        """Back from LightGBM text."""
        return cls(tuple(lgb.Booster(model_str=text) for text in texts))


def fit_ensemble(
    matrix: Matrix,
    target: Floats,
    encoding: Encoding,
    settings: BoostingSettings,
    objective: Objective,
    *,
    init_score: Floats | None = None,
    weight: Floats | None = None,
    threads: int = 2,
    tweedie_power: float = 1.5,
) -> Ensemble:
    """Grow `settings.seeds` boosters of `target` on the rows of `matrix`, `threads` at a time.

    With `init_score` (log-odds, or log of the mean) the trees learn only what it misses, and `raw` must be added to it.
    """
    base: dict[str, object] = {
        "objective": objective,
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.num_leaves,
        "min_data_in_leaf": max(settings.min_data_in_leaf, round(settings.min_data_in_leaf_share * len(target))),
        # A sample of few rows would be empty.
        "bagging_fraction": max(settings.bagging_fraction, min(1.0, 40 / len(target))),
        "bagging_freq": 1,
        "feature_fraction": settings.feature_fraction,
        "lambda_l2": settings.lambda_l2,
        "max_bin": 63,
        "boost_from_average": init_score is None,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    if objective == "tweedie":
        base["tweedie_variance_power"] = tweedie_power
    data = lgb.Dataset(
        matrix,
        target,
        weight=weight,
        init_score=init_score,
        feature_name=list(encoding.names),
        categorical_feature=encoding.categorical,
        params={"max_bin": 63, "verbosity": -1, "min_data_in_leaf": base["min_data_in_leaf"], "num_threads": 1},
        free_raw_data=False,
    )
    data.construct()

    def grow(seed: int) -> lgb.Booster:
        return lgb.train({**base, "seed": seed}, data, num_boost_round=settings.num_iterations)

    return Ensemble(tuple(side_by_side(grow, range(1, settings.seeds + 1), threads)))


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
