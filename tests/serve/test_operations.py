"""How the service runs: workers, stopping, access log, metrics, security headers, below a path and behind a proxy."""

import json
import os
import signal
import socket
import stat
import time
from pathlib import Path

import httpx
import psutil
import pytest
from scoring_runs import Client, Publish, customer, full_url, many, started

from fedelta.serve.app import create_app
from fedelta.serve.caller.keys import create_key
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.publish import publish

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def headers(database: Database, publish_customers: Publish) -> dict[str, str]:
    publish_customers(customer("ann-4711"))
    return {"X-API-Key": create_key(database, "crm", ["read:score", "read:list", "read:metrics"])[0]}


def lines(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_the_access_log_says_what_was_asked_and_holds_no_customer_key_or_query(
    database: Database, headers: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    with started(full_url(database), options=[f"--access-log={log}"]) as (address, server):
        httpx.get(f"{address}/v1/customers/ann-4711/score", headers={**headers, "X-Request-Id": "r1"})
        httpx.get(f"{address}/v1/at-risk?persona=ann-4711", headers={**headers, "X-Request-Id": "r2"})
        httpx.get(f"{address}/customers/ann-4711", headers={"X-Request-Id": "r3"})
        server.send_signal(signal.SIGTERM)
        server.wait(20)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    written = {line["request_id"]: line for line in lines(log)}
    assert written["r1"] | {"at": 0, "milliseconds": 0} == {
        "at": 0, "request_id": "r1", "method": "GET", "route": "/v1/customers/{customer_id}/score", "status": 200,
        "milliseconds": 0, "caller": "crm", "tenant": "default", "peer": "127.0.0.1",
        "sent": written["r1"]["sent"], "complete": True,
    }  # fmt: skip
    assert written["r2"]["route"] == "/v1/at-risk"
    assert (written["r3"]["route"], written["r3"]["status"], written["r3"]["caller"]) == (None, 404, None)
    text = log.read_text()
    assert "4711" not in text
    assert headers["X-API-Key"] not in text


def test_a_client_that_leaves_in_the_middle_ends_its_answer(
    database: Database, headers: dict[str, str], tmp_path: Path
) -> None:
    many(30_000, "m1").write_parquet(tmp_path / "run.parquet")
    publish(tmp_path / "run.parquet", database)
    log = tmp_path / "access.log"
    with started(full_url(database), options=[f"--access-log={log}"]) as (address, _):
        with httpx.stream("GET", f"{address}/v1/at-risk?format=csv", headers=headers) as answer:
            next(answer.iter_raw())
        until = time.monotonic() + 20
        while not (ended := [line for line in lines(log) if line["route"] == "/v1/at-risk"]):
            assert time.monotonic() < until
            time.sleep(0.1)
    assert ended[0]["complete"] is False


def test_metrics_count_requests_by_template_over_all_workers(database: Database, headers: dict[str, str]) -> None:
    options = ["--workers=2", "--access-log=off", "--rate-per-second=0"]
    with started(full_url(database), options=options) as (address, server):
        until = time.monotonic() + 60
        while len(psutil.Process(server.pid).children()) < 2 and time.monotonic() < until:
            time.sleep(0.1)
        for _ in range(40):  # new connections: each worker takes some
            assert httpx.get(f"{address}/v1/customers/ann-4711/score", headers=headers).status_code == 200
        text = httpx.get(f"{address}/metrics", headers=headers).text
        assert (
            'fedelta_requests_total{method="GET",route="/v1/customers/{customer_id}/score",status="200"} 40.0' in text
        )
        assert 'fedelta_request_seconds_count{route="/v1/customers/{customer_id}/score"} 40.0' in text
        assert "fedelta_connections" in text
        assert "4711" not in text


def test_workers_share_a_keys_rate_and_one_that_dies_is_replaced(database: Database, headers: dict[str, str]) -> None:
    options = ["--workers=2", "--access-log=off", "--rate-per-second=0.001", "--rate-burst=20"]
    with started(full_url(database), options=options) as (address, server):
        statuses = [httpx.get(f"{address}/v1/models/current", headers=headers).status_code for _ in range(30)]
        assert statuses == [200] * 20 + [429] * 10
        workers = [
            child for child in psutil.Process(server.pid).children() if "spawn_main" in " ".join(child.cmdline())
        ]
        assert len(workers) == 2
        os.kill(workers[0].pid, signal.SIGKILL)
        for _ in range(20):
            assert httpx.get(f"{address}/healthz", timeout=30).status_code == 200
        assert httpx.get(f"{address}/v1/models/current", headers=headers).status_code == 429
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0


def test_at_sigterm_it_says_not_ready_then_finishes_what_is_in_flight(
    database: Database, headers: dict[str, str], tmp_path: Path
) -> None:
    many(30_000, "m1").write_parquet(tmp_path / "run.parquet")
    publish(tmp_path / "run.parquet", database)
    with started(full_url(database), options=["--drain-seconds=2", "--access-log=off"]) as (address, server):
        assert httpx.get(f"{address}/readyz").status_code == 200
        with httpx.stream("GET", f"{address}/v1/at-risk?format=csv", headers=headers, timeout=30) as answer:
            pieces = answer.iter_bytes()
            rows = next(pieces).count(b"\r\n")
            server.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            ready = httpx.get(f"{address}/readyz")
            assert ready.status_code == 503
            assert ready.json()["type"] == "urn:fedelta:problem:shutting-down"
            assert ready.headers["connection"] == "close"
            assert httpx.get(f"{address}/healthz").status_code == 200
            rows += sum(piece.count(b"\r\n") for piece in pieces)
        assert rows == 30_001
        assert server.wait(20) in (0, -signal.SIGTERM)


def test_what_is_still_in_flight_at_the_deadline_is_cut(
    database: Database, headers: dict[str, str], tmp_path: Path
) -> None:
    many(30_000, "m1").write_parquet(tmp_path / "run.parquet")
    publish(tmp_path / "run.parquet", database)
    with started(full_url(database), options=["--shutdown-seconds=1", "--access-log=off"]) as (address, server):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as reader:
            reader.sendall(
                f"GET /v1/at-risk?format=csv HTTP/1.1\r\nHost: x\r\nX-API-Key: {headers['X-API-Key']}\r\n\r\n".encode()
            )
            time.sleep(0.5)
            server.send_signal(signal.SIGTERM)
            server.wait(15)


def test_every_answer_is_safe_to_show_and_none_with_personal_data_is_kept(
    database: Database, headers: dict[str, str]
) -> None:
    client = Client(create_app(full_url(database)))
    for path in ("/healthz", "/docs", "/nowhere", "/v1/models/current", "/v1/customers/ann-4711/score", "/v1/at-risk"):
        answer = client.get(path, headers=headers)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "strict-transport-security" not in answer.headers
        if path.startswith("/v1"):
            assert answer.headers["cache-control"] in ("no-store", "private, no-cache")
    client.close()
    client.store.close()


@pytest.mark.parametrize(("trusted", "secure"), [([], False), (["--trusted-proxies=127.0.0.1"], True)])
def test_below_a_path_and_behind_a_proxy_that_is_trusted_or_not(
    database: Database, headers: dict[str, str], tmp_path: Path, *, trusted: list[str], secure: bool
) -> None:
    log = tmp_path / "access.log"
    options = ["--root-path=/churn", f"--access-log={log}", *trusted]
    forwarded = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    with started(full_url(database), options=options) as (
        address,
        server,
    ):
        answer = httpx.get(f"{address}/v1/at-risk?limit=1", headers=headers | forwarded)
        assert answer.status_code == 200
        assert ("strict-transport-security" in answer.headers) == secure
        assert httpx.get(f"{address}/openapi.json").json()["servers"] == [{"url": "/churn"}]
        server.send_signal(signal.SIGTERM)
        server.wait(20)
    assert lines(log)[-2]["peer"] == ("203.0.113.9" if secure else "127.0.0.1")
