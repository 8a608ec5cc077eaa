"""API keys: shown once, kept as a digest, revoked by name."""

import hashlib
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from scoring_runs import customer, write

from fedelta.cli import main
from fedelta.serve.caller.keys import KeyRefused, create_key, list_keys, revoke_key, rotate_key
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.stored_keys import find_key
from fedelta.serve.operational.tables import api_keys, audit, metadata
from fedelta.serve.operational.tenants import TenantRefused


def test_a_key_is_kept_as_its_digest_only(database: Database) -> None:
    key, made = create_key(database, "crm", ["read:score"])
    with database.engine() as engine, engine.begin() as connection:
        rows = [str(row) for table in metadata.sorted_tables for row in connection.execute(sa.select(table))]
        (kept,) = connection.execute(sa.select(api_keys.c.digest)).scalars()
    secret = key.removeprefix(f"{made.prefix}_")
    assert not any(secret in row for row in rows)
    assert hashlib.sha256(key.encode()).digest() == bytes(kept)
    assert len(key) >= len(made.prefix) + 43  # 256 bits


def test_nobody_else_reads_the_files_of_the_database(sqlite_database: Database) -> None:
    assert sqlite_database.path is not None
    sqlite_database.path.chmod(0o644)  # as a version before made it
    with sqlite_database.engine() as engine, engine.begin() as connection:
        connection.execute(sa.text("SELECT 1"))
        files = sorted(sqlite_database.path.parent.glob("fedelta.db*"))
        assert len(files) == 3  # with its journal and the index of that
        assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}


def test_publish_and_keys_leave_nothing_that_others_may_read(tmp_path: Path) -> None:
    write(tmp_path / "scores.parquet", customer("ann"))
    place = ["--database", f"sqlite:///{tmp_path}/made/serve/fedelta.db"]
    before = os.umask(0o022)
    try:
        assert main(["keys", "create", "crm", "--scope", "read:score", *place]) == 0
        assert main(["publish", "--scores", str(tmp_path / "scores.parquet"), *place]) == 0
    finally:
        os.umask(before)
    made = list((tmp_path / "made/serve").rglob("*"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in made}
    assert {"fedelta.db", "fedelta.db.publishing.default"} <= set(modes)
    assert {path.suffix for path in made} >= {".bodies", ".db"}
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}
    assert stat.S_IMODE((tmp_path / "made/serve").stat().st_mode) == 0o700


def engine_of(database: Database) -> sa.Engine:
    return database.connect()


def test_a_key_ends_when_it_was_made_to(database: Database) -> None:
    _, made = create_key(database, "crm", ["read:score"], expires_days=1)
    engine = engine_of(database)
    found = find_key(engine, made.prefix)
    assert found is not None
    assert found.expires_at is not None
    assert timedelta(hours=23) < found.expires_at - datetime.now(UTC) <= timedelta(days=1)
    with engine.begin() as connection:
        connection.execute(api_keys.update().values(expires_at="2024-01-01T00:00:00Z"))
    assert find_key(engine, made.prefix) is None
    engine.dispose()
    assert list_keys(database)[0].state() == "expired 2024-01-01T00:00:00Z"
    create_key(database, "crm", ["read:score"])  # the name is free again


@pytest.mark.parametrize("days", [0, -1, 1e9, float("nan")])
def test_a_key_cannot_end_before_it_begins_or_in_another_age(database: Database, days: float) -> None:
    with pytest.raises(KeyRefused, match="days"):
        create_key(database, "crm", ["read:score"], expires_days=days)


def test_a_rotated_key_is_good_until_the_overlap_is_over(database: Database) -> None:
    _, first = create_key(database, "crm", ["read:score", "read:list"], tenant="north")
    _, second, old = rotate_key(database, "crm", overlap_hours=1)
    engine = engine_of(database)
    assert old.prefix == first.prefix
    assert (second.name, second.scopes, second.tenant) == (first.name, first.scopes, "north")
    for prefix in (first.prefix, second.prefix):
        found = find_key(engine, prefix)
        assert found is not None
        assert (found.tenant, found.scopes) == ("north", {"read:score", "read:list"})
    rotate_key(database, "crm", overlap_hours=0)
    assert find_key(engine, second.prefix) is None
    assert find_key(engine, first.prefix) is not None
    revoke_key(database, "crm")
    assert find_key(engine, first.prefix) is None
    engine.dispose()


def test_a_key_that_is_rotated_lasts_as_long_as_it_was_made_for(database: Database) -> None:
    _, first = create_key(database, "crm", ["read:score"], expires_days=30)
    _, second, old = rotate_key(database, "crm", overlap_hours=24 * 365)
    assert old.expires_at == first.expires_at  # an overlap lengthens nothing
    assert second.expires_at is not None
    assert first.expires_at is not None
    assert second.expires_at >= first.expires_at
    with pytest.raises(KeyRefused, match="no active key"):
        rotate_key(database, "nobody")


def test_a_key_keeps_the_rate_it_was_made_with(database: Database) -> None:
    _, first = create_key(database, "crm", ["read:score"], rate_per_second=2.5)
    _, second, _ = rotate_key(database, "crm")
    _, plain = create_key(database, "other", ["read:score"])
    assert (first.rate_per_second, second.rate_per_second, plain.rate_per_second) == (2.5, 2.5, None)
    engine = engine_of(database)
    found = find_key(engine, second.prefix)
    engine.dispose()
    assert found is not None
    assert found.rate_per_second == 2.5
    for wrong in (-1, 1e-9, 1e9, float("nan")):
        with pytest.raises(KeyRefused, match="rate"):
            create_key(database, "wrong", ["read:score"], rate_per_second=wrong)


def test_tenants_may_give_the_same_name(database: Database) -> None:
    create_key(database, "crm", ["read:score"], tenant="north")
    _, south = create_key(database, "crm", ["read:score"], tenant="south")
    with pytest.raises(KeyRefused, match="--tenant"):
        revoke_key(database, "crm")
    assert revoke_key(database, "crm", "south").prefix == south.prefix
    assert [key.tenant for key in list_keys(database, "north")] == ["north"]
    for wrong in ("", "North", "-a", "a/b", "x" * 64):
        with pytest.raises(TenantRefused):
            create_key(database, "crm", ["read:score"], tenant=wrong)


def test_the_use_of_a_key_is_noted_to_the_hour(database: Database) -> None:
    _, made = create_key(database, "crm", ["read:score"])
    assert list_keys(database)[0].last_used_at is None
    engine = engine_of(database)
    find_key(engine, made.prefix)
    used = list_keys(database)[0].last_used_at
    assert used is not None
    assert used.endswith(":00:00Z")
    assert datetime.now(UTC) - datetime.fromisoformat(used) < timedelta(hours=1, minutes=1)
    engine.dispose()


def test_what_is_done_to_keys_is_in_the_audit(database: Database) -> None:
    create_key(database, "crm", ["read:score"])
    rotate_key(database, "crm")
    revoke_key(database, "crm")
    with database.engine() as engine, engine.begin() as connection:
        actions = connection.execute(sa.select(audit.c.action).order_by(audit.c.id)).scalars().all()
    assert actions == ["key.created", "key.rotated", "key.revoked"]


def test_no_two_keys_are_alike(database: Database) -> None:
    assert len({create_key(database, f"k{i}", ["read:list"])[0] for i in range(5)}) == 5


@pytest.mark.parametrize("scopes", [[], ["read:everything"], ["read:score", "root"]])
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
    assert main(["keys", "rotate", "crm", "--overlap", "2", *place]) == 0
    assert capsys.readouterr().out.startswith("fdl_")
    assert (
        main(
            [
                "keys",
                "create",
                "other",
                "--scope",
                "read:list",
                "--expires",
                "7",
                "--tenant",
                "b",
                "--rate",
                "3",
                *place,
            ]
        )
        == 0
    )
    assert main(["keys", "list", "--tenant", "b", "--json", *place]) == 0
    shown_as_json = capsys.readouterr().out
    assert '"tenant": "b"' in shown_as_json
    assert '"rate_per_second": 3.0' in shown_as_json
    assert main(["keys", "revoke", "crm", *place]) == 0
    assert main(["keys", "list", *place]) == 0
    assert "revoked" in capsys.readouterr().out


def test_a_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--database", f"sqlite:///{tmp_path}/fedelta.db"]
    for wrong in (["create", "crm", *place], ["revoke", "crm", *place], ["list", "--database", "mysql://x/y"]):
        assert main(["keys", *wrong]) == 1
        assert capsys.readouterr().err.count("\n") == 1
