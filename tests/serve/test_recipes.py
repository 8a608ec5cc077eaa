"""The recipes: what changed is sent to a CRM once, in its form."""

import ast
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest
from scoring_runs import REPOSITORY, Publish, customer

from fedelta.serve.export_scores import export_scores
from fedelta.serve.operational.database import Database

EXAMPLES = REPOSITORY / "docs/examples"
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def crm_sync(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """docs/examples/crm_sync.py."""
    monkeypatch.syspath_prepend(EXAMPLES)
    import crm_sync

    return crm_sync


@pytest.fixture
def crm() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that keeps what it is sent, and its address."""
    received: list[dict[str, Any]] = []

    class Keep(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            received.append({"path": self.path, "key": self.headers["authorization"], **body})
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Keep) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join()


def test_hubspot_gets_what_changed_a_hundred_at_a_time(
    database: Database, publish_customers: Publish, crm_sync: ModuleType, crm: tuple[str, list[Any]], tmp_path: Path
) -> None:
    address, received = crm
    some = [customer(f"c{number:03}", held_out=number == 0) for number in range(150)]
    publish_customers(*some)
    export_scores(database, str(tmp_path / "crm"))
    assert crm_sync.hubspot(tmp_path / "crm", "secret", address) == 150
    assert [len(body["inputs"]) for body in received] == [100, 50]
    first = received[0]["inputs"][0]
    assert (first["idProperty"], first["id"], received[0]["key"]) == ("fedelta_customer_id", "c000", "Bearer secret")
    assert first["properties"]["fedelta_control_group"] == "true"
    assert first["properties"]["fedelta_action"] == ""
    received.clear()
    publish_customers(customer("c149", risk_tier="critical", previous_probability=0.5), *some[1:149])
    export_scores(database, str(tmp_path / "crm"))
    changed = crm_sync.hubspot(tmp_path / "crm", "secret", address)
    assert changed == sum(len(body["inputs"]) for body in received)
    assert crm_sync.hubspot(tmp_path / "crm", "secret", address) == 0


def test_salesforce_gets_a_file_of_the_fields_that_the_page_lists(
    database: Database, publish_customers: Publish, crm_sync: ModuleType, tmp_path: Path
) -> None:
    publish_customers(customer("ann", held_out=False), customer("bob"))
    export_scores(database, str(tmp_path / "crm"))
    assert crm_sync.salesforce(tmp_path / "crm", tmp_path / "contacts.csv") == 2
    rows = pl.read_csv(tmp_path / "contacts.csv", infer_schema=False)
    assert rows["Fedelta_Customer_Id__c"].to_list() == ["ann", "bob"]
    assert rows["Fedelta_Action__c"].to_list() == ["#N/A", "#N/A"]
    page = (REPOSITORY / "docs/recipes.md").read_text()
    for column, field, _ in crm_sync.FIELDS:
        assert f"| {column} | {field} |" in page


@pytest.mark.usefixtures("database")
def test_the_schedulers_run_commands_that_exist() -> None:
    from fedelta.command_line import fedelta

    for name in ("airflow_dag.py", "dagster_job.py"):
        texts = [
            node.value for node in ast.walk(ast.parse((EXAMPLES / name).read_text())) if isinstance(node, ast.Constant)
        ]
        words = [text.split()[1] for text in texts if isinstance(text, str) and text.startswith("fedelta ")]
        words += [after for before, after in pairwise(texts) if before == "fedelta"]
        assert words
        assert [word for word in words if word not in fedelta.commands] == []
