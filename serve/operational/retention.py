"""How long the audit, messages and the keys of requests are kept."""

import sqlalchemy as sa

from fedelta.serve.operational.tables import audit, deliveries, from_now, idempotency_keys, outbox

AT_ONCE = 5_000
REQUEST_DAYS = 30.0  # that an idempotency key is known


def forget_audit(connection: sa.Connection, days: float, at_once: int = AT_ONCE) -> bool:
    """Delete the oldest entries of the audit that are older than ``days``, some at a time; whether there may be more.

    Entries are numbered in the order they came, so the oldest are found without reading the others.
    """
    oldest = sa.select(audit.c.id, audit.c.at).order_by(audit.c.id).limit(at_once)
    rows = connection.execute(oldest).all()
    before = from_now(days=-days)
    if gone := [row.id for row in rows if row.at < before]:
        between = sa.and_(audit.c.id >= gone[0], audit.c.id <= gone[-1], audit.c.at < before)
        connection.execute(audit.delete().where(between))
    return len(gone) == at_once


def forget_messages(connection: sa.Connection, days: float, at_once: int = AT_ONCE) -> bool:
    """Delete the oldest messages that are older than ``days``, some at a time; whether there may be more."""
    oldest = sa.select(outbox.c.id, outbox.c.created_at).order_by(outbox.c.id).limit(at_once)
    rows = connection.execute(oldest).all()
    before = from_now(days=-days)
    if gone := [row.id for row in rows if row.created_at < before]:
        between = sa.and_(outbox.c.id >= gone[0], outbox.c.id <= gone[-1], outbox.c.created_at < before)
        connection.execute(
            deliveries.delete().where(deliveries.c.event_id.in_(sa.select(outbox.c.event_id).where(between)))
        )
        connection.execute(outbox.delete().where(between))
    return len(gone) == at_once


def forget_requests(connection: sa.Connection, days: float, at_once: int = AT_ONCE) -> bool:
    """Delete idempotency keys that are older than ``days``, some at a time; whether there may be more."""
    table = idempotency_keys
    oldest = sa.select(table.c.created_at).order_by(table.c.created_at).offset(at_once - 1).limit(1)
    last = connection.execute(oldest).scalar_one_or_none()
    before = from_now(days=-days)
    old = table.c.created_at < before
    if last is not None:
        old = sa.and_(old, table.c.created_at <= last)
    connection.execute(table.delete().where(old))
    return last is not None and last < before
