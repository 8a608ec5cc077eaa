"""Scores computed on demand: those of the run, to the last bit; what the inputs lacked; and processes that die."""

import asyncio
import math
import os
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from live_project import AS_OF
from live_service import compute, given, plain, published, served
from scoring_runs import Client, Publish, customer, full_url

from fedelta.serve.app import create_app
from fedelta.serve.caller.keys import create_key
from fedelta.serve.caller.settings import Settings
from fedelta.serve.live.pool import Pool
from fedelta.serve.live.worker import Batch, Customer
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.parts import Parts
from fedelta.serve.snapshots.publish import Published


@pytest.fixture(scope="module")
def scored(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FastAPI, Client, Published]]:
    """An application over the published project, with a process that scores."""
    database = Database.at(f"sqlite:///{tmp_path_factory.mktemp('demand')}/fedelta.db")
    run = published(project, database)
    key, _ = create_key(database, "crm", ["read:score"])
    settings = Settings(access_log="off", rate_per_second=0, scoring_processes=1, scoring_seconds=60)
    app = create_app(full_url(database), settings)
    client = Client(app, key)
    yield app, client, run
    app.state.pool.close()
    client.close()
    app.state.store.close()


def test_every_customer_gets_the_score_of_the_run_alone_or_with_others(scored, parts, known) -> None:
    _, client, run = scored
    names = sorted(parts)
    expected = served(client, names)
    for at_once in (1, 60):
        for first in range(0, 10 if at_once == 1 else len(names), at_once):
            some = names[first : first + at_once][::-1]
            answer = compute(client, [given(name, parts, known) for name in some]).json()
            assert answer["snapshot_id"] == run.snapshot_id
            assert [one["customer_id"] for one in answer["results"]] == some  # in the order asked
            for one in answer["results"]:
                assert plain(one["score"]) == expected[one["customer_id"]]
                assert one["status"] == one["score"]["status"]


def test_odd_customers_get_the_score_of_the_run(scored, parts, known) -> None:
    """Of a single event, of events at the cutoff and after it, just before it, and of nothing that counts."""
    _, client, _ = scored
    names = ["single", "late", "unheard", "c0001", "c0002", "c0003", "c0005", "c0007"]
    answer = compute(client, [given(name, parts, known) for name in names]).json()
    expected = served(client, names)
    assert {one["customer_id"]: plain(one["score"]) for one in answer["results"]} == expected
    nobody = compute(client, [{"customer_id": "nobody"}]).json()["results"]
    assert [(one["status"], one["score"]["churn_probability"]) for one in nobody] == [("no_history", None)]


def test_requests_of_one_moment_are_scored_together_and_each_gets_its_own(scored, parts, known) -> None:
    app, client, _ = scored
    names = sorted(parts)[:12]
    expected = served(client, names)
    compute(client, [given(names[0], parts, known)])  # the process has begun
    asked = []
    pool = app.state.pool
    unseen = pool._asked

    async def seen(process: Any, what: Any, value: Any) -> Any:
        asked.append(len(value.customers))
        return await unseen(process, what, value)

    pool._asked = seen
    try:

        async def together() -> list[httpx.Response]:
            bodies = [{"customers": [given(name, parts, known)]} for name in (*names, names[0])]
            bodies[3]["explain"] = True
            for row in bodies[5]["customers"][0]["interactions"]:  # none of them came of anybody else
                row["effort"] = None
            return await asyncio.gather(*(client._http.post("/v1/scores:compute", json=body) for body in bodies))

        answers = client._runner.run(together())
    finally:
        pool._asked = unseen
    for name, answer in zip((*names, names[0]), answers, strict=True):
        (one,) = answer.json()["results"]
        assert one["customer_id"] == name
        if name != names[3]:
            assert plain(one["score"]) == expected[name]
        assert ("effort" in one["warnings"]["missing"]) == (name != names[5])
    assert sum(asked) == 13
    assert max(asked) > 5


def test_each_process_takes_its_share_of_what_waits() -> None:
    async def shared() -> list[int]:
        pool = Pool(2, most_waiting=100, seconds=60)
        taken: list[int] = []

        async def run(process: Any, jobs: Any) -> None:
            taken.append(len(jobs))
            for job in jobs:
                job.done.set_result([])
            pool._back(process)

        pool._run = run  # type: ignore[method-assign]
        parts = Parts("", "", None)
        batches = [Batch(parts, "run", (Customer(f"c{n}"),), {"customer_id": []}) for n in range(7)]
        await asyncio.gather(*map(pool.score, batches))
        return taken

    assert asyncio.run(shared()) == [4, 2, 1]


def test_while_the_processes_are_given_work_there_are_processes_all_the_same(scored, parts, known) -> None:
    app, client, _ = scored
    compute(client, [given("c0010", parts, known)])  # the process has begun

    async def checked() -> httpx.Response:
        body = {"customers": [given("c0010", parts, known)]}
        asked = asyncio.create_task(client._http.post("/v1/scores:compute", json=body))
        while not asked.done():
            app.state.pool.check()
            await asyncio.sleep(0)
        return await asked

    assert client._runner.run(checked()).status_code == 200


def test_as_of_and_explain_are_as_asked(scored, parts, known) -> None:
    _, client, _ = scored
    ann = given("c0010", parts, known)
    later = AS_OF + timedelta(days=30)
    answer = compute(client, [ann], as_of=later.isoformat(), explain=True).json()["results"][0]["score"]
    assert datetime.fromisoformat(answer["as_of"]) == later
    log_odds = math.log(answer["churn_probability"] / (1 - answer["churn_probability"]))
    assert sum(one["contribution"] for one in answer["reasons"]) == pytest.approx(log_odds, abs=0.01)
    assert compute(client, [ann], explain=False).json()["results"][0]["score"]["reasons"] is None


def test_a_complaint_changes_the_score_and_what_is_lacking_or_strange_is_listed(scored, parts, known) -> None:
    _, client, _ = scored
    ann = given("c0010", parts, known)
    before = compute(client, [ann]).json()["results"][0]
    assert before["warnings"]["unknown"] == []
    at = (AS_OF - timedelta(hours=1)).isoformat()
    complaint = {"interaction_id": "new", "occurred_at": at, "kind": "complaint", "resolved": False, "topic": "x"}
    ann["interactions"].append(complaint)
    after = compute(client, [ann]).json()["results"][0]
    assert (before["score"]["open_issue"], after["score"]["open_issue"]) == (False, True)
    assert after["score"]["churn_probability"] != before["score"]["churn_probability"]
    ann["interactions"].append({**complaint, "interaction_id": "odd", "channel": "carrier pigeon"})
    ann["attributes"] = {"colour": "red", "plan": 3.5}
    strange = compute(client, [ann]).json()["results"][0]["warnings"]
    assert {"channel=carrier pigeon", "colour=red", "plan=3.5"} <= {*strange["unknown"]}
    assert "country" in strange["missing"]


@pytest.mark.parametrize(
    ("row", "where"),
    [
        ({"rating": 1.2}, "rating"), ({"amount": -1}, "amount"), ({"amount": "1"}, "amount"), ({"colour": 1}, "colour"),
        ({"occurred_at": "2024-01-01T00:00:00"}, "occurred_at"), ({"kind": None}, "kind"), ({"reach": 2**63}, "reach"),
        ({"occurred_at": "9999-12-31T23:59:59-12:00"}, "occurred_at"), ({"interaction_id": ""}, "interaction_id"),
    ],
)  # fmt: skip
def test_a_row_that_ingest_would_not_take_is_refused(scored, row: dict[str, Any], where: str) -> None:
    _, client, _ = scored
    whole = {"interaction_id": "a", "occurred_at": "2024-01-01T00:00:00Z", "kind": "purchase", **row}
    answer = compute(client, [{"customer_id": "ann", "interactions": [whole]}])
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == f"body.customers.0.interactions.0.{where}"


@pytest.mark.parametrize("name", ["amount", "margin"])
def test_money_that_cannot_be_added_exactly_is_refused(scored, name: str) -> None:
    _, client, _ = scored
    row = {"occurred_at": "2024-01-01T00:00:00Z", "kind": "purchase", name: 0.9e12}

    def asked(rows: int) -> httpx.Response:
        whole = [{**row, "interaction_id": str(number)} for number in range(rows)]
        return compute(client, [{"customer_id": "ann", "interactions": whole}])

    assert asked(999).status_code == 200
    answer = asked(1001)
    assert answer.status_code == 422
    assert f"all {name}s of a request must add up to less than 900,000,000,000,000" in answer.text


def test_what_is_there_twice_or_too_often_or_no_json_is_refused(scored) -> None:
    _, client, _ = scored
    row = {"interaction_id": "a", "occurred_at": "2024-01-01T00:00:00Z", "kind": "purchase"}
    for customers in (
        [{"customer_id": "a"}, {"customer_id": "a"}],
        [{"customer_id": "a", "interactions": [row]}, {"customer_id": "b", "interactions": [row]}],
        [{"customer_id": f"c{number}"} for number in range(101)],
    ):
        assert compute(client, customers).status_code == 422
    assert client.post("/v1/scores:compute", content=b"{").status_code == 400
    assert client.post("/v1/scores:compute", content=b"").status_code == 400
    assert compute(client, []).json()["results"] == []


def test_a_process_that_is_killed_is_replaced_and_nobody_notices(scored, parts, known) -> None:
    app, client, _ = scored
    ann = given("c0010", parts, known)
    first = compute(client, [ann]).json()
    (process,) = (one for one in app.state.pool._free if one is not None)
    for pid in process._processes:
        os.kill(pid, signal.SIGKILL)
    assert compute(client, [ann]).json() == first


def test_a_full_queue_and_a_deadline_are_503(project: Path, sqlite_database: Database, parts, known) -> None:
    published(project, sqlite_database)
    key, _ = create_key(sqlite_database, "crm", ["read:score"])
    body = {"customers": [given("c0010", parts, known)]}
    for settings in (
        Settings(access_log="off", scoring_processes=1, scoring_seconds=0.01),
        Settings(access_log="off", scoring_processes=1, scoring_waiting=1),
    ):
        app = create_app(full_url(sqlite_database), settings)
        client = Client(app, key)

        async def many(client: Client = client) -> list[httpx.Response]:
            return await asyncio.gather(*(client._http.post("/v1/scores:compute", json=body) for _ in range(4)))

        answers = client._runner.run(many())
        refused = [answer for answer in answers if answer.status_code == 503]
        assert refused
        assert {answer.json()["type"] for answer in refused} == {"urn:fedelta:problem:busy"}
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        app.state.pool.close()
        client.close()
        app.state.store.close()


def test_a_run_published_without_its_context_says_what_to_publish(client: Client, publish_customers: Publish) -> None:
    publish_customers(customer("ann"))
    answer = compute(client, [{"customer_id": "ann"}])
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:fedelta:problem:no-scoring")
    assert "data/scoring" in answer.json()["detail"]


def test_a_service_without_processes_or_packages_says_so(
    project: Path, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(project, sqlite_database)
    key, _ = create_key(sqlite_database, "crm", ["read:score"])
    app = create_app(full_url(sqlite_database), Settings(access_log="off", scoring_processes=0))
    client = Client(app, key)
    assert "--scoring-processes" in compute(client, [{"customer_id": "ann"}]).json()["detail"]
    app.state.pool = create_app(full_url(sqlite_database), Settings(access_log="off")).state.pool
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert "extra `score`" in compute(client, [{"customer_id": "ann"}]).json()["detail"]
    client.close()
    app.state.store.close()
