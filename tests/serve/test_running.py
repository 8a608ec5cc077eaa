"""The service as a process: switching runs under load, big bodies over the wire, starting and failing to start."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from scoring_runs import customer, full_url, many, running, write

from fedelta.cli import main
from fedelta.serve.caller.keys import create_key
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.publish import publish

ROWS = 3_000


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    """The service as a process on the database that it has by default."""
    return sqlite_database


@pytest.fixture
def address(database: Database) -> Iterator[str]:
    with running(full_url(database)) as address:
        yield address


def becomes(expected: object, address: str, headers: dict[str, str], field: str) -> bool:
    """Whether a field gets this value, once the service has had the time to notice a publish."""
    for _ in range(60):
        time.sleep(1.0)  # usually enough; more on a busy machine
        if httpx.get(address, headers=headers, timeout=20).json().get(field) == expected:
            return True
    return False


def test_while_runs_are_switched_no_read_fails_and_no_answer_mixes_two(
    database: Database, address: str, tmp_path: Path
) -> None:
    runs = [tmp_path / f"{version}.parquet" for version in ("m1", "m2", "m3", "m4", "m5")]
    for path in runs:
        many(ROWS, path.stem).write_parquet(path)
    run = publish(runs[0], database)
    assert becomes(run.snapshot_id, f"{address}/readyz", {}, "snapshot_id")
    headers = {"X-API-Key": create_key(database, "crm", ["read:score", "read:list"], rate_per_second=0)[0]}
    ids = [f"c{i:06}" for i in range(0, ROWS, 30)]
    done, batches = threading.Event(), 0
    faults: list[object] = []
    seen: list[str] = []

    def read() -> None:
        nonlocal batches
        with httpx.Client(base_url=address, headers=headers, timeout=20) as client:
            while not done.is_set():
                batch = client.post("/v1/scores:batch", json={"customer_ids": ids})
                one = client.get(f"/v1/customers/{ids[batches % 100]}/score")
                page = client.get("/v1/at-risk?limit=50")
                if not batch.status_code == one.status_code == page.status_code == 200:
                    faults.append((batch.status_code, one.status_code, page.status_code))
                    continue
                scores = [item["score"] for item in batch.json()["results"]]
                for answer in (scores, [one.json()], page.json()["customers"]):
                    versions = {(score["model_version"], score["snapshot_id"]) for score in answer}
                    if len(versions) != 1:
                        faults.append(versions)
                seen.append(scores[0]["model_version"])
                batches += 1

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for path in runs[1:]:
            publish(path, database)
            assert becomes(path.stem, f"{address}/v1/customers/c000000/score", headers, "model_version")
    finally:
        done.set()
        reader.join()
    assert faults == []
    assert batches >= 5
    assert seen == sorted(seen)  # never back to an older run
    assert len(set(seen)) >= 2


def test_a_whole_list_ends_on_the_run_it_began_on(database: Database, address: str, tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    many(ROWS, "m1").write_parquet(path)
    run = publish(path, database)
    assert becomes(run.snapshot_id, f"{address}/readyz", {}, "snapshot_id")
    headers = {"X-API-Key": create_key(database, "crm", ["read:list"])[0]}
    with httpx.stream("GET", f"{address}/v1/at-risk?format=csv", headers=headers) as response:
        lines = response.iter_lines()
        version = next(lines).split(",").index("model_version")
        for later in ("m2", "m3", "m4"):  # after m4, m1 is no longer kept
            many(ROWS, later).write_parquet(path)
            publish(path, database)
        assert [line.split(",")[version] for line in lines] == ["m1"] * ROWS


def test_ten_megabytes_are_refused_over_the_wire_whether_declared_or_not(database: Database, address: str) -> None:
    key = create_key(database, "crm", ["read:score"])[0]
    piece = b" " * 10_000
    chunk = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    for header, body in (("Content-Length: 10000000", piece), ("Transfer-Encoding: chunked", chunk)):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as wire:
            wire.sendall(
                f"POST /v1/scores:batch HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\n"
                f"Content-Type: application/json\r\n{header}\r\n\r\n".encode()
            )
            with suppress(ConnectionError):  # the server hangs up when it has seen enough
                for _ in range(1000):
                    wire.sendall(body)
            answer = wire.recv(10_000).decode()
        assert answer.startswith("HTTP/1.1 413")
        assert "application/problem+json" in answer
    assert httpx.get(f"{address}/healthz").status_code == 200


def test_a_server_started_before_anything_is_published_becomes_ready(
    database: Database, address: str, tmp_path: Path
) -> None:
    assert httpx.get(f"{address}/readyz").status_code == 503
    run = publish(write(tmp_path / "scores.parquet", customer("ann")), database)
    assert becomes(run.snapshot_id, f"{address}/readyz", {}, "snapshot_id")


def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port), "--database", f"sqlite:///{tmp_path}/fedelta.db"]) == 1
    error = capsys.readouterr().err
    assert f"port {port}" in error
    assert "choose another" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "wrong", [["--database", "mysql://a/b"], ["--port", "99999"], ["--host", "no.such.host.invalid"]]
)
def test_what_cannot_be_served_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str]
) -> None:
    assert main(["serve", "--database", f"sqlite:///{tmp_path}/fedelta.db", *wrong]) == 1
    assert capsys.readouterr().err.count("\n") == 1
