"""Webhooks: signed, sent again until they are taken, lost by no crash, sent once by workers that live."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from receivers import Receiver, receiving
from scoring_runs import REPOSITORY, Client, Publish, customer, full_url, json_file, many, running, write

from fedelta.cli import main
from fedelta.serve.app import create_app
from fedelta.serve.caller.keys import create_key
from fedelta.serve.caller.settings import Settings, WebhookSettings
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.pointer import tell
from fedelta.serve.operational.tables import audit, deliveries, from_now, outbox, users, views, webhooks
from fedelta.serve.snapshots.publish import publish
from fedelta.serve.store import Store
from fedelta.serve.webhooks.deliverer import Deliverer
from fedelta.serve.webhooks.events import TYPES

HERE = ("127.0.0.0/8",)
AT_ONCE = WebhookSettings(allow=HERE, seconds=5, first_retry_seconds=0)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def admin(database: Database) -> Iterator[Client]:
    """A client that may manage endpoints, of a service that allows this machine."""
    app = create_app(full_url(database), Settings(access_log="off", audit="changes", webhooks=AT_ONCE), look_again=0)
    client = Client(app, create_key(database, "admin", ["admin"])[0])
    yield client
    client.close()
    app.state.store.close()


def endpoint(admin: Client, receiver: Receiver, *types: str) -> dict[str, str]:
    """An endpoint as it was made, with its secret."""
    answer = admin.post("/v1/webhooks", json={"url": receiver.url, "types": list(types or TYPES)})
    assert answer.status_code == 200, answer.text
    made: dict[str, str] = answer.json()
    return made


def deliver(database: Database, settings: WebhookSettings = AT_ONCE) -> int:
    """Send what is due."""
    store = Store(database)
    try:
        return Deliverer(store, settings).once()
    finally:
        store.close()


def happen(database: Database, number: int, *, tenant: str = "default", kind: str = "snapshot.published") -> list[str]:
    """Make events; their ids in order."""
    with database.engine() as engine, engine.begin() as connection:
        tell(connection, tenant, kind, (f'{{"number": {each}}}' for each in range(number)))
        every = connection.execute(sa.select(outbox.c.event_id).order_by(outbox.c.id.desc()).limit(number))
        return [*every.scalars()][::-1]


def change(database: Database, statement: sa.Executable) -> None:
    with database.engine() as engine, engine.begin() as connection:
        connection.execute(statement)


def states(admin: Client, made: dict[str, str]) -> list[tuple[str, int, object]]:
    """State, attempts and last status of every delivery, oldest first."""
    page = admin.get(f"/v1/webhooks/{made['id']}/deliveries").json()["deliveries"]
    return [(one["state"], one["attempts"], one["status"]) for one in sorted(page, key=lambda one: int(one["id"]))]


def test_a_publish_is_told_as_standard_webhooks_has_it(
    database: Database, admin: Client, receiver: Receiver, publish_customers: Publish
) -> None:
    secret = endpoint(admin, receiver)["secret"]
    first = publish_customers(customer("ann", risk_tier="low"))
    assert deliver(database) == 1
    (message,) = receiver.messages
    content = message.verified(secret)
    assert content["type"] == "snapshot.published"
    assert content["data"]["snapshot_id"] == first.snapshot_id
    assert set(content) == {"type", "timestamp", "data"}
    assert message.headers["content-type"] == "application/json"
    with pytest.raises(Exception, match="signature"):
        message.verified("whsec_" + "A" * 44)


def test_changed_tiers_a_new_model_and_alarms_are_told_once(
    database: Database, admin: Client, receiver: Receiver, tmp_path: Path
) -> None:
    made = endpoint(admin, receiver, "score.tier_changed", "model.promoted", "drift.alert")
    before = [customer(f"c{number:04}", risk_tier="low") for number in range(1_200)]
    after = [customer(f"c{number:04}", risk_tier="high", model_version="m2") for number in range(1_200)]
    json_file(tmp_path / "drift.json", {"alarms": ["Feature tenure_days changed."]})
    for rows in (before, after, before[:1_000]):
        publish(write(tmp_path / "run.parquet", *rows), database, reports=tmp_path)
    deliver(database)
    told = [message.verified(made["secret"]) for message in receiver.messages]
    changed = [one["data"] for one in told if one["type"] == "score.tier_changed"]
    assert sorted(len(one["changes"]) for one in changed) == [200, 500, 500, 500, 500]  # never a row per customer
    assert changed[0]["changes"][0] | {"customer_id": ""} == {
        "customer_id": "", "previous_tier": "low", "risk_tier": "high", "previous_probability": 0.5,
        "churn_probability": 0.5,
    }  # fmt: skip
    promoted = [one["data"]["model_version"] for one in told if one["type"] == "model.promoted"]
    assert sorted(promoted) == ["m1", "m2"]
    assert [one["data"]["alarms"] for one in told if one["type"] == "drift.alert"] == [["Feature tenure_days changed."]]
    assert "snapshot.published" not in receiver.types()  # nobody asked for it


def test_who_entered_a_shared_view_is_sent_to_who_asked_for_it(
    database: Database, admin: Client, receiver: Receiver, tmp_path: Path
) -> None:
    made = endpoint(admin, receiver, "customer.entered_view")
    with database.engine() as engine, engine.begin() as connection:
        person = {"tenant": "default", "email": "vera@example.org", "name": "vera", "role": "agent", "shortcuts": True}
        vera = users.insert().values(created_at=from_now(), **person).returning(users.c.user_id)
        user_id = connection.execute(vera).scalar_one()
        for name, query, shared in (
            ("hot", "tier=high&shown=all", True),
            ("own", "tier=high", False),
            ("old", "tier=x", True),
        ):
            row = {"tenant": "default", "user_id": user_id, "name": name, "query": query, "shared": shared}
            connection.execute(views.insert().values(created_at=from_now(), **row))
    high = {"risk_tier": "high"}
    before = [customer("ann", **high), customer("bob"), customer("cleo", risk_tier="low")]
    for rows in (before, [customer("ann", **high), customer("bob", **high), customer("dan", **high)]):
        scores = str(write(tmp_path / "scores.parquet", *rows))
        assert main(["publish", "--scores", scores, "--database", full_url(database)]) == 0
    deliver(database)
    (message,) = receiver.messages
    data = message.verified(made["secret"])["data"]
    assert (data["view"], sorted(data["customer_ids"])) == ("hot", ["bob", "dan"])


def test_what_is_refused_is_sent_again_with_the_same_id_until_it_is_taken(
    database: Database, admin: Client, receiver: Receiver
) -> None:
    made = endpoint(admin, receiver)
    receiver.answers = [500, 503, 302]
    (event_id,) = happen(database, 1)
    assert deliver(database) == 4
    assert receiver.times() == {event_id: 4}
    assert len({json.loads(one.body)["data"]["number"] for one in receiver.messages}) == 1
    assert states(admin, made) == [("delivered", 4, 204)]
    assert admin.get(f"/v1/webhooks/{made['id']}").json()["failing_since"] is None


def test_an_endpoint_that_fails_is_left_alone_for_a_while_and_others_are_not(
    database: Database, admin: Client, receiver: Receiver
) -> None:
    bad = endpoint(admin, receiver)
    receiver.answers = [500] * 50
    with receiving() as good:
        endpoint(admin, good)
        ids = happen(database, 20)
        deliver(database, WebhookSettings(allow=HERE, first_retry_seconds=60))
        assert set(good.times()) == set(ids)
        assert len(receiver.messages) <= 4  # those that were on their way when the first failed
    shown = admin.get(f"/v1/webhooks/{bad['id']}").json()
    assert shown["failing_since"] is not None
    assert shown["paused_until"] > shown["failing_since"]
    receiver.answers = []
    change(database, webhooks.update().values(paused_until=None))
    change(database, deliveries.update().values(due_at=from_now()))
    deliver(database)
    assert set(receiver.times()) == set(ids)


def test_two_workers_that_live_never_send_one_event_twice(
    database: Database, admin: Client, receiver: Receiver
) -> None:
    endpoint(admin, receiver)
    ids = happen(database, 150)
    workers = [threading.Thread(target=deliver, args=(database,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    deliver(database)
    assert receiver.times() == dict.fromkeys(ids, 1)


def test_killing_the_deliverer_loses_nothing(database: Database, admin: Client, receiver: Receiver) -> None:
    made = endpoint(admin, receiver)
    ids = happen(database, 40)
    receiver.seconds = 0.1
    command = [sys.executable, "-m", "fedelta.cli", "deliver", "--database", full_url(database)]
    environment = os.environ | {"FEDELTA_SERVE_WEBHOOK_ALLOW": "127.0.0.0/8"}
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL) as process:
        receiver.until(lambda receiver: len(receiver.messages) >= 10)
        process.send_signal(signal.SIGKILL)
    taken = sum(state == "delivered" for state, _, _ in states(admin, made))
    assert 0 < taken < 40
    receiver.seconds = 0.0
    deliver(database)  # all but those whose lease the dead one still holds
    held = [state for state, _, _ in states(admin, made) if state == "pending"]
    assert len(held) <= 4
    change(database, deliveries.update().where(deliveries.c.state == "pending").values(lease_until=from_now(hours=-1)))
    deliver(database)
    times = receiver.times()
    assert set(times) == set(ids)
    assert sum(times.values()) <= 40 + 4  # once more at most what was on its way
    assert {state for state, _, _ in states(admin, made)} == {"delivered"}


def test_a_lease_that_ended_is_settled_by_who_took_it_over(
    database: Database, admin: Client, receiver: Receiver
) -> None:
    made = endpoint(admin, receiver)
    happen(database, 1)
    receiver.seconds = 1.0
    receiver.answers = [500]
    first = threading.Thread(target=deliver, args=(database, WebhookSettings(allow=HERE, first_retry_seconds=60)))
    first.start()
    receiver.until(lambda receiver: len(receiver.messages) == 1)
    change(database, deliveries.update().values(lease_until=from_now(hours=-1)))
    receiver.seconds = 0.0
    deliver(database)
    first.join()
    assert states(admin, made) == [("delivered", 1, 204)]


def test_events_are_replayed_from_one_or_from_a_time_on(database: Database, admin: Client, receiver: Receiver) -> None:
    ids = happen(database, 5)  # before there was an endpoint
    made = endpoint(admin, receiver)
    assert deliver(database) == 0
    answer = admin.post(f"/v1/webhooks/{made['id']}/replay", json={"since_event": ids[3]})
    assert answer.json() == {"queued": 2}
    deliver(database)
    assert receiver.times() == dict.fromkeys(ids[3:], 1)
    answer = admin.post(f"/v1/webhooks/{made['id']}/replay", json={"since": "2020-01-01T00:00:00+02:00"})
    assert answer.json() == {"queued": 5}
    deliver(database)
    assert receiver.times() == dict.fromkeys(ids[:3], 1) | dict.fromkeys(ids[3:], 2)
    later = admin.post(f"/v1/webhooks/{made['id']}/replay", json={"since": "2100-01-01T00:00:00Z"})
    assert later.json() == {"queued": 0}
    unknown = admin.post(f"/v1/webhooks/{made['id']}/replay", json={"since_event": "evt_unknown"})
    assert unknown.json()["type"] == "urn:fedelta:problem:unknown-event"
    assert admin.post(f"/v1/webhooks/{made['id']}/replay", json={}).status_code == 422


def test_an_endpoint_that_takes_nothing_for_days_is_disabled_which_the_audit_says(
    database: Database, admin: Client, receiver: Receiver
) -> None:
    made = endpoint(admin, receiver)
    receiver.answers = [500] * 2
    settings = WebhookSettings(allow=HERE, first_retry_seconds=60, disable_days=2)
    happen(database, 1)
    deliver(database, settings)
    assert admin.get(f"/v1/webhooks/{made['id']}").json()["disabled_at"] is None
    change(database, webhooks.update().values(failing_since=from_now(days=-3), paused_until=None))
    change(database, deliveries.update().values(due_at=from_now()))
    deliver(database, settings)
    shown = admin.get(f"/v1/webhooks/{made['id']}").json()
    assert shown["disabled_at"] is not None
    assert "took nothing since" in shown["disabled_because"]
    with database.engine() as engine, engine.connect() as connection:
        rows = connection.execute(sa.select(audit.c.action, audit.c.subject)).all()
    assert ("webhook.disabled", made["id"]) in [tuple(row) for row in rows]
    missed = happen(database, 2)
    assert deliver(database) == 0
    assert admin.post(f"/v1/webhooks/{made['id']}/enable").json()["disabled_at"] is None
    change(database, deliveries.update().values(due_at=from_now()))
    assert deliver(database) == 1  # what was queued before; what came meanwhile is replayed on demand
    admin.post(f"/v1/webhooks/{made['id']}/replay", json={"since_event": missed[0]})
    assert deliver(database) == 2


def test_an_endpoint_that_is_gone_is_disabled_at_once(database: Database, admin: Client, receiver: Receiver) -> None:
    made = endpoint(admin, receiver)
    receiver.answers = [410]
    happen(database, 1)
    assert deliver(database) == 1
    assert "410" in admin.get(f"/v1/webhooks/{made['id']}").json()["disabled_because"]


def test_what_is_refused_for_days_has_failed_and_can_be_replayed(
    database: Database, admin: Client, receiver: Receiver
) -> None:
    made = endpoint(admin, receiver)
    receiver.answers = [400]
    happen(database, 1)
    change(database, deliveries.update().values(queued_at=from_now(days=-4)))
    assert deliver(database) == 1
    assert states(admin, made) == [("failed", 1, 400)]
    admin.post(f"/v1/webhooks/{made['id']}/replay", json={"since": "2020-01-01T00:00:00Z"})
    change(database, webhooks.update().values(paused_until=None))
    deliver(database)
    assert states(admin, made) == [("delivered", 1, 204)]


def test_a_secret_is_shown_once_and_after_a_rotation_both_sign_for_a_day(
    database: Database, admin: Client, receiver: Receiver
) -> None:
    made = endpoint(admin, receiver)
    assert made["secret"].startswith("whsec_")
    for shown in (admin.get("/v1/webhooks"), admin.get(f"/v1/webhooks/{made['id']}")):
        assert "whsec_" not in shown.text
    rotated = admin.post(f"/v1/webhooks/{made['id']}/rotate").json()
    assert rotated["secret"] != made["secret"]
    happen(database, 1)
    deliver(database)
    for secret in (made["secret"], rotated["secret"]):
        receiver.messages[0].verified(secret)
    change(database, webhooks.update().values(previous_until=from_now(hours=-1)))
    happen(database, 1)
    deliver(database)
    receiver.messages[1].verified(rotated["secret"])
    with pytest.raises(Exception, match="signature"):
        receiver.messages[1].verified(made["secret"])


def test_a_tenant_manages_its_own_endpoints_and_is_told_of_its_own_customers(
    database: Database, admin: Client, receiver: Receiver, publish_customers: Publish
) -> None:
    made = endpoint(admin, receiver)
    publish_customers(customer("zoe"), tenant="other")
    assert deliver(database) == 0
    headers = {"Authorization": f"Bearer {create_key(database, 'theirs', ['admin'], tenant='other')[0]}"}
    assert admin.get("/v1/webhooks", headers=headers).json() == {"webhooks": []}
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/enable"), ("GET", "/deliveries")):
        answer = admin.request(method, f"/v1/webhooks/{made['id']}{path}", headers=headers)
        assert answer.json()["type"] == "urn:fedelta:problem:unknown-webhook"
    happen(database, 1)
    assert deliver(database) == 1


def test_a_deleted_endpoint_gets_nothing_more(database: Database, admin: Client, receiver: Receiver) -> None:
    made = endpoint(admin, receiver)
    happen(database, 3)
    assert admin.request("DELETE", f"/v1/webhooks/{made['id']}").json()["id"] == made["id"]
    assert deliver(database) == 0
    assert admin.get(f"/v1/webhooks/{made['id']}").status_code == 404
    with database.engine() as engine, engine.connect() as connection:
        actions: Sequence[str] = connection.execute(sa.select(audit.c.action).order_by(audit.c.id)).scalars().all()
    assert [action for action in actions if action.startswith("webhook.")] == ["webhook.created", "webhook.deleted"]


def test_deliveries_are_listed_by_state_and_page(database: Database, admin: Client, receiver: Receiver) -> None:
    made = endpoint(admin, receiver)
    happen(database, 7)
    path, seen, cursor = f"/v1/webhooks/{made['id']}/deliveries?state=pending&limit=3", [], ""
    while cursor is not None:
        page = admin.get(f"{path}&cursor={cursor}" if cursor else path).json()
        seen += [one["event_id"] for one in page["deliveries"]]
        cursor = page["next"]
    assert len(seen) == len(set(seen)) == 7
    assert admin.get(f"{path}&cursor=wrong").status_code == 400


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_running_service_sends_what_a_publish_tells(
    database: Database, admin: Client, receiver: Receiver, publish_customers: Publish
) -> None:
    made = endpoint(admin, receiver)
    with running(full_url(database), options=["--webhook-allow=127.0.0.0/8", "--workers=2"]):
        publish_customers(customer("ann"))
        receiver.until(lambda receiver: len(receiver.messages) >= 1)
        receiver.messages[0].verified(made["secret"])


@pytest.mark.long
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_hundred_thousand_changed_tiers_are_two_hundred_messages(
    database: Database, admin: Client, receiver: Receiver, tmp_path: Path
) -> None:
    endpoint(admin, receiver, "score.tier_changed")
    for tier in ("low", "high"):
        many(100_000, tier).with_columns(risk_tier=pl.lit(tier)).write_parquet(tmp_path / f"{tier}.parquet")
        publish(tmp_path / f"{tier}.parquet", database)
    with database.engine() as engine, engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(deliveries)).scalar_one() == 200
    assert deliver(database) == 200
    assert sum(len(json.loads(one.body)["data"]["changes"]) for one in receiver.messages) == 100_000
