"""``fedelta export-interactions``: what the service received, as files that a source reads beside its own.

Each export is a file that never changes, ``received-NUMBER.parquet``, with the columns of the contract; times are text
(ISO 8601 in UTC), as the SQL of sources has them. ``manifest.json`` names the files that are whole. Which interactions
an export has is written down before its file: one that died is written by the next, with the same rows. What files and
all kept runs hold is taken out of the database after some days (`serve.prune_interactions`); the files then hold it.
"""

import hashlib
import os
import secrets
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import polars as pl
import sqlalchemy as sa
from pydantic import TypeAdapter

from fedelta.features.contract import INTERACTIONS
from fedelta.features.errors import FedeltaError
from fedelta.serve.live.rows import Posted, columns_of, table_of, whole
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.erased import Erased
from fedelta.serve.operational.erasures import hashes, must_fit, read_key
from fedelta.serve.operational.tables import DEFAULT_TENANT, now, received_interactions, tenants
from fedelta.serve.prune_interactions import prune, pruned_of, set_pruned

MANIFEST = "manifest.json"
_TIMES = [name for name, dtype in INTERACTIONS.items() if isinstance(dtype, pl.Datetime)]
_POSTED = TypeAdapter(list[Posted])


class ExportRefused(FedeltaError):
    """The folder holds exports of something else."""


@dataclass(frozen=True)
class Export:
    """A file that is whole."""

    number: int
    file: str
    rows: int
    sha256: str
    becoming: str | None = None  # the digest of what is about to take the file's place


def export(database: Database, folder: Path, tenant: str = DEFAULT_TENANT, *, keep_days: float = 0.0) -> list[Export]:
    """Write what was received since the last export, and what is missing of exports before; the files of the folder.

    A file is written anew where it is lost or damaged, and where somebody of it was erased. The first one is there from
    the beginning, if without rows, so that a source finds it.

    Parameters
    ----------
    keep_days : for how many days after its receipt an interaction stays in the database; 0: for ever

    Raises
    ------
    ExportRefused
        If the folder holds the exports of another tenant, its manifest is damaged, or a file is lost or damaged whose
        interactions the database no longer has.
    DatabaseError
        If the database cannot be written.
    OSError
        If the files cannot be written.
    """
    database.migrate()
    folder.mkdir(parents=True, exist_ok=True)
    before = _manifest(folder, tenant)
    with database.engine() as engine:
        with engine.begin() as connection:
            _claim(connection, tenant)
        with engine.execution_options(reads=True).begin() as connection:
            pruned = pruned_of(connection, tenant)
            rows = _rows_by_number(connection, tenant, pruned)
        files = []
        for number, count in sorted(rows.items()):
            known = before.get(number)
            if number in pruned:
                known = _without_erased(engine, database, tenant, folder, _whole(folder, known, number, pruned), count)
            elif known is None or known.rows != count or _sha256(folder / known.file) != known.sha256:
                with engine.execution_options(reads=True).begin() as connection:
                    known = _write(connection, tenant, folder, number)
            files.append(known)
        listed = {"tenant": tenant, "written_at": now(), "exports": [asdict(one) for one in files]}
        _place(folder / MANIFEST, orjson.dumps(listed, option=orjson.OPT_INDENT_2))
        if keep_days:
            numbers = [one.number for one in files if one.rows]
            before_that = datetime.now(UTC) - timedelta(days=keep_days)
            prune(engine, database.snapshots / tenant, tenant, numbers, before_that)
    return files


def main(
    folder: Path,
    database_url: str | None = None,
    *,
    tenant: str = DEFAULT_TENANT,
    keep_days: float = 0.0,
) -> None:
    """Export, and say what lies in the folder.

    Raises
    ------
    ExportRefused, DatabaseError, OSError
        As `export`.
    """
    files = export(Database.at(database_url), folder, tenant, keep_days=keep_days)
    print(
        f"{folder}: {sum(one.rows for one in files):,} interactions in {len(files)} files, the last {files[-1].file}."
    )


def _claim(connection: sa.Connection, tenant: str) -> None:
    """Give what has no number yet the next one. One export after the other does so."""
    table = received_interactions
    connection.execute(sa.select(tenants.c.tenant).where(tenants.c.tenant == tenant).with_for_update())
    last = connection.execute(sa.select(sa.func.max(table.c.export)).where(table.c.tenant == tenant)).scalar_one()
    new = table.update().where(table.c.tenant == tenant, table.c.export.is_(None))
    connection.execute(new.values(export=max(last or 0, *pruned_of(connection, tenant), 0) + 1))


def _rows_by_number(connection: sa.Connection, tenant: str, pruned: Collection[int]) -> dict[int, int]:
    """How many rows of each export the database has."""
    table = received_interactions
    counts = sa.select(table.c.export, sa.func.count()).where(table.c.tenant == tenant, table.c.export.is_not(None))
    found = {row[0]: row[1] for row in connection.execute(counts.group_by(table.c.export))}
    return {number: found.get(number, 0) for number in range(1, max({1, *found, *pruned}) + 1)}


def _whole(folder: Path, known: Export | None, number: int, pruned: Mapping[int, int]) -> Export:
    """The export, whose file must be there: the database no longer has all of it."""
    file = folder / _name(number)
    if known is None or (digest := _sha256(file)) is None or digest not in {known.sha256, known.becoming}:
        raise ExportRefused(
            f"{file} is lost or damaged, and {pruned[number]:,} interactions of it are no longer in the database: "
            "restore the folder from where it was backed up."
        )
    return known


def _without_erased(
    engine: sa.Engine, database: Database, tenant: str, folder: Path, known: Export, count: int
) -> Export:
    """The export, its file written anew where it names somebody who was erased; ``count`` rows are in the database."""
    with engine.execution_options(reads=True).begin() as connection:
        found = hashes(connection, tenant)
    key = read_key(database)
    must_fit(key, found, database.erasure_key)
    erased, rows = Erased(hashes=found, key=key), pl.read_parquet(folder / known.file, glob=False)
    kept = rows.filter(~pl.col("customer_id").is_in([name for name in rows["customer_id"].unique() if name in erased]))
    if len(kept) == known.rows:
        return known
    unfinished, digest = _write_rows(kept, folder / known.file)
    listed = orjson.loads((folder / MANIFEST).read_bytes())
    announced = asdict(replace(known, becoming=digest))
    listed["exports"] = [announced if one["number"] == known.number else one for one in listed["exports"]]
    _place(folder / MANIFEST, orjson.dumps(listed, option=orjson.OPT_INDENT_2))
    _move(unfinished, folder / known.file)
    with engine.begin() as connection:
        set_pruned(connection, tenant, {known.number: len(kept) - count}, more=False)
    return Export(known.number, known.file, len(kept), digest)


def _name(number: int) -> str:
    return f"received-{number:06}.parquet"


def _write(connection: sa.Connection, tenant: str, folder: Path, number: int) -> Export:
    table = received_interactions
    which = sa.select(table.c.row).where(table.c.tenant == tenant, table.c.export == number).order_by(table.c.id)
    posted = _POSTED.validate_json(f"[{','.join(connection.execute(which).scalars())}]")
    rows = whole(table_of(columns_of([(row.customer_id, row) for row in posted])))
    times = pl.col(_TIMES).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    unfinished, digest = _write_rows(rows.with_columns(times), folder / _name(number))
    _move(unfinished, folder / _name(number))
    return Export(number, _name(number), len(posted), digest)


def _write_rows(rows: pl.DataFrame, path: Path) -> tuple[Path, str]:
    """Write what is to take the place of a file; and its digest."""
    unfinished = _unfinished(path)
    rows.write_parquet(unfinished)
    digest = _sha256(unfinished)
    assert digest is not None
    return unfinished, digest


def _manifest(folder: Path, tenant: str) -> dict[int, Export]:
    try:
        listed = orjson.loads((folder / MANIFEST).read_bytes())
        found = {one["number"]: Export(**one) for one in listed["exports"]}
        whose = listed["tenant"]
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise ExportRefused(f"{folder / MANIFEST} is damaged ({error}): remove it, and export again.") from error
    if whose != tenant:
        raise ExportRefused(f"{folder} holds the interactions of the tenant {whose!r}: name another folder.")
    return found


def _sha256(path: Path) -> str | None:
    """The digest of a file; None where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _place(path: Path, content: bytes) -> None:
    unfinished = _unfinished(path)
    unfinished.write_bytes(content)
    _move(unfinished, path)


def _unfinished(path: Path) -> Path:
    """A name that no glob of a source finds."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def _move(unfinished: Path, path: Path) -> None:
    """Put a file on disk, then in its place."""
    for place, then in ((unfinished, unfinished.replace), (path.parent, None)):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if then is not None:
            then(path)
