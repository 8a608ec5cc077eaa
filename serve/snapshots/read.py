"""A snapshot as it is read: immutable, mapped into memory, without a lock. It works on when its files are removed."""

import mmap
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import LifoQueue

import orjson
import polars as pl

from fedelta.features.errors import FedeltaError
from fedelta.serve.operational.erased import NOBODY, Erased
from fedelta.serve.snapshots.columns import reason_column
from fedelta.serve.snapshots.write import BODIES

_AT_ONCE = 500  # values bound in one statement
_CONNECTIONS = 4
_MAPPED = 1 << 40  # bytes: all of the file, whatever its size
_CACHE_KIB = 2_048  # beside the mapping, which is shared by all processes


class SnapshotUnreadable(FedeltaError):
    """The files are missing or no snapshot."""


class SnapshotFile:
    """One snapshot. ``find`` is for one thread, the event loop's; the rest for any, some at a time."""

    def __init__(self, path: Path, erased: Erased = NOBODY) -> None:
        self.path, self.snapshot_id, self.erased = path, path.stem, erased
        opened: list[sqlite3.Connection] = []
        self._finalizer = weakref.finalize(self, _close, opened)
        try:
            opened.extend(_open(path) for _ in range(1 + _CONNECTIONS))
            facts = {name: orjson.loads(value) for name, value in opened[0].execute("SELECT name, value FROM facts")}
            self._stored = frozenset(name for (name,) in opened[0].execute("SELECT name FROM columns"))
            self.names: Mapping[str, list[str]] = facts["names"]
            self.customers: int = facts["customers"]
            self.listed: int = facts["listed"]
            self._bodies = _mapped(path.with_suffix(BODIES))
            end = facts["starts_at"] + 8 * (self.customers + 1)
            self._view = memoryview(self._bodies)
            if len(self._view) != end:
                raise ValueError(f"{path.with_suffix(BODIES).name} has {len(self._view):,} bytes, not {end:,}")
            self._starts = self._view[facts["starts_at"] : end].cast("Q")
        except (sqlite3.Error, KeyError, ValueError, TypeError, OSError) as error:
            self._finalizer()
            raise SnapshotUnreadable(f"The snapshot {path} cannot be read: {error}. Publish it again.") from error
        self._find = opened[0].execute
        self._others: LifoQueue[sqlite3.Connection] = LifoQueue()
        for connection in opened[1:]:
            self._others.put(connection)
        self._columns: dict[str, pl.Series] = {}
        self._loading = threading.Lock()

    def find(self, customer_id: str) -> bytes | None:
        """The document of a customer, None for one it does not know."""
        found = self._find("SELECT row FROM scores WHERE customer_id = ?", (customer_id,)).fetchone()
        return None if found is None or found[0] in self.erased.rows else self.body(found[0])

    def body(self, row: int) -> bytes:
        """The document of the customer at this row of the scores file."""
        return self._bodies[self._starts[row] : self._starts[row + 1] - 1]

    def view(self, row: int, skip: int = 0) -> memoryview:
        """The document without its first ``skip`` bytes, not copied: for joining it with others."""
        return self._view[self._starts[row] + skip : self._starts[row + 1] - 1]

    def views(self, customer_ids: Iterable[str]) -> dict[str, memoryview]:
        """The documents of the customers it knows, not copied."""
        every, starts = self._view, self._starts
        return {name: every[starts[row] : starts[row + 1] - 1] for name, row in self._rows(customer_ids)}

    def positions(self, customer_ids: Iterable[str]) -> dict[str, int]:
        """Where in the columns the scored among these customers are."""
        found = list(self._rows(customer_ids))
        places = self.column("position").gather([row for _, row in found])
        return {customer_id: place for (customer_id, _), place in zip(found, places, strict=True) if place is not None}

    def rows(self, customer_ids: Iterable[str]) -> dict[str, int]:
        """Where in the scores file the customers are that it knows."""
        return dict(self._rows(customer_ids))

    def everybody(self) -> Iterator[str]:
        """The ids of all its customers, erased or not."""
        with self._connection() as connection:
            for (customer_id,) in connection.execute("SELECT customer_id FROM scores"):
                yield customer_id

    def has_column(self, name: str) -> bool:
        """Whether there is a column of this name; those of reasons exist where somebody has the reason."""
        return name in self._stored

    def reasons_met(self, kind: str) -> list[str]:
        """The codes or themes of reasons that somebody has."""
        begins = reason_column(kind, "")
        return sorted(name.removeprefix(begins) for name in self._stored if name.startswith(begins))

    def column(self, name: str) -> pl.Series:
        """A column of `serve.snapshots.columns`, read when it is first asked for."""
        if (held := self._columns.get(name)) is not None:
            return held
        with self._loading:
            if name not in self._columns:
                with self._connection() as connection:
                    row = connection.execute("SELECT data FROM columns WHERE name = ?", (name,)).fetchone()
                self._columns[name] = pl.read_ipc(row[0]).to_series().rechunk()
        return self._columns[name]

    def compared(self) -> pl.DataFrame:
        """See ``serve.snapshots.compare.Comparable``."""
        tier, names = self.column("risk_tier"), self.names["risk_tier"]
        return pl.DataFrame(
            {
                "customer_id": self.column("customer_id"),
                "churn_probability": self.column("churn_probability"),
                "risk_tier": tier.replace_strict(range(len(names)), names, default=None, return_dtype=pl.String),
                "tier_changed_at": self.column("tier_changed_at"),
            }
        )

    def shown(self) -> pl.Series | None:
        """A bit for each position: False for those who were erased; None: nobody was."""
        if not self.erased.rows:
            return None
        hidden = self.column("position").gather(sorted(self.erased.rows)).drop_nulls()
        return pl.Series([True], dtype=pl.Boolean).new_from_index(0, self.listed).scatter(hidden, False)

    def row_of(self, customer_id: str) -> int | None:
        """The row of a customer, erased or not."""
        return next((row for _, row in self._every_row([customer_id])), None)

    def _rows(self, customer_ids: Iterable[str]) -> Iterator[tuple[str, int]]:
        """(customer_id, row) of those it knows and who were not erased."""
        found = self._every_row(customer_ids)
        return (each for each in found if each[1] not in self.erased.rows) if self.erased.rows else found

    def _every_row(self, customer_ids: Iterable[str]) -> Iterator[tuple[str, int]]:
        wanted = list(dict.fromkeys(customer_ids))
        for start in range(0, len(wanted), _AT_ONCE):
            some: Sequence[str] = wanted[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            statement = f"SELECT customer_id, row FROM scores WHERE customer_id IN ({marks})"  # noqa: S608 (only marks)
            with self._connection() as connection:
                found = connection.execute(statement, some).fetchall()
            yield from found

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = self._others.get()
        try:
            yield connection
        finally:
            self._others.put(connection)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute(f"PRAGMA mmap_size = {_MAPPED}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    except BaseException:
        connection.close()
        raise
    return connection


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _close(connections: list[sqlite3.Connection]) -> None:
    while connections:
        connections.pop().close()
