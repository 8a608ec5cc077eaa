"""The reports of the runs that are kept: stored when a run is published, gone when it goes."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import sqlalchemy as sa

from fedelta.serve.operational.tables import reports, snapshots


def digests(documents: Mapping[str, bytes]) -> dict[str, str]:
    """What tells one document of a name from another."""
    return {name: hashlib.sha256(document).hexdigest()[:16] for name, document in sorted(documents.items())}


def store(connection: sa.Connection, tenant: str, snapshot_id: str, documents: Mapping[str, bytes]) -> None:
    """Keep these with a run, and no others."""
    forget(connection, tenant, [snapshot_id])
    if documents:
        rows = [
            {"tenant": tenant, "snapshot_id": snapshot_id, "name": name, "document": document}
            for name, document in documents.items()
        ]
        connection.execute(reports.insert(), rows)


def read(connection: sa.Connection, tenant: str, snapshot_id: str, name: str) -> bytes | None:
    """A document of a run; None where it came without it."""
    which = sa.and_(reports.c.tenant == tenant, reports.c.snapshot_id == snapshot_id, reports.c.name == name)
    found = connection.execute(sa.select(reports.c.document).where(which)).scalar_one_or_none()
    return None if found is None else bytes(found)


def latest(connection: sa.Connection, tenant: str, name: str) -> tuple[str, dict[str, Any]] | None:
    """The report of the newest run that came with one, and when that was published; None where none did."""
    of_run = sa.and_(reports.c.tenant == snapshots.c.tenant, reports.c.snapshot_id == snapshots.c.snapshot_id)
    newest = (
        sa.select(snapshots.c.published_at, reports.c.document)
        .join(snapshots, of_run)
        .where(reports.c.tenant == tenant, reports.c.name == name)
        .order_by(snapshots.c.turn.desc())
        .limit(1)
    )
    row = connection.execute(newest).first()
    return None if row is None else (row.published_at, orjson.loads(bytes(row.document)))


def forget(connection: sa.Connection, tenant: str, snapshot_ids: Iterable[str]) -> None:
    """Remove the documents of runs that are no longer kept."""
    gone = sa.and_(reports.c.tenant == tenant, reports.c.snapshot_id.in_(list(snapshot_ids)))
    connection.execute(reports.delete().where(gone))
