"""What the service reads: one small interface, and SQLite behind it."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fedelta.features.errors import FedeltaError
from fedelta.serve.listing import AtRisk

T = TypeVar("T")

# The current snapshot and the kept ones have a turn; one being loaded or removed has none.
_CURRENT = "SELECT number, snapshot_id FROM snapshots WHERE turn IS NOT NULL ORDER BY turn DESC LIMIT 1"
_ABOUT = (
    "SELECT snapshot_id, as_of, published_at, about FROM snapshots WHERE turn IS NOT NULL ORDER BY turn DESC LIMIT 1"
)
_FIND = (
    f"SELECT n.snapshot_id, s.body FROM ({_CURRENT}) n "  # noqa: S608 (our own constant)
    "LEFT JOIN scores s ON s.snapshot_number = n.number AND s.customer_id = ?"
)
_FIND_MANY = (
    f"SELECT n.snapshot_id, s.customer_id, s.body FROM ({_CURRENT}) n "  # noqa: S608 (our own constant)
    "LEFT JOIN scores s ON s.snapshot_number = n.number AND s.customer_id IN ({marks})"
)
_RANK = {"value_at_risk": "rank_by_value", "probability": "rank_by_probability"}
_HELD_OUT = {"exclude": "held_out IS NOT 1", "only": "held_out = 1", "include": None}
_SUPPRESSED = {"exclude": "suppression_reason IS NULL", "only": "suppression_reason IS NOT NULL", "include": None}
_BUSY_SECONDS = 1.0
_CACHE_KIB = 16_384  # the upper levels of the trees of a million customers
_LOOK_AGAIN_SECONDS = 1.0


class Unavailable(FedeltaError):
    """The database is missing, locked or no database of ours."""


class NothingPublished(FedeltaError):
    """No scoring run is current yet."""


class SnapshotGone(FedeltaError):
    """The snapshot a list was begun on is no longer kept."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The current scoring run; ``about`` is a JSON object."""

    snapshot_id: str
    as_of: str | None
    published_at: str
    about: bytes


@dataclass(frozen=True, slots=True)
class StoredKey:
    """An API key as it is kept: its digest, never itself."""

    name: str
    digest: bytes
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows of a list, (rank, document), all of one snapshot whatever is published meanwhile."""

    snapshot_id: str
    rows: Iterator[tuple[int, bytes]]


class ScoreStore(Protocol):
    """Scores and keys, for reading. Every method answers from one snapshot and may raise ``Unavailable``."""

    def current(self) -> Snapshot:
        """The current scoring run. Raises ``NothingPublished``."""

    def find(self, customer_id: str) -> tuple[str, bytes | None]:
        """Snapshot id and document, None for a customer it does not know. Raises ``NothingPublished``."""

    def find_many(self, customer_ids: Sequence[str]) -> tuple[str, dict[str, bytes]]:
        """Snapshot id and the documents of those it knows. Raises ``NothingPublished``."""

    def at_risk(
        self, wanted: AtRisk, *, after: int = 0, limit: int | None = None, snapshot_id: str | None = None
    ) -> Listing:
        """The customers after rank ``after``, of the current snapshot or the one named.

        Raises ``NothingPublished``, ``SnapshotGone``.
        """

    def key(self, prefix: str) -> StoredKey | None:
        """The key with this prefix, None when there is none or it was revoked."""

    def close(self) -> None:
        """Let go of every connection."""


@dataclass(slots=True)
class _Held:
    """A thread's connection, the file it was opened on, and when to see whether that is still the database."""

    connection: sqlite3.Connection
    file: tuple[int, int]
    look_again: float = 0.0


class SqliteStore:
    """Reads straight through the driver: one read-only connection per thread, opened at its first read.

    A WAL database never makes a reader wait for a publish, and a statement sees one state of it from start to end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mine = threading.local()
        self._opened: list[sqlite3.Connection] = []

    def current(self) -> Snapshot:
        """See ``ScoreStore``."""
        if not (rows := self._read(_ABOUT)):
            raise NothingPublished
        return Snapshot(*rows[0])

    def find(self, customer_id: str) -> tuple[str, bytes | None]:
        """See ``ScoreStore``."""
        if not (rows := self._read(_FIND, (customer_id,))):
            raise NothingPublished
        found: tuple[str, bytes | None] = rows[0]
        return found

    def find_many(self, customer_ids: Sequence[str]) -> tuple[str, dict[str, bytes]]:
        """See ``ScoreStore``."""
        wanted = tuple(dict.fromkeys(customer_ids))
        if not (rows := self._read(_FIND_MANY.format(marks=",".join("?" * len(wanted))), wanted)):
            raise NothingPublished
        return rows[0][0], {customer_id: body for _, customer_id, body in rows if body is not None}

    def at_risk(
        self, wanted: AtRisk, *, after: int = 0, limit: int | None = None, snapshot_id: str | None = None
    ) -> Listing:
        """See ``ScoreStore``. The rows hold a connection and its state of the database until they are used up."""

        def begin() -> Listing:
            connection = self._open()
            try:
                connection.execute("BEGIN")
                number, found_id = _snapshot(connection, snapshot_id)
                statement, values = _list_statement(wanted)
                rows = connection.execute(statement, {**values, "number": number, "after": after, "limit": limit or -1})
            except BaseException:
                connection.close()
                raise
            return Listing(found_id, _drained(rows, connection))

        return self._guarded(begin)

    def key(self, prefix: str) -> StoredKey | None:
        """See ``ScoreStore``."""
        rows = self._read(
            "SELECT name, digest, scopes FROM api_keys WHERE prefix = ? AND revoked_at IS NULL", (prefix,)
        )
        return StoredKey(rows[0][0], rows[0][1], frozenset(rows[0][2].split())) if rows else None

    def close(self) -> None:
        """See ``ScoreStore``."""
        while self._opened:
            self._opened.pop().close()
        self._mine = threading.local()

    def _read(self, statement: str, values: tuple[str, ...] = ()) -> list[Any]:
        return self._guarded(lambda: self._connection().execute(statement, values).fetchall())

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection; opened anew when another file has taken the database's place."""
        held: _Held | None = getattr(self._mine, "held", None)
        now = time.monotonic()
        if held is not None and now < held.look_again:
            return held.connection
        file = self._file()
        if held is None or held.file != file:
            self._forget()
            held = self._mine.held = _Held(self._open(), file)
            self._opened.append(held.connection)
        held.look_again = now + _LOOK_AGAIN_SECONDS
        return held.connection

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,  # a list is read by whichever worker thread writes its next piece
        )
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return connection

    def _file(self) -> tuple[int, int]:
        try:
            stat = self._path.stat()
        except OSError as error:
            raise Unavailable(f"There is no database at {self._path}: publish a scoring run first.") from error
        return stat.st_dev, stat.st_ino

    def _forget(self) -> None:
        held: _Held | None = getattr(self._mine, "held", None)
        if held is not None:
            self._mine.held = None
            self._opened.remove(held.connection)
            held.connection.close()

    def _guarded(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except sqlite3.Error as error:
            self._forget()
            raise Unavailable(f"The database {self._path} cannot be read: {error}.") from error


def _snapshot(connection: sqlite3.Connection, snapshot_id: str | None) -> tuple[int, str]:
    if snapshot_id is None:
        row = connection.execute(_CURRENT).fetchone()
        if row is None:
            raise NothingPublished
    else:
        statement = "SELECT number, snapshot_id FROM snapshots WHERE turn IS NOT NULL AND snapshot_id = ?"
        row = connection.execute(statement, (snapshot_id,)).fetchone()
        if row is None:
            raise SnapshotGone
    return row[0], row[1]


def _list_statement(wanted: AtRisk) -> tuple[str, dict[str, object]]:
    """The SQL of a list and the values of its filters: one range of the index that its sort has."""
    rank = _RANK[wanted.sort]
    named: dict[str, dict[str, object]] = {
        column: {f"{column}_{place}": value for place, value in enumerate(values)}
        for column, values in wanted.any_of.items()
        if values
    }
    filters = {
        "churn_probability >= :min_probability": wanted.min_probability is not None,
        "clv_expected >= :min_clv": wanted.min_clv is not None,
        "value_at_risk >= :min_value_at_risk": wanted.min_value_at_risk is not None,
        "open_issue = :open_issue": wanted.open_issue is not None,
        **{f"{column} IN ({', '.join(f':{name}' for name in held)})": True for column, held in named.items()},
    }
    aside = (_HELD_OUT[wanted.holdout], _SUPPRESSED[wanted.suppressed])
    where = " AND ".join([*(condition for condition, used in filters.items() if used), *filter(None, aside)])
    statement = (
        f"SELECT {rank}, body FROM scores WHERE snapshot_number = :number AND {rank} > :after "  # noqa: S608 (names are
        f"{f'AND {where} ' if where else ''}ORDER BY {rank} LIMIT :limit"  # ours, every value is bound)
    )
    values: dict[str, object] = {
        "min_probability": wanted.min_probability,
        "min_clv": wanted.min_clv,
        "min_value_at_risk": wanted.min_value_at_risk,
        "open_issue": wanted.open_issue,
    }
    return statement, values | {name: value for held in named.values() for name, value in held.items()}


def _drained(rows: sqlite3.Cursor, connection: sqlite3.Connection) -> Iterator[tuple[int, bytes]]:
    try:
        yield from rows
    except sqlite3.Error as error:
        raise Unavailable(f"The list broke off: {error}.") from error
    finally:
        connection.close()
