"""What holds for every request: keys, problems, limits, readiness, the description."""

import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from acting_people import planned
from fastapi import Depends
from scoring_runs import Client, Publish, customer, full_url, json_file, unscored

from fedelta.serve.app import create_app
from fedelta.serve.caller.access_log import JsonLines
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.keys import create_key
from fedelta.serve.caller.scopes import SCOPES
from fedelta.serve.caller.settings import Limits
from fedelta.serve.operational.database import Database

ROUTES = (
    ("GET", "/v1/customers/ann/score"), ("POST", "/v1/scores:batch"), ("GET", "/v1/at-risk"),
    ("GET", "/v1/models/current"),
)  # fmt: skip
BATCH = {"customer_ids": ["ann"]}


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer fdl_0000000000_wrong"},
        {"Authorization": "Basic abc"},
        {"X-API-Key": "wrong"},
        {"X-API-Key": ""},
        {"X-API-Key": "ü".encode("latin-1")},
    ],
)
def test_nobody_reads_without_a_good_key(
    stranger: Client, publish_customers: Publish, method: str, path: str, headers: dict[str, str]
) -> None:
    publish_customers(customer("ann"))
    response = stranger.request(method, path, headers=headers, json=BATCH if method == "POST" else None)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.json()["type"] == "urn:fedelta:problem:unauthorized"


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_good_key_opens_the_door_in_either_header(
    stranger: Client, key: str, publish_customers: Publish, *, method: str, path: str, header: str
) -> None:
    publish_customers(customer("ann"))
    headers = {header: f"Bearer {key}" if header == "Authorization" else key}
    response = stranger.request(method, path, headers=headers, json=BATCH if method == "POST" else None)
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("scope", "denied"), [("read:list", ROUTES[:2]), ("read:score", ROUTES[2:3])], ids=["list", "score"]
)
def test_a_key_does_what_it_was_made_for_only(
    stranger: Client, database: Database, publish_customers: Publish, scope: str, denied: tuple[tuple[str, str], ...]
) -> None:
    publish_customers(customer("ann"))
    headers = {"X-API-Key": create_key(database, "narrow", [scope])[0]}
    for method, path in ROUTES:
        response = stranger.request(method, path, headers=headers, json=BATCH if method == "POST" else None)
        assert response.status_code == (403 if (method, path) in denied else 200)
        if response.status_code == 403:
            assert "insufficient_scope" in response.headers["www-authenticate"]


def test_half_a_key_is_no_key(stranger: Client, key: str, publish_customers: Publish) -> None:
    publish_customers(customer("ann"))
    for wrong in (key[:-1], key + "x", key[:14], key.upper()):
        assert stranger.get("/v1/customers/ann/score", headers={"X-API-Key": wrong}).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("GET", "/v1/at-risk/", 404, "not-found"),
        ("GET", "/v1/customers//score", 404, "unknown-customer"),
        ("DELETE", "/v1/at-risk", 405, "method-not-allowed"),
        ("GET", "/v1/scores:batch", 405, "method-not-allowed"),
    ],
)
def test_every_error_is_a_problem_document(
    client: Client, publish_customers: Publish, *, method: str, path: str, status: int, kind: str
) -> None:
    publish_customers(customer("ann"))
    response = client.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == f"urn:fedelta:problem:{kind}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == response.headers["x-request-id"]
    assert ("allow" in response.headers) == (status == 405)


def test_a_crash_tells_the_caller_nothing_but_the_id_and_the_log_where_but_no_data(
    database: Database, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(full_url(database))

    @app.get("/crash/{customer_id}", dependencies=[Depends(needs("read:score"))])
    async def crash(customer_id: str) -> None:
        raise RuntimeError(f"nothing of {customer_id}")

    client = Client(app, key)
    response = client.get("/crash/ann-4711", headers={"X-Request-Id": "abc"})
    client.close()
    client.store.close()
    assert response.status_code == 500
    assert response.headers["x-request-id"] == response.json()["request_id"] == "abc"
    assert "4711" not in response.text
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    line = json.loads(JsonLines().format(record))
    assert line["exception"] == "RuntimeError"
    assert line["trace"][-1].endswith(" crash")
    assert line["message"] == "Request abc failed: GET /crash/{customer_id}"
    assert "4711" not in json.dumps(line)


def test_a_route_that_declares_no_scope_is_not_there(database: Database, key: str) -> None:
    app = create_app(f"sqlite:///{database.path}")

    @app.get("/forgotten")
    async def forgotten() -> str:
        return "everybody's"

    client = Client(app, key)
    assert client.get("/forgotten").status_code == 404
    client.close()
    client.store.close()


def test_a_request_keeps_its_id_or_gets_one(client: Client, publish_customers: Publish) -> None:
    publish_customers(customer("ann"))
    assert client.get("/healthz", headers={"X-Request-Id": "crm-42.a"}).headers["x-request-id"] == "crm-42.a"
    for bad in ("a b", "x" * 129, ""):
        made = client.get("/healthz", headers={"X-Request-Id": bad}).headers["x-request-id"]
        assert made != bad
        assert len(made) == 32


def test_a_body_over_the_limit_is_refused_without_being_read(client: Client) -> None:
    sent = 0

    async def ten_megabytes() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 10_000
            yield b" " * 10_000

    json = {"Content-Type": "application/json"}
    declared = client.post("/v1/scores:batch", content=ten_megabytes(), headers={**json, "Content-Length": "10000000"})
    assert (declared.status_code, sent) == (413, 0)
    chunked = client.post("/v1/scores:batch", content=ten_megabytes(), headers=json)
    assert chunked.status_code == 413
    assert sent <= Limits().body_bytes + 20_000
    for response in (declared, chunked):
        assert response.json()["type"] == "urn:fedelta:problem:too-large"
        assert response.headers["connection"] == "close"
    for lie in ("-1", "x", "9" * 50):
        assert (
            client.post("/v1/scores:batch", content=b"{}", headers={**json, "Content-Length": lie}).status_code == 413
        )


def test_a_body_below_the_limit_is_read(client: Client, publish_customers: Publish) -> None:
    publish_customers(customer("ann"))
    ids = ["x" * 900] * 1000
    assert client.post("/v1/scores:batch", json={"customer_ids": ids}).status_code == 200


def test_the_service_is_alive_at_once_and_ready_when_something_is_published(
    stranger: Client, publish_customers: Publish
) -> None:
    assert stranger.get("/healthz").json() == {"status": "alive"}
    assert stranger.request("HEAD", "/healthz").status_code == 200
    assert stranger.get("/readyz").status_code == 503
    assert stranger.get("/readyz").json()["type"] == "urn:fedelta:problem:not-ready"
    run = publish_customers(customer("ann"))
    ready = stranger.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["snapshot_id"] == run.snapshot_id
    assert ready.json()["as_of"] == "2024-01-01T00:00:00Z"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_before_the_first_publish_reads_are_503(client: Client, method: str, path: str) -> None:
    response = client.request(method, path, json=BATCH if method == "POST" else None)
    assert response.status_code == 503
    assert response.headers["retry-after"]


def test_a_missing_database_is_503_and_one_that_appears_is_read(sqlite_database: Database) -> None:
    path = sqlite_database.path
    assert path is not None
    tables = path.read_bytes()
    app = create_app(full_url(sqlite_database), look_again=0)
    stranger = Client(app)
    path.unlink()
    assert stranger.get("/readyz").json()["type"] == "urn:fedelta:problem:unavailable"
    path.write_bytes(b"this is no database" * 100)
    assert stranger.get("/readyz").json()["type"] == "urn:fedelta:problem:unavailable"
    path.unlink()
    path.write_bytes(tables)
    assert stranger.get("/readyz").json()["type"] == "urn:fedelta:problem:not-ready"
    stranger.close()
    app.state.store.close()


def test_a_database_that_is_locked_from_the_start_is_503(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedelta.serve.store.BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(str(sqlite_database.path), isolation_level=None)) as lock:
        lock.execute("PRAGMA journal_mode = DELETE")
        lock.execute("BEGIN EXCLUSIVE")
        app = create_app(full_url(sqlite_database), look_again=0)
        stranger = Client(app)
        response = stranger.get("/readyz")
        assert response.status_code == 503
        assert str(sqlite_database.path) not in response.text
        stranger.close()
        app.state.store.close()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_scores_are_read_while_the_database_is_gone_and_health_says_so(
    database: Database, publish_customers: Publish, key: str
) -> None:
    publish_customers(customer("ann"))
    assert database.path is not None
    app = create_app(full_url(database), look_again=0)
    client = Client(app, key)
    assert client.get("/readyz").json()["database"] == "available"
    assert client.get("/v1/customers/ann/score").status_code == 200
    away = database.path.with_suffix(".away")
    database.path.rename(away)
    for _ in range(2):
        assert client.get("/v1/customers/ann/score").json()["customer_id"] == "ann"
        assert client.get("/v1/at-risk").json()["total"] == 1
        assert client.get("/readyz").json()["database"] == "unreachable"
    away.rename(database.path)
    assert client.get("/readyz").json()["database"] == "available"
    client.close()
    app.state.store.close()


def test_the_model_behind_the_scores_is_described(client: Client, publish_customers: Publish, tmp_path: Path) -> None:
    json_file(tmp_path / "bundle/churn/delivered/model.json", {"thresholds": {"high": 0.5}, "feature_names": ["a"]})
    json_file(tmp_path / "metrics.json", {"churn": {"chosen": {"auc": {"value": 0.8, "low": float("nan")}}}})
    run = publish_customers(
        customer("ann", churn_probability=0.9, risk_tier="high"),
        customer("bob", churn_probability=0.6, risk_tier="high"),
        customer("cat", churn_probability=0.1, risk_tier="low"),
        unscored("dan"),
    )
    model = client.get("/v1/models/current").json()
    assert model["snapshot_id"] == run.snapshot_id
    assert (model["model_version"], model["horizon_days"], model["as_of"]) == ("m1", 90, "2024-01-01T00:00:00Z")
    assert model["by_status"] == {"scored": 3, "too_new": 1}
    assert model["risk_tiers"]["high"] == {"customers": 2, "min_probability": 0.6, "max_probability": 0.9}
    assert model["thresholds"] == {"high": 0.5}
    assert model["metrics"]["churn"]["chosen"]["auc"] == {"value": 0.8, "low": None}
    assert model["churn"]["feature_names"] == ["a"]
    assert model["clv"] is None
    assert model["published_at"].endswith("Z")


def resolved(schema: dict[str, Any], description: dict[str, Any]) -> dict[str, Any]:
    """What a schema refers to; of several the first that is no null."""
    several = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    name = several[0].get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = description["components"]["schemas"][name] if name else several[0]
    return found


def with_times(
    schema: dict[str, Any], body: dict[str, Any], at: str, description: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """A body, once for each time that its schema has, with that time in it."""
    for name, each in schema.get("properties", {}).items():
        field = resolved(each, description)
        if field.get("format") == "date-time":
            yield body | {name: at}
        elif field.get("type") == "array" and isinstance(first := next(iter(body.get(name, ())), None), dict):
            for item in with_times(resolved(field["items"], description), first, at, description):
                yield body | {name: [item]}


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_no_time_of_the_calendar_is_a_mistake_of_ours(database: Database, publish_customers: Publish, at: str) -> None:
    publish_customers(planned("C1"))
    app = create_app(full_url(database), look_again=0)
    client, asked = Client(app, create_key(database, "crm", [*SCOPES])[0]), set()
    description = client.get("/openapi.json").json()
    for path, methods in description["paths"].items():
        address = path.format(customer_id="C1", case_id=1, webhook_id="whk_0000000000000000", campaign_id="spring")
        for method, operation in methods.items():
            of_query = [one["name"] for one in operation.get("parameters", ()) if "date-time" in str(one["schema"])]
            requests: list[dict[str, Any]] = [{"params": {name: at}} for name in of_query]
            if "requestBody" in operation:
                content = operation["requestBody"]["content"]["application/json"]
                bodies = with_times(resolved(content["schema"], description), content["example"], at, description)
                requests += [{"json": body} for body in bodies]
            for number, request in enumerate(requests):
                headers = {"Idempotency-Key": f"{operation['operationId']}-{number}"}
                status = client.request(method.upper(), address, headers=headers, **request).status_code
                assert status < 500, (path, request)
                asked.add(operation["operationId"])
    client.close()
    app.state.store.close()
    assert asked >= {"list_at_risk", "list_treatments", "record_treatment", "write_outcomes", "replay_webhook"}
