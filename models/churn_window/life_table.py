"""How long spells last (a silence, a membership) when many are still going on: life tables of counts that add up."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import stdtrit

from fedelta.models.metrics.bootstrap import Interval

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_FEWEST_PARTS = 5  # of the customers, for an interval


@dataclass(frozen=True, eq=False)
class LifeTable:
    """Spells by length in whole days, apart for each part of the customers, so that chance can be estimated.

    A spell that is still going on counts up to the last day it was watched and no further (Kaplan & Meier 1958).
    """

    ended: Integers  # (parts, days + 1) spells that ended on their n-th day
    watched: Integers  # (parts, days + 1) spells, ended or not, by the last day they were watched

    @classmethod
    def of(cls, spells: pl.DataFrame, parts: int) -> "LifeTable":
        """From the columns part (0 to parts − 1), days, ended (did it end that day?) and spells (how many)."""
        part, days, over, number = (spells[name].to_numpy() for name in ("part", "days", "ended", "spells"))
        shape = (parts, int(days.max(initial=0)) + 1)
        ended, watched = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        np.add.at(watched, (part, days), number)
        np.add.at(ended, (part[over], days[over]), number[over])
        return cls(ended, watched)

    @property
    def at_risk(self) -> Integers:
        """Spells that were watched on their n-th day, shape (days + 1,)."""
        return _reached(self.watched.sum(axis=0))

    def reach(self, least: int) -> int:
        """The last day of a spell on which at least so many were watched; 0 if never."""
        enough = np.flatnonzero(self.at_risk >= least)
        return int(enough[-1]) if enough.size else 0

    def lasting(self) -> Floats:
        """Share of spells that last longer than n days: of all (row 0), then without each part, (1 + parts, days + 1).

        Kaplan–Meier on daily counts: the product of 1 − ended / at risk over the days up to n.
        """
        present = self.watched.any(axis=1)
        ended, watched = (_whole_and_without_each(counts[present]) for counts in (self.ended, self.watched))
        return np.asarray(np.cumprod(1 - ended / np.maximum(_reached(watched), 1), axis=1))

    def ending_by(self, day: int) -> Floats:
        """Of the spells that lasted n days, the share that ends by `day`, shape (1 + parts, day + 1); NaN of none."""
        lasting = self.lasting()[:, : day + 1]
        known = lasting > 0
        return np.where(known, 1 - lasting[:, -1:] / np.where(known, lasting, 1.0), np.nan)


def jackknife(figures: Floats) -> Interval:
    """95% interval of a share, from the figure of all and those without each part, shape (1 + parts,).

    Parts are of whole customers, so that the spells of one customer count as the one witness they are (delete-a-group
    jackknife, Kott 2001, Student's t with parts − 1 degrees of freedom). NaN from fewer than five parts.
    """
    value, without = float(figures[0]), figures[1:][np.isfinite(figures[1:])]
    parts = without.size
    if not np.isfinite(value) or parts < _FEWEST_PARTS:
        return Interval(value, np.nan, np.nan)
    error = np.sqrt((parts - 1) / parts * np.sum((without - without.mean()) ** 2))
    width = float(stdtrit(parts - 1, 0.975) * error)
    return Interval(value, max(value - width, 0.0), min(value + width, 1.0))


def added(counts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The counts of several parts of the customers, numbered in their order, as one table."""
    return pl.concat(table.with_columns(part=pl.lit(number, pl.Int32)) for number, table in enumerate(counts))


def _reached(counts: Integers) -> Integers:
    """How many are at or beyond each day, along the last axis."""
    return np.asarray(counts[..., ::-1].cumsum(axis=-1)[..., ::-1], np.int64)


def _whole_and_without_each(counts: Integers) -> Integers:
    whole = counts.sum(axis=0)
    return np.vstack([whole, whole - counts])
