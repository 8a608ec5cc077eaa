"""What the service received goes to the source once, whatever dies on the way; and the next ingest has it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from scoring_runs import full_url

from fedelta.cli import main
from fedelta.features.contract import INTERACTIONS
from fedelta.pipeline.ingest import Outputs, ingest
from fedelta.pipeline.intake.sources import load_source
from fedelta.serve import export_interactions
from fedelta.serve.export_interactions import ExportRefused, export
from fedelta.serve.live.rows import Posted
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.received import Came, receive
from fedelta.serve.operational.tables import received_interactions
from fedelta.serve.operational.tenants import ensure

AT = datetime(2024, 5, 1, 12, 30, 0, 250_001, tzinfo=UTC)
YAML = """\
name: shop
says: a shop and what its service received
currency: EUR
time_zone: UTC
files:
  orders: {path: orders.csv, format: csv}
  received: {path: "received/*.parquet", format: parquet}
"""
SQL = """\
SELECT id AS interaction_id, who AS customer_id, "at" AS occurred_at, 'purchase' AS kind, paid AS amount,
    to_json(orders) AS source_row FROM orders
UNION ALL BY NAME
SELECT *, to_json(received) AS source_row FROM received
"""


def row(number: int, customer: str = "ann", **columns: Any) -> Posted:
    known: dict[str, Any] = {"interaction_id": f"r-{number}", "occurred_at": AT + timedelta(hours=number)}
    return Posted(**{**known, "customer_id": customer, "kind": "complaint", **columns})


def store(database: Database, *rows: Posted, tenant: str = "default") -> None:
    with database.engine() as engine, engine.begin() as connection:
        ensure(connection, tenant)
        came = [
            Came(one.interaction_id, one.customer_id, one.occurred_at, one.model_dump_json(exclude_none=True))
            for one in rows
        ]
        receive(connection, tenant, came)


def exported(folder: Path) -> list[str]:
    """The ids in the files, in order."""
    return pl.read_parquet(folder / "*.parquet")["interaction_id"].to_list()


def test_each_export_has_what_came_since_the_one_before(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "received"
    assert [one.rows for one in export(database, folder)] == [0]  # there for the source from the beginning
    store(database, row(1, amount=12.3, rating=0.25, resolved=False, reach=7, topic="x|y", known_at=AT), row(2, "bob"))
    export(database, folder)
    store(database, row(3))
    export(database, folder)
    before = {path.name: path.read_bytes() for path in folder.glob("*.parquet")}
    assert [one.rows for one in export(database, folder)] == [2, 1]
    assert {path.name: path.read_bytes() for path in folder.glob("*.parquet")} == before
    assert exported(folder) == ["r-1", "r-2", "r-3"]
    (first,) = pl.read_parquet(folder / "received-000001.parquet").filter(interaction_id="r-1").to_dicts()
    assert list(first) == INTERACTIONS.names()
    assert first["occurred_at"] == "2024-05-01T13:30:00.250001Z"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [one["file"] for one in manifest["exports"]] == ["received-000001.parquet", "received-000002.parquet"]


@pytest.mark.parametrize("dies_at", ["claimed", "written", "moved"])
def test_an_export_that_dies_midway_is_finished_by_the_next_and_nothing_is_lost_or_doubled(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    folder = tmp_path / "received"
    store(database, row(1), row(2))

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        where = {"claimed": "_write", "written": "_move", "moved": "_place"}[dies_at]
        patched.setattr(export_interactions, where, die)
        with pytest.raises(Killed):
            export(database, folder)
    store(database, row(3))
    export(database, folder)
    assert exported(folder) == ["r-1", "r-2", "r-3"]


def test_a_file_that_is_lost_or_damaged_or_names_somebody_erased_is_written_anew(
    database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "received"
    store(database, row(1), row(2, "bob"))
    export(database, folder)
    store(database, row(3))
    export(database, folder)
    (folder / "received-000001.parquet").unlink()
    (folder / "received-000002.parquet").write_bytes(b"")
    export(database, folder)
    assert exported(folder) == ["r-1", "r-2", "r-3"]
    with database.engine() as engine, engine.begin() as connection:
        table = received_interactions
        connection.execute(sa.delete(table).where(table.c.customer_id == "bob"))
    export(database, folder)
    assert exported(folder) == ["r-1", "r-3"]


def test_tenants_have_folders_of_their_own(database: Database, tmp_path: Path) -> None:
    store(database, row(1))
    store(database, row(1, "carl"), row(2), tenant="other")
    export(database, tmp_path / "one")
    export(database, tmp_path / "two", "other")
    assert exported(tmp_path / "one") == ["r-1"]
    assert exported(tmp_path / "two") == ["r-1", "r-2"]
    with pytest.raises(ExportRefused, match="tenant 'other'"):
        export(database, tmp_path / "two")


def test_the_next_ingest_has_what_was_received_once(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, source = tmp_path / "raw", tmp_path / "sources/shop"
    data.mkdir()
    source.mkdir(parents=True)
    (data / "orders.csv").write_text(
        "id,who,at,paid\nr-2,bob,2024-05-01 14:30:00.250001,9.90\no-1,ann,2024-04-01,20.5\n"
    )
    (source / "source.yaml").write_text(YAML)
    (source / "interactions.sql").write_text(SQL)
    store(database, row(1, resolved=False, wait_hours=1.5), row(2, "bob", kind="purchase", amount=9.9), row(3))
    command = ["export-interactions", str(data / "received"), "--database", full_url(database)]
    assert main(command) == 0
    assert "3 interactions in 1 files" in capsys.readouterr().out
    outputs = Outputs.within(tmp_path / "out")
    outputs.report.parent.mkdir(exist_ok=True)
    report = ingest(
        load_source("shop", tmp_path / "sources"), data, outputs, memory_limit="1GB", workers=1, now=datetime.now(UTC)
    )
    assert "1 duplicate" in report.line
    events = pl.read_parquet(outputs.interactions / "*.parquet").sort("interaction_id")
    assert events["interaction_id"].to_list() == ["o-1", "r-1", "r-2", "r-3"]
    one = events.filter(interaction_id="r-1").to_dicts()[0]
    assert (one["occurred_at"], one["resolved"], one["wait_hours"]) == (AT + timedelta(hours=1), False, 1.5)
