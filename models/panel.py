"""The panel a model learns from: one row per customer and cutoff, what was known, and what then happened."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import polars.selectors as cs

from fedelta.features.attributes import PREFIX
from fedelta.features.cutoffs import Fit
from fedelta.features.labels import DECLARED, LATE
from fedelta.features.registry import ACTIVITY_FEATURES, FEATURES
from fedelta.models.table import AnyTable, T, Table

Floats = npt.NDArray[np.float64]
D = TypeVar("D")

ORDER = ("cutoff", "customer_id")  # of the rows of every table

# Columns that buy-till-you-die models add to a row, all at the row's own horizon (models/btyd/purchase_prior.py).
PRIOR_FEATURES = ("pareto_p_alive", "pareto_p_any", "pareto_expected_orders", "pareto_expected_spend", "bg_p_any")


def feature_columns(table: pd.DataFrame) -> list[str]:
    """The columns of a feature table that are features: those of the registry, of activity, and declared attributes."""
    declared = [f.name for f in ACTIVITY_FEATURES if f.name in table.columns]
    return [f.name for f in FEATURES] + declared + [name for name in table.columns if str(name).startswith(PREFIX)]


def activity_in(table: AnyTable) -> str:
    """What columns about activity are named after: ``activity`` where it is declared, else ``purchase``.

    So `days_since_last_{activity_in(table)}` is the silence after which a customer may have left.
    """
    return "activity" if "activity_day_count" in table else "purchase"


@dataclass(frozen=True)
class Panel:
    """Rows that share an index: features with keys and prior columns, and the outcomes (NaN where not yet known)."""

    table: pd.DataFrame  # (n_rows, ...) sorted by cutoff and customer
    outcomes: pd.DataFrame  # (n_rows, ...) those of features.labels.outcomes_of, and DECLARED where a company says

    def once(self, name: str, derive: Callable[[], D]) -> D:
        """What is derived from the rows under a name: derived when it is first asked for, kept as long as the panel."""
        if name not in self._derived:
            self._derived[name] = derive()
        return cast("D", self._derived[name])

    @cached_property
    def _derived(self) -> dict[str, object]:
        return {}

    def where(self, mask: npt.NDArray[np.bool_] | pd.Series) -> "Panel":
        """The rows of a mask."""
        keep = np.asarray(mask, bool)
        return Panel(self.table[keep], self.outcomes[keep])

    def sample(self, customers: int) -> "Panel":
        """The rows of so many customers, drawn by a hash of their ids: the same ones whatever else a base holds.

        The panel itself where it has no more.
        """
        ids = self.table["customer_id"]
        codes, known = pd.factorize(ids)
        if len(known) <= customers:
            return self
        hashed = pd.util.hash_array(np.asarray(known, object), categorize=False)
        drawn = np.zeros(len(known), bool)
        drawn[np.argsort(hashed, kind="stable")[:customers]] = True
        return self.where(drawn[codes])

    def of_role(self, role: str) -> "Panel":
        """The scorable rows of one role: train, evaluate or score.

        Outcomes that the company declared only after the evaluation cutoff are not learned from there.
        """
        return self.where(self._of_role(role))

    def training(self, fit: Fit) -> "Panel":
        """The scorable rows that a fit learns from (``features.cutoffs``): none where there is no evaluated fit."""
        return self.where(self.learned_by(fit))

    def learned_by(self, fit: Fit) -> pd.Series:
        """Whether a fit learns from a row (n_rows,)."""
        return self._of_role("train") if fit == "evaluated" else self.table["refit"] & self._scored

    def churned(self, definition: str) -> Floats:
        """1 where the customer left in the horizon: was not active (`inactivity`), cancelled (`event`), or the company
        says so (`declared`; NaN where it says nothing).

        Whose relationship ended otherwise in the horizon has stayed.
        """
        if definition == "declared":
            return floats(self.outcomes, DECLARED)
        if definition == "event":
            return np.asarray(self.outcomes["horizon_cancellation_count"] > 0, np.float64)
        silent = self.outcomes[f"horizon_{self.activity}_count"] == 0
        if "horizon_ending_count" in self.outcomes:
            silent &= self.outcomes["horizon_ending_count"] == 0
        return np.asarray(silent, np.float64)

    @property
    def activity(self) -> str:
        """What columns about activity are named after (`activity_in`), in the table and in the outcomes."""
        return "activity" if "horizon_activity_count" in self.outcomes else "purchase"

    @property
    def spend(self) -> Floats:
        """Money spent in the horizon."""
        return floats(self.outcomes, "horizon_spend")

    @property
    def cutoffs(self) -> list[pd.Timestamp]:
        """The cutoffs present, oldest first."""
        return sorted(self.table["cutoff"].unique())

    def _of_role(self, role: str) -> pd.Series:
        rows = (self.table["role"] == role) & self._scored
        if role == "train" and LATE in self.outcomes:
            rows &= ~self.outcomes[LATE].astype(bool)
        return rows

    @property
    def _scored(self) -> pd.Series:
        return self.table["status"] == "scored"

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.table)


def cutoff_in(table: Table) -> datetime:
    """The cutoff of the rows, who share one: UTC, without a zone."""
    at: datetime = table["cutoff"][:1].astype("M8[us]").item()
    return at


def floats(table: AnyTable, name: str) -> Floats:
    """A numeric column as floats (n_rows,); null becomes NaN."""
    return as_floats(table[name])


def texts(table: AnyTable, name: str) -> list[str | None]:
    """A column of text (n_rows,); pandas holds a missing one as NaN."""
    return [one if isinstance(one, str) else None for one in table[name].tolist()]


def rows_where(table: T, mask: npt.NDArray[np.bool_]) -> T:
    """The rows of a mask; the table itself where that is all, as to copy one row takes a millisecond."""
    if mask.all():
        return table
    return cast("T", table.where(mask) if isinstance(table, Table) else table[mask])


def beside(table: T, columns: Mapping[str, npt.NDArray[Any]]) -> T:
    """The table with more columns, or others in the place of those of their names."""
    return cast("T", table.beside(columns) if isinstance(table, Table) else table.assign(**columns))


def as_floats(column: pd.Series | npt.NDArray[Any]) -> Floats:
    """A numeric column as floats (n_rows,); null becomes NaN."""
    values = column if isinstance(column, np.ndarray) else column.to_numpy()  # cheaper than asking for floats
    if values.dtype.kind in "fiub":
        return np.asarray(values, np.float64)
    return np.asarray(pd.Series(column).to_numpy(np.float64, na_value=np.nan), np.float64)


def horizon_end(table: pd.DataFrame) -> pd.Series:
    """When each row's outcome was known."""
    days = table["lead_days"] + table["horizon_days"]
    return table["cutoff"] + pd.to_timedelta(days, unit="D")


def to_pandas(table: pl.DataFrame) -> pd.DataFrame:
    """As models read it: text stays text; times are UTC without a zone, whose handling pandas is about to change."""
    plain = table.with_columns(
        pl.col(pl.Enum, pl.Categorical).cast(pl.String), cs.datetime().dt.replace_time_zone(None)
    )
    return plain.to_pandas()
