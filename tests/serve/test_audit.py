"""The audit: who read which customer is in the database within a second, whatever else cannot be written there."""

import json
from collections.abc import Mapping

import pytest
import sqlalchemy as sa
from scoring_runs import Client, Publish, customer, full_url

from fedelta.serve.app import create_app
from fedelta.serve.caller.audit import Entry
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.tables import audit


def entries(database: Database) -> list[Mapping[str, object]]:
    with database.engine() as engine, engine.begin() as connection:
        rows = connection.execute(sa.select(audit).where(audit.c.actor == "tests").order_by(audit.c.id)).mappings()
        return [{**row, **json.loads(row["details"])} for row in rows]


def test_who_reads_a_customer_is_audited_with_what_came_of_it(
    database: Database, key: str, publish_customers: Publish
) -> None:
    publish_customers(customer("ann"))
    app = create_app(full_url(database), look_again=0)
    client = Client(app, key)
    for path in ("/v1/customers/ann/score", "/v1/customers/no%00body/score", "/metrics", "/healthz"):
        client.get(path, headers={"X-Request-Id": "r1"})
    app.state.audit.add(Entry(0.0, "no-such-tenant", "tests", "read_score", 200, "r", "x", None))
    client.get("/v1/at-risk", headers={"X-Request-Id": "r2"})
    client.close()
    app.state.audit.close()
    app.state.store.close()
    found = [
        (one["tenant"], one["action"], one["subject"], one["status"], one["request_id"]) for one in entries(database)
    ]
    assert [one for one in found if one[0] == "default"] == [
        ("default", "read_score", "ann", 200, "r1"), ("default", "read_score", "no�body", 404, "r1"),
        ("default", "read_metrics", "", 403, "r1"), ("default", "list_at_risk", "", 200, "r2"),
    ]  # fmt: skip


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_reads_are_not_audited_where_only_changes_are(database: Database) -> None:
    from fedelta.serve.caller.settings import Settings

    assert create_app(full_url(database), Settings(access_log="off", audit="changes")).state.audit is None
