"""How long the audit is kept."""

import sqlalchemy as sa

from fedelta.serve.operational.tables import audit, from_now

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
