"""``fedelta users``: who signs in to the desk, added and ended from the command line."""

import io
import json

import pytest
from scoring_runs import full_url

from fedelta.cli import main
from fedelta.serve.operational.database import Database


def run(database: Database, *words: str) -> int:
    return main(["users", *words, "--database", full_url(database)])


def test_users_are_added_listed_disabled_and_given_passwords(
    database: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a long password\n"))
    assert run(database, "add", "Ada@Example.com", "--name", "Ada", "--role", "manager", "--language", "it") == 0
    assert run(database, "add", "bob@example.com", "--name", "Bob", "--no-password", "--tenant", "north") == 0
    assert run(database, "disable", "ada@example.com") == 0
    capsys.readouterr()
    assert run(database, "list", "--json") == 0
    ada, bob = json.loads(capsys.readouterr().out)
    assert (ada["email"], ada["role"], ada["language"], bool(ada["disabled_at"])) == (
        "ada@example.com",
        "manager",
        "it",
        True,
    )
    assert (bob["role"], bob["tenant"], bob["disabled_at"]) == ("agent", "north", None)
    monkeypatch.setattr("sys.stdin", io.StringIO("another long one\n"))
    assert run(database, "passwd", "ada@example.com") == 0
    assert run(database, "list", "--tenant", "default") == 0
    assert "active" in capsys.readouterr().out


def test_what_cannot_be_is_one_line(
    database: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert run(database, "add", "ada@example.com", "--name", "Ada") == 1
    assert "12 to 200 characters" in capsys.readouterr().err
    assert run(database, "disable", "nobody@example.com") == 1
    assert "There is no user" in capsys.readouterr().err
