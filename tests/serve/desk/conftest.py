"""A desk with a company in it: in this process for its answers, as a server for browsers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import desk_company as company
import pytest
from desk_client import Desk
from fastapi import FastAPI
from scoring_runs import full_url, running

from fedelta.serve.app import create_app
from fedelta.serve.caller.settings import Settings
from fedelta.serve.operational.database import Database


@pytest.fixture(scope="session")
def company_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database and snapshots of the company; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("company")
    database = Database.at(f"sqlite:///{folder}/fedelta.db")
    database.migrate()
    company.people(database)
    company.run(database, folder)
    company.small_runs(database, folder)
    return folder


@pytest.fixture
def desk_database(company_folder: Path, tmp_path: Path) -> Database:
    """A database of the test's own with the company in it."""
    (tmp_path / "fedelta.db").write_bytes((company_folder / "fedelta.db").read_bytes())
    (tmp_path / "snapshots").symlink_to(company_folder / "snapshots")
    return Database.at(f"sqlite:///{tmp_path}/fedelta.db")


@pytest.fixture
def desk_app(desk_database: Database) -> Iterator[FastAPI]:
    """The application over it."""
    app = create_app(full_url(desk_database), Settings(access_log="off", failures_per_minute=100_000), look_again=0)
    yield app
    app.state.store.close()


@pytest.fixture
def visit(desk_app: FastAPI) -> Iterator[Callable[..., Desk]]:
    """Somebody at the desk: signed in with a role, or not yet."""
    made: list[Desk] = []

    def visit(role: str | None = None, language: str = "en") -> Desk:
        desk = Desk(desk_app, language)
        made.append(desk)
        if role is not None:
            assert desk.sign_in(role).headers["location"] == "/desk"
        return desk

    yield visit
    for each in made:
        each.close()


@pytest.fixture(scope="session")
def chromium(needs_system: Callable[[str], Path]) -> Path:
    """Debian's Chromium."""
    return needs_system("chromium") / "chromium"


@pytest.fixture(scope="session")
def served(company_folder: Path) -> Iterator[str]:
    """The address of a server over the company; tests of browsers share it and leave no trace that others see."""
    options = ["--rate-per-second", "0", "--failures-per-minute", "100000"]
    with running(f"sqlite:///{company_folder}/fedelta.db", options=options) as address:
        yield address
