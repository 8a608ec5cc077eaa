"""Sessions of the desk: begun by a password, ended by signing out, a new password, or after half a day."""

import secrets

import sqlalchemy as sa

from fedelta.serve.desk.passwords import is_right
from fedelta.serve.operational.pointer import record
from fedelta.serve.operational.stored_sessions import Person, session_digest
from fedelta.serve.operational.tables import from_now, now, sessions, users

HOURS = 12

_COLUMNS = tuple(users.c[name] for name in Person.__slots__)


def who_has(connection: sa.Connection, email: str, password: str) -> Person | None:
    """The user with this address and password, who may sign in; None if there is none."""
    wanted = sa.select(*_COLUMNS, users.c.password, users.c.disabled_at).where(users.c.email == email.strip().lower())
    row = connection.execute(wanted).first()
    right = is_right(None if row is None or row.disabled_at else row.password, password)
    return Person(*row[: len(_COLUMNS)]) if row is not None and right else None


def vouched_for(connection: sa.Connection, email: str) -> Person | None:
    """The user with this address, who may sign in; None if there is none."""
    wanted = sa.select(*_COLUMNS).where(users.c.email == email.strip().lower(), users.c.disabled_at.is_(None))
    row = connection.execute(wanted).first()
    return None if row is None else Person(*row)


def begin(connection: sa.Connection, person: Person, instead_of: bytes | None) -> str:
    """Begin a session, ending the one that the browser had (``instead_of``, a secret) and all that have run out.

    Returns
    -------
    str
        Its secret, for the browser.
    """
    secret = f"fds_{secrets.token_urlsafe(32)}"
    if instead_of is not None:
        end(connection, instead_of)
    connection.execute(sessions.delete().where(sessions.c.expires_at <= now()))
    connection.execute(
        sessions.insert().values(
            digest=session_digest(secret),
            tenant=person.tenant,
            user_id=person.user_id,
            created_at=now(),
            expires_at=from_now(hours=HOURS),
        )
    )
    record(connection, person.tenant, person.email, "session.begun", person.email, {})
    return secret


def end(connection: sa.Connection, secret: bytes) -> None:
    """End a session."""
    connection.execute(sessions.delete().where(sessions.c.digest == session_digest(secret.decode("latin-1"))))
