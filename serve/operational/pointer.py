"""Which snapshots are kept, which one is current, and how that changes: in one transaction with all it entails."""

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import orjson
import sqlalchemy as sa

from fedelta.serve.operational.tables import audit, deliveries, erased_rows, now, outbox, snapshots, webhooks

_MESSAGES_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Pointer:
    """A kept snapshot; the one with the highest turn of its tenant is current."""

    tenant: str
    snapshot_id: str
    turn: int
    as_of: str | None
    published_at: str
    customers: int
    about_digest: str
    scoring: str | None  # names of `serve.snapshots.parts`


_COLUMNS = tuple(snapshots.c[name] for name in Pointer.__slots__)


def kept(connection: sa.Connection, tenant: str | None = None) -> list[Pointer]:
    """The snapshots that are kept, of one tenant or all, the current one of a tenant first."""
    which = sa.select(*_COLUMNS).order_by(snapshots.c.tenant, snapshots.c.turn.desc())
    if tenant is not None:
        which = which.where(snapshots.c.tenant == tenant)
    return [Pointer(*row) for row in connection.execute(which)]


def about(connection: sa.Connection, tenant: str, snapshot_id: str) -> bytes | None:
    """The JSON object that describes a snapshot."""
    one = sa.select(snapshots.c.about).where(_is(tenant, snapshot_id))
    found = connection.execute(one).scalar_one_or_none()
    return None if found is None else bytes(found)


def describe(connection: sa.Connection, tenant: str, snapshot_id: str, document: bytes, *, scoring: str | None) -> None:
    """Store another description of a kept snapshot, and what it is scored by."""
    values = {"about": document, "about_digest": _digest(document), "scoring": scoring}
    connection.execute(snapshots.update().where(_is(tenant, snapshot_id)).values(values))


def switch(
    connection: sa.Connection, tenant: str, snapshot_id: str, document: bytes, *, actor: str, scoring: str | None
) -> None:
    """Make a snapshot the current one of its tenant, leave a line in the audit, and a message that says so."""
    facts = orjson.loads(document)
    turn = sa.select(sa.func.coalesce(sa.func.max(snapshots.c.turn), 0) + 1).where(snapshots.c.tenant == tenant)
    values = {
        "turn": connection.execute(turn).scalar_one(),
        "published_at": now(),
        "about": document,
        "about_digest": _digest(document),
        "scoring": scoring,
    }
    before = next(iter(kept(connection, tenant)), None)
    if not connection.execute(snapshots.update().where(_is(tenant, snapshot_id)).values(values)).rowcount:
        made = {"tenant": tenant, "snapshot_id": snapshot_id, "as_of": facts["as_of"], "customers": facts["customers"]}
        connection.execute(snapshots.insert().values(made | values))
    details = {"previous_snapshot_id": before and before.snapshot_id, "customers": facts["customers"]}
    record(connection, tenant, actor, "snapshot.published", snapshot_id, details)
    payload = {"snapshot_id": snapshot_id, "as_of": facts["as_of"], **details}
    tell(connection, tenant, "snapshot.published", [orjson.dumps(payload).decode()])
    described = before and about(connection, tenant, before.snapshot_id)
    previous = orjson.loads(described).get("model_version") if described else None
    if previous is not None and facts["model_version"] not in (None, previous):
        promoted = {"model_version": facts["model_version"], "previous_model_version": previous, **payload}
        tell(connection, tenant, "model.promoted", [orjson.dumps(promoted).decode()])


def alert(connection: sa.Connection, tenant: str, report: Mapping[str, object]) -> bool:
    """Tell of the alarms of ``reports/drift.json``, unless these were the last that were reported; whether it did."""
    if not (alarms := report.get("alarms")):
        return False
    digest = _digest(orjson.dumps(alarms))
    last = sa.select(outbox.c.payload).where(outbox.c.tenant == tenant, outbox.c.type == "drift.alert")
    before = connection.execute(last.order_by(outbox.c.id.desc()).limit(1)).scalar_one_or_none()
    if before is not None and orjson.loads(before)["digest"] == digest:
        return False
    tell(connection, tenant, "drift.alert", [orjson.dumps({"alarms": alarms, "digest": digest}).decode()])
    return True


def retire(connection: sa.Connection, tenant: str, keep: int) -> list[str]:
    """Forget all but the current snapshot and ``keep`` before it; the ids of those that went.

    An earlier one that holds somebody who was erased goes too.
    """
    of_erased = sa.select(erased_rows.c.snapshot_id).where(erased_rows.c.tenant == tenant)
    with_erased = set(connection.execute(of_erased).scalars())
    every = [pointer.snapshot_id for pointer in kept(connection, tenant)]
    gone = [one for place, one in enumerate(every) if place > keep or (place and one in with_erased)]
    if gone:
        hidden = sa.and_(erased_rows.c.tenant == tenant, erased_rows.c.snapshot_id.in_(gone))
        connection.execute(erased_rows.delete().where(hidden))
        connection.execute(snapshots.delete().where(snapshots.c.tenant == tenant, snapshots.c.snapshot_id.in_(gone)))
    return gone


def record(
    connection: sa.Connection, tenant: str, actor: str, action: str, subject: str, details: dict[str, object]
) -> None:
    """Leave a line in the audit: who did what to which."""
    connection.execute(
        audit.insert().values(
            tenant=tenant,
            at=now(),
            actor=actor[:100],
            action=action,
            subject=subject[:200],
            details=orjson.dumps(details).decode(),
        )
    )


def tell(connection: sa.Connection, tenant: str, kind: str, payloads: Iterable[str]) -> int:
    """Put messages of one type, each a JSON object, into the outbox, and queue them for endpoints; how many.

    An endpoint that is disabled gets none: when it is enabled again, they can be replayed.
    """
    at, count = now(), 0
    for some in _some(payloads):
        rows = [
            {
                "tenant": tenant,
                "event_id": f"evt_{secrets.token_hex(12)}",
                "type": kind,
                "created_at": at,
                "payload": one,
            }
            for one in some
        ]
        connection.execute(outbox.insert(), rows)
        wanted = outbox.c.event_id.in_([row["event_id"] for row in rows])
        queue(connection, sa.and_(wanted, webhooks.c.disabled_at.is_(None)))
        count += len(rows)
    return count


def queue(connection: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    """Queue messages for the endpoints of their tenants that want their type.

    ``which`` is a condition on ``outbox`` and ``webhooks``; none of the deliveries may be there already.
    """
    at = sa.literal(now())
    wants = webhooks.c.types.contains(sa.literal(" ").concat(outbox.c.type).concat(" "))
    rows = (
        sa.select(webhooks.c.tenant, webhooks.c.id, outbox.c.event_id, sa.literal("pending"), sa.literal(0), at, at)
        .join(outbox, outbox.c.tenant == webhooks.c.tenant)
        .where(wants, which)
        .order_by(outbox.c.id)
    )
    names = ("tenant", "webhook_id", "event_id", "state", "attempts", "queued_at", "due_at")
    connection.execute(deliveries.insert().from_select(names, rows))


def _some(payloads: Iterable[str]) -> Iterator[tuple[str, ...]]:
    rest = iter(payloads)
    while some := tuple(islice(rest, _MESSAGES_AT_ONCE)):
        yield some


def _is(tenant: str, snapshot_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(snapshots.c.tenant == tenant, snapshots.c.snapshot_id == snapshot_id)


def _digest(document: bytes) -> str:
    return hashlib.sha256(document).hexdigest()[:16]
