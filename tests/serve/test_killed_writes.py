"""A server that is killed during posts has lost nothing that it acknowledged, and sending all again doubles nothing."""

import os
import signal
import threading
from pathlib import Path

import httpx
from acting_people import planned
from scoring_runs import full_url, started, write

from fedelta.serve.caller.keys import create_key
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.publish import publish

CUSTOMERS = [f"c{number}" for number in range(20)]
POSTS = 400  # more than are sent before the kill
OPTIONS = ["--access-log", "off", "--rate-per-second", "0"]


def post(client: httpx.Client, number: int) -> httpx.Response:
    """One of each kind, in turn."""
    who = CUSTOMERS[number % len(CUSTOMERS)]
    key = {"Idempotency-Key": f"k{number}"}
    if number % 3 == 0:
        body: dict[str, object] = {"customer_id": who, "campaign": f"n{number}"}
        return client.post("/v1/treatments", json=body, headers=key)
    if number % 3 == 1:
        body = {"outcomes": [{"customer_id": who, "outcome": "reached", "reason": f"n{number}"}]}
        return client.post("/v1/outcomes", json=body, headers=key)
    return client.post("/v1/cases", json={"customer_id": who, "reason": f"n{number}"})


def test_what_was_acknowledged_is_there_after_a_kill(database: Database, tmp_path: Path) -> None:
    publish(write(tmp_path / "run.parquet", *(planned(name) for name in CUSTOMERS)), database)
    headers = {"X-API-Key": create_key(database, "crm", ["write:outcome", "write:cases", "read:list"])[0]}
    acknowledged: dict[int, dict[str, object]] = {}
    enough, numbers = threading.Event(), iter(range(POSTS))

    def send(address: str) -> None:
        with httpx.Client(base_url=address, headers=headers, timeout=30) as client:
            for number in numbers:
                try:
                    answer = post(client, number)
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    acknowledged[number] = answer.json()
                if len(acknowledged) >= 30:
                    enough.set()

    with started(full_url(database), options=OPTIONS) as (address, server):
        senders = [threading.Thread(target=send, args=(address,)) for _ in range(3)]
        for sender in senders:
            sender.start()
        assert enough.wait(60)
        os.kill(server.pid, signal.SIGKILL)
        for sender in senders:
            sender.join()
    assert 30 <= len(acknowledged) < POSTS

    with (
        started(full_url(database), options=OPTIONS) as (address, _),
        httpx.Client(base_url=address, headers=headers, timeout=30) as client,
    ):
        cases = {one["reason"]: one for one in client.get("/v1/cases?limit=1000").json()["cases"]}
        made = {one["campaign"]: one for one in client.get("/v1/treatments?limit=1000").json()["treatments"]}
        for number, answer in acknowledged.items():
            if number % 3 == 0:
                assert made[f"n{number}"] == answer
            elif number % 3 == 2:
                assert cases[f"n{number}"] == answer
            again = post(client, number)
            if number % 3 == 2:
                assert (again.status_code, again.json()["type"]) == (409, "urn:fedelta:problem:case-open")
            else:
                assert (again.json(), again.headers["idempotency-replayed"]) == (answer, "true")
        first_unsent = max(acknowledged) + 4
        for number in range(first_unsent):  # what was on its way when the server died, too
            post(client, number)
        campaigns = [one["campaign"] for one in client.get("/v1/treatments?limit=1000").json()["treatments"]]
        assert sorted(campaigns) == sorted(f"n{number}" for number in range(0, first_unsent, 3))
