"""How long the audit and messages are kept."""

import sqlalchemy as sa

from fedelta.serve.operational.tables import audit, deliveries, from_now, outbox

AT_ONCE = 5_000


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
