"""The list of a snapshot: filters as bits over its columns, ranks in the order asked for, a page or all of them.

A filter is answered on whole columns, in bounded time, however few it lets pass. Its bits are kept, and so is the run
of customers that a page begins, since the pages after it are most often asked for next.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from threading import Lock
from weakref import WeakKeyDictionary

import polars as pl

from fedelta.serve.snapshots.columns import reason_column
from fedelta.serve.snapshots.kept import Kept
from fedelta.serve.snapshots.listing import AtRisk, Filters, Presence
from fedelta.serve.snapshots.read import SnapshotFile

RUN_ROWS = 1_000
_KEPT_LISTS = 64  # of a snapshot: with the runs of each, 20 MB
_RUNS_OF_A_LIST = 4
_MANY = 100_000  # customers
_BLOCK = 8_192  # ranks
_KEPT_MASKS = 64  # of a snapshot: 8 MB of a million customers
HERE = 0.5

_keeping = Lock()


@dataclass(frozen=True, slots=True)
class _Passing:
    """Who passes filters: a bit for each position, and how many they are."""

    bits: pl.Series
    size: int

    @classmethod
    def of(cls, bits: pl.Series) -> "_Passing":
        return cls(bits, int(bits.sum() or 0))

    def narrowed(self, others: pl.Series | None) -> "_Passing":
        """Those of them whose bit is set in ``others`` too; None: all."""
        return self if others is None else _Passing.of(self.bits & others)


_passed: Kept[_Passing] = Kept(_KEPT_MASKS)


@dataclass(frozen=True, slots=True)
class _Run:
    """Customers of a list that follow each other after the rank ``after``; ``ends``: there are none behind them."""

    after: int
    ranks: list[int]
    rows: list[int]
    total: int
    ends: bool

    def page(self, after: int, limit: int) -> tuple[list[tuple[int, int]], int] | None:
        """The page after a rank, None where it is not all here."""
        if after < self.after or (not self.ends and (not self.ranks or after > self.ranks[-1])):
            return None
        first = bisect_right(self.ranks, after)
        if len(self.ranks) - first < limit and not self.ends:
            return None
        last = first + limit
        return list(zip(self.ranks[first:last], self.rows[first:last], strict=True)), self.total


_runs: WeakKeyDictionary[SnapshotFile, OrderedDict[tuple[str, str], tuple[_Run, ...]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class _Condition:
    """Bits of one column; one of ``others`` may fulfil the condition instead."""

    column: str
    test: Callable[[pl.Series], pl.Series]
    others: tuple[str, ...] = ()

    def of(self, read: Callable[[str], pl.Series]) -> pl.Series:
        bits = self.test(read(self.column))
        for other in self.others:
            bits |= self.test(read(other))
        return bits


def quick_page(file: SnapshotFile, wanted: AtRisk, after: int, limit: int) -> tuple[list[tuple[int, int]], int] | None:
    """As ``page`` where what it needs is kept; else None. For the event loop."""
    with _keeping:
        held = _runs.setdefault(file, OrderedDict())
        for run in reversed(held.get((wanted.filters.key(), wanted.sort), ())):
            if (found := run.page(after, limit)) is not None:
                return found
    return None


def page(
    file: SnapshotFile, wanted: AtRisk, after: int, limit: int, narrowed: pl.Series | None = None
) -> tuple[list[tuple[int, int]], int]:
    """The first customers after a rank, as (rank, row of the scores file), and how many the whole list has.

    Parameters
    ----------
    after : the last rank seen, 0 for none
    narrowed : a bit for each position, False: is not listed. What the operational database knows of customers is
        turned into it by ``bits``.
    """
    length = max(limit, RUN_ROWS) if narrowed is None else limit
    passing = _passing(file, wanted.filters).narrowed(narrowed)
    ranks, positions = _after(file, passing, wanted.sort, after, length)
    rows = file.column("row").gather(positions)
    run = _Run(after, (ranks + 1).to_list(), rows.to_list(), passing.size, len(ranks) < length)
    if narrowed is None:
        _keep(file, (wanted.filters.key(), wanted.sort), run)
    return list(zip(run.ranks[:limit], run.rows[:limit], strict=True)), run.total


def kept_or_new(
    file: SnapshotFile, wanted: AtRisk, after: int, limit: int, narrowed: pl.Series | None = None
) -> tuple[list[tuple[int, int]], int]:
    """As ``page``, from what ``quick_page`` has where it can. For worker threads."""
    kept = quick_page(file, wanted, after, limit) if narrowed is None else None
    return kept or page(file, wanted, after, limit, narrowed)


def count(file: SnapshotFile, filters: Filters, narrowed: pl.Series | None = None) -> int:
    """How many customers pass the filters; ``narrowed`` as in ``page``."""
    return _passing(file, filters).narrowed(narrowed).size


def whole(
    file: SnapshotFile, wanted: AtRisk, after: int, limit: int | None, narrowed: pl.Series | None = None
) -> tuple[pl.Series, pl.Series]:
    """The ranks and rows of the list after a rank: two series, for exports."""
    mask = _passing(file, wanted.filters).narrowed(narrowed).bits
    if wanted.sort == "value_at_risk":
        positions = ranks = mask.arg_true()
    else:
        order = file.column(f"order {wanted.sort}")
        ranks = mask.gather(order).arg_true()
        positions = order.gather(ranks)
    if after:
        later = ranks >= after
        ranks, positions = ranks.filter(later), positions.filter(later)
    if limit is not None:
        ranks, positions = ranks.head(limit), positions.head(limit)
    return ranks + 1, file.column("row").gather(positions)


def bits(file: SnapshotFile, customer_ids: Iterable[str], *, value: bool) -> pl.Series:
    """A bit for each position: ``value`` for these customers, its opposite for all others."""
    every = pl.Series([not value], dtype=pl.Boolean).new_from_index(0, file.listed)
    return every.scatter(sorted(file.positions(customer_ids).values()), value)


def _after(file: SnapshotFile, passing: _Passing, sort: str, after: int, length: int) -> tuple[pl.Series, pl.Series]:
    """The first ranks after ``after`` that pass, 0 for the first customer, and their positions."""
    mask = passing.bits
    if sort == "value_at_risk":
        positions = mask.slice(after).arg_true().head(length) + after
        return positions, positions
    if passing.size > _MANY:  # the first of them are among the first ranks; sorting them all takes longer
        order = file.column(f"order {sort}")
        block = order.slice(after, _BLOCK)
        if len(ranks := mask.gather(block).arg_true().head(length)) == length or after + _BLOCK >= file.listed:
            return ranks + after, block.gather(ranks)
    ranks = file.column(f"rank {sort}").gather(mask.arg_true())
    ranks = ranks.filter(ranks >= after).bottom_k(length).sort()
    return ranks, file.column(f"order {sort}").gather(ranks)


def _keep(file: SnapshotFile, key: tuple[str, str], run: _Run) -> None:
    with _keeping:
        held = _runs.setdefault(file, OrderedDict())
        held[key] = (*held.get(key, ())[1 - _RUNS_OF_A_LIST :], run)
        held.move_to_end(key)
        while len(held) > _KEPT_LISTS:
            held.popitem(last=False)


def _passing(file: SnapshotFile, filters: Filters) -> _Passing:
    """Who passes the filters; kept, since the next page asks for the same."""
    return _passed.get(file, filters.key(), lambda: _new_passing(file, filters))


def _new_passing(file: SnapshotFile, filters: Filters) -> _Passing:
    if filters.presence is None:
        mask, conditions = file.shown(), _conditions(file, filters)
    else:  # lists with and without it are asked for together
        mask, conditions = _passing(file, replace(filters, presence=None)).bits, [_presence(filters.presence)]
    for condition in conditions:
        bits = condition.of(file.column)
        mask = bits if mask is None else mask & bits
        if not mask.any():
            break
    if mask is None:
        mask = pl.Series([True], dtype=pl.Boolean).new_from_index(0, file.listed)
    return _Passing.of(mask.fill_null(value=False) if mask.null_count() else mask)


def _conditions(file: SnapshotFile, filters: Filters) -> list[_Condition]:
    """What a customer must fulfil, the cheapest first."""
    return [*_aside(filters), *_kinds(file, filters), *_reasons(file, filters), *_numbers(filters)]


def _aside(filters: Filters) -> Iterator[_Condition]:
    for column, aside in (("held_out", filters.holdout), ("suppressed", filters.suppressed)):
        if aside == "exclude":
            yield _Condition(column, lambda bits: ~bits)
        elif aside == "only":
            yield _Condition(column, lambda bits: bits)
    if filters.open_issue is not None:
        yield _Condition("open_issue", (lambda bits: bits) if filters.open_issue else (lambda bits: ~bits))


def _kinds(file: SnapshotFile, filters: Filters) -> Iterator[_Condition]:
    for column, values in filters.any_of.items():
        if not values:
            continue
        known = {name: number for number, name in enumerate(file.names[column])}
        numbers = sorted({known[name] for name in values if name in known})
        yield _Condition(column, _among(numbers))


def _among(numbers: list[int]) -> Callable[[pl.Series], pl.Series]:
    if not numbers:
        return _nobody
    if len(numbers) == 1:
        return lambda kinds: kinds == numbers[0]
    return lambda kinds: kinds.is_in(pl.Series(numbers, dtype=kinds.dtype))


def _reasons(file: SnapshotFile, filters: Filters) -> Iterator[_Condition]:
    for kind, values in (("code", filters.reason_codes), ("theme", filters.themes)):
        if not values:
            continue
        met = [column for value in dict.fromkeys(values) if file.has_column(column := reason_column(kind, value))]
        yield _Condition(met[0], lambda bits: bits, tuple(met[1:])) if met else _Condition("row", _nobody)


def _numbers(filters: Filters) -> Iterator[_Condition]:
    least = (
        ("churn_probability", filters.min_probability),
        ("clv_expected", filters.min_clv),
        ("value_at_risk", filters.min_value_at_risk),
        ("delta", filters.min_delta),
    )
    for column, value in least:
        if value is not None:
            yield _Condition(column, _at_least(value))
    if (since := filters.tier_changed_since) is not None:
        yield _Condition("tier_changed_at", lambda at: at >= pl.Series([since], dtype=at.dtype))


def _presence(presence: Presence) -> _Condition:
    return _Condition("p_here", (lambda p: p >= HERE) if presence == "probably_here" else (lambda p: p < HERE))


def _at_least(value: float) -> Callable[[pl.Series], pl.Series]:
    return lambda numbers: numbers >= value


def _nobody(values: pl.Series) -> pl.Series:
    return pl.Series([False], dtype=pl.Boolean).new_from_index(0, len(values))
