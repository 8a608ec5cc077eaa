"""What happened in the horizon: the outcomes that models learn and are measured by; and who was a customer before."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import numpy as np
import polars as pl

from fedelta.features.activity import ACTIVITY, ACTIVITY_DAY, RENEWAL
from fedelta.features.cutoffs import Cutoff
from fedelta.features.history import History, Integers, Measure, Named, View
from fedelta.features.purchases import PURCHASE, PURCHASE_DAY, SPEND
from fedelta.features.relationship import USUAL, Relationship
from fedelta.features.tenure import ENROLMENT

CANCELLATION = Measure("cancellation", pl.col("kind") == "cancellation", "count", "cancellations")
# Where kinds end the relationship: a cancellation after its end cancels nothing.
_CANCELLATION_IN_FORCE = Measure(
    "cancellation_in_force",
    (pl.col("kind") == "cancellation") & ~pl.col("after_ending"),
    "count",
    "cancellations of a relationship that was not over",
)
ENDING = Measure("ending", pl.col("is_ending"), "count", "ends of the relationship without churn")
_RESUMED_BY = (PURCHASE, RENEWAL, ENROLMENT)  # features.relationship.RESUMING

# What is counted in the horizon, by column of the label table, whatever the settings.
OUTCOMES = {
    "horizon_purchase_count": PURCHASE,
    "horizon_purchase_day_count": PURCHASE_DAY,
    "horizon_spend": SPEND,
    "horizon_cancellation_count": CANCELLATION,
}

DECLARED = "declared_churn"  # 1 where the company itself says that the customer left in the horizon, 0 stayed
LATE = "declared_late"  # known only after the evaluation cutoff: not learned from by what is evaluated there


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def outcomes_of(relationship: Relationship) -> Mapping[str, Measure]:
    """What is counted in the horizon under these settings, by column of the label table.

    Beside `OUTCOMES`: activity, where it is not purchases, and the ends of relationships, where kinds end them.
    """
    found = dict(OUTCOMES)
    if not relationship.by_purchases:
        found |= {"horizon_activity_count": ACTIVITY, "horizon_activity_day_count": ACTIVITY_DAY}
    if relationship.ended:
        found |= {"horizon_cancellation_count": _CANCELLATION_IN_FORCE, "horizon_ending_count": ENDING}
    return found


def status_measures(relationship: Relationship) -> tuple[Measure, ...]:
    """What `status_at` reads."""
    return (*_RESUMED_BY, *outcomes_of(relationship).values(), *((ENDING,) if relationship.ended else ()))


class Rows(Protocol):
    """Rows of a table of customers at cutoffs, by number: a `View` is one."""

    @property
    def customer(self) -> Integers:
        """Number of the customer of every row."""

    @property
    def cutoff(self) -> Integers:
        """Number of the cutoff of every row."""


def microseconds(cutoffs: Sequence[Cutoff]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The instants of the cutoffs in µs since 1970."""
    return np.array([(cutoff.at - _EPOCH) // timedelta(microseconds=1) for cutoff in cutoffs], np.int64)


def labels_at(
    history: History, cutoffs: Sequence[Cutoff], table: Rows, relationship: Relationship = USUAL
) -> pl.DataFrame:
    """Outcomes in ``[horizon_start, horizon_end)`` of every row of `table`: the columns of `outcomes_of`.

    The rows must be of the same history and cutoffs. A purchase day belongs to the horizon if its first purchase does.
    What happened counts when it happened, whenever it became known. `horizon_spend` is sales: returns are not deducted.
    """
    edges = (
        np.array([[int(c.horizon_start.timestamp()), int(c.horizon_end.timestamp())] for c in cutoffs], np.int64)
        * 1_000_000
    )
    instants = np.unique(edges)
    rows = history.rows_before(instants)
    begin, end = (rows[table.customer, np.searchsorted(instants, edges[:, side])[table.cutoff]] for side in (0, 1))
    return pl.DataFrame(
        {
            name: (history.total(m)[end] - history.total(m)[begin]) / (m.scale if m.scale > 1 else 1)
            for name, m in outcomes_of(relationship).items()
        }
    )


def status_at(view: View, relationship: Relationship) -> Named:
    """Why a customer is in or out of scope in every row of the view: of ``features.contract.Status``.

    ``already_churned``: cancelled, and neither bought, renewed nor enrolled since. ``ended``: the relationship ended
    otherwise, and none of these since. ``no_history``: never active, where leaving is to stop being active.
    """
    resumed = np.max([view.last_row(measure) for measure in _RESUMED_BY], axis=0)
    counted = outcomes_of(relationship)
    cancelled = view.last_row(counted["horizon_cancellation_count"])
    gone = (cancelled >= 0) & (cancelled > resumed)
    ended = (view.last_row(ENDING) > resumed) if relationship.ended else np.zeros(len(gone), bool)
    active = PURCHASE if relationship.by_purchases else ACTIVITY
    known = (view.count(active) > 0) | (relationship.definition != "inactivity")
    return Named(("scored", "no_history", "already_churned", "ended"), np.select([gone, ended, known], [2, 3, 0], 1))
