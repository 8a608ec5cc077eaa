"""What buy-till-you-die models know of a customer: repeat purchases, when the last one was, and how old they are."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from fedelta.features.errors import FedeltaError

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.intp]


class InvalidHistory(FedeltaError, ValueError):
    """A purchase history that cannot have happened, or a horizon that lies in the past."""


class NoCustomers(FedeltaError, ValueError):
    """There is nobody to learn from."""


@dataclass(frozen=True)
class Summary:
    """Purchase histories; whatever is given becomes float arrays of shape (n_customers,).

    Raises
    ------
    InvalidHistory
        If the lengths differ, a value is negative or not finite, the last purchase comes after the present,
        or the count of repeat purchases and the time of the last one contradict each other.
    """

    frequency: Floats
    """Days with a purchase after the first such day (x)."""
    recency: Floats
    """Days from the first purchase to the last (t_x); 0 without a repeat purchase."""
    age: Floats
    """Days from the first purchase to the present (T)."""

    def __post_init__(self) -> None:
        for name in ("frequency", "recency", "age"):
            object.__setattr__(self, name, np.atleast_1d(np.asarray(getattr(self, name), dtype=np.float64)))
        x, t_x, T = self.frequency, self.recency, self.age
        if not (x.ndim == 1 and x.shape == t_x.shape == T.shape):
            raise InvalidHistory(
                "Expected one frequency, recency and age per customer, in three columns of equal length; "
                f"the shapes are {x.shape}, {t_x.shape} and {T.shape}."
            )
        for wrong, rule in (
            (~(np.isfinite(x) & np.isfinite(t_x) & np.isfinite(T)), "finite numbers"),
            ((x < 0) | (t_x < 0), "frequency and recency of at least 0"),
            ((x > 0) & (x < 1), "frequency in whole purchase days"),
            ((x == 0) & (t_x > 0), "recency 0 where there is no repeat purchase"),
            (t_x > T, "recency of at most age: no purchase after the present"),
        ):
            if wrong.any():
                first = int(np.flatnonzero(wrong)[0])
                raise InvalidHistory(
                    f"Expected {rule}; {int(wrong.sum())} of {len(x)} customers differ, the first in row {first}: "
                    f"frequency {x[first]:g}, recency {t_x[first]:g}, age {T[first]:g}. Correct or drop such rows."
                )

    def __len__(self) -> int:
        """Number of customers."""
        return len(self.frequency)

    @cached_property
    def frequencies(self) -> tuple[Floats, Positions]:
        """Every frequency that occurs, and for each customer the place of theirs."""
        counts, at = np.unique(self.frequency, return_inverse=True)
        return counts, at

    @cached_property
    def found(self) -> dict[object, Floats]:
        """What models have found of these histories, by model: most answers start from it, and nobody may change it."""
        return {}


@dataclass(frozen=True)
class Condensed:
    """Distinct histories, and how many customers share each: all that a likelihood needs."""

    summary: Summary
    customers: Floats

    @classmethod
    def of(cls, summary: Summary) -> Self:
        """Merge the customers whose histories are equal."""
        first, code = distinct(summary.frequency, summary.recency, summary.age)
        equal = Summary(summary.frequency[first], summary.recency[first], summary.age[first])
        return cls(equal, np.bincount(code).astype(np.float64))

    def merged(self, most_rows: int) -> Self:
        """Where there are more than ``most_rows`` (at least 1000): also merge those that nearly agree.

        A bin becomes its mean, on the finest of a sequence of grids that leaves few enough. On the axes of the grid the
        likelihoods of these models curve about equally everywhere, so busy customers are distinguished more finely.
        Small counts stay exact, and so does who made no repeat purchase.
        """
        if len(self.summary) <= most_rows:
            return self
        x, t_x, T = self.summary.frequency, self.summary.recency, self.summary.age
        rhythm = (self.customers * T).sum() / (4 * (self.customers * x).sum() + 4)  # days; of the size of alpha
        silence = (x > 0) * (x + 1) * np.log((rhythm + T) / (rhythm + t_x))
        axes = (2 * np.sqrt(x), np.sqrt(x + 1) * np.log1p(T / rhythm), 4 * np.log1p(silence / 4))
        code: Positions = np.arange(len(x))
        for fineness in 128 * 0.7 ** np.arange(24):
            code = distinct(*(np.rint(fineness * axis) for axis in axes))[1]
            if code.max() < most_rows:
                break
        return self._averaged(code)

    def _averaged(self, code: Positions) -> Self:
        customers = np.bincount(code, self.customers).astype(np.float64)
        x, t_x, T = (
            np.bincount(code, self.customers * column) / customers
            for column in (self.summary.frequency, self.summary.recency, self.summary.age)
        )
        return type(self)(Summary(x, np.minimum(t_x, T), T), customers)


def distinct(*columns: Floats) -> tuple[Positions, Positions]:
    """Distinct rows of columns of equal length: where each occurs first, and for every row which of them it is."""
    code: Positions = np.zeros(len(columns[0]), dtype=np.intp)
    first = code
    for column in columns:
        levels, level = np.unique(column, return_inverse=True)
        _, first, code = np.unique(code * len(levels) + level, return_index=True, return_inverse=True)
    return first, code
