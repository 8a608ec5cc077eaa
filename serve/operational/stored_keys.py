"""API keys as requests are checked against them: read from the operational database, their use noted."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from fedelta.serve.operational.tables import DEFAULT_TENANT, api_keys, from_now, now

_LAST_USE_HOURS = 1


@dataclass(frozen=True, slots=True)
class StoredKey:
    """An API key as a request is checked against it: its digest, never itself. ``expires_at`` is in the future."""

    name: str
    digest: bytes
    scopes: frozenset[str]
    tenant: str = DEFAULT_TENANT
    expires_at: datetime | None = None
    rate_per_second: float | None = None  # None: as the settings have it


def find_key(engine: sa.Engine, prefix: str) -> StoredKey | None:
    """The key with this prefix; None when there is none, or it was revoked or has expired. For worker threads.

    Its use is noted once an hour; that it cannot be noted stops nobody.
    """
    wanted = sa.select(api_keys).where(api_keys.c.prefix == prefix, api_keys.c.revoked_at.is_(None))
    with engine.execution_options(reads=True).begin() as connection:
        row = connection.execute(wanted).first()
    if row is None or (row.expires_at is not None and row.expires_at <= now()):
        return None
    if row.last_used_at is None or row.last_used_at <= from_now(hours=-_LAST_USE_HOURS):
        _note_use(engine, prefix)
    expires_at = None if row.expires_at is None else datetime.fromisoformat(row.expires_at)
    scopes = frozenset(row.scopes.split())
    return StoredKey(row.name, bytes(row.digest), scopes, row.tenant, expires_at, row.rate_per_second)


def digest(key: str) -> bytes:
    """What is kept of a key: its SHA-256."""
    return hashlib.sha256(key.encode()).digest()


def _note_use(engine: sa.Engine, prefix: str) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        with engine.begin() as connection:
            connection.execute(api_keys.update().where(api_keys.c.prefix == prefix).values(last_used_at=hour))
    except sa.exc.SQLAlchemyError:
        return
