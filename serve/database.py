"""The operational database: where it lies, its tables, and how it is written. Reads are in ``serve.store``."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection

from fedelta.features.errors import FedeltaError

DEFAULT_URL = "sqlite:///data/serve/fedelta.db"
URL_VARIABLE = "FEDELTA_DATABASE_URL"
BUSY_SECONDS = 15.0
MIGRATIONS = Path(__file__).parent / "migrations"

metadata = sa.MetaData()

# One row per scoring run. ``turn`` counts the times a run became current: the highest one is served, and a run without
# a turn is being loaded or removed (or was when its publish died). So one UPDATE switches the service to a new run.
snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("snapshot_id", sa.String(64), nullable=False, unique=True),
    sa.Column("turn", sa.Integer, unique=True),
    sa.Column("as_of", sa.String(40)),
    sa.Column("published_at", sa.String(40)),
    sa.Column("customers", sa.Integer, nullable=False),
    sa.Column("about", sa.LargeBinary, nullable=False),  # JSON: model, metrics, thresholds
)

# One row per customer of a run. ``body`` is the JSON document as it is served. The ranks (1 is first) are dense over
# the scored customers of the run and null for the others; with them a page of the list is one range of an index, which
# also holds every column that the list filters by.
scores = sa.Table(
    "scores",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("snapshot_number", sa.Integer, sa.ForeignKey("snapshots.number"), nullable=False),
    sa.Column("customer_id", sa.String, nullable=False),
    sa.Column("churn_probability", sa.Float),
    sa.Column("risk_tier", sa.String(16)),
    sa.Column("clv_expected", sa.Float),
    sa.Column("value_at_risk", sa.Float),
    sa.Column("held_out", sa.Boolean),
    sa.Column("suppression_reason", sa.String(32)),
    sa.Column("loyalty_class", sa.String(16)),
    sa.Column("persona", sa.String),
    sa.Column("journey", sa.String(16)),
    sa.Column("journey_stage", sa.String(16)),
    sa.Column("open_issue", sa.Boolean),
    sa.Column("rank_by_value", sa.Integer),
    sa.Column("rank_by_probability", sa.Integer),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
FILTERED = (
    "churn_probability", "risk_tier", "clv_expected", "value_at_risk", "held_out", "suppression_reason",
    "loyalty_class", "persona", "journey", "journey_stage", "open_issue",
)  # fmt: skip
sa.Index("scores_by_customer", scores.c.snapshot_number, scores.c.customer_id, unique=True)
sa.Index("scores_by_value", scores.c.snapshot_number, scores.c.rank_by_value, *(scores.c[name] for name in FILTERED))
sa.Index(
    "scores_by_probability",
    scores.c.snapshot_number,
    scores.c.rank_by_probability,
    *(scores.c[name] for name in FILTERED),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("prefix", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),  # SHA-256 of the whole key
    sa.Column("scopes", sa.String(200), nullable=False),  # separated by spaces
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("revoked_at", sa.String(40)),
)


class DatabaseError(FedeltaError):
    """The database cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Database:
    """A SQLite file, written through SQLAlchemy in short transactions beside any number of readers (WAL)."""

    path: Path

    @classmethod
    def at(cls, url: str | None = None) -> "Database":
        """The database at ``url``, else at ``FEDELTA_DATABASE_URL``, else at ``sqlite:///data/serve/fedelta.db``."""
        url = url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
        try:
            parsed = make_url(url)
        except (sa.exc.ArgumentError, ValueError):
            raise DatabaseError("The database URL cannot be read: write it as sqlite:///PATH.") from None
        if parsed.get_backend_name() != "sqlite" or parsed.get_driver_name() != "pysqlite":
            raise DatabaseError(
                f"The service keeps its data in SQLite and cannot use {parsed.drivername!r}: "
                "give --database sqlite:///PATH or leave it out."
            )
        if parsed.query or not parsed.database or parsed.database == ":memory:":
            raise DatabaseError("The database must be a file that all processes share: write it as sqlite:///PATH.")
        return cls(Path(parsed.database))

    @contextmanager
    def engine(self) -> Iterator[sa.Engine]:
        """An engine for writing, disposed of at the end.

        Every transaction takes the write lock when it begins, so none fails halfway for want of it.

        Raises
        ------
        DatabaseError
            If the file cannot be opened or written, is no database, or stays locked for 15 seconds.
        """
        engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(self.path)), connect_args={"timeout": BUSY_SECONDS}
        )
        sa.event.listen(engine, "connect", _prepare)
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            yield engine
        except (sa.exc.DBAPIError, sqlite3.Error) as error:
            cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
            raise DatabaseError(f"The database {self.path} cannot be written: {cause}.") from error
        except OSError as error:
            raise DatabaseError(f"The database {self.path} cannot be written: {error.strerror}.") from error
        finally:
            engine.dispose()

    def migrate(self) -> None:
        """Bring the tables to the newest revision, making the file where there is none; safe beside other processes.

        Raises
        ------
        DatabaseError
            If it cannot be written, or was made by a newer version.
        """
        from alembic import command  # noqa: PLC0415 (the import takes longer than most requests)
        from alembic.config import Config  # noqa: PLC0415
        from alembic.runtime.migration import MigrationContext  # noqa: PLC0415
        from alembic.script import ScriptDirectory  # noqa: PLC0415
        from alembic.util import CommandError  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        newest = ScriptDirectory.from_config(config).get_current_head()
        with self.engine() as engine, engine.begin() as connection:
            if MigrationContext.configure(connection).get_current_revision() == newest:
                return
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise DatabaseError(
                    f"The database {self.path} was made by another version of fedelta ({error}): "
                    "upgrade fedelta, or give another --database."
                ) from error

    @contextmanager
    def sole_publisher(self) -> Iterator[None]:
        """Hold the right to publish; the operating system takes it back from a process that dies.

        The lock is that of a SQLite file of its own, since a lock on the database itself would stop other writers for
        as long as a run loads.

        Raises
        ------
        DatabaseError
            If another process holds it.
        """
        name = self.path.with_name(self.path.name + ".publishing")
        with closing(sqlite3.connect(name, timeout=0, isolation_level=None)) as lock:
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                raise DatabaseError(
                    f"Another process is publishing into {self.path}: wait for it to end, then publish again."
                ) from error
            yield


def _prepare(connection: DBAPIConnection, _record: object) -> None:
    connection.isolation_level = None  # we begin our transactions ourselves
    for setting in ("journal_mode = WAL", "synchronous = NORMAL", "cache_size = -65536"):
        connection.execute(f"PRAGMA {setting}")
