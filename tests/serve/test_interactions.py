"""What happens now: stored once, acknowledged, and in the score that is read next."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from live_project import AS_OF
from live_service import compute, given, plain, published, served
from scoring_runs import Client, Publish, customer, full_url, started

from fedelta.pipeline import paths
from fedelta.serve.app import create_app
from fedelta.serve.caller.keys import create_key
from fedelta.serve.caller.settings import Settings
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.pointer import kept
from fedelta.serve.operational.received import due
from fedelta.serve.operational.tables import outbox, received_interactions
from fedelta.serve.snapshots.publish import publish

SCOPES = ["read:score", "read:list", "write:interactions", "erase"]
_names = iter(range(1_000_000))


def happened(customer_id: str, at: datetime, kind: str = "complaint", **columns: Any) -> dict[str, Any]:
    """An interaction with an id of its own."""
    row = {"customer_id": customer_id, "interaction_id": f"new-{next(_names)}", "occurred_at": at.isoformat()}
    return {**row, "kind": kind, **columns}


def post(client: Client, *rows: Mapping[str, Any], query: str = "", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(f"/v1/interactions{query}", json={"interactions": list(rows)}, headers=named)


def statuses(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["status"] for one in answer.json()["results"]]


def stored(database: Database) -> int:
    with database.engine() as engine, engine.begin() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(received_interactions)).scalar_one()


@pytest.fixture
def writer(database: Database) -> Iterator[Client]:
    """A client that may read and write, of a service that cannot score."""
    app = create_app(full_url(database), look_again=0)
    client = Client(app, create_key(database, "writer", SCOPES)[0])
    yield client
    client.close()
    app.state.store.close()


@pytest.fixture(scope="module")
def live(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FastAPI, Client, Database]]:
    """A service over the published project, with a process that scores."""
    database = Database.at(f"sqlite:///{tmp_path_factory.mktemp('live')}/fedelta.db")
    published(project, database)
    settings = Settings(access_log="off", rate_per_second=0, scoring_processes=1, scoring_seconds=120)
    app = create_app(full_url(database), settings, look_again=0)
    client = Client(app, create_key(database, "crm", SCOPES)[0])
    yield app, client, database
    app.state.pool.close()
    client.close()
    app.state.store.close()


# --- The score --------------------------------------------------------------------------------------------------------


def test_a_complaint_is_in_the_score_at_once_wherever_it_is_read(live, parts, known) -> None:
    _, client, database = live
    name = "c0010"
    first = client.get(f"/v1/customers/{name}/score")
    before = first.json()
    page = client.get("/v1/at-risk?limit=1000&holdout=include&suppressed=include").json()["customers"]
    complaint = happened(name, AS_OF + timedelta(hours=9), resolved=False, topic="returns")
    answer = post(client, complaint, query="?score=true").json()
    assert (answer["accepted"], answer["results"][0]["status"]) == (1, "accepted")
    (made,) = answer["scores"]
    after = made["score"]
    assert (made["customer_id"], made["status"], after["live"]) == (name, "scored", True)
    assert (before["open_issue"], after["open_issue"]) == (False, True)
    assert after["churn_probability"] != before["churn_probability"]
    assert after["previous_probability"] == before["churn_probability"]
    assert after["delta"] == after["churn_probability"] - before["churn_probability"]
    assert after["snapshot_id"] == before["snapshot_id"]
    # the same customer by the same history, on demand
    whole = given(name, parts, known)
    whole["interactions"].append({key: value for key, value in complaint.items() if key != "customer_id"})
    (demanded,) = compute(client, [whole], as_of=after["as_of"]).json()["results"]
    assert plain(demanded["score"]) == {key: value for key, value in plain(after).items() if key != "live"}
    # wherever it is read
    second = client.get(f"/v1/customers/{name}/score")
    assert second.json() == after
    assert second.headers["etag"] != first.headers["etag"]
    assert (
        client.get(f"/v1/customers/{name}/score", headers={"If-None-Match": second.headers["etag"]}).status_code == 304
    )
    assert (
        client.get(f"/v1/customers/{name}/score", headers={"If-None-Match": first.headers["etag"]}).status_code == 200
    )
    batch = client.post("/v1/scores:batch", json={"customer_ids": [name, "c0011"]}).json()["results"]
    assert batch[0]["score"] == after
    assert "live" not in batch[1]["score"]
    again = client.get("/v1/at-risk?limit=1000&holdout=include&suppressed=include").json()["customers"]
    assert [(one["rank"], one["customer_id"]) for one in again] == [(one["rank"], one["customer_id"]) for one in page]
    (mine,) = (one for one in again if one["customer_id"] == name)
    assert {key: value for key, value in mine.items() if key != "rank"} == after
    # another process of the service, or the same one later
    other = create_app(full_url(database), Settings(access_log="off"), look_again=0)
    reader = Client(other, create_key(database, "other", SCOPES)[0])
    assert reader.get(f"/v1/customers/{name}/score").json() == after
    second_complaint = happened(name, AS_OF + timedelta(hours=10), resolved=False, topic="returns")
    post(client, second_complaint, query="?score=true")
    newest = client.get(f"/v1/customers/{name}/score").json()
    assert newest["as_of"] > after["as_of"]
    assert reader.get(f"/v1/customers/{name}/score").json() == newest
    reader.close()
    other.state.store.close()


def test_live_scores_are_those_of_the_same_history_on_demand(live, parts, known) -> None:
    """With ties in time, a single event, an event exactly at the cutoff, and ids that the run has already."""
    _, client, _ = live
    names = ["single", "late", "c0001", "c0003", "c0007", "c0013"]
    tied = parts["c0013"]["occurred_at"][-1]
    rows = [happened(name, AS_OF, "purchase", amount=12.34, topic="hats") for name in names]
    rows += [happened("c0013", tied, "contact", channel="phone", resolved=True)]
    repeated = {"customer_id": "c0003", **given("c0003", parts, known)["interactions"][0]}
    answer = post(client, *rows, repeated, prefer="wait")
    assert answer.headers["preference-applied"] == "wait"
    scores = {one["customer_id"]: one["score"] for one in answer.json()["scores"]}
    for name in names:
        whole = given(name, parts, known)
        ids = {row["interaction_id"] for row in whole["interactions"]}
        mine = [row for row in rows if row["customer_id"] == name and row["interaction_id"] not in ids]
        whole["interactions"] += [{key: value for key, value in row.items() if key != "customer_id"} for row in mine]
        (demanded,) = compute(client, [whole], as_of=scores[name]["as_of"]).json()["results"]
        assert plain(demanded["score"]) == {key: value for key, value in plain(scores[name]).items() if key != "live"}


def test_a_customer_nobody_knew_has_a_score_after_the_first_interaction(live) -> None:
    _, client, _ = live
    assert client.get("/v1/customers/newcomer/score").status_code == 404
    answer = post(client, happened("newcomer", AS_OF + timedelta(hours=1), "purchase", amount=20), query="?score=1")
    (made,) = answer.json()["scores"]
    assert made["score"] == client.get("/v1/customers/newcomer/score").json()
    assert made["score"]["status"] in ("scored", "too_new")


def test_a_changed_tier_is_told(live) -> None:
    _, client, database = live
    gone = client.get("/v1/at-risk?limit=1&tier=critical&tier=high&sort=probability").json()["customers"][0]
    rows = [
        happened(gone["customer_id"], AS_OF + timedelta(hours=number), "purchase", amount=80, channel="web")
        for number in range(1, 6)
    ]
    (made,) = post(client, *rows, query="?score=true").json()["scores"]
    assert made["score"]["risk_tier"] != gone["risk_tier"]
    with database.engine() as engine, engine.begin() as connection:
        told = connection.execute(sa.select(outbox.c.payload).where(outbox.c.type == "score.tier_changed")).scalars()
        assert any(f'"{gone["customer_id"]}"' in one and '"live":true' in one for one in told)
    assert made["score"]["tier_changed_at"] == made["score"]["as_of"]


def test_what_is_due_is_swept_up_and_a_new_run_takes_over(live, project: Path, tmp_path: Path) -> None:
    app, client, database = live
    early = happened("c0020", AS_OF - timedelta(days=1), "visit")
    late = happened("c0021", AS_OF + timedelta(days=1), "visit")
    assert statuses(post(client, early, late)) == ["accepted"] * 2
    client._runner.run(app.state.rescoring.sweep())
    for name in ("c0020", "c0021"):
        assert client.get(f"/v1/customers/{name}/score").json()["live"] is True
    time.sleep(1.1)  # times of publishes are to the second
    again = tmp_path / "again.parquet"
    pl.read_parquet(project / paths.SCORES).with_columns(offer=pl.lit(value=True)).write_parquet(again)
    run = publish(
        again, database, bundle=project / paths.BUNDLE, scoring=project / paths.SCORING,
        interactions=project / paths.INTERACTIONS, customers=project / paths.CUSTOMERS,
    )  # fmt: skip
    assert "live" not in client.get("/v1/customers/c0021/score").json()
    client._runner.run(app.state.rescoring.sweep())
    scores = served(client, ["c0020", "c0021"])
    assert "live" not in scores["c0020"]  # it was before the run's cutoff
    assert scores["c0021"]["live"] is True
    assert scores["c0021"]["snapshot_id"] == run.snapshot_id


def test_who_is_erased_has_no_live_score_and_nothing_more_is_received_of_them(live) -> None:
    _, client, database = live
    for name in ("c0030", "nobody-yet"):
        post(client, happened(name, AS_OF + timedelta(hours=1), "purchase", amount=5), query="?score=true")
        assert client.get(f"/v1/customers/{name}/score").json()["live"] is True
        assert client.request("DELETE", f"/v1/customers/{name}").json()["removed"]["received_interactions"] == 1
        assert client.get(f"/v1/customers/{name}/score").status_code == 404
        batch = client.post("/v1/scores:batch", json={"customer_ids": [name]}).json()["results"]
        assert batch == [{"customer_id": name, "status": "not_found"}]
        answer = post(client, happened(name, AS_OF + timedelta(hours=2)), query="?score=true")
        assert statuses(answer) == ["invalid"]
        assert answer.json()["scores"] == []
    every = client.get("/v1/at-risk?limit=1000&holdout=include&suppressed=include").json()["customers"]
    assert "c0030" not in {one["customer_id"] for one in every}
    with database.engine() as engine, engine.begin() as connection:
        left = sa.select(sa.func.count()).where(received_interactions.c.customer_id == "c0030")
        assert connection.execute(left).scalar_one() == 0


# --- Storing ----------------------------------------------------------------------------------------------------------


def test_each_interaction_is_accepted_once(writer: Client, database: Database, publish_customers: Publish) -> None:
    publish_customers(customer("ann"))
    one, two = happened("ann", AS_OF), happened("bob", AS_OF)
    assert statuses(post(writer, one, two, one)) == ["accepted", "accepted", "duplicate"]
    assert statuses(post(writer, two, {**one, "kind": "visit"}, happened("ann", AS_OF))) == [
        "duplicate", "duplicate", "accepted",
    ]  # fmt: skip
    assert stored(database) == 3


def test_a_request_that_is_sent_again_is_answered_as_before(writer: Client, database: Database) -> None:
    row = happened("ann", AS_OF)
    first = post(writer, row, idempotency_key="k-1")
    second = post(writer, row, idempotency_key="k-1")
    assert statuses(first) == ["accepted"]
    assert second.content == first.content
    assert second.headers["idempotency-replayed"] == "true"
    assert post(writer, happened("ann", AS_OF), idempotency_key="k-1").status_code == 422
    assert post(writer, row, idempotency_key="not a key").status_code == 422
    assert stored(database) == 1


def test_a_row_that_is_wrong_has_its_own_error_and_stops_no_other(writer: Client, database: Database) -> None:
    now = datetime.now(UTC)
    rows: list[Any] = [
        happened("ann", AS_OF),
        happened("ann", now + timedelta(hours=1)),
        happened("ann", now, known_at=(now + timedelta(days=1)).isoformat()),
        happened("ann", AS_OF, rating=2),
        {**happened("ann", AS_OF), "colour": "red"},
        {"interaction_id": "x", "occurred_at": "yesterday", "kind": "visit"},
        "nonsense",
        {**happened("ann", AS_OF), "customer_id": "nul\0"},
    ]
    answer = post(writer, *rows)
    assert statuses(answer) == ["accepted", *["invalid"] * 7]
    errors = [[fault["where"] for fault in one["errors"]] for one in answer.json()["results"]]
    assert errors[:5] == [[], ["occurred_at"], ["known_at"], ["rating"], ["colour"]]
    assert {*errors[5]} == {"customer_id", "occurred_at"}
    assert answer.json()["results"][5]["interaction_id"] == "x"
    assert stored(database) == 1
    assert post(writer, *rows * 126).status_code == 422  # more than 1,000
    assert writer.post("/v1/interactions", content=b"[").status_code == 400


def test_a_kind_that_the_source_does_not_have_is_refused_as_ingest_would(live) -> None:
    _, client, _ = live
    answer = post(client, happened("c0040", AS_OF, "teleport"), happened("c0040", AS_OF, channel="pigeon"))
    assert statuses(answer) == ["invalid", "invalid"]
    assert [one["errors"][0]["where"] for one in answer.json()["results"]] == ["kind", "channel"]


def test_a_service_that_cannot_score_keeps_what_it_receives(
    writer: Client, database: Database, publish_customers: Publish
) -> None:
    row = happened("ann", AS_OF)
    assert statuses(post(writer, row)) == ["accepted"]  # before anything is published
    publish_customers(customer("ann"))
    answer = post(writer, happened("ann", AS_OF), query="?score=true").json()
    assert answer["scores"] == [{"customer_id": "ann", "status": "not_scored"}]
    assert stored(database) == 2


def test_what_a_run_knows_is_not_due(database: Database, writer: Client, publish_customers: Publish) -> None:
    run_as_of = datetime(2024, 1, 1, tzinfo=UTC)
    post(writer, happened("old", run_as_of - timedelta(days=1)), happened("new", run_as_of + timedelta(days=1)))
    time.sleep(1.1)  # times of publishes are to the second
    publish_customers(customer("ann"))
    post(writer, happened("belated", run_as_of - timedelta(days=2)))
    with database.engine() as engine, engine.begin() as connection:
        assert sorted(due(connection, kept(connection, "default")[0], 10)) == ["belated", "new"]


def test_tenants_do_not_see_each_others_interactions(database: Database, writer: Client) -> None:
    app = create_app(full_url(database), look_again=0)
    other = Client(app, create_key(database, "other", SCOPES, tenant="other")[0])
    row = happened("ann", AS_OF)
    assert statuses(post(writer, row)) == statuses(post(other, row)) == ["accepted"]
    assert stored(database) == 2
    other.close()
    app.state.store.close()


def test_every_acknowledged_interaction_is_there_after_kill_9(database: Database) -> None:
    key = create_key(database, "crm", SCOPES)[0]
    acknowledged: list[str] = []
    options = ["--access-log", "off", "--rate-per-second", "0"]
    for _ in range(2):
        with started(full_url(database), options=options) as (address, server):

            def send(address: str = address) -> None:
                with httpx.Client(base_url=address, headers={"X-API-Key": key}, timeout=20) as client:
                    while True:
                        rows = [happened("ann", AS_OF) for _ in range(20)]
                        try:
                            answer = client.post("/v1/interactions", json={"interactions": rows})
                        except httpx.TransportError:
                            return
                        if answer.status_code == 200:
                            acknowledged.extend(one["interaction_id"] for one in answer.json()["results"])

            senders = [threading.Thread(target=send) for _ in range(3)]
            for sender in senders:
                sender.start()
            before = len(acknowledged)
            until = time.monotonic() + 20
            while len(acknowledged) < before + 200 and time.monotonic() < until:
                time.sleep(0.01)
            os.kill(server.pid, signal.SIGKILL)
            for sender in senders:
                sender.join()
    with database.engine() as engine, engine.begin() as connection:
        there = set(connection.execute(sa.select(received_interactions.c.interaction_id)).scalars())
    assert len(acknowledged) >= 400
    assert set(acknowledged) <= there


@pytest.mark.long
def test_scores_are_made_in_the_background_of_a_running_service(project: Path, sqlite_database: Database) -> None:
    published(project, sqlite_database)
    headers = {"X-API-Key": create_key(sqlite_database, "crm", SCOPES)[0]}
    with (
        started(full_url(sqlite_database), options=["--access-log", "off", "--workers", "2"]) as (address, _),
        httpx.Client(base_url=address, headers=headers, timeout=30) as client,
    ):
        rows = [happened(f"c00{number:02}", AS_OF + timedelta(hours=1)) for number in range(10, 30)]
        assert client.post("/v1/interactions", json={"interactions": rows}).json()["accepted"] == 20
        until = time.monotonic() + 90
        left = {row["customer_id"] for row in rows}
        while left and time.monotonic() < until:
            time.sleep(0.2)
            asked = client.post("/v1/scores:batch", json={"customer_ids": sorted(left)}).json()["results"]
            left -= {one["customer_id"] for one in asked if one.get("score", {}).get("live")}
    assert left == set()
