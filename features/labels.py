"""What happened in the horizon: the outcomes that models learn and are measured by."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from features.cutoffs import Cutoff
from features.history import History, Measure, View
from features.purchases import PURCHASE, PURCHASE_DAY, SPEND

CANCELLATION = Measure("cancellation", pl.col("kind") == "cancellation", "count", "cancellations")
# What is counted in the horizon, by column of the label table.
OUTCOMES = {
    "horizon_purchase_count": PURCHASE,
    "horizon_purchase_day_count": PURCHASE_DAY,
    "horizon_spend": SPEND,
    "horizon_cancellation_count": CANCELLATION,
}

DECLARED = "declared_churn"  # 1 where the company itself says that the customer left in the horizon, 0 stayed


def microseconds(cutoffs: Sequence[Cutoff]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The instants of the cutoffs in µs since 1970."""
    return np.array([int(cutoff.at.timestamp()) * 1_000_000 for cutoff in cutoffs], np.int64)


def labels_at(history: History, cutoffs: Sequence[Cutoff], view: View) -> pl.DataFrame:
    """Outcomes in ``[horizon_start, horizon_end)`` of every row of `view`: what was bought, and cancellations.

    The view must be of the same history and cutoffs. A purchase day belongs to the horizon if its first purchase does.
    """
    edges = (
        np.array([[int(c.horizon_start.timestamp()), int(c.horizon_end.timestamp())] for c in cutoffs], np.int64)
        * 1_000_000
    )
    instants = np.unique(edges)
    rows = history.rows_before(instants)
    begin, end = (rows[view.customer, np.searchsorted(instants, edges[:, side])[view.cutoff]] for side in (0, 1))
    return pl.DataFrame(
        {
            name: (history.total(m)[end] - history.total(m)[begin]) / (m.scale if m.scale > 1 else 1)
            for name, m in OUTCOMES.items()
        }
    )
