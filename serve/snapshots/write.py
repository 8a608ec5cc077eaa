"""A snapshot: two files, written once under temporary names, then moved in place; no journal.

``ID.bodies`` holds the JSON documents as they are served, a line each, in the order of the scores file, and behind them
where each begins. ``ID.db`` is SQLite: ``scores`` (the ``row`` of each customer in that order), ``columns``
(`serve.snapshots.columns`, each as Arrow IPC) and ``facts`` (JSON). It is moved last: where it is, the snapshot is
whole. Documents lie outside SQLite, whose pages cost a publish of a million 8 s more, and a batch half as much again.
"""

import os
import secrets
import sqlite3
from array import array
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import orjson
import polars as pl

from fedelta.serve.snapshots import columns, document
from fedelta.serve.snapshots.compare import with_previous
from fedelta.serve.snapshots.scoring_run import ScoringRun

CHUNK_ROWS = 20_000
SUFFIX = ".db"
BODIES = ".bodies"
UNFINISHED = ".unfinished"

_WORD = 8  # bytes of a number
_JOINED_ROWS = 256  # so that the memory is that of the rows before, not the system's to give and take
_TABLES = """
    CREATE TABLE scores (customer_id TEXT PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE columns (name TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_SETTINGS = ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE", "cache_size = -65536")


def write_snapshot(run: ScoringRun, snapshot_id: str, path: Path, before: pl.DataFrame | None) -> None:
    """Write the run to ``path``, which appears when all of it is on disk.

    Parameters
    ----------
    before : what `serve.snapshots.compare` needs of the run before; None: there is none to compare with

    Raises
    ------
    RunRefused
        If the run cannot be read.
    OSError, sqlite3.Error
        If the files cannot be written.
    """
    read = dict.fromkeys((*columns.READ, *columns.NUMBERS, *columns.KINDS))
    customers = with_previous(run.columns([name for name in read if name != "delta"]), before)
    for folder in (path.parent.parent, path.parent):  # of all tenants, of this one
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _unfinished(path) as database, _unfinished(path.with_suffix(BODIES)) as bodies:
        met = columns.ReasonsMet()
        added = customers.select("previous_probability", "delta", "tier_changed_at")
        with bodies.open("r+b") as file:
            starts_at = _write_bodies(file, run, snapshot_id, added, met)
        listed = columns.listed(customers)
        rows = pl.int_range(customers.height, dtype=pl.UInt32, eager=True).alias("row")
        position = listed.select("row", pl.int_range(pl.len(), dtype=pl.UInt32).alias("position")).join(
            rows.to_frame(), on="row", how="right", maintain_order="right"
        )["position"]
        ids = customers.select("customer_id", rows).sort("customer_id")
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            for setting in _SETTINGS:
                connection.execute(f"PRAGMA {setting}")
            connection.executescript(_TABLES)
            connection.execute("BEGIN")
            for some in ids.iter_slices(CHUNK_ROWS):
                each = zip(some["customer_id"].to_list(), some["row"].to_list(), strict=True)
                connection.executemany("INSERT INTO scores VALUES (?, ?)", each)
            _write_columns(connection, listed, position, met)
            facts: dict[str, object] = {"customers": customers.height, "listed": listed.height}
            facts |= {"starts_at": starts_at, "names": columns.names(listed)}
            values = ((name, orjson.dumps(value).decode()) for name, value in facts.items())
            connection.executemany("INSERT INTO facts VALUES (?, ?)", values)
            connection.execute("COMMIT")


def _write_bodies(
    file: BinaryIO, run: ScoringRun, snapshot_id: str, added: pl.DataFrame, met: columns.ReasonsMet
) -> int:
    """Write the documents and where they begin (the last of these: where they end); where that is written."""
    lengths = []
    begin = 0
    for chunk in run.chunks(CHUNK_ROWS):
        whole = chunk.drop("previous_probability").hstack(added[begin : begin + chunk.height])
        documents = document.encoded(whole, snapshot_id)
        for some in documents.cast(pl.Binary).to_frame().iter_slices(_JOINED_ROWS):
            file.write(b"\n".join([*some.to_series().to_list(), b""]))
        lengths.append(documents.str.len_bytes().cast(pl.UInt64) + 1)
        met.add(pl.int_range(begin, begin + chunk.height, dtype=pl.UInt32, eager=True), chunk["reasons"])
        begin += chunk.height
    end = file.tell()
    file.write(b"\n" * (-end % _WORD))
    starts_at = file.tell()
    first = pl.Series([0], dtype=pl.UInt64)
    starts = array("Q", pl.concat([first, *lengths]).cum_sum().to_list())
    assert starts[-1] == end
    starts.tofile(file)
    return starts_at


def _write_columns(
    connection: sqlite3.Connection, listed: pl.DataFrame, position: pl.Series, met: columns.ReasonsMet
) -> None:
    every = (*columns.encoded(listed).get_columns(), position, *columns.orders(listed), *met.columns(position))
    connection.executemany(
        "INSERT INTO columns VALUES (?, ?)",
        ((one.name, one.to_frame().write_ipc(None, compression="uncompressed").getbuffer()) for one in every),
    )


def remove_unfinished(folder: Path, kept: set[str]) -> None:
    """Remove what publishes that died left behind: unfinished files, and those of snapshots that are not kept."""
    for path in folder.glob(f"*{UNFINISHED}*"):
        path.unlink(missing_ok=True)
    for suffix in (SUFFIX, BODIES):
        for path in folder.glob(f"*{suffix}"):
            if path.stem not in kept:
                path.unlink(missing_ok=True)


def remove_snapshot(path: Path) -> None:
    """Remove the files of a snapshot; who has them open reads on."""
    path.unlink(missing_ok=True)
    path.with_suffix(BODIES).unlink(missing_ok=True)


@contextmanager
def _unfinished(path: Path) -> Iterator[Path]:
    """A name to write under; what lies there is put on disk and moved to ``path`` at the end, or removed."""
    file = path.with_name(f"{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        yield file
        os.fsync(descriptor)
        file.replace(path)
    finally:
        os.close(descriptor)
        file.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
