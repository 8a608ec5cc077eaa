"""A bundle as MLflow's generic flavour loads it: features in, predictions out. Knows the convention, not MLflow."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from features.cutoffs import Fit
from models.bundle import load_churn, load_clv
from models.churn import ChurnModel
from models.clv import ClvModel
from models.panel import PRIOR_FEATURES


@dataclass(frozen=True)
class BundleModel:
    """Both models of a bundle behind one ``predict``."""

    churn: ChurnModel
    clv: ClvModel | None

    def predict(self, table: pd.DataFrame, params: object = None) -> pd.DataFrame:
        """Predict each row, in row order and with its index.

        Parameters
        ----------
        table : DataFrame of shape (n_rows, n_columns)
            `cutoff` (UTC), features and prior columns in any order; others are ignored.
        params : object
            Part of MLflow's convention; there are none.

        Returns
        -------
        DataFrame of shape (n_rows, 1 or 2)
            ``churn_probability``, and ``clv_expected`` where the bundle knows money.

        Raises
        ------
        MissingFeatures
            If a column the models were trained on is absent.
        """
        out = pd.DataFrame({"churn_probability": self.churn.churn_probability(table)}, index=table.index)
        return out if self.clv is None else out.assign(clv_expected=self.clv.expected_spend(table))

    @property
    def columns(self) -> dict[str, Literal["double", "string", "datetime"]]:
        """Every column that either model may read, with its type; all but `cutoff` may hold nulls."""
        encodings = [self.churn.encoding, *([self.clv.encoding] if self.clv else [])]
        text = {name for encoding in encodings for name in encoding.categories}
        names = dict.fromkeys([*(name for encoding in encodings for name in encoding.names), *PRIOR_FEATURES])
        return {"cutoff": "datetime", **{name: "string" if name in text else "double" for name in names}}


def load_bundle(folder: Path, fit: Fit = "delivered") -> BundleModel:
    """Both models of a bundle: those that give the scores, or those that were evaluated.

    Raises
    ------
    BadBundle
        If one is missing, damaged, or was trained on other features than this program computes.
    """
    return BundleModel(load_churn(folder / "churn" / fit), load_clv(folder / "clv" / fit))


def _load_pyfunc(path: str) -> BundleModel:
    """MLflow calls this name with the folder of the logged bundle."""
    return load_bundle(Path(path))
