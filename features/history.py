"""A customer's history as a step function of time, and how a cutoff reads it.

Events of many customers lie end to end, sorted by customer and time. A running total per measure gives every window of
every cutoff as a difference of two reads, so the cost hardly grows with windows and cutoffs, and a read cannot see
beyond its cutoff. A yes-or-no measure of many events is kept as bits: its running total is one count per 64 rows, and
the bits set among the last of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import pairwise
from typing import Any, Literal, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

DAY_US = 86_400_000_000

Unit = Literal["count", "days", "hours", "money", "share", "rating", "ratio", "points", "category"]

Integers: TypeAlias = npt.NDArray[np.int64]
Totals: TypeAlias = npt.NDArray[np.signedinteger[Any]]
Floats: TypeAlias = npt.NDArray[np.float64]
Booleans: TypeAlias = npt.NDArray[np.bool_]
Words: TypeAlias = npt.NDArray[np.uint64]
Text: TypeAlias = type[pl.String] | pl.Enum
_Kept = TypeVar("_Kept", bound=npt.NDArray[Any])


@dataclass(frozen=True)
class Measure:
    """What one event counts for, looking only backwards.

    `value` is an expression over the columns of an annotated event, boolean or integer (fixed point with `scale` parts
    to one unit); null counts as zero. Totals are exact whatever the chunking.
    """

    name: str
    value: pl.Expr = field(compare=False)
    unit: Unit
    says: str
    scale: int = 1

    @cached_property
    def at_event(self) -> pl.Expr:
        """The value at every event, null as zero: built once, as building takes longer than evaluating few events."""
        return self.value.fill_null(strategy="zero").alias(self.name)


@dataclass(frozen=True)
class Position:
    """Rows, each as the word of 64 bits that it lies in and a mask of the bits before it."""

    word: Integers
    mask: Words

    @classmethod
    def of(cls, rows: Integers) -> "Position":
        """Of row numbers (n,); the row after the last is one of them."""
        return cls(rows >> 6, (np.uint64(1) << (rows & 63).astype(np.uint64)) - np.uint64(1))


@dataclass(frozen=True)
class Bits:
    """A yes-or-no measure of every event, one bit each."""

    words: Words  # (n_events // 64 + 1,) little-endian; bits after the last event are 0
    before: npt.NDArray[np.int32]  # (n_events // 64 + 1,) how many are set in the words before
    length: int

    @classmethod
    def of(cls, marks: pl.Series) -> "Bits":
        """Of booleans; null counts as false."""
        array = marks.to_arrow()
        validity, values = array.buffers()
        words = _words(values, array.offset, len(array))
        if array.null_count:
            words &= _words(validity, array.offset, len(array))
        before = np.zeros(len(words), np.int32)
        np.cumsum(np.bitwise_count(words[:-1]), dtype=np.int32, out=before[1:])
        return cls(words, before, len(array))

    def total(self, position: Position) -> npt.NDArray[np.int32]:
        """How many are set before each row."""
        total: npt.NDArray[np.int32] = self.before.take(position.word)
        total += np.bitwise_count(self.words.take(position.word) & position.mask)
        return total

    def unpacked(self) -> Booleans:
        """The measure at every event (n_events,)."""
        return np.unpackbits(self.words.view(np.uint8), count=self.length, bitorder="little").view(np.bool_)


def _words(buffer: pa.Buffer, offset: int, length: int) -> Words:
    """Bits of an Arrow buffer, from an offset on, as whole words."""
    octets = np.frombuffer(buffer, np.uint8)
    if offset % 8:
        bits = np.unpackbits(octets, bitorder="little")[offset : offset + length]
        octets = np.packbits(bits, bitorder="little")
    else:
        octets = octets[offset // 8 : (offset + length + 7) // 8]
    words = np.zeros(length // 64 + 1, np.uint64)
    words.view(np.uint8)[: len(octets)] = octets
    words[-1] &= (np.uint64(1) << np.uint64(length % 64)) - np.uint64(1)
    return words


@dataclass(frozen=True)
class History:
    """Events of the customers of one bucket, laid end to end."""

    customer_ids: pl.Series | npt.NDArray[np.object_]  # (n_customers,)
    starts: Integers  # (n_customers + 1,) first row of each customer
    at: Integers  # (n_events,) microseconds since 1970, ascending within a customer
    values: Callable[[Measure], npt.NDArray[np.generic]]  # a measure's value at every event (n_events,)
    _totals: dict[str, Totals] = field(default_factory=dict)
    _rows: dict[str, Integers] = field(default_factory=dict)
    _values: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    _bits: dict[str, Bits] = field(default_factory=dict)
    together: "Together | None" = None  # the measures of few events

    @classmethod
    def of(cls, events: pl.DataFrame, measures: Sequence[Measure] = ()) -> "History":
        """Lay out `events`, sorted by customer and time; `measures` are evaluated together now, others on demand."""
        ids = events["customer_id"]
        first = np.flatnonzero(opens_of(events))
        bits, values = _evaluate(events, measures)
        return cls(
            customer_ids=ids[first],
            starts=np.append(first, len(events)).astype(np.int64),
            at=times_of(events),
            values=lambda measure: events.select(measure.at_event)[measure.name].to_numpy(),
            _totals=Together.of(values).by_name() if values and len(events) < _FEW else {},
            _values=values,
            _bits=bits,
        )

    @classmethod
    def of_values(
        cls,
        customer_ids: Sequence[str],
        starts: Integers,
        at: Integers,
        values: Mapping[str, npt.NDArray[np.generic]],
    ) -> "History":
        """Of few events, whose measures are given by name."""
        ids, together = np.array(customer_ids, object), Together.of(values)
        totals = together.by_name()
        return cls(ids, starts, at, lambda one: values[one.name], totals, _values=dict(values), together=together)

    @cached_property
    def customer(self) -> Integers:
        """Number of the customer of every event (n_events,)."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    @cached_property
    def first_row(self) -> Integers:
        """First row of the customer of every event (n_events,)."""
        return np.repeat(self.starts[:-1], np.diff(self.starts))

    def value(self, measure: Measure) -> npt.NDArray[np.generic]:
        """Value of a measure at every event (n_events,)."""
        if measure.name not in self._values:
            bits = self.bits(measure)
            self._values[measure.name] = self.values(measure) if bits is None else bits.unpacked()
        return self._values[measure.name]

    def bits(self, measure: Measure) -> Bits | None:
        """The measure as bits, if it is kept so."""
        return self._bits.get(measure.name)

    def total(self, measure: Measure) -> Totals:
        """Running total of a measure before every row, and after the last (n_events + 1,).

        Of a yes-or-no measure it needs no more than 32 bits, and half the memory to fetch.
        """
        if measure.name not in self._totals:
            value = self.value(measure)
            dtype: type[np.signedinteger[Any]] = np.int32 if value.dtype == np.bool_ else np.int64
            total: Totals = np.empty(len(self.at) + 1, dtype)
            total[0] = 0
            np.cumsum(value, dtype=dtype, out=total[1:])
            self._totals[measure.name] = total
        return self._totals[measure.name]

    def rows(self, measure: Measure) -> Integers:
        """Rows of the events whose measure is not zero, of all customers, ascending."""
        if measure.name not in self._rows:
            self._rows[measure.name] = np.flatnonzero(self.value(measure))
        return self._rows[measure.name]

    def rows_before(self, instants: Integers) -> Integers:
        """First row at or after each instant, per customer: shape (n_customers, n_instants). Instants ascend.

        Every event is put into the interval between instants where it lies; counts per customer and interval, summed
        along time, give all positions of all customers at once.
        """
        intervals = len(instants) + 1
        interval = np.searchsorted(instants, self.at, side="right")
        counts = np.bincount(self.customer * intervals + interval, minlength=(len(self.starts) - 1) * intervals)
        before = counts.reshape(-1, intervals)[:, :-1].cumsum(axis=1)
        return np.asarray(before + self.starts[:-1, None], np.int64)


def places(rows: Integers) -> pl.Series:
    """Rows to gather from a column (n_rows,); -1, no row, becomes null."""
    return pl.Series(pa.array(rows, pa.int64(), mask=rows < 0))


@dataclass(frozen=True)
class Named:
    """A column of text by the numbers of its names (n_rows,); null where a number is none of a name."""

    names: tuple[str, ...]
    number: Integers
    dtype: Text = pl.String

    def column(self) -> pl.Series:
        """As a table holds it."""
        return pl.Series([*self.names, None], dtype=self.dtype)[self._place]

    def texts(self) -> npt.NDArray[np.object_]:
        """As objects, None for null (n_rows,)."""
        return np.array([*self.names, None], object)[self._place]

    @property
    def _place(self) -> Integers:
        n = len(self.names)
        return np.where((self.number >= 0) & (self.number < n), self.number, n)


@cache
def enum(names: tuple[str, ...]) -> pl.Enum:
    """The type of a column of these texts, made once: that takes longer than to read a few of them."""
    return pl.Enum(names)


def known(values: Floats) -> pl.Series:
    """Numbers as a column (n_rows,); NaN becomes null."""
    return pl.Series(values, nan_to_null=True)


def times_of(events: pl.DataFrame) -> Integers:
    """When each event happened, in µs since 1970 (n_events,)."""
    return np.asarray(events["occurred_at"].to_numpy().view(np.int64))


def opens_of(events: pl.DataFrame) -> Booleans:
    """Whether each event is its customer's first; events lie customer by customer (n_events,)."""
    if len(events) < _FEW:
        ids = events["customer_id"].to_list()
        return np.array([True, *(one != before for before, one in pairwise(ids))][: len(ids)], np.bool_)
    return events.select(_OPENS)["opens"].to_numpy()


_OPENS = (pl.col("customer_id") != pl.col("customer_id").shift(1)).fill_null(True).alias("opens")


_FEW = 4_096  # events; a running total of so few costs less than their bits


def _evaluate(
    events: pl.DataFrame, measures: Sequence[Measure]
) -> tuple[dict[str, Bits], dict[str, npt.NDArray[np.generic]]]:
    """The measures at every event: those of yes or no as bits where events are many, the others as numbers."""
    if not measures:
        return {}, {}
    if len(events) < _FEW:
        return {}, {column.name: column.to_numpy() for column in events.select(m.at_event for m in measures)}
    bits, values = {}, {}
    for column in events.select(m.value.alias(m.name) for m in measures):
        if column.dtype == pl.Boolean:
            bits[column.name] = Bits.of(column)
        else:
            values[column.name] = column.fill_null(strategy="zero").to_numpy()
    return bits, values


@dataclass(frozen=True)
class Together:
    """Measures of few events, all at once: one after the other they take longer to read than all of them together."""

    place: Mapping[str, int]  # of each measure
    values: Integers  # (n_measures, n_events)

    @classmethod
    def of(cls, values: Mapping[str, npt.NDArray[np.generic]]) -> "Together":
        """From the values at every event (n_events,) by measure."""
        return cls({name: place for place, name in enumerate(values)}, np.array(list(values.values()), np.int64))

    @cached_property
    def totals(self) -> Integers:
        """The total of each before every row, and after the last (n_measures, n_events + 1)."""
        found = np.zeros((len(self.values), self.values.shape[-1] + 1), np.int64)
        np.cumsum(self.values, axis=-1, out=found[:, 1:])
        return found

    @cached_property
    def latest(self) -> Integers:
        """The last row before each where a measure is not zero, of whatever customer; -1 where there is none."""
        found = np.full((len(self.values), self.values.shape[-1] + 1), -1)
        rows = np.where(self.values != 0, np.arange(self.values.shape[-1]), -1)
        np.maximum.accumulate(rows, axis=-1, out=found[:, 1:])
        return found

    def by_name(self) -> dict[str, Totals]:
        """The total of each measure (n_events + 1,)."""
        return dict(zip(self.place, self.totals, strict=True))


class View:
    """The histories of a bucket as seen from its cutoffs: one row per (cutoff, customer with an event before it).

    Every method returns one value per row, in row order: by cutoff, then by customer as they lie in the bucket.
    """

    def __init__(
        self,
        history: History,
        cutoffs: Integers,
        window_days: Sequence[int],
        *,
        horizon_days: Sequence[int] = (),
        definition: Literal["inactivity", "event", "declared"] = "inactivity",
    ) -> None:
        """Look at `history` from `cutoffs` (µs) through `window_days`, found at once; others when they are asked for.

        Reads of past outcomes also need the `horizon_days` of each cutoff and the `definition` of churn.
        """
        self.history, self.definition = history, definition
        self._ends = ends = np.asarray(cutoffs, np.int64)
        self._horizons = [(int(end), days * DAY_US) for end, days in zip(ends, horizon_days, strict=False)]
        begins = {days: ends - days * DAY_US for days in window_days}
        instants = np.unique(np.concatenate([ends, *begins.values()]))
        rows = history.rows_before(instants)
        starts = history.starts[:-1, None]

        def at(times: Integers) -> Integers:
            return rows[:, np.searchsorted(instants, times)]

        seen = (at(ends) > starts).T
        self.cutoff, self.customer = np.nonzero(seen)  # number of the cutoff and of the customer of every row
        self.instant = ends[self.cutoff]
        self.start = history.starts[self.customer]
        self.end = at(ends).T[seen]
        self._begin = {days: at(times).T[seen] for days, times in begins.items()}
        self._positions: dict[int | str, Position] = {}
        self._counted: dict[int | None, tuple[Integers, ...]] = {}
        self._latest: tuple[Integers, ...] | None = None
        self._kept: dict[tuple[str, str, int | None], npt.NDArray[Any]] = {}

    def keep(self, what: str, measure: Measure, days: int | None, read: Callable[[], _Kept]) -> _Kept:
        """What is read of a measure, read once: nobody may change it."""
        key = (what, measure.name, days)
        if (kept := self._kept.get(key)) is None:
            kept = self._kept[key] = read()
        return cast("_Kept", kept)

    def count(self, measure: Measure, days: int | None = None) -> Integers:
        """Total of a measure in ``[cutoff - days, cutoff)``, or since the first event, in fixed point."""
        if (together := self.history.together) is not None and measure.name in together.place:
            return self._counts(together, days)[together.place[measure.name]]
        return self.keep("count", measure, days, lambda: self._count(measure, days))

    def _counts(self, together: Together, days: int | None) -> tuple[Integers, ...]:
        """The counts of every measure."""
        if (found := self._counted.get(days)) is None:
            begin = self.start if days is None else self._begin_of(days)
            found = tuple(together.totals[:, self.end] - together.totals[:, begin])
            self._counted[days] = found
        return found

    def _count(self, measure: Measure, days: int | None) -> Integers:
        before = (
            self._total(measure, "start", self.start)
            if days is None
            else self._total(measure, days, self._begin_of(days))
        )
        return np.asarray(self._total_at_end(measure) - before)

    def _total(self, measure: Measure, place: int | str, rows: Integers) -> Totals:
        """Total of a measure before the rows, which are those of a place: days before the cutoff, "start" or "end"."""
        if (bits := self.history.bits(measure)) is None:
            return self.history.total(measure).take(rows)
        if place not in self._positions:
            self._positions[place] = Position.of(rows)
        return bits.total(self._positions[place])

    def _begin_of(self, days: int) -> Integers:
        """First row of the last `days` before the cutoff."""
        if days not in self._begin:
            instants, number = np.unique(self._ends - days * DAY_US, return_inverse=True)
            self._begin[days] = self.history.rows_before(instants)[self.customer, number[self.cutoff]]
        return self._begin[days]

    def _total_at_end(self, measure: Measure) -> Totals:
        return self.keep("end", measure, None, lambda: self._total(measure, "end", self.end))

    def amount(self, measure: Measure, days: int | None = None) -> Floats:
        """The same in the measure's own unit."""
        return np.asarray(self.count(measure, days) / measure.scale, np.float64)

    def last_row(self, measure: Measure) -> Integers:
        """Row of the last event before the cutoff whose measure is not zero, or -1."""
        if (together := self.history.together) is not None and measure.name in together.place:
            return self._last_rows(together)[together.place[measure.name]]
        return self.keep("last row", measure, None, lambda: self._last_row(measure))

    def _last_rows(self, together: Together) -> tuple[Integers, ...]:
        """The last row of every measure."""
        if self._latest is None:
            latest = together.latest[:, self.end]
            self._latest = tuple(np.where(latest >= self.start, latest, -1))
        return self._latest

    def _last_row(self, measure: Measure) -> Integers:
        counting = self.history.rows(measure)
        if not len(counting):
            return np.full(len(self.start), -1)
        yes_or_no = self.history.value(measure).dtype == np.bool_
        before = self._total_at_end(measure) if yes_or_no else np.searchsorted(counting, self.end)
        row = counting.take(before - 1, mode="clip")
        return np.where((before > 0) & (row >= self.start), row, -1)

    def days_since(self, row: Integers) -> Floats:
        """Days from the event at `row` to the cutoff; NaN where there is none (-1)."""
        days: Floats = (self.instant - self.history.at.take(row, mode="wrap")) / DAY_US
        days[row < 0] = np.nan
        return days

    def days_since_last(self, measure: Measure) -> Floats:
        """Days from the last event that counts to the cutoff; NaN where there was none."""
        return self.keep("since last", measure, None, lambda: self.days_since(self.last_row(measure)))

    def days_since_first(self, measure: Measure) -> Floats:
        """Days from the first event that counts to the cutoff; NaN where there was none."""
        return self.days_since(self.first_row(measure))

    def first_row(self, measure: Measure) -> Integers:
        """Row of the first event whose measure is not zero, or -1 if it is not before the cutoff."""
        return self.keep("first row", measure, None, lambda: self._first_row(measure))

    def _first_row(self, measure: Measure) -> Integers:
        counting = self.history.rows(measure)
        if not len(counting):
            return np.full(len(self.start), -1)
        yes_or_no = self.history.value(measure).dtype == np.bool_
        before = self._total(measure, "start", self.start) if yes_or_no else np.searchsorted(counting, self.start)
        nearest = counting.take(before, mode="clip")
        return np.where((nearest >= self.start) & (nearest < self.end), nearest, -1)

    def last_value(self, of: Measure, at: Measure) -> Floats:
        """Value of `of` at the last event where `at` is not zero; NaN where there was none."""
        row = self.last_row(at)
        return np.where(row >= 0, self.history.value(of)[row].astype(np.float64) / of.scale, np.nan)

    def since_last(self, measure: Measure, mark: Measure) -> Integers:
        """Total of `measure` after the last event that counts for `mark`; since the first where there was none."""
        row = self.last_row(mark)
        rows, bits = np.where(row >= 0, row + 1, self.start), self.history.bits(measure)
        before = self.history.total(measure).take(rows) if bits is None else bits.total(Position.of(rows))
        return np.asarray(self._total_at_end(measure) - before)

    def periods_since_first(self, measure: Measure) -> Integers:
        """Whole periods, each as long as the row's horizon, from the first event that counts to the cutoff; else 0."""
        first = self.first_row(measure)
        horizon = np.array([days for _, days in self._horizons], np.int64)[self.cutoff]
        return np.where(first >= 0, (self.instant - self.history.at[first]) // horizon, 0)

    def periods_with(self, measure: Measure, periods: Integers) -> Integers:
        """In how many of the last `periods` (n_rows,), each as long as the row's horizon, something counted.

        Events are in order of time, so a period is counted at the first of its events.
        """
        rows = self.history.rows(measure)
        at, customer = self.history.at[rows], self.history.customer[rows]
        found = np.zeros(len(periods), np.int64)
        for number, (end, horizon) in enumerate(self._horizons):
            mine = self.cutoff == number
            limit = np.zeros(len(self.history.starts) - 1, np.int64)
            limit[self.customer[mine]] = periods[mine]
            before = (end - 1 - at) // horizon  # 0: the period that ends at the cutoff; below 0: the future
            first = np.append(True, (before[1:] != before[:-1]) | (customer[1:] != customer[:-1]))[: len(at)]
            counts = first & (before >= 0) & (before < limit[customer])
            found[mine] = np.bincount(customer[counts], minlength=len(limit))[self.customer[mine]]
        return found

    def highest(self, measure: Measure) -> Floats:
        """Highest value of a measure at any event before the cutoff."""
        value = np.append(self.history.value(measure).astype(np.int64), 0)
        spans = np.column_stack([self.start, self.end]).ravel()
        return np.asarray(np.maximum.reduceat(value, spans)[::2] / measure.scale, np.float64)
