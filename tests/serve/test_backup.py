"""Backup and restore: what comes back is what was there, in either database, all of it or nothing."""

import hashlib
import json
import stat
import threading
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from operational_databases import copy, url_of
from postgres import Server
from scoring_runs import Client, Publish, customer, full_url, many, running

from fedelta.cli import main
from fedelta.serve.acting.erasure import main as erase
from fedelta.serve.app import create_app
from fedelta.serve.backup import BackupRefused, backup, restore
from fedelta.serve.caller.keys import create_key, revoke_key
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.pointer import record
from fedelta.serve.operational.tables import audit, metadata
from fedelta.serve.snapshots.publish import publish


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path, postgres: Server) -> Database:
    """A second database, of either kind, that is not there yet or has no tables."""
    if request.param == "sqlite":
        return Database.at(f"sqlite:///{tmp_path}/second/fedelta.db", tmp_path / "second/snapshots")
    name = f"restored_{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}"
    copy(postgres, "template0", name)
    return Database.at(url_of(postgres, name), tmp_path / "second/snapshots")


def contents(database: Database) -> dict[str, list[dict[str, object]]]:
    """Every row of every table."""
    with database.engine() as engine, engine.execution_options(reads=True).begin() as connection:
        return {
            table.name: [
                {name: bytes(value) if isinstance(value, memoryview) else value for name, value in row.items()}
                for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()
                if table is not audit or "." in row["action"]  # entries of reads come within a second
            ]
            for table in metadata.sorted_tables
        }


def scores_of(database: Database, key: str, customer_id: str) -> httpx.Response:
    app = create_app(full_url(database), look_again=0)
    client = Client(app, key)
    try:
        return client.get(f"/v1/customers/{customer_id}/score")
    finally:
        client.close()
        app.state.store.close()


def filled(database: Database, publish_customers: Publish) -> str:
    """Two runs, a second tenant and a key, which is returned."""
    publish_customers(customer("ann", risk_tier="low"), customer("bob"))
    publish_customers(customer("ann", risk_tier="high"), customer("bob"))
    publish_customers(customer("zoe"), tenant="other")
    return create_key(database, "crm", ["read:score"], rate_per_second=12.5)[0]


def test_what_is_restored_is_what_was_there_in_either_database(
    database: Database, empty: Database, publish_customers: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = filled(database, publish_customers)
    before = contents(database)
    assert before["outbox"]
    made = backup(database, tmp_path / "backup")
    assert made.rows == {name: len(rows) for name, rows in before.items()}  # nothing was read yet
    assert restore(empty, tmp_path / "backup") == made
    assert contents(empty) == before
    monkeypatch.setenv("FEDELTA_SNAPSHOTS", str(empty.snapshots))
    assert scores_of(empty, key, "ann").json()["risk_tier"] == "high"
    with empty.engine() as engine, engine.begin() as connection:  # new rows are numbered from where the others end
        record(connection, "default", "a test", "test.done", "it", {})
        numbers = list(connection.execute(sa.select(audit.c.id).order_by(audit.c.id)).scalars())
    assert numbers[: len(before["audit"])] == [row["id"] for row in before["audit"]]  # then that of the read, and ours


def test_a_backup_is_for_its_owner_alone_and_nothing_is_left_beside_it(
    database: Database, publish_customers: Publish, tmp_path: Path
) -> None:
    filled(database, publish_customers)
    backup(database, tmp_path / "backups/monday")
    found = [tmp_path / "backups/monday", *(tmp_path / "backups/monday").rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600, 0o700}
    assert [path.name for path in (tmp_path / "backups").iterdir()] == ["monday"]
    with pytest.raises(BackupRefused, match="not empty"):
        backup(database, tmp_path / "backups/monday")


def test_a_database_in_use_is_replaced_only_by_force_and_then_whole(
    database: Database, publish_customers: Publish, tmp_path: Path, client: Client
) -> None:
    filled(database, publish_customers)
    backup(database, tmp_path / "backup")
    before = contents(database)
    assert client.get("/v1/customers/ann/score").json()["risk_tier"] == "high"
    revoke_key(database, "crm")
    publish_customers(customer("cleo"))
    assert client.get("/v1/customers/ann/score").status_code == 404
    changed = contents(database)
    with pytest.raises(BackupRefused, match="--force"):
        restore(database, tmp_path / "backup")
    assert contents(database) == changed
    restore(database, tmp_path / "backup", force=True)
    assert contents(database) == before
    assert client.get("/v1/customers/ann/score").json()["risk_tier"] == "high"  # the service was not restarted


def test_restoring_brings_back_nobody_who_was_erased_since(
    database: Database, publish_customers: Publish, tmp_path: Path
) -> None:
    key = filled(database, publish_customers)
    backup(database, tmp_path / "backup")
    erase(["ann", "never met"], full_url(database))
    restore(database, tmp_path / "backup", force=True)
    assert scores_of(database, key, "ann").status_code in (404, 410)
    assert scores_of(database, key, "bob").status_code == 200
    restored = contents(database)
    assert len(restored["erasures"]) == 2
    assert "ann" not in str(restored["outbox"])


@pytest.mark.parametrize("damage", ["changed", "missing", "manifest"])
def test_a_damaged_backup_changes_nothing(
    database: Database, publish_customers: Publish, tmp_path: Path, damage: str
) -> None:
    filled(database, publish_customers)
    backup(database, tmp_path / "backup")
    publish_customers(customer("cleo"))
    before, files = contents(database), sorted(database.snapshots.rglob("*"))
    victim = next((tmp_path / "backup/snapshots/other").glob("*.bodies"))
    if damage == "changed":
        victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    elif damage == "missing":
        victim.unlink()
    else:
        (tmp_path / "backup/manifest.json").write_text("{}")
    with pytest.raises(BackupRefused):
        restore(database, tmp_path / "backup", force=True)
    assert contents(database) == before
    assert sorted(database.snapshots.rglob("*")) == files


def test_a_restore_that_fails_halfway_leaves_the_database_as_it_was(
    database: Database, publish_customers: Publish, tmp_path: Path
) -> None:
    filled(database, publish_customers)
    backup(database, tmp_path / "backup")
    publish_customers(customer("cleo"))
    before = contents(database)
    table = tmp_path / "backup/operational/outbox.ndjson"  # one event twice, with a hash that agrees
    table.write_bytes(table.read_bytes() + table.read_bytes().splitlines(keepends=True)[-1])
    manifest = json.loads((tmp_path / "backup/manifest.json").read_text())
    manifest["files"]["operational/outbox.ndjson"] = hashlib.sha256(table.read_bytes()).hexdigest()
    (tmp_path / "backup/manifest.json").write_text(json.dumps(manifest))
    assert main(["restore", str(tmp_path / "backup"), "--force", "--database", full_url(database)]) == 1
    assert contents(database) == before


def test_a_backup_of_a_newer_version_is_refused(database: Database, publish_customers: Publish, tmp_path: Path) -> None:
    filled(database, publish_customers)
    backup(database, tmp_path / "backup")
    manifest = tmp_path / "backup/manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"revision": "9999"}))
    with pytest.raises(BackupRefused, match="newer"):
        restore(database, tmp_path / "backup", force=True)


@pytest.mark.long
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_backups_while_runs_are_published_and_keys_made_are_each_of_one_instant(
    database: Database, tmp_path: Path
) -> None:
    runs = [tmp_path / f"{version}.parquet" for version in ("m1", "m2", "m3", "m4", "m5")]
    for path in runs:
        many(500, path.stem).write_parquet(path)
    publish(runs[0], database)
    done = threading.Event()

    def change() -> None:
        turn = 0
        while not done.is_set():
            turn += 1
            publish(runs[turn % 5], database, keep=0)

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for number in range(5):
            backup(database, tmp_path / f"backup{number}")
    finally:
        done.set()
        changing.join()
    for number in range(5):
        second = Database.at(f"sqlite:///{tmp_path}/second{number}/fedelta.db")
        restore(second, tmp_path / f"backup{number}")
        found = contents(second)
        assert len(found["snapshots"]) == 1
        published = [row for row in found["audit"] if row["action"] == "snapshot.published"]
        assert published[-1]["subject"] == found["snapshots"][0]["snapshot_id"]
        assert len(published) == sum(row["type"] == "snapshot.published" for row in found["outbox"])
        with running(full_url(second)) as address:
            assert httpx.get(f"{address}/readyz").json()["snapshot_id"] == published[-1]["subject"]


def test_the_commands_say_what_they_did(
    database: Database, empty: Database, publish_customers: Publish, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(database, publish_customers)
    folder = str(tmp_path / "backup")
    assert main(["backup", folder, "--database", full_url(database)]) == 0
    assert "3 snapshots" in capsys.readouterr().out
    assert main(["restore", folder, "--database", full_url(empty)]) == 0
    assert "3 snapshots" in capsys.readouterr().out
