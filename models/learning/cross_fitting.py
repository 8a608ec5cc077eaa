"""Cross-fitting: every customer predicted by a model that never saw them, where no later cutoff can be held out.

The whole recipe (choice of a candidate, calibration, final fit) is fitted on all folds but one and predicts that one;
pooled, the predictions are of every customer and of no model's own training rows (Stone 1974; Chernozhukov et al. 2018
call it cross-fitting). A fold is of customers, and rows that repeat another's attributes are in one fold: a model would
know the answer from the copy. The fold of a customer depends on ids and attributes alone, never on an outcome.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.features.attributes import PREFIX
from fedelta.models.learning.boosting import side_by_side
from fedelta.models.panel import Panel

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]
Predict = Callable[[Panel, Panel], Mapping[str, Floats]]  # rows to learn from, rows to predict -> by model (n_rows,)

FOLDS = 5
_SEED = 7
_MOST_COPIES = 0.5  # of the rows; where more repeat another, attributes are coarse and equal rows are not copies


def cross_fitted(panel: Panel, predict: Predict, fold: Integers, *, threads: int = 2) -> dict[str, Floats]:
    """Out-of-fold predictions of every row, by model (n_rows,).

    Parameters
    ----------
    panel : Panel
        Labelled rows of one cutoff or several.
    predict : callable
        Fits a recipe on the rows of its first argument and predicts those of its second; it may name several models,
        the same ones for every fold.
    fold : ndarray of shape (n_rows,)
        The fold of each row, from `customer_folds`: a customer's rows are in one.
    threads : int
        Folds fitted at once; the predictions do not depend on it if `predict` uses one thread.
    """
    numbers = np.unique(fold).tolist()
    found = side_by_side(
        lambda number: predict(panel.where(fold != number), panel.where(fold == number)), numbers, threads
    )
    out = {name: np.full(len(panel), np.nan) for name in found[0]}
    for number, predicted in zip(numbers, found, strict=True):
        for name, values in predicted.items():
            out[name][fold == number] = values
    return out


def customer_folds(panel: Panel, folds: int = FOLDS, *, seed: int = _SEED) -> Integers:
    """A fold from 0 to `folds` - 1 for each row (n_rows,): rows of a customer, and of copies, share one."""
    codes, groups = pd.factorize(_groups(panel.table), sort=True)
    dealt = np.empty(len(groups), np.intp)
    dealt[np.random.default_rng(seed).permutation(len(groups))] = np.arange(len(groups)) % folds
    return np.asarray(dealt[codes], np.intp)


def copies_as_one(panel: Panel) -> Panel:
    """The panel with one `customer_id` for all rows that are copies of each other.

    So whoever splits or resamples it by customer keeps copies together. (An id is then a name for a group.)
    """
    return replace(panel, table=panel.table.assign(customer_id=_groups(panel.table)))


def _groups(table: pd.DataFrame) -> pd.Series:
    """The name of each row's group: its customer, or the first customer with the same attributes (n_rows,)."""
    customer = table["customer_id"].astype(str)
    names = [name for name in table.columns if str(name).startswith(PREFIX)]
    if table["cutoff"].nunique() != 1 or not names:
        return customer
    same = pd.util.hash_pandas_object(table[names], index=False)
    if same.duplicated().mean() > _MOST_COPIES:
        return customer
    return customer.groupby(same).transform("min")
