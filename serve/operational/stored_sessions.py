"""Sessions of the desk as requests are checked against them: read from the operational database."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from fedelta.serve.operational.tables import now, sessions, users


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in."""

    user_id: int
    tenant: str
    email: str
    name: str
    role: str
    language: str | None
    shortcuts: bool


_COLUMNS = tuple(users.c[name] for name in Person.__slots__)


def find_session(engine: sa.Engine, digest: bytes) -> tuple[Person, datetime] | None:
    """Who is signed in by the secret of this SHA-256, and until when; None where nobody is. For worker threads."""
    wanted = (
        sa.select(*_COLUMNS, sessions.c.expires_at)
        .join(users, users.c.user_id == sessions.c.user_id)
        .where(sessions.c.digest == digest, sessions.c.expires_at > now(), users.c.disabled_at.is_(None))
    )
    with engine.execution_options(reads=True).begin() as connection:
        row = connection.execute(wanted).first()
    return None if row is None else (Person(*row[:-1]), datetime.fromisoformat(row.expires_at))


def session_digest(secret: str) -> bytes:
    """What is kept of a session's secret: its SHA-256."""
    return hashlib.sha256(secret.encode()).digest()
