"""API keys: made, shown once, kept as a digest, revoked. ``fedelta keys create|list|revoke``."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from fedelta.features.errors import FedeltaError
from fedelta.serve.caller.scopes import SCOPES
from fedelta.serve.database import Database, api_keys


class KeyRefused(FedeltaError):
    """The key cannot be made or revoked; the message says why and what to do."""


@dataclass(frozen=True)
class ApiKey:
    """What is known of a key: everything but the key."""

    prefix: str
    name: str
    scopes: tuple[str, ...]
    created_at: str
    revoked_at: str | None = None


def create_key(database: Database, name: str, scopes: Sequence[str]) -> tuple[str, ApiKey]:
    """Make a key and return it with what is kept of it. It cannot be shown again.

    The secret is 256 random bits, which nobody can guess from its SHA-256: a slow hash would only slow every request.

    Raises
    ------
    KeyRefused
        If a scope is unknown or missing, the name is empty, or an active key has it.
    DatabaseError
        If the database cannot be written.
    """
    if not name.strip() or len(name) > 100:
        raise KeyRefused("A key needs a name of 1 to 100 characters: name the system that will use it.")
    if not scopes or (unknown := sorted(set(scopes) - set(SCOPES))):
        given = f"got {', '.join(unknown)}" if scopes else "got none"
        raise KeyRefused(f"A key needs one or more of the scopes {', '.join(SCOPES)}; {given}.")
    prefix = f"fdl_{secrets.token_hex(5)}"
    key = f"{prefix}_{secrets.token_urlsafe(32)}"
    made = ApiKey(prefix, name, tuple(sorted(set(scopes))), _now())
    with database.engine() as engine, engine.begin() as connection:
        if connection.execute(sa.select(api_keys.c.prefix).where(_active(name))).first():
            raise KeyRefused(f"There is an active key named {name!r}: revoke it first, or choose another name.")
        connection.execute(
            api_keys.insert().values(
                prefix=prefix, name=name, digest=digest(key), scopes=" ".join(made.scopes), created_at=made.created_at
            )
        )
    return key, made


def list_keys(database: Database) -> list[ApiKey]:
    """Every key ever made, oldest first."""
    columns = (
        api_keys.c.prefix, api_keys.c.name, api_keys.c.scopes, api_keys.c.created_at, api_keys.c.revoked_at,
    )  # fmt: skip
    with database.engine() as engine, engine.begin() as connection:
        rows = connection.execute(sa.select(*columns).order_by(api_keys.c.created_at, api_keys.c.prefix)).all()
    return [ApiKey(row.prefix, row.name, tuple(row.scopes.split()), row.created_at, row.revoked_at) for row in rows]


def revoke_key(database: Database, name: str) -> ApiKey:
    """Revoke the active key with this name or prefix; the service refuses it within seconds.

    Raises
    ------
    KeyRefused
        If there is none.
    """
    with database.engine() as engine, engine.begin() as connection:
        row = connection.execute(sa.select(api_keys).where(_active(name))).first()
        if row is None:
            raise KeyRefused(f"There is no active key named {name!r}: `fedelta keys list` shows them.")
        now = _now()
        connection.execute(api_keys.update().where(api_keys.c.prefix == row.prefix).values(revoked_at=now))
    return ApiKey(row.prefix, row.name, tuple(row.scopes.split()), row.created_at, now)


def digest(key: str) -> bytes:
    """What is kept of a key: its SHA-256."""
    return hashlib.sha256(key.encode()).digest()


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


def _active(name: str) -> sa.ColumnElement[bool]:
    return sa.and_(api_keys.c.revoked_at.is_(None), sa.or_(api_keys.c.name == name, api_keys.c.prefix == name))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
