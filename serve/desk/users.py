"""Who may sign in to the desk. ``fedelta users add|list|disable|passwd``."""

import re
from dataclasses import dataclass
from typing import get_args

import sqlalchemy as sa

from fedelta.features.errors import FedeltaError
from fedelta.serve.caller.scopes import Role
from fedelta.serve.desk.passwords import LONGEST, SHORTEST, hashed
from fedelta.serve.desk.words import LANGUAGES
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.pointer import record
from fedelta.serve.operational.tables import DEFAULT_TENANT, now, sessions, users
from fedelta.serve.operational.tenants import ensure

ROLES: tuple[Role, ...] = get_args(Role)
_ACTOR = "fedelta users"
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


class UserRefused(FedeltaError):
    """The user cannot be added or changed; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class User:
    """What is known of a user, but for the password."""

    email: str
    name: str
    role: str
    tenant: str
    language: str | None
    created_at: str
    disabled_at: str | None


_COLUMNS = tuple(users.c[name] for name in User.__slots__)


def add_user(
    database: Database,
    email: str,
    name: str,
    role: str,
    password: str | None,
    *,
    tenant: str = DEFAULT_TENANT,
    language: str | None = None,
) -> User:
    """Add a user. Without a password the user can only sign in by the identity provider.

    Raises
    ------
    UserRefused
        If the address is none or is a user's already, the name is empty, or role, language or password cannot be.
    TenantRefused, DatabaseError
    """
    email = email.strip().lower()
    if not _EMAIL.fullmatch(email) or len(email) > 200:
        raise UserRefused(f"A user signs in with an e-mail address such as ada@example.com; got {email!r}.")
    if not name.strip() or len(name) > 100:
        raise UserRefused("A user needs a name of 1 to 100 characters.")
    if role not in ROLES:
        raise UserRefused(f"A role is one of {', '.join(ROLES)}; got {role!r}.")
    if language is not None and language not in LANGUAGES:
        raise UserRefused(f"A language is one of {', '.join(LANGUAGES)}; got {language!r}.")
    kept = None if password is None else hashed(checked_password(password))
    made = User(email, name.strip(), role, tenant, language, now(), None)
    row = {column: getattr(made, column) for column in User.__slots__}
    with database.engine() as engine, engine.begin() as connection:
        if connection.execute(sa.select(users.c.user_id).where(users.c.email == email)).first() is not None:
            raise UserRefused(f"{email} is a user already: `fedelta users list` shows all.")
        ensure(connection, tenant)
        connection.execute(users.insert().values(**row, password=kept, shortcuts=True))
        record(connection, tenant, _ACTOR, "user.added", email, {"role": role})
    return made


def list_users(database: Database, tenant: str | None = None) -> list[User]:
    """Every user, of one tenant or all, by address."""
    every = sa.select(*_COLUMNS).order_by(users.c.email)
    if tenant is not None:
        every = every.where(users.c.tenant == tenant)
    with database.engine() as engine, engine.execution_options(reads=True).begin() as connection:
        return [User(*row) for row in connection.execute(every)]


def disable_user(database: Database, email: str) -> User:
    """Let a user sign in no more, and end the user's sessions within seconds.

    Raises
    ------
    UserRefused
        If there is no such user.
    """
    with database.engine() as engine, engine.begin() as connection:
        user_id, tenant = _known(connection, email)
        connection.execute(users.update().where(users.c.user_id == user_id).values(disabled_at=now()))
        connection.execute(sessions.delete().where(sessions.c.user_id == user_id))
        record(connection, tenant, _ACTOR, "user.disabled", email.lower(), {})
        return User(*connection.execute(sa.select(*_COLUMNS).where(users.c.user_id == user_id)).one())


def set_password(database: Database, email: str, password: str) -> None:
    """Give a user another password, let the user sign in again where that was disabled, and end the user's sessions.

    Raises
    ------
    UserRefused
        If there is no such user, or the password cannot be.
    """
    kept = hashed(checked_password(password))
    with database.engine() as engine, engine.begin() as connection:
        user_id, tenant = _known(connection, email)
        connection.execute(users.update().where(users.c.user_id == user_id).values(password=kept, disabled_at=None))
        connection.execute(sessions.delete().where(sessions.c.user_id == user_id))
        record(connection, tenant, _ACTOR, "user.password_changed", email.lower(), {})


def checked_password(password: str) -> str:
    """The password.

    Raises
    ------
    UserRefused
        If it is too short or too long.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise UserRefused(f"A password has {SHORTEST} to {LONGEST} characters; got {len(password)}.")
    return password


def _known(connection: sa.Connection, email: str) -> tuple[int, str]:
    row = connection.execute(
        sa.select(users.c.user_id, users.c.tenant).where(users.c.email == email.strip().lower())
    ).first()
    if row is None:
        raise UserRefused(f"There is no user {email!r}: `fedelta users list` shows all.")
    return row.user_id, row.tenant
