"""The database: where it lies, and how its tables come to be."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from operational_databases import copy, url_of
from postgres import Server
from scoring_runs import REPOSITORY

from fedelta.serve.operational.database import (
    DEFAULT_URL,
    MIGRATIONS,
    SNAPSHOTS_VARIABLE,
    URL_VARIABLE,
    Database,
    DatabaseError,
)
from fedelta.serve.operational.pointer import record
from fedelta.serve.operational.stored_keys import find_key
from fedelta.serve.operational.tables import audit, metadata
from fedelta.serve.store import Store


def test_the_argument_wins_over_the_environment_and_that_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (URL_VARIABLE, SNAPSHOTS_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    assert Database.at().path == Path(DEFAULT_URL.removeprefix("sqlite:///"))
    assert Database.at().snapshots == Path("data/serve/snapshots")
    monkeypatch.setenv(URL_VARIABLE, "sqlite:////tmp/a.db")
    assert Database.at().path == Path("/tmp/a.db")
    assert Database.at("sqlite:///c/b.db").path == Path("c/b.db")
    assert Database.at("sqlite:///c/b.db").snapshots == Path("c/snapshots")
    assert Database.at("postgresql://me@host/db").path is None
    assert Database.at("postgresql://me@host/db").snapshots == Path("data/serve/snapshots")
    monkeypatch.setenv(SNAPSHOTS_VARIABLE, "/srv/snapshots")
    assert Database.at().snapshots == Path("/srv/snapshots")


@pytest.mark.parametrize(
    "url",
    ["mysql://me:secret@host/db", "postgresql+pg8000://me:secret@host/db", "sqlite://", "sqlite:///:memory:",
     "data.db", "sqlite:///a.db?mode=ro", "nonsense://x", "sqlite+aiosqlite:///a.db"],
)  # fmt: skip
def test_a_url_we_cannot_serve_from_is_refused_without_telling_its_password(url: str) -> None:
    with pytest.raises(DatabaseError, match="sqlite:///PATH") as refused:
        Database.at(url)
    assert "secret" not in str(refused.value)


def test_a_server_that_does_not_answer_is_one_clear_line_without_its_password() -> None:
    with pytest.raises(DatabaseError, match="cannot be written") as refused:
        Database.at("postgresql://me:secret@127.0.0.1:1/db").migrate()
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_migrations_make_exactly_the_tables_we_use(database: Database) -> None:
    with database.engine() as engine, engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def upgrade(database: Database, revision: str) -> None:
    with database.engine() as engine, engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_keys_made_before_there_were_tenants_are_good_after_it(sqlite_database: Database, tmp_path: Path) -> None:
    del sqlite_database
    database = Database.at(f"sqlite:///{tmp_path}/old.db")
    upgrade(database, "0003")
    with database.engine() as engine, engine.begin() as connection:
        made = {"prefix": "fdl_1", "name": "crm", "digest": b"x", "scopes": "read:score", "created_at": "2024-01-01"}
        table = sa.table("api_keys", *(sa.column(name) for name in made))
        connection.execute(table.insert().values(made))
        connection.execute(
            sa.text("INSERT INTO snapshots (number, snapshot_id, turn, customers, about) VALUES (1, 'a', 1, 2, '{}')")
        )
        connection.execute(sa.text("INSERT INTO scores (snapshot_number, customer_id, body) VALUES (1, 'ann', '')"))
    database.migrate()
    engine = database.connect()
    found = find_key(engine, "fdl_1")
    assert found is not None
    assert (found.tenant, found.scopes, found.expires_at) == ("default", {"read:score"}, None)
    assert "scores" not in sa.inspect(engine).get_table_names()
    engine.dispose()


def test_every_row_has_a_tenant_that_is_known(database: Database) -> None:
    for table in metadata.sorted_tables:
        assert "tenant" in table.c, table.name
        assert not table.c.tenant.nullable
    with pytest.raises(DatabaseError), database.engine() as engine, engine.begin() as connection:
        record(connection, "nobody", "me", "x", "y", {})


def test_migrating_twice_is_migrating_once(database: Database) -> None:
    def seen() -> object:
        with database.engine() as engine, engine.begin() as connection:
            return connection.execute(sa.text("SELECT version_num FROM alembic_version")).all()

    before = seen()
    database.migrate()
    assert seen() == before


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_processes_that_migrate_at_once_do_not_collide(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    url = f"sqlite:///{tmp_path}/one.db"
    if kind == "postgresql":
        server: Server = request.getfixturevalue("postgres")
        copy(server, "template1", "migrated_at_once")
        url = url_of(server, "migrated_at_once")
    program = f"from fedelta.serve.operational.database import Database; Database.at({url!r}).migrate()"
    processes = [subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    with Database.at(url).engine() as engine, engine.begin() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM alembic_version")).scalar_one() == 1


def test_a_migration_that_fails_leaves_no_half_made_tables(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "taken.db")) as connection:
        connection.execute("CREATE TABLE api_keys (mine TEXT)")
    database = Database.at(f"sqlite:///{tmp_path}/taken.db")
    with pytest.raises(DatabaseError, match="api_keys already exists"):
        database.migrate()
    with database.engine() as engine:
        assert sa.inspect(engine).get_table_names() == ["api_keys"]


def test_a_database_of_a_newer_version_is_not_changed(database: Database) -> None:
    with database.engine() as engine, engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match="upgrade fedelta"):
        database.migrate()


def test_a_reader_never_waits_for_a_writer(database: Database) -> None:
    with database.engine() as engine, engine.begin() as writer:
        writer.execute(sa.text("DELETE FROM api_keys"))
        with engine.execution_options(reads=True).begin() as reader:
            assert reader.execute(sa.text("SELECT count(*) FROM api_keys")).scalar_one() == 0


def test_the_store_writes_off_the_loop_and_works_again_when_the_server_does(postgres_database: Database) -> None:
    """Every connection is ended by the server, as when it was killed and started again."""
    store = Store(postgres_database)

    def line(connection: sa.Connection) -> str:
        record(connection, "default", "me", "tested", "x", {})
        return threading.current_thread().name

    def end_all(connection: sa.Connection) -> None:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        connection.execute(sa.text(f"{others} AND pid <> pg_backend_pid()"))

    async def write() -> str:
        return await store.write(line)

    async def many() -> list[str]:
        return await asyncio.gather(*(write() for _ in range(8)))

    assert all(name.startswith("operational") for name in asyncio.run(many()))
    with postgres_database.engine() as engine, engine.begin() as connection:
        end_all(connection)
    asyncio.run(many())
    with postgres_database.engine() as engine, engine.begin() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(audit)).scalar_one() == 16
    store.close()


def test_a_process_that_opens_the_database_again_keeps_its_locks_so_that_no_other_removes_its_journal(
    sqlite_database: Database,
) -> None:
    url = sqlite_database.url.render_as_string(hide_password=False)
    program = f"from fedelta.serve.operational.database import Database; Database.at({url!r}).migrate()"
    with sqlite_database.engine() as engine, engine.connect() as open_all_the_time:
        with engine.begin() as connection:
            record(connection, "default", "me", "before", "x", {})
        with sqlite_database.engine():
            pass
        open_all_the_time.rollback()
        subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY)
        with engine.begin() as connection:
            record(connection, "default", "me", "after", "x", {})
        counted = (
            "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM audit').fetchone())"
        )
        seen = subprocess.run(
            [sys.executable, "-c", counted, str(sqlite_database.path)], check=True, capture_output=True, text=True
        ).stdout
    assert int(seen) == 2


def test_an_emptied_file_beside_published_runs_is_not_taken_for_a_new_database(tmp_path: Path) -> None:
    database = Database.at(f"sqlite:///{tmp_path}/fedelta.db")
    (tmp_path / "fedelta.db").touch()  # as one that was just made and not yet written to
    database.migrate()
    (database.snapshots / "default").mkdir(parents=True)
    (database.snapshots / "default" / "run.db").touch()
    database.migrate()
    (tmp_path / "fedelta.db").write_bytes(b"")
    with pytest.raises(DatabaseError, match=r"fedelta\.db is empty .* bring back a backup"):
        database.migrate()
    assert (tmp_path / "fedelta.db").stat().st_size == 0
