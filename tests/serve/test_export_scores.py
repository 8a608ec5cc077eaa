"""Reverse ETL: tables of scores and of changed tiers, to which exporting again adds nothing."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from operational_databases import copy, url_of
from postgres import Server
from scoring_runs import Publish, customer, full_url, reason, unscored

from fedelta.cli import main
from fedelta.serve.export_scores import CHANGES, SCORES, ExportRefused, export_scores
from fedelta.serve.operational.database import Database

Read = Callable[[str], pl.DataFrame]
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(params=["sqlite", "postgresql", "parquet"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where scores are exported to."""
    if request.param == "parquet":
        return str(tmp_path / "crm")
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/crm.db"
    server: Server = request.getfixturevalue("postgres")
    name = f"crm_{abs(hash(str(tmp_path)))}"
    copy(server, "template0", name)
    return url_of(server, name)


@pytest.fixture
def table(target: str) -> Read:
    """A table of the target, ordered by customer."""

    def read(name: str) -> pl.DataFrame:
        if "://" not in target:
            return pl.read_parquet(Path(target) / f"{name}.parquet").sort("customer_id")
        with Database.at(target).engine() as engine, engine.connect() as connection:
            rows = connection.execute(sa.text(f"SELECT * FROM {name} ORDER BY customer_id")).mappings().all()
        return pl.DataFrame([dict(row) for row in rows], infer_schema_length=None)

    return read


def test_scores_arrive_once_whatever_the_target(
    database: Database, publish_customers: Publish, target: str, table: Read
) -> None:
    why = [reason(code="silence", text="No order for 142 days", contribution=0.4)]
    publish_customers(customer("ann", churn_probability=0.75, reasons=why), customer("bob"), unscored("new"))
    first = export_scores(database, target)
    assert (first.customers, first.updated, first.changes, first.removed) == (3, 3, 0, 0)
    before = table(SCORES)
    assert before["customer_id"].to_list() == ["ann", "bob", "new"]
    assert before["churn_probability"].to_list() == [0.75, 0.5, None]
    assert before["reasons"].to_list() == ["raises: No order for 142 days", None, None]
    assert before["status"].to_list() == ["scored", "scored", "too_new"]
    again = export_scores(database, target)
    assert (again.updated, again.changes, again.removed) == (0, 0, 0)
    assert table(SCORES).equals(before)


def test_only_what_differs_is_updated_and_a_changed_tier_is_kept(
    database: Database, publish_customers: Publish, target: str, table: Read
) -> None:
    first = publish_customers(
        customer("ann", risk_tier="low", churn_probability=0.1), customer("bob"), customer("cleo")
    )
    export_scores(database, target)
    before = table(SCORES)
    later = datetime(2024, 1, 8, tzinfo=UTC)
    same = {"as_of": later, "previous_probability": 0.5}
    run = publish_customers(
        customer("ann", risk_tier="high", churn_probability=0.9, as_of=later), customer("dan", as_of=later),
        customer("bob", **same),
    )  # fmt: skip
    publish_customers(customer("zoe"), tenant="other")
    done = export_scores(database, target)
    assert (done.customers, done.changes, done.removed) == (3, 1, 1)
    after = table(SCORES)
    assert after["customer_id"].to_list() == ["ann", "bob", "dan"]
    assert set(after["snapshot_id"]) == {run.snapshot_id} != {first.snapshot_id}
    (change,) = table(CHANGES).to_dicts()
    assert {name: change[name] for name in ("customer_id", "previous_tier", "risk_tier", "snapshot_id")} == {
        "customer_id": "ann", "previous_tier": "low", "risk_tier": "high", "snapshot_id": run.snapshot_id,
    }  # fmt: skip
    assert (change["previous_probability"], change["churn_probability"]) == (0.1, 0.9)
    assert before.height == 3
    third = publish_customers(
        customer("ann", risk_tier="high", churn_probability=0.9, previous_probability=0.1, as_of=later),
        customer("dan", as_of=later, persona="new"), customer("bob", **same),
    )  # fmt: skip
    export_scores(database, target)
    last = table(SCORES)
    stayed = after["updated_at"] == last["updated_at"]
    assert stayed.to_list()[1:] == [True, False]  # bob is as he was but for the run; dan has a persona
    assert set(last["snapshot_id"]) == {third.snapshot_id}


def test_who_is_gone_leaves_the_changes_too(
    database: Database, publish_customers: Publish, target: str, table: Read
) -> None:
    publish_customers(customer("ann", risk_tier="low"), customer("bob"))
    export_scores(database, target)
    publish_customers(customer("ann", risk_tier="high"), customer("bob"))
    assert export_scores(database, target).changes == 1
    publish_customers(customer("bob"))
    assert export_scores(database, target).removed == 1
    assert table(SCORES)["customer_id"].to_list() == ["bob"]
    assert table(CHANGES).is_empty()


def test_tables_of_another_tenant_are_left_as_they_are(
    database: Database, publish_customers: Publish, target: str, table: Read
) -> None:
    publish_customers(customer("ann"))
    publish_customers(customer("zoe"), tenant="other")
    export_scores(database, target)
    with pytest.raises(ExportRefused, match="default"):
        export_scores(database, target, tenant="other")
    assert table(SCORES)["customer_id"].to_list() == ["ann"]


def test_a_table_of_an_older_version_gets_the_columns_it_lacks(
    database: Database, publish_customers: Publish, tmp_path: Path
) -> None:
    target = f"sqlite:///{tmp_path}/crm.db"
    publish_customers(customer("ann", persona="regular"))
    export_scores(database, target)
    with Database.at(target).engine() as engine, engine.begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE {SCORES} DROP COLUMN persona"))
    publish_customers(customer("ann", persona="regular", churn_probability=0.9))
    export_scores(database, target)
    with Database.at(target).engine() as engine, engine.connect() as connection:
        assert connection.execute(sa.text(f"SELECT persona FROM {SCORES}")).scalars().all() == ["regular"]


def test_the_command_needs_something_published(
    database: Database, publish_customers: Publish, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export-scores", "--to", str(tmp_path / "crm"), "--database", full_url(database)]
    assert main(words) == 1
    assert "fedelta publish" in capsys.readouterr().err
    publish_customers(customer("ann"))
    assert main(words) == 0
    assert "1 customers" in capsys.readouterr().out
