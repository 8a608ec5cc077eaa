"""A bundle as MLflow's generic flavour loads it: rows of data/features in, predictions out. Knows no MLflow itself."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.features.cutoffs import Fit
from fedelta.features.errors import FedeltaError
from fedelta.models.btyd.purchase_prior import PurchasePrior, columns_read, priors_before
from fedelta.models.bundle import BadBundle
from fedelta.models.churn.model import ChurnModel
from fedelta.models.churn.storage import load_churn
from fedelta.models.encoding import MissingFeatures
from fedelta.models.learning.season import cutoff_of
from fedelta.models.panel import PRIOR_FEATURES
from fedelta.models.value.model import ClvModel, OrdersModel
from fedelta.models.value.storage import load_clv, load_orders

Floats = npt.NDArray[np.float64]


class BadCutoff(FedeltaError):
    """A row's cutoff is no time, or is earlier than every fit of the purchase models."""


@dataclass(frozen=True)
class BundleModel:
    """The models of a bundle behind one ``predict``."""

    churn: ChurnModel
    clv: ClvModel | None
    orders: OrdersModel | None
    priors: Mapping[pd.Timestamp, PurchasePrior]  # by the cutoff they were fitted at; empty without purchases

    def predict(self, table: pd.DataFrame, params: object = None) -> pd.DataFrame:
        """Predict each row, in row order and with its index.

        Parameters
        ----------
        table : DataFrame of shape (n_rows, n_columns)
            Rows of data/features; columns in any order, others are ignored. `cutoff` with or without a time zone
            (without: UTC). BTYD's columns (data/prior.parquet) are computed where they are absent. Rows whose `status`
            is not "scored" get no figures, as in data/scores.parquet.
        params : object
            Part of MLflow's convention; there are none.

        Returns
        -------
        DataFrame of shape (n_rows, 1 to 5)
            ``churn_probability``; ``clv_expected``, ``clv_low`` and ``clv_high`` where the source knows money;
            ``expected_orders`` where orders were learned.

        Raises
        ------
        MissingFeatures
            If a column the models were trained on is absent.
        BadCutoff
            If a cutoff is no time, or BTYD's columns are absent and every fit is later.
        """
        table = table.assign(cutoff=_utc(pd.Series(cutoff_of(table))))
        asked = np.ones(len(table), bool)
        if "status" in table:
            asked = (table["status"].astype("string") == "scored").to_numpy(bool, na_value=False)
        rows = self._with_prior(table[asked])
        found: dict[str, Floats] = {"churn_probability": self.churn.churn_probability(rows)}
        if self.clv:
            valued = self._at_horizon(rows, self.clv.horizon_days)
            found["clv_expected"] = self.clv.expected_spend(valued)
            found["clv_low"], found["clv_high"] = self.clv.interval(valued)
        if self.orders:
            found["expected_orders"] = self.orders.expected_orders(rows)
        out = np.full((len(table), len(found)), np.nan)
        out[asked] = np.column_stack(list(found.values()))
        return pd.DataFrame(out, index=table.index, columns=list(found))

    @property
    def outputs(self) -> list[str]:
        """The columns of a prediction."""
        value = ["clv_expected", "clv_low", "clv_high"] if self.clv else []
        return ["churn_probability", *value, *(["expected_orders"] if self.orders else [])]

    @property
    def required(self) -> list[str]:
        """The columns that rows must have, besides BTYD's, which are computed where they are absent."""
        encodings = [self.churn.encoding, *(model.encoding for model in (self.clv, self.orders) if model)]
        read = dict.fromkeys(name for encoding in encodings for name in encoding.names)
        return ["cutoff", *(name for name in read if name not in PRIOR_FEATURES)]

    def _at_horizon(self, rows: pd.DataFrame, days: int) -> pd.DataFrame:
        """The rows with the horizon of value, and what the purchase models say of it."""
        if not self.priors or "horizon_days" not in rows or (rows["horizon_days"] == days).all():
            return rows
        other = rows.drop(columns=[*PRIOR_FEATURES]).assign(horizon_days=days)
        return self._with_prior(other)

    def _with_prior(self, rows: pd.DataFrame) -> pd.DataFrame:
        if all(name in rows for name in PRIOR_FEATURES):
            return rows
        rows = rows.drop(columns=[*PRIOR_FEATURES], errors="ignore").reset_index(drop=True)
        if rows.empty or not self.priors:
            return rows.assign(**dict.fromkeys(PRIOR_FEATURES, np.nan))
        if missing := [name for name in columns_read(rows.columns) if name not in rows]:
            raise MissingFeatures(
                f"The purchase models need {missing}, which the table lacks. Pass rows of data/features with all "
                "their columns, or join data/prior.parquet on customer_id and cutoff."
            )
        fits = pd.DatetimeIndex(sorted(self.priors))
        fit = priors_before(self.priors, rows["cutoff"])
        if (fit < 0).any():
            raise BadCutoff(
                f"A row has the cutoff {rows['cutoff'].min():%Y-%m-%d}; the purchase models of this bundle were fitted "
                f"at cutoffs from {fits[0]:%Y-%m-%d} on. Join data/prior.parquet on customer_id and cutoff."
            )
        if late := int((rows["cutoff"].to_numpy() != fits.to_numpy()[fit]).sum()):
            warnings.warn(
                f"{late:,} rows have a cutoff at which this bundle's purchase models were not fitted; the last fit "
                f"before it is used (the latest is of {fits[-1]:%Y-%m-%d}).",
                stacklevel=2,
            )
        parts = [self.priors[fits[number]].columns(rows[fit == number]) for number in np.unique(fit)]
        return rows.join(pd.concat(parts)[[*PRIOR_FEATURES]])


def load_bundle(folder: Path, fit: Fit = "delivered") -> BundleModel:
    """The models of a bundle: those that give the scores, or those that were evaluated.

    Raises
    ------
    BadBundle
        If one is missing, damaged, or was trained on other features than this program computes.
    """
    churn, clv = folder / "churn" / fit, folder / "clv" / fit
    return BundleModel(load_churn(churn), load_clv(clv), load_orders(clv), _priors(folder / "btyd"))


def _priors(folder: Path) -> dict[pd.Timestamp, PurchasePrior]:
    path = folder / "model.json"
    if not path.is_file():  # nothing was bought
        return {}
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return {pd.Timestamp(at): PurchasePrior.from_dict(prior) for at, prior in held.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise BadBundle(f"{path} is damaged ({error}). Fit again with `dvc repro --force`.") from None


def _utc(cutoff: pd.Series) -> pd.Series:
    """Times as models read them: UTC, without a zone. Text is ISO 8601; a time without a zone is taken as UTC."""
    if not pd.api.types.is_numeric_dtype(cutoff):
        try:
            return pd.to_datetime(cutoff, utc=True, format="ISO8601").dt.tz_localize(None)
        except (ValueError, TypeError):  # reported below
            pass
    raise BadCutoff(
        f"`cutoff` must be times, or text as 2026-01-31T00:00:00 (UTC); the first is {next(iter(cutoff), None)!r}."
    )


def _load_pyfunc(path: str) -> BundleModel:
    """MLflow calls this name with the folder of the logged bundle."""
    return load_bundle(Path(path))
