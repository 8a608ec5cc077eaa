"""The typed client of docs/examples: of the present interface, well typed, and at work against a real server."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest
from scoring_runs import REPOSITORY, Publish, customer, full_url, running

from fedelta.serve.caller.keys import create_key
from fedelta.serve.operational.database import Database

EXAMPLES = REPOSITORY / "docs/examples"
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def client_module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """docs/examples/client.py."""
    monkeypatch.syspath_prepend(EXAMPLES)
    import client

    return client


@pytest.fixture
def server(database: Database, publish_customers: Publish) -> Iterator[tuple[str, str]]:
    publish_customers(*(customer(f"c/{number}", value_at_risk=100.0 - number) for number in range(25)))
    key = create_key(database, "crm", ["read:score", "read:list", "read:metrics"])[0]
    with running(full_url(database)) as address:
        yield address, key


@pytest.mark.usefixtures("database")
def test_it_is_what_the_generator_makes_of_the_present_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    import generate_client

    made = generate_client.formatted(generate_client.generate(generate_client.own_document()))
    present = (EXAMPLES / "client.py").read_text(encoding="utf-8")
    assert present == made, "run: python docs/examples/generate_client.py"


@pytest.mark.usefixtures("database")
def test_its_types_are_sound() -> None:
    files = [EXAMPLES / "client.py", EXAMPLES / "generate_client.py"]
    command = [sys.executable, "-m", "mypy", "--strict", *map(str, files)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_it_reads_scores_lists_and_files(server: tuple[str, str], client_module: ModuleType, tmp_path: Path) -> None:
    address, key = server
    with client_module.Client(address, key) as client:
        assert client.read_score("c/7")["value_at_risk"] == 93.0
        batch = client.read_scores({"customer_ids": ["c/1", "nobody"]})
        assert [one["status"] for one in batch["results"]] == ["found", "not_found"]
        assert client.ready()["status"] == "ready"
        assert client.list_at_risk(limit=10, has_open_issue=None, tier=["medium", "high"])["total"] == 25
        every = [one["customer_id"] for one in client.every_at_risk(limit=10, tier=["medium"])]
        assert every == [f"c/{number}" for number in range(25)]
        (tmp_path / "list.parquet").write_bytes(b"".join(client.list_at_risk_file(format="parquet")))
        assert pl.read_parquet(tmp_path / "list.parquet")["customer_id"].to_list() == every
        assert "fedelta_requests_total" in client.read_metrics()


def test_an_error_is_a_problem_that_programs_can_read(server: tuple[str, str], client_module: ModuleType) -> None:
    address, key = server
    with client_module.Client(address, key) as client:
        with pytest.raises(client_module.Problem, match="nobody") as caught:
            client.read_score("nobody")
        assert (caught.value.status, caught.value.type) == (404, "urn:fedelta:problem:unknown-customer")
        with pytest.raises(client_module.Problem):
            list(client.list_at_risk_file(format="csv", sort="luck"))
    with client_module.Client(address, "fdl_0_wrong") as client, pytest.raises(client_module.Problem) as caught:
        client.current_model()
    assert caught.value.status == 401


def test_it_waits_when_the_service_asks_for_it(
    database: Database, publish_customers: Publish, client_module: ModuleType
) -> None:
    publish_customers(customer("ann"))
    key = create_key(database, "crm", ["read:score"], rate_per_second=1)[0]
    options = ["--access-log=off", "--rate-burst=1"]
    with running(full_url(database), options=options) as address, client_module.Client(address, key) as client:
        assert [client.read_score("ann")["customer_id"] for _ in range(3)] == ["ann"] * 3
