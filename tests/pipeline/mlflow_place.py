"""Where a test's MLflow is."""

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

# For a test of what fedelta asks of MLflow; what it decides by the answers is the same in both places.
PLACES = ("sqlite", pytest.param("server", marks=pytest.mark.long))
on_a_server_too = pytest.mark.parametrize("place", PLACES, indirect=True)


@dataclass(frozen=True)
class Place:
    """Where a test's MLflow is. On a server `source` is the test's own: tests share the server and nothing on it."""

    uri: str
    database: Path
    artifacts: Path
    source: str

    @property
    def model(self) -> str:
        """The registered model of the test's source."""
        return f"fedelta-{self.source}"

    def dump(self) -> list[str]:
        """Everything that MLflow holds."""
        with contextlib.closing(sqlite3.connect(self.database)) as database:
            return list(database.iterdump())

    def restore(self, dumped: str) -> None:
        """Hold what a database held when it was dumped, and nothing else; before MLflow has opened this one."""
        self.database.unlink()
        with contextlib.closing(sqlite3.connect(self.database)) as database:
            database.executescript(dumped)
