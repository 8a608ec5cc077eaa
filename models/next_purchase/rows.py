"""Rows to learn from: a customer at a cutoff, with an array over categories of what was bought before and after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.features.categories import CategoryView
from fedelta.models.panel import Panel
from fedelta.models.table import AnyTable, Table

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Customers at cutoffs. Arrays `by_category` and `bought` are (n_rows, n_categories), `by_customer` (n_rows,)."""

    keys: AnyTable  # (n_rows, ...) customer_id, cutoff, horizon_days, lead_days; pandas' index is 0 to n_rows - 1
    by_category: Mapping[str, Floats]
    by_customer: Mapping[str, Floats]
    bought: Floats  # 1 where the customer bought of the category in the horizon; NaN where that is not known

    @classmethod
    def of(cls, views: Sequence[tuple[CategoryView, Mapping[str, object]]]) -> "Rows":
        """What views saw, one below the other, each with its cutoff, horizon_days and lead_days; not empty."""
        keys = [pd.DataFrame({"customer_id": view.customer_ids.to_list(), **at}) for view, at in views]
        first = views[0][0]
        return cls(
            keys[0] if len(keys) == 1 else pd.concat(keys, ignore_index=True),
            {name: np.concatenate([view.by_category[name] for view, _ in views]) for name in first.by_category},
            {name: np.concatenate([view.by_customer[name] for view, _ in views]) for name in first.by_customer},
            np.concatenate([_outcome(view) for view, _ in views]),
        )

    @classmethod
    def at(cls, view: CategoryView, cutoff: datetime) -> "Rows":
        """What one view saw, to recommend by: its keys are the customer and the cutoff."""
        n = len(view.customer_ids)
        keys = {
            "customer_id": np.array(view.customer_ids.to_list(), object),
            "cutoff": np.full(n, cutoff.replace(tzinfo=None), "M8[us]"),
        }
        return cls(Table(keys, n), view.by_category, view.by_customer, _outcome(view))

    def where(self, mask: npt.NDArray[np.bool_]) -> "Rows":
        """The rows of a mask."""
        return Rows(
            self.table[mask].reset_index(drop=True),
            {name: values[mask] for name, values in self.by_category.items()},
            {name: values[mask] for name, values in self.by_customer.items()},
            self.bought[mask],
        )

    @property
    def panel(self) -> Panel:
        """The keys alone, as what folds are made of; their index says which row each is."""
        return Panel(self.table, self.table[[]])

    @property
    def table(self) -> pd.DataFrame:
        """The keys as pandas holds them."""
        assert isinstance(self.keys, pd.DataFrame)
        return self.keys

    @property
    def buyers(self) -> npt.NDArray[np.bool_]:
        """Who bought of any category in the horizon (n_rows,)."""
        return np.asarray((self.bought > 0).any(axis=1))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.keys)


def _outcome(view: CategoryView) -> Floats:
    if view.bought is None:
        return np.full((len(view.customer_ids), next(iter(view.by_category.values())).shape[1]), np.nan)
    return view.bought.astype(np.float64)
