"""The interactions of a run by customer: read for one of them in about a millisecond, mapped by all readers.

``histories`` holds pieces of some thousand rows, each an Arrow IPC file of whole customers; ``index.db`` (SQLite) says
in which piece and where in it a customer is. ``customers.arrow`` has what is known of customers beside that.
"""

import mmap
import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from io import BytesIO
from pathlib import Path

import polars as pl

from fedelta.features.contract import INTERACTIONS
from fedelta.features.errors import FedeltaError

_PIECES, _INDEX, _CUSTOMERS = "histories", "index.db", "customers.arrow"
_PIECE_ROWS = 2_000
_READ_AT_ONCE = 500_000  # rows
_ORDER = ("customer_id", "occurred_at", "interaction_id")
_TABLES = """
    CREATE TABLE histories (
        customer_id TEXT PRIMARY KEY, piece INTEGER NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE pieces (piece INTEGER PRIMARY KEY, begins INTEGER NOT NULL, ends INTEGER NOT NULL);
    CREATE TABLE customers (customer_id TEXT PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID;
"""
_AT_ONCE = 500  # values bound in one statement


class HistoriesRefused(FedeltaError):
    """The interactions or customers of a run are not what a run writes."""


def write_histories(folder: Path, interactions: Path, customers: Path, erased: Collection[str] = frozenset()) -> None:
    """Write the files into an empty folder, without customers who were erased; memory holds some of the interactions.

    Raises
    ------
    HistoriesRefused
        If a file cannot be read, or a customer's interactions do not lie together in one, as a run writes them.
    """
    kept = ~pl.col("customer_id").is_in(sorted(erased)) if erased else pl.lit(value=True)
    try:
        with (
            closing(sqlite3.connect(_made(folder / _INDEX), isolation_level=None)) as index,
            _made(folder / _PIECES).open("r+b") as file,
        ):
            for setting in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
                index.execute(f"PRAGMA {setting}")
            index.executescript(_TABLES)
            index.execute("BEGIN")
            piece = 0
            for path in sorted(interactions.glob("*.parquet")):
                for events in _whole_customers(path):
                    for rows, places in _pieces(events.filter(kept).cast(INTERACTIONS).sort(_ORDER)):
                        begins = file.tell()
                        rows.write_ipc(file, compression="lz4")
                        index.execute("INSERT INTO pieces VALUES (?, ?, ?)", (piece, begins, file.tell()))
                        each = ((name, piece, start, length) for name, start, length in places)
                        index.executemany("INSERT INTO histories VALUES (?, ?, ?, ?)", each)
                        piece += 1
            if customers.is_file():
                known = pl.read_parquet(customers, glob=False).filter(kept)
                known.write_ipc(_made(folder / _CUSTOMERS), compression="lz4")
                each_row = ((name, row) for row, name in enumerate(known["customer_id"]))
                index.executemany("INSERT INTO customers VALUES (?, ?)", each_row)
            index.execute("COMMIT")
    except sqlite3.IntegrityError:
        raise HistoriesRefused(
            f"A customer's interactions do not lie together in one file of {interactions}, or a customer is in "
            f"{customers} twice: run `dvc repro`."
        ) from None
    except (pl.exceptions.PolarsError, sqlite3.Error) as error:
        raise HistoriesRefused(f"The histories of {interactions} cannot be written: {error}.") from error


class Histories:
    """The histories of one snapshot; for one thread."""

    def __init__(self, folder: Path) -> None:
        where = f"{(folder / _INDEX).absolute().as_uri()}?mode=ro&immutable=1"
        self._index = sqlite3.connect(where, uri=True, isolation_level=None)
        self._known = folder / _CUSTOMERS
        self._customers: pl.DataFrame | None = None
        with (folder / _PIECES).open("rb") as file:
            empty = not os.fstat(file.fileno()).st_size
            self._pieces = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def interactions(self, customer_ids: Sequence[str]) -> pl.DataFrame:
        """Everything that the customers went through, in the columns of ``features.contract.INTERACTIONS``."""
        found = "begins, ends, start, length"
        places = sorted(self._found(found, "histories JOIN pieces USING (piece)", customer_ids))
        read: dict[int, pl.DataFrame] = {}
        parts = []
        for begins, ends, start, length in places:
            if begins not in read:
                read = {begins: pl.read_ipc(BytesIO(self._pieces[begins:ends]))}
            parts.append(read[begins].slice(start, length))
        return pl.concat(parts) if parts else INTERACTIONS.to_frame()

    def customers(self, customer_ids: Sequence[str]) -> pl.DataFrame | None:
        """What is known of the customers beside that, a row for each who is known; None if nothing was published."""
        if self._customers is None:
            if not self._known.is_file():
                return None
            self._customers = pl.read_ipc(self._known)
        return self._customers[[row for (row,) in self._found("row", "customers", customer_ids)]]

    def close(self) -> None:
        """Let go of the files."""
        self._index.close()
        if isinstance(self._pieces, mmap.mmap):
            self._pieces.close()

    def _found(self, columns: str, tables: str, customer_ids: Sequence[str]) -> Iterator[tuple[int, ...]]:
        for first in range(0, len(customer_ids), _AT_ONCE):
            some = customer_ids[first : first + _AT_ONCE]
            marks = ",".join("?" * len(some))
            statement = f"SELECT {columns} FROM {tables} WHERE customer_id IN ({marks})"  # noqa: S608 (only marks)
            yield from self._index.execute(statement, some)


def _whole_customers(path: Path) -> Iterator[pl.DataFrame]:
    """The rows of a file, about ``_READ_AT_ONCE`` at a time; the last customer of some may go on in the next."""
    rows = pl.scan_parquet(path, glob=False).select(INTERACTIONS.names())
    number, rest = rows.select(pl.len()).collect().item(), INTERACTIONS.to_frame()
    for start in range(0, number, _READ_AT_ONCE):
        some = rows.slice(start, _READ_AT_ONCE).collect()
        some = pl.concat([rest, some]) if len(rest) else some
        last = some["customer_id"].rle().struct.field("len")[-1] if start + _READ_AT_ONCE < number else 0
        rest = some.tail(last)
        yield some.head(len(some) - last)


def _pieces(events: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, list[tuple[str, int, int]]]]:
    """Rows of whole customers, and the customers of them: id, first row, number of rows."""
    runs = events.select(pl.col("customer_id").rle()).unnest("customer_id")
    begin = length = 0
    places: list[tuple[str, int, int]] = []
    for count, name in zip(runs["len"].to_list(), runs["value"].to_list(), strict=True):
        places.append((name, length, count))
        length += count
        if length >= _PIECE_ROWS:
            yield events.slice(begin, length), places
            begin, length, places = begin + length, 0, []
    if places:
        yield events.slice(begin, length), places


def _made(path: Path) -> Path:
    """An empty file for us alone."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    return path
