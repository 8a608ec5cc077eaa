"""``fedelta export-scores``: the current scores as two tables from which reverse ETL feeds a CRM.

``fedelta_scores`` has a row per customer: the columns of the list's CSV, of one tenant, with ``updated_at``, the time
of the first export that held the row as it is (but for ``as_of`` and ``snapshot_id``). ``fedelta_score_changes`` has a
row for each time an export found a customer in another tier. Exporting the same snapshot again changes nothing.
Customers who are no longer in the snapshot leave both tables.
"""

import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa
from polars.io.plugins import register_io_source
from sqlalchemy.dialects import postgresql, sqlite

from fedelta.features.errors import FedeltaError
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.tables import DEFAULT_TENANT
from fedelta.serve.snapshots.current import current_run
from fedelta.serve.snapshots.document import COLUMNS, MEANING
from fedelta.serve.snapshots.exports import in_words
from fedelta.serve.snapshots.read import SnapshotFile

SCORES, CHANGES = "fedelta_scores", "fedelta_score_changes"

_UTC = pl.Datetime("us", "UTC")
_RUN = ("as_of", "snapshot_id")  # of every customer of a run: nothing about one of them
_SCORE_COLUMNS = pl.Schema(
    {name: pl.String() if isinstance(dtype := COLUMNS.get(name, pl.String()), pl.List) else dtype for name in MEANING}
    | {"tenant": pl.String(), "fingerprint": pl.String(), "updated_at": _UTC}
)
_CHANGE_COLUMNS = pl.Schema(
    {
        "customer_id": pl.String(),
        "changed_at": _UTC,
        "previous_tier": pl.String(),
        "risk_tier": pl.String(),
        "previous_probability": pl.Float64(),
        "churn_probability": pl.Float64(),
        "snapshot_id": pl.String(),
        "tenant": pl.String(),
    }
)
_KNOWN = pl.Schema(
    {
        name: _SCORE_COLUMNS[name]
        for name in (
            "customer_id",
            "fingerprint",
            "risk_tier",
            "churn_probability",
            "snapshot_id",
            "updated_at",
            "tenant",
        )
    }
)
_TYPES: dict[pl.DataType, sa.types.TypeEngine[Any]] = {
    pl.String(): sa.Text(),
    pl.Float64(): sa.Double(),
    pl.Int32(): sa.Integer(),
    pl.Boolean(): sa.Boolean(),
    pl.Date(): sa.Date(),
    _UTC: sa.DateTime(timezone=True),
}


class ExportRefused(FedeltaError):
    """The scores cannot be exported; the message says why. Nothing was changed."""


@dataclass(frozen=True)
class Exported:
    """What an export did."""

    snapshot_id: str
    customers: int
    updated: int
    changes: int
    removed: int

    def __str__(self) -> str:
        return (
            f"Snapshot {self.snapshot_id}: {self.customers:,} customers, of whom {self.updated:,} are new or "
            f"different, {self.changes:,} in another tier; {self.removed:,} removed."
        )


def export_scores(database: Database, to: str, *, tenant: str = DEFAULT_TENANT) -> Exported:
    """Bring the tables at ``to`` up to date with the current snapshot of a tenant, all or nothing.

    Parameters
    ----------
    to : ``postgresql://…`` or ``sqlite:///PATH``, where the tables are made if need be; else a folder for Parquet files

    Raises
    ------
    ExportRefused
        If nothing is published, or the tables hold another tenant's scores.
    DatabaseError
        If a database cannot be read or written.
    SnapshotUnreadable
        If the snapshot's files are lost.
    """
    with database.engine() as engine:
        found = current_run(engine, database, tenant)
    if found is None:
        raise ExportRefused(f"Nothing is published for the tenant {tenant!r}: run `fedelta publish`.")
    current, file = found
    since = datetime.fromisoformat(current.published_at)
    if "://" in to:
        return _into_database(Database.at(to), file, tenant, since)
    return _into_folder(Path(to), file, tenant, since)


class _Export:
    """The rows of a snapshot beside those that an export before it left, of which ``known`` has some columns."""

    def __init__(self, file: SnapshotFile, tenant: str, since: datetime, known: pl.DataFrame) -> None:
        if others := set(known["tenant"].unique()) - {tenant}:
            raise ExportRefused(f"These tables hold scores of the tenant {others.pop()!r}: export to others.")
        self._file, self._tenant, self._since, self._known = file, tenant, since, known
        self._now, self._updated = datetime.now(UTC), 0
        self._changes = [pl.DataFrame(schema=_CHANGE_COLUMNS)]
        self._ids = [pl.Series(dtype=pl.String)]

    def pieces(self) -> Iterator[tuple[pl.DataFrame, pl.Series]]:
        """Some rows at a time, and which of them are new or different."""
        was = self._known.select(
            "customer_id", was="fingerprint", tier="risk_tier", probability="churn_probability", since="updated_at"
        )
        for piece in in_words(self._file):
            rows = piece.with_columns(tenant=pl.lit(self._tenant), fingerprint=_fingerprints(piece.drop(_RUN)))
            rows = rows.join(was, on="customer_id", how="left", maintain_order="left")
            different = rows["fingerprint"].ne_missing(rows["was"])
            moved = rows.filter(pl.col("was").is_not_null() & pl.col("tier").ne_missing(pl.col("risk_tier")))
            changes = moved.with_columns(
                changed_at=pl.lit(self._since, _UTC), previous_tier="tier", previous_probability="probability"
            )
            self._updated += int(different.sum())
            self._ids.append(rows["customer_id"])
            self._changes.append(changes.select(_CHANGE_COLUMNS.names()))
            updated_at = pl.when(different).then(pl.lit(self._now, _UTC)).otherwise("since")
            yield rows.with_columns(updated_at=updated_at).select(_SCORE_COLUMNS.names()), different

    def changes(self) -> pl.DataFrame:
        """Who is in another tier, once all pieces were taken."""
        return pl.concat(self._changes)

    def gone(self) -> pl.Series:
        """Known customers who are not in the snapshot, once all pieces were taken."""
        known = self._known["customer_id"]
        return known.filter(~known.is_in(pl.concat(self._ids).implode()))

    def done(self) -> Exported:
        """What it did, once all pieces were taken."""
        return Exported(
            self._file.snapshot_id, self._file.customers, self._updated, self.changes().height, len(self.gone())
        )


def _fingerprints(rows: pl.DataFrame) -> pl.Series:
    encoded = rows.select(pl.struct(pl.all()).struct.json_encode()).to_series()
    return pl.Series([hashlib.blake2b(row.encode(), digest_size=12).hexdigest() for row in encoded], dtype=pl.String)


# --- Parquet ----------------------------------------------------------------------------------------------------------


def _into_folder(folder: Path, file: SnapshotFile, tenant: str, since: datetime) -> Exported:
    folder.mkdir(parents=True, exist_ok=True)
    scores, history = folder / f"{SCORES}.parquet", folder / f"{CHANGES}.parquet"
    known = pl.read_parquet(scores, columns=list(_KNOWN.names())) if scores.exists() else pl.DataFrame(schema=_KNOWN)
    before = pl.read_parquet(history) if history.exists() else pl.DataFrame(schema=_CHANGE_COLUMNS)
    export = _Export(file, tenant, since, known)

    def frames(
        columns: list[str] | None, predicate: pl.Expr | None, most: int | None, _at_once: int | None
    ) -> Iterator[pl.DataFrame]:
        del predicate, most  # nothing is asked of the source but all of it
        for piece, _ in export.pieces():
            yield piece if columns is None else piece.select(columns)

    # The scores take their place last: dying before that, the next export finds the same changes again.
    with _replaced(scores) as new_scores, _replaced(history) as new_history:
        register_io_source(frames, schema=_SCORE_COLUMNS).sink_parquet(new_scores)
        kept = before.filter(~pl.col("customer_id").is_in(export.gone().implode()))
        changes = pl.concat([kept, export.changes()]).unique(["customer_id", "changed_at"], maintain_order=True)
        changes.write_parquet(new_history)
    return export.done()


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """A name to write under; the file takes the place of ``path`` at the end."""
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}.unfinished")
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


# --- Databases --------------------------------------------------------------------------------------------------------


def _into_database(target: Database, file: SnapshotFile, tenant: str, since: datetime) -> Exported:
    tables = sa.MetaData()
    scores = sa.Table(SCORES, tables, *_columns(_SCORE_COLUMNS, "customer_id"))
    history = sa.Table(CHANGES, tables, *_columns(_CHANGE_COLUMNS, "customer_id", "changed_at"))
    with target.engine() as engine, engine.begin() as connection:
        tables.create_all(connection)
        _add_missing_columns(connection, scores)
        if connection.dialect.name == "postgresql":  # one export at a time; readers go on
            connection.execute(sa.text(f"LOCK TABLE {SCORES} IN SHARE ROW EXCLUSIVE MODE"))
        known = connection.execute(sa.select(*(scores.c[name] for name in _KNOWN))).fetchall()
        before = pl.DataFrame(_in_utc(known), schema=_KNOWN, orient="row")
        of_another_run = bool((before["snapshot_id"] != file.snapshot_id).any())
        export = _Export(file, tenant, since, before)
        upsert = _upsert(connection, scores)
        for piece, different in export.pieces():
            _execute(connection, upsert, piece.filter(different))
            of_run = piece.select(*_RUN, customer="customer_id").filter(~different & of_another_run)
            _execute(connection, scores.update().where(scores.c.customer_id == sa.bindparam("customer")), of_run)
        gone = export.gone().alias("customer").to_frame()
        for table in (scores, history):
            _execute(connection, table.delete().where(table.c.customer_id == sa.bindparam("customer")), gone)
        _execute(connection, history.insert(), export.changes())
    return export.done()


def _columns(schema: pl.Schema, *key: str) -> list[sa.Column[object]]:
    return [sa.Column(name, _TYPES[dtype], primary_key=name in key) for name, dtype in schema.items()]


def _add_missing_columns(connection: sa.Connection, table: sa.Table) -> None:
    """A table of an older version gets the columns that scores have had since."""
    there = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
    for column in table.c:
        if column.name not in there:
            kind = column.type.compile(connection.dialect)
            connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"))


def _upsert(connection: sa.Connection, table: sa.Table) -> sa.Insert:
    statement = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
    updated: sa.Insert = statement.on_conflict_do_update(
        index_elements=["customer_id"],
        set_={column.name: statement.excluded[column.name] for column in table.c if not column.primary_key},
    )
    return updated


def _execute(connection: sa.Connection, statement: sa.Executable, rows: pl.DataFrame) -> None:
    if rows.height:
        connection.execute(statement, rows.to_dicts())


def _in_utc(rows: "Sequence[sa.Row[tuple[object, ...]]]") -> list[tuple[object, ...]]:
    """Rows whose times have a zone: SQLite keeps none."""
    return [
        tuple(
            value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
            for value in row
        )
        for row in rows
    ]
