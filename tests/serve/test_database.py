"""The database: where it lies, and how its tables come to be."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from scoring_runs import REPOSITORY

from fedelta.serve.database import DEFAULT_URL, MIGRATIONS, URL_VARIABLE, Database, DatabaseError, metadata


def test_the_argument_wins_over_the_environment_and_that_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    assert Database.at().path == Path(DEFAULT_URL.removeprefix("sqlite:///"))
    monkeypatch.setenv(URL_VARIABLE, "sqlite:////tmp/a.db")
    assert Database.at().path == Path("/tmp/a.db")
    assert Database.at("sqlite:///b.db").path == Path("b.db")


@pytest.mark.parametrize(
    "url",
    ["postgresql://me:secret@host/db", "postgresql+psycopg://me:secret@host/db", "sqlite://", "sqlite:///:memory:",
     "data.db", "sqlite:///a.db?mode=ro", "nonsense://x", "sqlite+aiosqlite:///a.db"],
)  # fmt: skip
def test_a_url_we_cannot_serve_from_is_refused_without_telling_its_password(url: str) -> None:
    with pytest.raises(DatabaseError, match="sqlite:///PATH") as refused:
        Database.at(url)
    assert "secret" not in str(refused.value)


def test_the_migrations_make_exactly_the_tables_we_use(database: Database) -> None:
    with database.engine() as engine, engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_run_published_before_a_migration_keeps_its_rows_and_can_be_filtered_after_it(tmp_path: Path) -> None:
    database = Database(tmp_path / "old.db")
    database.migrate()
    document = (
        b'{"persona":"the unheard","journey":"use","journey_stage":null,"loyalty_class":"loyal","open_issue":true}'
    )
    with database.engine() as engine, engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        connection.execute(
            sa.text("INSERT INTO snapshots (number, snapshot_id, customers, about) VALUES (1, 'a', 2, '')")
        )
        insert = sa.text(
            "INSERT INTO scores (snapshot_number, customer_id, rank_by_value, body) VALUES (1, :id, :rank, :body)"
        )
        connection.execute(
            insert, [{"id": "ann", "rank": 1, "body": document}, {"id": "bob", "rank": None, "body": b"{}"}]
        )
    database.migrate()
    with closing(sqlite3.connect(database.path)) as connection:
        columns = "customer_id, body, persona, journey, journey_stage, loyalty_class, open_issue"
        rows = connection.execute(f"SELECT {columns} FROM scores ORDER BY customer_id").fetchall()
    assert rows == [("ann", document, "the unheard", "use", None, "loyal", 1), ("bob", b"{}", *[None] * 5)]


def test_migrating_twice_is_migrating_once(database: Database) -> None:
    before = database.path.read_bytes()
    database.migrate()
    assert database.path.read_bytes() == before


def test_processes_that_migrate_at_once_do_not_collide(tmp_path: Path) -> None:
    program = f"from fedelta.serve.database import Database; Database.at('sqlite:///{tmp_path}/one.db').migrate()"
    processes = [subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    with closing(sqlite3.connect(tmp_path / "one.db")) as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_a_migration_that_fails_leaves_no_half_made_tables(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "taken.db")) as connection:
        connection.execute("CREATE TABLE api_keys (mine TEXT)")
    database = Database(tmp_path / "taken.db")
    with pytest.raises(DatabaseError, match="api_keys already exists"):
        database.migrate()
    with database.engine() as engine:
        assert sa.inspect(engine).get_table_names() == ["api_keys"]


def test_a_database_of_a_newer_version_is_not_changed(database: Database) -> None:
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(DatabaseError, match="upgrade fedelta"):
        database.migrate()


def test_a_reader_never_waits_for_a_writer(database: Database) -> None:
    with database.engine() as engine, engine.begin() as writer:
        writer.execute(sa.text("DELETE FROM api_keys"))
        with closing(sqlite3.connect(database.path, timeout=0)) as reader:
            assert reader.execute("SELECT count(*) FROM api_keys").fetchone() == (0,)
