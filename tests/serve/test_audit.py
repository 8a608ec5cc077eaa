"""The audit: who read which customer is in the database within a second, whatever else cannot be written there."""

import asyncio
import json
import threading
import time
from collections.abc import Mapping

import pytest
import sqlalchemy as sa
from scoring_runs import Client, Publish, customer, full_url

from fedelta.serve.app import create_app
from fedelta.serve.caller.access_log import AccessLog, Line
from fedelta.serve.caller.audit import Audit, Entry
from fedelta.serve.caller.metrics import Metrics
from fedelta.serve.caller.settings import Settings
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.pointer import record
from fedelta.serve.operational.retention import forget_audit
from fedelta.serve.operational.tables import audit, from_now


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
    assert create_app(full_url(database), Settings(access_log="off", audit="changes")).state.audit is None


def aged(database: Database, *days: float) -> None:
    """Entries of the audit of so many days ago, in this order."""
    with database.engine() as engine, engine.begin() as connection:
        for each in days:
            record(connection, "default", "tests", "x", f"{each:g}", {})
            connection.execute(audit.update().where(audit.c.subject == f"{each:g}").values(at=from_now(days=-each)))


def subjects(database: Database) -> list[object]:
    return [one["subject"] for one in entries(database)]


def test_the_audit_forgets_what_is_older_than_it_is_kept_some_at_a_time(database: Database) -> None:
    aged(database, 700, 500, 401, 399, 450, 1)
    with database.engine() as engine:
        rounds = 0
        more = True
        while more:
            with engine.begin() as connection:
                more = forget_audit(connection, 400, at_once=2)
            rounds += 1
    assert rounds == 2
    # What came late stays until what stands before it goes: nothing younger is ever deleted, and nothing is scanned.
    assert subjects(database) == ["399", "450", "1"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("days", "left"), [(400, ["10"]), (0, ["500", "10"])])
def test_the_service_forgets_when_it_starts(database: Database, days: float, left: list[str]) -> None:
    aged(database, 500, 10)
    app = create_app(full_url(database), Settings(access_log="off", audit_days=days))

    async def run() -> None:
        async with app.router.lifespan_context(app):
            until = time.monotonic() + 10
            while subjects(database) != left and time.monotonic() < until:
                await asyncio.sleep(0.05)

    asyncio.run(run())
    assert subjects(database) == left


def test_what_queues_lose_is_in_the_metrics() -> None:
    metrics, stuck = Metrics(), threading.Event()
    audited = Audit(lambda _: stuck.wait() and None, metrics.dropped, most=3)
    for number in range(5):
        audited.add(Entry(0.0, "default", "tests", "read_score", 200, str(number), None, None))
    assert audited.dropped == 2
    assert 'fedelta_dropped{what="audit"} 2.0' in metrics.text().decode()
    stuck.set()
    audited.close()
    log = AccessLog("/dev/full", metrics.dropped, most=2)  # a disk without room
    for _ in range(5):
        log.add(Line(0.0, "r", "GET", "/", 200, 1.0, None, None, "", 0, True))
    with pytest.raises(OSError, match="No space"):
        log.close()
    assert log.dropped == 5
    assert 'fedelta_dropped{what="access log"} 5.0' in metrics.text().decode()
