"""Endpoints as they are managed: made, listed, their secrets rotated, messages replayed, what was delivered."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from pydantic import BaseModel, Field

from fedelta.features.errors import FedeltaError
from fedelta.serve.acting.actor import Actor
from fedelta.serve.acting.paging import Order
from fedelta.serve.operational.pointer import queue
from fedelta.serve.operational.tables import deliveries, from_now, now, outbox, webhooks
from fedelta.serve.webhooks.events import EventType
from fedelta.serve.webhooks.signing import new_secret

MOST_ENDPOINTS = 50  # of a tenant
OVERLAP_HOURS = 24

DeliveryState = Literal["pending", "delivered", "failed"]


class WebhookRefused(FedeltaError):
    """The endpoint cannot be made or changed; ``kind`` is that of the problem."""

    def __init__(self, kind: Literal["unknown-webhook", "unknown-event", "too-many-webhooks"], why: str) -> None:
        super().__init__(why)
        self.kind = kind


class Webhook(BaseModel):
    """An endpoint: where messages are sent, and how it does."""

    id: str
    url: str
    types: list[EventType]
    description: str | None
    created_at: str
    created_by: str
    failing_since: str | None = Field(description="since when it took nothing; null while it does")
    paused_until: str | None = Field(description="when it is tried again after a failure")
    disabled_at: str | None = Field(description="since when nothing is sent")
    disabled_because: str | None


class WebhookWithSecret(Webhook):
    """An endpoint and its secret, which is shown this once."""

    secret: str = Field(description="whsec_…: signs messages as Standard Webhooks has it")


class Delivery(BaseModel):
    """A message for one endpoint and what came of sending it."""

    id: int
    event_id: str = Field(description="the header webhook-id")
    type: str
    created_at: str = Field(description="when it happened")
    state: DeliveryState
    attempts: int
    due_at: str = Field(description="when it is sent next, while it is pending")
    tried_at: str | None
    status: int | None = Field(description="of the last answer")
    error: str | None = Field(description="why there was none")


@dataclass(frozen=True)
class Wanted:
    """An endpoint to be made."""

    url: str
    types: Sequence[EventType]
    description: str | None


def create(connection: sa.Connection, actor: Actor, wanted: Wanted) -> WebhookWithSecret:
    """Make an endpoint. Raises ``WebhookRefused`` if there are too many."""
    own = webhooks.c.tenant == actor.tenant
    if connection.execute(sa.select(sa.func.count()).select_from(webhooks).where(own)).scalar_one() >= MOST_ENDPOINTS:
        raise WebhookRefused("too-many-webhooks", f"There are {MOST_ENDPOINTS} endpoints already: delete one first.")
    row = {
        "id": f"whk_{secrets.token_hex(8)}",
        "tenant": actor.tenant,
        "url": wanted.url,
        "types": f" {' '.join(sorted(set(wanted.types)))} ",
        "description": wanted.description,
        "secret": new_secret(),
        "created_at": now(),
        "created_by": actor.name[:100],
        "failures": 0,
    }
    connection.execute(webhooks.insert().values(row))
    actor.note(connection, "webhook.created", str(row["id"]), url=wanted.url, types=row["types"])
    return _with_secret(connection, actor.tenant, str(row["id"]))


def find(connection: sa.Connection, tenant: str, webhook_id: str) -> Webhook:
    """An endpoint. Raises ``WebhookRefused`` if there is none."""
    return _shown(_row(connection, tenant, webhook_id))


def every(connection: sa.Connection, tenant: str) -> list[Webhook]:
    """The endpoints of a tenant, oldest first."""
    own = sa.select(webhooks).where(webhooks.c.tenant == tenant).order_by(webhooks.c.created_at, webhooks.c.id)
    return [_shown(row) for row in connection.execute(own).mappings()]


def delete(connection: sa.Connection, actor: Actor, webhook_id: str) -> Webhook:
    """Delete an endpoint and what was to be sent to it. Raises ``WebhookRefused`` if there is none."""
    gone = find(connection, actor.tenant, webhook_id)
    connection.execute(deliveries.delete().where(deliveries.c.webhook_id == webhook_id))
    connection.execute(webhooks.delete().where(webhooks.c.id == webhook_id))
    actor.note(connection, "webhook.deleted", webhook_id, url=gone.url)
    return gone


def rotate(connection: sa.Connection, actor: Actor, webhook_id: str) -> WebhookWithSecret:
    """Give an endpoint a new secret; for a day messages are signed by the old one too. Raises ``WebhookRefused``."""
    old = _row(connection, actor.tenant, webhook_id)["secret"]
    values = {"secret": new_secret(), "previous_secret": old, "previous_until": from_now(hours=OVERLAP_HOURS)}
    connection.execute(webhooks.update().where(webhooks.c.id == webhook_id).values(values))
    actor.note(connection, "webhook.rotated", webhook_id)
    return _with_secret(connection, actor.tenant, webhook_id)


def enable(connection: sa.Connection, actor: Actor, webhook_id: str) -> Webhook:
    """Send to an endpoint again, at once, that was disabled or paused. Raises ``WebhookRefused`` if there is none."""
    find(connection, actor.tenant, webhook_id)
    values = dict.fromkeys(("failing_since", "paused_until", "disabled_at", "disabled_because")) | {"failures": 0}
    connection.execute(webhooks.update().where(webhooks.c.id == webhook_id).values(values))
    actor.note(connection, "webhook.enabled", webhook_id)
    return find(connection, actor.tenant, webhook_id)


def replay(connection: sa.Connection, actor: Actor, webhook_id: str, *, event_id: str | None, since: str | None) -> int:
    """Queue messages again, those from before the endpoint was made too; how many.

    Parameters
    ----------
    event_id : this message and all after it
    since : those of this time and later, as it is stored

    Raises
    ------
    WebhookRefused
        If there is no such endpoint or message.
    """
    find(connection, actor.tenant, webhook_id)
    which = outbox.c.created_at >= since if since is not None else sa.true()
    if event_id is not None:
        own = sa.select(outbox.c.id).where(outbox.c.tenant == actor.tenant, outbox.c.event_id == event_id)
        if (first := connection.execute(own).scalar_one_or_none()) is None:
            raise WebhookRefused("unknown-event", f"There is no event {event_id!r}, or it is no longer kept.")
        which = sa.and_(which, outbox.c.id >= first)
    there = sa.select(deliveries.c.event_id).where(deliveries.c.webhook_id == webhook_id)
    wanted = sa.select(outbox.c.event_id).where(outbox.c.tenant == actor.tenant, which)
    before, at = _pending(connection, webhook_id), now()
    again = (
        deliveries.update()
        .where(deliveries.c.webhook_id == webhook_id, deliveries.c.event_id.in_(wanted))
        .where(deliveries.c.state != "pending")
        .values(state="pending", attempts=0, queued_at=at, due_at=at)
    )
    connection.execute(again)
    queue(connection, sa.and_(webhooks.c.id == webhook_id, which, outbox.c.event_id.not_in(there)))
    count = _pending(connection, webhook_id) - before
    actor.note(connection, "webhook.replayed", webhook_id, since=since, event_id=event_id, queued=count)
    return count


def deliveries_of(
    connection: sa.Connection,
    tenant: str,
    webhook_id: str,
    *,
    state: DeliveryState | None,
    limit: int,
    cursor: str | None,
) -> tuple[list[Delivery], str | None]:
    """Some deliveries of an endpoint, those queued last first, and the cursor of the next.

    Raises
    ------
    WebhookRefused
        If there is no such endpoint.
    InvalidCursor
        If the cursor is of another list.
    """
    find(connection, tenant, webhook_id)
    rows = (
        sa.select(deliveries, outbox.c.type, outbox.c.created_at)
        .join(outbox, outbox.c.event_id == deliveries.c.event_id)
        .where(deliveries.c.webhook_id == webhook_id)
    )
    if state is not None:
        rows = rows.where(deliveries.c.state == state)
    order = Order(deliveries.c.queued_at, deliveries.c.id, descending=True)
    page, following = order.page(connection, rows, limit, cursor, f"{webhook_id} {state}")
    return [Delivery(**{name: row[name] for name in Delivery.model_fields}) for row in page], following


def _pending(connection: sa.Connection, webhook_id: str) -> int:
    own = sa.and_(deliveries.c.webhook_id == webhook_id, deliveries.c.state == "pending")
    return connection.execute(sa.select(sa.func.count()).select_from(deliveries).where(own)).scalar_one()


def _row(connection: sa.Connection, tenant: str, webhook_id: str) -> sa.RowMapping:
    own = sa.select(webhooks).where(webhooks.c.tenant == tenant, webhooks.c.id == webhook_id)
    if (row := connection.execute(own).mappings().first()) is None:
        raise WebhookRefused("unknown-webhook", f"There is no endpoint {webhook_id[:80]!r}.")
    return row


def _shown(row: sa.RowMapping) -> Webhook:
    return Webhook(**{name: row[name] for name in Webhook.model_fields} | {"types": row["types"].split()})


def _with_secret(connection: sa.Connection, tenant: str, webhook_id: str) -> WebhookWithSecret:
    row = _row(connection, tenant, webhook_id)
    return WebhookWithSecret(**_shown(row).model_dump(), secret=row["secret"])
