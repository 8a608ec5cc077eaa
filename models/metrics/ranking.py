"""Rows in the order of a prediction: checked and sorted once, then counted under as many weights as we like.

A bootstrap asks the same question of the same rows hundreds of times; only the weights change. So the sort, the ties
and whatever else the weights do not touch are kept in ``Ranked``, and ``Sample`` holds what one weighting adds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt

from fedelta.features.errors import FedeltaError

Floats = npt.NDArray[np.float64]
T = TypeVar("T")


class MetricInputError(FedeltaError, ValueError):
    """Rows no metric can be computed on."""


class NoRowsError(MetricInputError):
    """No rows, or no row of positive weight."""


class LengthMismatchError(MetricInputError):
    """Two arrays that should describe the same rows differ in length or are not one-dimensional."""


class NotFiniteError(MetricInputError):
    """A value is NaN or infinite."""


class NotBinaryError(MetricInputError):
    """A churn label is neither 0 nor 1."""


class NotProbabilityError(MetricInputError):
    """A predicted probability lies outside [0, 1]."""


class BadWeightError(MetricInputError):
    """A weight is negative or not a whole number."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """Rows sorted by prediction, highest first; equal predictions form one group, in which order means nothing."""

    actual: Floats
    predicted: Floats
    order: npt.NDArray[np.intp]  # the caller's row at each place
    ends: npt.NDArray[np.intp]  # place of the last row of each group
    _kept: dict[Callable[["Ranked"], object], object] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, actual: npt.ArrayLike, predicted: npt.ArrayLike) -> "Ranked":
        """Check and sort rows.

        Parameters
        ----------
        actual, predicted : array-like of shape (n,)
            What happened (0/1, or money) and what was predicted, in the same order.

        Raises
        ------
        NoRowsError, LengthMismatchError, NotFiniteError
        """
        happened, forecast = column("actual", actual), column("predicted", predicted)
        if happened.size != forecast.size:
            raise LengthMismatchError(
                f"Expected one prediction per row, got {forecast.size} for {happened.size} rows: align them first."
            )
        if happened.size == 0:
            raise NoRowsError("Expected at least one row, got none: check the filter or the segment.")
        order = np.argsort(-forecast, kind="stable")
        forecast = forecast[order]
        ends = np.append(np.flatnonzero(forecast[1:] != forecast[:-1]), forecast.size - 1)
        return cls(happened[order], forecast, order, ends)

    def once(self, make: Callable[["Ranked"], T]) -> T:
        """``make(self)``, computed on first use: for what all weightings share."""
        if make not in self._kept:
            self._kept[make] = make(self)
        return cast("T", self._kept[make])

    def sample(self, weight: Floats | None = None) -> "Sample":
        """The rows counted ``weight`` times each (caller's row order, unchecked); without it, once."""
        return Sample(self, np.ones(self.order.size) if weight is None else weight[self.order])

    @property
    def churned(self) -> Floats:
        """The labels, 1 for churn, in rank order. Raises NotBinaryError for anything but 0 and 1."""
        return self.once(_binary)

    @property
    def probability(self) -> Floats:
        """The predictions in rank order. Raises NotProbabilityError when one lies outside [0, 1]."""
        return self.once(_probability)


@dataclass(frozen=True, eq=False)
class Sample:
    """Ranked rows, each counted a whole number of times.

    Running totals have shape (groups + 1,): 0, then the total at or above each group, highest prediction first.
    """

    rows: Ranked
    weight: Floats  # in rank order

    @cached_property
    def count(self) -> float:
        """Rows, counted by weight."""
        return float(self.counts[-1])

    @cached_property
    def counts(self) -> Floats:
        """Running total of rows."""
        return self._running(self.weight)

    @cached_property
    def gains(self) -> Floats:
        """Running total of the actuals."""
        return self._running(self.weight * self.rows.actual)

    @property
    def churners(self) -> Floats:
        """Running total of churners: the gains of labels. Raises NotBinaryError when they are none."""
        self.rows.once(_binary)
        return self.gains

    @cached_property
    def forecasts(self) -> Floats:
        """Running total of the predictions."""
        return self._running(self.weight * self.rows.predicted)

    def total(self, values: Floats) -> float:
        """Sum of a per-row quantity (rank order); no BLAS, whose last digit depends on the number of threads."""
        return float(np.sum(self.weight * values))

    def mean(self, values: Floats) -> float:
        """Mean of a per-row quantity (rank order)."""
        return self.total(values) / self.count

    def varies(self, values: Floats) -> bool:
        """Whether a per-row quantity takes more than one value among the rows counted."""
        present = values[self.weight > 0]
        return bool(present.min() < present.max())

    def _running(self, values: Floats) -> Floats:
        return np.concatenate(([0.0], np.cumsum(values)[self.rows.ends]))


def column(name: str, values: npt.ArrayLike) -> Floats:
    """``values`` as finite float64 of shape (n,). Raises LengthMismatchError (another shape) or NotFiniteError."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise LengthMismatchError(f"Expected {name} with one value per row, got shape {array.shape}: pass one column.")
    if not np.isfinite(array).all():
        missing = int((~np.isfinite(array)).sum())
        raise NotFiniteError(
            f"Expected finite {name}, got {missing} of {array.size} NaN or infinite: drop or fill those rows."
        )
    return array


def whole_weights(weight: npt.ArrayLike, rows: int) -> Floats:
    """How often each row counts, as float64 of shape (rows,).

    Raises BadWeightError (negative, fractional), LengthMismatchError, NotFiniteError or NoRowsError (all 0).
    """
    array = column("weight", weight)
    if array.size != rows:
        raise LengthMismatchError(f"Expected one weight per row, got {array.size} for {rows} rows: align them first.")
    if (array < 0).any() or (array != np.floor(array)).any():
        raise BadWeightError("Expected weights that count rows (0, 1, 2, …), got a negative or fractional one.")
    if not array.any():
        raise NoRowsError("Expected a row of positive weight, got weights that are all 0.")
    return array


def _binary(rows: Ranked) -> Floats:
    if not np.isin(rows.actual, (0.0, 1.0)).all():
        raise NotBinaryError(
            "Expected churn labels of 0 or 1, got other values: pass the label, or use a value metric."
        )
    return rows.actual


def _probability(rows: Ranked) -> Floats:
    highest, lowest = rows.predicted[0], rows.predicted[-1]
    if lowest < 0 or highest > 1:
        raise NotProbabilityError(
            f"Expected probabilities in [0, 1], got {lowest:g} to {highest:g}: a mere score has RANK_METRICS."
        )
    return rows.predicted
