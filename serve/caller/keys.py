"""API keys: made, shown once, kept as a digest, rotated, revoked. ``fedelta keys create|list|rotate|revoke``."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from fedelta.features.errors import FedeltaError
from fedelta.serve.caller.scopes import SCOPES
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.pointer import record
from fedelta.serve.operational.stored_keys import digest
from fedelta.serve.operational.tables import DEFAULT_TENANT, api_keys, from_now, now
from fedelta.serve.operational.tenants import ensure

OVERLAP_HOURS = 24
MOST_DAYS = 3_650
MOST_RATE = 1_000_000


class KeyRefused(FedeltaError):
    """The key cannot be made, rotated or revoked; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key: everything but the key."""

    prefix: str
    name: str
    scopes: tuple[str, ...]
    created_at: str
    revoked_at: str | None = None
    tenant: str = DEFAULT_TENANT
    expires_at: str | None = None
    last_used_at: str | None = None  # to the hour
    rate_per_second: float | None = None  # None: as the service has it

    def state(self) -> str:
        """Whether it is good, in words."""
        if self.revoked_at:
            return f"revoked {self.revoked_at}"
        if self.expires_at is None:
            return "active"
        return f"{'expired' if self.expires_at <= now() else 'active until'} {self.expires_at}"


def create_key(
    database: Database,
    name: str,
    scopes: Sequence[str],
    *,
    tenant: str = DEFAULT_TENANT,
    expires_days: float | None = None,
    rate_per_second: float | None = None,
) -> tuple[str, ApiKey]:
    """Make a key and return it with what is kept of it. It cannot be shown again.

    The secret is 256 random bits, which nobody can guess from its SHA-256: a slow hash would only slow every request.

    Parameters
    ----------
    expires_days : after how many days the key is refused; None: never
    rate_per_second : requests a second that it may send over all workers; 0: any number; None: as the service has it

    Raises
    ------
    KeyRefused
        If a scope is unknown or missing, the name is empty, an active key has it, or the days or the rate are none.
    TenantRefused
        If no tenant can have such a name. A tenant that is not known yet is made.
    DatabaseError
        If the database cannot be written.
    """
    if not name.strip() or len(name) > 100:
        raise KeyRefused("A key needs a name of 1 to 100 characters: name the system that will use it.")
    if not scopes or (unknown := sorted(set(scopes) - set(SCOPES))):
        given = f"got {', '.join(unknown)}" if scopes else "got none"
        raise KeyRefused(f"A key needs one or more of the scopes {', '.join(SCOPES)}; {given}.")
    if expires_days is not None and not 0 < expires_days <= MOST_DAYS:
        raise KeyRefused(f"A key expires after more than 0 and at most {MOST_DAYS:,} days; got {expires_days:g}.")
    if rate_per_second is not None and not (rate_per_second == 0 or 0.001 <= rate_per_second <= MOST_RATE):
        raise KeyRefused(
            f"A key's rate is 0 (any) or 0.001 to {MOST_RATE:,} requests a second; got {rate_per_second:g}."
        )
    expires_at = None if expires_days is None else from_now(days=expires_days)
    with database.engine() as engine, engine.begin() as connection:
        ensure(connection, tenant)
        if connection.execute(sa.select(api_keys.c.prefix).where(_active(name), api_keys.c.tenant == tenant)).first():
            raise KeyRefused(
                f"There is an active key named {name!r}: rotate it, revoke it first, or choose another name."
            )
        kept = tuple(sorted(set(scopes)))
        return _make(connection, name, kept, tenant, expires_at, rate_per_second, "key.created")


def rotate_key(
    database: Database, name: str, *, overlap_hours: float = OVERLAP_HOURS, tenant: str | None = None
) -> tuple[str, ApiKey, ApiKey]:
    """Make a new key like the active one with this name or prefix, which expires after ``overlap_hours``.

    The new key is good for as long as the old one was made for. Returns the key, what is kept of it, and the old one.

    Raises
    ------
    KeyRefused
        If there is no such key, or several tenants have one.
    DatabaseError
        If the database cannot be written.
    """
    if not 0 <= overlap_hours <= 24 * MOST_DAYS:
        raise KeyRefused(f"The overlap is 0 hours or more; got {overlap_hours:g}.")
    with database.engine() as engine, engine.begin() as connection:
        old = _the_active(connection, name, tenant)
        last = from_now(hours=overlap_hours)
        if old.expires_at is not None:
            last = min(last, old.expires_at)
        lifetime = old.expires_at and datetime.fromisoformat(old.expires_at) - datetime.fromisoformat(old.created_at)
        expires_at = from_now(days=lifetime / timedelta(days=1)) if lifetime else None
        connection.execute(api_keys.update().where(api_keys.c.prefix == old.prefix).values(expires_at=last))
        key, made = _make(connection, old.name, old.scopes, old.tenant, expires_at, old.rate_per_second, "key.rotated")
    return key, made, replace(old, expires_at=last)


def list_keys(database: Database, tenant: str | None = None) -> list[ApiKey]:
    """Every key ever made, of one tenant or all, oldest first."""
    every = sa.select(api_keys).order_by(api_keys.c.created_at, api_keys.c.prefix)
    if tenant is not None:
        every = every.where(api_keys.c.tenant == tenant)
    with database.engine() as engine, engine.execution_options(reads=True).begin() as connection:
        return [_key(row) for row in connection.execute(every)]


def revoke_key(database: Database, name: str, tenant: str | None = None) -> ApiKey:
    """Revoke the active key with this name or prefix, and what it was rotated from; refused within seconds.

    Raises
    ------
    KeyRefused
        If there is none, or several tenants have one.
    """
    with database.engine() as engine, engine.begin() as connection:
        found, at = _the_active(connection, name, tenant), now()
        same = api_keys.c.prefix == found.prefix
        if name == found.name:
            same = sa.and_(api_keys.c.name == name, api_keys.c.tenant == found.tenant, api_keys.c.revoked_at.is_(None))
        connection.execute(api_keys.update().where(same).values(revoked_at=at))
        record(connection, found.tenant, "fedelta keys", "key.revoked", found.prefix, {"name": found.name})
    return replace(found, revoked_at=at)


def opened(database_url: str | None = None) -> Database:
    """The database that holds the keys, made or brought up to date.

    Raises
    ------
    DatabaseError
        If it cannot be.
    """
    database = Database.at(database_url)
    database.migrate()
    return database


def _make(
    connection: sa.Connection,
    name: str,
    scopes: tuple[str, ...],
    tenant: str,
    expires_at: str | None,
    rate: float | None,
    action: str,
) -> tuple[str, ApiKey]:
    prefix = f"fdl_{secrets.token_hex(5)}"
    key = f"{prefix}_{secrets.token_urlsafe(32)}"
    made = ApiKey(prefix, name, scopes, now(), None, tenant, expires_at, None, rate)
    connection.execute(
        api_keys.insert().values(
            prefix=prefix,
            name=name,
            digest=digest(key),
            scopes=" ".join(scopes),
            created_at=made.created_at,
            tenant=tenant,
            expires_at=expires_at,
            rate_per_second=rate,
        )
    )
    details: dict[str, object] = {"name": name, "scopes": scopes, "expires_at": expires_at, "rate_per_second": rate}
    record(connection, tenant, "fedelta keys", action, prefix, details)
    return key, made


def _the_active(connection: sa.Connection, name: str, tenant: str | None) -> ApiKey:
    """The newest active key with this name or prefix."""
    which = sa.select(api_keys).where(_active(name)).order_by(api_keys.c.created_at.desc(), api_keys.c.expires_at)
    rows = connection.execute(which if tenant is None else which.where(api_keys.c.tenant == tenant)).all()
    if not rows:
        raise KeyRefused(f"There is no active key named {name!r}: `fedelta keys list` shows them.")
    if len({row.tenant for row in rows}) > 1:
        raise KeyRefused(f"Several tenants have a key named {name!r}: name one with --tenant, or give the prefix.")
    never = [row for row in rows if row.expires_at is None]
    return _key(never[0] if never else max(rows, key=lambda row: row.expires_at))


def _key(row: "sa.Row[tuple[object, ...]]") -> ApiKey:
    return ApiKey(
        row.prefix, row.name, tuple(row.scopes.split()), row.created_at, row.revoked_at, row.tenant, row.expires_at,
        row.last_used_at, row.rate_per_second,
    )  # fmt: skip


def _active(name: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        api_keys.c.revoked_at.is_(None),
        sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now()),
        sa.or_(api_keys.c.name == name, api_keys.c.prefix == name),
    )
