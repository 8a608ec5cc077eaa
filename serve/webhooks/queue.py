"""Which messages are due, who may send them, and what came of it.

A worker takes a lease on a delivery before it sends, so that no two that live send one event to one endpoint. A worker
that dies leaves the lease to end by itself: then another sends, perhaps a second time, with the same ``webhook-id``.
"""

import random
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from fedelta.serve.caller.settings import WebhookSettings
from fedelta.serve.operational.pointer import record
from fedelta.serve.operational.tables import deliveries, from_now, now, outbox, webhooks
from fedelta.serve.webhooks.events import body_of
from fedelta.serve.webhooks.sending import Answer

ACTOR = "fedelta deliver"
AT_ONCE_PER_ENDPOINT = 4
LEASE_SECONDS = 120.0  # longer than sending can take

_SLOWER = 4.0  # each wait to the one before
_LONGEST_WAIT = 12 * 3600.0
_LONGEST_ASKED = 3600.0
_GONE = 410


@dataclass(frozen=True)
class Leased:
    """A delivery that this worker alone may make, until its lease ends."""

    id: int
    lease: str
    webhook_id: str
    tenant: str
    event_id: str
    url: str
    secrets: tuple[str, ...]
    body: bytes
    attempts: int
    queued_at: str


def any_due(connection: sa.Connection) -> bool:
    """Whether something could be sent now."""
    return connection.execute(_endpoints().limit(1)).first() is not None


def lease(connection: sa.Connection, most: int, busy: Mapping[str, int]) -> list[Leased]:
    """Take leases on deliveries that are due, at most ``most``.

    Parameters
    ----------
    busy : how many messages this worker is sending to an endpoint just now, by endpoint
    """
    endpoints = connection.execute(_endpoints().add_columns(*webhooks.c)).mappings().all()
    taken: list[Leased] = []
    for endpoint in random.sample(endpoints, len(endpoints)):  # so that none is always last
        room = 1 if endpoint["failures"] else AT_ONCE_PER_ENDPOINT  # one that failed is tried with one message
        room = min(room - busy.get(endpoint["id"], 0), most - len(taken))
        if room > 0:
            taken += _lease_of(connection, endpoint, room)
    return taken


def settle(connection: sa.Connection, sent: Leased, answer: Answer, settings: WebhookSettings) -> bool:
    """Note what came of sending; False where the lease had ended, so that another settles it."""
    at = now()
    own = sa.and_(deliveries.c.id == sent.id, deliveries.c.lease == sent.lease)
    values = {"lease": None, "lease_until": None, "tried_at": at, "status": answer.status, "error": answer.error}
    values["attempts"] = sent.attempts + 1
    if answer.accepted:
        values["state"] = "delivered"
    elif _age_days(sent.queued_at) >= settings.keep_trying_days:
        values["state"] = "failed"
    else:
        values["due_at"] = from_now(hours=_wait(sent.attempts, answer, settings) / 3600)
    if not connection.execute(deliveries.update().where(own).values(values)).rowcount:
        return False
    _judge(connection, sent, answer, settings)
    return True


def _endpoints() -> sa.Select[tuple[str]]:
    """Endpoints to which something may be sent now."""
    due = sa.exists().where(deliveries.c.webhook_id == webhooks.c.id, _due())
    awake = sa.or_(webhooks.c.paused_until.is_(None), webhooks.c.paused_until <= now())
    return sa.select(webhooks.c.id.label("due")).where(webhooks.c.disabled_at.is_(None), awake, due)


def _due() -> sa.ColumnElement[bool]:
    at = now()
    free = sa.or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until < at)
    return sa.and_(deliveries.c.state == "pending", deliveries.c.due_at <= at, free)


def _lease_of(connection: sa.Connection, endpoint: sa.RowMapping, most: int) -> list[Leased]:
    wanted = (
        sa.select(deliveries, outbox.c.type, outbox.c.created_at, outbox.c.payload)
        .join(outbox, outbox.c.event_id == deliveries.c.event_id)
        .where(deliveries.c.webhook_id == endpoint["id"], _due())
        .order_by(deliveries.c.id)
        .limit(most)
        .with_for_update(of=deliveries, skip_locked=True)  # SQLite has one writer at a time anyway
    )
    rows, token = connection.execute(wanted).mappings().all(), secrets.token_hex(8)
    ids = [row["id"] for row in rows]
    held = {"lease": token, "lease_until": from_now(hours=LEASE_SECONDS / 3600)}
    connection.execute(deliveries.update().where(deliveries.c.id.in_(ids)).values(held))
    keys = [endpoint["secret"]]
    if endpoint["previous_until"] is not None and endpoint["previous_until"] > now():
        keys.append(endpoint["previous_secret"])
    return [
        Leased(
            row["id"], token, endpoint["id"], row["tenant"], row["event_id"], endpoint["url"], tuple(keys),
            body_of(row["type"], row["created_at"], row["payload"]), row["attempts"], row["queued_at"],
        )
        for row in rows
    ]  # fmt: skip


def _judge(connection: sa.Connection, sent: Leased, answer: Answer, settings: WebhookSettings) -> None:
    """Note how the endpoint does: one that fails is paused, longer each time, and disabled at last."""
    this = webhooks.c.id == sent.webhook_id
    if answer.accepted:
        well = {"failures": 0, "failing_since": None, "paused_until": None}
        connection.execute(webhooks.update().where(this, webhooks.c.failures > 0).values(well))
        return
    endpoint = connection.execute(sa.select(webhooks).where(this)).mappings().first()
    if endpoint is None or endpoint["disabled_at"] is not None:
        return
    since = endpoint["failing_since"] or now()
    values = {
        "failures": endpoint["failures"] + 1,
        "failing_since": since,
        "paused_until": from_now(hours=_wait(endpoint["failures"], answer, settings) / 3600),
    }
    if answer.status == _GONE or _age_days(since) >= settings.disable_days:
        why = "it answered 410 Gone" if answer.status == _GONE else f"it took nothing since {since}"
        values |= {"disabled_at": now(), "disabled_because": why}
        record(connection, sent.tenant, ACTOR, "webhook.disabled", sent.webhook_id, {"because": why})
    connection.execute(webhooks.update().where(this).values(values))


def _wait(failures: int, answer: Answer, settings: WebhookSettings) -> float:
    """Seconds until the next attempt, after ``failures`` before this one: exponential, with a quarter of jitter."""
    wait = min(settings.first_retry_seconds * _SLOWER ** min(failures, 12), _LONGEST_WAIT)
    asked = min(answer.retry_after or 0.0, _LONGEST_ASKED)
    return max(wait * random.uniform(0.75, 1.25), asked)  # noqa: S311 - no secret


def _age_days(at: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(at)) / timedelta(days=1)
