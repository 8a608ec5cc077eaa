"""Where the operational database lies and how it is written: SQLite by default, PostgreSQL by URL."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection

from fedelta.features.errors import FedeltaError

if TYPE_CHECKING:
    from alembic.config import Config

DEFAULT_URL = "sqlite:///data/serve/fedelta.db"
URL_VARIABLE = "FEDELTA_DATABASE_URL"
SNAPSHOTS_VARIABLE = "FEDELTA_SNAPSHOTS"
ERASURE_KEY_VARIABLE = "FEDELTA_ERASURE_KEY"
BUSY_SECONDS = 15.0
MIGRATIONS = Path(__file__).parent / "migrations"

_POSTGRES = "postgresql+psycopg"
# A server that went away is noticed within seconds, by a new connection and by one that waits for an answer.
_ANSWERS = {"connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
_MIGRATING, _PUBLISHING = 0x0FED_0001, 0x0FED_0002  # names of PostgreSQL's advisory locks


class DatabaseError(FedeltaError):
    """The database cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Database:
    """A SQLite file (WAL) or a PostgreSQL database, and the folder of the snapshot files beside it."""

    url: sa.URL
    snapshots: Path

    @classmethod
    def at(cls, url: str | None = None, snapshots: Path | None = None) -> "Database":
        """The database at ``url``, else at ``FEDELTA_DATABASE_URL``, else at ``sqlite:///data/serve/fedelta.db``.

        Snapshots lie in ``snapshots``, else in ``FEDELTA_SNAPSHOTS``, else in the folder of that name beside the SQLite
        file (with PostgreSQL: in ``data/serve``).
        """
        parsed = _parsed(url or os.environ.get(URL_VARIABLE) or DEFAULT_URL)
        beside = Path(parsed.database or "") if _is_sqlite(parsed) else Path(DEFAULT_URL.removeprefix("sqlite:///"))
        given = snapshots or os.environ.get(SNAPSHOTS_VARIABLE)
        return cls(parsed, Path(given) if given else beside.parent / "snapshots")

    @property
    def path(self) -> Path | None:
        """The SQLite file, None of PostgreSQL."""
        return Path(self.url.database or "") if _is_sqlite(self.url) else None

    @property
    def erasure_key(self) -> Path:
        """The secret file by which ids of erased customers are hashed: beside the snapshots, or as named."""
        return Path(os.environ.get(ERASURE_KEY_VARIABLE) or self.snapshots.parent / "erasure.key")

    @property
    def place(self) -> str:
        """Where it is, for messages: without a password."""
        return str(self.path or self.url.render_as_string(hide_password=True))

    def connect(self, *, create: bool = False, wait: float = BUSY_SECONDS, pool: int = 5) -> sa.Engine:
        """An engine; its user disposes of it.

        Every transaction of SQLite takes the write lock when it begins, so none fails halfway for want of it; those of
        ``engine.execution_options(reads=True)`` take none. Connections that died are replaced when they are next used.
        """
        if (path := self.path) is None:
            settings = {**_ANSWERS, "options": f"-c lock_timeout={int(wait * 1000)}"}
            return sa.create_engine(
                self.url, connect_args=settings, pool_pre_ping=True, pool_size=pool, pool_timeout=wait
            )
        if create:
            _make(path)
        where = sa.URL.create("sqlite", database=f"{path.absolute().as_uri()}", query={"mode": "rw", "uri": "true"})
        engine = sa.create_engine(
            where, connect_args={"timeout": wait, "check_same_thread": False}, pool_size=pool, pool_timeout=wait
        )
        sa.event.listen(engine, "connect", _prepare)
        sa.event.listen(engine, "begin", _begin)
        return engine

    @contextmanager
    def engine(self) -> Iterator[sa.Engine]:
        """An engine for writing, disposed of at the end; a SQLite file is made where there is none.

        Raises
        ------
        DatabaseError
            If the database cannot be opened or written, is none of ours, or stays locked for 15 seconds.
        """
        engine = None
        try:
            engine = self.connect(create=True)
            yield engine
        except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
            raise DatabaseError(f"The database {self.place} cannot be written: {reason(error)}.") from error
        except OSError as error:
            raise DatabaseError(f"The database {self.place} cannot be written: {error.strerror}.") from error
        finally:
            if engine is not None:
                engine.dispose()

    def migrate(self) -> None:
        """Bring the tables to the newest revision, making the file where there is none; safe beside other processes.

        Raises
        ------
        DatabaseError
            If it cannot be written, or was made by a newer version.
        """
        self.must_not_be_emptied()
        with self.engine() as engine, engine.begin() as connection:
            if self.path is None:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:name)"), {"name": _MIGRATING})
            if self.revision(connection) != self.newest():
                self.upgrade(connection)

    def must_not_be_emptied(self) -> None:
        """Refuse a file without content beside published runs: it held what people did, and would be made anew.

        Raises
        ------
        DatabaseError
            If it is one.
        """
        path = self.path
        if path is None or not path.exists() or path.stat().st_size:
            return
        if any(self.snapshots.glob("*/*.db")):
            raise DatabaseError(
                f"{path} is empty (0 bytes), and runs published with it lie in {self.snapshots}: bring back a backup "
                "(`fedelta restore`), or remove both to begin anew."
            )

    def upgrade(self, connection: sa.Connection, revision: str = "head") -> None:
        """Bring the tables to a revision, in the transaction of ``connection``.

        Raises
        ------
        DatabaseError
            If they were made by a newer version.
        """
        from alembic import command  # noqa: PLC0415 (the import takes longer than most requests)
        from alembic.util import CommandError  # noqa: PLC0415

        config = _alembic()
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, revision)
        except CommandError as error:
            raise DatabaseError(
                f"The database {self.place} was made by another version of fedelta ({error}): "
                "upgrade fedelta, or give another --database."
            ) from error

    def revision(self, connection: sa.Connection) -> str | None:
        """The revision of the tables; None where there are none."""
        from alembic.runtime.migration import MigrationContext  # noqa: PLC0415

        return MigrationContext.configure(connection).get_current_revision()

    def newest(self) -> str:
        """The newest revision that this version knows."""
        from alembic.script import ScriptDirectory  # noqa: PLC0415

        head = ScriptDirectory.from_config(_alembic()).get_current_head()
        assert head is not None
        return head

    def knows(self, revision: str) -> bool:
        """Whether this version knows the revision."""
        from alembic.script import ScriptDirectory  # noqa: PLC0415

        return revision in {one.revision for one in ScriptDirectory.from_config(_alembic()).walk_revisions()}

    @contextmanager
    def sole_publisher(self, tenant: str) -> Iterator[None]:
        """Hold the right to publish for a tenant; it is taken back from a process that dies.

        With SQLite the lock is that of a file of its own, since a lock on the database would stop other writers for as
        long as a run is written; with PostgreSQL it is an advisory lock, since publishers may be on two machines.

        Raises
        ------
        DatabaseError
            If another process holds it.
        """
        refused = DatabaseError(
            f"Another process is publishing into {self.place}: wait for it to end, then publish again."
        )
        if (path := self.path) is None:
            name = _PUBLISHING, sa.func.hashtext(tenant)
            with self.engine() as engine, engine.connect().execution_options(isolation_level="AUTOCOMMIT") as held:
                if not held.execute(sa.select(sa.func.pg_try_advisory_lock(*name))).scalar_one():
                    raise refused
                try:
                    yield
                finally:  # the server would notice some time after the connection is closed
                    held.execute(sa.select(sa.func.pg_advisory_unlock(*name)))
            return
        lock_file = Path(f"{path}.publishing.{tenant}")
        _make(lock_file)
        with closing(sqlite3.connect(lock_file, timeout=0, isolation_level=None)) as file:
            try:
                file.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                raise refused from error
            yield


def _alembic() -> "Config":
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def reason(error: Exception) -> str:
    """Why the database failed, in one line."""
    cause = (error.orig if isinstance(error, sa.exc.DBAPIError) else None) or error
    return next(iter(str(cause).strip().splitlines()), type(cause).__name__).rstrip(". ")


def _parsed(url: str) -> sa.URL:
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise DatabaseError(
            "The database URL cannot be read: write it as sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME."
        ) from None
    if parsed.drivername in {"postgresql", "postgres", _POSTGRES}:
        return parsed.set(drivername=_POSTGRES)
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise DatabaseError(
            f"The service keeps its data in SQLite or PostgreSQL and cannot use {parsed.drivername!r}: "
            "give --database sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME, or leave it out."
        )
    if parsed.query or not parsed.database or parsed.database == ":memory:":
        raise DatabaseError("The database must be a file that all processes share: write it as sqlite:///PATH.")
    return parsed


def _is_sqlite(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _make(path: Path) -> None:
    """Make the file where there is none, and let nobody but its owner read it; its journal takes the same mode.

    One that is there is not opened: closing it would take back the locks that SQLite holds on it for this process, and
    the next process to end would remove the journal that this one still writes to.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if path.stat().st_mode & 0o077 and path.stat().st_uid == os.geteuid():
        path.chmod(0o600)


def _prepare(connection: DBAPIConnection, _record: object) -> None:
    connection.isolation_level = None  # we begin our transactions ourselves
    for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "cache_size = -16384"):
        connection.execute(f"PRAGMA {setting}")
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(value: object) -> object:
    """Of every alphabet, as PostgreSQL has it; SQLite's own knows A to Z."""
    return value.lower() if isinstance(value, str) else value


def _begin(connection: sa.Connection) -> None:
    reads = connection.get_execution_options().get("reads")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
