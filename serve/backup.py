"""``fedelta backup`` and ``fedelta restore``: the operational data at one instant, and the snapshots they name.

A backup is a folder: ``manifest.json`` names every file with its SHA-256; ``operational/TABLE.ndjson`` holds a table,
a row a line; ``snapshots/TENANT/`` the files of the snapshots and of what they score by. It is the same of SQLite and
PostgreSQL, so a backup of one can be restored into the other, and no program but this one is needed.
"""

import base64
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import sqlalchemy as sa

from fedelta.features.errors import FedeltaError
from fedelta.serve.acting.actor import Actor
from fedelta.serve.acting.erasure import erase, hash_in_audit
from fedelta.serve.operational import pointer
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.erased import Erased
from fedelta.serve.operational.erasures import hashes, must_fit, read_key
from fedelta.serve.operational.tables import erasures, metadata, now, tenants
from fedelta.serve.snapshots.parts import FOLDER, Parts
from fedelta.serve.snapshots.read import SnapshotFile
from fedelta.serve.snapshots.write import BODIES, SUFFIX, UNFINISHED

ACTOR = "fedelta restore"
MANIFEST = "manifest.json"
TABLES = "operational"
SNAPSHOTS = "snapshots"

_ATTEMPTS = 5
_ROWS = 1_000
_PIECE = 1 << 20  # bytes


class BackupRefused(FedeltaError):
    """The backup cannot be made or restored; the message says why. Nothing was changed."""


class _Retired(FedeltaError):
    """A publish removed a snapshot that the backup was about to open."""


@dataclass(frozen=True)
class Backup:
    """What a backup holds."""

    made_at: str
    revision: str  # of the tables
    rows: dict[str, int]  # by table
    files: dict[str, str]  # SHA-256 by path

    def __str__(self) -> str:
        kept = sum(name.endswith(SUFFIX) for name in self.files)
        return f"{sum(self.rows.values()):,} rows of {len(self.rows)} tables and {kept} snapshots, of {self.made_at}"


def backup(database: Database, folder: Path) -> Backup:
    """Write a backup to ``folder``, which appears when all of it is on disk; services and publishes go on meanwhile.

    Raises
    ------
    BackupRefused
        If something is in the folder, the tables are of another version, or a snapshot's file is lost.
    DatabaseError
        If the database cannot be read.
    OSError
        If the files cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BackupRefused(f"{folder} is not empty: name a folder for this backup alone.")
    if database.path is not None and not database.path.exists():
        raise BackupRefused(f"There is no database at {database.path}.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}{UNFINISHED}")
    for attempt in range(_ATTEMPTS):
        unfinished.mkdir(mode=0o700)
        try:
            made = _written(database, unfinished)
            unfinished.replace(folder)
        except _Retired as retired:
            if attempt + 1 == _ATTEMPTS:
                raise BackupRefused(
                    f"The snapshot {retired} is missing: publish again, then make the backup."
                ) from None
        else:
            return made
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    raise AssertionError("an attempt returns or raises")


def restore(database: Database, folder: Path, *, force: bool = False) -> Backup:
    """Make the database and its snapshots what they were when the backup in ``folder`` was made.

    Every file is verified before anything is changed; the tables change in one transaction. A restore that fails or
    dies leaves the database as it was. A running service sees it as it sees a publish. Customers whom this database has
    erased since are erased again.

    Parameters
    ----------
    force : replace what a database holds that is in use

    Raises
    ------
    BackupRefused
        If the backup is damaged or of a newer version, or the database holds something and ``force`` is not given.
    DatabaseError
        If the database cannot be written.
    """
    made = _manifest(folder)
    if not database.knows(made.revision):
        raise BackupRefused(f"{folder} was made by a newer version of fedelta: upgrade fedelta, then restore.")
    publishers = sorted({Path(name).parts[1] for name in made.files if name.startswith(f"{SNAPSHOTS}/")})
    database.migrate()
    with ExitStack() as held, database.engine() as engine:
        for tenant in publishers:
            held.enter_context(database.sole_publisher(tenant))
        with engine.execution_options(reads=True).begin() as connection:
            used = next((one for one in metadata.sorted_tables if one is not tenants and _any(connection, one)), None)
        if used is not None and not force:
            raise BackupRefused(
                f"The database {database.place} is in use (its table {used.name} has rows): "
                "name an empty one, or replace what it holds with --force."
            )
        staged = held.enter_context(_verified(folder, made, database.snapshots))
        with engine.begin() as connection:
            erased = connection.execute(sa.select(erasures)).mappings().all()
            for table in reversed(metadata.sorted_tables):
                table.drop(connection)
            connection.execute(sa.text("DELETE FROM alembic_version"))
            database.upgrade(connection, made.revision)
            _load(connection, folder, made)
            database.upgrade(connection)
            _move_in(staged, database.snapshots)
            for tenant in {row["tenant"] for row in erased}:
                _erase_again(connection, database, tenant, [row for row in erased if row["tenant"] == tenant])
    return made


def _written(database: Database, folder: Path) -> Backup:
    with ExitStack() as opened, database.engine() as engine:
        with engine.connect().execution_options(**_one_instant(database)) as connection, connection.begin():
            if (revision := database.revision(connection)) != database.newest():
                raise BackupRefused(
                    f"The tables of {database.place} are of another version (revision {revision}): "
                    "make the backup with that version of fedelta, or bring them up to date by starting the service."
                )
            # Opened before anything is written: a file that a publish removes meanwhile can still be read.
            kept = pointer.kept(connection)
            files = {
                f"{SNAPSHOTS}/{path.relative_to(database.snapshots).as_posix()}": opened.enter_context(_opened(path))
                for path in dict.fromkeys(path for one in kept for path in _files_of(database.snapshots, one))
            }
            rows, hashes = {}, {}
            for table in metadata.sorted_tables:
                name = f"{TABLES}/{table.name}.ndjson"
                with _file(folder / name) as file:
                    rows[str(table.name)] = sum(file.write(line) > 0 for line in _lines(connection, table))
                hashes[name] = _sha256(folder / name)
        for name, source in files.items():
            hashes[name] = _copied(source, folder / name)
    made = Backup(now(), revision, rows, hashes)
    with _file(folder / MANIFEST) as file:
        file.write(orjson.dumps(asdict(made), option=orjson.OPT_INDENT_2))
    return made


def _files_of(snapshots: Path, one: pointer.Pointer) -> Iterator[Path]:
    """The files of a snapshot, and of what it is scored by."""
    folder = snapshots / one.tenant
    yield from (folder / f"{one.snapshot_id}{suffix}" for suffix in (SUFFIX, BODIES))
    if one.scoring is not None:
        parts = Parts.of(folder, one.scoring)
        for part in filter(None, (parts.context, parts.bundle, parts.histories)):
            if not (found := sorted(path for path in Path(part).rglob("*") if path.is_file())):
                raise _Retired(one.snapshot_id)
            yield from found


def _one_instant(database: Database) -> dict[str, Any]:
    """Options of a connection that sees the database as it was when its transaction began."""
    return {"reads": True} if database.path else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


def _lines(connection: sa.Connection, table: sa.Table) -> Iterator[bytes]:
    every = sa.select(table).order_by(*table.primary_key).execution_options(yield_per=_ROWS)
    for row in connection.execute(every).mappings():
        values = {
            str(name): base64.b64encode(value).decode() if isinstance(value, bytes) else value
            for name, value in row.items()
        }
        yield orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATETIME)


def _manifest(folder: Path) -> Backup:
    try:
        return Backup(**orjson.loads((folder / MANIFEST).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise BackupRefused(f"{folder} is no backup: its {MANIFEST} cannot be read ({error}).") from error


@contextmanager
def _verified(folder: Path, made: Backup, target: Path) -> Iterator[Path]:
    """A folder beside the snapshots with copies of the backup's, once every file of it is known to be whole."""
    _make_folder(target)
    for left in target.glob(f"restoring.*{UNFINISHED}"):
        shutil.rmtree(left)
    staged = target / f"restoring.{secrets.token_hex(4)}{UNFINISHED}"
    staged.mkdir(mode=0o700)
    try:
        for name, expected in made.files.items():
            room, *parts = Path(name).parts
            if room not in {TABLES, SNAPSHOTS} or ".." in parts:
                raise BackupRefused(f"{folder} is no backup: it names the file {name!r}.")
            try:
                if room == SNAPSHOTS:
                    with (folder / name).open("rb") as source:
                        found = _copied(source, staged.joinpath(*parts))
                else:
                    found = _sha256(folder / name)
            except FileNotFoundError:
                found = "missing"
            if found != expected:
                raise BackupRefused(f"{folder / name} is damaged (SHA-256 {found}): nothing was restored.")
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _move_in(staged: Path, target: Path) -> None:
    """Move files and parts to where they belong, each at once and whole; parts are named by their content."""
    for tenant in staged.iterdir():
        here = target / tenant.name
        for path in (tenant / FOLDER).glob("*"):
            _make_folder(here / FOLDER)
            if not (here / FOLDER / path.name).exists():
                path.rename(here / FOLDER / path.name)
        for path in tenant.iterdir():
            if path.is_file():
                _make_folder(here)
                path.replace(here / path.name)


def _erase_again(connection: sa.Connection, database: Database, tenant: str, before: Sequence[sa.RowMapping]) -> None:
    """Erase those again who were erased since the backup was made: restoring it brings nobody back."""
    since = {row["hashed_id"]: row for row in before}
    for hashed in hashes(connection, tenant):
        since.pop(hashed, None)
    if not since:
        return
    key, actor = read_key(database), Actor(tenant, ACTOR, database)
    must_fit(key, since, database.erasure_key)
    gone = Erased(hashes=frozenset(since), key=key)
    for customer_id in _everybody(connection, database, tenant):
        if key is not None and customer_id in gone:
            erase(connection, actor, customer_id, key)
            after: int | None = 0
            while after is not None:
                after = hash_in_audit(connection, tenant, customer_id, key.hashed(customer_id), after)
    if rows := [dict(since[hashed]) for hashed in set(since) - hashes(connection, tenant)]:
        connection.execute(erasures.insert(), rows)


def _everybody(connection: sa.Connection, database: Database, tenant: str) -> set[str]:
    """The ids of all customers of a tenant that are stored anywhere."""
    found: set[str] = set()
    for table in metadata.sorted_tables:
        if "customer_id" in table.c:
            its = sa.select(table.c.customer_id).where(table.c.tenant == tenant).distinct()
            found.update(connection.execute(its).scalars())
    for one in pointer.kept(connection, tenant):
        found.update(SnapshotFile(database.snapshots / tenant / f"{one.snapshot_id}{SUFFIX}").everybody())
    return found


def _load(connection: sa.Connection, folder: Path, made: Backup) -> None:
    """Fill the tables, which are empty and of the backup's revision."""
    tables = sa.MetaData()
    tables.reflect(connection, only=list(made.rows))
    for table in tables.sorted_tables:
        connection.execute(table.delete())  # what a migration filled in
        binary = {column.name for column in table.c if isinstance(column.type, sa.LargeBinary)}
        with (folder / TABLES / f"{table.name}.ndjson").open("rb") as file:
            while lines := list(islice(file, _ROWS)):
                connection.execute(table.insert(), [_row(line, binary) for line in lines])
        if connection.dialect.name == "postgresql":
            _continue_numbers(connection, table)


def _row(line: bytes, binary: set[str]) -> dict[str, Any]:
    row: dict[str, Any] = orjson.loads(line)
    for name in binary:
        if row[name] is not None:
            row[name] = base64.b64decode(row[name])
    return row


def _continue_numbers(connection: sa.Connection, table: sa.Table) -> None:
    """Let PostgreSQL number new rows from where the restored ones end."""
    for column in table.primary_key:
        sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
        if isinstance(column.type, sa.Integer) and connection.execute(sa.select(sequence)).scalar_one():
            highest = sa.select(sa.func.max(column)).scalar_subquery()
            connection.execute(sa.select(sa.func.setval(sequence, sa.func.coalesce(highest, 1), highest.is_not(None))))


def _any(connection: sa.Connection, table: sa.Table) -> bool:
    return connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise _Retired(path.stem) from None


@contextmanager
def _file(path: Path) -> Iterator[BinaryIO]:
    """A new file for us alone, on disk at the end."""
    _make_folder(path.parent)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
        yield file
        file.flush()
        os.fsync(file.fileno())


def _make_folder(path: Path) -> None:
    """A folder, and those above it that are missing, for us alone."""
    for folder in reversed([one for one in (path, *path.parents) if not one.exists()]):
        folder.mkdir(exist_ok=True, mode=0o700)


def _copied(source: BinaryIO, path: Path) -> str:
    """Copy a file; its SHA-256."""
    digest = hashlib.sha256()
    with _file(path) as file:
        while piece := source.read(_PIECE):
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
