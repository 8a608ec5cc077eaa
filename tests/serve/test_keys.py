"""API keys: shown once, kept as a digest, revoked by name."""

import hashlib
from pathlib import Path

import pytest

from fedelta.cli import main
from fedelta.serve.caller.keys import KeyRefused, create_key, list_keys, revoke_key
from fedelta.serve.database import Database


def test_a_key_is_kept_as_its_digest_only(database: Database) -> None:
    key, made = create_key(database, "crm", ["read:score"])
    content = b"".join(path.read_bytes() for path in database.path.parent.glob(f"{database.path.name}*"))
    assert key.encode() not in content
    assert key.removeprefix(made.prefix).encode() not in content
    assert hashlib.sha256(key.encode()).digest() in content
    assert len(key) >= len(made.prefix) + 43  # 256 bits


def test_no_two_keys_are_alike(database: Database) -> None:
    assert len({create_key(database, f"k{i}", ["read:list"])[0] for i in range(5)}) == 5


@pytest.mark.parametrize("scopes", [[], ["read:everything"], ["read:score", "admin"]])
def test_a_scope_we_do_not_know_is_refused(database: Database, scopes: list[str]) -> None:
    with pytest.raises(KeyRefused, match="read:score, read:list"):
        create_key(database, "crm", scopes)
    assert list_keys(database) == []


@pytest.mark.parametrize("name", ["", "  ", "x" * 101])
def test_a_key_has_a_name(database: Database, name: str) -> None:
    with pytest.raises(KeyRefused, match="name"):
        create_key(database, name, ["read:score"])


def test_a_name_is_free_again_when_its_key_is_revoked(database: Database) -> None:
    create_key(database, "crm", ["read:score"])
    with pytest.raises(KeyRefused, match="revoke it first"):
        create_key(database, "crm", ["read:score"])
    assert revoke_key(database, "crm").revoked_at
    create_key(database, "crm", ["read:score"])
    assert [bool(key.revoked_at) for key in list_keys(database)].count(True) == 1


def test_a_key_is_revoked_by_its_prefix_too(database: Database) -> None:
    _, made = create_key(database, "crm", ["read:score"])
    assert revoke_key(database, made.prefix).name == "crm"
    with pytest.raises(KeyRefused, match="no active key"):
        revoke_key(database, "crm")


def test_the_command_shows_a_key_once_alone_on_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--database", f"sqlite:///{tmp_path}/fedelta.db"]
    assert main(["keys", "create", "crm", "--scope", "read:score", "--scope", "read:list", *place]) == 0
    shown = capsys.readouterr()
    key = shown.out.strip()
    assert key.startswith("fdl_")
    assert "once" in shown.err
    assert main(["keys", "list", *place]) == 0
    listed = capsys.readouterr().out
    assert "crm" in listed
    assert "read:list,read:score" in listed
    assert key not in listed
    assert main(["keys", "revoke", "crm", *place]) == 0
    assert main(["keys", "list", *place]) == 0
    assert "revoked" in capsys.readouterr().out


def test_a_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--database", f"sqlite:///{tmp_path}/fedelta.db"]
    for wrong in (["create", "crm", *place], ["revoke", "crm", *place], ["list", "--database", "mysql://x/y"]):
        assert main(["keys", *wrong]) == 1
        assert capsys.readouterr().err.count("\n") == 1
