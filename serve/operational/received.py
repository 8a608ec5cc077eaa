"""What was received of customers, and the scores made of it, in the operational database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from fedelta.serve.operational.pointer import Pointer, tell
from fedelta.serve.operational.statements import in_parts
from fedelta.serve.operational.tables import live_scores, precisely, received_interactions


@dataclass(frozen=True, slots=True)
class Came:
    """An interaction to be stored; ``counts_from`` is when it happened, or was known if that is later."""

    interaction_id: str
    customer_id: str
    counts_from: datetime
    row: str  # JSON


@dataclass(frozen=True, slots=True)
class Remade:
    """A score made anew, upon so many received interactions; and the snapshot's, if it has one."""

    customer_id: str
    interactions: int
    document: bytes
    before: bytes | None


@dataclass(frozen=True, slots=True)
class Live:
    """A score made anew, as it is read."""

    customer_id: str
    revision: int
    document: bytes


def receive(connection: sa.Connection, tenant: str, rows: Sequence[Came]) -> set[str]:
    """Store interactions, each id once; the ids of those that were new."""
    at = precisely(datetime.now(UTC))
    table, new = received_interactions, set()
    insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert
    for some in in_parts(rows):
        values = [
            {
                "tenant": tenant,
                "interaction_id": row.interaction_id,
                "customer_id": row.customer_id,
                "counts_from": precisely(row.counts_from),
                "received_at": at,
                "row": row.row,
            }
            for row in some
        ]
        stored = insert(table).values(values).on_conflict_do_nothing().returning(table.c.interaction_id)
        new |= set(connection.execute(stored).scalars())
    return new


def received_of(connection: sa.Connection, tenant: str, customer_ids: Sequence[str]) -> dict[str, list[bytes]]:
    """The rows of customers as JSON, in the order in which they came."""
    table, found = received_interactions, dict[str, list[bytes]]()
    for some in in_parts(customer_ids):
        which = sa.select(table.c.customer_id, table.c.row).where(table.c.tenant == tenant)
        which = which.where(table.c.customer_id.in_(some)).order_by(table.c.customer_id, table.c.id)
        for customer_id, row in connection.execute(which):
            found.setdefault(customer_id, []).append(row.encode())
    return found


def newest(connection: sa.Connection, tenant: str) -> datetime | None:
    """The latest time from which a received interaction counts."""
    table = received_interactions
    at = connection.execute(sa.select(sa.func.max(table.c.counts_from)).where(table.c.tenant == tenant)).scalar_one()
    return None if at is None else datetime.fromisoformat(at)


def due(connection: sa.Connection, current: Pointer, limit: int) -> list[str]:
    """Customers of whom more was received than their score knows, for the current snapshot.

    What was received before it was published, and counts from before its ``as_of``, is in its scores already.
    """
    table, live = received_interactions, live_scores
    since = table.c.received_at >= precisely(datetime.fromisoformat(current.published_at))
    if current.as_of is not None:
        since |= table.c.counts_from >= precisely(datetime.fromisoformat(current.as_of))
    recent = sa.select(table.c.customer_id).where(table.c.tenant == current.tenant, since).distinct().subquery()
    counted = (
        sa.select(table.c.customer_id, sa.func.count().label("interactions"))
        .where(table.c.tenant == current.tenant, table.c.customer_id.in_(sa.select(recent.c.customer_id)))
        .group_by(table.c.customer_id)
        .subquery()
    )
    known = sa.and_(
        live.c.tenant == current.tenant,
        live.c.customer_id == counted.c.customer_id,
        live.c.snapshot_id == current.snapshot_id,
    )
    wanted = (
        sa.select(counted.c.customer_id)
        .select_from(counted.outerjoin(live, known))
        .where(counted.c.interactions > sa.func.coalesce(live.c.interactions, 0))
        .limit(limit)
    )
    return list(connection.execute(wanted).scalars())


def store_scores(connection: sa.Connection, tenant: str, snapshot_id: str, scores: Sequence[Remade]) -> list[Live]:
    """Store scores, unless newer ones are there or the customer was erased meanwhile, and tell whose tier changed.

    The scores as they are now.
    """
    ids = [one.customer_id for one in scores]
    counts = _counts(connection, tenant, ids)
    live, at = live_scores, precisely(datetime.now(UTC))
    before = {
        row.customer_id: row
        for some in in_parts(ids)
        for row in connection.execute(sa.select(live).where(live.c.tenant == tenant, live.c.customer_id.in_(some)))
    }
    stored, changes = [], []
    for one in scores:
        was = before.get(one.customer_id)
        newer = was is not None and was.snapshot_id == snapshot_id and was.interactions > one.interactions
        if newer or counts.get(one.customer_id, 0) < one.interactions:
            continue
        revision = 1 if was is None else was.revision + 1
        values = {
            "snapshot_id": snapshot_id,
            "interactions": one.interactions,
            "revision": revision,
            "changed_at": at,
            "document": one.document,
        }
        insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert
        row = insert(live).values(tenant=tenant, customer_id=one.customer_id, **values)
        connection.execute(row.on_conflict_do_update(index_elements=["tenant", "customer_id"], set_=values))
        stored.append(Live(one.customer_id, revision, one.document))
        previous = one.before if was is None or was.snapshot_id != snapshot_id else was.document
        if previous and (change := _tier_change(bytes(previous), one.document)) is not None:
            changes.append(change)
    if changes:
        payload = {"snapshot_id": snapshot_id, "previous_snapshot_id": snapshot_id, "live": True, "changes": changes}
        tell(connection, tenant, "score.tier_changed", [orjson.dumps(payload).decode()])
    return stored


def changed_since(connection: sa.Connection, current: Pointer, since: str) -> tuple[list[tuple[str, int]], str]:
    """(customer, revision) of the live scores of a snapshot that changed at a time or later; and the latest change."""
    live = live_scores
    which = sa.select(live.c.customer_id, live.c.revision, live.c.changed_at).where(
        live.c.tenant == current.tenant, live.c.snapshot_id == current.snapshot_id, live.c.changed_at >= since
    )
    rows = connection.execute(which).all()
    return [(row.customer_id, row.revision) for row in rows], max((row.changed_at for row in rows), default=since)


def scores_of(connection: sa.Connection, current: Pointer, customer_ids: Sequence[str]) -> list[Live]:
    """The live scores of customers, for a snapshot."""
    live, found = live_scores, list[Live]()
    for some in in_parts(customer_ids):
        which = sa.select(live.c.customer_id, live.c.revision, live.c.document).where(
            live.c.tenant == current.tenant,
            live.c.snapshot_id == current.snapshot_id,
            live.c.customer_id.in_(some),
        )
        rows = connection.execute(which)
        found += [Live(name, number, bytes(document)) for name, number, document in rows]
    return found


def remove_old(connection: sa.Connection, tenant: str, kept: Sequence[str]) -> None:
    """Delete the live scores of snapshots that are no longer kept."""
    live = live_scores
    connection.execute(live.delete().where(live.c.tenant == tenant, live.c.snapshot_id.not_in(kept)))


def _counts(connection: sa.Connection, tenant: str, customer_ids: Sequence[str]) -> dict[str, int]:
    """How many interactions were received of customers."""
    table, counts = received_interactions, dict[str, int]()
    for some in in_parts(customer_ids):
        which = sa.select(table.c.customer_id, sa.func.count()).where(table.c.tenant == tenant)
        which = which.where(table.c.customer_id.in_(some)).group_by(table.c.customer_id)
        counts |= {row[0]: row[1] for row in connection.execute(which)}
    return counts


def _tier_change(before: bytes, after: bytes) -> dict[str, object] | None:
    """What is reported of a customer whose tier changed; None of others."""
    old, new = orjson.loads(before), orjson.loads(after)
    if None in (old["risk_tier"], new["risk_tier"]) or old["risk_tier"] == new["risk_tier"]:
        return None
    return {
        "customer_id": new["customer_id"],
        "previous_tier": old["risk_tier"],
        "risk_tier": new["risk_tier"],
        "previous_probability": old["churn_probability"],
        "churn_probability": new["churn_probability"],
    }
