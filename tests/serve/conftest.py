"""Fixtures of the service's tests: a database of either kind, and an application over it."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from live_service import histories, known_of, scored_project
from operational_databases import copy, url_of
from postgres import Server, running
from scoring_runs import Client, Publish, full_url, write

from fedelta.serve.app import create_app
from fedelta.serve.caller.keys import create_key
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.publish import Published, publish

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where no project is: what is published by default would else be that of a run made in the repository."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a database with its tables and nothing in them; copying it is faster than migrating."""
    path = tmp_path_factory.mktemp("empty") / "fedelta.db"
    Database.at(f"sqlite:///{path}").migrate()
    return path.read_bytes()


@pytest.fixture(scope="session")
def postgres(needs_system: Callable[[str], Path]) -> Iterator[Server]:
    """A PostgreSQL server with a database ``empty`` that has the tables and nothing in them."""
    with running(needs_system("postgresql")) as server:
        copy(server, "postgres", "empty")
        Database.at(url_of(server, "empty"), Path("unused")).migrate()
        yield server


@pytest.fixture
def sqlite_database(tmp_path: Path, empty_database: bytes) -> Database:
    """A SQLite database in which nothing is published."""
    (tmp_path / "fedelta.db").write_bytes(empty_database)
    return Database.at(f"sqlite:///{tmp_path}/fedelta.db")


@pytest.fixture
def postgres_database(tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A PostgreSQL database in which nothing is published."""
    name = f"test_{next(_numbers)}"
    copy(postgres, "empty", name)
    monkeypatch.setenv("FEDELTA_SNAPSHOTS", str(tmp_path / "snapshots"))
    return Database.at(url_of(postgres, name))


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """A database in which nothing is published, of either kind."""
    name = "sqlite_database" if request.param == "sqlite" else "postgres_database"
    made: Database = request.getfixturevalue(name)
    return made


@pytest.fixture(scope="session")
def project() -> Path:
    """A project that was really scored."""
    return scored_project()


@pytest.fixture(scope="session")
def parts(project: Path) -> dict[str, pl.DataFrame]:
    """The interactions of each of its customers."""
    return histories(project)


@pytest.fixture(scope="session")
def known(project: Path) -> dict[str, dict[str, Any]]:
    """What it knows of each customer besides."""
    return known_of(project)


@pytest.fixture
def publish_customers(database: Database, tmp_path: Path) -> Publish:
    """Publish a run with these customers."""

    def run(*customers: Mapping[str, object], tenant: str = "default") -> Published:
        path = write(tmp_path / "scores.parquet", *customers)
        return publish(path, database, bundle=tmp_path / "bundle", metrics=tmp_path / "metrics.json", tenant=tenant)

    return run


@pytest.fixture
def key(database: Database) -> str:
    """A key that may read everything."""
    return create_key(database, "tests", ["read:score", "read:list"])[0]


@pytest.fixture
def client(database: Database, key: str) -> Iterator[Client]:
    """A client that shows ``key``."""
    app = create_app(full_url(database), look_again=0)
    client = Client(app, key)
    yield client
    client.close()
    app.state.store.close()


@pytest.fixture
def stranger(database: Database) -> Iterator[Client]:
    """A client without a key."""
    app = create_app(full_url(database), look_again=0)
    client = Client(app)
    yield client
    client.close()
    app.state.store.close()
