"""Interactions of a few customers as lists and arrays: Polars takes longer to begin than they take to be read."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from fedelta.features.contract import INTERACTIONS

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_MONEY_UNITS = 10_000
_NUMBERS: Mapping[pl.DataType, type[np.generic]] = {
    pl.Float64(): np.float64,
    pl.Int64(): np.int64,
    pl.Boolean(): np.bool_,
}


class NotEvaluated(Exception):
    """Something that is not evaluated over arrays."""


@dataclass(frozen=True)
class Column:
    """A value of every event (n_events,): false or 0 where it is unknown.

    Of text the values are its numbers in `names`, -1 where it is unknown. `known` is None where all are.
    """

    values: npt.NDArray[Any]
    known: npt.NDArray[np.bool_] | None = None
    names: Mapping[str, int] | None = None

    @classmethod
    def where(cls, values: npt.NDArray[Any], known: npt.NDArray[np.bool_] | None) -> "Column":
        """Values of which some are unknown, whatever stands there."""
        return cls(values) if known is None else cls(np.where(known, values, values.dtype.type(0)), known)

    @classmethod
    def of_texts(cls, texts: Sequence[str | None]) -> "Column":
        """Of text; None is unknown."""
        names = {one: number for number, one in enumerate(one for one in dict.fromkeys(texts) if one is not None)}
        values = np.array([-1 if one is None else names[one] for one in texts], np.int64)
        return cls(values, values >= 0 if None in texts else None, names)

    @classmethod
    def of_numbers(cls, numbers: Sequence[Any], dtype: type[np.generic]) -> "Column":
        """Of numbers, or of true and false; None is unknown."""
        if None not in numbers:
            return cls(np.array(numbers, dtype))
        known = np.array([one is not None for one in numbers], np.bool_)
        return cls(np.array([0 if one is None else one for one in numbers], dtype), known)

    def among(self, names: Collection[str]) -> npt.NDArray[np.bool_]:
        """Whether each text is one of some; false where it is unknown."""
        assert self.names is not None
        marks = np.array([*(name in names for name in self.names), False], np.bool_)  # numbers count from 0
        return np.asarray(marks[self.values])

    def series(self, name: str) -> pl.Series:
        """As a column of a table."""
        if self.names is None:
            return pl.Series(name, pa.array(self.values, mask=None if self.known is None else ~self.known))
        return pl.Series(name, [*self.names, None], pl.Enum(list(self.names)))[self.values]  # -1 is the last


@dataclass(frozen=True)
class FewEvents:
    """Interactions sorted by customer, time and id: what came as lists, and arrays of it as they are asked for."""

    lists: Mapping[str, Sequence[Any]]  # of columns of the contract; those that are absent are unknown
    added: Mapping[str, Column] = field(default_factory=dict)
    evaluated: dict[Callable[["FewEvents"], Column], Column] = field(default_factory=dict)  # asked once, answered again
    _read: dict[str, Column] = field(default_factory=dict)

    @classmethod
    def seen(cls, lists: Mapping[str, Sequence[Any]], instant: datetime) -> "FewEvents":
        """Those that had happened and were known before an instant, in order (`features.visibility.seen_before`)."""
        at, unknown = lists["occurred_at"], [None] * len(lists["occurred_at"])
        keys = zip(lists["customer_id"], at, lists["interaction_id"], range(len(at)), strict=True)
        known_at = lists.get("known_at", unknown)
        kept = [
            row
            for _, when, _, row in sorted(keys)
            if when < instant and ((known := known_at[row]) is None or known < instant)
        ]
        return cls({name: [values[row] for row in kept] for name, values in lists.items()})

    @classmethod
    def of(cls, table: pl.DataFrame) -> "FewEvents":
        """The rows of a table of the contract's types, in their order."""
        return cls({column.name: column.to_list() for column in table})

    def __len__(self) -> int:
        """Number of events."""
        return len(self.lists["customer_id"])

    def with_columns(self, added: Mapping[str, Column]) -> "FewEvents":
        """The events and more of them: what was asked before stays answered."""
        return FewEvents(self.lists, {**self.added, **added}, self.evaluated, self._read)

    def __contains__(self, name: object) -> bool:
        return name in self.added or name in INTERACTIONS

    def __getitem__(self, name: str) -> Column:
        """A column; times in µs since 1970.

        Raises
        ------
        NotEvaluated
            If there is none of this name, or it is money, which is counted in decimals (`cents`).
        """
        if (found := self.added.get(name) or self._read.get(name)) is None:
            found = self._read[name] = self._column(name)
        return found

    def texts(self, name: str) -> Sequence[str | None]:
        """A column of text as it came."""
        return self.lists.get(name) or [None] * len(self)

    def _column(self, name: str) -> Column:
        if name not in INTERACTIONS:
            raise NotEvaluated(name)
        dtype, values = INTERACTIONS[name], self.lists.get(name)
        if dtype == pl.String:
            return Column.of_texts(self.texts(name))
        if isinstance(dtype, pl.Datetime):
            return Column.of_numbers(
                [None if at is None else (at - _EPOCH) // _MICROSECOND for at in values or []], np.int64
            )
        if dtype not in _NUMBERS:
            raise NotEvaluated(name)
        if values is None:
            return Column(np.zeros(len(self), _NUMBERS[dtype]), np.zeros(len(self), np.bool_))
        return Column.of_numbers(values, _NUMBERS[dtype])

    def cents(self, name: str) -> Column:
        """Money in 1/10,000 of a unit."""
        given = self.lists.get(name) or [None] * len(self)
        return Column.of_numbers([None if one is None else int(one * _MONEY_UNITS) for one in given], np.int64)

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """First row of each customer, and after the last (n_customers + 1,)."""
        ids = self.lists["customer_id"]
        opens = [row for row in range(len(ids)) if not row or ids[row] != ids[row - 1]]
        return np.array([*opens, len(ids)], np.int64)

    @cached_property
    def table(self) -> pl.DataFrame:
        """As a table."""
        schema = {name: INTERACTIONS[name] for name in self.lists}
        given = pl.DataFrame(dict(self.lists), schema=schema)
        unknown = [pl.lit(None, dtype).alias(name) for name, dtype in INTERACTIONS.items() if name not in schema]
        return given.with_columns(unknown).with_columns(one.series(name) for name, one in self.added.items())
