"""The suppression list in the operational database, and the secret file by which its hashes are made."""

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

import sqlalchemy as sa

from fedelta.serve.operational.database import Database, DatabaseError
from fedelta.serve.operational.erased import NOBODY, Erased, ErasureKey
from fedelta.serve.operational.statements import in_parts
from fedelta.serve.operational.tables import erased_rows, erasures

_BYTES = 32
_ERASING = 0x0FED_0003  # name of PostgreSQL's advisory lock


def read_key(database: Database) -> ErasureKey | None:
    """The key, None where there is none that we may read."""
    try:
        return ErasureKey(database.erasure_key.read_bytes())
    except OSError:
        return None


def make_key(database: Database) -> ErasureKey:
    """The key, made where there is none: a file that its owner alone can read."""
    path = database.erasure_key
    if (known := read_key(database)) is not None:
        return known
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(_BYTES))
        os.fsync(descriptor)
        os.link(unfinished, path)  # fails where another process was faster
    except FileExistsError:
        pass
    finally:
        os.close(descriptor)
        unfinished.unlink()
    return ErasureKey(path.read_bytes())


def hashes(connection: sa.Connection, tenant: str) -> frozenset[str]:
    """The hashes of all who were erased."""
    return frozenset(connection.execute(sa.select(erasures.c.hashed_id).where(erasures.c.tenant == tenant)).scalars())


def must_fit(key: ErasureKey | None, hashed: Iterable[str], path: Path) -> None:
    """Refuse hashes that were made with another key.

    Raises
    ------
    DatabaseError
        If there are any: nobody could be recognised by them.
    """
    name = None if key is None else key.name
    if any(not one.startswith(name or "?") for one in hashed):
        what = "is missing" if key is None else "is another one"
        raise DatabaseError(
            f"The key of the erased customers, {path}, {what}: without the one they were erased with they would come "
            "back. Restore it from where it was kept, or name it with FEDELTA_ERASURE_KEY."
        )


def erased_in(
    connection: sa.Connection, before: Mapping[str, frozenset[str]]
) -> tuple[dict[str, frozenset[str]], dict[tuple[str, str], frozenset[int]]]:
    """The hashes by tenant, and the hidden rows by tenant and snapshot.

    Hashes never go, so they are read anew only where their number is not that of ``before``.
    """
    counts = sa.select(erasures.c.tenant, sa.func.count()).group_by(erasures.c.tenant)
    by_tenant = {}
    for tenant, count in connection.execute(counts):
        known = before.get(tenant, frozenset())
        by_tenant[tenant] = known if len(known) == count else hashes(connection, tenant)
    rows: dict[tuple[str, str], set[int]] = {}
    for tenant, snapshot_id, row in connection.execute(sa.select(erased_rows)):
        rows.setdefault((tenant, snapshot_id), set()).add(row)
    return by_tenant, {which: frozenset(found) for which, found in rows.items()}


def erased_of(connection: sa.Connection, database: Database, tenant: str, snapshot_id: str) -> Erased:
    """Who was erased, as a snapshot has to know it."""
    if not (found := hashes(connection, tenant)):
        return NOBODY
    hidden = sa.select(erased_rows.c.row).where(
        erased_rows.c.tenant == tenant, erased_rows.c.snapshot_id == snapshot_id
    )
    return Erased(frozenset(connection.execute(hidden).scalars()), found, read_key(database))


def erased_among(connection: sa.Connection, database: Database, tenant: str, customer_ids: Iterable[str]) -> set[str]:
    """Those who were erased, as this transaction has to know it: an erasure comes before it or after it, not within."""
    _let_no_erasure_begin(connection)
    if (key := read_key(database)) is None:
        return set()
    by_hash = {key.hashed(one): one for one in customer_ids}
    found: set[str] = set()
    for some in in_parts(list(by_hash)):
        which = sa.select(erasures.c.hashed_id).where(erasures.c.tenant == tenant, erasures.c.hashed_id.in_(some))
        found |= {by_hash[one] for one in connection.execute(which).scalars()}
    return found


def erased_by_now(connection: sa.Connection, database: Database, tenant: str, seen: Erased) -> Erased:
    """Who was erased, as this transaction has to know it, read anew only where there are more than were ``seen``."""
    _let_no_erasure_begin(connection)
    count = connection.execute(sa.select(sa.func.count()).where(erasures.c.tenant == tenant)).scalar_one()
    if count == len(seen.hashes):
        return seen
    return Erased(seen.rows, hashes(connection, tenant), read_key(database))


def hide(connection: sa.Connection, tenant: str, snapshot_id: str, rows: Iterable[int]) -> None:
    """Hide rows of a snapshot."""
    known = sa.select(erased_rows.c.row).where(erased_rows.c.tenant == tenant, erased_rows.c.snapshot_id == snapshot_id)
    new = set(rows) - set(connection.execute(known).scalars())
    if new:
        values = [{"tenant": tenant, "snapshot_id": snapshot_id, "row": row} for row in sorted(new)]
        connection.execute(erased_rows.insert(), values)


def take_turns(connection: sa.Connection) -> None:
    """Let an erasure and the switch to another run come one after the other, so that neither misses the other.

    SQLite has one writer at a time anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:name)"), {"name": _ERASING})


def _let_no_erasure_begin(connection: sa.Connection) -> None:
    """Until this transaction ends; see ``take_turns``."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock_shared(:name)"), {"name": _ERASING})
