"""Effects per customer from a randomised comparison: a cross-fitted DR-learner and an X-learner on small LightGBMs.

DR-learner: Kennedy (2023), "Towards optimal doubly robust estimation of heterogeneous causal effects". X-learner:
Künzel, Sekhon, Bickel & Yu (2019). Both have scikit-learn's conventions: settings in the constructor, `fit` returns
self, what was fitted ends with an underscore.
"""

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from fedelta.models.learning.boosting import Ensemble, side_by_side

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.intp]
LearnerName: TypeAlias = Literal["dr", "x"]

FOLDS = 5
_INNER = 2
_THREADS = 2


class Learner(Protocol):
    """What estimates effects per customer."""

    def fit(self, x: Floats, y: Floats, treated: Booleans, propensity: Floats) -> "Learner":
        """Learn from customers dealt into arms at random with these probabilities of being treated."""

    def predict(self, x: Floats) -> Floats:
        """Expected outcome if treated minus that if not (n,)."""

    @property
    def parts(self) -> dict[str, Ensemble]:
        """What was fitted, by name."""


class DRLearner:
    """Regress doubly robust scores on what is known: unbiased whatever the outcome models, as arms are random."""

    def __init__(self, seeds: Sequence[int] = (1,)) -> None:
        self.seeds = tuple(seeds)

    def fit(self, x: Floats, y: Floats, treated: Booleans, propensity: Floats) -> "DRLearner":
        """Learn; see `Learner.fit`. Outcome models are cross-fitted."""
        boosters = []
        for seed in self.seeds:
            fold = dealt(len(y), _INNER, treated, seed)
            scores = aipw(y, treated, propensity, *out_of_fold_means(x, y, treated, fold, seed))
            boosters.append(grow(binned(x, seed), scores, seed))
        self.effect_ = Ensemble(tuple(boosters))
        return self

    def predict(self, x: Floats) -> Floats:
        """Effect of every row (n,)."""
        return self.effect_.raw(x)

    @property
    def parts(self) -> dict[str, Ensemble]:
        """What was fitted, by name."""
        return {"effect": self.effect_}


class XLearner:
    """Impute each customer's other outcome from the other arm, regress the differences, weigh by propensity."""

    def __init__(self, seeds: Sequence[int] = (1,)) -> None:
        self.seeds = tuple(seeds)

    def fit(self, x: Floats, y: Floats, treated: Booleans, propensity: Floats) -> "XLearner":
        """Learn; see `Learner.fit`. Differences are against the arm that a customer is not in, so never fitted."""
        arms: tuple[list[lgb.Booster], list[lgb.Booster]] = ([], [])
        for seed in self.seeds:
            of_held_out, of_treated = binned(x[~treated], seed), binned(x[treated], seed)
            held, met = grow(of_held_out, y[~treated], seed), grow(of_treated, y[treated], seed)
            arms[0].append(grow(of_held_out, predicted(met, x[~treated]) - y[~treated], seed))
            arms[1].append(grow(of_treated, y[treated] - predicted(held, x[treated]), seed))
        self.of_held_out_, self.of_treated_ = Ensemble(tuple(arms[0])), Ensemble(tuple(arms[1]))
        self.share_treated_ = float(propensity.mean())
        return self

    def predict(self, x: Floats) -> Floats:
        """Effect of every row (n,): that learned in the smaller arm, where errors are larger, weighs less."""
        share = self.share_treated_
        return share * self.of_held_out_.raw(x) + (1 - share) * self.of_treated_.raw(x)

    @property
    def parts(self) -> dict[str, Ensemble]:
        """What was fitted, by name."""
        return {"of_held_out": self.of_held_out_, "of_treated": self.of_treated_}


def learner(name: LearnerName, seeds: Sequence[int]) -> Learner:
    """A learner, not yet fitted."""
    return DRLearner(seeds) if name == "dr" else XLearner(seeds)


def out_of_fold_effects(
    name: LearnerName, x: Floats, y: Floats, treated: Booleans, propensity: Floats, *, seed: int
) -> Floats:
    """The effect of every customer by a learner that saw neither their outcome nor their arm (n,)."""
    fold = dealt(len(y), FOLDS, treated, seed)

    def held(number: int) -> Floats:
        rest = fold != number
        fitted = learner(name, (seed,)).fit(x[rest], y[rest], treated[rest], propensity[rest])
        return fitted.predict(x[~rest])

    return _gathered(fold, side_by_side(held, range(FOLDS), _THREADS))


def out_of_fold_means(x: Floats, y: Floats, treated: Booleans, fold: Integers, seed: int = 1) -> tuple[Floats, Floats]:
    """Expected outcome of every customer if held out and if treated, by models of the other folds: two of (n,)."""
    found = [np.empty(len(y)), np.empty(len(y))]
    for number in np.unique(fold):
        rest = fold != number
        for mean, arm in zip(found, (~treated, treated), strict=True):
            mean[~rest] = predicted(grow(binned(x[rest & arm], seed), y[rest & arm], seed), x[~rest])
    return found[0], found[1]


def aipw(y: Floats, treated: Booleans, propensity: Floats, held_out_mean: Floats, treated_mean: Floats) -> Floats:
    """Doubly robust score of every customer (n,): its mean over any group is unbiased for the group's effect.

    Robins, Rotnitzky & Zhao (1994): difference of the expected outcomes plus the weighted error of the one observed.
    """
    error = np.where(treated, (y - treated_mean) / propensity, -(y - held_out_mean) / (1 - propensity))
    return np.asarray(treated_mean - held_out_mean + error, np.float64)


def dealt(n: int, folds: int, treated: Booleans, seed: int) -> Integers:
    """A fold for every customer (n,), as many of each arm in each."""
    fold = np.empty(n, np.intp)
    rng = np.random.default_rng(seed)
    for arm in (~treated, treated):
        rows = np.flatnonzero(arm)
        fold[rng.permutation(rows)] = np.arange(len(rows)) % folds
    return fold


def binned(x: Floats, seed: int) -> lgb.Dataset:
    """Rows (n, n_columns) as LightGBM reads them, to grow boosters on one after another."""
    return lgb.Dataset(
        x, np.zeros(len(x)),
        params={"max_bin": 63, "verbosity": -1, "num_threads": 1, "min_data_in_leaf": _in_leaf(len(x)), "seed": seed},
    ).construct()  # fmt: skip


def _in_leaf(rows: int) -> int:
    return max(20, rows // 50)


def grow(data: lgb.Dataset, target: Floats, seed: int) -> lgb.Booster:
    """A small booster of squared error: effects are faint, so trees are few and shallow."""
    settings = {
        "objective": "regression",
        "learning_rate": 0.05,
        "num_leaves": 6,
        "min_data_in_leaf": _in_leaf(len(target)),
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "feature_fraction": 0.6,
        "lambda_l2": 20.0,
        "max_bin": 63,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 1,
        "verbosity": -1,
        "seed": seed,
    }
    return lgb.train(settings, data.set_label(target), num_boost_round=80)


def predicted(booster: lgb.Booster, x: Floats) -> Floats:
    """What a booster predicts of every row (n,)."""
    return np.asarray(booster.predict(x, num_threads=1), np.float64)


def _gathered(fold: Integers, parts: Sequence[Floats]) -> Floats:
    out = np.empty(len(fold))
    for number, values in enumerate(parts):
        out[fold == number] = values
    return out
