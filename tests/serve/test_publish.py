"""Publishing a scoring run: all of it or nothing, once, and the run before stays until then."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from scoring_runs import AS_OF, REPOSITORY, Publish, customer, full_url, json_file, many, scores, unscored, write

from fedelta.cli import main
from fedelta.features.contract import SCORES
from fedelta.serve.operational import pointer
from fedelta.serve.operational.database import Database, DatabaseError
from fedelta.serve.operational.tables import audit, outbox
from fedelta.serve.snapshots import write as writing
from fedelta.serve.snapshots.compare import with_previous
from fedelta.serve.snapshots.document import MEANING, document_of, encoded
from fedelta.serve.snapshots.publish import Published, publish
from fedelta.serve.snapshots.read import SnapshotFile, SnapshotUnreadable
from fedelta.serve.snapshots.scoring_run import RunRefused, ScoringRun
from fedelta.serve.store import NothingPublished, Store


def served(database: Database, customer_id: str, tenant: str = "default") -> dict[str, object]:
    store = Store(database)
    body = asyncio.run(store.current(tenant)).file.find(customer_id)
    store.close()
    assert body is not None
    document: dict[str, object] = orjson.loads(body)
    return document


def described(database: Database) -> dict[str, Any]:
    store = Store(database)
    document: dict[str, Any] = orjson.loads(asyncio.run(store.current("default")).about)
    store.close()
    return document


def kept(database: Database) -> list[str]:
    """Snapshots that can be served, newest first."""
    with database.engine() as engine, engine.execution_options(reads=True).begin() as connection:
        return [one.snapshot_id for one in pointer.kept(connection, "default")]


def files(database: Database, tenant: str = "default") -> set[str]:
    return {path.name for path in (database.snapshots / tenant).iterdir()}


def told(database: Database, kind: str) -> list[dict[str, Any]]:
    """The messages of a type, oldest first."""
    wanted = sa.select(outbox.c.payload).where(outbox.c.type == kind).order_by(outbox.c.id)
    with database.engine() as engine, engine.execution_options(reads=True).begin() as connection:
        return [orjson.loads(payload) for payload in connection.execute(wanted).scalars()]


def test_the_newest_run_is_served_and_two_before_it_are_kept(database: Database, publish_customers: Publish) -> None:
    runs = [publish_customers(customer("ann", churn_probability=p)) for p in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert served(database, "ann")["churn_probability"] == 0.5
    assert kept(database) == [one.snapshot_id for one in reversed(runs[-3:])]
    assert [one.removed for one in runs] == [0, 0, 0, 1, 1]
    assert files(database) == {f"{one}{suffix}" for one in kept(database) for suffix in (".db", ".bodies")}


def test_the_same_file_is_the_same_snapshot(database: Database, publish_customers: Publish) -> None:
    first = publish_customers(customer("ann"))
    again = publish_customers(customer("ann"))
    assert again.snapshot_id == first.snapshot_id
    assert (first.loaded, first.switched) == (True, True)
    assert (again.loaded, again.switched) == (False, False)
    assert "no new one was made" in str(again)
    assert len(files(database)) == 2


def test_publishing_again_refreshes_the_documents_beside_the_scores(
    database: Database, publish_customers: Publish, tmp_path: Path
) -> None:
    publish_customers(customer("ann"))
    json_file(tmp_path / "metrics.json", {"cutoff": "2023-10-01"})
    assert not publish_customers(customer("ann")).switched
    assert described(database)["metrics"] == {"cutoff": "2023-10-01"}


def test_publishing_the_run_before_goes_back_to_it_without_loading(
    database: Database, publish_customers: Publish
) -> None:
    old = publish_customers(customer("ann", churn_probability=0.1))
    new = publish_customers(customer("ann", churn_probability=0.2))
    back = publish_customers(customer("ann", churn_probability=0.1))
    assert (back.snapshot_id, back.loaded, back.switched) == (old.snapshot_id, False, True)
    assert served(database, "ann")["churn_probability"] == 0.1
    assert kept(database) == [old.snapshot_id, new.snapshot_id]


def test_the_previous_probability_is_that_of_the_run_before_unless_the_file_tells_it(
    database: Database, publish_customers: Publish
) -> None:
    publish_customers(customer("ann", churn_probability=0.1), customer("bob", churn_probability=0.2), unscored("cat"))
    publish_customers(
        customer("ann", churn_probability=0.3),
        customer("bob", churn_probability=0.4, previous_probability=0.35),
        customer("cat"),
        customer("dan"),
    )
    previous = {name: served(database, name)["previous_probability"] for name in ("ann", "bob", "cat", "dan")}
    assert previous == {"ann": 0.1, "bob": 0.35, "cat": None, "dan": None}


@pytest.mark.parametrize(("source", "horizon_days"), [("cdnow", 90), ("demo", 30)])
def test_a_run_of_another_source_or_horizon_is_no_run_before(
    database: Database, publish_customers: Publish, tmp_path: Path, source: str, horizon_days: int
) -> None:
    (tmp_path / "bundle/personas").mkdir(parents=True)
    json_file(tmp_path / "bundle/personas/model.json", {"source": "demo"})
    publish_customers(customer("ann", churn_probability=0.1))
    json_file(tmp_path / "bundle/personas/model.json", {"source": source})
    publish_customers(customer("ann", churn_probability=0.2, horizon_days=horizon_days))
    assert served(database, "ann")["previous_probability"] is None


def test_a_run_of_many_chunks_is_loaded_whole(
    database: Database, publish_customers: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "CHUNK_ROWS", 7)
    publish_customers(customer("c000000", churn_probability=0.125))
    many(100, "m2").write_parquet(tmp_path / "many.parquet", row_group_size=13)
    file = SnapshotFile(snapshot(database, publish(tmp_path / "many.parquet", database)))
    assert (file.customers, file.listed) == (100, 100)
    assert sorted(file.column("row")) == sorted(file.column("position")) == list(range(100))
    assert [orjson.loads(file.body(row))["customer_id"] for row in range(100)] == [f"c{i:06}" for i in range(100)]
    assert served(database, "c000000")["previous_probability"] == 0.125
    assert served(database, "c000099")["model_version"] == "m2"


def snapshot(database: Database, published: Published, tenant: str = "default") -> Path:
    return database.snapshots / tenant / f"{published.snapshot_id}.db"


def test_a_tier_that_changes_is_dated_and_told_with_the_switch(database: Database, publish_customers: Publish) -> None:
    first = publish_customers(
        customer("ann", risk_tier="low", churn_probability=0.125),
        customer("bob", risk_tier="low"),
        customer("cat", risk_tier="high"),
        unscored("dan"),
    )
    assert told(database, "score.tier_changed") == []
    later = [AS_OF + timedelta(days=30), AS_OF + timedelta(days=60)]
    second = publish_customers(
        customer("ann", as_of=later[0], risk_tier="high", churn_probability=0.75, value_at_risk=1.0),
        customer("bob", as_of=later[0], risk_tier="medium", value_at_risk=2.0),
        customer("cat", as_of=later[0], risk_tier="high"),
        customer("dan", as_of=later[0], risk_tier="high"),
    )
    (message,) = told(database, "score.tier_changed")
    assert (message["snapshot_id"], message["previous_snapshot_id"]) == (second.snapshot_id, first.snapshot_id)
    assert [one["customer_id"] for one in message["changes"]] == ["bob", "ann"]  # most at stake first
    assert message["changes"][1] == {
        "customer_id": "ann", "previous_tier": "low", "risk_tier": "high",
        "previous_probability": 0.125, "churn_probability": 0.75,
    }  # fmt: skip
    assert (served(database, "ann")["delta"], served(database, "dan")["delta"]) == (0.625, None)
    publish_customers(*(customer(name, as_of=later[1], risk_tier="high") for name in ("ann", "bob", "cat", "dan")))
    dates = {name: served(database, name)["tier_changed_at"] for name in ("ann", "bob", "cat", "dan")}
    assert dates == {"ann": "2024-01-31T00:00:00Z", "bob": "2024-03-01T00:00:00Z", "cat": None, "dan": None}
    assert [len(one["changes"]) for one in told(database, "score.tier_changed")] == [2, 1]
    assert len(told(database, "snapshot.published")) == 3
    with database.engine() as engine, engine.begin() as connection:
        lines = connection.execute(sa.select(audit.c.action, audit.c.tenant, audit.c.actor)).all()
    assert [tuple(line) for line in lines] == [("snapshot.published", "default", "fedelta publish")] * 3


def test_many_changes_are_told_in_several_messages(database: Database, tmp_path: Path) -> None:
    for version, tier in (("m1", "low"), ("m2", "high")):
        many(1_234, version).with_columns(risk_tier=pl.lit(tier)).write_parquet(tmp_path / "scores.parquet")
        publish(tmp_path / "scores.parquet", database)
    messages = told(database, "score.tier_changed")
    assert [len(one["changes"]) for one in messages] == [500, 500, 234]
    assert len({one["customer_id"] for message in messages for one in message["changes"]}) == 1_234


def test_tenants_have_their_own_snapshots(database: Database, publish_customers: Publish) -> None:
    publish_customers(customer("ann", churn_probability=0.25))
    publish_customers(customer("ann", churn_probability=0.75), tenant="north")
    assert served(database, "ann")["churn_probability"] == 0.25
    assert served(database, "ann", "north")["churn_probability"] == 0.75
    assert served(database, "ann", "north")["previous_probability"] is None
    assert (len(files(database)), len(files(database, "north"))) == (2, 2)


def test_nobody_else_reads_the_files_of_a_snapshot(sqlite_database: Database, tmp_path: Path) -> None:
    published = publish(write(tmp_path / "scores.parquet", customer("ann")), sqlite_database)
    path = snapshot(sqlite_database, published)
    for file in (path, path.with_suffix(".bodies")):
        assert oct(file.stat().st_mode & 0o777) == "0o600"
    assert oct(path.parent.stat().st_mode & 0o777) == "0o700"


@pytest.mark.parametrize("kept", [0, 0.5, 0.99])
def test_a_snapshot_whose_documents_are_cut_short_is_not_read(
    sqlite_database: Database, tmp_path: Path, kept: float
) -> None:
    names = [f"c{number}" for number in range(30)]
    path = snapshot(
        sqlite_database, publish(write(tmp_path / "scores.parquet", *map(customer, names)), sqlite_database)
    )
    bodies = path.with_suffix(".bodies")
    whole = bodies.read_bytes()
    assert SnapshotFile(path).customers == 30
    bodies.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(SnapshotUnreadable, match=r"cannot be read: .*Publish it again"):
        SnapshotFile(path)


def test_who_has_a_snapshot_open_reads_on_when_it_is_retired(database: Database, publish_customers: Publish) -> None:
    file = SnapshotFile(snapshot(database, publish_customers(customer("ann", churn_probability=0.25))))
    for p in (0.5, 0.625, 0.75):
        publish_customers(customer("ann", churn_probability=p))
    assert not file.path.exists()
    assert not file.path.with_suffix(".bodies").exists()
    body = file.find("ann")
    assert body is not None
    assert file.views(["ann", "bob"]) == {"ann": body}
    assert file.column("churn_probability").to_list() == [0.25]


BROKEN = {
    "lacks status": scores(customer("ann")).drop("status"),
    "has the unknown 'mood'": scores(customer("ann")).with_columns(mood=pl.lit("bad")),
    "churn_probability as String": scores(customer("ann")).with_columns(pl.lit("0.5").alias("churn_probability")),
    "as_of as Datetime": scores(customer("ann")).with_columns(pl.col("as_of").dt.replace_time_zone(None)),
    "reasons as List": scores(customer("ann")).with_columns(reasons=pl.lit([{"theme": "a"}])),
    "has no rows": scores(),
    "2 rows that repeat": scores(customer("ann"), customer("ann"), customer("ann"), customer("bob")),
    "1 rows without a customer_id": scores(customer("ann"), customer("")),
    "status is none of": scores(customer("ann", status="lost")),
    "status is none of scored": scores(customer("ann", status=None)),
    "1 scored rows without": scores(customer("ann", churn_probability=None), unscored("bob")),
    "1 scored rows without a churn_probability": scores(customer("ann", churn_probability=1.01)),
    "without a churn_probability from 0 to 1": scores(customer("ann", churn_probability=float("nan"))),
    "risk_tier is none of": scores(customer("ann", risk_tier="huge")),
    "1 rows with an infinite number": scores(customer("ann", clv_high=float("inf"))),
    "2 values of as_of": scores(customer("ann"), customer("bob", as_of=AS_OF + timedelta(days=1))),
    "2 values of model_version": scores(customer("ann"), customer("bob", model_version="m2")),
    "2 values of horizon_days": scores(customer("ann"), customer("bob", horizon_days=30)),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_a_broken_run_is_refused_in_one_line_and_changes_nothing(
    database: Database, publish_customers: Publish, tmp_path: Path, capsys: pytest.CaptureFixture[str], reason: str
) -> None:
    before = publish_customers(customer("ann"))
    BROKEN[reason].write_parquet(tmp_path / "broken.parquet")
    assert main(["publish", "--scores", f"{tmp_path}/broken.parquet", "--database", full_url(database)]) == 1
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
    assert kept(database) == [before.snapshot_id]
    assert len(files(database)) == 2


def test_a_file_that_is_no_parquet_is_refused_in_one_line(database: Database, tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.parquet", *(customer(f"c{i}") for i in range(500))).read_bytes()
    cases = {
        "nothing": None,
        "empty": b"",
        "text": b"customer_id,score\nann,1\n",
        "cut": whole[: len(whole) // 2],
        "torn": whole[:200] + bytes(len(whole) - 1200) + whole[-1000:],
    }
    for name, content in cases.items():
        path = tmp_path / f"{name}.parquet"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(RunRefused, match="dvc repro score") as refused:
            publish(path, database)
        assert "\n" not in str(refused.value)
    assert kept(database) == []


def test_a_document_that_is_no_json_object_is_refused(database: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "scores.parquet", customer("ann"))
    for content in ("{", "[1]", "\x00"):
        (tmp_path / "metrics.json").write_text(content)
        with pytest.raises(RunRefused, match="JSON"):
            publish(path, database, metrics=tmp_path / "metrics.json")
    assert kept(database) == []


def test_a_file_that_changes_while_it_is_read_is_not_published(
    database: Database, publish_customers: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = publish_customers(customer("ann"))
    path = write(tmp_path / "moving.parquet", customer("bob"))
    chunks = ScoringRun.chunks

    def meanwhile(run: ScoringRun, rows: int) -> Iterator[pl.DataFrame]:
        yield from chunks(run, rows)
        write(path, customer("cat"))

    monkeypatch.setattr(ScoringRun, "chunks", meanwhile)
    with pytest.raises(RunRefused, match="changed while it was read"):
        publish(path, database)
    assert kept(database) == [before.snapshot_id]


def test_columns_that_fit_need_not_be_of_the_very_type(database: Database, tmp_path: Path) -> None:
    frame = scores(customer("ann", churn_probability=0.5, clv_low=float("nan"))).with_columns(
        pl.col("horizon_days").cast(pl.Int64),
        pl.col("clv_expected").cast(pl.Float32),
        pl.col("risk_tier").cast(pl.Categorical),
        pl.col("status").cast(pl.Enum(["scored"])),
        pl.col("as_of").dt.cast_time_unit("ms"),
        pl.lit(None).alias("reasons"),
        pl.lit(None).alias("persona"),
    )
    frame.select(reversed(frame.columns)).write_parquet(tmp_path / "scores.parquet")
    publish(tmp_path / "scores.parquet", database)
    score = served(database, "ann")
    assert list(score) == list(MEANING)
    assert (score["horizon_days"], score["clv_expected"], score["risk_tier"]) == (90, 200.0, "medium")
    assert (score["clv_low"], score["reasons"], score["as_of"]) == (None, None, "2024-01-01T00:00:00Z")


INSTANTS = st.datetimes(timezones=st.just(AS_OF.tzinfo))
REASON = st.fixed_dictionaries(
    dict.fromkeys(("code", "theme", "text", "text_it", "direction"), st.none() | st.text())
    | dict.fromkeys(("contribution", "value", "peer_median"), st.none() | st.floats(-1, 1))
    | {"date": st.none() | st.dates()}
)
ROW = st.fixed_dictionaries(
    {
        "customer_id": st.text(min_size=1),
        "churn_probability": st.floats(0, 1),
        "clv_expected": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "expected_next_order_at": st.none() | INSTANTS,
        "held_out": st.none() | st.booleans(),
        "reasons": st.none() | st.lists(REASON, max_size=2),
    }
)


@given(columns=ROW)
def test_a_document_is_what_json_makes_of_the_row(columns: dict[str, object]) -> None:
    row = customer(**columns)  # type: ignore[arg-type]
    (body,) = encoded(with_previous(scores(row), None), "s")
    document = orjson.loads(body)
    assert "\n" not in body  # a document is a line
    for name in ("as_of", "expected_next_order_at"):  # the number of decimals of a second is free
        document[name] = document[name] and datetime.fromisoformat(document[name])
    for reason in document["reasons"] or ():
        reason["date"] = reason["date"] and date.fromisoformat(reason["date"])
    assert document == dict.fromkeys(MEANING) | row | {"status_reason": None, "snapshot_id": "s"}


@given(columns=ROW)
def test_a_row_alone_becomes_the_same_document(columns: dict[str, object]) -> None:
    table = with_previous(scores(customer(**columns)), None)  # type: ignore[arg-type]
    assert document_of(table.row(0, named=True), "s") == encoded(table, "s").item().encode()


def test_every_column_of_the_contract_is_served() -> None:
    assert [name for name in MEANING if name in SCORES] == list(SCORES)
    assert {*MEANING} - {*SCORES} == {"delta", "tier_changed_at", "status_reason", "snapshot_id"}


KILLED = """
import os, signal, sys, threading, time
from pathlib import Path
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.publish import publish
database = Database.at(sys.argv[1])
print("ready", flush=True)
threading.Timer(float(sys.argv[3]), os.kill, (os.getpid(), signal.SIGKILL)).start()
publish(Path(sys.argv[2]), database)
"""


def test_a_publish_that_is_killed_leaves_the_run_before_or_the_new_one(
    database: Database, publish_customers: Publish, tmp_path: Path
) -> None:
    publish_customers(customer("c000000", risk_tier="low"))
    path = tmp_path / "big.parquet"
    ends = []
    for place in range(8):
        before = kept(database)[0]
        many(8_000, f"m{place}").with_columns(risk_tier=pl.lit(("low", "high")[place % 2])).write_parquet(path)
        began = time.perf_counter()
        command = [sys.executable, "-c", KILLED, full_url(database), str(path), str(0.02 + 0.07 * place)]
        messages = len(told(database, "score.tier_changed"))
        with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as publisher:
            publisher.wait(60)
        assert time.perf_counter() - began < 60
        current, new = kept(database)[0], ScoringRun(path).snapshot_id()
        assert current in (before, new)
        ends.append(current == new)
        assert served(database, "c000000")["snapshot_id"] == current  # whole, whatever lies beside it
        file = SnapshotFile(database.snapshots / "default" / f"{current}.db")
        assert all(orjson.loads(file.body(row))["snapshot_id"] == current for row in range(file.customers))
        more = len(told(database, "score.tier_changed")) - messages
        assert (more > 0) == (current == new and served(database, "c000000")["tier_changed_at"] is not None)
    assert not all(ends)
    publish_customers(customer("ann", churn_probability=0.9))
    assert files(database) == {f"{one}{suffix}" for one in kept(database) for suffix in (".db", ".bodies")}


def test_a_second_publisher_is_asked_to_wait(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "scores.parquet", customer("ann"), unscored("bob"))
    command = ["publish", "--scores", str(path), "--database", full_url(database)]
    with database.sole_publisher("default"):
        assert main(command) == 1
    error = capsys.readouterr().err
    assert "Another process is publishing" in error
    assert error.count("\n") == 1
    assert main(command) == 0
    out = capsys.readouterr().out
    assert out.startswith("Published snapshot")
    assert "2 customers, 1 scored, as of 2024-01-01" in out
    assert out.count("\n") == 1


def test_a_publish_makes_the_database_it_needs(tmp_path: Path) -> None:
    path = write(tmp_path / "scores.parquet", customer("ann"))
    database = Database.at(f"sqlite:///{tmp_path}/not/yet/there.db")
    publish(path, database)
    assert served(database, "ann")["status"] == "scored"


def test_a_database_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    path = write(tmp_path / "scores.parquet", customer("ann"))
    (tmp_path / "file").write_text("")
    (tmp_path / "text.db").write_text("no database" * 1000)
    for place in ("file/fedelta.db", "text.db"):
        with pytest.raises(DatabaseError, match="cannot be written"):
            publish(path, Database.at(f"sqlite:///{tmp_path}/{place}"))


def test_a_folder_that_cannot_be_written_is_one_clear_error(database: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "scores.parquet", customer("ann"))
    (tmp_path / "snapshots").write_text("a file where a folder is due")
    with pytest.raises(DatabaseError, match="cannot be written"):
        publish(path, database)
    assert kept(database) == []


def test_a_snapshot_that_was_lost_is_written_again(database: Database, publish_customers: Publish) -> None:
    published = publish_customers(customer("ann"))
    snapshot(database, published).unlink()
    assert publish_customers(customer("ann")).loaded
    assert served(database, "ann")["status"] == "scored"


def test_nothing_is_current_before_the_first_publish(database: Database) -> None:
    store = Store(database)
    with pytest.raises(NothingPublished):
        asyncio.run(store.current("default"))
    store.close()
