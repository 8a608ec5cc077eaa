"""Where each event stands among its customer's: what came before it, how long ago, and what comes next."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from fedelta.features.history import Booleans, Floats, Integers


@dataclass(frozen=True)
class Timeline:
    """Events of whole customers end to end, sorted by customer and time (at least one)."""

    events: pl.DataFrame

    @cached_property
    def at(self) -> Integers:
        return self.events["occurred_at"].dt.epoch("us").to_numpy()

    @cached_property
    def customer(self) -> Integers:
        ids = self.events["customer_id"]
        return (ids != ids.shift(1)).fill_null(True).cum_sum().to_numpy().astype(np.int64) - 1

    @cached_property
    def first(self) -> Integers:
        """First row of the customer of every event."""
        return np.searchsorted(self.customer, self.customer)

    @cached_property
    def end(self) -> Integers:
        """Row after the customer's last, of every event."""
        return np.searchsorted(self.customer, self.customer, side="right")

    @cached_property
    def _instants(self) -> Integers:
        return np.unique(self.at)

    @cached_property
    def _keys(self) -> Integers:
        """Customer and instant as one ascending number."""
        return self.customer * (len(self._instants) + 1) + np.searchsorted(self._instants, self.at)

    def row_at(self, offset_us: int, *, after: bool = False) -> Integers:
        """First row of the customer at (or after) each event's time plus an offset."""
        place = np.searchsorted(self._instants, self.at + offset_us, side="right" if after else "left")
        return np.searchsorted(self._keys, self.customer * (len(self._instants) + 1) + place)

    @cached_property
    def past_instant(self) -> Integers:
        """First row after the instant of each event; may be the next customer's."""
        return self.row_at(0, after=True)

    def mark(self, condition: pl.Expr) -> Booleans:
        """Whether a condition holds, null counting as no."""
        return self.events.select(mark=condition.fill_null(False))["mark"].to_numpy()

    def since_previous(self, mark: Booleans) -> Floats:
        """Microseconds since the customer's marked event on a row before; NaN where there is none."""
        latest = np.maximum.accumulate(np.where(mark, np.arange(len(mark)), -1))
        previous = np.append(-1, latest[:-1])
        return np.where(previous >= self.first, self.at - self.at[previous], np.nan)

    def next_row(self, mark: Booleans) -> Integers:
        """Row of the customer's next marked event of a later instant; -1 where there is none."""
        rows = np.append(np.where(mark, np.arange(len(mark)), len(mark)), len(mark))
        coming = np.minimum.accumulate(rows[::-1])[::-1][self.past_instant]
        return np.where(coming < self.end, coming, -1)

    def until_next(self, mark: Booleans) -> Floats:
        """Microseconds until the customer's marked event of a later instant; NaN where there is none."""
        coming = self.next_row(mark)
        return np.where(coming >= 0, self.at[coming] - self.at, np.nan)

    def first_since(self, mark: Booleans) -> Floats:
        """Microseconds from the customer's first event to the first marked one; NaN where there is none."""
        rows = np.append(np.where(mark, np.arange(len(mark)), len(mark)), len(mark))
        coming = np.minimum.accumulate(rows[::-1])[::-1][self.first]
        since = self.at[np.minimum(coming, len(mark) - 1)] - self.at[self.first]
        return np.where(coming < self.end, since, np.nan)


def counted(mark: Booleans, begin: Integers, end: Integers) -> Integers:
    """Marked events on the rows from begin (included) to end."""
    total = np.append(0, np.cumsum(mark))
    return np.asarray(total[end] - total[begin])
