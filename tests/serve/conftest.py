"""Fixtures of the service's tests: a database, and an application over it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from scoring_runs import Client, Publish, write

from fedelta.serve.app import create_app
from fedelta.serve.caller.keys import create_key
from fedelta.serve.database import Database
from fedelta.serve.publish import Published, publish


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where no project is: what is published by default would else be that of a run made in the repository."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a database with its tables and nothing in them; copying it is faster than migrating."""
    database = Database(tmp_path_factory.mktemp("empty") / "fedelta.db")
    database.migrate()
    return database.path.read_bytes()


@pytest.fixture
def database(tmp_path: Path, empty_database: bytes) -> Database:
    """A database in which nothing is published."""
    (tmp_path / "fedelta.db").write_bytes(empty_database)
    return Database(tmp_path / "fedelta.db")


@pytest.fixture
def publish_customers(database: Database, tmp_path: Path) -> Publish:
    """Publish a run with these customers."""

    def run(*customers: Mapping[str, object]) -> Published:
        path = write(tmp_path / "scores.parquet", *customers)
        return publish(path, database, bundle=tmp_path / "bundle", metrics=tmp_path / "metrics.json")

    return run


@pytest.fixture
def key(database: Database) -> str:
    """A key that may read everything."""
    return create_key(database, "tests", ["read:score", "read:list"])[0]


@pytest.fixture
def client(database: Database, key: str) -> Iterator[Client]:
    """A client that shows ``key``."""
    app = create_app(f"sqlite:///{database.path}")
    client = Client(app, key)
    yield client
    client.close()
    app.state.store.close()


@pytest.fixture
def stranger(database: Database) -> Iterator[Client]:
    """A client without a key."""
    app = create_app(f"sqlite:///{database.path}")
    client = Client(app)
    yield client
    client.close()
    app.state.store.close()
