"""How often who bought of one category buys of another within the horizon: counted, and shrunk where few did."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedelta.models.next_purchase.rows import Rows
from fedelta.models.rounding import FITTED, significant

Floats = npt.NDArray[np.float64]
PRIOR_CUSTOMERS = 50.0  # at the popularity of the category, added to each count
DECAYED = "category_decayed_90d"  # how much each category of a history counts


@dataclass(frozen=True)
class Associations:
    """Shares of customers who bought in the horizon.

    `popularity` (n_categories,): of each category, among all. `after` (n_categories, n_categories): of the category of
    the column, among who had bought of that of the row; `after_last`: among whose last occasion held it.
    """

    popularity: Floats
    after: Floats
    after_last: Floats

    def by_history(self, rows: Rows) -> Floats:
        """Mean of `after` over what each customer had bought, recent purchases counting more (n_rows, n_categories)."""
        return self._mean(rows.by_category[DECAYED], self.after)

    def by_last(self, rows: Rows) -> Floats:
        """Mean of `after_last` over the categories of each customer's last occasion (n_rows, n_categories)."""
        return self._mean(in_last(rows), self.after_last)

    def _mean(self, weight: Floats, table: Floats) -> Floats:
        total = weight.sum(axis=1, keepdims=True)
        # Not by BLAS, whose last digit depends on the number of rows.
        mean = np.einsum("nj,jc->nc", weight, table) / np.where(total > 0, total, 1)
        return np.asarray(np.round(np.where(total > 0, mean, self.popularity), 8), np.float64)

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {name: values.tolist() for name, values in vars(self).items()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Associations":
        """Back from JSON."""
        return cls(**{name: np.array(values, np.float64) for name, values in document.items()})


def fit_associations(rows: Rows) -> Associations:
    """Count them in rows whose outcomes are known; a category nobody bought has half a customer."""
    bought = rows.bought
    popularity = (bought.sum(axis=0) + 0.5) / (len(bought) + 1)

    def after(had: Floats) -> Floats:
        both = np.einsum("nj,nc->jc", had, bought)
        shrunk = (both + PRIOR_CUSTOMERS * popularity) / (had.sum(axis=0)[:, None] + PRIOR_CUSTOMERS)
        return significant(np.asarray(shrunk, np.float64), FITTED)

    had = (rows.by_category["category_count"] > 0).astype(np.float64)
    return Associations(significant(popularity, FITTED), after(had), after(in_last(rows)))


def in_last(rows: Rows) -> Floats:
    """1 where the last occasion held the category (n_rows, n_categories)."""
    return np.asarray(rows.by_category["occasions_since_category"] == 0, np.float64)
